//! What a task may do besides returning, whatever carries it: a session, the engine's own process, a
//! test.

use crate::detach::{Detach, Handover};
use crate::log::Line;
use std::future::Future;
use std::pin::Pin;

/// Why a checkpoint is not kept, or a task not handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NotKept(pub(crate) String);

impl std::fmt::Display for NotKept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotKept {}

pub(crate) type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Where what a task says goes.
pub(crate) trait Sink: Send + Sync + std::fmt::Debug {
    /// A log line, at once. False when too many are on their way already.
    fn line(&self, line: Line) -> bool;

    /// A log line, once there is room for it.
    fn line_when_room(&self, line: Line) -> Later<()>;

    /// How far the task is: in thousandths, and in words.
    fn progress(&self, permille: Option<u32>, message: String);

    /// What a next attempt should know; ready once it is durable.
    fn checkpoint(&self, data: Vec<u8>) -> Later<Result<(), NotKept>>;

    /// The task goes on elsewhere; ready once that is durable.
    fn detach(&self, detach: Detach) -> Later<Result<Handover, NotKept>>;
}
