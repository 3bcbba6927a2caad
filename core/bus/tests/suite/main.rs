//! The bus's integration tests, one program.

mod hub;
mod logs;
