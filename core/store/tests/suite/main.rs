//! The store's integration tests, one program.

mod backends;
mod child;
mod damaged;
mod data_dir;
mod faults;
mod full;
mod torn;
