//! Where the killpoint library is. Tests include this file: the library itself, linked into a test
//! program, would take over its syncs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The killpoint library, built beside this test program in its own profile.
pub(crate) fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let program = std::env::current_exe().expect("this program has a path");
        let profile = program.parent().and_then(Path::parent);
        let profile = profile.expect("it is in a profile's directory");
        let target = profile.parent().expect("it is in a target directory");
        let name = profile.file_name().and_then(|name| name.to_str());
        let name = name.expect("a profile's name is UTF-8");
        let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args([
                "build",
                "--quiet",
                "--offline",
                "--package",
                "conveyor-killpoint",
            ])
            .args(["--profile", if name == "debug" { "dev" } else { name }])
            .arg("--target-dir")
            .arg(target)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .expect("cargo starts");
        assert!(status.success(), "the killpoint library does not build");
        let library = profile.join("libconveyor_killpoint.so");
        assert!(library.exists(), "{} is missing", library.display());
        library
    })
}
