//! `contract`.

use clap::{Args, Subcommand};
use std::path::PathBuf;

const CONTRACT: &str = "\
Examples:
  conveyor contract export contract/        All that a driver of one's own is written by
  conveyor contract openapi > openapi.json  For generators of clients, and for checkers of the API";

/// `contract`.
#[derive(Debug, Args)]
#[command(after_help = CONTRACT)]
pub(crate) struct ContractArgs {
    /// What to do with the contract.
    #[command(subcommand)]
    pub(crate) verb: ContractVerb,
}

/// What to do with the contract.
#[derive(Debug, Subcommand)]
pub(crate) enum ContractVerb {
    /// Write the driver contract of this release into a directory.
    Export(ExportArgs),
    /// Print the REST API as an OpenAPI 3.1 document.
    Openapi,
}

const EXPORT: &str = "\
Examples:
  conveyor contract export contract/
  protoc -I contract/proto --python_out=. conveyor/v1/driver.proto

What is written:
  contract.json                 The release, and what there is
  proto/conveyor/v1/*.proto     The messages and services
  descriptors.binpb             The same as a FileDescriptorSet, with comments
  docs/driver-contract.md       The requirements, numbered
  docs/protocol.md, semantics.md  The rules that comments of the protos cite
  timings.json, timings.md      Every time that the contract counts with
  states.json, states.md        The session's states, and what moves it
  transcripts/*.jsonl           Whole sessions, message by message

Again, and of another release, it writes over what it wrote, and leaves what is not its own. A directory that no export wrote, and that has something in it, is refused.

Exit status: 0 it is written, 2 it is refused.";

/// `contract export`.
#[derive(Debug, Args)]
#[command(after_help = EXPORT)]
pub(crate) struct ExportArgs {
    /// The directory; made where it is not there.
    #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub(crate) directory: PathBuf,
}
