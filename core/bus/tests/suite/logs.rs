use conveyor_bus::{
    AttemptKey, AttemptLog, LINE_BYTES, LogCommits, LogError, LogState, LogStore, NumberedLine,
    Refused, StoreLogs,
};
use conveyor_proto::storage::v1::{LogLine, LogStream};
use conveyor_store::{Access, DataDir, Direction, Embedded, ErrorKind, Memory, Store, Transaction};
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
    let page = logs.read(KEY, 0, 100).unwrap();
    assert_eq!(page.lines.len(), 20);
    assert!(
        page.lines
            .iter()
            .all(|NumberedLine { line, .. }| { line.truncated && line.text.len() == LINE_BYTES })
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
