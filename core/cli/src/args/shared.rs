//! Options that many verbs have.

use super::Output;
use clap::Args;
use conveyor_api::Credentials;
use std::path::PathBuf;

/// Whose runs.
#[derive(Debug, Clone, Args)]
pub(crate) struct Place {
    /// Where runs are kept. Default: `$XDG_STATE_HOME/conveyor`, else `~/.local/state/conveyor`.
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub(crate) data_dir: Option<PathBuf>,
    /// Ask this server: `http://HOST:PORT` or `https://HOST:PORT`. Default: `CONVEYOR_URL`, where no --data-dir is given; else
    /// whoever holds the data directory.
    #[arg(long, value_name = "URL", conflicts_with = "data_dir")]
    pub(crate) server: Option<String>,
    /// A file with the access token for the server. Default: the token itself in CONVEYOR_TOKEN, else none.
    #[arg(long, value_name = "FILE", conflicts_with = "data_dir", value_hint = clap::ValueHint::FilePath)]
    pub(crate) token_file: Option<PathBuf>,
    /// The authority that signed the server's certificate, PEM. Default: those of the system.
    #[arg(long, value_name = "FILE", env = "CONVEYOR_CA", hide_env = true)]
    #[arg(value_hint = clap::ValueHint::FilePath)]
    pub(crate) ca: Option<PathBuf>,
    /// A certificate to show to the server, PEM.
    #[arg(
        long,
        value_name = "FILE",
        env = "CONVEYOR_CLIENT_CERT",
        hide_env = true
    )]
    #[arg(requires = "client_key", value_hint = clap::ValueHint::FilePath)]
    pub(crate) client_cert: Option<PathBuf>,
    /// The certificate's private key, PEM.
    #[arg(
        long,
        value_name = "FILE",
        env = "CONVEYOR_CLIENT_KEY",
        hide_env = true
    )]
    #[arg(requires = "client_cert", value_hint = clap::ValueHint::FilePath)]
    pub(crate) client_key: Option<PathBuf>,
}

/// A server to ask.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) credentials: Credentials,
}

impl Server {
    /// What is shown to it, and whom it is believed to be.
    ///
    /// # Errors
    /// When the token's file cannot be read.
    pub(crate) fn credentials(&self) -> std::io::Result<Credentials> {
        let mut credentials = self.credentials.clone();
        if let Some(path) = &self.token_file {
            let text = std::fs::read_to_string(path).map_err(|error| {
                std::io::Error::new(error.kind(), format!("{}: {error}", path.display()))
            })?;
            credentials.token = Some(text.trim().to_owned());
        }
        Ok(credentials)
    }
}

impl Place {
    /// The server to ask, if one is named.
    pub(crate) fn server(&self) -> Option<Server> {
        let from_environment = || {
            let url = std::env::var("CONVEYOR_URL").ok();
            url.filter(|url| !url.is_empty() && self.data_dir.is_none())
        };
        let token = std::env::var("CONVEYOR_TOKEN").ok();
        let credentials = Credentials {
            token: token.filter(|token| !token.is_empty()),
            ca: self.ca.clone(),
            identity: self.client_cert.clone().zip(self.client_key.clone()),
        };
        Some(Server {
            url: self.server.clone().or_else(from_environment)?,
            token_file: self.token_file.clone(),
            credentials,
        })
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
