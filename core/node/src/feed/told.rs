use super::OBJECTS;
use super::cursor::Lane;
use super::read::{floor, last};
use crate::envelope;
use crate::error::NodeError;
use crate::keys;
use crate::reader::{Reader, Topic};
use conveyor_proto::storage::v1::{RecordKind, StoredEvent};
use conveyor_store::{CommitError, Expected, Store, Transaction};
use prost::Message as _;
use std::sync::{Mutex, PoisonError};

/// Gives events of objects their numbers. One change at a time is committed with one.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// The number of the last event; `None` where it is to be read.
    last: Mutex<Option<u64>>,
}

impl Told {
    /// Commits a change with its event. Blocks. That nobody else has the number is a guard of the commit.
    pub(crate) fn commit(
        &self,
        reader: &Reader,
        mut transaction: Transaction,
        event: &StoredEvent,
    ) -> Result<Result<(), CommitError>, NodeError> {
        let store = reader.store().as_ref();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let number = 1 + match last.take() {
            Some(number) => number,
            None => read(store)?,
        };
        let key = keys::event(OBJECTS, (0, number, 0));
        let value = envelope::wrap(RecordKind::Event, 0, &event.encode_to_vec());
        transaction
            .compare(key.clone(), Expected::Absent)
            .put(key, value);
        let outcome = store.commit(&transaction);
        if outcome.is_ok() {
            *last = Some(number);
        }
        // Also where nobody knows what came of it.
        reader.hub().notify(&Topic::Events);
        Ok(outcome)
    }
}

fn read(store: &dyn Store) -> Result<u64, NodeError> {
    let last = last(store, Lane::Objects)?.number();
    // Read last: it has what is deleted meanwhile.
    Ok(last.max(floor(store)?.at(Lane::Objects).number()))
}
