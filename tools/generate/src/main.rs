//! Generates `core/proto/src/gen` and `conformance/src/gen` from `proto/`.
//!
//! `cargo run -p conveyor-generate` writes the files; with `-- --check` it compares instead and fails
//! where one differs. The protobuf compiler is a Rust one (protox), so that nobody needs `protoc`,
//! and the result is committed, so that no crate needs a build script. Beside it lie copies of the
//! contract's own files, which a package has to have within it.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

/// The contract, in the order in which its files import each other.
const FILES: [&str; 8] = [
    "conveyor/v1/options.proto",
    "conveyor/v1/types.proto",
    "conveyor/v1/driver.proto",
    "conveyor/v1/control.proto",
    "conveyor/storage/v1/journal.proto",
    "conveyor/storage/v1/objects.proto",
    "conveyor/storage/v1/retention.proto",
    "conveyor/storage/v1/events.proto",
];

/// What the conformance suite has besides: of its own crate alone.
const CONFORMANCE: [&str; 4] = [
    "conveyor/conformance/v1/interpreter.proto",
    "conveyor/conformance/v1/case.proto",
    "conveyor/conformance/v1/report.proto",
    "conveyor/conformance/v1/engine.proto",
];

/// The files that `conveyor contract export` writes: those of drivers and clients, and their text.
const COPIED: [&str; 7] = [
    "proto/conveyor/v1/options.proto",
    "proto/conveyor/v1/types.proto",
    "proto/conveyor/v1/driver.proto",
    "proto/conveyor/v1/control.proto",
    "docs/driver-contract.md",
    "docs/protocol.md",
    "docs/semantics.md",
];

/// The messages with a secret in them: `core/proto/src/hidden.rs` writes their `Debug`.
const HIDDEN: [&str; 9] = [
    ".conveyor.v1.Task",
    ".conveyor.v1.Welcome",
    ".conveyor.v1.Resume",
    ".conveyor.v1.PollRequest",
    ".conveyor.v1.AnswerRequest",
    ".conveyor.v1.HeartbeatRequest",
    ".conveyor.v1.LeaveRequest",
    ".conveyor.v1.CreateTokenResponse",
    ".conveyor.storage.v1.StoreMeta",
];

/// The contract as descriptors, for what works on any message.
const DESCRIPTORS: &str = "descriptors.bin";

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let check = match (arguments.next().as_deref(), arguments.next()) {
        (None, None) => false,
        (Some("--check"), None) => true,
        _ => return fail(&"usage: conveyor-generate [--check]"),
    };
    match run(check) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => fail(
            &"core/proto/src/gen or conformance/src/gen differs from proto/ or from docs/ (driver-contract.md, protocol.md, semantics.md): run `make generate`",
        ),
        Err(error) => fail(&error),
    }
}

#[expect(
    clippy::print_stderr,
    reason = "a program for people: this is its output"
)]
fn fail(message: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("conveyor-generate: {message}");
    ExitCode::FAILURE
}

/// Generates, and writes or compares. Whether the committed files are as they should be.
fn run(check: bool) -> Result<bool, Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let protos = root.join("proto");
    let fresh = Scratch::new()?;
    let contract = fresh.within("contract")?;
    generate(&protos, &FILES, &[], &contract)?;
    for file in COPIED {
        let from = root.join(file);
        let name = from.file_name().ok_or("a file has a name")?;
        fs::copy(&from, contract.join(name))?;
    }
    let conformance = fresh.within("conformance")?;
    generate(&protos, &CONFORMANCE, &FILES, &conformance)?;
    let mut as_committed = true;
    for (fresh, committed) in [
        (contract, "core/proto/src/gen"),
        (conformance, "conformance/src/gen"),
    ] {
        let committed = root.join(committed);
        match check {
            true => as_committed &= same(&fresh, &committed)?,
            false => replace(&fresh, &committed)?,
        }
    }
    Ok(as_committed)
}

/// Writes what is fresh in the place of what was committed.
fn replace(fresh: &Path, committed: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(committed)?;
    for name in names(committed)? {
        fs::remove_file(committed.join(name))?;
    }
    for name in names(fresh)? {
        fs::copy(fresh.join(&name), committed.join(&name))?;
    }
    Ok(())
}

/// Generates the code of `files`; what they need of `known` is generated elsewhere.
fn generate(
    protos: &Path,
    files: &[&str],
    known: &[&str],
    out: &Path,
) -> Result<(), Box<dyn Error>> {
    let mut compiler = protox::Compiler::new([protos])?;
    // With comments: they are the descriptions of the API's own documents.
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(files)?;
    let mut descriptors = compiler.file_descriptor_set();
    descriptors
        .file
        .retain(|file| !known.contains(&file.name()));
    fs::write(out.join(DESCRIPTORS), compiler.encode_file_descriptor_set())?;
    tonic_prost_build::configure()
        .out_dir(out)
        .btree_map(".")
        .bytes(".")
        .skip_debug(HIDDEN)
        .build_transport(false)
        .emit_rerun_if_changed(false)
        // The messages alone need no network stack.
        .client_mod_attribute(".", "#[cfg(feature = \"grpc\")]")
        .server_mod_attribute(".", "#[cfg(feature = \"grpc\")]")
        .compile_fds(descriptors)?;
    Ok(())
}

fn same(fresh: &Path, committed: &Path) -> Result<bool, Box<dyn Error>> {
    let names_fresh = names(fresh)?;
    if names_fresh != names(committed)? {
        return Ok(false);
    }
    for name in names_fresh {
        if fs::read(fresh.join(&name))? != fs::read(committed.join(&name))? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The files of a directory, sorted; none where there is no such directory.
fn names(directory: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let mut names = Vec::new();
    if directory.is_dir() {
        for entry in fs::read_dir(directory)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// A directory that goes with its owner.
struct Scratch(PathBuf);

impl Scratch {
    /// A directory in it.
    fn within(&self, name: &str) -> Result<PathBuf, std::io::Error> {
        let path = self.0.join(name);
        fs::create_dir_all(&path)?;
        Ok(path)
    }

    fn new() -> Result<Scratch, std::io::Error> {
        let path = env::temp_dir().join(format!("conveyor-generate-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Scratch(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Left behind at worst in the directory for such things.
        let _ = fs::remove_dir_all(&self.0);
    }
}
