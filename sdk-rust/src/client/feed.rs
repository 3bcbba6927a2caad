use super::Client;
use super::again::Patience;
use crate::Error;
use conveyor_proto::v1;
use std::fmt;
use tonic::{Status, Streaming};

/// What happens to the runs and objects of a namespace, each event once, whatever becomes of connections.
/// Ends with an error: the server is away for longer than the client is patient, or says no; with
/// `until_now` also where there are no more.
///
/// [`Feed::cursor`] is where a later process goes on: keep it with what was made of the events.
pub struct Feed {
    client: Client,
    /// What is asked for next: `cursor` is the last that was told.
    request: v1::WatchEventsRequest,
    stream: Option<Streaming<v1::WatchEventsResponse>>,
    patience: Patience,
    over: bool,
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Feed(..)")
    }
}

impl Client {
    /// Follows what happens to the runs and objects of a namespace. Nothing is asked before
    /// [`Feed::next`].
    #[must_use]
    pub fn feed(&self, request: v1::WatchEventsRequest) -> Feed {
        Feed {
            patience: Patience::new(self.patience),
            client: self.clone(),
            request,
            stream: None,
            over: false,
        }
    }
}

impl Feed {
    /// The next event; `None` after the last, or after an error.
    ///
    /// Dropping the future loses nothing.
    ///
    /// Where the events that were asked for are not kept any more, the error is
    /// [`crate::ErrorKind::OutOfRange`], and [`Error::oldest_cursor`] has the oldest that are.
    pub async fn next(&mut self) -> Option<Result<v1::WatchEventsResponse, Error>> {
        while !self.over {
            match self.told().await {
                Ok(Some(told)) => {
                    self.patience.reset();
                    self.request.cursor.clone_from(&told.cursor);
                    // One without an item only says where to go on.
                    if told.item.is_some() {
                        return Some(Ok(told));
                    }
                }
                Ok(None) if self.request.until_now => self.over = true,
                ended => {
                    let ended = ended.err();
                    let broken = || Status::unavailable("the server ended the stream");
                    self.stream = None;
                    if let Err(status) = self.patience.after(ended.unwrap_or_else(broken)).await {
                        self.over = true;
                        return Some(Err(status.into()));
                    }
                }
            }
        }
        None
    }

    /// Where to go on from: after all that [`Feed::next`] gave. Empty before the first answer.
    #[must_use]
    pub fn cursor(&self) -> &str {
        &self.request.cursor
    }

    async fn told(&mut self) -> Result<Option<v1::WatchEventsResponse>, Status> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => {
                let opened = self.client.open_feed(self.request.clone()).await?;
                self.stream.insert(opened)
            }
        };
        stream.message().await
    }
}
