//! A checked document, compiled into what a run walks: steps by index, edges both ways, expressions
//! parsed, defaults merged.

mod stub;
mod types;

pub use stub::MAX_INSTANCES;
pub use types::*;
