use super::Client;
use super::again::Patience;
use crate::Error;
use conveyor_proto::v1;
use conveyor_proto::v1::read_logs_response::Item;
use futures_util::stream::{self, Stream, StreamExt as _};
use std::collections::{BTreeMap, VecDeque};
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
            place: Place::default(),
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

/// An attempt, in an order.
type Attempt = (String, u32, u32);

/// Where a reader is in each attempt's log.
#[derive(Debug, Default)]
struct Place(BTreeMap<Attempt, u64>);

impl Place {
    /// Whether a line is new to the reader, who has it from now on.
    fn take(&mut self, record: &v1::LogRecord) -> bool {
        let id = record.id.clone().unwrap_or_default();
        let next = self
            .0
            .entry((id.step, id.instance, id.attempt))
            .or_default();
        let new = record.offset >= *next;
        *next = (*next).max(record.offset + 1);
        new
    }

    /// What to ask for so that what is missing comes.
    fn resume(&self, request: &mut v1::ReadLogsRequest) {
        let Some(next) = self.0.values().max() else {
            return;
        };
        // What comes again is dropped; a tail would leave out what was written meanwhile.
        request.tail = None;
        if request.attempt.is_some() && self.0.len() == 1 {
            request.from_offset = *next;
        }
    }
}

struct Reading {
    client: Client,
    request: v1::ReadLogsRequest,
    stream: Option<Streaming<v1::ReadLogsResponse>>,
    place: Place,
    /// Lines that came together with the last one.
    ready: VecDeque<v1::LogRecord>,
    patience: Patience,
    over: bool,
}

impl Reading {
    async fn next(&mut self) -> Option<Result<v1::LogRecord, Status>> {
        loop {
            while let Some(record) = self.ready.pop_front() {
                if self.place.take(&record) {
                    return Some(Ok(record));
                }
            }
            if self.over {
                return None;
            }
            match self.told().await {
                Ok(Some(Item::Records(records))) => {
                    self.patience.reset();
                    self.ready.extend(records.records);
                }
                Ok(Some(Item::End(_))) => self.over = true,
                // An attempt's end, or an item of a later contract.
                Ok(Some(Item::LogEnd(_)) | None) => {}
                Err(status) => {
                    self.stream = None;
                    if let Err(status) = self.patience.after(status).await {
                        self.over = true;
                        return Some(Err(status));
                    }
                    self.place.resume(&mut self.request);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn line(step: &str, attempt: u32, offset: u64) -> v1::LogRecord {
        let id = v1::AttemptId {
            run: "r".to_owned(),
            step: step.to_owned(),
            instance: 0,
            attempt,
        };
        v1::LogRecord {
            id: Some(id),
            offset,
            ..v1::LogRecord::default()
        }
    }

    #[test]
    fn what_comes_again_after_a_broken_connection_is_told_once() {
        let mut place = Place::default();
        let first = [line("a", 1, 0), line("b", 1, 0), line("a", 1, 1)];
        assert!(first.iter().all(|record| place.take(record)));
        let again = [
            line("a", 1, 0),
            line("a", 1, 1),
            line("a", 1, 2),
            line("a", 2, 0),
            line("b", 1, 0),
        ];
        let new: Vec<_> = again.iter().filter(|record| place.take(record)).collect();
        assert_eq!(new, [&again[2], &again[3]]);
    }

    #[test]
    fn one_attempt_is_asked_for_from_its_offset_and_no_tail_hides_what_came_meanwhile() {
        let mut request = v1::ReadLogsRequest {
            step: "a".to_owned(),
            attempt: Some(1),
            tail: Some(10),
            ..v1::ReadLogsRequest::default()
        };
        let mut place = Place::default();
        place.resume(&mut request);
        assert_eq!((request.from_offset, request.tail), (0, Some(10)));
        assert!(place.take(&line("a", 1, 41)));
        place.resume(&mut request);
        assert_eq!((request.from_offset, request.tail), (42, None));
    }
}
