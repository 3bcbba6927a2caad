//! The simulator over its first seeds. What it catches when a fault is planted, `conveyor-sim
//! --planted all` shows.

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
fn two_thousand_lives_keep_every_promise_and_meet_every_row_and_crash_point() {
    let counts =
        sweep(0..SEEDS, Options::default()).unwrap_or_else(|violation| panic!("{violation}"));
    let missing = counts.missing();
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
