use conveyor_engine::run::RunState;
use std::fmt;

/// Why the node did not do what it was asked. Nothing has changed, except where
/// [`NodeError::Unavailable`] says that the outcome is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeError {
    /// There is no such run, document or value.
    NotFound(String),
    /// The run has ended.
    Ended(RunState),
    /// What was asked does not fit: an unknown id, a pause of a paused run.
    Invalid(String),
    /// Somebody else changed the object meanwhile.
    Conflict(String),
    /// No process moves the run: it was interrupted, and goes on only when it is continued.
    Interrupted(String),
    /// The run is quarantined.
    Quarantined(String),
    /// For now: the store failed, or the node is stopping. The same call may succeed later.
    Unavailable(String),
    /// For now: no space is left for the store. The same call succeeds once there is.
    Full(String),
    /// Stored bytes are not what this release can read.
    Corrupt(String),
}

impl NodeError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self, NodeError::Unavailable(_) | NodeError::Full(_))
    }
}

impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NodeError::Ended(state) => write!(f, "the run has ended: {state}"),
            NodeError::NotFound(message)
            | NodeError::Invalid(message)
            | NodeError::Conflict(message)
            | NodeError::Interrupted(message)
            | NodeError::Quarantined(message)
            | NodeError::Unavailable(message)
            | NodeError::Full(message)
            | NodeError::Corrupt(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for NodeError {}
