//! The node of a process: an owner over a store, with threads, a clock and drivers.

mod attempt;
mod checkpoint;
mod condition;
mod config;
pub(crate) mod judge;
mod log_writer;
mod logs;
mod messages;
mod open;
mod parameters;
mod remotes;
mod runtime;
mod session;
mod start;

pub use config::{Adopt, Config, Limits};
pub use start::{StartRun, keep_document};

pub(crate) use log_writer::{Batch, LogWriter};
pub(crate) use logs::masked;
pub(crate) use messages::Message;
pub use open::random_bytes;
pub(crate) use parameters::{parameters, resource};

use crate::clock::Clock;
use crate::driver::contracts;
use crate::error::NodeError;
use crate::feed::Told;
use crate::held::Held;
use crate::id::RunId;
use crate::metrics::{Figures, Metrics};
use crate::owner::{Answer, Control, Input, Standing, Ticket};
use crate::plans::Plans;
use crate::reader::Reader;
use crate::retention::Sweeps;
use crate::secrets::{Resolved, Secrets};
use crate::session::{Assignments, Directory};
use crate::token::Tokens;
use crate::workers::Workers;
use condition::Condition;
use conveyor_bus::Hub;
use conveyor_engine::plan::{Drivers, Plan, StepIndex};
use conveyor_engine::run::{Failure, RunState, Stop};
use conveyor_engine::time::Time;
use conveyor_engine::value::Hash;
use open::Opened;
use std::collections::BTreeMap;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::{oneshot, watch};

/// A handle to the node of this process. Clones are the same node.
///
/// The node ends with [`Node::shutdown`]; without it, as a crash would end it, when the last handle is dropped.
#[derive(Clone)]
pub struct Node {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Node(..)")
    }
}

struct Shared {
    messages: Sender<Message>,
    tokens: Tokens,
    threads: Mutex<Vec<JoinHandle<()>>>,
    reader: Reader,
    held: Arc<Held>,
    drivers: Arc<Drivers>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    secrets: Arc<Secrets>,
    logs: LogWriter,
    directory: Arc<Directory>,
    assignments: Arc<Assignments>,
    /// How many tasks run in this process.
    running: watch::Receiver<usize>,
    condition: Arc<Condition>,
    metrics: Arc<Metrics>,
    sweeps: Sweeps,
    told: Arc<Told>,
}

impl Drop for Shared {
    /// Nobody can reach the node any more: its threads end.
    fn drop(&mut self) {
        let (reply, _) = oneshot::channel();
        // It may have ended already.
        let _ = self.messages.send(Message::Abandon(reply));
        self.logs.end();
    }
}

impl Node {
    /// Opens the node over a store that no other process has: from now on it is the store's owner,
    /// and an earlier one can commit nothing more (PROTOCOL P10).
    ///
    /// With [`Adopt::All`] it goes on with every run that has not ended, in the background, the
    /// earliest due first; with [`Adopt::None`] only with those that are continued.
    ///
    /// # Errors
    /// When the store cannot be read or written, or holds what this release does not know; when a
    /// driver's schema cannot be used.
    pub async fn open(config: Config) -> Result<Node, NodeError> {
        let workers = Workers::start(config.workers.max(1))
            .map_err(|error| NodeError::Unavailable(format!("no thread to work on: {error}")))?;
        let drivers = Arc::new(contracts(&config.drivers)?);
        let held = Arc::new(Held::new(config.adopt == Adopt::All));
        let reader = Reader::new(
            Arc::clone(&config.store),
            Arc::clone(config.logs.as_ref().unwrap_or(&config.store)),
            Arc::new(Plans::new()),
            Hub::new(),
            Arc::clone(&held),
            workers.clone(),
        );
        let (clock, limits) = (Arc::clone(&config.clock), config.limits);
        let secrets = Arc::clone(&config.secrets);
        let assignments = Arc::new(Assignments::default());
        let (opened, known) = (reader.clone(), Arc::clone(&drivers));
        let Opened {
            messages,
            tokens,
            threads,
            logs,
            directory,
            running,
            condition,
            metrics,
        } = workers
            .run(move || open::open(&config, &opened, &known))
            .await
            .ok_or_else(|| NodeError::Unavailable("opening the node panicked".into()))??;
        let threads = Mutex::new(threads);
        Ok(Node {
            shared: Arc::new(Shared {
                messages,
                tokens,
                threads,
                reader,
                held,
                drivers,
                clock,
                limits,
                secrets,
                logs,
                directory,
                assignments,
                running,
                condition,
                metrics,
                sweeps: Sweeps::default(),
                told: Arc::default(),
            }),
        })
    }

    /// Reads what is durable.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.shared.reader
    }

    /// What the drivers in this process say of themselves.
    #[must_use]
    pub fn drivers(&self) -> &Arc<Drivers> {
        &self.shared.drivers
    }

    /// What is known of the drivers that runs of a namespace may use: those in this process, and
    /// those that other processes registered.
    #[must_use]
    pub fn drivers_of(&self, namespace: &str) -> Drivers {
        self.shared
            .directory
            .contracts(&self.shared.drivers, namespace)
    }

    /// The secrets of a step, as they are now.
    pub(crate) async fn resolve(&self, plan: &Plan, step: StepIndex) -> Result<Resolved, Failure> {
        let workers = self.shared.reader.workers();
        self.shared.secrets.resolve(workers, plan, step).await
    }

    pub(crate) fn directory(&self) -> &Directory {
        &self.shared.directory
    }

    /// [`Node::directory`], for what outlives a call.
    pub(crate) fn shared_directory(&self) -> Arc<Directory> {
        Arc::clone(&self.shared.directory)
    }

    pub(crate) fn assignments(&self) -> &Assignments {
        &self.shared.assignments
    }

    pub(crate) fn log_writer(&self) -> &LogWriter {
        &self.shared.logs
    }

    pub(crate) fn told(&self) -> &Arc<Told> {
        &self.shared.told
    }

    pub(crate) fn sweeps(&self) -> &Sweeps {
        &self.shared.sweeps
    }

    /// What drivers may hand over.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    /// How many runs it moves: those that have not ended, and durably so, and are not quarantined.
    ///
    /// # Errors
    /// [`NodeError::Unavailable`] when the node has ended.
    pub async fn live_runs(&self) -> Result<u64, NodeError> {
        let figures = self.figures().await?;
        let moved = figures.runs.iter();
        let moved = moved.filter(|(state, _)| *state != RunState::Quarantined);
        Ok(moved.map(|(_, count)| count).sum())
    }

    /// What the owner knows of each session, by its id.
    ///
    /// # Errors
    /// [`NodeError::Unavailable`] when the node has ended.
    pub async fn standings(&self) -> Result<BTreeMap<Arc<str>, Standing>, NodeError> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Standings(reply))?;
        answer.await.map_err(|_| ended())
    }

    /// Why the store does not take commits now; `None` when it does.
    #[must_use]
    pub fn failing(&self) -> Option<String> {
        self.shared.condition.failing()
    }

    /// [`Node::failing`], told whenever it changes.
    #[must_use]
    pub fn watch_failing(&self) -> watch::Receiver<Option<String>> {
        self.shared.condition.watch()
    }

    /// What it counts.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.shared.metrics
    }

    /// How its owner is now.
    ///
    /// # Errors
    /// [`NodeError::Unavailable`] when the node has ended.
    pub async fn figures(&self) -> Result<Figures, NodeError> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Figures(reply))?;
        answer.await.map_err(|_| ended())
    }

    /// The present, by the node's clock.
    #[must_use]
    pub fn now(&self) -> Time {
        self.shared.clock.now()
    }

    /// Starts a run: durable when this returns. Repeating it under the same id finds the first.
    ///
    /// # Errors
    /// [`NodeError::Invalid`] when the id is no UUIDv7 or the run is too large to be stored;
    /// [`NodeError::Unavailable`] when the store fails: repeat it under the same id.
    pub async fn start_run(&self, start: StartRun) -> Result<Started, NodeError> {
        let run = start.run;
        let new = self.shared.held.insert(run);
        let prepared = self.prepare(start).await;
        let outcome = match prepared {
            Ok(start) => {
                self.ask(move |ticket| Input::Start {
                    ticket,
                    start: Box::new(start),
                })
                .await
            }
            Err(error) => Err(error),
        };
        match outcome {
            Ok(Answer::Started { existed }) => {
                // A run that was there is moved by whoever moves it.
                if existed && new {
                    self.shared.held.remove(run);
                }
                Ok(Started { run, existed })
            }
            Ok(other) => Err(unexpected(&other)),
            Err(error) => {
                if new {
                    self.shared.held.remove(run);
                }
                Err(error)
            }
        }
    }

    async fn prepare(&self, start: StartRun) -> Result<crate::owner::Start, NodeError> {
        let reader = self.shared.reader.clone();
        let work = move || start.prepare(reader.store().as_ref(), reader.plans());
        let work = self.shared.reader.workers().run(work).await;
        self.doubt(work.ok_or_else(|| NodeError::Unavailable("preparing the run panicked".into()))?)
    }

    /// Keeps a pipeline's document under its digest, for runs and pipelines that will name it. Durable
    /// when this returns; keeping it twice does no harm.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn keep_document(
        &self,
        digest: Hash,
        canonical: &Arc<[u8]>,
        source: &Arc<str>,
        file_name: String,
    ) -> Result<(), NodeError> {
        let store = Arc::clone(self.shared.reader.store());
        let document = start::stored_document(canonical, source, file_name);
        self.shared.reader.plans().rely_on(digest);
        let keep = move || start::keep_document(store.as_ref(), &digest, &document);
        let kept = self.shared.reader.workers().run(keep).await;
        self.doubt(
            kept.ok_or_else(|| NodeError::Unavailable("keeping a document panicked".into()))?,
        )
    }

    /// Has the owner find out whether the store takes commits, where one did not go through it and
    /// failed: it knows of its own alone.
    pub(crate) fn doubt<T>(&self, outcome: Result<T, NodeError>) -> Result<T, NodeError> {
        if let Err(NodeError::Full(_) | NodeError::Unavailable(_)) = &outcome {
            // A node that has ended takes no commits either.
            let _ = self.send(Message::Input(Input::Doubt));
        }
        outcome
    }

    /// Moves a run that another process began and that nobody moves now.
    ///
    /// # Errors
    /// [`NodeError::NotFound`], [`NodeError::Ended`], [`NodeError::Quarantined`], or
    /// [`NodeError::Unavailable`].
    pub async fn continue_run(&self, run: RunId) -> Result<(), NodeError> {
        self.moving(run, Control::Continue).await
    }

    /// Stops a run (SEMANTICS 18). Repeating it changes nothing. A run that was interrupted is moved
    /// to its end by this node.
    ///
    /// # Errors
    /// As [`Node::continue_run`].
    pub async fn stop(&self, run: RunId, stop: Stop) -> Result<(), NodeError> {
        self.moving(run, Control::Stop(stop)).await
    }

    async fn moving(&self, run: RunId, control: Control) -> Result<(), NodeError> {
        let new = self.shared.held.insert(run);
        let outcome = self.control(run, control).await;
        if outcome.is_err() && new {
            self.shared.held.remove(run);
        }
        outcome
    }

    /// Queues and claims nothing more of a run until it is resumed (SEMANTICS 20).
    ///
    /// # Errors
    /// As [`Node::continue_run`]; [`NodeError::Interrupted`] when nobody moves the run;
    /// [`NodeError::Invalid`] when its state has no pause.
    pub async fn pause(&self, run: RunId, actor: &str, reason: &str) -> Result<(), NodeError> {
        self.control(
            run,
            Control::Pause {
                actor: actor.into(),
                reason: reason.into(),
            },
        )
        .await
    }

    /// Ends a pause.
    ///
    /// # Errors
    /// As [`Node::pause`].
    pub async fn resume(&self, run: RunId, actor: &str, reason: &str) -> Result<(), NodeError> {
        self.control(
            run,
            Control::Resume {
                actor: actor.into(),
                reason: reason.into(),
            },
        )
        .await
    }

    /// Folds a quarantined run again; it goes on if it folds now.
    ///
    /// # Errors
    /// As [`Node::continue_run`]; [`NodeError::Invalid`] when it is not quarantined.
    pub async fn release(&self, run: RunId) -> Result<(), NodeError> {
        self.moving(run, Control::Release).await
    }

    /// Whether this node moves the run. One that nobody moves is shown as `interrupted`.
    #[must_use]
    pub fn is_held(&self, run: RunId) -> bool {
        self.shared.held.contains(run)
    }

    /// Claims nothing more. What runs goes on.
    pub fn stop_claiming(&self) {
        // A node that has ended claims nothing.
        let _ = self.send(Message::Input(Input::StopClaiming));
    }

    /// Ready once no task runs in this process. Nothing is to be claimed meanwhile.
    pub async fn idle_in_process(&self) {
        let mut running = self.shared.running.clone();
        // Its sender is the owner's thread: gone, nothing runs.
        let _ = running.wait_for(|running| *running == 0).await;
    }

    /// Stops claiming, commits what was accepted, and ends. Tasks that still run are dropped; their
    /// attempts end when the next node opens, uncharged (PROTOCOL P26).
    ///
    /// # Errors
    /// [`NodeError::Unavailable`] when the node has ended already.
    pub async fn shutdown(&self) -> Result<(), NodeError> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Shutdown(reply))?;
        answer.await.map_err(|_| ended())?;
        self.shared.logs.end();
        self.join().await;
        Ok(())
    }

    /// Waits for the threads to end: what they had of the store is let go of then.
    async fn join(&self) {
        let threads = std::mem::take(
            &mut *self
                .shared
                .threads
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        let join = move || threads.into_iter().for_each(|thread| drop(thread.join()));
        // Not on a task of the runtime, which must not block.
        if let Err(error) = tokio::task::spawn_blocking(join).await {
            tracing::warn!(%error, "the node's threads were not awaited");
        }
    }

    /// Ends at once, as a crash would: what is not durable is lost. For tests of recovery.
    #[doc(hidden)]
    pub async fn abandon(&self) {
        let (reply, answer) = oneshot::channel();
        if self.send(Message::Abandon(reply)).is_ok() {
            // Gone either way.
            let _ = answer.await;
            self.shared.logs.end();
            self.join().await;
        }
    }

    /// Makes and checks the tokens of claims by sessions outside of this process.
    #[must_use]
    pub fn tokens(&self) -> &Tokens {
        &self.shared.tokens
    }

    async fn control(&self, run: RunId, control: Control) -> Result<(), NodeError> {
        match self
            .ask(move |ticket| Input::Control {
                ticket,
                run,
                control,
            })
            .await?
        {
            Answer::Done => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    pub(crate) async fn ask(
        &self,
        input: impl FnOnce(Ticket) -> Input + Send + 'static,
    ) -> Result<Answer, NodeError> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Request(Box::new(input), reply))?;
        answer.await.map_err(|_| ended())?
    }

    pub(crate) fn send(&self, message: Message) -> Result<(), NodeError> {
        self.shared.messages.send(message).map_err(|_| ended())
    }
}

/// What starting a run came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Started {
    /// The run.
    pub run: RunId,
    /// Whether an earlier call had started it.
    pub existed: bool,
}

pub(crate) fn ended() -> NodeError {
    NodeError::Unavailable("the node has ended".into())
}

pub(crate) fn unexpected(answer: &Answer) -> NodeError {
    NodeError::Unavailable(format!("the node answered {answer:?}"))
}
