//! The progress of a run: a tree that is drawn again as it changes, or plain lines.

mod live;
mod plain;
mod tree;

pub(crate) use live::Live;
pub(crate) use plain::line;
pub(crate) use tree::{Frame, Tails, tree};

#[cfg(test)]
mod tests;
