//! The store's integration tests, one program.

mod backends;
mod child;
mod damaged;
mod data_dir;
mod faults;
mod full;
#[path = "../../../../tools/killpoint/library.rs"]
mod killpoint;
mod torn;
