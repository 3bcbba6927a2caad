//! The simulator over its first seeds, and over planted faults.

use conveyor_engine::run::table;
use conveyor_sim::simulation::{self, Counts, Options, Violation};

/// As many as the test command promises. In release this takes a few seconds.
const SEEDS: u64 = 2_000;

fn sweep(seeds: std::ops::Range<u64>, options: Options) -> Result<Counts, Violation> {
    std::thread::Builder::new()
        .stack_size(conveyor_engine::STACK_BYTES)
        .spawn(move || simulation::sweep(seeds, &options))
        .expect("a thread")
        .join()
        .expect("the simulator does not panic")
}

#[test]
fn two_thousand_lives_keep_every_promise_and_meet_every_row() {
    let counts =
        sweep(0..SEEDS, Options::default()).unwrap_or_else(|violation| panic!("{violation}"));
    for (fault, count) in &counts.faults {
        assert!(*count > 0, "{fault}");
    }
    assert_eq!(counts.faults.len(), 15, "{:?}", counts.faults.keys());
    let missing: Vec<_> = table::INSTANCE
        .iter()
        .filter(|row| !counts.rows.contains_key(row))
        .collect();
    assert!(missing.is_empty(), "no seed met {missing:?}");
    let missing: Vec<_> = table::RUN
        .iter()
        .filter(|row| !counts.run_rows.contains_key(row))
        .collect();
    assert!(missing.is_empty(), "no seed met {missing:?}");
}

#[test]
fn a_seed_lives_the_same_life_twice() {
    let life = || {
        format!(
            "{:?}",
            sweep(0..20, Options::default()).expect("a clean life")
        )
    };
    assert_eq!(life(), life());
}

#[test]
fn commits_without_their_guard_are_caught() {
    let options = Options {
        unguarded: true,
        ..Options::default()
    };
    let violation = sweep(0..SEEDS, options).expect_err("an unguarded commit does harm");
    assert!(!violation.what.is_empty());
}
