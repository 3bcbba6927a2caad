//! Log lines of a run, as they come.

pub(crate) mod cursor;

use self::cursor::Cursor;
use super::watch::{BUFFER, Stream};
use super::{ControlHandlers, refuse, short};
use crate::refusal;
use conveyor_bus::NumberedLine;
use conveyor_engine::plan::Plan;
use conveyor_engine::run::{Decision, Identity};
use conveyor_engine::time::Time;
use conveyor_node::RunId;
use conveyor_node::reader::{Event, Follower, Topic};
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
            (
                !request.after.is_empty(),
                request.from_offset == 0,
                "`after` and `from_offset` exclude each other",
            ),
        ];
        if let Some((_, _, message)) = needs.into_iter().find(|(given, there, _)| *given && !there)
        {
            return Err(Status::invalid_argument(message));
        }
        let cursor = after(&request.after)?;
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
        let mut attempts = Attempts {
            cursor,
            ..Attempts::default()
        };
        attempts.take(&first, &request, follower.run().map(|run| run.plan()));
        if attempts.cursor.end() > attempts.claimed {
            return Err(Status::out_of_range(format!(
                "the run has no logs up to {}: `after` is of another run",
                request.after
            )));
        }
        let (sender, receiver) = mpsc::channel(BUFFER);
        let handlers = self.clone();
        tokio::spawn(async move {
            if let Err(status) = handlers
                .send_logs(id, follower, attempts, &request, &sender)
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
        mut attempts: Attempts,
        request: &v1::ReadLogsRequest,
        sender: &Sender,
    ) -> Result<(), Status> {
        let mut closed = self.gate.closed();
        // Before the first line is read: what is written in between is told.
        let mut lines = self.reader.hub().subscribe(Topic::Log(run));
        // Whoever comes back has the end of what was there already.
        let mut there = request.after.is_empty();
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
            let Attempts { open, cursor, .. } = &mut attempts;
            for (id, attempt) in &mut *open {
                let whole = (last, request.follow && !*closed.borrow());
                let to = Reader { sender, cursor };
                let sent = Self::send_attempt(self, run, &plan, *id, attempt, tail, whole, to);
                if !sent.await? {
                    return Ok(());
                }
            }
            open.retain(|_, attempt| !attempt.complete);
            if last && (attempts.open.is_empty() || !request.follow || *closed.borrow()) {
                break;
            }
            tokio::select! {
                () = follower.changed() => {}
                () = lines.wait() => {}
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
        mut to: Reader<'_>,
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
                        if !to.lines(&named, attempt.number, some).await {
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
                if !to.lines(&named, attempt.number, some).await {
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
            to.cursor.finish(attempt.number);
            let end = v1::LogEnd {
                id: Some(named),
                next_offset: attempt.next,
                cursor: to.cursor.text(None),
            };
            return Ok(to.sender.send(Ok(answer(Item::LogEnd(end)))).await.is_ok());
        }
        Ok(true)
    }
}

/// Where a reader is.
pub(crate) fn after(text: &str) -> Result<Cursor, Status> {
    if text.is_empty() {
        return Ok(Cursor::default());
    }
    short("after", text, cursor::MOST)?;
    Cursor::parse(text).ok_or_else(|| {
        Status::invalid_argument(format!(
            "`after` is {text:?}: no cursor that an answer had, and no id of a line's event"
        ))
    })
}

/// Who reads, and how far.
struct Reader<'a> {
    sender: &'a Sender,
    cursor: &'a mut Cursor,
}

impl Reader<'_> {
    /// Sends lines of an attempt. False when the reader has gone.
    async fn lines(&mut self, id: &v1::AttemptId, number: u32, some: &[NumberedLine]) -> bool {
        let Some(last) = some.last() else {
            return true;
        };
        self.cursor.has(number, last.offset + 1);
        let cursor = self.cursor.text(Some(number));
        self.sender.send(Ok(lines(id, some, cursor))).await.is_ok()
    }
}

/// Attempts whose logs are asked for.
#[derive(Default)]
struct Attempts {
    /// Those that are not complete yet.
    open: BTreeMap<Identity, Followed>,
    /// How many the run has had, others included: the next one's number.
    claimed: u32,
    /// What the reader has.
    cursor: Cursor,
}

struct Followed {
    /// Its place in the order of claims.
    number: u32,
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
                Decision::Claimed { id, .. } => {
                    let number = self.claimed;
                    self.claimed += 1;
                    if !asked(id) {
                        self.cursor.finish(number);
                    }
                    if self.cursor.is_done(number) {
                        continue;
                    }
                    let next = self.cursor.next(number).unwrap_or(request.from_offset);
                    let followed = Followed {
                        number,
                        next,
                        ended: None,
                        complete: false,
                    };
                    self.open.insert(*id, followed);
                }
                Decision::Attempt { id, .. } => {
                    if let Some(followed) = self.open.get_mut(id) {
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

fn lines(id: &v1::AttemptId, records: &[NumberedLine], cursor: String) -> v1::ReadLogsResponse {
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
        cursor,
    }))
}
