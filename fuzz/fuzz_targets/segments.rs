//! Log rows as a store holds them. What was written is read, in whatever batches; any other bytes in a row's
//! place are an error or the same lines, never a panic, a loop without end, or a log with lines missing.
#![no_main]

use arbitrary::Arbitrary;
use conveyor_bus::{AttemptKey, AttemptLog, LINE_BYTES, LogStore, StoreLogs};
use conveyor_proto::storage::v1::LogLine;
use conveyor_store::{Direction, Memory, Store, Transaction};
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;

const KEY: AttemptKey = AttemptKey {
    run: [7; 16],
    step: 3,
    instance: 0,
    attempt: 1,
};

#[derive(Arbitrary, Debug)]
struct Line {
    time_ms: u64,
    stream: i32,
    text: Vec<u8>,
    truncated: bool,
}

#[derive(Arbitrary, Debug)]
enum Damage {
    /// These bytes.
    Bytes(Vec<u8>),
    /// So many bytes of it are left.
    Torn(u16),
    /// These bits are turned in the byte at this place.
    Turned(u16, u8),
    /// Those of another row.
    Swapped(u8),
    /// It has gone.
    Gone,
}

#[derive(Arbitrary, Debug)]
struct Input {
    batches: Vec<Vec<Line>>,
    sealed: bool,
    /// Which row, and what of it.
    damage: Option<(u8, Damage)>,
    from: u64,
    limit: u8,
}

/// All lines from an offset on, page by page: an error, or texts that follow each other.
fn all(logs: &StoreLogs, from: u64, limit: usize) -> Option<(Vec<LogLine>, bool)> {
    let (mut lines, mut next) = (Vec::new(), from);
    loop {
        let page = logs.read(KEY, next, limit).ok()?;
        for line in &page.lines {
            assert_eq!(line.offset, from + lines.len() as u64, "a line is missing");
            lines.push(line.line.clone());
        }
        assert_eq!(page.next, from + lines.len() as u64);
        if page.end || page.lines.is_empty() {
            return Some((lines, page.end));
        }
        next = page.next;
    }
}

fuzz_target!(|input: Input| {
    let store = Arc::new(Memory::new());
    let logs = StoreLogs::new(store.clone());
    let mut written = Vec::new();
    for batch in input.batches.into_iter().take(8) {
        let line = |line: Line| LogLine {
            time_ms: line.time_ms,
            stream: line.stream,
            text: line.text.into(),
            truncated: line.truncated,
        };
        let batch: Vec<_> = batch.into_iter().take(64).map(line).collect();
        assert!(batch.iter().all(|line| line.text.len() <= LINE_BYTES));
        let state = logs.append(KEY, written.len() as u64, batch.clone());
        written.extend(batch);
        assert_eq!(state.expect("it follows").next, written.len() as u64);
    }
    if input.sealed {
        logs.seal(KEY).expect("it is sealed");
    }
    let limit = usize::from(input.limit).max(1);
    let from = input.from % (written.len() as u64 + 2);
    let expected: Vec<_> = written.iter().skip(from as usize).cloned().collect();
    let (lines, end) = all(&logs, from, limit).expect("what was written is read");
    assert_eq!((lines, end), (expected.clone(), input.sealed));

    let Some((at, damage)) = input.damage else {
        return;
    };
    let rows = store.scan(&KEY.rows(), Direction::Forward, 1000);
    let rows = rows.expect("rows").entries;
    let Some((key, value)) = rows.get(usize::from(at) % rows.len().max(1)) else {
        return;
    };
    let mut bytes = value.to_vec();
    let mut change = Transaction::new();
    match damage {
        Damage::Bytes(other) => bytes = other,
        Damage::Torn(len) => bytes.truncate(usize::from(len) % bytes.len()),
        Damage::Turned(place, bits) => {
            let place = usize::from(place) % bytes.len();
            bytes[place] ^= bits;
        }
        Damage::Swapped(other) => bytes = rows[usize::from(other) % rows.len()].1.to_vec(),
        Damage::Gone => bytes.clear(),
    }
    let first = rows.first().is_some_and(|(first, _)| first == key);
    let is_end = input.sealed && rows.last().is_some_and(|(last, _)| last == key);
    let gone = bytes.is_empty();
    match gone {
        true => change.delete(key.clone()),
        false => change.put(key.clone(), bytes),
    };
    store.commit(&change).expect("it is taken");
    // An error, or a state: and whatever offset comes of it can be written at.
    if let Ok(mut log) = AttemptLog::load(&*store, KEY) {
        let _ = log.append(0, log.state().next, vec![LogLine::default()]);
    }
    // Rows go from the first on when a log comes of age: then it begins later.
    if gone && first {
        let _ = logs.read(KEY, from, limit);
        return;
    }
    if let Some((lines, end)) = all(&logs, 0, limit) {
        // What the end says is believed; else no end comes early.
        let early = end && lines.len() < written.len();
        assert!(is_end || !early, "a torn log ends early");
    }
});
