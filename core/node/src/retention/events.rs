//! Events that have come of age.

use super::space::count;
use crate::envelope;
use crate::error::NodeError;
use crate::feed::{Cursor, Lane, floor};
use crate::keys;
use crate::node::Node;
use crate::reader::Reader;
use crate::stored::decode;
use conveyor_engine::time::{Duration, Time};
use conveyor_proto::storage::v1::{RecordKind, StoredEvent, StoredEventFloor};
use conveyor_store::{Direction, Expected, KeyRange, Store, Transaction};
use prost::Message as _;
use std::sync::Arc;

/// Events that one turn deletes at most, in one commit.
const SEGMENT: usize = 512;

impl Node {
    /// Deletes events from the front of each lane, a segment in a commit, which says how far it goes: a
    /// follower that was before it is told so.
    pub(super) async fn retain_events(
        &self,
        kept: Option<Duration>,
        now: Time,
    ) -> Result<usize, NodeError> {
        let Some(kept) = kept else { return Ok(0) };
        let mut count = 0;
        for lane in Lane::ALL {
            loop {
                let (node, store) = (self.clone(), Arc::clone(self.reader().store()));
                let turn = move |_: &Reader| segment(&node, store.as_ref(), lane, kept, now);
                let deleted = self.reader().on_worker(turn).await?;
                count += deleted;
                if deleted < SEGMENT {
                    break;
                }
                tokio::time::sleep(super::pass::REST).await;
            }
        }
        Ok(count)
    }
}

/// Deletes the first events of a lane that are old; how many.
fn segment(
    node: &Node,
    store: &dyn Store,
    lane: Lane,
    kept: Duration,
    now: Time,
) -> Result<usize, NodeError> {
    let _one = node.sweeps().turn();
    let key = keys::event_floor();
    let was = store.get(&key)?;
    let mut reached: Cursor = floor(store)?;
    let mut range = KeyRange::prefix(keys::events(lane.byte()));
    // What was deleted before is not looked at again.
    range.start = reached.at(lane).key(lane).into();
    let page = store.scan(&range, Direction::Forward, SEGMENT)?;
    let mut transaction = Transaction::new();
    let mut bytes = 0;
    for (key, value) in &page.entries {
        let event: StoredEvent = decode(RecordKind::Event, value)?;
        if Time(event.time_ms).after(kept) > now {
            break;
        }
        if let Some(place) = crate::feed::Place::of(key, value) {
            reached.advance(lane, place);
        }
        bytes += (key.len() + value.len()) as u64;
        transaction.delete(key.clone());
    }
    let deleted = transaction.deletes.len();
    if deleted == 0 {
        return Ok(0);
    }
    let reached = StoredEventFloor::from(reached).encode_to_vec();
    let value = envelope::wrap(RecordKind::EventFloor, 0, &reached);
    let expected = was.map_or(Expected::Absent, Expected::Value);
    transaction.compare(key.clone(), expected).put(key, value);
    count(store, &mut transaction, |so_far| so_far + bytes)?;
    store.commit(&transaction)?;
    Ok(deleted)
}
