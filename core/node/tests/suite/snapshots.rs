//! Snapshots beside journals (PROTOCOL P8): used where they can be, and missed by nobody.

use crate::harness::{Harness, chain};
use conveyor_engine::run::{RunState, SNAPSHOT_FORMAT, StopKind};
use conveyor_node::owner::KeptSnapshot;
use conveyor_node::{RunId, keys, storage};
use conveyor_store::{CommitError, Direction, KeyRange, Store as _, Transaction};

const STEPS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// A run of six steps of which four have ended, with a snapshot after the second at the latest.
fn four_of_six() -> (Harness, RunId) {
    let mut h = Harness::with_snapshots(3);
    let run = h.start(&chain(&STEPS));
    for step in &STEPS[..4] {
        h.succeed(step);
        h.settle();
    }
    assert!(pieces(&h, run) > 0 && pointer(&h, run).is_some());
    (h, run)
}

fn ends_well(mut h: Harness, run: RunId) -> Harness {
    for step in &STEPS[4..] {
        h.succeed(step);
        h.settle();
    }
    let ended = i32::from(RunState::Succeeded.code());
    assert_eq!(h.listed(run).state, ended);
    h
}

fn pieces(h: &Harness, run: RunId) -> usize {
    let range = KeyRange::prefix(keys::snapshots(run));
    let page = h.store.scan(&range, Direction::Forward, 1000).unwrap();
    page.entries.len()
}

fn pointer(h: &Harness, run: RunId) -> Option<Vec<u8>> {
    let value = h.store.get(&keys::snapshot_pointer(run)).unwrap();
    value.map(|value| value.to_vec())
}

fn put(h: &Harness, key: Vec<u8>, value: Vec<u8>) {
    let mut transaction = Transaction::new();
    transaction.put(key, value);
    h.store.commit(&transaction).unwrap();
}

/// From here on, the first record of the run cannot be folded.
fn break_first_record(h: &Harness, run: RunId) {
    let key = keys::record(run, 1);
    let mut record = h.store.get(&key).unwrap().unwrap().to_vec();
    *record.last_mut().unwrap() ^= 1;
    put(h, key, record);
}

#[test]
fn a_run_is_taken_up_from_its_snapshot_on() {
    let (h, run) = four_of_six();
    assert_eq!(pieces(&h, run), 1, "older ones are taken away");
    // Nobody reads what a snapshot stands for.
    break_first_record(&h, run);
    ends_well(h.reopen(true), run);
}

#[test]
fn a_run_that_has_ended_has_none() {
    let (h, run) = four_of_six();
    let h = ends_well(h.reopen(true), run);
    assert_eq!((pieces(&h, run), pointer(&h, run)), (0, None));
}

#[test]
fn a_snapshot_that_cannot_be_read_is_passed_over() {
    type Harm = fn(&Harness, RunId);
    let harms: [(&str, Harm); 5] = [
        ("another format", |h, run| {
            let mut row = pointer(h, run).unwrap();
            let format = SNAPSHOT_FORMAT.as_bytes();
            let mut all = row.windows(format.len());
            let at = all.position(|found| found == format).unwrap();
            row[at + format.len() - 1] ^= 1;
            put(h, keys::snapshot_pointer(run), row);
        }),
        ("a pointer that is none", |h, run| {
            put(h, keys::snapshot_pointer(run), vec![1, 2, 3]);
        }),
        ("a changed byte", |h, run| {
            let range = KeyRange::prefix(keys::snapshots(run));
            let page = h.store.scan(&range, Direction::Forward, 1).unwrap();
            let (key, value) = &page.entries[0];
            let mut value = value.to_vec();
            *value.last_mut().unwrap() ^= 1;
            put(h, key.to_vec(), value);
        }),
        ("no piece", |h, run| {
            let range = KeyRange::prefix(keys::snapshots(run));
            let page = h.store.scan(&range, Direction::Forward, 1).unwrap();
            let mut transaction = Transaction::new();
            transaction.delete(page.entries[0].0.to_vec());
            h.store.commit(&transaction).unwrap();
        }),
        ("no pointer", |h, run| {
            let mut transaction = Transaction::new();
            transaction.delete(keys::snapshot_pointer(run));
            h.store.commit(&transaction).unwrap();
        }),
    ];
    for (name, harm) in harms {
        let (h, run) = four_of_six();
        harm(&h, run);
        let h = h.reopen(true);
        assert_eq!(h.state(run), RunState::Running, "{name}");
        ends_well(h, run);
        // Nothing else tells that it was passed over.
        let (h, run) = four_of_six();
        harm(&h, run);
        break_first_record(&h, run);
        let h = h.reopen(true);
        assert!(h.tasks.is_empty(), "{name}: it was read all the same");
    }
}

#[test]
fn a_snapshot_that_the_journal_does_not_go_on_from_is_passed_over() {
    let begun = |steps: usize| {
        let mut h = Harness::with_snapshots(u64::MAX);
        let run = h.start(&chain(&STEPS));
        for step in &STEPS[..steps] {
            h.succeed(step);
            h.settle();
        }
        (h, run)
    };
    let (h, run) = begun(4);
    // The same run, had it been drained after its second step.
    let (mut drained, same) = begun(2);
    assert_eq!(same, run);
    drained.stop(run, StopKind::Drain).unwrap();
    let other = drained.stored(run);
    assert_eq!(other.sequence() + 1, h.stored(run).sequence());
    let kept = KeptSnapshot {
        snapshot: other.snapshot().unwrap(),
        document: other.plan().digest,
        reason: "drained".into(),
    };
    for one in storage::keep_snapshot(h.store.as_ref(), run, &kept).unwrap() {
        h.store.commit(&one).unwrap();
    }
    let h = ends_well(h.reopen(true), run);
    assert_eq!(h.listed(run).reason, "");
}

#[test]
fn a_snapshot_that_is_kept_while_its_run_ends_leaves_nothing() {
    let mut h = Harness::with_snapshots(u64::MAX);
    let run = h.start(&chain(&STEPS));
    for step in &STEPS[..4] {
        h.succeed(step);
        h.settle();
    }
    let stored = h.stored(run);
    let kept = KeptSnapshot {
        snapshot: stored.snapshot().unwrap(),
        document: stored.plan().digest,
        reason: "".into(),
    };
    // It is read what to write; before that is written the run ends, and may be deleted.
    let late = storage::keep_snapshot(h.store.as_ref(), run, &kept).unwrap();
    assert!(late.len() > 1, "pieces and the pointer");
    let h = ends_well(h, run);
    for one in &late {
        assert!(matches!(h.store.commit(one), Err(CommitError::Conflict(_))));
    }
    assert_eq!((pieces(&h, run), pointer(&h, run)), (0, None));
    let later = storage::keep_snapshot(h.store.as_ref(), run, &kept).unwrap();
    assert!(later.is_empty(), "it has ended");
}
