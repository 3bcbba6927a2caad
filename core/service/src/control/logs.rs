//! Log lines of a run, as they come.

use super::watch::{BUFFER, Stream};
use super::{ControlHandlers, refuse};
use crate::refusal;
use conveyor_bus::NumberedLine;
use conveyor_engine::plan::Plan;
use conveyor_engine::run::{Decision, Identity};
use conveyor_engine::time::Time;
use conveyor_node::RunId;
use conveyor_node::reader::{Event, Follower};
use conveyor_node::session::SEALED_AFTER;
use conveyor_proto::v1;
use conveyor_proto::v1::read_logs_response::Item;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

/// How often a reader of a run that has ended looks whether a log was sealed.
const LOOK: Duration = Duration::from_secs(5);
/// The most lines of one answer.
const LINES: usize = 1000;
/// The most lines that a tail may ask for.
const TAIL: u64 = 100_000;

type Sender = mpsc::Sender<Result<v1::ReadLogsResponse, Status>>;

impl ControlHandlers {
    pub(super) async fn logs(
        &self,
        request: v1::ReadLogsRequest,
    ) -> Result<Stream<v1::ReadLogsResponse>, Status> {
        let id = self.resolve(&request.run).await?;
        if request.tail.is_some_and(|tail| tail > TAIL) {
            let tail = request.tail.unwrap_or_default() as usize;
            return Err(refusal::limit("tail", tail, TAIL as usize));
        }
        let needs = [
            (
                request.instance.is_some(),
                !request.step.is_empty(),
                "`instance` needs `step`",
            ),
            (
                request.attempt.is_some(),
                !request.step.is_empty(),
                "`attempt` needs `step`",
            ),
            (
                request.from_offset > 0,
                request.attempt.is_some(),
                "`from_offset` needs `attempt`",
            ),
        ];
        if let Some((_, _, message)) = needs.into_iter().find(|(given, there, _)| *given && !there)
        {
            return Err(Status::invalid_argument(message));
        }
        self.reader.summary(id).await.map_err(refuse)?;
        let mut follower = self.reader.follow(id);
        let first = follower.poll().await.map_err(refuse)?;
        if let Some(run) = follower.run()
            && !request.step.is_empty()
            && !run.plan().index.contains_key(request.step.as_str())
        {
            return Err(Status::invalid_argument(format!(
                "the run has no step `{}`",
                request.step
            )));
        }
        let (sender, receiver) = mpsc::channel(BUFFER);
        let handlers = self.clone();
        tokio::spawn(async move {
            if let Err(status) = handlers
                .send_logs(id, follower, first, &request, &sender)
                .await
            {
                // The reader may have gone.
                let _ = sender.send(Err(status)).await;
            }
        });
        Ok(ReceiverStream::new(receiver))
    }

    async fn send_logs(
        &self,
        run: RunId,
        mut follower: Follower,
        first: Vec<Event>,
        request: &v1::ReadLogsRequest,
        sender: &Sender,
    ) -> Result<(), Status> {
        let mut closed = self.gate.closed();
        let mut attempts = Attempts::default();
        attempts.take(&first, request, follower.run().map(|run| run.plan()));
        let mut there = true;
        loop {
            // Events first: what was claimed before has its lines read below, and whatever comes
            // later is told as a change.
            loop {
                let events = follower.poll().await.map_err(refuse)?;
                if events.is_empty() {
                    break;
                }
                attempts.take(&events, request, follower.run().map(|run| run.plan()));
            }
            let tail = request.tail.filter(|_| std::mem::take(&mut there));
            let ended = follower.run().is_some_and(|run| run.state().is_terminal());
            let last = ended || !request.follow || *closed.borrow();
            let Some(plan) = follower.run().map(|run| run.plan().clone()) else {
                return Ok(());
            };
            for (id, attempt) in &mut attempts.0 {
                let whole = (last, request.follow && !*closed.borrow());
                let sent = Self::send_attempt(self, run, &plan, *id, attempt, tail, whole, sender);
                if !sent.await? {
                    return Ok(());
                }
            }
            attempts.0.retain(|_, attempt| !attempt.complete);
            if last && (attempts.0.is_empty() || !request.follow || *closed.borrow()) {
                break;
            }
            tokio::select! {
                () = follower.changed() => {}
                // Lines that never come are waited for until their log is sealed.
                () = tokio::time::sleep(LOOK), if last => {}
                _ = closed.changed() => {}
                () = sender.closed() => return Ok(()),
            }
        }
        // The reader may have gone.
        let _ = sender.send(Ok(answer(Item::End(v1::LogsEnd {})))).await;
        Ok(())
    }

    /// Sends what an attempt's log has now. False when the reader has gone.
    #[expect(clippy::too_many_arguments, reason = "one place calls it, in one loop")]
    async fn send_attempt(
        &self,
        run: RunId,
        plan: &Plan,
        id: Identity,
        attempt: &mut Followed,
        tail: Option<u64>,
        (last, follow): (bool, bool),
        sender: &Sender,
    ) -> Result<bool, Status> {
        let named = v1::AttemptId {
            run: run.to_string(),
            step: plan.steps[id.step as usize].id.to_string(),
            instance: id.instance,
            attempt: id.attempt,
        };
        // Of the part that is there when a reader comes, a tail is the end.
        let mut tail = tail.map(|tail| (tail, VecDeque::new()));
        loop {
            let page = self
                .reader
                .log(run, id, attempt.next, LINES)
                .await
                .map_err(refuse)?;
            attempt.next = page.next;
            attempt.complete |= page.end;
            let done = page.lines.is_empty();
            match &mut tail {
                Some((most, kept)) => {
                    kept.extend(page.lines);
                    while kept.len() as u64 > *most {
                        kept.pop_front();
                    }
                }
                None => {
                    for some in page.lines.chunks(LINES) {
                        if sender.send(Ok(lines(&named, some))).await.is_err() {
                            return Ok(false);
                        }
                    }
                }
            }
            if done || attempt.complete {
                break;
            }
        }
        if let Some((_, kept)) = tail {
            let kept: Vec<_> = kept.into();
            for some in kept.chunks(LINES) {
                if sender.send(Ok(lines(&named, some))).await.is_err() {
                    return Ok(false);
                }
            }
        }
        // A process that died left no end; nothing more comes of an attempt that has ended, but what its
        // result told of.
        let awaited = follow && attempt.awaits(self.node.now());
        attempt.complete |= last && attempt.ended.is_some() && !awaited;
        attempt.complete |= attempt.has_all();
        if attempt.complete {
            let end = v1::LogEnd {
                id: Some(named),
                next_offset: attempt.next,
            };
            return Ok(sender.send(Ok(answer(Item::LogEnd(end)))).await.is_ok());
        }
        Ok(true)
    }
}

/// Attempts whose logs are not complete yet.
#[derive(Default)]
struct Attempts(BTreeMap<Identity, Followed>);

struct Followed {
    next: u64,
    /// When it ended, and its last offset as its result told it.
    ended: Option<(Time, Option<u64>)>,
    complete: bool,
}

impl Followed {
    /// Whether all that its result told of was read.
    fn has_all(&self) -> bool {
        matches!(self.ended, Some((_, Some(last))) if self.next > last)
    }

    /// Whether lines that its result told of may still come (PROTOCOL P33).
    fn awaits(&self, now: Time) -> bool {
        match self.ended {
            Some((at, Some(last))) => self.next <= last && now < at.after(SEALED_AFTER),
            _ => false,
        }
    }
}

impl Attempts {
    fn take(&mut self, events: &[Event], request: &v1::ReadLogsRequest, plan: Option<&Arc<Plan>>) {
        let asked = |id: &Identity| {
            let step = plan.and_then(|plan| plan.steps.get(id.step as usize));
            (request.step.is_empty() || step.is_some_and(|step| *step.id == *request.step))
                && request
                    .instance
                    .is_none_or(|instance| instance == id.instance)
                && request.attempt.is_none_or(|attempt| attempt == id.attempt)
        };
        for event in events {
            match &event.decision {
                Decision::Claimed { id, .. } if asked(id) => {
                    let next = request.from_offset;
                    self.0.insert(
                        *id,
                        Followed {
                            next,
                            ended: None,
                            complete: false,
                        },
                    );
                }
                Decision::Attempt { id, .. } => {
                    if let Some(followed) = self.0.get_mut(id) {
                        followed.ended = Some((event.time, event.last_log));
                    }
                }
                _ => {}
            }
        }
    }
}

fn answer(item: Item) -> v1::ReadLogsResponse {
    v1::ReadLogsResponse { item: Some(item) }
}

fn lines(id: &v1::AttemptId, records: &[NumberedLine]) -> v1::ReadLogsResponse {
    let record = |record: &NumberedLine| v1::LogRecord {
        id: Some(id.clone()),
        offset: record.offset,
        time_ms: record.line.time_ms,
        stream: record.line.stream,
        text: record.line.text.clone(),
        truncated: record.line.truncated,
    };
    answer(Item::Records(v1::LogRecords {
        records: records.iter().map(record).collect(),
    }))
}
