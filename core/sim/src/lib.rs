//! Conveyor's seeded simulator, and the reference model that its properties are checked against.
//!
//! | module | what it is for |
//! | --- | --- |
//! | [`model`] | SEMANTICS, written a second time, naively, to compare the engine with |

pub mod model;
