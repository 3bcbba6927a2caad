use super::{commit, get, scan, try_commit};
use crate::{Bytes, CommitError, Direction, Expected, KeyRange, Store};
use std::sync::atomic::{AtomicBool, Ordering};

/// Several writers under one commit key: each number is taken once, and what its winner wrote with
/// it is there (PROTOCOL P10).
pub(super) fn one_winner_for_each_number(store: &dyn Store) {
    const WRITERS: u64 = 4;
    const EACH: u64 = 25;
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            scope.spawn(move || {
                let mut won = 0;
                while won < EACH {
                    let before = get(store, b"commit");
                    let number = before.as_ref().map_or(0, parse) + 1;
                    let expected = before.map_or(Expected::Absent, Expected::Value);
                    let outcome = try_commit(store, |t| {
                        t.compare("commit", expected)
                            .put("commit", number.to_be_bytes().to_vec());
                        t.put(
                            [b"n".as_ref(), &number.to_be_bytes()].concat(),
                            writer.to_string(),
                        );
                    });
                    match outcome {
                        Ok(()) => won += 1,
                        Err(CommitError::Conflict(_)) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
    });
    assert_eq!(
        get(store, b"commit").as_ref().map(parse),
        Some(WRITERS * EACH)
    );
    let all = scan(store, &KeyRange::prefix("n"), Direction::Forward, 1000);
    assert_eq!(all.entries.len() as u64, WRITERS * EACH);
}

/// A reader beside a writer sees whole transactions only.
pub(super) fn a_page_never_shows_half(store: &dyn Store) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..100u64 {
                commit(store, |t| {
                    for key in ["a", "b", "c", "d"] {
                        t.put(key, round.to_be_bytes().to_vec());
                    }
                });
            }
            done.store(true, Ordering::Release);
        });
        while !done.load(Ordering::Acquire) {
            let page = scan(store, &KeyRange::all(), Direction::Forward, 10);
            if let Some((_, first)) = page.entries.first() {
                assert_eq!(page.entries.len(), 4);
                assert!(
                    page.entries.iter().all(|(_, value)| value == first),
                    "{page:?}"
                );
            }
        }
    });
}

fn parse(bytes: &Bytes) -> u64 {
    u64::from_be_bytes(bytes.as_ref().try_into().expect("eight bytes"))
}
