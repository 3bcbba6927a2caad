//! Options that many verbs have.

use super::Output;
use clap::Args;
use std::path::PathBuf;

/// Whose runs.
#[derive(Debug, Clone, Args)]
pub(crate) struct Place {
    /// Where runs are kept. Default: `$XDG_STATE_HOME/conveyor`, else `~/.local/state/conveyor`.
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub(crate) data_dir: Option<PathBuf>,
    /// Ask this server: `http://HOST:PORT`. Default: `CONVEYOR_URL`, where no --data-dir is given; else
    /// whoever holds the data directory.
    #[arg(long, value_name = "URL", conflicts_with = "data_dir")]
    pub(crate) server: Option<String>,
}

impl Place {
    /// The server to ask, if one is named.
    pub(crate) fn server(&self) -> Option<String> {
        let from_environment = || {
            let url = std::env::var("CONVEYOR_URL").ok();
            url.filter(|url| !url.is_empty() && self.data_dir.is_none())
        };
        self.server.clone().or_else(from_environment)
    }
}

/// How a verb prints what it has found or done.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Form {
    /// How to print on standard output. Of events and log lines, `json` is one object a line.
    #[arg(
        short,
        long,
        value_enum,
        default_value = "table",
        value_name = "FORMAT"
    )]
    pub(crate) output: Output,
}
