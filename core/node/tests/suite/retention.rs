//! What goes away goes whole, whatever stops it in between, and gives its space back.

use crate::harness::{chain, pipeline};
use crate::support::{Closure, done, finish, open, quick, start};
use conveyor_bus::{AttemptKey, LogStore as _, StoreLogs};
use conveyor_engine::run::RunState;
use conveyor_engine::time::{Duration, Time};
use conveyor_node::driver::Outcome;
use conveyor_node::retention::{Retention, Swept};
use conveyor_node::{Adopt, Clock, Config, Node, NodeError, RunId, SystemClock, keys};
use conveyor_proto::storage::v1::LogLine;
use conveyor_store::{
    Access, Bytes, CommitError, DataDir, Direction, Embedded, Error, ErrorKind, KeyRange, Limits,
    Memory, Page, Stats, Store, Transaction,
};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use tokio::sync::Notify;

/// Every key that names a run.
fn keys_of(store: &dyn Store, run: RunId) -> Vec<Bytes> {
    let mut keys = Vec::new();
    let mut rest = Some(KeyRange::all());
    while let Some(range) = rest {
        let page = store.scan(&range, Direction::Forward, 1000).unwrap();
        let named = |key: &Bytes| key.windows(16).any(|part| *part == run.0);
        keys.extend(
            page.entries
                .iter()
                .map(|(key, _)| key.clone())
                .filter(named),
        );
        rest = page.rest(&range, Direction::Forward);
    }
    keys
}

fn documents(store: &dyn Store) -> usize {
    let document = KeyRange::prefix(vec![keys::SHARD, b'd']);
    store
        .scan(&document, Direction::Forward, 100)
        .unwrap()
        .entries
        .len()
}

/// Lines as rows of a run's log.
fn put_log(store: &Arc<dyn Store>, run: RunId, rows: u64, bytes: usize) {
    let logs = StoreLogs::new(Arc::clone(store));
    let attempt = AttemptKey {
        run: run.0,
        step: 0,
        instance: 0,
        attempt: 1,
    };
    for row in 0..rows {
        // Not the same bytes again and again.
        let text: Vec<u8> = (0..bytes as u64)
            .map(|at| ((at * row) >> 3) as u8)
            .collect();
        let line = LogLine {
            text: text.into(),
            ..LogLine::default()
        };
        let next = logs.state(attempt).unwrap().next;
        logs.append(attempt, next, vec![line]).unwrap();
    }
}

#[tokio::test]
async fn a_run_that_is_deleted_leaves_nothing_and_its_document_goes_with_the_last_one() {
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let node = open(Arc::clone(&store), quick(), Adopt::All).await;
    let (one, two) = (
        start(&node, &chain(&["a"])).await,
        start(&node, &chain(&["a"])).await,
    );
    for run in [one, two] {
        assert_eq!(finish(&node, run).await.state(), RunState::Succeeded);
    }
    node.delete_run(one).await.unwrap();
    assert_eq!(keys_of(store.as_ref(), one), Vec::<Bytes>::new());
    assert!(matches!(
        node.reader().summary(one).await,
        Err(NodeError::NotFound(_))
    ));
    assert!(matches!(
        node.reader().load(one).await,
        Err(NodeError::NotFound(_))
    ));
    assert!(matches!(
        node.delete_run(one).await,
        Err(NodeError::NotFound(_))
    ));
    node.retain(&Retention::default()).await.unwrap();
    assert_eq!(documents(store.as_ref()), 1, "the other run needs it");
    assert_eq!(
        node.reader().load(two).await.unwrap().state(),
        RunState::Succeeded
    );
    node.delete_run(two).await.unwrap();
    node.retain(&Retention::default()).await.unwrap();
    assert_eq!(
        documents(store.as_ref()),
        1,
        "this process started a run of it, and may again"
    );
    node.shutdown().await.unwrap();
    let node = open(Arc::clone(&store), quick(), Adopt::All).await;
    let swept = node.retain(&Retention::default()).await.unwrap();
    assert_eq!(
        swept,
        Swept {
            documents: 1,
            ..Swept::default()
        }
    );
    assert_eq!(documents(store.as_ref()), 0);
    let again = start(&node, &chain(&["a"])).await;
    assert_eq!(finish(&node, again).await.state(), RunState::Succeeded);
    node.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_run_that_has_not_ended_is_not_deleted() {
    let go = Arc::new(Notify::new());
    let waits = Arc::clone(&go);
    let driver = Closure::driver(move |_, _| {
        let go = Arc::clone(&waits);
        async move {
            go.notified().await;
            done()
        }
    });
    let node = open(Arc::new(Memory::new()), driver, Adopt::All).await;
    let run = start(&node, &chain(&["a"])).await;
    match node.delete_run(run).await {
        Err(NodeError::Invalid(why)) => {
            assert!(
                why.contains(&run.to_string()) && why.contains("terminate"),
                "{why}"
            );
        }
        other => panic!("it was {other:?}"),
    }
    go.notify_one();
    assert_eq!(finish(&node, run).await.state(), RunState::Succeeded);
    node.delete_run(run).await.unwrap();
    node.shutdown().await.unwrap();
}

/// A store that takes so many more commits.
struct Failing {
    store: Arc<dyn Store>,
    left: AtomicUsize,
}

impl Store for Failing {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.store.get(key)
    }

    fn scan(&self, range: &KeyRange, direction: Direction, limit: usize) -> Result<Page, Error> {
        self.store.scan(range, direction, limit)
    }

    fn commit(&self, transaction: &Transaction) -> Result<(), CommitError> {
        let left = |left: usize| left.checked_sub(1);
        if self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, left)
            .is_err()
        {
            return Err(CommitError::Failed(Error::new(ErrorKind::Io, "commit")));
        }
        self.store.commit(transaction)
    }

    fn limits(&self) -> Limits {
        self.store.limits()
    }

    fn stats(&self) -> Result<Stats, Error> {
        self.store.stats()
    }
}

#[tokio::test]
async fn a_deletion_that_stops_after_any_commit_is_finished_by_the_next_pass() {
    let mut stopped = 0;
    for commits in 0.. {
        let store: Arc<dyn Store> = Arc::new(Memory::new());
        let node = open(Arc::clone(&store), quick(), Adopt::All).await;
        let run = start(&node, &chain(&["a", "b"])).await;
        finish(&node, run).await;
        node.shutdown().await.unwrap();
        put_log(&store, run, 1200, 10);
        let failing = Arc::new(Failing {
            store: Arc::clone(&store),
            left: AtomicUsize::new(usize::MAX),
        });
        let node = open(Arc::clone(&failing) as Arc<dyn Store>, quick(), Adopt::All).await;
        failing.left.store(commits, Ordering::SeqCst);
        let deleted = node.delete_run(run).await;
        node.abandon().await;
        let node = open(Arc::clone(&store), quick(), Adopt::All).await;
        let there = node.reader().summary(run).await.is_ok();
        assert_eq!(there, commits == 0, "after {commits} commits");
        if !there {
            assert!(matches!(
                node.reader().load(run).await,
                Err(NodeError::NotFound(_))
            ));
            node.retain(&Retention::default()).await.unwrap();
            assert_eq!(
                keys_of(store.as_ref(), run),
                Vec::<Bytes>::new(),
                "after {commits} commits"
            );
        }
        node.shutdown().await.unwrap();
        match deleted {
            Ok(()) => break,
            Err(_) => stopped += 1,
        }
    }
    assert!(
        stopped > 4,
        "the mark, several turns and the end: {stopped}"
    );
}

/// The system's clock, some time later.
struct Later(SystemClock, AtomicU64);

impl Clock for Later {
    fn now(&self) -> Time {
        self.0.now().after(Duration(self.1.load(Ordering::SeqCst)))
    }
}

async fn at(store: &Arc<dyn Store>, clock: &Arc<Later>) -> Node {
    let driver = Closure::driver(|task, _| async move {
        match &*task.step {
            "bad" => Outcome::Failed(crate::support::failure("no"), None),
            _ => done(),
        }
    });
    let runtime = tokio::runtime::Handle::current();
    let config = Config::new(Arc::clone(store), vec![driver], runtime);
    let clock = Arc::clone(clock) as Arc<dyn Clock>;
    Node::open(Config { clock, ..config }).await.unwrap()
}

#[tokio::test]
async fn runs_go_by_outcome_and_age_and_logs_before_them() {
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let clock = Arc::new(Later(SystemClock::new(), AtomicU64::new(0)));
    let node = at(&store, &clock).await;
    let good = start(&node, &chain(&["good"])).await;
    let bad = start(&node, &pipeline("    - { id: bad, driver: exec }\n")).await;
    assert_eq!(finish(&node, good).await.state(), RunState::Succeeded);
    assert_eq!(finish(&node, bad).await.state(), RunState::Failed);
    put_log(&store, good, 3, 10);
    put_log(&store, bad, 3, 10);
    let hours = |hours: u64| Duration::secs(hours * 3600);
    let kept = Retention {
        succeeded: Some(hours(2)),
        failed: Some(hours(3)),
        cancelled: None,
        logs: Some(hours(1)),
        events: None,
    };
    assert_eq!(node.retain(&kept).await.unwrap(), Swept::default());
    let pass = async |at: u64| {
        clock.1.store(hours(at).0, Ordering::SeqCst);
        node.retain(&kept).await.unwrap()
    };
    assert_eq!(
        pass(1).await,
        Swept {
            logs: 2,
            ..Swept::default()
        }
    );
    let logs = |run: RunId| {
        let rows = AttemptKey::of_run(run.0);
        store
            .scan(&rows, Direction::Forward, 10)
            .unwrap()
            .entries
            .len()
    };
    assert_eq!((logs(good), logs(bad)), (0, 0));
    assert!(
        node.reader().load(good).await.is_ok(),
        "the run itself stays"
    );
    assert_eq!(
        pass(2).await,
        Swept {
            runs: 1,
            ..Swept::default()
        }
    );
    assert!(node.reader().summary(good).await.is_err());
    assert!(node.reader().summary(bad).await.is_ok());
    assert_eq!(
        pass(3).await,
        Swept {
            runs: 1,
            ..Swept::default()
        }
    );
    assert_eq!(keys_of(store.as_ref(), bad), Vec::<Bytes>::new());
    node.shutdown().await.unwrap();
}

fn size(path: &Path) -> u64 {
    let entries = std::fs::read_dir(path).unwrap().map(Result::unwrap);
    let sizes = entries.map(|entry| match entry.file_type().unwrap().is_dir() {
        true => size(&entry.path()),
        false => entry.metadata().unwrap().len(),
    });
    sizes.sum()
}

static COUNT: AtomicUsize = AtomicUsize::new(0);
static LONGEST: AtomicUsize = AtomicUsize::new(0);

/// 192 MB of logs and 64 MB of values; the whole takes some seconds.
#[expect(
    clippy::print_stdout,
    reason = "figures for people: --nocapture shows them"
)]
#[tokio::test(flavor = "multi_thread")]
async fn a_store_returns_to_its_base_size_once_its_runs_are_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let directory = DataDir::open(dir.path(), Access::Create).unwrap();
    let store: Arc<dyn Store> = Arc::new(Embedded::open(directory).unwrap());
    let node = open(Arc::clone(&store), quick(), Adopt::All).await;
    let mut runs = Vec::new();
    for _ in 0..9 {
        let run = start(&node, &chain(&["a"])).await;
        finish(&node, run).await;
        runs.push(run);
    }
    let base = size(dir.path());
    for run in &runs {
        put_log(&store, *run, 352, 60 << 10);
        for value in 0..14_u8 {
            let mut transaction = Transaction::new();
            let hash = conveyor_engine::value::Hash([value; 32]);
            let text: Vec<u8> = (0..512_u32 << 10)
                .map(|at| (at >> 2) as u8 ^ value)
                .collect();
            transaction.put(keys::value(*run, &hash), text);
            store.commit(&transaction).unwrap();
        }
    }
    let full = size(dir.path());
    assert!(full > base + (240 << 20), "{full}");
    let kept = runs.pop().unwrap();
    // Others go on meanwhile.
    let began = std::time::Instant::now();
    let other = node.clone();
    let beside = tokio::spawn(async move {
        let (mut count, mut longest) = (0, std::time::Duration::ZERO);
        loop {
            let began = std::time::Instant::now();
            let run = start(&other, &chain(&["a"])).await;
            finish(&other, run).await;
            longest = longest.max(began.elapsed());
            count += 1;
            COUNT.store(count, Ordering::SeqCst);
            LONGEST.store(longest.as_millis() as usize, Ordering::SeqCst);
        }
    });
    for run in runs {
        node.delete_run(run).await.unwrap();
    }
    beside.abort();
    let took = began.elapsed();
    let (count, longest) = (COUNT.load(Ordering::SeqCst), LONGEST.load(Ordering::SeqCst));
    println!("{count} runs meanwhile, the longest {longest} ms");
    assert!(
        count > 20,
        "runs stand still while others are deleted: {count}"
    );
    let small = size(dir.path());
    println!("base {base}, full {full}, then {small} after {took:?}");
    // The run that is kept, and a journal that is begun anew at 16 MiB.
    assert!(
        small < base + (29 << 20) + (24 << 20),
        "{base}, {full}, {small}"
    );
    assert!(!keys_of(store.as_ref(), kept).is_empty());
    node.delete_run(kept).await.unwrap();
    let empty = size(dir.path());
    assert!(empty < base + (24 << 20), "{base}, {full}, {empty}");
    node.shutdown().await.unwrap();
}
