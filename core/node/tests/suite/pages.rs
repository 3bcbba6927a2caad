//! A page costs what it has, however long the listing, the history or the log is, and wherever in it the page
//! begins: what is counted is keys that are read of the store, not time.

use crate::support::{open, quick};
use conveyor_bus::{AttemptKey, LogStore as _, StoreLogs};
use conveyor_engine::run::{Identity, RunState};
use conveyor_engine::time::Time;
use conveyor_node::objects::ListObjects;
use conveyor_node::reader::Filter;
use conveyor_node::{Adopt, Node, RunId, envelope, keys};
use conveyor_proto::storage::v1::{LogLine, RecordKind, RunSummary, StoredPipeline};
use conveyor_store::{
    Bytes, CommitError, Direction, Error, KeyRange, Limits, Memory, Page, Stats, Store, Transaction,
};
use prost::Message as _;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A store that counts the keys that are read of it.
#[derive(Default)]
struct Counting {
    store: Memory,
    read: AtomicU64,
}

impl Store for Counting {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.read.fetch_add(1, Ordering::SeqCst);
        self.store.get(key)
    }

    fn scan(&self, range: &KeyRange, direction: Direction, limit: usize) -> Result<Page, Error> {
        let page = self.store.scan(range, direction, limit)?;
        let keys = page.entries.len() as u64;
        self.read.fetch_add(keys, Ordering::SeqCst);
        Ok(page)
    }

    fn commit(&self, transaction: &Transaction) -> Result<(), CommitError> {
        self.store.commit(transaction)
    }

    fn limits(&self) -> Limits {
        self.store.limits()
    }

    fn stats(&self) -> Result<Stats, Error> {
        self.store.stats()
    }
}

/// When the first run of a history was accepted, and how long after each the next was: an hour.
const FIRST: u64 = 1_700_000_000_000;
const HOUR: u64 = 60 * 60 * 1000;
/// Entries of a page.
const PAGE: usize = 20;

struct Site {
    store: Arc<Counting>,
    node: Node,
}

impl Site {
    async fn new() -> Site {
        let store = Arc::new(Counting::default());
        let node = open(store.clone(), quick(), Adopt::All).await;
        Site { store, node }
    }

    /// Writes many rows.
    fn put(&self, rows: impl Iterator<Item = (Vec<u8>, Vec<u8>)>) {
        let rows: Vec<_> = rows.collect();
        for some in rows.chunks(500) {
            let mut transaction = Transaction::new();
            for (key, value) in some {
                transaction.put(key.clone(), value.clone());
            }
            self.store.commit(&transaction).expect("they are kept");
        }
    }

    /// A history of so many runs, one an hour.
    fn runs(&self, many: u64) {
        self.put((0..many).map(|number| {
            let at = FIRST + number * HOUR;
            let row = RunSummary {
                run: run(number).to_string(),
                namespace: "default".to_owned(),
                pipeline: "p".to_owned(),
                state: i32::from(RunState::Succeeded.code()),
                created_ms: at,
                ..RunSummary::default()
            };
            let value = envelope::wrap(RecordKind::RunSummary, 0, &row.encode_to_vec());
            (keys::summary(run(number)), value)
        }));
    }

    /// What was read meanwhile.
    async fn reads<T>(&self, work: impl Future<Output = T>) -> (u64, T) {
        self.store.read.store(0, Ordering::SeqCst);
        let made = work.await;
        (self.store.read.load(Ordering::SeqCst), made)
    }

    /// Keys that a page of runs reads, and when its runs were accepted, as hours after the first.
    async fn page(&self, filter: Filter, before: Option<RunId>) -> (u64, Vec<u64>) {
        let page = self.node.reader().list(filter, before, PAGE);
        let (read, page) = self.reads(page).await;
        let rows = page.expect("a page").rows;
        let hours = rows.iter().map(|row| (row.created().0 - FIRST) / HOUR);
        (read, hours.collect())
    }
}

fn run(number: u64) -> RunId {
    RunId::derived(Time(FIRST + number * HOUR), &number.to_be_bytes())
}

#[tokio::test]
async fn a_page_of_runs_reads_what_it_has_in_any_history() {
    for many in [100, 20_000] {
        let site = Site::new().await;
        site.runs(many);
        // The first page, one in the middle, the last.
        for before in [None, Some(many / 2), Some(PAGE as u64)] {
            let (read, hours) = site.page(Filter::default(), before.map(run)).await;
            let first = before.unwrap_or(many);
            let wanted: Vec<_> = (first - PAGE as u64..first).rev().collect();
            assert_eq!(hours, wanted, "{many} {before:?}");
            assert_eq!(read, PAGE as u64, "{many} {before:?}");
        }
    }
}

#[tokio::test]
async fn a_range_of_history_begins_at_its_first_page_and_ends_where_it_does() {
    let site = Site::new().await;
    site.runs(20_000);
    let within = |from: u64, before: u64| Filter {
        created_from: Some(Time(FIRST + from * HOUR)),
        created_before: Some(Time(FIRST + before * HOUR)),
        ..Filter::default()
    };
    let mut counts = Vec::new();
    // Whole, in one page: at the beginning of the history, in the middle, at its end.
    for from in [40, 9_000, 19_980] {
        let (read, hours) = site.page(within(from, from + 10), None).await;
        let wanted: Vec<_> = (from..from + 10).rev().collect();
        assert_eq!(hours, wanted);
        counts.push(read);
    }
    // Ids may be a day older than their runs, or a few minutes younger.
    assert_eq!(counts, [1 + 10 + 24; 3], "keys that are read");
    // In several pages.
    let filter = within(10_000, 10_050);
    let (mut before, mut hours) = (None, Vec::new());
    loop {
        let page = site.node.reader().list(filter.clone(), before, PAGE).await;
        let page = page.expect("a page");
        assert!(page.next.is_none() || page.rows.len() == PAGE, "it is full");
        hours.extend(page.rows.iter().map(|row| (row.created().0 - FIRST) / HOUR));
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(hours, (10_000..10_050).rev().collect::<Vec<_>>());
    // What no clock of today can have made.
    let (read, hours) = site
        .page(within(u64::MAX / HOUR / 2, u64::MAX / HOUR / 2), None)
        .await;
    assert_eq!((read, hours), (0, vec![]));
}

#[tokio::test]
async fn a_run_is_in_the_range_in_which_it_was_accepted_though_its_id_is_older() {
    let site = Site::new().await;
    // Made before a server was down for 23 hours, and by a clock that is 9 minutes ahead.
    let minute = HOUR / 60;
    for (number, made) in [(0, FIRST - 23 * HOUR), (1, FIRST + 9 * minute)] {
        let id = RunId::derived(Time(made), &[number]);
        let row = RunSummary {
            run: id.to_string(),
            created_ms: FIRST,
            ..RunSummary::default()
        };
        let value = envelope::wrap(RecordKind::RunSummary, 0, &row.encode_to_vec());
        site.put([(keys::summary(id), value)].into_iter());
    }
    for (from, before, wanted) in [
        (FIRST, FIRST + 1, 2),
        (FIRST + 1, FIRST + HOUR, 0),
        (FIRST - HOUR, FIRST, 0),
    ] {
        let filter = Filter {
            created_from: Some(Time(from)),
            created_before: Some(Time(before)),
            ..Filter::default()
        };
        let (_, hours) = site.page(filter, None).await;
        assert_eq!(hours.len(), wanted, "{from} {before}");
    }
}

#[tokio::test]
async fn a_page_of_objects_reads_what_it_has_among_any_number() {
    let name = |number: usize| format!("p{number:05}");
    for many in [100, 20_000] {
        let site = Site::new().await;
        site.put((0..many).map(|number| {
            let row = StoredPipeline::default().encode_to_vec();
            let key = keys::object(b'p', "default", &name(number));
            (key, envelope::wrap(RecordKind::Pipeline, 0, &row))
        }));
        for from in [0, many / 2, many - PAGE] {
            let list = ListObjects {
                namespace: "default".to_owned(),
                after: from.checked_sub(1).map(name),
                limit: PAGE,
                ..ListObjects::default()
            };
            let page = site.node.reader().objects::<StoredPipeline>(list);
            let (read, page) = site.reads(page).await;
            let names = page.expect("a page").rows.into_iter().map(|(name, _)| name);
            let wanted: Vec<_> = (from..from + PAGE).map(name).collect();
            assert_eq!(names.collect::<Vec<_>>(), wanted);
            assert_eq!(read, PAGE as u64, "{many} from {from}");
        }
    }
}

#[tokio::test]
async fn a_page_of_lines_reads_as_many_keys_anywhere_in_a_log() {
    let id = Identity {
        step: 0,
        instance: 0,
        attempt: 1,
    };
    let mut counts = BTreeSet::new();
    // Logs of so many lines, 20 in a chunk.
    for many in [120, 20_000] {
        let site = Site::new().await;
        let (logs, run) = (StoreLogs::new(site.store.clone()), run(0));
        let key = AttemptKey {
            run: run.0,
            step: id.step,
            instance: id.instance,
            attempt: id.attempt,
        };
        for first in (0..many).step_by(PAGE) {
            let line = |number| LogLine {
                text: format!("{number}").into_bytes().into(),
                ..LogLine::default()
            };
            let lines = (first..first + PAGE as u64).map(line).collect();
            logs.append(key, first, lines).expect("they are kept");
        }
        // Where a stored chunk begins, and in the middle of one.
        for from in [0, 10, many / 2, many / 2 + 10, many - PAGE as u64] {
            let page = site.node.reader().log(run, id, from, PAGE);
            let (read, page) = site.reads(page).await;
            // A page ends where a chunk does.
            let lines = page.expect("a page").lines;
            let offsets = lines.iter().take(PAGE).map(|line| line.offset);
            let wanted: Vec<_> = (from..from + PAGE as u64).collect();
            assert_eq!(offsets.collect::<Vec<_>>(), wanted, "{many}");
            counts.insert((from % PAGE as u64, read));
        }
    }
    let wanted = BTreeSet::from([(0, 2), (10, 4)]);
    assert_eq!(counts, wanted, "keys that are read, by where pages begin");
}
