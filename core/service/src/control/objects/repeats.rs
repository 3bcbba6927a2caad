//! Requests with an idempotency key, and the rows that keep what they came to.

use super::super::{ControlHandlers, refuse, short};
use conveyor_node::objects::{Changes, ListObjects};
use conveyor_node::{NodeError, RunId, repeats};
use conveyor_proto::storage::v1::StoredIdempotency;
use prost::Message;
use tonic::Status;

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
pub(in super::super) struct Key(repeats::Key);

impl Key {
    /// Keeps the answer with what is made.
    pub(in super::super) fn keep(&self, changes: &mut Changes, answer: &impl Message) {
        self.0.keep(changes, answer.encode_to_vec().into());
    }

    /// Whether there is one: without, what changes nothing needs no commit.
    pub(in super::super) fn is_some(&self) -> bool {
        self.0.is_some()
    }
}

fn run_of(row: &StoredIdempotency) -> Result<RunId, Status> {
    let wrong = || Status::data_loss("the row of an idempotency key names no run");
    RunId::parse(&row.run).ok_or_else(wrong)
}

fn other(key: &str) -> Status {
    Status::already_exists(format!(
        "the idempotency key {key:?} was used for another request; take a new one for each"
    ))
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
        let row = match self.earlier(call, &namespace, key, request()).await? {
            Keyed::Fresh(key) => return Ok(KeyedRun::Fresh(key, None)),
            Keyed::Repeat(row) => row,
        };
        let run = run_of(&row)?;
        match self.reader.summary(run).await {
            Ok(_) => {
                self.sees_run(run).await?;
                Ok(KeyedRun::Repeat(run))
            }
            Err(NodeError::NotFound(_)) => {
                // The first try ended before it was made, or it was made and is deleted.
                if repeats::goes_on(&row, self.node.now()) {
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

    /// Writes the run's id under the key, unless another try of the request has written one meanwhile: the id of
    /// the run that they both make. What follows is a put of that id, if it is absent.
    pub(in super::super) async fn reserve(&self, key: Key, run: RunId) -> Result<RunId, Status> {
        let mut key = key.0;
        let text = key.text().to_owned();
        while key.is_some() {
            let mut changes = Changes::new();
            key.reserve(&mut changes, run);
            match self.node.change(changes).await {
                Ok(()) => return Ok(run),
                Err(NodeError::Conflict(_)) => {}
                Err(error) => return Err(refuse(error)),
            }
            let now = self.node.now();
            let found = self
                .reader
                .blocking(move |reader| key.again(reader.store().as_ref(), now));
            match found.await.map_err(refuse)? {
                repeats::Keyed::Fresh(again) => key = again,
                repeats::Keyed::Repeat(row) => return run_of(&row),
                repeats::Keyed::Other => return Err(other(&text)),
            }
        }
        Ok(run)
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
        let earlier = self.earlier(call, namespace, key, request.encode_to_vec());
        let row = match earlier.await? {
            Keyed::Fresh(key) => return Ok(Keyed::Fresh(key)),
            Keyed::Repeat(row) => row,
        };
        let wrong = |error| Status::data_loss(format!("a stored answer: {error}"));
        Ok(Keyed::Repeat(A::decode(row.answer).map_err(wrong)?))
    }

    /// What an earlier try of the same request left.
    async fn earlier(
        &self,
        call: &str,
        namespace: &str,
        key: &str,
        request: Vec<u8>,
    ) -> Result<Keyed<StoredIdempotency>, Status> {
        short("idempotency_key", key, KEY_BYTES)?;
        let (call, place) = (call.to_owned(), (namespace.to_owned(), key.to_owned()));
        let now = self.node.now();
        let found = self.reader.blocking(move |reader| {
            let place = (place.0.as_str(), place.1.as_str());
            repeats::keyed(reader.store().as_ref(), &call, place, &request, now)
        });
        match found.await.map_err(refuse)? {
            repeats::Keyed::Repeat(row) => Ok(Keyed::Repeat(row)),
            repeats::Keyed::Other => Err(other(key)),
            repeats::Keyed::Fresh(key) => Ok(Keyed::Fresh(Key(key))),
        }
    }

    /// Removes keys that hold no more.
    pub(super) async fn forget_keys(&self) -> Result<(), Status> {
        let mut list = ListObjects {
            limit: PAGE,
            ..ListObjects::default()
        };
        let now = self.node.now();
        loop {
            let page = self.reader.objects::<StoredIdempotency>(list.clone()).await;
            let page = page.map_err(refuse)?;
            let mut changes = Changes::new();
            let mut any = false;
            for (name, row) in page
                .rows
                .iter()
                .filter(|(_, row)| repeats::is_over(row, now))
            {
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
