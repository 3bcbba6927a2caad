//! Requests with an idempotency key: a repeat finds what the first try came to.
//!
//! What was answered is written in the commit of what was made, so that neither is there without the
//! other. A run is made by a commit of its own: its id is written under the key before, and whoever
//! repeats the request goes on with that id, which makes one run at most. The key holds for a day.

use super::super::{ControlHandlers, refuse, short};
use super::JOINT;
use conveyor_engine::value::Hash;
use conveyor_node::objects::{Changes, ListObjects, Row};
use conveyor_node::{NodeError, RunId};
use conveyor_proto::storage::v1::StoredIdempotency;
use prost::Message;
use tonic::Status;

/// How long a key holds: 24 hours.
const HOLDS_MS: u64 = 24 * 60 * 60 * 1000;
/// A run whose id is written under its key is made within this time, or never: whoever repeats the
/// request later is told so, since it may as well have been made, ended and deleted.
const GOES_ON_MS: u64 = 60 * 1000;
/// The longest key.
const KEY_BYTES: usize = 128;
/// Rows that are looked at together when those that hold no more are removed.
const PAGE: usize = 500;

/// What is known of a request's key.
pub(in super::super) enum Keyed<A> {
    /// It was answered so.
    Repeat(A),
    /// It is to be done.
    Fresh(Key),
}

/// What is known of the key of a request that makes a run.
pub(in super::super) enum KeyedRun {
    /// The run is there.
    Repeat(RunId),
    /// It is to be made; under this id where there is one.
    Fresh(Key, Option<RunId>),
}

/// Where the answer is to be kept.
#[derive(Default)]
pub(in super::super) struct Key(Option<Place>);

struct Place {
    name: String,
    request: Hash,
    /// One that holds no more.
    was: Option<Row<StoredIdempotency>>,
    now: u64,
}

impl Key {
    /// Keeps the answer with what is made.
    pub(in super::super) fn keep(&self, changes: &mut Changes, answer: &impl Message) {
        if let Some(place) = &self.0 {
            place.put(changes, String::new(), answer.encode_to_vec());
        }
    }

    /// Whether there is one: without, what changes nothing needs no commit.
    pub(in super::super) fn is_some(&self) -> bool {
        self.0.is_some()
    }
}

impl Place {
    fn put(&self, changes: &mut Changes, run: String, answer: Vec<u8>) {
        let row = StoredIdempotency {
            request: self.request.0.to_vec().into(),
            run,
            created_ms: self.now,
            answer: answer.into(),
        };
        changes.put("", &self.name, &row, self.was.as_ref());
    }
}

impl ControlHandlers {
    /// Looks for the run of an earlier request under the key. As of [`Self::keyed`].
    pub(in super::super) async fn keyed_run(
        &self,
        call: &str,
        namespace: &str,
        key: &str,
        request: impl FnOnce() -> Vec<u8>,
    ) -> Result<KeyedRun, Status> {
        if key.is_empty() {
            return Ok(KeyedRun::Fresh(Key::default(), None));
        }
        let namespace = self.namespace(namespace).await?;
        let (place, row) = self.place(call, &namespace, key, &request()).await?;
        let Some(row) = row else {
            return Ok(KeyedRun::Fresh(Key(Some(place)), None));
        };
        let wrong = || Status::data_loss("the row of an idempotency key names no run");
        let run = RunId::parse(&row.run).ok_or_else(wrong)?;
        match self.reader.summary(run).await {
            Ok(_) => {
                self.sees_run(run).await?;
                Ok(KeyedRun::Repeat(run))
            }
            Err(NodeError::NotFound(_)) => {
                // The first try ended before it was made, or it was made and is deleted.
                if place.now < row.created_ms.saturating_add(GOES_ON_MS) {
                    return Ok(KeyedRun::Fresh(Key::default(), Some(run)));
                }
                Err(Status::not_found(format!(
                    "the run {run} that the idempotency key {key:?} stands for is not there; a new key \
                     makes a new run"
                )))
            }
            Err(error) => Err(refuse(error)),
        }
    }

    /// Writes the run's id under the key. What follows is a put of that id, if it is absent.
    pub(in super::super) async fn reserve(&self, key: Key, run: RunId) -> Result<(), Status> {
        let Some(place) = key.0 else { return Ok(()) };
        let mut changes = Changes::new();
        place.put(&mut changes, run.to_string(), Vec::new());
        self.node.change(changes).await.map_err(refuse)
    }

    /// Looks for what an earlier request under the key came to. `request` is the whole request with
    /// the key taken out.
    ///
    /// # Errors
    /// ALREADY_EXISTS when that was another request.
    pub(in super::super) async fn keyed<A: Message + Default>(
        &self,
        call: &str,
        namespace: &str,
        key: &str,
        request: &impl Message,
    ) -> Result<Keyed<A>, Status> {
        if key.is_empty() {
            return Ok(Keyed::Fresh(Key::default()));
        }
        let (place, row) = self
            .place(call, namespace, key, &request.encode_to_vec())
            .await?;
        let Some(row) = row else {
            return Ok(Keyed::Fresh(Key(Some(place))));
        };
        let answer = A::decode(row.answer);
        let wrong = |error| Status::data_loss(format!("a stored answer: {error}"));
        Ok(Keyed::Repeat(answer.map_err(wrong)?))
    }

    /// Where the key is kept, and what is there from an earlier try of the same request.
    async fn place(
        &self,
        call: &str,
        namespace: &str,
        key: &str,
        request: &[u8],
    ) -> Result<(Place, Option<StoredIdempotency>), Status> {
        short("idempotency_key", key, KEY_BYTES)?;
        let mut asked = call.as_bytes().to_vec();
        asked.push(0);
        asked.extend(request);
        let request = Hash::of(&asked);
        let name = format!("{namespace}{JOINT}{key}");
        let row = self.reader.object::<StoredIdempotency>("", &name).await;
        let was = row.map_err(refuse)?;
        let now = self.node.now().0;
        let holds =
            |row: &&Row<StoredIdempotency>| now < row.value.created_ms.saturating_add(HOLDS_MS);
        let held = was.as_ref().filter(holds).map(|row| row.value.clone());
        if held.as_ref().is_some_and(|row| *row.request != request.0) {
            return Err(Status::already_exists(format!(
                "the idempotency key {key:?} was used for another request; take a new one for each"
            )));
        }
        let place = Place {
            name,
            request,
            was,
            now,
        };
        Ok((place, held))
    }

    /// Removes keys that hold no more.
    pub(super) async fn forget_keys(&self) -> Result<(), Status> {
        let mut list = ListObjects {
            limit: PAGE,
            ..ListObjects::default()
        };
        let now = self.node.now().0;
        loop {
            let page = self.reader.objects::<StoredIdempotency>(list.clone()).await;
            let page = page.map_err(refuse)?;
            let over =
                |row: &Row<StoredIdempotency>| now >= row.value.created_ms.saturating_add(HOLDS_MS);
            let mut changes = Changes::new();
            let mut any = false;
            for (name, row) in page.rows.iter().filter(|(_, row)| over(row)) {
                changes.delete("", name, row);
                any = true;
            }
            if any {
                self.node.change(changes).await.map_err(refuse)?;
            }
            match page.next {
                Some(next) => list.after = Some(next),
                None => return Ok(()),
            }
        }
    }
}
