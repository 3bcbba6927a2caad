//! Log lines of a run: whoever comes back has each once, and what is not asked for is not read.

use crate::{get, request};
use conveyor_bus::{AttemptKey, LogStore as _, StoreLogs};
use conveyor_engine::time::Time;
use conveyor_node::driver::{
    ActionInfo, Context, Driver, DriverInfo, LogLine, LogStream, Outcome, Task,
};
use conveyor_node::session::SEALED_AFTER;
use conveyor_node::{Adopt, Clock, Config, Node, RunId, SystemClock};
use conveyor_proto::storage::v1 as stored;
use conveyor_proto::v1;
use conveyor_proto::v1::control_service_server::ControlService as _;
use conveyor_proto::v1::driver_service_server::DriverService as _;
use conveyor_proto::v1::read_logs_response::Item;
use conveyor_service::{About, CLOSING, ControlHandlers, DriverHandlers};
use conveyor_store::{
    Bytes, CommitError, Direction, Error, KeyRange, Limits, Memory, Page, Stats, Store, Transaction,
};
use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio_stream::StreamExt as _;
use tonic::{Code, Request, Status};

/// How long a condition may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(60);
/// Attempts that run at once.
const MANY: u32 = 1500;

/// A driver whose tasks say how far the test is, and end with it: two lines at once, a third in the
/// second phase. Odd instances end in the third phase, even ones in the fourth.
struct Phased(watch::Receiver<u32>);

async fn say(context: &Context, text: &str) {
    let line = LogLine {
        time: Time(1),
        stream: LogStream::Log,
        text: text.as_bytes().to_vec().into(),
    };
    context.logs.send(line).await.expect("the log is taken");
}

impl Driver for Phased {
    fn info(&self) -> DriverInfo {
        let action = ActionInfo {
            name: "run".into(),
            inputs: None,
            outputs: None,
        };
        DriverInfo {
            name: "exec".into(),
            version: "1.0.0".into(),
            actions: vec![action],
        }
    }

    fn run(&self, task: Task, context: Context) -> Pin<Box<dyn Future<Output = Outcome> + Send>> {
        let mut phase = self.0.clone();
        Box::pin(async move {
            say(&context, "one").await;
            say(&context, "two").await;
            phase.wait_for(|phase| *phase >= 2).await.expect("a test");
            say(&context, "three").await;
            let end = if task.instance % 2 == 1 { 3 } else { 4 };
            phase.wait_for(|phase| *phase >= end).await.expect("a test");
            Outcome::Succeeded(serde_json::json!({}))
        })
    }
}

struct Setup {
    store: Arc<dyn Store>,
    drivers: Vec<Arc<dyn Driver>>,
    capacity: u32,
    clock: Arc<dyn Clock>,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            store: Arc::new(Memory::new()),
            drivers: Vec::new(),
            capacity: 0,
            clock: Arc::new(SystemClock::new()),
        }
    }
}

impl Setup {
    /// Handlers of a server.
    async fn open(self) -> ControlHandlers {
        let config = Config::new(self.store, self.drivers, tokio::runtime::Handle::current());
        let node = Node::open(Config {
            adopt: Adopt::All,
            capacity: self.capacity,
            clock: self.clock,
            ..config
        });
        let about = About {
            role: "serve".to_owned(),
            data_directory: String::new(),
            started_ms: 0,
            drivers: BTreeMap::new(),
            capacity: self.capacity,
            step_environment: BTreeMap::new(),
            drivers_may_come: true,
        };
        ControlHandlers::new(node.await.expect("a node"), about)
    }
}

async fn start(handlers: &ControlHandlers, spec: &str) -> String {
    let answer = handlers.start_run(Request::new(request(spec))).await;
    answer.expect("a run").into_inner().run.expect("told").id
}

fn following(run: &str, after: &str) -> v1::ReadLogsRequest {
    v1::ReadLogsRequest {
        run: run.to_owned(),
        follow: true,
        after: after.to_owned(),
        ..v1::ReadLogsRequest::default()
    }
}

/// What a reader has: lines by instance and offset, instances whose logs have ended. Twice is an error.
#[derive(Clone, Default)]
struct Had {
    lines: BTreeSet<(u32, u64)>,
    ended: BTreeSet<u32>,
    over: bool,
}

impl Had {
    /// Takes an answer, and gives where to go on after it.
    fn take(&mut self, answer: v1::ReadLogsResponse) -> Option<String> {
        match answer.item.expect("it has an item") {
            Item::Records(records) => {
                for record in &records.records {
                    let id = record.id.as_ref().expect("it has an id");
                    let new = self.lines.insert((id.instance, record.offset));
                    assert!(new, "{} {} comes again", id.instance, record.offset);
                }
                Some(records.cursor)
            }
            Item::LogEnd(end) => {
                let instance = end.id.expect("it has an id").instance;
                assert!(self.ended.insert(instance), "{instance} ends again");
                Some(end.cursor)
            }
            Item::End(_) => {
                self.over = true;
                None
            }
        }
    }
}

/// Reads until `enough`. The first places and some of the others, each with what a reader there has; the last
/// of them is where it stopped.
async fn read(
    handlers: &ControlHandlers,
    request: v1::ReadLogsRequest,
    mut had: Had,
    enough: impl Fn(&Had) -> bool,
) -> Vec<(String, Had)> {
    let stream = handlers.read_logs(Request::new(request)).await;
    let mut stream = stream.expect("a stream").into_inner();
    let (mut places, mut count) = (Vec::new(), 0);
    let mut place = String::new();
    while !enough(&had) {
        if !place.is_empty() && (count < 5 || count % 307 == 0) {
            places.push((place, had.clone()));
        }
        count += 1;
        let answer = tokio::time::timeout(PATIENCE, stream.next()).await;
        let answer = answer.expect("it comes in time").expect("it goes on");
        place = had.take(answer.expect("it is told")).unwrap_or_default();
        assert!(place.len() <= 4096, "{place}");
        assert_eq!(place.is_empty(), had.over);
    }
    places.push((place, had));
    places
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_1500_open_logs_comes_back_after_any_answer() {
    let (phase, phased) = watch::channel(1);
    let handlers = Setup {
        drivers: vec![Arc::new(Phased(phased))],
        capacity: MANY,
        ..Setup::default()
    };
    let handlers = handlers.open().await;
    let spec = format!(
        "{{steps: [{{id: a, driver: exec, foreach: {{items: '${{{{ lists.range({MANY}) }}}}'}}}}]}}"
    );
    let run = start(&handlers, &spec).await;
    let all = MANY as usize;
    // All are open, and none is read whole.
    let first = read(&handlers, following(&run, ""), Had::default(), |had| {
        had.lines.len() == 2 * all
    });
    let first = first.await;
    for (place, had) in &first {
        let request = following(&run, place);
        read(&handlers, request, had.clone(), |had| {
            had.lines.len() == 2 * all
        })
        .await;
    }
    let (place, had) = first.last().cloned().expect("a place");
    phase.send_replace(2);
    let second = read(&handlers, following(&run, &place), had, |had| {
        had.lines.len() == 3 * all
    });
    let second = second.await;
    let (place, had) = second.last().cloned().expect("a place");
    // Each second one ends.
    phase.send_replace(3);
    let third = read(&handlers, following(&run, &place), had, |had| {
        had.ended.len() == all / 2
    });
    let third = third.await;
    for (place, had) in first.iter().chain(&second).chain(&third) {
        let request = following(&run, place);
        read(&handlers, request, had.clone(), |had| {
            had.lines.len() == 3 * all && had.ended.len() == all / 2
        })
        .await;
    }
    let (place, had) = third.last().cloned().expect("a place");
    phase.send_replace(4);
    let last = read(&handlers, following(&run, &place), had, |had| had.over).await;
    let places = first.iter().chain(&second).chain(&third).chain(&last);
    for (place, had) in places.filter(|(place, _)| !place.is_empty()) {
        let rest = read(&handlers, following(&run, place), had.clone(), |had| {
            had.over
        })
        .await;
        let (_, had) = rest.last().expect("an end");
        assert_eq!((had.lines.len(), had.ended.len()), (3 * all, all));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_more_records_than_are_read_at_once_is_gone_on_with() {
    let (_phase, phased) = watch::channel(4);
    let handlers = Setup {
        drivers: vec![Arc::new(Phased(phased))],
        capacity: 1,
        ..Setup::default()
    };
    let handlers = handlers.open().await;
    let spec = "{steps: [{id: a, driver: exec, foreach: {items: '${{ lists.range(1200) }}'}}]}";
    let run = start(&handlers, spec).await;
    let all = read(&handlers, following(&run, ""), Had::default(), |had| {
        had.over
    })
    .await;
    let id = RunId::parse(&run).expect("an id");
    let records = handlers.node().reader().records(id, 0, 5000).await;
    assert!(
        records.expect("they are read").len() > 512,
        "a page has 256"
    );
    for (place, had) in all.iter().filter(|(place, _)| !place.is_empty()) {
        let rest = read(&handlers, following(&run, place), had.clone(), |had| {
            had.over
        })
        .await;
        let (_, had) = rest.last().expect("an end");
        assert_eq!((had.lines.len(), had.ended.len()), (3600, 1200));
    }
    let of = all[1].0.split(';').next().expect("it says of what it is");
    let beyond = format!("{of};1201;0-1;1200:3");
    let refused = handlers
        .read_logs(Request::new(following(&run, &beyond)))
        .await;
    assert_eq!(
        refused.map(|_| ()).expect_err("it has 1200").code(),
        Code::OutOfRange
    );
    let unwritten = format!("{of};0;0-99999999;0:1");
    let refused = handlers
        .read_logs(Request::new(following(&run, &unwritten)))
        .await;
    assert_eq!(
        refused.map(|_| ()).expect_err("it is of later").code(),
        Code::OutOfRange
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_is_for_the_logs_that_it_came_from() {
    let (_phase, phased) = watch::channel(4);
    let handlers = Setup {
        drivers: vec![Arc::new(Phased(phased))],
        capacity: 4,
        ..Setup::default()
    };
    let handlers = handlers.open().await;
    let spec = "{steps: [{id: a, driver: exec}, {id: b, driver: exec}]}";
    let (run, other) = (start(&handlers, spec).await, start(&handlers, spec).await);
    let of_step = |run: &str, after: &str| v1::ReadLogsRequest {
        step: "a".to_owned(),
        ..following(run, after)
    };
    let all = read(&handlers, of_step(&run, ""), Had::default(), |had| had.over).await;
    for (place, had) in all.iter().filter(|(place, _)| !place.is_empty()) {
        let rest = read(&handlers, of_step(&run, place), had.clone(), |had| had.over).await;
        let (_, had) = rest.last().expect("an end");
        assert_eq!(had.lines.len(), 3, "after {place}");
        let asked = of_step(&run, place);
        for (what, asked) in [
            ("all steps", following(&run, place)),
            ("another run", of_step(&other, place)),
            (
                "another step",
                v1::ReadLogsRequest {
                    step: "b".to_owned(),
                    ..asked.clone()
                },
            ),
            (
                "an instance",
                v1::ReadLogsRequest {
                    instance: Some(0),
                    ..asked.clone()
                },
            ),
            (
                "an attempt",
                v1::ReadLogsRequest {
                    attempt: Some(1),
                    ..asked
                },
            ),
        ] {
            let answer = handlers.read_logs(Request::new(asked)).await;
            let status = answer.map(|_| ()).expect_err(what);
            assert_eq!(status.code(), Code::InvalidArgument, "{what}");
            let words = "a cursor of another run, or of another step, instance or attempt";
            assert!(status.message().contains(words), "{what}: {status}");
        }
    }
}

/// A store that counts the log rows that are read of it.
struct Counting(Memory, AtomicU64);

impl Store for Counting {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        if key.starts_with(b"l/") {
            self.1.fetch_add(1, Ordering::SeqCst);
        }
        self.0.get(key)
    }

    fn scan(&self, range: &KeyRange, direction: Direction, limit: usize) -> Result<Page, Error> {
        let page = self.0.scan(range, direction, limit)?;
        let rows = page
            .entries
            .iter()
            .filter(|(key, _)| key.starts_with(b"l/"));
        self.1.fetch_add(rows.count() as u64, Ordering::SeqCst);
        Ok(page)
    }

    fn commit(&self, transaction: &Transaction) -> Result<(), CommitError> {
        self.0.commit(transaction)
    }

    fn limits(&self) -> Limits {
        self.0.limits()
    }

    fn stats(&self) -> Result<Stats, Error> {
        self.0.stats()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_reads_as_much_of_a_long_log_as_of_a_short_one() {
    let store = Arc::new(Counting(Memory::new(), AtomicU64::new(0)));
    let (_phase, phased) = watch::channel(4);
    let handlers = Setup {
        store: store.clone(),
        drivers: vec![Arc::new(Phased(phased))],
        capacity: 1,
        ..Setup::default()
    };
    let handlers = handlers.open().await;
    let mut counts = BTreeSet::new();
    for batches in [10, 2000] {
        let run = start(&handlers, "{steps: [{id: a, driver: exec}]}").await;
        read(&handlers, following(&run, ""), Had::default(), |had| {
            had.over
        })
        .await;
        // An attempt's log that is not sealed, beside the driver's own.
        let key = AttemptKey {
            run: RunId::parse(&run).expect("an id").0,
            step: 0,
            instance: 0,
            attempt: 1,
        };
        let logs = StoreLogs::new(store.clone());
        let mut forget = Transaction::new();
        forget.delete_range(key.rows());
        store.commit(&forget).expect("it is forgotten");
        for batch in 0..batches {
            let line = |number| stored::LogLine {
                text: format!("{batch} {number}").into_bytes().into(),
                ..stored::LogLine::default()
            };
            let lines = (0..100).map(line).collect();
            logs.append(key, batch * 100, lines).expect("they are kept");
        }
        store.1.store(0, Ordering::SeqCst);
        let tail = v1::ReadLogsRequest {
            run: run.clone(),
            tail: Some(20),
            ..v1::ReadLogsRequest::default()
        };
        let had = read(&handlers, tail, Had::default(), |had| had.over).await;
        let (_, had) = had.last().expect("an end");
        let wanted: BTreeSet<(u32, u64)> = (batches * 100 - 20..batches * 100)
            .map(|offset| (0, offset))
            .collect();
        assert_eq!(had.lines, wanted);
        counts.insert(store.1.load(Ordering::SeqCst));
    }
    assert_eq!(counts.len(), 1, "rows of logs that were read: {counts:?}");
    assert!(counts.first().is_some_and(|rows| *rows <= 6), "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_back_in_the_middle_of_tails_has_the_other_tails() {
    let (_phase, phased) = watch::channel(4);
    let handlers = Setup {
        drivers: vec![Arc::new(Phased(phased))],
        capacity: 4,
        ..Setup::default()
    };
    let handlers = handlers.open().await;
    let spec = "{steps: [{id: a, driver: exec, foreach: {items: [1, 2, 3]}}]}";
    let run = start(&handlers, spec).await;
    read(&handlers, following(&run, ""), Had::default(), |had| {
        had.over
    })
    .await;
    let tail = |after: &str| v1::ReadLogsRequest {
        tail: Some(1),
        ..following(&run, after)
    };
    let all = read(&handlers, tail(""), Had::default(), |had| had.over).await;
    let wanted: BTreeSet<_> = (0..3).map(|instance| (instance, 2)).collect();
    assert_eq!(all.last().expect("an end").1.lines, wanted);
    for (place, had) in all.iter().filter(|(place, _)| !place.is_empty()) {
        let rest = read(&handlers, tail(place), had.clone(), |had| had.over).await;
        assert_eq!(
            rest.last().expect("an end").1.lines,
            wanted,
            "after {place}"
        );
    }
    // An offset holds for whoever comes back, too.
    let from = |after: &str| v1::ReadLogsRequest {
        step: "a".to_owned(),
        attempt: Some(1),
        from_offset: 1,
        ..following(&run, after)
    };
    let all = read(&handlers, from(""), Had::default(), |had| had.over).await;
    let wanted: BTreeSet<_> = (0..3).flat_map(|one| [(one, 1), (one, 2)]).collect();
    for (place, had) in all.iter().filter(|(place, _)| !place.is_empty()) {
        let rest = read(&handlers, from(place), had.clone(), |had| had.over).await;
        assert_eq!(
            rest.last().expect("an end").1.lines,
            wanted,
            "after {place}"
        );
    }
}

/// A clock that a test moves: milliseconds.
struct Moved(AtomicU64);

impl Clock for Moved {
    fn now(&self) -> Time {
        Time(self.0.load(Ordering::SeqCst))
    }
}

/// A session of one driver, call by call.
struct Calls {
    driver: DriverHandlers,
    session: String,
    resume_secret: Bytes,
}

impl Calls {
    async fn register(node: &Node) -> Calls {
        let driver = DriverHandlers::new(node.clone());
        let hello = v1::Hello {
            contract_versions: vec![1],
            driver: "exec".to_owned(),
            version: "1.0.0".to_owned(),
            capacity: 1,
            actions: vec![v1::Action {
                name: "run".to_owned(),
                ..v1::Action::default()
            }],
            ..v1::Hello::default()
        };
        let hello = v1::RegisterRequest { hello: Some(hello) };
        let welcome = driver.register(Request::new(hello)).await;
        let welcome = welcome.expect("a session").into_inner().welcome;
        let welcome = welcome.expect("a welcome");
        Calls {
            driver,
            session: welcome.session,
            resume_secret: welcome.resume_secret,
        }
    }

    /// The token of a task that is taken.
    async fn take(&self) -> Bytes {
        let poll = v1::PollRequest {
            session: self.session.clone(),
            resume_secret: self.resume_secret.clone(),
            request_id: "one".to_owned(),
            wait_ms: 20_000,
            ..v1::PollRequest::default()
        };
        let polled = self.driver.poll(Request::new(poll)).await;
        let token = polled.expect("an answer").into_inner().tasks[0]
            .token
            .clone();
        let accepted = v1::TaskAnswer {
            token: token.clone(),
            answer: Some(v1::task_answer::Answer::Accepted(v1::Accepted {})),
        };
        let answer = v1::AnswerRequest {
            session: self.session.clone(),
            resume_secret: self.resume_secret.clone(),
            answers: vec![accepted],
        };
        let answered = self.driver.answer(Request::new(answer)).await;
        assert!(
            answered
                .expect("an answer")
                .into_inner()
                .stale_tokens
                .is_empty()
        );
        token
    }

    async fn say(&self, token: &Bytes, first_offset: u64) -> v1::LogAcknowledgement {
        let line = v1::LogLine {
            text: format!("line {first_offset}").into_bytes().into(),
            ..v1::LogLine::default()
        };
        let logs = v1::LogBatch {
            token: token.clone(),
            first_offset,
            lines: vec![line],
        };
        let logs = v1::AppendLogsRequest { logs: Some(logs) };
        let answer = self.driver.append_logs(Request::new(logs)).await;
        let answer = answer.expect("an answer").into_inner();
        answer.acknowledgement.expect("an acknowledgement")
    }

    async fn succeed(&self, token: &Bytes, last_log_offset: u64) {
        let result = v1::Result {
            state: v1::AttemptState::Succeeded.into(),
            last_log_offset: Some(last_log_offset),
            ..v1::Result::default()
        };
        let report = v1::TaskReport {
            token: token.clone(),
            result: Some(result),
        };
        let report = v1::ReportRequest {
            report: Some(report),
        };
        let answer = self.driver.report(Request::new(report)).await;
        let outcome = answer.expect("an answer").into_inner().outcome;
        let status = outcome.expect("an outcome").status();
        assert_eq!(status, v1::ReportStatus::Accepted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_sealed_five_minutes_after_its_attempt_ended() {
    let began = 1_000_000;
    let clock = Arc::new(Moved(AtomicU64::new(began)));
    let handlers = Setup {
        clock: clock.clone(),
        ..Setup::default()
    };
    let handlers = handlers.open().await;
    let run = start(&handlers, "{steps: [{id: a, driver: exec}]}").await;
    let driver = Calls::register(handlers.node()).await;
    let token = driver.take().await;
    assert_eq!(driver.say(&token, 0).await.next_offset, 1);
    // Its result tells of more lines than have come.
    driver.succeed(&token, 9).await;
    let stream = handlers.read_logs(Request::new(following(&run, ""))).await;
    let mut stream = stream.expect("a stream").into_inner();
    let mut next = async || {
        let next = tokio::time::timeout(PATIENCE, stream.next()).await;
        let next = next.expect("it comes in time").expect("it goes on");
        next.expect("it is told").item.expect("it has an item")
    };
    let offset = |item: &Item| match item {
        Item::Records(records) => records.records[0].offset,
        other => panic!("{other:?}"),
    };
    assert_eq!(offset(&next().await), 0);
    // A millisecond before, lines are taken, and who reads waits for them.
    clock.0.store(began + SEALED_AFTER.0 - 1, Ordering::SeqCst);
    let kept = driver.say(&token, 1).await;
    assert_eq!((kept.next_offset, kept.sealed), (2, false));
    assert_eq!(offset(&next().await), 1);
    clock.0.store(began + SEALED_AFTER.0, Ordering::SeqCst);
    let refused = driver.say(&token, 2).await;
    assert!(refused.sealed, "{refused:?}");
    let Item::LogEnd(end) = next().await else {
        panic!("no end of the log");
    };
    assert_eq!(end.next_offset, 2);
    assert!(matches!(next().await, Item::End(_)));
    // Whoever comes later has the same, at once.
    let again = read(&handlers, following(&run, ""), Had::default(), |had| {
        had.over
    })
    .await;
    assert_eq!(again.last().expect("an end").1.lines.len(), 2);
    let told = v1::GetRunRequest {
        run,
        ..v1::GetRunRequest::default()
    };
    let told = get(&handlers, told).await.expect("a run").run;
    assert_eq!(told.expect("told").state(), v1::RunState::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ends_tells_its_followers_to_come_back() {
    let (_phase, phased) = watch::channel(1);
    let handlers = Setup {
        drivers: vec![Arc::new(Phased(phased))],
        capacity: 1,
        ..Setup::default()
    };
    let handlers = handlers.open().await;
    let run = start(&handlers, "{steps: [{id: a, driver: exec}]}").await;
    let logs = handlers.read_logs(Request::new(following(&run, ""))).await;
    let mut logs = logs.expect("a stream").into_inner();
    let watch = v1::WatchRunEventsRequest {
        run,
        follow: true,
        ..v1::WatchRunEventsRequest::default()
    };
    let events = handlers.watch_run_events(Request::new(watch)).await;
    let mut events = events.expect("a stream").into_inner();
    assert!(logs.next().await.expect("it goes on").is_ok());
    handlers.gate().close();
    let closing = |status: &Status| {
        assert_eq!(status.code(), Code::Unavailable);
        assert!(status.metadata().contains_key(CLOSING), "{status:?}");
    };
    loop {
        match logs.next().await.expect("it says why") {
            Ok(answer) => assert!(matches!(answer.item, Some(Item::Records(_)))),
            Err(status) => break closing(&status),
        }
    }
    assert!(logs.next().await.is_none());
    loop {
        match events.next().await.expect("it says why") {
            Ok(answer) => {
                use v1::watch_run_events_response::Item;
                assert!(matches!(answer.item, Some(Item::Event(_))));
            }
            Err(status) => break closing(&status),
        }
    }
    assert!(events.next().await.is_none());
}
