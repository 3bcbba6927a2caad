//! A case as it is performed: step by step, against a driver and an engine of its own.
//!
//! | module | what it is for |
//! | --- | --- |
//! | `company` | what goes on besides |
//! | `see` | what is said, and what is not |
//! | `runs` | runs, their ends and logs |
//! | `process` | the driver's process, and what its user code leaves |
//! | `words` | a step as a sentence |

mod company;
mod process;
mod runs;
mod see;
mod words;

pub(crate) use company::Background;
pub(crate) use runs::{document_of, ids_of, step_of};
pub(crate) use words::sentence;

use crate::driver::{Overheard, Process, Program, how};
use crate::interfere::{inline, with_tokens};
use crate::site::Site;
use crate::v1;
use crate::v1::step::Step as What;
use conveyor_proto::v1::control_service_client::ControlServiceClient;
use conveyor_proto::v1::{CreateTokenRequest, TokenScope};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tonic::Request;
use tonic::transport::Channel;

/// Who a driver is that shows a token.
const PRINCIPAL: &str = "driver";

/// Why a script does not go on.
#[derive(Debug)]
pub(crate) enum Halt {
    /// The driver did not do what it must.
    Failed(String),
    /// The suite cannot do what the script says.
    Unable(String),
}

/// A sentence about the driver.
fn failed<T>(sentence: impl Into<String>) -> Result<T, Halt> {
    Err(Halt::Failed(sentence.into()))
}

/// What kept the suite from its work.
fn unable(what: &str, error: &dyn std::fmt::Display) -> Halt {
    Halt::Unable(format!("{what}: {error}"))
}

/// How a case is run.
pub(crate) struct Stage {
    pub(crate) site: Site,
    pub(crate) program: Program,
    /// The driver's process; `None` before it is started, or where somebody else has.
    pub(crate) process: Option<Process>,
    /// What all its processes wrote, one after the other.
    pub(crate) overheard: Arc<Overheard>,
    /// A directory of the case's own: `${dir}`.
    pub(crate) directory: PathBuf,
    /// The driver's name.
    pub(crate) driver: String,
    /// Whether it is a finished one, which knows nothing of the suite.
    pub(crate) finished: bool,
    /// Processes that there were when the last run began.
    before: Vec<u32>,
    pub(crate) capacity: u32,
    pub(crate) drain_ms: u64,
    pub(crate) start: Duration,
    pub(crate) access: bool,
    /// Names of the secrets that documents may name.
    pub(crate) secrets: Vec<String>,
    /// Shown by the driver; empty for none.
    pub(crate) token: String,
    control: ControlServiceClient<Channel>,
    /// Runs by their names in the script.
    runs: BTreeMap<String, String>,
    /// Behind what the last `see` found.
    cursor: usize,
    /// When that was said.
    seen: Duration,
    /// Access tokens of others, by their principals.
    others: BTreeMap<String, String>,
    /// Files that are looked at once more at the end.
    recorded: Vec<v1::Recorded>,
    /// Whether the driver's end is nothing to wonder at.
    may_end: bool,
    /// Whether the driver holds tasks besides those of the case.
    neighbours: bool,
}

/// What a stage is made of, besides its site.
pub(crate) struct Cast {
    pub(crate) program: Program,
    pub(crate) directory: PathBuf,
    pub(crate) driver: String,
    pub(crate) finished: bool,
    pub(crate) capacity: u32,
    pub(crate) drain_ms: u64,
    pub(crate) start: Duration,
    pub(crate) access: bool,
    pub(crate) secrets: Vec<String>,
}

impl Stage {
    /// A stage without a driver yet.
    ///
    /// # Errors
    /// When the engine cannot be asked.
    pub(crate) async fn new(site: Site, cast: Cast) -> Result<Stage, Halt> {
        let control = site.control();
        let control = control.map_err(|error| unable("a client of the engine", &error))?;
        let overheard = Arc::new(Overheard::new(Arc::clone(&site.record)));
        let mut stage = Stage {
            site,
            overheard,
            program: cast.program,
            process: None,
            directory: cast.directory,
            driver: cast.driver,
            finished: cast.finished,
            before: Vec::new(),
            capacity: cast.capacity,
            drain_ms: cast.drain_ms,
            start: cast.start,
            access: cast.access,
            secrets: cast.secrets,
            token: String::new(),
            control,
            runs: BTreeMap::new(),
            cursor: 0,
            seen: Duration::ZERO,
            others: BTreeMap::new(),
            recorded: Vec::new(),
            may_end: false,
            neighbours: false,
        };
        if stage.access {
            stage.token = stage.token_for(PRINCIPAL).await?;
        }
        Ok(stage)
    }

    /// An access token for somebody who may do what drivers may.
    async fn token_for(&mut self, principal: &str) -> Result<String, Halt> {
        let request = self.request(CreateTokenRequest {
            principal: principal.to_owned(),
            scope: TokenScope::Driver.into(),
            ..CreateTokenRequest::default()
        });
        let made = self.control.create_token(request).await;
        let made = made.map_err(|status| unable("a token", &status.message()))?;
        Ok(made.into_inner().secret)
    }

    /// A request of whoever may do everything.
    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(token) = &self.site.admin
            && let Ok(value) = format!("Bearer {token}").parse()
        {
            request.metadata_mut().insert("authorization", value);
        }
        request
    }

    /// Does, or looks for, one thing.
    pub(crate) async fn perform(&mut self, step: &v1::Step) -> Result<(), Halt> {
        let Some(what) = &step.step else {
            return Ok(());
        };
        self.note(what);
        match what {
            What::Start(start) => self.start(start).await,
            What::Run(run) => self.run(run).await,
            What::See(see) => self.see(see).await,
            What::Unseen(unseen) => self.unseen(unseen).await,
            What::Say(say) => self.say(say),
            What::Interfere(interfere) => {
                self.site.tap.interferences.begin(interfere);
                Ok(())
            }
            What::Lift(lift) => match self.site.tap.interferences.lift(&lift.name) {
                true => Ok(()),
                false => Err(Halt::Unable(format!(
                    "the case lifts `{}`, and there is no such interference",
                    lift.name
                ))),
            },
            What::Cut(_) => {
                self.site.proxy.cut();
                Ok(())
            }
            What::Silence(silence) => {
                self.site.proxy.silent(!silence.over);
                Ok(())
            }
            What::Ended(ended) => self.ended(ended).await,
            What::Logged(logged) => self.logged(logged).await,
            What::Signal(signal) => self.signal(signal),
            What::Exited(exited) => self.exited(exited).await,
            What::Recorded(recorded) => self.recorded(recorded).await,
            What::Touch(touch) => {
                let made = std::fs::write(self.directory.join(&touch.file), "");
                made.map_err(|error| unable("a file for the user code", &error))
            }
            What::Stop(stop) => self.stop(stop).await,
            What::Restart(restart) => {
                let mut engine = self.site.engine.lock().await;
                let restarted = engine.restart(restart.gently).await;
                restarted.map_err(|error| unable("the engine's restart", &error))
            }
            What::Call(call) => self.call(call).await,
            What::Published(published) => self.published(published).await,
            What::Alone(alone) => self.alone(alone).await,
        }
    }

    /// What has to hold at the end of each case.
    pub(crate) async fn close(&mut self) -> Result<(), Halt> {
        for recorded in std::mem::take(&mut self.recorded) {
            self.recorded_now(&recorded)?;
        }
        self.farewell().await?;
        if !self.may_end
            && let Some(process) = &mut self.process
            && let Some(status) = process.status()
        {
            return failed(format!("the driver's process ended {}", how(status)));
        }
        Ok(())
    }

    /// JSON of a case, with the case's directory in it.
    fn placed(&self, bytes: &[u8]) -> Json {
        let text = String::from_utf8_lossy(bytes);
        let directory = self.directory.display().to_string();
        let json = inline(text.replace("${dir}", &directory).as_bytes());
        with_tokens(&self.site.record, &json)
    }

    /// Whether the driver's process is gone though nobody ended it: then nothing comes any more.
    fn gone(&mut self) -> Option<String> {
        if self.may_end {
            return None;
        }
        let status = self.process.as_mut()?.status()?;
        Some(format!("the driver's process ended {}", how(status)))
    }
}
