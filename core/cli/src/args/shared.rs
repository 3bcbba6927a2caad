//! Options that many verbs have.

use super::Output;
use clap::Args;
use conveyor_api::Credentials;
use std::io;
use std::path::PathBuf;

/// Whose runs.
#[derive(Debug, Clone, Args)]
pub(crate) struct Place {
    /// Where runs are kept. Default: `CONVEYOR_DATA_DIR`, else `$XDG_STATE_HOME/conveyor`, else `~/.local/state/conveyor`.
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub(crate) data_dir: Option<PathBuf>,
    /// Ask this server: `http://HOST:PORT`, `https://HOST:PORT`, or `unix:PATH` of a data directory or its socket. Default: `CONVEYOR_URL`, where no --data-dir is given (it goes before
    /// `CONVEYOR_DATA_DIR`); else whoever holds the data directory.
    #[arg(long, value_name = "URL", conflicts_with = "data_dir")]
    pub(crate) server: Option<String>,
    /// A file with the access token for the server. Default: the token itself in CONVEYOR_TOKEN, else none.
    #[arg(long, value_name = "FILE", conflicts_with = "data_dir", value_hint = clap::ValueHint::FilePath)]
    pub(crate) token_file: Option<PathBuf>,
    /// The authority that signed the server's certificate, PEM. Default: CONVEYOR_CA, else those of the system.
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) ca: Option<PathBuf>,
    /// A certificate to show to the server, PEM. Default: CONVEYOR_CLIENT_CERT, else none.
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) client_cert: Option<PathBuf>,
    /// The certificate's private key, PEM. Default: CONVEYOR_CLIENT_KEY, else none.
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) client_key: Option<PathBuf>,
}

/// A server to ask, and what is shown to it.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) url: String,
    token_file: Option<PathBuf>,
    ca: Option<PathBuf>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
}

impl Server {
    /// What is shown to it, and whom it is believed to be.
    ///
    /// # Errors
    /// When the token's file cannot be read, or a certificate comes without its key.
    pub(crate) fn credentials(&self) -> io::Result<Credentials> {
        let token = match &self.token_file {
            None => variable("CONVEYOR_TOKEN"),
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
                })?;
                Some(text.trim().to_owned())
            }
        };
        let identity = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => Some((cert.clone(), key.clone())),
            (None, None) => None,
            _ => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "--client-cert and --client-key belong together: one of them is missing",
                ));
            }
        };
        Ok(Credentials {
            token,
            ca: self.ca.clone(),
            identity,
        })
    }
}

/// A variable of the environment; an empty one is none.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

impl Place {
    /// Whether the command line itself names one.
    pub(crate) fn is_named(&self) -> bool {
        self.server.is_some() || self.data_dir.is_some()
    }

    /// The server to ask, if one is named.
    pub(crate) fn server(&self) -> Option<Server> {
        let named = variable("CONVEYOR_URL").filter(|_| self.data_dir.is_none());
        let file = |given: &Option<PathBuf>, name| {
            let given = given.clone();
            given.or_else(|| variable(name).map(PathBuf::from))
        };
        Some(Server {
            url: self.server.clone().or(named)?,
            token_file: self.token_file.clone(),
            ca: file(&self.ca, "CONVEYOR_CA"),
            cert: file(&self.client_cert, "CONVEYOR_CLIENT_CERT"),
            key: file(&self.client_key, "CONVEYOR_CLIENT_KEY"),
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

/// A call that makes a run, and may be made twice.
#[derive(Debug, Clone, Args)]
pub(crate) struct Repeats {
    /// Makes repeats one for a day: a repeat under the key tells the run that the first made. At most 128
    /// bytes.
    #[arg(
        long,
        value_name = "KEY",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) idempotency_key: String,
}
