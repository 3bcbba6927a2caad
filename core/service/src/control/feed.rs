//! Events of namespaces, as they come: one reading for all that follow, pages of the store for who is behind.

mod tail;
mod wanted;

pub(super) use tail::Feed;

use super::watch::Stream;
use super::{ControlHandlers, refuse, short};
use crate::{refusal, wire};
use conveyor_node::feed::{Cursor, Event, Page, Read};
use conveyor_proto::storage::v1::StoredEventFloor;
use conveyor_proto::v1;
use prost::Message as _;
use std::sync::Arc;
use tail::Seat;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};
use wanted::Wanted;

/// Answers that may wait for a slow reader.
const BUFFER: usize = 64;
/// Events of each lane that are read at once.
const PAGE: usize = 128;
/// Events that may be passed over before a reader is told where to go on.
const PASSED: usize = 1000;

/// One reader of events.
struct Follower {
    handlers: ControlHandlers,
    wanted: Wanted,
    /// After all that it was told, or that was not for it.
    cursor: Cursor,
    /// Events since it was last told where it is.
    passed: usize,
    sender: mpsc::Sender<Result<v1::WatchEventsResponse, Status>>,
}

/// The reader has gone.
struct Gone;

impl ControlHandlers {
    pub(super) async fn watch_all(
        &self,
        request: v1::WatchEventsRequest,
    ) -> Result<Stream<v1::WatchEventsResponse>, Status> {
        short("cursor", &request.cursor, 256)?;
        let cursor = match request.cursor.as_str() {
            "" => None,
            text => Some(text.parse::<Cursor>().map_err(|()| {
                let why = format!("`cursor` is {text:?}, which is no cursor of an answer");
                refusal::value("/cursor", why).found(text).status()
            })?),
        };
        let namespace = match (request.namespace.as_str(), &self.caller.namespace) {
            ("", None) => None,
            (name, _) => Some(self.namespace(name).await?),
        };
        let wanted = Wanted::of(namespace, &request)?;
        // First the seat, and then where events are read from: what is told in between is in both.
        let seat = match request.until_now {
            true => None,
            false => Some(
                self.feed
                    .sit(&self.reader, wanted.namespace())
                    .await
                    .map_err(refuse)?,
            ),
        };
        let mut cursor: Cursor = match cursor {
            Some(cursor) => {
                if let Some(oldest) = self.reader.feed_gap(cursor).await.map_err(refuse)? {
                    return Err(gap(&cursor, &oldest));
                }
                cursor
            }
            None if request.from_oldest => self.reader.feed_oldest().await.map_err(refuse)?,
            None => self.reader.feed_end().await.map_err(refuse)?,
        };
        if let Some(namespace) = wanted.namespace() {
            let begun = self.reader.object::<StoredEventFloor>("", &namespace).await;
            if let Some(row) = begun.map_err(refuse)? {
                cursor.advance_to(&row.value.into());
            }
        }
        let (sender, receiver) = mpsc::channel(BUFFER);
        let follower = Follower {
            handlers: self.clone(),
            wanted,
            cursor,
            passed: 0,
            sender: sender.clone(),
        };
        tokio::spawn(async move {
            if let Err(status) = follower.follow(seat).await {
                // The reader may have gone.
                let _ = sender.send(Err(status)).await;
            }
        });
        Ok(ReceiverStream::new(receiver))
    }
}

impl Follower {
    async fn follow(mut self, seat: Option<Seat>) -> Result<(), Status> {
        // Whoever hears nothing for long knows where to go on nevertheless.
        if self.here().await.is_err() {
            return Ok(());
        }
        let Some(mut seat) = seat else {
            let _ = self.catch_up().await?;
            return Ok(());
        };
        let mut closed = self.handlers.gate.closed();
        while !*closed.borrow() {
            if self.catch_up().await?.is_err() {
                return Ok(());
            }
            // Who is too slow for the seat comes back to the store.
            loop {
                let told = tokio::select! {
                    told = seat.next() => told,
                    _ = closed.changed() => break,
                    () = self.sender.closed() => return Ok(()),
                };
                let batch = match told {
                    Ok(batch) => batch,
                    Err(RecvError::Lagged(_)) => break,
                    Err(RecvError::Closed) => {
                        return Err(Status::unavailable(
                            "the events could not be read: go on from the last cursor",
                        ));
                    }
                };
                let sent = self.tell(&batch.events, &batch.through);
                if sent.await.is_err() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Tells what the store has.
    async fn catch_up(&mut self) -> Result<Result<(), Gone>, Status> {
        loop {
            let read = self.handlers.reader.feed(self.cursor, PAGE).await;
            let Page {
                events,
                through,
                all,
            } = match read.map_err(refuse)? {
                Read::Page(page) => page,
                Read::Gap { oldest } => return Err(gap(&self.cursor, &oldest)),
            };
            let events: Vec<_> = events.into_iter().map(Arc::new).collect();
            if self.tell(&events, &through).await.is_err() {
                return Ok(Err(Gone));
            }
            if all {
                return Ok(Ok(()));
            }
        }
    }

    /// Tells events that come next, as far as they are wanted and new.
    async fn tell(&mut self, events: &[Arc<Event>], through: &Cursor) -> Result<(), Gone> {
        for event in events {
            if !self.cursor.at(event.lane).is_before(event.place) {
                continue;
            }
            self.cursor.advance(event.lane, event.place);
            if self.wanted.fits(&event.event) {
                let mut told = wire::told(&event.event);
                told.cursor = self.cursor.to_string();
                self.send(told).await?;
            } else {
                self.passed += 1;
            }
        }
        // Those of other namespaces are not in what it is handed; where it is handed nothing, there were
        // many of them.
        let before = self.cursor;
        self.cursor.advance_to(through);
        let moved = events.is_empty() && self.cursor != before;
        match moved || self.passed >= PASSED {
            true => self.here().await,
            false => Ok(()),
        }
    }

    /// Tells where the reader is.
    async fn here(&mut self) -> Result<(), Gone> {
        let cursor = self.cursor.to_string();
        self.send(v1::WatchEventsResponse {
            cursor,
            ..v1::WatchEventsResponse::default()
        })
        .await
    }

    async fn send(&mut self, told: v1::WatchEventsResponse) -> Result<(), Gone> {
        self.passed = 0;
        self.sender.send(Ok(told)).await.map_err(|_| Gone)
    }
}

fn gap(cursor: &Cursor, oldest: &Cursor) -> Status {
    let message = format!(
        "the cursor {cursor} is of no event that is kept: `retention.events` has passed, or the store was \
         restored; what came since cannot be told whole. Read what is there anew, and go on from the \
         oldest cursor, {oldest}, or from now, without one"
    );
    let details = v1::EventsGap {
        oldest: oldest.to_string(),
    };
    Status::with_details(Code::OutOfRange, message, details.encode_to_vec().into())
}
