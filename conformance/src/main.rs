//! `conveyor-conformance`: whether a driver, or an engine, keeps Conveyor's contract.

mod program;

use std::process::ExitCode;

fn main() -> ExitCode {
    program::main()
}
