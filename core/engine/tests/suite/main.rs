//! The engine's integration tests: one program, a module for each subject.

mod documents;
mod semantics;
mod states;
mod world;
