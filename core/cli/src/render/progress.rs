//! The progress of a run: a tree that is drawn again as it changes, or plain lines.
//!
//! | module | what it is for |
//! | --- | --- |
//! | `tree`, `row`, `tails` | what the tree says and what there is room for: pure |
//! | `region`, `live` | the tree on a terminal |
//! | `plain` | a line for each event |

mod live;
mod plain;
mod region;
mod row;
mod tails;
mod tree;

pub(crate) use live::Live;
pub(crate) use plain::line;
#[cfg(test)]
use tails::Tails;
pub(crate) use tree::Frame;

#[cfg(test)]
mod tests;
