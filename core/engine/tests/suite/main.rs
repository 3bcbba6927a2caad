//! The engine's integration tests: one program, a module for each subject.

// Tests read files and clocks and say how long things took; the engine does not.
#![allow(clippy::disallowed_methods, clippy::print_stderr)]

mod documents;
mod drivers;
mod journals;
mod places;
mod semantics;
mod snapshots;
mod states;
mod world;
