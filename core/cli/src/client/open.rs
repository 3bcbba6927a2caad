//! Holds the data directory, or reaches who holds it.

use super::holder::Holder;
use super::status::{Problem, is_closing, is_of_transport};
use super::steady::Link;
use super::{Client, data_dir};
use crate::args::{Local, Server};
use crate::drivers::step_environment;
use crate::render::human;
use conveyor_node::Secrets;
use conveyor_proto::v1::control_service_client::ControlServiceClient;
use conveyor_proto::v1::{GetServerInfoRequest, GetServerInfoResponse};
use conveyor_store::{Access, DataDir, ErrorKind};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tonic::{Code, Status};

/// How long a process that holds the directory has to answer. It may be busy opening it.
const ANSWER: Duration = Duration::from_secs(2);
/// How long a server at an address has for its first answer, of which 5 s may go for the connection: it answers
/// what it is within milliseconds, and no verb is told anything before.
const FIRST: Duration = Duration::from_secs(10);
/// How long to wait between two tries: far below what a person notices.
const AGAIN: Duration = Duration::from_millis(20);

/// What a verb needs of the engine.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// `--server`.
    pub(crate) server: Option<Server>,
    /// `--data-dir`.
    pub(crate) data_dir: Option<PathBuf>,
    /// `--capacity`.
    pub(crate) capacity: u32,
    /// `--secrets-dir` and `--secrets-env`.
    pub(crate) secrets: Arc<Secrets>,
    /// Whether a directory that is not there is made.
    pub(crate) access: Access,
}

impl Options {
    pub(crate) fn of(local: &Local, access: Access) -> Options {
        Options {
            server: local.place.server(),
            data_dir: local.place.data_dir.clone(),
            capacity: local.capacity,
            secrets: local.secrets(),
            access,
        }
    }
}

/// The control service, wherever it is.
pub(crate) struct Engine {
    options: Options,
    client: Client,
    /// Absolute.
    directory: PathBuf,
    /// Present where this process holds the directory.
    holder: Option<Holder>,
    /// What who holds it says of itself, where that is another process.
    other: Option<GetServerInfoResponse>,
}

impl Engine {
    /// Holds the data directory if nobody does, else connects to who does.
    ///
    /// # Errors
    /// Exit status 2: the directory cannot be used, or is held by a process that does not answer.
    pub(crate) async fn open(options: Options) -> Result<Engine, Problem> {
        if let Some(server) = options.server.clone() {
            return Engine::reach_server(options, &server).await;
        }
        let path = data_dir(options.data_dir.clone()).map_err(Problem::refused)?;
        let deadline = Instant::now() + ANSWER;
        loop {
            match DataDir::open(&path, options.access) {
                Ok(directory) => {
                    let path = directory.path().to_owned();
                    let (holder, control) =
                        Holder::open(directory, options.capacity, &options.secrets).await?;
                    let client = client(control);
                    return Ok(Engine {
                        options,
                        client,
                        directory: path,
                        holder: Some(holder),
                        other: None,
                    });
                }
                Err(error) => match error.kind() {
                    ErrorKind::Locked { pid } => {
                        let real = std::fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
                        let answered = tokio::time::timeout_at(deadline, reach(&real)).await;
                        if let Ok(Some((client, other))) = answered {
                            return Ok(Engine {
                                options,
                                client,
                                directory: real,
                                holder: None,
                                other: Some(other),
                            });
                        }
                        if Instant::now() >= deadline {
                            return Err(silent(&real, *pid));
                        }
                        tokio::time::sleep(AGAIN).await;
                    }
                    ErrorKind::NotFound => {
                        return Err(Problem::refused(format!(
                            "nothing has run here yet: there is no data directory {}",
                            path.display()
                        )));
                    }
                    _ => return Err(Problem::refused(error.to_string())),
                },
            }
        }
    }

    /// A server by its address.
    async fn reach_server(options: Options, server: &Server) -> Result<Engine, Problem> {
        let reached = tokio::time::timeout(FIRST, Engine::ask_server(options, server)).await;
        reached.unwrap_or_else(|_| {
            Err(Problem::unreachable(format!(
                "what listens at {} does not answer within {} s: it hangs, is stopped, or is no server of conveyor; \
                 look at its log, or name another with --server",
                server.url,
                FIRST.as_secs()
            )))
        })
    }

    async fn ask_server(options: Options, server: &Server) -> Result<Engine, Problem> {
        let credentials = server.credentials();
        let credentials = credentials.map_err(|error| Problem::refused(error.to_string()))?;
        let control = conveyor_api::connect_to(&server.url, &credentials).await;
        let control = control.map_err(|error| match error.kind() {
            // Of the connection itself.
            io::ErrorKind::Other => Problem::no_server(&server.url, &error),
            _ => Problem::refused(format!("{}: {error}", server.url)),
        })?;
        let mut client = client(control);
        let other = match client.get_server_info(GetServerInfoRequest {}).await {
            Ok(told) => Some(told.into_inner()),
            // What was asked for takes the same scope: its own call is refused, by its name.
            Err(status) if status.code() == Code::PermissionDenied => None,
            Err(status) if status.source().is_some() => {
                return Err(Problem::broken_off(&server.url, status));
            }
            Err(status) => return Err(status.into()),
        };
        Ok(Engine {
            options,
            client,
            directory: PathBuf::new(),
            holder: None,
            other,
        })
    }

    /// What verbs call.
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// Where the runs are, as a sentence ends: in a directory, or at a server.
    pub(crate) fn place(&self) -> String {
        match &self.options.server {
            Some(server) => format!("at {}", server.url),
            None => format!("in {}", self.directory.display()),
        }
    }

    /// Who is asked, for what goes on while that is away.
    pub(crate) fn link(&self) -> Link {
        let server = self
            .other
            .as_ref()
            .is_some_and(|other| other.role == "serve");
        Link::new(self.place(), server)
    }

    /// Whether this process holds the directory.
    pub(crate) fn holds(&self) -> bool {
        self.holder.is_some()
    }

    /// Whether an answer says that the other process that was asked has gone, or is about to.
    pub(crate) fn has_gone(&self, status: &Status) -> bool {
        !self.holds() && (is_closing(status) || is_of_transport(status))
    }

    /// What a person has to know whose run another process executes: `None` where this one does.
    pub(crate) fn beside(&self) -> Option<String> {
        let other = self.other.as_ref()?;
        if other.role == "serve" {
            return None;
        }
        let mut text = format!(
            "process {} holds the data directory and executes this run: at most {} at once, of all its runs \
             together",
            other.pid,
            human::count(other.capacity as usize, "task"),
        );
        if other.capacity != self.options.capacity {
            text.push_str(&format!(" (not --capacity {})", self.options.capacity));
        }
        text.push_str(", in its environment, not in this one");
        let own: BTreeMap<_, _> = step_environment().collect();
        let names: BTreeSet<_> = own.keys().chain(other.step_environment.keys()).collect();
        let differ = names
            .into_iter()
            .filter(|name| own.get(*name) != other.step_environment.get(*name));
        let differ: Vec<_> = differ.map(String::as_str).collect();
        if !differ.is_empty() {
            let verb = if differ.len() == 1 {
                "differs"
            } else {
                "differ"
            };
            text.push_str(&format!("; its {} {verb}", differ.join(", ")));
        }
        Some(text)
    }

    /// Opens the directory again after the process that was asked has gone.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub(crate) async fn reopen(&mut self) -> Result<(), Problem> {
        if self.holder.is_none() {
            *self = Engine::open(self.options.clone()).await?;
        }
        Ok(())
    }

    /// Leaves the engine. A holder stays until every run that it was given has ended.
    pub(crate) async fn finish(self) {
        drop(self.client);
        if let Some(holder) = self.holder {
            holder.finish().await;
        }
    }
}

fn client(control: conveyor_api::Control) -> Client {
    ControlServiceClient::new(control)
        .max_decoding_message_size(conveyor_api::MESSAGE_BYTES)
        .max_encoding_message_size(conveyor_api::MESSAGE_BYTES)
}

/// The holder's client, once it has answered, and what it says of itself.
async fn reach(directory: &Path) -> Option<(Client, GetServerInfoResponse)> {
    let mut client = client(conveyor_api::connect(directory).await.ok()?);
    let answer = client.get_server_info(GetServerInfoRequest {}).await.ok()?;
    Some((client, answer.into_inner()))
}

fn silent(directory: &Path, pid: Option<u32>) -> Problem {
    let holder = match pid {
        Some(pid) => format!("process {pid}"),
        None => "another process".to_owned(),
    };
    Problem::refused(format!(
        "the data directory {} is held by {holder}, which does not answer on its socket within {} s; \
         end that process, or use another --data-dir",
        directory.display(),
        ANSWER.as_secs()
    ))
}
