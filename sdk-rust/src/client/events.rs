use super::Client;
use super::again::Patience;
use crate::Error;
use conveyor_proto::v1;
use conveyor_proto::v1::watch_run_events_response::Item;
use futures_util::stream::{self, Stream, StreamExt as _};
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use tonic::{Status, Streaming};

/// Events of a run, in order, each once, whatever becomes of connections. Ends when the run has, or with
/// an error: the server is away for longer than the client is patient, or says no.
///
/// A [`Stream`]; [`Events::next`] needs no trait.
pub struct Events(Pin<Box<dyn Stream<Item = Result<v1::Event, Error>> + Send>>);

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Events(..)")
    }
}

impl Stream for Events {
    type Item = Result<v1::Event, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(context)
    }
}

impl Events {
    /// The next event; `None` once the run has ended and all were told.
    ///
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<v1::Event, Error>> {
        self.0.next().await
    }

    pub(super) fn new(client: Client, request: v1::WatchRunEventsRequest) -> Events {
        let watching = Watching {
            patience: Patience::new(client.patience),
            client,
            request,
            stream: None,
            over: false,
        };
        let events = stream::unfold(watching, |mut watching| async {
            let event = watching.next().await?;
            Some((event.map_err(Error::from), watching))
        });
        Events(Box::pin(events))
    }
}

struct Watching {
    client: Client,
    /// What is asked for next: `after` is the last event that was told.
    request: v1::WatchRunEventsRequest,
    stream: Option<Streaming<v1::WatchRunEventsResponse>>,
    patience: Patience,
    over: bool,
}

impl Watching {
    async fn next(&mut self) -> Option<Result<v1::Event, Status>> {
        while !self.over {
            match self.told().await {
                Ok(Some(Item::Event(event))) => {
                    self.patience.reset();
                    self.request.after.clone_from(&event.id);
                    return Some(Ok(event));
                }
                Ok(Some(Item::End(end))) if !self.request.follow || is_final(end.state()) => {
                    self.over = true;
                }
                // Of a later contract.
                Ok(None) => {}
                Ok(Some(Item::End(_))) => {
                    // The process that was asked is about to end: the run goes on.
                    let broken = Status::unavailable("the server ended the stream");
                    if let Err(status) = self.again(broken).await {
                        return Some(Err(status));
                    }
                }
                Err(status) => {
                    if let Err(status) = self.again(status).await {
                        return Some(Err(status));
                    }
                }
            }
        }
        None
    }

    /// The stream is to be opened again, from where it was.
    async fn again(&mut self, status: Status) -> Result<(), Status> {
        self.stream = None;
        let again = self.patience.after(status).await;
        self.over |= again.is_err();
        again
    }

    async fn told(&mut self) -> Result<Option<Item>, Status> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => {
                let opened = self.client.open_events(self.request.clone()).await?;
                self.stream.insert(opened)
            }
        };
        match stream.message().await? {
            Some(message) => Ok(message.item),
            None => Err(Status::unavailable("the server ended the stream")),
        }
    }
}

/// Whether nothing follows a state: nothing moves a run in quarantine either.
pub(super) fn is_final(state: v1::RunState) -> bool {
    matches!(
        state,
        v1::RunState::Succeeded
            | v1::RunState::Failed
            | v1::RunState::Cancelled
            | v1::RunState::Quarantined
    )
}
