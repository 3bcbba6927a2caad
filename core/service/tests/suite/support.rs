//! What several of these tests stand on: a clock, a store that counts, and a driver that calls the handlers.

use crate::stream::hello;
use conveyor_engine::time::Time;
use conveyor_node::{Clock, Node};
use conveyor_proto::v1;
use conveyor_proto::v1::driver_service_server::DriverService as _;
use conveyor_service::DriverHandlers;
use conveyor_store::{
    Bytes, CommitError, Direction, Error, KeyRange, Limits, Memory, Page, Stats, Store, Transaction,
};
use std::sync::atomic::{AtomicU64, Ordering};
use tonic::{Request, Status};

/// A clock that a test moves: milliseconds.
pub(crate) struct Hand(pub(crate) AtomicU64);

impl Clock for Hand {
    fn now(&self) -> Time {
        Time(self.0.load(Ordering::SeqCst))
    }
}

/// A store that counts what a test wants counted.
pub(crate) struct Counting {
    memory: Memory,
    /// How much so far.
    pub(crate) count: AtomicU64,
    /// How much a read of one row counts.
    get: fn(&[u8]) -> u64,
    /// How much a read of a range counts.
    scan: fn(&KeyRange, &Page) -> u64,
}

impl Counting {
    pub(crate) fn new(get: fn(&[u8]) -> u64, scan: fn(&KeyRange, &Page) -> u64) -> Counting {
        Counting {
            memory: Memory::new(),
            count: AtomicU64::new(0),
            get,
            scan,
        }
    }
}

impl Store for Counting {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.count.fetch_add((self.get)(key), Ordering::SeqCst);
        self.memory.get(key)
    }

    fn scan(&self, range: &KeyRange, direction: Direction, limit: usize) -> Result<Page, Error> {
        let page = self.memory.scan(range, direction, limit)?;
        self.count
            .fetch_add((self.scan)(range, &page), Ordering::SeqCst);
        Ok(page)
    }

    fn commit(&self, transaction: &Transaction) -> Result<(), CommitError> {
        self.memory.commit(transaction)
    }

    fn limits(&self) -> Limits {
        self.memory.limits()
    }

    fn stats(&self) -> Result<Stats, Error> {
        self.memory.stats()
    }
}

/// A store that does with a commit what a test wants done.
pub(crate) struct Committing<S, T> {
    pub(crate) store: S,
    /// What the test does it by.
    pub(crate) state: T,
    pub(crate) commit: fn(&S, &T, &Transaction) -> Result<(), CommitError>,
}

impl<S: Store, T: Send + Sync> Store for Committing<S, T> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.store.get(key)
    }

    fn scan(&self, range: &KeyRange, direction: Direction, limit: usize) -> Result<Page, Error> {
        self.store.scan(range, direction, limit)
    }

    fn commit(&self, transaction: &Transaction) -> Result<(), CommitError> {
        (self.commit)(&self.store, &self.state, transaction)
    }

    fn limits(&self) -> Limits {
        self.store.limits()
    }

    fn stats(&self) -> Result<Stats, Error> {
        self.store.stats()
    }
}

/// A session of the driver `raw`, call by call.
pub(crate) struct Calls {
    pub(crate) handlers: DriverHandlers,
    pub(crate) session: v1::Welcome,
}

impl Calls {
    pub(crate) async fn register(node: &Node, capacity: u32) -> Calls {
        let handlers = DriverHandlers::new(node.clone());
        let hello = Some(hello(capacity));
        let registered = handlers
            .register(Request::new(v1::RegisterRequest { hello }))
            .await;
        let session = registered.expect("a session").into_inner().welcome;
        Calls {
            handlers,
            session: session.expect("told"),
        }
    }

    /// The same session, with another process of the engine.
    pub(crate) fn with(self, node: &Node) -> Calls {
        Calls {
            handlers: DriverHandlers::new(node.clone()),
            ..self
        }
    }

    /// A poll for one task, that waits for so long.
    pub(crate) async fn poll_for(&self, wait_ms: u64) -> Result<v1::PollResponse, Status> {
        let poll = v1::PollRequest {
            session: self.session.session.clone(),
            resume_secret: self.session.resume_secret.clone(),
            max_tasks: 1,
            wait_ms,
            ..v1::PollRequest::default()
        };
        let polled = self.handlers.poll(Request::new(poll)).await?;
        Ok(polled.into_inner())
    }

    /// The task that a poll gives.
    pub(crate) async fn poll(&self) -> v1::Task {
        let polled = self.poll_for(60_000).await;
        polled.expect("polled").tasks.remove(0)
    }

    pub(crate) async fn accept(&self, task: &v1::Task) {
        let accepted = v1::task_answer::Answer::Accepted(v1::Accepted {});
        let answered = self.answer(&task.token, accepted).await;
        let stale = answered.expect("it is the driver's").stale_tokens;
        assert!(stale.is_empty(), "{stale:?}");
    }

    /// A task that is taken.
    pub(crate) async fn take(&self) -> v1::Task {
        let task = self.poll().await;
        self.accept(&task).await;
        task
    }

    /// A call that answers nothing.
    pub(crate) fn answers(&self) -> v1::AnswerRequest {
        v1::AnswerRequest {
            session: self.session.session.clone(),
            resume_secret: self.session.resume_secret.clone(),
            answers: Vec::new(),
        }
    }

    pub(crate) async fn answer(
        &self,
        token: &Bytes,
        answer: v1::task_answer::Answer,
    ) -> Result<v1::AnswerResponse, Status> {
        let request = v1::AnswerRequest {
            answers: vec![v1::TaskAnswer {
                token: token.clone(),
                answer: Some(answer),
            }],
            ..self.answers()
        };
        let answered = self.handlers.answer(Request::new(request)).await?;
        Ok(answered.into_inner())
    }

    /// A heartbeat that names these.
    pub(crate) async fn beat(&self, tasks: Vec<v1::TaskProgress>) -> v1::HeartbeatResponse {
        let request = v1::HeartbeatRequest {
            session: self.session.session.clone(),
            resume_secret: self.session.resume_secret.clone(),
            tasks,
        };
        let heard = self.handlers.heartbeat(Request::new(request)).await;
        heard.expect("heard").into_inner()
    }

    pub(crate) async fn log(
        &self,
        token: &Bytes,
        first_offset: u64,
        lines: Vec<v1::LogLine>,
    ) -> v1::LogAcknowledgement {
        let logs = v1::LogBatch {
            token: token.clone(),
            first_offset,
            lines,
        };
        let logs = v1::AppendLogsRequest { logs: Some(logs) };
        let kept = self.handlers.append_logs(Request::new(logs)).await;
        let kept = kept.expect("an answer").into_inner().acknowledgement;
        kept.expect("told")
    }

    pub(crate) async fn report(&self, token: &Bytes, result: v1::Result) -> v1::ReportOutcome {
        let report = v1::TaskReport {
            token: token.clone(),
            result: Some(result),
        };
        let report = v1::ReportRequest {
            report: Some(report),
        };
        let told = self.handlers.report(Request::new(report)).await;
        told.expect("an answer").into_inner().outcome.expect("told")
    }
}
