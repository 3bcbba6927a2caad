//! The tests of the reference model, and of the engine against it.

mod agreement;
mod case;
mod engine;
mod examples;
mod plan;
#[cfg(not(feature = "planted"))]
mod planted;
mod random_runs;
mod simpler;
mod simulation;
