//! A checked document, compiled into what a run walks: steps by index, edges both ways, expressions
//! parsed, defaults merged.

mod types;

pub use types::*;
