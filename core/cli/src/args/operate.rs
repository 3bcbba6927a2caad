//! `backup`, `restore`, `doctor`.

use super::{Form, Place};
use clap::Args;
use std::path::PathBuf;

const BACKUP: &str = "\
Examples:
  conveyor backup conveyor.backup
  conveyor backup --verify conveyor.backup

It is taken from one instant while runs go on, by whoever holds the data directory, or by this program where \
nobody does. Secrets are not in it, and neither is the key of tokens.";

/// `backup`.
#[derive(Debug, Args)]
#[command(after_help = BACKUP)]
pub(crate) struct BackupArgs {
    /// The file to make, or a directory to make it in, under a name with the time.
    #[arg(value_hint = clap::ValueHint::AnyPath)]
    pub(crate) file: PathBuf,
    /// Read FILE to its last byte and say whether it is whole; write nothing.
    #[arg(long, conflicts_with_all = ["data_dir", "server"])]
    pub(crate) verify: bool,
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) form: Form,
}

const RESTORE: &str = "\
Examples:
  conveyor restore conveyor.backup --data-dir restored

All of the file is checked before the directory appears; one that holds anything is refused. Tokens of claims \
and sessions of before are not taken by it: drivers say hello anew, and attempts that were under way begin again. \
Access tokens of the backup do not hold any more, unless --keep-tokens says so: which of them were revoked since, \
it cannot know. `conveyor tokens create --data-dir NEW` makes new ones. \
Never run a server over the restored directory and one over the old at once for the same drivers.";

/// `restore`.
#[derive(Debug, Args)]
#[command(after_help = RESTORE)]
pub(crate) struct RestoreArgs {
    /// What `conveyor backup` made.
    #[arg(value_hint = clap::ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// The data directory to make. It must not be there, or be empty; no variable names it.
    #[arg(long, value_name = "NEW", value_hint = clap::ValueHint::DirPath)]
    pub(crate) data_dir: PathBuf,
    /// Let all access tokens of the backup hold again, those that were revoked since too.
    #[arg(long)]
    pub(crate) keep_tokens: bool,
    #[command(flatten)]
    pub(crate) form: Form,
}

const DOCTOR: &str = "\
Examples:
  conveyor doctor
  conveyor doctor --config conveyor.toml -o json

Exit status: 0 nothing is wrong, 1 something is.";

/// `doctor`.
#[derive(Debug, Args)]
#[command(after_help = DOCTOR)]
pub(crate) struct DoctorArgs {
    /// The configuration of the server. Default: `CONVEYOR_CONFIG`, else none.
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) form: Form,
}
