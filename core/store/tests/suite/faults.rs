//! What a store still holds after its process was killed or its disk failed.

use crate::backends::open;
use crate::child::{self, Said};
use crate::torn::memory_dir;
use std::path::Path;

const COUNT: &str = "CONVEYOR_KILLPOINT_COUNT";
const KILL: &str = "CONVEYOR_KILLPOINT";
const FAIL: &str = "CONVEYOR_FAILPOINT";

/// One `fdatasync` a commit, no more: DESIGN §11 gives a step two.
#[test]
fn a_commit_is_one_sync() {
    let root = tempfile::tempdir().unwrap();
    let syncs = |commits: u64| {
        let count = root.path().join(format!("count{commits}"));
        let said = child::run(
            &root.path().join(format!("data{commits}")),
            commits,
            &[(COUNT, count.to_str().unwrap())],
        );
        assert!(said.ended && said.committed.len() as u64 == commits);
        let text = std::fs::read_to_string(count).unwrap();
        let syncs = text
            .split_once("syncs=")
            .unwrap()
            .1
            .split_once(' ')
            .unwrap()
            .0;
        syncs.parse::<u64>().unwrap()
    };
    let few = syncs(10);
    assert_eq!(syncs(110) - few, 100);
}

/// Killed while the store is made (its first 52 syncs or so), and at commits.
#[test]
fn a_kill_at_any_sync_loses_nothing() {
    for kill in (1..=52).step_by(4).chain(53..=62).chain([80, 95]) {
        for moment in ["before", "after"] {
            let root = tempfile::tempdir().unwrap();
            let directory = root.path().join("data");
            let point = format!("{moment}:{kill}");
            let said = child::run(&directory, 50, &[(KILL, &point)]);
            let present = holds_what_was_said(&directory, &said);
            // Killed again during recovery, and continued.
            let point = format!("{moment}:{}", kill % 5 + 1);
            let again = child::run(&directory, 50, &[(KILL, &point)]);
            assert!(
                again
                    .committed
                    .iter()
                    .all(|number| !present.contains(number))
            );
            holds_what_was_said(&directory, &said);
            holds_what_was_said(&directory, &again);
        }
    }
}

#[test]
fn a_failed_sync_is_told_truthfully_and_gets_over() {
    for range in ["9-9", "12-13", "15-30", "20-60"] {
        recovers_from(&format!("fdatasync:EIO:{range}"));
    }
}

#[test]
fn a_full_disk_is_told_truthfully_and_gets_over() {
    for range in ["20-20", "25-26", "30-60", "40-200"] {
        recovers_from(&format!("write:ENOSPC:{range}"));
    }
}

/// Commits so large that some hundred of them have memory tables written out, files merged and the
/// journal begun anew, with failures all along the way: each window hits other calls, in commits and
/// in fjall's own threads.
#[test]
fn failures_in_the_background_are_got_over() {
    const COMMITS: u64 = 120;
    let root = memory_dir();
    let count = root.path().join("count");
    drop(open(&root.path().join("all")));
    let said = run_larger(
        &root.path().join("all"),
        COMMITS,
        (COUNT, count.to_str().unwrap()),
    );
    assert!(said.ended && said.recoveries == 0, "{said:?}");
    let text = std::fs::read_to_string(count).unwrap();
    let counted = |name: &str| -> u64 {
        let rest = text.split_once(name).unwrap().1;
        rest.split_whitespace().next().unwrap().parse().unwrap()
    };
    for (call, errno, calls) in [
        ("write", "ENOSPC", counted("writes=")),
        ("write", "EIO", counted("writes=")),
        ("fdatasync", "EIO", counted("syncs=")),
        ("fdatasync", "ENOSPC", counted("syncs=")),
    ] {
        let (mut got_over, windows) = (0, 12);
        for window in 1..windows {
            let first = calls * window / windows;
            let failure = format!("{call}:{errno}:{first}-{}", first + window);
            let directory = root.path().join(failure.replace(':', "-"));
            drop(open(&directory));
            let said = run_larger(&directory, COMMITS, (FAIL, &failure));
            assert!(said.ended, "{failure}: the child did not end: {said:?}");
            assert!(
                said.committed.len() as u64 > COMMITS / 2,
                "{failure}: {said:?}"
            );
            holds_what_was_said(&directory, &said);
            // Where the last call of the child failed there is nothing to get over.
            let goes_on = said.committed.contains(&COMMITS);
            got_over += u64::from(said.recoveries > 0 && goes_on);
            std::fs::remove_dir_all(directory).unwrap();
        }
        assert!(
            got_over > windows / 3,
            "{call}:{errno} was got over {got_over} times"
        );
    }
}

fn run_larger(directory: &Path, commits: u64, setting: (&str, &str)) -> Said {
    child::run(directory, commits, &[(child::LARGER, "100"), setting])
}

fn recovers_from(failure: &str) {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("data");
    // Made beforehand, so that the child's first calls are those of opening and then commits.
    drop(open(&directory));
    let said = child::run(&directory, 400, &[(FAIL, failure)]);
    assert!(said.ended, "{failure}: the child did not end");
    assert!(said.recoveries > 0, "{failure}: nothing failed: {said:?}");
    assert!(
        said.committed.contains(&400),
        "{failure}: the store did not recover: {said:?}"
    );
    holds_what_was_said(&directory, &said);
}

/// Every commit that was acknowledged is there, none that failed is, and at most one more than was
/// said: the one that was under way.
fn holds_what_was_said(directory: &Path, said: &Said) -> std::collections::BTreeSet<u64> {
    let store = open(directory);
    let present = child::inspect(&store, 600);
    let missing: Vec<_> = said.committed.difference(&present).collect();
    assert!(missing.is_empty(), "acknowledged and lost: {missing:?}");
    let undead: Vec<_> = said.failed.intersection(&present).collect();
    assert!(
        undead.is_empty(),
        "said to have failed and there: {undead:?}"
    );
    present
}
