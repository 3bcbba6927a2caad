use super::Client;
use super::again::Patience;
use crate::Error;
use conveyor_proto::v1;
use conveyor_proto::v1::read_logs_response::Item;
use futures_util::stream::{self, Stream, StreamExt as _};
use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use tonic::{Status, Streaming};

/// Log lines of a run: those of an attempt in the order of their offsets, each once, whatever becomes of
/// connections. Ends when every log that was asked for has, or with an error.
///
/// A [`Stream`]; [`Logs::next`] needs no trait.
pub struct Logs(Pin<Box<dyn Stream<Item = Result<v1::LogRecord, Error>> + Send>>);

impl fmt::Debug for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Logs(..)")
    }
}

impl Stream for Logs {
    type Item = Result<v1::LogRecord, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(context)
    }
}

impl Logs {
    /// The next line; `None` once there are no more.
    ///
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<v1::LogRecord, Error>> {
        self.0.next().await
    }

    pub(super) fn new(client: Client, request: v1::ReadLogsRequest) -> Logs {
        let reading = Reading {
            patience: Patience::new(client.patience),
            client,
            request,
            stream: None,
            ready: VecDeque::new(),
            over: false,
        };
        let lines = stream::unfold(reading, |mut reading| async {
            let line = reading.next().await?;
            Some((line.map_err(Error::from), reading))
        });
        Logs(Box::pin(lines))
    }
}

struct Reading {
    client: Client,
    /// What is asked for next: `after` is the place after the last line that came.
    request: v1::ReadLogsRequest,
    stream: Option<Streaming<v1::ReadLogsResponse>>,
    /// Lines that came together with the last one.
    ready: VecDeque<v1::LogRecord>,
    patience: Patience,
    over: bool,
}

impl Reading {
    async fn next(&mut self) -> Option<Result<v1::LogRecord, Status>> {
        loop {
            if let Some(record) = self.ready.pop_front() {
                return Some(Ok(record));
            }
            if self.over {
                return None;
            }
            match self.told().await {
                Ok(Some(Item::Records(records))) => {
                    self.patience.reset();
                    self.request.after = records.cursor;
                    self.ready.extend(records.records);
                }
                Ok(Some(Item::LogEnd(end))) => self.request.after = end.cursor,
                Ok(Some(Item::End(_))) => self.over = true,
                // Of a later contract.
                Ok(None) => {}
                Err(status) => {
                    self.stream = None;
                    if let Err(status) = self.patience.after(status).await {
                        self.over = true;
                        return Some(Err(status));
                    }
                }
            }
        }
    }

    async fn told(&mut self) -> Result<Option<Item>, Status> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => {
                let opened = self.client.open_logs(self.request.clone()).await?;
                self.stream.insert(opened)
            }
        };
        match stream.message().await? {
            Some(message) => Ok(message.item),
            None => Err(Status::unavailable("the server ended the stream")),
        }
    }
}
