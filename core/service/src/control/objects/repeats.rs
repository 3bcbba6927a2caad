//! Requests with an idempotency key: a repeat finds what the first try came to.
//!
//! What was answered is written in the commit of what was made, so that neither is there without the
//! other. The key holds for a day.

use super::super::{ControlHandlers, refuse, short};
use super::JOINT;
use conveyor_engine::value::Hash;
use conveyor_node::objects::{Changes, ListObjects, Row};
use conveyor_proto::storage::v1::StoredIdempotency;
use prost::Message;
use tonic::Status;

/// How long a key holds: 24 hours.
const HOLDS_MS: u64 = 24 * 60 * 60 * 1000;
/// The longest key.
const KEY_BYTES: usize = 128;
/// Rows that are looked at together when those that hold no more are removed.
const PAGE: usize = 500;

/// What is known of a request's key.
pub(super) enum Keyed<A> {
    /// It was answered so.
    Repeat(A),
    /// It is to be done.
    Fresh(Key),
}

/// Where the answer is to be kept.
#[derive(Default)]
pub(super) struct Key(Option<Place>);

struct Place {
    name: String,
    request: Hash,
    /// One that holds no more.
    was: Option<Row<StoredIdempotency>>,
    now: u64,
}

impl Key {
    /// Keeps the answer with what is made.
    pub(super) fn keep(&self, changes: &mut Changes, answer: &impl Message) {
        let Some(place) = &self.0 else { return };
        let row = StoredIdempotency {
            request: place.request.0.to_vec().into(),
            run: String::new(),
            created_ms: place.now,
            answer: answer.encode_to_vec().into(),
        };
        changes.put("", &place.name, &row, place.was.as_ref());
    }

    /// Whether there is one: without, what changes nothing needs no commit.
    pub(super) fn is_some(&self) -> bool {
        self.0.is_some()
    }
}

impl ControlHandlers {
    /// Looks for what an earlier request under the key came to. `request` is the whole request with
    /// the key taken out.
    ///
    /// # Errors
    /// ALREADY_EXISTS when that was another request.
    pub(super) async fn keyed<A: Message + Default>(
        &self,
        call: &str,
        namespace: &str,
        key: &str,
        request: &impl Message,
    ) -> Result<Keyed<A>, Status> {
        if key.is_empty() {
            return Ok(Keyed::Fresh(Key::default()));
        }
        short("idempotency_key", key, KEY_BYTES)?;
        let mut asked = call.as_bytes().to_vec();
        asked.push(0);
        asked.extend(request.encode_to_vec());
        let request = Hash::of(&asked);
        let name = format!("{namespace}{JOINT}{key}");
        let row = self.reader.object::<StoredIdempotency>("", &name).await;
        let row = row.map_err(refuse)?;
        let now = self.node.now().0;
        if let Some(row) = &row
            && now < row.value.created_ms.saturating_add(HOLDS_MS)
        {
            if *row.value.request != request.0 {
                return Err(Status::already_exists(format!(
                    "the idempotency key {key:?} was used for another request; take a new one for each"
                )));
            }
            let answer = A::decode(row.value.answer.clone());
            let wrong = |error| Status::data_loss(format!("a stored answer: {error}"));
            return Ok(Keyed::Repeat(answer.map_err(wrong)?));
        }
        Ok(Keyed::Fresh(Key(Some(Place {
            name,
            request,
            was: row,
            now,
        }))))
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
