//! The real program, by its real command line.

mod api;
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
mod metrics;
mod outage;
mod plan;
mod program;
mod quarantine;
mod refusals;
mod rest;
mod runs;
mod serve;
mod site;
mod statuses;
mod streams;
mod terminal;
mod test_cases;
mod waiting;
