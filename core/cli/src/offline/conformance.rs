//! `conveyor conformance`: the suite, which is a program of its own.

use crate::args::ConformanceArgs;
use crate::exit::{Exit, refuse};
use std::io::ErrorKind;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

const PROGRAM: &str = "conveyor-conformance";
const REPOSITORY: &str = env!("CARGO_PKG_REPOSITORY");

/// Becomes the suite's program. Returns only where there is none.
pub(crate) fn conformance(args: &ConformanceArgs) -> Exit {
    let beside = std::env::current_exe().ok();
    let beside = beside.and_then(|own| Some(own.parent()?.join(PROGRAM)));
    let beside = beside.filter(|program| program.is_file());
    let program = beside.unwrap_or_else(|| PathBuf::from(PROGRAM));
    let error = Command::new(&program).args(&args.arguments).exec();
    match error.kind() {
        ErrorKind::NotFound => refuse(format!(
            "{PROGRAM} is neither beside this program nor on PATH: `cargo build --release -p {PROGRAM}` in a clone of {REPOSITORY} makes it in target/release"
        )),
        _ => refuse(format!("{}: {error}", program.display())),
    }
}
