//! Everything that is done to a process and its store. What is in here and never happens proves
//! nothing, so the test asserts that none of it counts 0.

/// Errors that are injected, and things that come at the wrong moment.
pub(super) const FAULTS: &[&str] = &[
    "commit",
    "commit failed",
    "commit refused for its content",
    "outcome unknown, committed",
    "outcome unknown, not committed",
    "outcome unknown, a copy comes late",
    "a late copy arrived",
    "a run could not be read",
    "values could not be read",
    "the commit key could not be read",
    "the shard could not be acquired",
    "live work could not be listed",
    "a journal was damaged",
    "a damaged journal was repaired",
    "a quarantined run was released",
    "a report came twice",
    "a report came from a dead process",
    "a driver never ended",
    "a driver did not heed a cancel",
];

/// Where the process dies: before and after all that its threads wait for or give away.
pub(super) const CRASHES: &[&str] = &[
    "crash before the shard is acquired",
    "crash after the shard was acquired",
    "crash before live work is listed",
    "crash between two inputs",
    "crash between two outputs",
    "crash before a request is taken",
    "crash before a report is taken",
    "crash before a place is given back",
    "crash before a timer is taken",
    "crash before a turn",
    "crash before a group is sent",
    "crash before a commit",
    "crash after a commit, before its outcome is known",
    "crash after an outcome, before what it lets go",
    "crash before the commit key is read",
    "crash before a run is read",
    "crash after a run was read",
    "crash before values are read",
    "crash after values were read",
    "crash before an answer",
    "crash before a task is started",
    "crash after a task was started",
    "crash before a task is told to stop",
    "crash before a task is ended",
    "crash before followers hear of a record",
];
