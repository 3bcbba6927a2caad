//! Engine and owner over a store and a clock that fail, from a seed.
//!
//! One seed is one life of a store: runs are started, drivers work, people stop and pause, commits
//! fail, outcomes stay unknown, copies come late, and the process dies at every point between two of
//! its actions. What clients and drivers saw is written down in a ledger, and held against the
//! store: at once, and when all is quiet. The same seed gives the same life.

mod changing;
mod client;
mod disk;
mod driver;
mod journal;
mod ledger;
#[cfg(feature = "planted")]
pub mod planted;
mod points;
mod process;
mod remote;
mod site;
mod vault;
mod world;

pub use ledger::Counts;
pub use world::{Options, Violation, run};

/// Lives through many seeds and adds up what happened.
///
/// # Errors
/// The first thing that must never be.
pub fn sweep(seeds: std::ops::Range<u64>, options: &Options) -> Result<Counts, Violation> {
    let mut all = Counts::default();
    for seed in seeds {
        all.add(&run(&Options {
            seed,
            ..options.clone()
        })?);
    }
    Ok(all)
}
