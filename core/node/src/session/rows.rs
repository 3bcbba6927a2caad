//! Drivers and sessions in the store. Everything here blocks.

use crate::envelope;
use crate::error::NodeError;
use crate::keys;
use crate::stored::{decode, scan};
use conveyor_proto::storage::v1::{RecordKind, StoredDriver, StoredSession};
use conveyor_store::{KeyRange, Store, Transaction};
use prost::Message;

fn all<M: Message + Default>(
    store: &dyn Store,
    kind: RecordKind,
    prefix: Vec<u8>,
) -> Result<Vec<M>, NodeError> {
    let mut rows = Vec::new();
    scan(store, KeyRange::prefix(prefix), |_, value| {
        rows.push(decode(kind, value)?);
        Ok(())
    })?;
    Ok(rows)
}

pub(super) fn drivers(store: &dyn Store) -> Result<Vec<StoredDriver>, NodeError> {
    all(store, RecordKind::Driver, keys::drivers())
}

pub(super) fn sessions(store: &dyn Store) -> Result<Vec<StoredSession>, NodeError> {
    all(store, RecordKind::Session, keys::sessions())
}

/// A session's row and its driver's: one commit. The driver may have been forgotten since it was read,
/// and a session is never without it.
pub(super) fn keep(
    store: &dyn Store,
    session: &StoredSession,
    driver: &StoredDriver,
) -> Result<(), NodeError> {
    let mut transaction = Transaction::new();
    let key = keys::driver(&driver.name, &driver.scope, &driver.version);
    let row = envelope::wrap(RecordKind::Driver, 0, &driver.encode_to_vec());
    transaction.put(key, row);
    let row = envelope::wrap(RecordKind::Session, 0, &session.encode_to_vec());
    transaction.put(keys::session(&session.id), row);
    Ok(store.commit(&transaction)?)
}

/// Forgets a driver in all of its versions.
pub(super) fn forget(
    store: &dyn Store,
    name: &str,
    scope: &str,
    versions: &[String],
) -> Result<(), NodeError> {
    if versions.is_empty() {
        return Ok(());
    }
    let mut transaction = Transaction::new();
    for version in versions {
        transaction.delete(keys::driver(name, scope, version));
    }
    Ok(store.commit(&transaction)?)
}

/// The session is over.
pub(crate) fn remove(store: &dyn Store, session: &str) -> Result<(), NodeError> {
    let mut transaction = Transaction::new();
    transaction.delete(keys::session(session));
    Ok(store.commit(&transaction)?)
}
