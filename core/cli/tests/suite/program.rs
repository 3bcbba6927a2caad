//! Runs the program and keeps what it said.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A run of the program that has ended.
pub(crate) struct Ended {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs `conveyor` in a directory, with something on standard input.
pub(crate) fn conveyor_with(dir: &Path, args: &[&str], input: &str) -> Ended {
    let mut child = Command::new(env!("CARGO_BIN_EXE_conveyor"))
        .args(args)
        .current_dir(dir)
        .env_remove("NO_COLOR")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    // A program that refuses before it reads closes the pipe; that is no error of the test.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().expect("the program ends");
    Ended {
        status: output.status.code().expect("no signal ended it"),
        out: String::from_utf8(output.stdout).expect("it writes UTF-8"),
        err: String::from_utf8(output.stderr).expect("it writes UTF-8"),
    }
}

/// Runs `conveyor` in a directory.
pub(crate) fn conveyor(dir: &Path, args: &[&str]) -> Ended {
    conveyor_with(dir, args, "")
}

/// A directory with these files, gone with the value.
pub(crate) fn files(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).expect("it is writable");
    }
    dir
}

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A pipeline with a bit of everything that is drawn.
pub(crate) const RELEASE: &str = "\
apiVersion: conveyor/v1
kind: Pipeline
metadata: {name: release}
spec:
  inputs:
    type: object
    required: [ref]
    properties:
      ref: {type: string}
      copies: {type: integer, default: 2, minimum: 1}
  steps:
    - {id: checkout, driver: git, action: clone, with: {ref: \"${{ inputs.ref }}\"}}
    - id: test
      needs: [checkout]
      driver: exec
      matrix: {axes: {os: [linux, mac], node: [20, 22]}, exclude: [{os: mac, node: 20}]}
      retry: {attempts: 3}
    - {id: image, needs: [test], driver: exec, timeouts: {attempt: 10m}}
    - {id: soak, needs: [image], wait: {duration: 10m}}
    - {id: copies, needs: [image], driver: exec, foreach: {items: \"${{ lists.range(inputs.copies) }}\"}}
    - {id: undo, needs: {rule: image.failed, handles: [image]}, driver: exec}
  finally:
    - {id: notify, driver: exec}
  outputs: {digest: \"${{ steps.image.outputs.?digest.orValue('none') }}\"}
";
