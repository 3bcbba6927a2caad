//! Requests with an idempotency key: a repeat finds what the first try came to.
//!
//! What was answered is written in the commit of what was made, so that neither is there without the
//! other. A run is made by a commit of its own: its id is written under the key before, and whoever
//! repeats the request goes on with that id, which makes one run at most. The key holds for a day.

use crate::error::NodeError;
use crate::id::RunId;
use crate::objects::{self, Changes, Row};
use crate::resources::JOINT;
use bytes::Bytes;
use conveyor_engine::planted;
use conveyor_engine::time::Time;
use conveyor_engine::value::Hash;
use conveyor_proto::storage::v1::StoredIdempotency;
use conveyor_store::Store;

/// How long a key holds: 24 hours.
const HOLDS_MS: u64 = 24 * 60 * 60 * 1000;
/// A run whose id is written under its key is made within this time, or never: whoever repeats the
/// request later is told so, since it may as well have been made, ended and deleted.
const GOES_ON_MS: u64 = 60 * 1000;

/// What is known of a request's key.
#[derive(Clone, Debug)]
pub enum Keyed {
    /// It was answered so, or is to make this run.
    Repeat(StoredIdempotency),
    /// It was used for another request.
    Other,
    /// It is to be done.
    Fresh(Key),
}

/// Where the answer is to be kept; by default nowhere, for a request without a key.
#[derive(Clone, Debug, Default)]
pub struct Key(Option<Place>);

#[derive(Clone, Debug)]
struct Place {
    name: String,
    request: Hash,
    /// One that holds no more.
    was: Option<Row<StoredIdempotency>>,
    now: Time,
}

impl Key {
    /// Keeps the answer with what is made.
    pub fn keep(&self, changes: &mut Changes, answer: Bytes) {
        if !planted!(AnswerUnkept) {
            self.put(changes, String::new(), answer);
        }
    }

    /// Keeps the id of the run that is about to be made.
    pub fn reserve(&self, changes: &mut Changes, run: RunId) {
        self.put(changes, run.to_string(), Bytes::new());
    }

    fn put(&self, changes: &mut Changes, run: String, answer: Bytes) {
        let Some(place) = &self.0 else { return };
        let row = StoredIdempotency {
            request: place.request.0.to_vec().into(),
            run,
            created_ms: place.now.0,
            answer,
        };
        changes.put("", &place.name, &row, place.was.as_ref());
    }

    /// As the request has it.
    #[must_use]
    pub fn text(&self) -> &str {
        let place = self.0.as_ref();
        let key = place.and_then(|place| place.name.split_once(JOINT));
        key.map_or("", |(_, key)| key)
    }

    /// Looks once more, where another try of the request was first to write under it.
    ///
    /// # Errors
    /// As [`keyed`].
    pub fn again(self, store: &dyn Store, now: Time) -> Result<Keyed, NodeError> {
        match self.0 {
            None => Ok(Keyed::Fresh(Key::default())),
            Some(Place { name, request, .. }) => look(store, name, request, now),
        }
    }

    /// Whether there is one: without, what changes nothing needs no commit.
    #[must_use]
    pub fn is_some(&self) -> bool {
        self.0.is_some()
    }
}

/// Looks for what an earlier request under the key came to. `request` is the whole request with the key
/// taken out, as bytes.
///
/// # Errors
/// When the store cannot be read.
pub fn keyed(
    store: &dyn Store,
    call: &str,
    (namespace, key): (&str, &str),
    request: &[u8],
    now: Time,
) -> Result<Keyed, NodeError> {
    if key.is_empty() {
        return Ok(Keyed::Fresh(Key::default()));
    }
    let mut asked = call.as_bytes().to_vec();
    asked.push(0);
    asked.extend(request);
    let request = Hash::of(&asked);
    look(store, prefix(namespace) + key, request, now)
}

fn look(store: &dyn Store, name: String, request: Hash, now: Time) -> Result<Keyed, NodeError> {
    let row = objects::get::<StoredIdempotency>(store, "", &name)?;
    if let Some(row) = row.as_ref().filter(|row| !is_over(row, now)) {
        return Ok(match *row.value.request == request.0 {
            true => Keyed::Repeat(row.value.clone()),
            false => Keyed::Other,
        });
    }
    Ok(Keyed::Fresh(Key(Some(Place {
        name,
        request,
        was: row,
        now,
    }))))
}

/// How the rows of all keys of a namespace begin.
#[must_use]
pub fn prefix(namespace: &str) -> String {
    format!("{namespace}{JOINT}")
}

/// Whether the run whose id is written under a key may still be made.
#[must_use]
pub fn goes_on(row: &StoredIdempotency, now: Time) -> bool {
    now.0 < row.created_ms.saturating_add(GOES_ON_MS)
}

/// Whether a key holds no more.
#[must_use]
pub fn is_over(row: &Row<StoredIdempotency>, now: Time) -> bool {
    now.0 >= row.value.created_ms.saturating_add(HOLDS_MS)
}
