//! Conveyor's seeded simulator, and the reference model that its properties are checked against.
//!
//! | module | what it is for |
//! | --- | --- |
//! | [`simulation`] | lives of a store whose disk, clock and processes fail |
//! | [`model`] | SEMANTICS, written a second time, naively, to compare the engine with |

pub mod model;
pub mod simulation;
