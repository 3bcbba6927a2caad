//! Events of a run, as they come.

use super::{ControlHandlers, refuse};
use crate::stack::on_stack;
use crate::wire;
use conveyor_engine::run::RunState;
use conveyor_node::RunId;
use conveyor_node::reader::{Event, EventId, Follower};
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
        let mut last = None;
        let mut state = None;
        loop {
            let all = std::mem::take(&mut events);
            last = all.last().map(|event| event.id).or(last);
            let new: Vec<_> = all
                .into_iter()
                .filter(|event| !after.covers(event.id))
                .collect();
            if let Some(run) = follower.run()
                && !new.is_empty()
            {
                let plan = run.plan().clone();
                let values = self.values(id);
                let told = on_stack(move || {
                    new.iter()
                        .map(|event| wire::event(&plan, event, &values))
                        .collect::<Vec<_>>()
                });
                for event in told.await? {
                    let item = v1::WatchRunEventsResponse {
                        item: Some(Item::Event(event)),
                    };
                    if sender.send(Ok(item)).await.is_err() {
                        return Ok(());
                    }
                }
            }
            if follow {
                self.gate.still_here()?;
            }
            events = follower.poll().await.map_err(refuse)?;
            if !events.is_empty() {
                continue;
            }
            let ended = follower.run().is_some_and(|run| run.state().is_terminal());
            if ended || !follow {
                break;
            }
            if *closed.borrow() {
                self.gate.still_here()?;
                break;
            }
            // A run in quarantine gets no records: its row says so.
            let row = self.reader.summary(id).await.map_err(refuse)?;
            if row.state() == RunState::Quarantined {
                state = Some(RunState::Quarantined);
                break;
            }
            tokio::select! {
                () = follower.changed() => {}
                _ = closed.changed() => {}
                () = sender.closed() => return Ok(()),
            }
        }
        let state = state
            .or(follower.run().map(|run| run.state()))
            .unwrap_or(RunState::Queued);
        let end = v1::EventsEnd {
            state: state.code().into(),
            last: last.map(|last| last.to_string()).unwrap_or_default(),
        };
        // The reader may have gone.
        let _ = sender
            .send(Ok(v1::WatchRunEventsResponse {
                item: Some(Item::End(end)),
            }))
            .await;
        Ok(())
    }
}

/// Where a reader is: after an event, or after all of a record (`17`).
struct After(String, Option<(u64, Option<u32>)>);

fn after(text: &str) -> Result<After, Status> {
    let at = match text {
        "" => None,
        text => match (EventId::parse(text), text.parse()) {
            (Some(id), _) => Some((id.sequence, Some(id.ordinal))),
            (None, Ok(sequence)) => Some((sequence, None)),
            (None, Err(_)) => {
                return Err(Status::invalid_argument(format!(
                    "`{text}` is no event's id"
                )));
            }
        },
    };
    Ok(After(text.to_owned(), at))
}

impl After {
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
