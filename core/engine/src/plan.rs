//! A checked document, compiled into what a run walks: steps by index, edges both ways, expressions
//! parsed, defaults merged.

mod analysis;
mod compile;
mod drivers;
mod inputs;
mod rebuild;
mod schema;
mod types;

pub use compile::{version_order, version_satisfies};
pub use drivers::{ActionContract, DriverContract, Drivers};
pub use inputs::{check_outputs, declared_numbers, read_input_text};
pub use schema::{Schema, Violation};
pub use types::*;

pub(crate) use compile::compile;

/// The most instances of one step: the largest matrix, and the largest `foreach.max_items`. What a
/// run checks again where the document could not say how many there will be.
pub const MAX_INSTANCES: u32 = 10_000;
