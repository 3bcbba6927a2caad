//! Events of a run, as they come.

use super::tips::News;
use super::{ControlHandlers, refuse};
use crate::refusal;
use conveyor_engine::run::RunState;
use conveyor_node::RunId;
use conveyor_node::reader::{Event, EventId, Follower, Topic};
use conveyor_proto::v1;
use conveyor_proto::v1::watch_run_events_response::Item;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

pub(super) type Stream<T> = ReceiverStream<Result<T, Status>>;

/// Answers that may wait for a slow reader.
pub(super) const BUFFER: usize = 256;

impl ControlHandlers {
    pub(super) async fn watch(
        &self,
        request: v1::WatchRunEventsRequest,
    ) -> Result<Stream<v1::WatchRunEventsResponse>, Status> {
        self.gate.still_here()?;
        let id = self.resolve(&request.run).await?;
        let after = after(&request.after)?;
        // A run that is not there has no events, and none would come.
        self.reader.summary(id).await.map_err(refuse)?;
        let mut follower = self.reader.follow(id);
        let mut first = follower.poll().await.map_err(refuse)?;
        if !after.is_none() {
            while !first.is_empty() && !first.iter().any(|event| after.is(event.id)) {
                first = follower.poll().await.map_err(refuse)?;
            }
            if first.is_empty() {
                return Err(Status::out_of_range(format!(
                    "the run has no event {}",
                    after.0
                )));
            }
        }
        let (sender, receiver) = mpsc::channel(BUFFER);
        let handlers = self.clone();
        tokio::spawn(async move {
            let sent = handlers.send_events(id, follower, first, after, request.follow, &sender);
            if let Err(status) = sent.await {
                // The reader may have gone.
                let _ = sender.send(Err(status)).await;
            }
        });
        Ok(ReceiverStream::new(receiver))
    }

    /// What is there is told from the follower's own reading; what comes then, together with all others who
    /// follow the run.
    async fn send_events(
        &self,
        id: RunId,
        mut follower: Follower,
        first: Vec<Event>,
        after: After,
        follow: bool,
        sender: &mpsc::Sender<Result<v1::WatchRunEventsResponse, Status>>,
    ) -> Result<(), Status> {
        let mut closed = self.gate.closed();
        let mut events = first;
        let mut last: Option<EventId> = None;
        let state = 'told: loop {
            while !events.is_empty() {
                let all = std::mem::take(&mut events);
                let newest = all.last().map(|event| event.id);
                let is_new = |event: &Event| {
                    !after.covers(event.id) && last.is_none_or(|last| last < event.id)
                };
                let new = all.into_iter().filter(is_new).collect();
                for event in self.told(id, &follower, new).await? {
                    if !send(sender, Item::Event(event)).await {
                        return Ok(());
                    }
                }
                last = last.max(newest);
                events = follower.poll().await.map_err(refuse)?;
            }
            let state = follower.run().map_or(RunState::Queued, |run| run.state());
            if !follow || state.is_terminal() {
                break state;
            }
            let mut at = follower.sequence();
            let mut changes = self.reader.hub().subscribe(Topic::Run(id));
            let tip = self.tips.join(id, follower);
            loop {
                // Asked before the look, which then has whatever came before the end.
                let closing = *closed.borrow();
                let news = tip.after(self, at).await?;
                let News::New {
                    batches,
                    state,
                    over,
                } = news
                else {
                    break;
                };
                for batch in &batches {
                    let new = batch.events.iter().filter(|(record, _)| *record > at);
                    for (_, event) in new {
                        if !send(sender, Item::Event(event.clone())).await {
                            return Ok(());
                        }
                    }
                    (at, last) = (batch.last.sequence, Some(batch.last));
                }
                if over {
                    break 'told state;
                }
                if closing {
                    // Its runs go on with the next process: whoever follows asks there.
                    self.gate.still_here()?;
                    break 'told state;
                }
                tokio::select! {
                    () = changes.wait() => {}
                    _ = closed.changed() => {}
                    () = sender.closed() => return Ok(()),
                }
            }
            // Too slow for the others: all that it has not seen is read again.
            follower = self.reader.follow(id);
            events = follower.poll().await.map_err(refuse)?;
        };
        let end = v1::EventsEnd {
            state: state.code().into(),
            last: last.map(|last| last.to_string()).unwrap_or_default(),
        };
        // The reader may have gone.
        send(sender, Item::End(end)).await;
        Ok(())
    }
}

/// False when the reader has gone.
async fn send(
    sender: &mpsc::Sender<Result<v1::WatchRunEventsResponse, Status>>,
    item: Item,
) -> bool {
    let item = v1::WatchRunEventsResponse { item: Some(item) };
    sender.send(Ok(item)).await.is_ok()
}

/// Where a reader is: after an event (`17.0`), or after all of a record (`17`).
pub(crate) struct After(String, Option<(u64, Option<u32>)>);

fn after(text: &str) -> Result<After, Status> {
    After::parse(text).ok_or_else(|| {
        let why = format!("`{text}` is no event's id");
        refusal::value("/after", why).found(text).status()
    })
}

impl After {
    /// Reads what an answer had as an event's id, and nothing else that looks like one; empty for the
    /// beginning.
    pub(crate) fn parse(text: &str) -> Option<After> {
        let at = match (EventId::parse(text), text.parse()) {
            (Some(id), _) => Some((id.sequence, Some(id.ordinal))),
            (None, Ok(sequence)) => Some((sequence, None)),
            (None, Err(_)) => None,
        };
        let after = After(text.to_owned(), at);
        (after.text() == text).then_some(after)
    }

    pub(crate) fn text(&self) -> String {
        match self.1 {
            None => String::new(),
            Some((sequence, None)) => sequence.to_string(),
            Some((sequence, Some(ordinal))) => EventId { sequence, ordinal }.to_string(),
        }
    }

    fn is_none(&self) -> bool {
        self.1.is_none()
    }

    fn is(&self, id: EventId) -> bool {
        self.1.is_some_and(|(sequence, ordinal)| {
            id.sequence == sequence && ordinal.is_none_or(|ordinal| ordinal == id.ordinal)
        })
    }

    fn covers(&self, id: EventId) -> bool {
        self.1.is_some_and(|(sequence, ordinal)| {
            (id.sequence, id.ordinal) <= (sequence, ordinal.unwrap_or(u32::MAX))
        })
    }
}
