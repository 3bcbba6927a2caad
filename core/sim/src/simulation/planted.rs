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
    /// How long it took.
    pub took: Duration,
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
    let caught = seeds.into_iter().find_map(life);
    plant(None);
    Hunt {
        fault,
        caught,
        took: started.elapsed(),
    }
}
