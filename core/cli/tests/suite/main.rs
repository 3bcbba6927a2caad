//! The real program, by its real command line.

mod beside;
mod check;
mod crash;
mod directory;
mod disk;
mod engine;
mod examples;
mod exec;
mod help;
mod killed;
#[path = "../../../../tools/killpoint/library.rs"]
mod killpoint;
mod operate;
mod plan;
mod program;
mod quarantine;
mod refusals;
mod rest;
mod runs;
mod serve;
mod site;
mod statuses;
mod terminal;
mod test_cases;
