//! The real program, by its real command line.

mod beside;
mod check;
mod contract;
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
mod plan;
mod program;
mod quarantine;
mod refusals;
mod rest;
mod runs;
mod sdk;
mod serve;
mod site;
mod statuses;
mod terminal;
mod test_cases;
mod transcripts;
