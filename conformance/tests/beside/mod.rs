//! The programs that tests start: they lie beside the tests' own, where `make test` has built them.

use std::path::Path;

/// A program of the workspace.
pub(crate) fn program(name: &str) -> String {
    let own = std::env::current_exe().expect("a test is a program");
    let beside = own.parent().and_then(Path::parent);
    let program = beside.expect("it lies in deps").join(name);
    assert!(
        program.is_file(),
        "{} is not built: `cargo build --workspace --release` builds it",
        program.display()
    );
    program.display().to_string()
}
