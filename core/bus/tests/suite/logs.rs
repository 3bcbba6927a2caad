use conveyor_bus::{
    AttemptKey, AttemptLog, LINE_BYTES, LogCommits, LogError, LogState, LogStore, NumberedLine,
    Refused, StoreLogs,
};
use conveyor_proto::storage::envelope;
use conveyor_proto::storage::v1::{LogChunk, LogEnd, LogLine, LogStream, RecordKind};
use conveyor_store::{
    Access, Bytes, DataDir, Direction, Embedded, ErrorKind, Memory, Store, Transaction,
};
use prost::Message as _;
use std::sync::Arc;

const KEY: AttemptKey = AttemptKey {
    run: [7; 16],
    step: 3,
    instance: 0,
    attempt: 1,
};

fn lines(numbers: std::ops::Range<u64>) -> Vec<LogLine> {
    numbers
        .map(|number| line(format!("line {number}").into_bytes()))
        .collect()
}

fn line(text: Vec<u8>) -> LogLine {
    LogLine {
        time_ms: 5,
        stream: LogStream::Stdout.into(),
        text: text.into(),
        ..LogLine::default()
    }
}

/// The texts of the whole log from `from`, read in pages of `limit`; offsets must have no gap.
fn read(logs: &dyn LogStore, key: AttemptKey, from: u64, limit: usize) -> (Vec<String>, bool) {
    let (mut texts, mut next) = (Vec::new(), from);
    loop {
        let page = logs.read(key, next, limit).unwrap();
        for NumberedLine { offset, line } in &page.lines {
            assert_eq!(*offset, from + texts.len() as u64);
            texts.push(String::from_utf8(line.text.to_vec()).unwrap());
        }
        assert_eq!(page.next, from + texts.len() as u64);
        if page.lines.is_empty() || page.end {
            return (texts, page.end);
        }
        next = page.next;
    }
}

fn texts(numbers: std::ops::Range<u64>) -> Vec<String> {
    numbers.map(|number| format!("line {number}")).collect()
}

#[test]
fn lines_are_read_from_any_offset() {
    let logs = StoreLogs::new(Arc::new(Memory::new()));
    for batch in [0..3, 3..4, 4..10] {
        logs.append(KEY, batch.start, lines(batch)).unwrap();
    }
    for from in 0..12 {
        for limit in [1, 2, 100] {
            assert_eq!(
                read(&logs, KEY, from, limit),
                (texts(from..10), false),
                "from {from}"
            );
        }
    }
}

#[test]
fn repeats_are_dropped_by_offset() {
    let logs = StoreLogs::new(Arc::new(Memory::new()));
    logs.append(KEY, 0, lines(0..5)).unwrap();
    // The same batch, a part of it, and one that goes on beyond it.
    for batch in [0..5, 2..4, 3..8] {
        logs.append(KEY, batch.start, lines(batch)).unwrap();
    }
    assert_eq!(read(&logs, KEY, 0, 100), (texts(0..8), false));
}

#[test]
fn a_gap_is_refused_with_the_line_to_send_from() {
    let logs = StoreLogs::new(Arc::new(Memory::new()));
    logs.append(KEY, 0, lines(0..2)).unwrap();
    let error = logs.append(KEY, 5, lines(5..6)).unwrap_err();
    let LogError::Refused(refused) = error else {
        panic!("{error}")
    };
    assert_eq!(
        refused,
        Refused::Gap {
            expected: 2,
            found: 5
        }
    );
    assert_eq!(read(&logs, KEY, 0, 100), (texts(0..2), false));
}

#[test]
fn a_sealed_log_ends_and_takes_nothing() {
    let logs = StoreLogs::new(Arc::new(Memory::new()));
    logs.append(KEY, 0, lines(0..2)).unwrap();
    for _ in 0..2 {
        assert_eq!(
            logs.seal(KEY).unwrap(),
            LogState {
                next: 2,
                sealed: true
            }
        );
    }
    for first in [0, 2] {
        let error = logs
            .append(KEY, first, lines(first..first + 1))
            .unwrap_err();
        let LogError::Refused(refused) = error else {
            panic!("{error}")
        };
        assert_eq!(refused, Refused::Sealed { count: 2 });
    }
    assert_eq!(read(&logs, KEY, 0, 1), (texts(0..2), true));
    assert_eq!(read(&logs, KEY, 2, 1), (vec![], true));
}

#[test]
fn attempts_do_not_mix() {
    let logs = StoreLogs::new(Arc::new(Memory::new()));
    let others = [
        AttemptKey { attempt: 2, ..KEY },
        AttemptKey { instance: 1, ..KEY },
        AttemptKey { step: 4, ..KEY },
        AttemptKey {
            run: [8; 16],
            ..KEY
        },
    ];
    for (number, key) in (1..).zip(others) {
        logs.append(key, 0, lines(0..number)).unwrap();
        logs.seal(key).unwrap();
    }
    assert_eq!(logs.state(KEY).unwrap(), LogState::default());
    assert_eq!(read(&logs, KEY, 0, 10), (vec![], false));
    for (number, key) in (1..).zip(others) {
        assert_eq!(read(&logs, key, 0, 10), (texts(0..number), true));
    }
}

#[test]
fn a_long_line_is_cut_and_a_large_batch_is_split() {
    let store = Arc::new(Memory::new());
    let logs = StoreLogs::new(store.clone());
    let batch: Vec<_> = (0..20).map(|_| line(vec![b'x'; LINE_BYTES + 1])).collect();
    logs.append(KEY, 0, batch).unwrap();
    let rows = store
        .scan(&KEY.rows(), Direction::Forward, 100)
        .unwrap()
        .entries;
    assert!(rows.len() > 1 && rows.iter().all(|(_, value)| value.len() < 300 << 10));
    // A page has a chunk or so of them, and says that there is more.
    let (mut next, mut pages) = (0, Vec::new());
    loop {
        let page = logs.read(KEY, next, 100).unwrap();
        assert!(
            page.lines
                .iter()
                .all(|NumberedLine { line, .. }| line.truncated && line.text.len() == LINE_BYTES)
        );
        pages.push(page.lines.len());
        next = page.next;
        if !page.more {
            break;
        }
    }
    assert_eq!(pages.iter().sum::<usize>(), 20);
    // The log is not sealed: after the last line comes a page of none.
    let (last, full) = pages.split_last().unwrap();
    assert!(
        *last == 0 && full.iter().all(|lines| (1..=6).contains(lines)),
        "{pages:?}"
    );
}

#[test]
fn rows_join_the_commit_of_another() {
    let root = tempfile::tempdir().unwrap();
    let open = || Embedded::open(DataDir::open(root.path(), Access::Create).unwrap()).unwrap();
    let store = open();
    let mut log = AttemptLog::new(KEY);
    // Two batches built ahead, and the end, in one commit with a journal's record.
    let mut transaction = Transaction::new();
    transaction.put("journal", "record");
    transaction
        .puts
        .extend(log.append(1, 0, lines(0..3)).unwrap());
    transaction
        .puts
        .extend(log.append(1, 2, lines(2..6)).unwrap());
    transaction.puts.extend(log.seal());
    assert_eq!(
        log.append(1, 6, lines(6..7)),
        Err(Refused::Sealed { count: 6 })
    );
    store.commit(&transaction).unwrap();
    drop(store);

    let logs = StoreLogs::new(Arc::new(open()));
    assert_eq!(
        logs.state(KEY).unwrap(),
        LogState {
            next: 6,
            sealed: true
        }
    );
    assert_eq!(read(&logs, KEY, 0, 100), (texts(0..6), true));
}

/// A log of nine lines in three chunks, sealed.
fn sealed() -> (Arc<Memory>, StoreLogs) {
    let store = Arc::new(Memory::new());
    let logs = StoreLogs::new(store.clone());
    for batch in [0..3, 3..6, 6..9] {
        logs.append(KEY, batch.start, lines(batch)).unwrap();
    }
    logs.seal(KEY).unwrap();
    (store, logs)
}

fn change(store: &Memory, at: usize, value: Option<Vec<u8>>) {
    let rows = store.scan(&KEY.rows(), Direction::Forward, 100).unwrap();
    let key = rows.entries[at].0.clone();
    let mut transaction = Transaction::new();
    match value {
        Some(value) => transaction.put(key, value),
        None => transaction.delete(key),
    };
    store.commit(&transaction).unwrap();
}

fn row(store: &Memory, at: usize) -> Vec<u8> {
    let rows = store.scan(&KEY.rows(), Direction::Forward, 100).unwrap();
    rows.entries[at].1.to_vec()
}

#[test]
fn lines_that_are_missing_are_damage_and_no_shorter_log() {
    // Its last chunk, and one between.
    for missing in [2, 1] {
        let (store, logs) = sealed();
        change(&store, missing, None);
        let hole = 3 * missing as u64;
        for from in 0..hole + 3 {
            let error = logs.read(KEY, from, 100).unwrap_err();
            assert_eq!(*error.kind(), ErrorKind::Corrupt, "{missing} from {from}");
            assert!(error.to_string().contains("lines are missing"), "{error}");
        }
        // What is before the hole is read, and what is behind it.
        assert_eq!(logs.read(KEY, 0, 1).unwrap().lines.len(), 3);
        if missing == 1 {
            assert_eq!(read(&logs, KEY, 6, 100), (texts(6..9), true));
        }
    }
}

#[test]
fn a_log_that_comes_of_age_is_what_is_left_of_it() {
    let (store, logs) = sealed();
    for left in [3, 6, 9] {
        change(&store, 0, None);
        let page = logs.read(KEY, 0, 100).unwrap();
        let offsets: Vec<_> = page.lines.iter().map(|line| line.offset).collect();
        assert_eq!(offsets, (left..9).collect::<Vec<_>>());
        assert!(page.end);
    }
}

#[test]
fn a_chunk_that_is_torn_is_damage() {
    let (store, logs) = sealed();
    let whole = row(&store, 2);
    // The number of its commit stands last, in two bytes: without it the lines are whole.
    let numbered = whole.len() - 2;
    for length in (0..whole.len()).filter(|length| *length != numbered) {
        change(&store, 2, Some(whole[..length].to_vec()));
        let error = logs.read(KEY, 0, 100).unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Corrupt, "{length}");
    }
    change(&store, 2, Some(whole));
    assert_eq!(read(&logs, KEY, 0, 100), (texts(0..9), true));
}

#[test]
fn offsets_that_no_writer_makes_are_damage() {
    let chunk = |first_offset, lines| {
        let chunk = LogChunk {
            commit: 0,
            first_offset,
            lines,
        };
        envelope::wrap(RecordKind::LogChunk, 0, &chunk.encode_to_vec())
    };
    let end = |count| {
        let end = LogEnd { count };
        envelope::wrap(RecordKind::LogEnd, 0, &end.encode_to_vec())
    };
    for (at, value) in [
        // Another offset than its key says, far off or not.
        (2, chunk(7, lines(0..1))),
        (2, chunk(u64::MAX, lines(0..3))),
        (0, chunk(0, Vec::new())),
        (3, end(u64::MAX)),
        (3, end(8)),
        (3, chunk(u64::MAX, lines(0..1))),
    ] {
        let (store, logs) = sealed();
        change(&store, at, Some(value));
        let error = logs.read(KEY, 0, 100).unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Corrupt);
        if at == 3 && row(&store, 3) != end(8) {
            let error = AttemptLog::load(&*store, KEY).unwrap_err();
            assert_eq!(*error.kind(), ErrorKind::Corrupt);
        }
    }
}

/// A store to which lines are added between two of its answers.
struct Growing {
    store: Arc<Memory>,
    /// What is added after the first scan.
    then: std::sync::Mutex<Vec<std::ops::Range<u64>>>,
}

impl Store for Growing {
    fn scan(
        &self,
        range: &conveyor_store::KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<conveyor_store::Page, conveyor_store::Error> {
        let page = self.store.scan(range, direction, limit);
        let logs = StoreLogs::new(self.store.clone());
        for batch in std::mem::take(&mut *self.then.lock().unwrap()) {
            logs.append(KEY, batch.start, lines(batch)).unwrap();
        }
        page
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, conveyor_store::Error> {
        self.store.get(key)
    }

    fn commit(&self, transaction: &Transaction) -> Result<(), conveyor_store::CommitError> {
        self.store.commit(transaction)
    }

    fn limits(&self) -> conveyor_store::Limits {
        self.store.limits()
    }

    fn stats(&self) -> Result<conveyor_store::Stats, conveyor_store::Error> {
        self.store.stats()
    }
}

#[test]
fn lines_that_come_while_a_reader_looks_leave_no_gap() {
    for (there, from) in [(0, 0), (5, 3), (5, 5), (5, 6), (5, 8), (5, 9)] {
        let store = Arc::new(Memory::new());
        StoreLogs::new(store.clone())
            .append(KEY, 0, lines(0..there))
            .unwrap();
        let growing = Growing {
            store,
            then: std::sync::Mutex::new(vec![there..7, 7..9, 9..12]),
        };
        let logs = StoreLogs::new(Arc::new(growing));
        // A reader that was ahead may be told nothing at first.
        let mut first = logs.read(KEY, from, 100).unwrap();
        if first.lines.is_empty() {
            first = logs.read(KEY, from, 100).unwrap();
        }
        let offsets: Vec<_> = first.lines.iter().map(|line| line.offset).collect();
        assert_eq!(offsets, (from..12).collect::<Vec<_>>(), "{there}, {from}");
    }
}

#[test]
fn a_chunk_with_an_unknown_field_is_declined() {
    let store = Arc::new(Memory::new());
    let logs = StoreLogs::new(store.clone());
    logs.append(KEY, 0, lines(0..1)).unwrap();
    let (key, value) = store
        .scan(&KEY.rows(), Direction::Forward, 1)
        .unwrap()
        .entries
        .remove(0);
    let mut transaction = Transaction::new();
    // Field 100, a varint of 1, after the chunk's own.
    transaction.put(key, [value.as_ref(), &[0xa0, 0x06, 0x01]].concat());
    store.commit(&transaction).unwrap();
    let error = logs.read(KEY, 0, 1).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Corrupt);
}

#[test]
fn a_commits_number_says_what_was_there_before_it_in_each_log() {
    let store = Arc::new(Memory::new());
    let logs = StoreLogs::new(store.clone());
    let other = AttemptKey { attempt: 2, ..KEY };
    assert_eq!(logs.count_before(KEY, u64::MAX).unwrap(), 0);
    // Commits 1 to 4, and a batch that only repeats, which is none.
    logs.append(KEY, 0, lines(0..3)).unwrap();
    logs.append(other, 0, lines(0..1)).unwrap();
    logs.append(KEY, 0, lines(0..3)).unwrap();
    logs.append(KEY, 3, lines(3..5)).unwrap();
    logs.append(KEY, 5, lines(5..9)).unwrap();
    assert_eq!(LogCommits::load(&*store).unwrap().count(), 4);
    let counts = (0..6).map(|commit| logs.count_before(KEY, commit).unwrap());
    assert_eq!(counts.collect::<Vec<_>>(), [0, 0, 3, 3, 5, 9]);
    assert_eq!(logs.count_before(other, 2).unwrap(), 0);
    assert_eq!(logs.count_before(other, 3).unwrap(), 1);
    for from in 0..6 {
        let page = logs.read_before(KEY, from, 100, 4).unwrap();
        let offsets: Vec<_> = page.lines.iter().map(|line| line.offset).collect();
        assert_eq!(offsets, (from..5).collect::<Vec<_>>(), "from {from}");
    }
    logs.seal(KEY).unwrap();
    assert!(!logs.read_before(KEY, 0, 100, 4).unwrap().end);
    assert!(logs.read_before(KEY, 0, 100, 5).unwrap().end);
}
