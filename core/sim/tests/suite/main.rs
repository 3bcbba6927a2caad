//! The tests of the reference model, and of the engine against it.

mod case;
mod examples;
mod random_runs;
mod simulation;
