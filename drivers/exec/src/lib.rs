//! Conveyor's `exec` driver: runs a command or a shell script. It is written with the Rust SDK, and runs
//! in the engine's process or, as the program `conveyor-driver-exec`, in one of its own.
//!
//! What a document may say is in `docs/drivers/exec.md`; how no process outlives the engine is in
//! `docs/decisions/0020-exec-no-orphans.md`.
//!
//! | module | what it is for |
//! | --- | --- |
//! | `driver` | one task from `with` to outcome |
//! | `with` | what a document says, checked, and its JSON Schema |
//! | `environment` | the variables and the search for the program |
//! | `process` | a process group: start, signal, end |
//! | `watchdog` | what ends the groups when the engine dies |
//! | `lines`, `logs` | output as bounded log lines |
//! | `outputs` | the file that `CONVEYOR_OUTPUT` names |
//! | `failure` | how each end is told |

mod driver;
mod environment;
mod failure;
mod lines;
mod logs;
mod outputs;
mod process;
mod strays;
mod watchdog;
mod with;

pub use driver::{WORKDIR_LABEL, driver};
pub use environment::taken_environment;
pub use lines::MAX_LINE_BYTES;
pub use logs::MAX_LOG_BYTES;
pub use outputs::MAX_OUTPUT_BYTES;
