//! What followers of a namespace are told: each change of a run's state, and each change of an object, as a
//! row that needs nothing else to be told.
//!
//! There are two lanes, each in an order of its own. Events of runs are part of the group that they tell
//! of, under the number of its commit; those of objects are part of the change, under a number that grows by
//! one. In both, whoever has read a place has missed none before it, so that a [`Cursor`] is two places. What
//! is deleted goes from the front of a lane, and a row says how far.
//!
//! | module | what it is for |
//! | --- | --- |
//! | `cursor` | where a follower is |
//! | `read` | pages of events |
//! | `told` | events of objects are made |

mod cursor;
mod read;
mod told;

pub use cursor::{Cursor, Lane, Place};
pub(crate) use read::floor;
pub use read::{Page, Read, Told as Event};
pub(crate) use told::Told;

/// The lane of runs, in keys.
pub(crate) const RUNS: u8 = b'r';
/// The lane of objects.
pub(crate) const OBJECTS: u8 = b'o';
