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
mod hostile;
mod http;
mod killed;
#[path = "../../../../tools/killpoint/library.rs"]
mod killpoint;
mod load;
mod network;
mod operate;
mod plan;
mod program;
mod proxy;
mod quarantine;
mod raw;
mod refusals;
mod resources;
mod rest;
mod runs;
mod sdk;
mod serve;
mod site;
mod statuses;
mod terminal;
mod test_cases;
