//! The driver contract's timings and the session's states, as data: `conveyor contract export` writes them,
//! and the tests hold the engine to them.

mod states;
mod timings;

pub use states::{Cause, Row, SESSION, SessionState};
pub use timings::{Timing, timings};
