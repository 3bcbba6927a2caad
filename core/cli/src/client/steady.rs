//! Streams that outlive their server: it may go, and what comes next is asked for what is missing.

use super::Client;
use super::status::{is_closing, is_of_transport};
use crate::terminal;
use conveyor_proto::v1;
use conveyor_proto::v1::{read_logs_response, watch_run_events_response};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::Instant;
use tonic::{Status, Streaming};

/// How long a server that is away is tried again: one that is started anew is back in far less, and a
/// person can leave with Ctrl-C.
pub(crate) const AWAY: Duration = Duration::from_secs(60);
/// The pause before the first try; each later one is twice as long, up to [`MOST_PAUSE`].
const PAUSE: Duration = Duration::from_millis(50);
const MOST_PAUSE: Duration = Duration::from_secs(1);
/// Answers that may wait for a slow terminal.
const BUFFER: usize = 64;

/// A request for a stream that goes on after what has come.
pub(crate) trait Resumed: Clone + Send + 'static {
    /// What comes.
    type Answer: Send + 'static;

    /// Opens the stream.
    fn open(
        self,
        client: Client,
    ) -> impl Future<Output = Result<Streaming<Self::Answer>, Status>> + Send;

    /// An answer has come: from now on what is after it is asked for. False where nothing follows it.
    fn pass(&mut self, answer: &Self::Answer) -> bool;

    /// Whether the stream has a last answer that does not say so: where it ends, all has come.
    fn may_end(&self) -> bool {
        false
    }
}

impl Resumed for v1::WatchRunEventsRequest {
    type Answer = v1::WatchRunEventsResponse;

    async fn open(self, mut client: Client) -> Result<Streaming<Self::Answer>, Status> {
        Ok(client.watch_run_events(self).await?.into_inner())
    }

    fn pass(&mut self, answer: &Self::Answer) -> bool {
        match &answer.item {
            Some(watch_run_events_response::Item::Event(event)) => {
                self.after.clone_from(&event.id);
                true
            }
            Some(watch_run_events_response::Item::End(_)) => false,
            // Of a later contract.
            None => true,
        }
    }
}

impl Resumed for v1::ReadLogsRequest {
    type Answer = v1::ReadLogsResponse;

    async fn open(self, mut client: Client) -> Result<Streaming<Self::Answer>, Status> {
        Ok(client.read_logs(self).await?.into_inner())
    }

    fn pass(&mut self, answer: &Self::Answer) -> bool {
        match &answer.item {
            Some(read_logs_response::Item::Records(records)) => {
                self.after.clone_from(&records.cursor);
                true
            }
            Some(read_logs_response::Item::LogEnd(end)) => {
                self.after.clone_from(&end.cursor);
                true
            }
            Some(read_logs_response::Item::End(_)) => false,
            None => true,
        }
    }
}

impl Resumed for v1::WatchEventsRequest {
    type Answer = v1::WatchEventsResponse;

    async fn open(self, mut client: Client) -> Result<Streaming<Self::Answer>, Status> {
        Ok(client.watch_events(self).await?.into_inner())
    }

    fn pass(&mut self, answer: &Self::Answer) -> bool {
        self.cursor.clone_from(&answer.cursor);
        true
    }

    fn may_end(&self) -> bool {
        self.until_now
    }
}

/// Who is asked, and whether it is there. What a person is told of that is told once, however many streams
/// there are. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    /// As a sentence ends: `at URL`.
    place: String,
    /// Whether runs go on without it: it is a server, which comes back.
    comes_back: bool,
    /// How long it is tried again.
    patience: Duration,
    away: Arc<Mutex<Away>>,
}

#[derive(Debug, Default)]
struct Away {
    /// How many streams are broken.
    streams: u32,
    /// Since when.
    since: Option<Instant>,
}

impl Link {
    pub(super) fn new(place: String, comes_back: bool) -> Link {
        Link {
            place,
            comes_back,
            patience: AWAY,
            away: Arc::default(),
        }
    }

    /// Whether it is a server, which comes back.
    pub(crate) fn comes_back(&self) -> bool {
        self.comes_back
    }

    fn away(&self) -> std::sync::MutexGuard<'_, Away> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a call until it is answered, from its first failure on for as long as [`AWAY`]. Where nobody
    /// comes back, once.
    ///
    /// # Errors
    /// What is answered, or that nobody answered for so long.
    pub(crate) async fn insist<T, F>(&self, mut call: impl FnMut() -> F) -> Result<T, Status>
    where
        F: Future<Output = Result<T, Status>>,
    {
        match call().await {
            Err(status) if self.comes_back && may_pass(&status) => self.again(&status, call).await,
            answer => answer,
        }
    }

    /// The same after a failure.
    async fn again<T, F>(&self, failure: &Status, mut call: impl FnMut() -> F) -> Result<T, Status>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let since = self.lost(failure);
        let mut pause = PAUSE;
        let answer = loop {
            tokio::time::sleep(pause).await;
            match call().await {
                Err(status) if may_pass(&status) && since.elapsed() >= self.patience => {
                    break Err(Status::unavailable(format!(
                        "no server has answered {} for {} s: {}",
                        self.place,
                        self.patience.as_secs(),
                        status.message()
                    )));
                }
                Err(status) if may_pass(&status) => {}
                answer => break answer,
            }
            pause = (pause * 2).min(MOST_PAUSE);
        };
        self.found(answer.is_ok());
        answer
    }

    /// One more waits for the server; gives since when it is away.
    fn lost(&self, status: &Status) -> Instant {
        let mut away = self.away();
        away.streams += 1;
        *away.since.get_or_insert_with(|| {
            terminal::note(&format!(
                "the server {} does not answer ({}): trying again for {} s",
                self.place,
                status.message(),
                self.patience.as_secs()
            ));
            Instant::now()
        })
    }

    /// One waits no longer.
    fn found(&self, back: bool) {
        let mut away = self.away();
        away.streams = away.streams.saturating_sub(1);
        if away.streams == 0 && away.since.take().is_some() && back {
            terminal::note(&format!(
                "the server {} is back: going on where it was",
                self.place
            ));
        }
    }
}

/// Whether the same call may be answered later.
fn may_pass(status: &Status) -> bool {
    is_closing(status) || is_of_transport(status)
}

/// A stream, whatever becomes of connections to a server.
#[derive(Debug)]
pub(crate) struct Steady<A>(Receiver<Result<A, Status>>);

impl<A: Send + 'static> Steady<A> {
    /// Opens it.
    ///
    /// # Errors
    /// What the server says, or that there is none.
    pub(crate) async fn open<R: Resumed<Answer = A>>(
        link: &Link,
        client: Client,
        request: R,
    ) -> Result<Steady<A>, Status> {
        let stream = link.insist(|| request.clone().open(client.clone())).await?;
        let (sender, receiver) = mpsc::channel(BUFFER);
        let link = link.clone();
        tokio::spawn(async move {
            // Whoever reads may have gone.
            if let Err(status) = forward(&link, client, request, stream, &sender).await {
                let _ = sender.send(Err(status)).await;
            }
        });
        Ok(Steady(receiver))
    }

    /// The next answer; `None` after the last. Dropping the future loses nothing.
    ///
    /// # Errors
    /// As [`Steady::open`]; nothing follows.
    pub(crate) async fn message(&mut self) -> Result<Option<A>, Status> {
        self.0.recv().await.transpose()
    }
}

/// Hands on what comes, until the last of it or until nobody reads.
async fn forward<R: Resumed>(
    link: &Link,
    client: Client,
    mut request: R,
    mut stream: Streaming<R::Answer>,
    sender: &Sender<Result<R::Answer, Status>>,
) -> Result<(), Status> {
    loop {
        let told = tokio::select! {
            told = stream.message() => told,
            () = sender.closed() => return Ok(()),
        };
        let broken = match told {
            Ok(Some(answer)) => {
                let more = request.pass(&answer);
                if sender.send(Ok(answer)).await.is_err() || !more {
                    return Ok(());
                }
                continue;
            }
            Ok(None) if link.comes_back && !request.may_end() => {
                Status::unavailable("it ended the stream")
            }
            Ok(None) => return Ok(()),
            Err(status) => status,
        };
        if !link.comes_back || !may_pass(&broken) {
            return Err(broken);
        }
        let (client, request) = (client.clone(), request.clone());
        let open = move || request.clone().open(client.clone());
        stream = tokio::select! {
            again = link.again(&broken, open) => again?,
            () = sender.closed() => return Ok(()),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn link(comes_back: bool) -> Link {
        Link {
            patience: Duration::from_millis(200),
            ..Link::new("at a test".to_owned(), comes_back)
        }
    }

    /// Calls through a link, and how often that was.
    async fn called(link: &Link, answer: impl Fn(u32) -> Result<u32, Status>) -> (u32, Status) {
        let calls = Cell::new(0);
        let answer = link.insist(|| {
            calls.set(calls.get() + 1);
            let answer = answer(calls.get());
            async move { answer }
        });
        let answer = answer.await.map(|_| Status::ok("answered"));
        (calls.get(), answer.unwrap_or_else(|status| status))
    }

    #[tokio::test]
    async fn a_server_that_is_away_is_tried_again_for_a_time_and_an_answer_is_an_answer() {
        let away = |_| Err(Status::unavailable("refused"));
        let (calls, status) = called(&link(true), away).await;
        assert!(calls > 1);
        assert!(
            status.message().contains("at a test for 0 s: refused"),
            "{status}"
        );
        let third = |call| match call {
            1 | 2 => Err(Status::unavailable("refused")),
            _ => Ok(call),
        };
        let back = link(true);
        assert_eq!(called(&back, third).await.0, 3);
        assert!(back.away().since.is_none());
        let no = |_| Err(Status::not_found("there is no run"));
        assert_eq!(called(&link(true), no).await.0, 1);
        // A process that ends with its runs does not come back.
        assert_eq!(called(&link(false), away).await.0, 1);
    }
}
