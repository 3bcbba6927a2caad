//! Where things lie in the store. Keys are bytes and sort as listed; a run's id sorts by its age.
//!
//! | key | holds |
//! | --- | --- |
//! | `s c` | the commit key of shard `s`: the last commit's epoch and number (PROTOCOL P10) |
//! | `s D NAME SCOPE VERSION` | a driver in one version |
//! | `s d DIGEST` | a pipeline revision: canonical JSON and source |
//! | `s e SESSION` | a session of a driver in another process; gone at its end |
//! | `s f` | which events were deleted |
//! | `s g DIGEST` | a document that may have lost its last user |
//! | `s i RUN` | the row of a run that listings read |
//! | `s j RUN SEQUENCE` | a record of a run's journal (PROTOCOL P4) |
//! | `s m` | what the store says about itself; of shard 0 alone |
//! | `s n KIND NAMESPACE NAME` | an object that somebody made: a namespace, a pipeline |
//! | `s N NAMESPACE NAME NUMBER` | a revision of a pipeline, by its number |
//! | `s p RUN` | which snapshot of a run is whole (PROTOCOL P8) |
//! | `s P NAMESPACE DIGEST NAME` | the same, by the digest of its document |
//! | `s q RUN` | why a run is quarantined |
//! | `s r RUN` | a run that has not ended, with its earliest timer; gone at the end |
//! | `s s RUN SEQUENCE` | a snapshot of a run after that record |
//! | `s v RUN HASH` | a value of a run that is too long for its record (PROTOCOL P32) |
//! | `s w LANE EPOCH NUMBER INDEX` | an event for whoever follows a namespace |
//! | `s x RUN` | a run that is going away: nobody sees it any more |
//! | `s y` | how much was deleted since files were last merged |
//!
//! `s` is one byte, the shard: 0, the only one of a local store. RUN is 16 bytes, DIGEST and HASH
//! are 32, SEQUENCE, EPOCH and NUMBER are 8 bytes, INDEX is 4, most significant first. LANE is `o` or `r`. NAME, NAMESPACE, SCOPE and VERSION are texts, each but the
//! last ended by a zero byte. The keys of logs are the
//! bus's own, beginning with `l/`; `l.` counts the commits of log lines.

use crate::id::RunId;
use conveyor_bus::AttemptKey;
use conveyor_engine::run::Identity;
use conveyor_engine::value::Hash;

/// The only shard of a local store.
pub const SHARD: u8 = 0;

fn key(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::with_capacity(2 + parts.iter().map(|part| part.len()).sum::<usize>());
    key.extend([SHARD, kind]);
    parts.iter().for_each(|part| key.extend_from_slice(part));
    key
}

/// The commit key.
#[must_use]
pub fn commit() -> Vec<u8> {
    key(b'c', &[])
}

/// What the store says about itself.
#[must_use]
pub fn meta() -> Vec<u8> {
    key(b'm', &[])
}

/// A pipeline revision.
#[must_use]
pub fn document(digest: &Hash) -> Vec<u8> {
    key(b'd', &[&digest.0])
}

/// A driver in one version; an empty scope means all namespaces.
#[must_use]
pub fn driver(name: &str, scope: &str, version: &str) -> Vec<u8> {
    let (name, scope) = (name.as_bytes(), scope.as_bytes());
    key(b'D', &[name, &[0], scope, &[0], version.as_bytes()])
}

/// Before all drivers.
#[must_use]
pub fn drivers() -> Vec<u8> {
    key(b'D', &[])
}

/// A session of a driver in another process.
#[must_use]
pub fn session(id: &str) -> Vec<u8> {
    key(b'e', &[id.as_bytes()])
}

/// Before all sessions.
#[must_use]
pub fn sessions() -> Vec<u8> {
    key(b'e', &[])
}

/// An object of a kind; one without a namespace has an empty one.
#[must_use]
pub fn object(kind: u8, namespace: &str, name: &str) -> Vec<u8> {
    let (namespace, name) = (namespace.as_bytes(), name.as_bytes());
    key(b'n', &[&[kind], namespace, &[0], name])
}

/// A revision of a pipeline, by the digest of its document.
#[must_use]
pub fn revision(namespace: &str, digest: &Hash, pipeline: &str) -> Vec<u8> {
    let (namespace, pipeline) = (namespace.as_bytes(), pipeline.as_bytes());
    key(b'P', &[namespace, &[0], &digest.0, pipeline])
}

/// Before all revisions of the pipelines of a namespace, by their digests.
#[must_use]
pub fn revisions_of(namespace: &str) -> Vec<u8> {
    key(b'P', &[namespace.as_bytes(), &[0]])
}

/// A revision of a pipeline, by its number.
#[must_use]
pub fn numbered_revision(namespace: &str, pipeline: &str, number: u64) -> Vec<u8> {
    let mut key = numbered_revisions(namespace, pipeline);
    key.extend_from_slice(&number.to_be_bytes());
    key
}

/// Before all revisions of a pipeline, by their numbers.
#[must_use]
pub fn numbered_revisions(namespace: &str, pipeline: &str) -> Vec<u8> {
    let (namespace, pipeline) = (namespace.as_bytes(), pipeline.as_bytes());
    key(b'N', &[namespace, &[0], pipeline, &[0]])
}

/// The row of a run that listings read.
#[must_use]
pub fn summary(run: RunId) -> Vec<u8> {
    key(b'i', &[&run.0])
}

/// Before the rows of all runs.
#[must_use]
pub fn summaries() -> Vec<u8> {
    key(b'i', &[])
}

/// A record of a run's journal.
#[must_use]
pub fn record(run: RunId, sequence: u64) -> Vec<u8> {
    key(b'j', &[&run.0, &sequence.to_be_bytes()])
}

/// Before all records of a run.
#[must_use]
pub fn records(run: RunId) -> Vec<u8> {
    key(b'j', &[&run.0])
}

/// Why a run is quarantined.
#[must_use]
pub fn quarantine(run: RunId) -> Vec<u8> {
    key(b'q', &[&run.0])
}

/// Before all quarantined runs.
#[must_use]
pub fn quarantines() -> Vec<u8> {
    key(b'q', &[])
}

/// A run that has not ended.
#[must_use]
pub fn live(run: RunId) -> Vec<u8> {
    key(b'r', &[&run.0])
}

/// Before all runs that have not ended.
#[must_use]
pub fn lives() -> Vec<u8> {
    key(b'r', &[])
}

/// Before all values of a run.
#[must_use]
pub fn values(run: RunId) -> Vec<u8> {
    key(b'v', &[&run.0])
}

/// A run that is going away.
#[must_use]
pub fn deletion(run: RunId) -> Vec<u8> {
    key(b'x', &[&run.0])
}

/// Before all runs that are going away.
#[must_use]
pub fn deletions() -> Vec<u8> {
    key(b'x', &[])
}

/// A document that may have lost its last user.
#[must_use]
pub fn unused(digest: &Hash) -> Vec<u8> {
    key(b'g', &[&digest.0])
}

/// Before all documents that may have lost their last user.
#[must_use]
pub fn all_unused() -> Vec<u8> {
    key(b'g', &[])
}

/// An event for whoever follows a namespace, by its lane and its place there.
#[must_use]
pub fn event(lane: u8, (epoch, number, index): (u64, u64, u32)) -> Vec<u8> {
    let (epoch, number) = (epoch.to_be_bytes(), number.to_be_bytes());
    key(b'w', &[&[lane], &epoch, &number, &index.to_be_bytes()])
}

/// Before all events of a lane.
#[must_use]
pub fn events(lane: u8) -> Vec<u8> {
    key(b'w', &[&[lane]])
}

/// The place in its lane that an event's key has.
#[must_use]
pub fn event_place(key: &[u8]) -> Option<(u64, u64, u32)> {
    let epoch = u64::from_be_bytes(key.get(3..11)?.try_into().ok()?);
    let number = u64::from_be_bytes(key.get(11..19)?.try_into().ok()?);
    Some((
        epoch,
        number,
        u32::from_be_bytes(key.get(19..)?.try_into().ok()?),
    ))
}

/// Which events were deleted.
#[must_use]
pub fn event_floor() -> Vec<u8> {
    key(b'f', &[])
}

/// How much was deleted since files were last merged.
#[must_use]
pub fn reclaim() -> Vec<u8> {
    key(b'y', &[])
}

/// Before all revisions of all pipelines, by their digests.
#[must_use]
pub fn revisions() -> Vec<u8> {
    key(b'P', &[])
}

/// A value of a run.
#[must_use]
pub fn value(run: RunId, hash: &Hash) -> Vec<u8> {
    key(b'v', &[&run.0, &hash.0])
}

/// The run that a key of `live`, `summary` or `quarantine` is about.
#[must_use]
pub fn run_of(key: &[u8]) -> Option<RunId> {
    Some(RunId(key.get(2..18)?.try_into().ok()?))
}

/// Which snapshot of a run is whole.
#[must_use]
pub fn snapshot_pointer(run: RunId) -> Vec<u8> {
    key(b'p', &[&run.0])
}

/// A snapshot of a run after a record.
#[must_use]
pub fn snapshot(run: RunId, sequence: u64) -> Vec<u8> {
    key(b's', &[&run.0, &sequence.to_be_bytes()])
}

/// Before all snapshots of a run.
#[must_use]
pub fn snapshots(run: RunId) -> Vec<u8> {
    key(b's', &[&run.0])
}

/// Where the log store keeps an attempt's lines.
pub(crate) fn log(run: RunId, id: Identity) -> AttemptKey {
    AttemptKey {
        run: run.0,
        step: id.step,
        instance: id.instance,
        attempt: id.attempt,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_a_run_sort_by_sequence_and_stay_among_themselves() {
        let run = RunId([7; 16]);
        assert!(record(run, 9) < record(run, 10));
        assert!(record(run, u64::MAX) < records(RunId([8; 16])));
        assert_eq!(run_of(&live(run)), Some(run));
    }

    #[test]
    fn events_of_a_lane_sort_by_their_place() {
        let places = [(0, 9, 9), (1, 0, 300), (1, 2, 0), (256, 1, 0)];
        let keys = places.map(|place| event(b'r', place));
        assert!(keys.is_sorted());
        assert_eq!(keys.map(|key| event_place(&key)), places.map(Some));
        assert!(event(b'o', (u64::MAX, u64::MAX, u32::MAX)) < events(b'r'));
    }
}
