//! Objects that people make beside runs: rows under a name, changed only by who has seen them as they
//! are.

use crate::envelope;
use crate::error::NodeError;
use crate::keys;
use crate::node::Node;
use crate::reader::Reader;
use crate::stored::decode;
use conveyor_engine::time::Time;
use conveyor_engine::value::Hash;
use conveyor_proto::storage::v1::{
    RecordKind, StoredChange, StoredDefinition, StoredDefinitionVersion, StoredEvent,
    StoredEventFloor, StoredIdempotency, StoredMeta, StoredNamespace, StoredPipeline,
    StoredResource, StoredResourceVersion, StoredToken, StoredTriggers, StoredUse,
};
use conveyor_store::{Bytes, CommitError, Direction, Expected, KeyRange, Store, Transaction};
use prost::Message;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Rows that one listing reads at most while it looks for those that fit.
const LOOKED_AT: usize = 10_000;

/// A kind of row.
pub trait Object: Message + Default + Clone + Send + 'static {
    /// The byte that its keys have.
    const KIND: u8;
    /// What its rows are.
    const RECORD: RecordKind;

    /// What filters look at.
    fn labels(&self) -> Option<&BTreeMap<String, String>>;

    /// When it was made, of what filters may look for by that.
    fn created(&self) -> Option<Time>;
}

/// Makes a message a kind of row; with `labelled`, its meta's labels are what filters look at.
macro_rules! objects {
    ($($message:ident $kind:literal $record:ident $labels:ident;)*) => {
        $(impl Object for $message {
            const KIND: u8 = $kind;
            const RECORD: RecordKind = RecordKind::$record;

            fn labels(&self) -> Option<&BTreeMap<String, String>> {
                objects!(@$labels self).map(|meta| &meta.labels)
            }

            fn created(&self) -> Option<Time> {
                objects!(@$labels self).map(|meta| Time(meta.created_ms))
            }
        })*
    };
    (@labelled $row:ident) => { $row.meta.as_ref() };
    (@bare $row:ident) => {{
        let _ = $row;
        None::<&StoredMeta>
    }};
}

objects! {
    StoredNamespace b'n' Namespace labelled;
    StoredPipeline b'p' Pipeline labelled;
    StoredDefinition b'd' Definition labelled;
    StoredDefinitionVersion b'D' DefinitionVersion bare;
    StoredUse b'u' Use bare;
    StoredResource b'r' Resource labelled;
    StoredResourceVersion b'R' ResourceVersion bare;
    StoredTriggers b't' Triggers bare;
    StoredChange b'c' Change bare;
    StoredIdempotency b'i' Idempotency bare;
    StoredToken b'a' Token bare;
    StoredEventFloor b'e' EventFloor bare;
}

/// A row as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Row<M> {
    /// What it says.
    pub value: M,
    /// Its bytes: a change names them, and is refused where they have changed.
    raw: Bytes,
}

impl<M: Object> Row<M> {
    /// A row as it will be read once it is put.
    #[must_use]
    pub fn new(value: M) -> Row<M> {
        let raw = envelope::wrap(M::RECORD, 0, &value.encode_to_vec()).into();
        Row { value, raw }
    }
}

impl<M> Row<M> {
    /// Changes with every change.
    #[must_use]
    pub fn etag(&self) -> String {
        let hash = Hash::of(&self.raw);
        hash.0[..8]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

/// Which rows are listed.
#[derive(Clone, Debug, Default)]
pub struct ListObjects {
    /// Of this namespace; empty for those that have none.
    pub namespace: String,
    /// Only names that begin so.
    pub prefix: String,
    /// Only with all of these labels.
    pub labels: BTreeMap<String, String>,
    /// Only those made at or after this.
    pub created_from: Option<Time>,
    /// Only those made before this.
    pub created_before: Option<Time>,
    /// Only names after this one.
    pub after: Option<String>,
    /// At most so many.
    pub limit: usize,
}

impl ListObjects {
    /// Whether something that has these labels and was made then is listed. What nobody made is none of an
    /// instant.
    #[must_use]
    pub fn takes(&self, labels: Option<&BTreeMap<String, String>>, created: Option<Time>) -> bool {
        let has = |(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value);
        let within = |from: Option<Time>, made: fn(Time, Time) -> bool| {
            from.is_none_or(|bound| created.is_some_and(|created| made(created, bound)))
        };
        self.labels.iter().all(has)
            && within(self.created_from, |created, from| created >= from)
            && within(self.created_before, |created, before| created < before)
    }

    /// Whether only those of some time are listed.
    #[must_use]
    pub fn is_dated(&self) -> bool {
        self.created_from.is_some() || self.created_before.is_some()
    }
}

/// A part of a listing.
#[derive(Clone, Debug)]
pub struct ObjectPage<M> {
    /// Names and rows, by name.
    pub rows: Vec<(String, Row<M>)>,
    /// Where the next part begins: `after` of the next call. `None` after the last.
    pub next: Option<String>,
}

/// Changes of rows that are made together or not at all.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    transaction: Transaction,
    event: Option<StoredEvent>,
}

impl Changes {
    /// None yet.
    #[must_use]
    pub fn new() -> Changes {
        Changes::default()
    }

    /// Makes a row, or changes the one that was read.
    pub fn put<M: Object>(
        &mut self,
        namespace: &str,
        name: &str,
        value: &M,
        was: Option<&Row<M>>,
    ) -> &mut Changes {
        let key = keys::object(M::KIND, namespace, name);
        let expected = was.map_or(Expected::Absent, |row| Expected::Value(row.raw.clone()));
        let row = envelope::wrap(M::RECORD, 0, &value.encode_to_vec());
        self.transaction
            .compare(key.clone(), expected)
            .put(key, row);
        self
    }

    /// Changes nothing of a row, but refuses all if it is not as it was read.
    pub fn keep<M: Object>(&mut self, namespace: &str, name: &str, was: &Row<M>) -> &mut Changes {
        let key = keys::object(M::KIND, namespace, name);
        let expected = Expected::Value(was.raw.clone());
        self.transaction.compare(key, expected);
        self
    }

    /// Refuses all if there is such a row.
    pub fn absent<M: Object>(&mut self, namespace: &str, name: &str) -> &mut Changes {
        let key = keys::object(M::KIND, namespace, name);
        self.transaction.compare(key, Expected::Absent);
        self
    }

    /// Removes the row that was read.
    pub fn delete<M: Object>(&mut self, namespace: &str, name: &str, was: &Row<M>) -> &mut Changes {
        let key = keys::object(M::KIND, namespace, name);
        let expected = Expected::Value(was.raw.clone());
        self.transaction.compare(key.clone(), expected).delete(key);
        self
    }

    /// Tells followers of the namespace of it.
    pub fn tell(&mut self, event: StoredEvent) -> &mut Changes {
        self.event = Some(event);
        self
    }

    /// The commit that makes them.
    #[must_use]
    pub fn transaction(&self) -> &Transaction {
        &self.transaction
    }

    /// The commit, for rows that are no objects.
    pub(crate) fn also(&mut self) -> &mut Transaction {
        &mut self.transaction
    }
}

impl Reader {
    /// An object by its name.
    ///
    /// # Errors
    /// When the store cannot be read, or has something else there.
    pub async fn object<M: Object>(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Row<M>>, NodeError> {
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        self.on_worker(move |reader| get(reader.store().as_ref(), &namespace, &name))
            .await
    }

    /// The last of the objects whose names begin so, by name.
    ///
    /// # Errors
    /// As [`Reader::object`].
    pub async fn last_object<M: Object>(
        &self,
        namespace: &str,
        prefix: &str,
    ) -> Result<Option<(String, Row<M>)>, NodeError> {
        let (namespace, prefix) = (namespace.to_owned(), prefix.to_owned());
        self.on_worker(move |reader| last(reader.store().as_ref(), &namespace, &prefix))
            .await
    }

    /// Objects of a kind, by name.
    ///
    /// # Errors
    /// As [`Reader::object`].
    pub async fn objects<M: Object>(&self, list: ListObjects) -> Result<ObjectPage<M>, NodeError> {
        self.on_worker(move |reader| self::list(reader.store().as_ref(), &list))
            .await
    }
}

impl Node {
    /// Makes changes: durable when this returns.
    ///
    /// # Errors
    /// [`NodeError::Conflict`] when a row is not as it was read: nothing has changed;
    /// [`NodeError::Unavailable`] and the like when the store fails.
    pub async fn change(&self, changes: Changes) -> Result<(), NodeError> {
        let (reader, told) = (self.reader().clone(), Arc::clone(self.told()));
        let commit = move || match &changes.event {
            None => Ok(reader.store().commit(&changes.transaction)),
            Some(event) => told.commit(&reader, changes.transaction, event),
        };
        let committed = self.reader().workers().run(commit).await;
        let panicked = || NodeError::Unavailable("changing an object panicked".into());
        match committed.ok_or_else(panicked)?? {
            Ok(()) => Ok(()),
            Err(CommitError::Conflict(_)) => Err(NodeError::Conflict(
                "somebody else changed it meanwhile: read it again, and decide anew".into(),
            )),
            Err(error) => self.doubt(Err(error.into())),
        }
    }
}

/// An object by its name. Blocks.
///
/// # Errors
/// When the store cannot be read, or has something else there.
pub fn get<M: Object>(
    store: &dyn Store,
    namespace: &str,
    name: &str,
) -> Result<Option<Row<M>>, NodeError> {
    let raw = store.get(&keys::object(M::KIND, namespace, name))?;
    raw.map(|raw| row(raw)).transpose()
}

/// The last of the objects whose names begin so, by name. Blocks.
///
/// # Errors
/// As [`get`].
pub fn last<M: Object>(
    store: &dyn Store,
    namespace: &str,
    prefix: &str,
) -> Result<Option<(String, Row<M>)>, NodeError> {
    let all = keys::object(M::KIND, namespace, "").len();
    let range = KeyRange::prefix(keys::object(M::KIND, namespace, prefix));
    let page = store.scan(&range, Direction::Reverse, 1)?;
    let named = |(key, raw): (Bytes, Bytes)| {
        let name = String::from_utf8_lossy(&key[all..]).into_owned();
        Ok((name, row(raw)?))
    };
    page.entries.into_iter().next().map(named).transpose()
}

fn row<M: Object>(raw: Bytes) -> Result<Row<M>, NodeError> {
    Ok(Row {
        value: decode(M::RECORD, &raw)?,
        raw,
    })
}

/// Objects of a kind, by name. Blocks.
///
/// # Errors
/// As [`get`].
pub fn list<M: Object>(store: &dyn Store, list: &ListObjects) -> Result<ObjectPage<M>, NodeError> {
    let all = keys::object(M::KIND, &list.namespace, "");
    let mut range = KeyRange::prefix(keys::object(M::KIND, &list.namespace, &list.prefix));
    if let Some(after) = &list.after {
        let mut start = keys::object(M::KIND, &list.namespace, after);
        start.push(0);
        // What is before the prefix is not listed, whatever a caller names.
        range.start = range.start.max(start.into());
    }
    let mut page = ObjectPage {
        rows: Vec::new(),
        next: None,
    };
    let mut looked = 0;
    let mut rest = (list.limit > 0).then_some(range);
    while let Some(range) = rest {
        let some = store.scan(&range, Direction::Forward, list.limit.clamp(1, 1000))?;
        for (key, raw) in &some.entries {
            let name = String::from_utf8_lossy(&key[all.len()..]).into_owned();
            let row: Row<M> = row(raw.clone())?;
            looked += 1;
            if list.takes(row.value.labels(), row.value.created()) {
                page.rows.push((name.clone(), row));
            }
            if page.rows.len() == list.limit || looked == LOOKED_AT {
                page.next = Some(name);
                return Ok(page);
            }
        }
        rest = some.rest(&range, Direction::Forward);
    }
    Ok(page)
}
