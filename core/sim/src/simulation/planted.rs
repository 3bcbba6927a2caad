//! Faults in the product's own code, one at a time: each must be caught.

use super::{Options, Violation, run};
pub use conveyor_engine::planted::Fault;
use conveyor_engine::planted::plant;
use std::ops::Range;
use std::time::{Duration, Instant};

/// What became of a planted fault.
#[derive(Clone, Debug)]
pub struct Hunt {
    /// The fault.
    pub fault: Fault,
    /// What gave it away; `None` where all seeds went well.
    pub caught: Option<Violation>,
    /// How many seeds were lived through.
    pub tried: u64,
    /// Whether that seed fails without the fault, too: then nothing is known about the fault.
    pub without: bool,
    /// How long it took.
    pub took: Duration,
}

impl Hunt {
    /// Whether it was caught, and by nothing but itself.
    #[must_use]
    pub fn is_caught(&self) -> bool {
        self.caught.is_some() && !self.without
    }
}

/// Plants a fault and lives through seeds until one shows it. Call it on a stack of
/// [`conveyor_engine::STACK_BYTES`].
#[must_use]
pub fn hunt(fault: Fault, seeds: Range<u64>, options: &Options) -> Hunt {
    let started = Instant::now();
    plant(Some(fault));
    let life = |seed| {
        run(&Options {
            seed,
            ..options.clone()
        })
        .err()
    };
    let from = seeds.start;
    let mut tried = 0;
    let caught = seeds.into_iter().find_map(|seed| {
        tried = seed + 1 - from;
        life(seed)
    });
    plant(None);
    let without = caught
        .as_ref()
        .is_some_and(|violation| life(violation.seed).is_some());
    Hunt {
        fault,
        caught,
        tried,
        without,
        took: started.elapsed(),
    }
}
