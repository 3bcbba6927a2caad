//! Instants and durations as plain integers, and the two texts they are written in.

mod duration;
mod instant;

pub use duration::{Duration, DurationError};
pub use instant::{Time, TimeError};
