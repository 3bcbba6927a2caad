//! Snapshots (PROTOCOL P8): a run that is read from one is the run that its journal folds to.

use crate::journals::newest;
use crate::world::world;
use conveyor_engine::run::{Run, SNAPSHOT_FORMAT, Snapshot, StepState};
use conveyor_engine::value::Hash;
use std::path::Path;
use std::sync::Arc;

#[test]
fn a_snapshot_after_any_record_goes_on_as_the_fold_does() {
    for (path, recorded) in newest() {
        let mut run = Run::new(Arc::clone(&recorded.plan));
        let mut restored: Vec<Run> = Vec::new();
        for record in &recorded.records {
            let decided = run.fold(record).expect("it folds");
            for other in &mut restored {
                let others = other.fold(record).expect("it folds from a snapshot, too");
                assert_eq!(others, decided, "{} {}", path.display(), record.sequence);
            }
            let snapshot = run.snapshot().expect("no record is open");
            let read = Run::restore(Arc::clone(&recorded.plan), &snapshot).expect("it is read");
            assert!(read == run, "{} {}", path.display(), record.sequence);
            assert_eq!(read.pending(), run.pending(), "{}", path.display());
            restored.push(read);
        }
        assert!(
            restored.iter().all(|other| *other == run),
            "{}",
            path.display()
        );
    }
}

/// What the snapshots of all recorded journals are, in one line.
fn layout() -> String {
    let mut all = Vec::new();
    for (_, recorded) in newest() {
        let mut run = Run::new(recorded.plan);
        for record in &recorded.records {
            run.fold(record).expect("it folds");
            all.extend_from_slice(&run.snapshot().expect("no record is open").bytes);
        }
    }
    format!("{SNAPSHOT_FORMAT} {}\n", Hash::of(&all))
}

#[test]
fn a_layout_belongs_to_one_format() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/snapshots.txt");
    let found = layout();
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, &found).expect("it is written");
    }
    let recorded = std::fs::read_to_string(&path).expect("it is there");
    assert_eq!(
        found, recorded,
        "the bytes of snapshots have changed: if it is their layout, give SNAPSHOT_FORMAT another \
         number, else an old one would be read wrongly; then run this test with UPDATE_SNAPSHOTS=1"
    );
}

#[test]
fn a_snapshot_that_is_cut_off_or_of_another_plan_is_not_read() {
    let mut run = world("  steps: [{id: a, driver: d}, {id: b, driver: d}]\n");
    run.claim("a");
    let other = world("  steps: [{id: a, driver: d}]\n");
    let whole = run.run.snapshot().expect("no record is open");
    let plan = || Arc::clone(run.run.plan());
    assert!(Run::restore(plan(), &whole).is_some());
    assert!(Run::restore(Arc::clone(other.run.plan()), &whole).is_none());
    for bytes in [
        &whole.bytes[..whole.bytes.len() - 1],
        &[&whole.bytes[..], &[0]].concat(),
    ] {
        let bytes = Arc::from(bytes);
        assert!(Run::restore(plan(), &Snapshot { bytes, ..whole }).is_none());
    }
    let elsewhere = Snapshot {
        sequence: whole.sequence + 1,
        ..whole
    };
    assert!(Run::restore(plan(), &elsewhere).is_none());
}

#[test]
fn the_cost_of_snapshots_is_a_share_of_the_facts() {
    let mut world =
        world("  steps: [{id: a, driver: d, foreach: {items: '${{ lists.range(1000) }}'}}]\n");
    let (mut facts, mut taken) = (0, Vec::new());
    while world.run.step(0).state != StepState::Succeeded {
        let offers = world.run.pending().offers;
        for id in offers {
            let name = format!("a[{}]", id.instance);
            world.claim(&name).succeed(&name);
            facts += 2;
            if let Some(snapshot) = world.run.take_snapshot(100) {
                taken.push((facts, snapshot.bytes.len()));
            }
        }
    }
    let facts_between: Vec<_> = taken.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    assert!(!taken.is_empty(), "{facts} facts");
    // 1,000 instances: one for each 1,000 facts, not for each hundred.
    assert!(
        facts_between.iter().all(|facts| *facts >= 1000),
        "{taken:?}"
    );
    assert!(taken.len() <= 3, "{taken:?}");
}

#[test]
fn a_snapshot_is_read_sooner_than_its_journal_is_folded() {
    const INSTANCES: u32 = 3_000;
    let mut world = world(&format!(
        "  steps: [{{id: a, driver: d, foreach: {{items: '${{{{ lists.range({INSTANCES}) }}}}'}}}}]\n"
    ));
    for at in 0..INSTANCES {
        let name = format!("a[{at}]");
        world.claim(&name).succeed(&name);
    }
    let plan = Arc::clone(world.run.plan());
    let snapshot = world.run.snapshot().expect("no record is open");
    // The best of several: whatever else the machine does costs time, and saves none.
    let best = |work: &dyn Fn() -> Run| {
        let times = (0..5).map(|_| {
            let started = std::time::Instant::now();
            assert!(work() == world.run);
            started.elapsed()
        });
        times.min().expect("it was done")
    };
    let folded = best(&|| {
        let mut run = Run::new(Arc::clone(&plan));
        let each = world.journal.iter();
        each.for_each(|record| drop(run.fold(record).expect("it folds")));
        run
    });
    let read = best(&|| Run::restore(Arc::clone(&plan), &snapshot).expect("it is read"));
    let records = world.journal.len();
    let bytes = snapshot.bytes.len();
    eprintln!(
        "{records} records are folded in {folded:?}; the snapshot has {bytes} bytes and is read in {read:?}"
    );
    assert!(read < folded, "{read:?} {folded:?}");
}
