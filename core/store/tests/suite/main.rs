//! The store's integration tests, one program.

mod backends;
mod data_dir;
