//! The threads around an owner: one that owns, one that commits. Others read and fold.

use super::condition::Condition;
use super::messages::{Message, Reply};
use super::remotes::{Link, Remotes};
use super::session::Tasks;
use crate::clock::Clock;
use crate::error::NodeError;
use crate::held::Held;
use crate::id::RunId;
use crate::metrics::Metrics;
use crate::owner::{Group, Input, Loaded, Outcome, Output, Owner, SessionEvent, Ticket};
use crate::reader::{Reader, Topic};
use crate::storage;
use conveyor_bus::Hub;
use conveyor_engine::run::RunState;
use conveyor_store::{CommitError, Store, Transaction};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How many messages are taken before the owner looks at its group again.
const MESSAGES: usize = 4096;
/// How often a snapshot is tried to be kept whose run changes meanwhile: each try reads it as it is then.
const CACHED: usize = 3;

/// What the committer is asked for.
pub(super) enum Commit {
    Group(Arc<Group>),
    Read,
}

/// Commits group after group, and tells what came of each.
pub(super) fn commit(
    store: &dyn Store,
    groups: &Receiver<Commit>,
    back: &Sender<Message>,
    metrics: &Metrics,
    hub: &Hub<Topic>,
) {
    for commit in groups {
        let input = match commit {
            Commit::Group(group) => {
                let began = Instant::now();
                let result = store.commit(&storage::transaction(&group));
                let outcome = storage::outcome(&group, result);
                if group.tells() {
                    hub.notify(&Topic::Events);
                }
                metrics
                    .commit_time
                    .observe(began.elapsed().as_micros() as u64);
                metrics.commit_bytes.observe(group.bytes());
                if outcome != Outcome::Committed {
                    metrics.commits_failed.add(1);
                }
                if outcome != Outcome::Committed {
                    tracing::warn!(?outcome, "a group was not committed");
                }
                Input::Committed(outcome)
            }
            Commit::Read => {
                let point = storage::commit_point(store).ok().flatten();
                // What it tells of may have been committed after all.
                hub.notify(&Topic::Events);
                Input::CommitKey(point)
            }
        };
        if back.send(Message::Input(input)).is_err() {
            return;
        }
    }
}

/// Commits one after another, and gives whether all were: false once one has met a change.
fn each(store: &dyn Store, transactions: &[Transaction]) -> Result<bool, NodeError> {
    for one in transactions {
        match store.commit(one) {
            Ok(()) => {}
            Err(CommitError::Conflict(_)) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}

/// The owner's thread.
pub(super) struct Runtime {
    owner: Owner,
    clock: Arc<dyn Clock>,
    inbox: Receiver<Message>,
    messages: Sender<Message>,
    commits: Sender<Commit>,
    reader: Reader,
    held: Arc<Held>,
    tasks: Tasks,
    remotes: Remotes,
    condition: Arc<Condition>,
    waiting: HashMap<Ticket, Reply>,
    ticket: Ticket,
    /// Who waits for the end.
    ending: Option<oneshot::Sender<()>>,
}

impl Runtime {
    #[expect(
        clippy::too_many_arguments,
        reason = "one place makes it, of parts that are made there"
    )]
    pub(super) fn new(
        owner: Owner,
        clock: Arc<dyn Clock>,
        (messages, inbox): (Sender<Message>, Receiver<Message>),
        commits: Sender<Commit>,
        reader: Reader,
        tasks: Tasks,
        remotes: Remotes,
        condition: Arc<Condition>,
    ) -> Runtime {
        Runtime {
            owner,
            clock,
            inbox,
            messages,
            commits,
            held: Arc::clone(reader.held()),
            reader,
            tasks,
            remotes,
            condition,
            waiting: HashMap::new(),
            ticket: 0,
            ending: None,
        }
    }

    pub(super) fn run(mut self) {
        loop {
            let mut taken = 0;
            while taken < MESSAGES
                && let Ok(message) = self.inbox.try_recv()
            {
                if self.take(message) {
                    return;
                }
                taken += 1;
            }
            let now = self.clock.now();
            if self.owner.next_due().is_some_and(|due| due <= now) {
                self.owner.handle(now, Input::Tick);
            }
            self.advance();
            if taken == 0 && !self.turn() && !self.wait() {
                return;
            }
        }
    }

    /// Hands out the next group, and what is to be done.
    fn advance(&mut self) {
        if let Some(group) = self.owner.next_group(self.clock.now()) {
            // The thread lives as long as this sender.
            let _ = self.commits.send(Commit::Group(group));
        }
        for output in self.owner.outputs() {
            self.output(output);
        }
    }

    fn turn(&mut self) -> bool {
        let worked = self.owner.turn(self.clock.now());
        if worked {
            self.advance();
        }
        worked
    }

    /// Waits for a message or a timer. False when the node is to end.
    fn wait(&mut self) -> bool {
        if self.owner.is_settled()
            && let Some(reply) = self.ending.take()
        {
            // Whoever asked may have gone.
            let _ = reply.send(());
            return false;
        }
        let message = match self.owner.next_due() {
            None => self
                .inbox
                .recv()
                .map_err(|_| RecvTimeoutError::Disconnected),
            Some(due) => {
                let left = due.since(self.clock.now());
                if left.0 == 0 {
                    return true;
                }
                self.inbox.recv_timeout(Duration::from_millis(left.0))
            }
        };
        match message {
            Ok(message) => !self.take(message),
            Err(RecvTimeoutError::Timeout) => true,
            Err(RecvTimeoutError::Disconnected) => false,
        }
    }

    /// True when the node is to end at once.
    fn take(&mut self, message: Message) -> bool {
        let now = self.clock.now();
        self.owner.metrics().tick();
        match message {
            Message::Figures(reply) => {
                // Whoever asked may have gone.
                let _ = reply.send(self.owner.figures());
            }
            Message::Standings(reply) => {
                // As above.
                let _ = reply.send(self.owner.standings());
            }
            Message::Input(input) => {
                if let Input::Committed(outcome) = &input {
                    self.committed(outcome);
                }
                self.owner.handle(now, input);
            }
            Message::Request(make, reply) => {
                let ticket = self.wait_for(reply);
                self.owner.handle(now, make(ticket));
            }
            Message::Report(report, reply) => {
                self.tasks.ended(&report.claimed);
                let ticket = self.wait_for(reply);
                self.owner.handle(now, Input::Report { ticket, report });
            }
            Message::Released(claimed) => {
                let session = Arc::clone(self.tasks.session());
                self.owner.handle(now, Input::Released { session, claimed });
            }
            Message::Open {
                info,
                number,
                adopts,
                outbox,
                reply,
            } => {
                let session = Arc::clone(&info.id);
                let link = Link { number, outbox };
                // It is its first.
                let _ = self.remotes.link(&session, Some(0), link);
                self.owner.handle(now, Input::Register(info));
                let ticket = self.wait_for(reply);
                let heartbeat = Input::Heartbeat {
                    ticket,
                    session,
                    named: adopts,
                    free: None,
                };
                self.owner.handle(now, heartbeat);
            }
            Message::Link {
                session,
                number,
                generation,
                named,
                outbox,
                reply,
            } => {
                let link = Link { number, outbox };
                match self.remotes.link(&session, generation, link) {
                    Ok(()) => {
                        let ticket = self.wait_for(reply);
                        let resume = Input::Resume {
                            ticket,
                            session,
                            named,
                        };
                        self.owner.handle(now, resume);
                    }
                    Err(why) => {
                        // Whoever asked may have gone.
                        let _ = reply.send(Err(NodeError::Invalid(why)));
                    }
                }
            }
            Message::Unlink { session, number } => {
                if self.remotes.unlink(&session, number) {
                    let event = SessionEvent::Disconnected;
                    self.owner.handle(now, Input::Session { session, event });
                }
            }
            Message::Shutdown(reply) => {
                self.owner.handle(now, Input::StopClaiming);
                self.ending = Some(reply);
            }
            Message::Abandon(reply) => {
                // The store is let go before the caller goes on: it may open it again.
                drop(std::mem::replace(&mut self.commits, channel().0));
                let _ = reply.send(());
                return true;
            }
        }
        false
    }

    fn committed(&self, outcome: &Outcome) {
        self.condition.commits(match outcome {
            Outcome::Committed | Outcome::Refused(_) => None,
            Outcome::Failed(error) => Some(error.to_string()),
            Outcome::Unknown => Some("the outcome of a commit is not known".to_owned()),
            Outcome::Deposed => Some("another process has taken the store over".to_owned()),
        });
    }

    fn wait_for(&mut self, reply: Reply) -> Ticket {
        self.ticket += 1;
        self.waiting.insert(self.ticket, reply);
        self.ticket
    }

    fn output(&mut self, output: Output) {
        match output {
            Output::Answer { ticket, answer } => {
                if let Some(reply) = self.waiting.remove(&ticket) {
                    // Whoever asked may have gone; the fact stays.
                    let _ = reply.send(answer);
                }
            }
            Output::Start(task) if *task.session == **self.tasks.session() => {
                self.tasks.start(*task);
            }
            Output::Start(task) => self.remotes.start(task),
            Output::Cancel {
                session,
                claimed,
                namespace,
                reason,
                grace,
            } => {
                if session == *self.tasks.session() {
                    self.tasks.cancel(&claimed, reason);
                } else {
                    self.remotes
                        .cancel(&session, claimed, namespace, reason, grace);
                }
            }
            Output::Abort {
                session,
                claimed,
                namespace,
            } if session != *self.tasks.session() => {
                let reason = Arc::from("its claim is over");
                let grace = conveyor_engine::time::Duration::ZERO;
                self.remotes
                    .cancel(&session, claimed, namespace, reason, grace);
            }
            Output::Silent { session } => self.remotes.silent(&session),
            Output::SessionOver { session } => self.remotes.over(&session),
            Output::Abort { claimed, .. } => {
                if !self.tasks.abort(&claimed) {
                    let _ = self.messages.send(Message::Released(claimed));
                }
            }
            Output::Load { run } => self.load(run),
            Output::LoadValues { run, hashes } => {
                let (reader, messages) = (self.reader.clone(), self.messages.clone());
                self.reader.workers().spawn(move || {
                    let values = storage::load_values(reader.store().as_ref(), run, &hashes);
                    let _ = messages.send(Message::Input(Input::Values { run, values }));
                });
            }
            Output::ReadCommit => {
                let _ = self.commits.send(Commit::Read);
            }
            Output::Snapshot { run, kept } => {
                self.cache(run, move |store| storage::keep_snapshot(store, run, &kept));
            }
            Output::DropSnapshots { run } => {
                self.cache(run, move |store| {
                    Ok(vec![storage::drop_snapshots(store, run)?])
                });
            }
            Output::Changed { run, state, .. } => {
                if state.is_terminal() || state == RunState::Quarantined {
                    self.held.remove(run);
                }
                self.changed(run);
                if state.is_terminal() {
                    self.reader.hub().notify(&Topic::Ended(run));
                }
            }
            Output::Deposed => {
                tracing::error!("another process has taken the store over: this node stops");
            }
        }
    }

    /// Changes what is kept of a run beside its journal. A failure costs a longer fold, no more.
    fn cache(
        &self,
        run: RunId,
        transactions: impl Fn(&dyn Store) -> Result<Vec<Transaction>, NodeError> + Send + 'static,
    ) {
        let reader = self.reader.clone();
        self.reader.workers().spawn(move || {
            let store = reader.store().as_ref();
            for _ in 0..CACHED {
                match transactions(store).and_then(|transactions| each(store, &transactions)) {
                    Ok(true) => return,
                    // A timer that the run got meanwhile is no reason to go without.
                    Ok(false) => {}
                    Err(error) => {
                        tracing::debug!(%run, %error, "a snapshot was not kept");
                        return;
                    }
                }
            }
        });
    }

    fn changed(&self, run: RunId) {
        self.reader.hub().notify(&Topic::Run(run));
    }

    fn load(&self, run: RunId) {
        let (reader, messages) = (self.reader.clone(), self.messages.clone());
        self.reader.workers().spawn(move || {
            let loaded = storage::load(reader.store().as_ref(), reader.plans(), run);
            if let Loaded::Broken { flaw, .. } = &loaded {
                tracing::error!(%run, flaw.sequence, flaw.reason, "a run does not fold");
            }
            let _ = messages.send(Message::Input(Input::Loaded { run, loaded }));
        });
    }
}
