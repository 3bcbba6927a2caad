//! Log lines of a run, as they come.
//!
//! | file | what it is for |
//! | --- | --- |
//! | `logs/attempts.rs` | whose logs are asked for, and how far each was read |
//! | `logs/cursor.rs` | where a reader is, as a text that it comes back with |

mod attempts;
pub(crate) mod cursor;

use self::attempts::{Attempts, Followed};
use self::cursor::{Cursor, Start};
use super::watch::Stream;
use super::{ControlHandlers, refuse, short};
use crate::refusal;
use conveyor_bus::NumberedLine;
use conveyor_engine::plan::Plan;
use conveyor_node::RunId;
use conveyor_node::reader::{Follower, Topic};
use conveyor_proto::v1;
use conveyor_proto::v1::read_logs_response::Item;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

/// How often a reader of a run that has ended looks whether a log was sealed.
const LOOK: Duration = Duration::from_secs(5);
/// The most lines of one answer.
const LINES: usize = 1000;
/// An answer with so many bytes of text gets no further line.
const ANSWER_BYTES: usize = 32 << 10;
/// Answers that are made before the reader takes them: of a log that is there, and a reader that is not, the
/// server keeps these and one page.
const AHEAD: usize = 4;
/// The most lines that a tail may ask for.
const TAIL: u64 = 100_000;

type Sender = mpsc::Sender<Result<v1::ReadLogsResponse, Status>>;

/// What is read of all logs in one go.
struct Round<'a> {
    run: RunId,
    plan: Arc<Plan>,
    request: &'a v1::ReadLogsRequest,
    /// Whether attempts that have ended get no more lines but those that their results told of.
    last: bool,
    /// Whether anything was written since the round before.
    news: bool,
    /// Whether nobody waits for lines that may still come: the process ends with the runs that it has.
    leaves: bool,
    sender: &'a Sender,
}

impl ControlHandlers {
    pub(super) async fn logs(
        &self,
        request: v1::ReadLogsRequest,
    ) -> Result<Stream<v1::ReadLogsResponse>, Status> {
        self.gate.still_here()?;
        let id = self.resolve(&request.run).await?;
        if request.tail.is_some_and(|tail| tail > TAIL) {
            let tail = request.tail.unwrap_or_default() as usize;
            return Err(refusal::limit("/tail", "tail", tail, TAIL as usize));
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
            let field = message.split('`').nth(1).unwrap_or_default();
            return Err(refusal::value(format!("/{field}"), message).status());
        }
        let cursor = after(id, &request)?;
        self.reader.summary(id).await.map_err(refuse)?;
        let written = self.reader.next_log_commit().await.map_err(refuse)?;
        let mut follower = self.reader.follow(id);
        let mut events = follower.poll().await.map_err(refuse)?;
        if let Some(run) = follower.run()
            && !request.step.is_empty()
            && !run.plan().index.contains_key(request.step.as_str())
        {
            return Err(refusal::no_step("/step", "run", run.plan(), &request.step));
        }
        let unknown = cursor.now() > written;
        let mut attempts = Attempts::after(cursor);
        loop {
            let plan = follower.run().map(|run| run.plan().clone());
            attempts.take(&events, &request, plan.as_deref());
            if unknown || events.is_empty() && !attempts.know_the_cursor() {
                return Err(Status::out_of_range(format!(
                    "the run has no logs up to {}: `after` is of a store that was restored to an earlier state, or \
                     made up",
                    request.after
                )));
            }
            if attempts.know_the_cursor() {
                break;
            }
            events = follower.poll().await.map_err(refuse)?;
        }
        let (sender, receiver) = mpsc::channel(AHEAD);
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
        let is_over = |follower: &Follower| {
            let run = follower.run();
            run.is_some_and(|run| run.state().is_terminal())
        };
        // Whoever came back ends the round that it was in, and has what is new in the next one.
        let mut goes_on = attempts.cursor.is_under_way();
        loop {
            // Asked before the look, which then has whatever came before the end.
            let closing = *closed.borrow();
            attempts.catch_up(&mut follower, request).await?;
            let over = is_over(&follower);
            attempts.settle();
            let mut news = true;
            if !goes_on {
                let written = self.reader.next_log_commit().await.map_err(refuse)?;
                news = written != attempts.cursor.now();
                attempts.cursor.begin(written);
            }
            // Whatever was written by then is of an attempt that was claimed by now.
            attempts.catch_up(&mut follower, request).await?;
            let Some(plan) = follower.run().map(|run| run.plan().clone()) else {
                return Ok(());
            };
            let leaves = closing && !self.gate.is_left();
            let round = Round {
                run,
                plan,
                request,
                last: !goes_on && (over || !request.follow || leaves),
                news,
                leaves,
                sender,
            };
            let Attempts { open, cursor, .. } = &mut attempts;
            let mut held = false;
            for (number, attempt) in &mut *open {
                if goes_on && cursor.is_past(*number) {
                    continue;
                }
                match self.send_attempt(&round, *number, attempt, cursor).await? {
                    Sent::All => {}
                    Sent::HeldBack => held = true,
                    Sent::ToNobody => return Ok(()),
                }
            }
            let finished = attempts.forget();
            // In the next round: what is new to who came back, ends that had no room, lines of a run that has
            // ended just now.
            if std::mem::take(&mut goes_on) || held && finished || over != is_over(&follower) {
                continue;
            }
            if !request.follow || leaves || over && attempts.open.is_empty() {
                break;
            }
            if closing {
                // Its runs go on with the next process: whoever follows asks there.
                self.gate.still_here()?;
            }
            tokio::select! {
                () = follower.changed() => {}
                () = lines.wait() => {}
                // Lines that never come are waited for until their log is sealed.
                () = tokio::time::sleep(LOOK), if over => {}
                _ = closed.changed() => {}
                () = sender.closed() => return Ok(()),
            }
        }
        // The reader may have gone.
        let _ = sender.send(Ok(answer(Item::End(v1::LogsEnd {})))).await;
        Ok(())
    }

    /// Sends what an attempt's log has new.
    async fn send_attempt(
        &self,
        round: &Round<'_>,
        number: u32,
        attempt: &mut Followed,
        cursor: &mut Cursor,
    ) -> Result<Sent, Status> {
        let id = v1::AttemptId {
            run: round.run.to_string(),
            step: round.plan.steps[attempt.id.step as usize].id.to_string(),
            instance: attempt.id.instance,
            attempt: attempt.id.attempt,
        };
        let mut next = match attempt.next {
            Some(next) => next,
            None => self.begin(round, number, attempt, cursor).await?,
        };
        let mut more = !attempt.complete && (round.news || attempt.next.is_none());
        attempt.next = Some(next);
        while more {
            self.gate.still_here()?;
            let page = self
                .reader
                .log_before(round.run, attempt.id, next, LINES, cursor.now());
            let page = page.await.map_err(refuse)?;
            next = page.next;
            attempt.next = Some(next);
            attempt.complete |= page.end;
            more = page.more;
            for some in answers(&page.lines) {
                let Some(last) = some.last() else {
                    continue;
                };
                cursor.has(number, last.offset + 1);
                let told = lines(&id, some, cursor.text());
                if round.sender.send(Ok(told)).await.is_err() {
                    return Ok(Sent::ToNobody);
                }
            }
        }
        // A process that died left no end; nothing more comes of an attempt that has ended, but what its
        // result told of.
        let awaited = round.request.follow && attempt.awaits(self.node.now());
        attempt.complete |= round.last && attempt.is_settled() && (!awaited || round.leaves);
        attempt.complete |= attempt.has_all();
        if !attempt.complete {
            return Ok(Sent::All);
        }
        if !cursor.finish(number, next) {
            return Ok(Sent::HeldBack);
        }
        let end = v1::LogEnd {
            id: Some(id),
            next_offset: next,
            cursor: cursor.text(),
        };
        let sent = round.sender.send(Ok(answer(Item::LogEnd(end)))).await;
        Ok(sent.map_or(Sent::ToNobody, |()| Sent::All))
    }

    /// Where reading an attempt's log begins.
    async fn begin(
        &self,
        round: &Round<'_>,
        number: u32,
        attempt: &Followed,
        cursor: &Cursor,
    ) -> Result<u64, Status> {
        let lines_before = |commit| self.reader.lines_before(round.run, attempt.id, commit);
        let begin = match cursor.start(number) {
            Start::At(offset) => offset,
            // Of the part that was there when a reader came, a tail is the end.
            Start::After(0) => match round.request.tail {
                None => 0,
                Some(tail) => {
                    let there = lines_before(cursor.now()).await.map_err(refuse)?;
                    there.saturating_sub(tail)
                }
            },
            Start::After(commit) => lines_before(commit).await.map_err(refuse)?,
        };
        Ok(begin.max(round.request.from_offset))
    }
}

/// What became of an attempt's lines.
enum Sent {
    /// The reader has what there is.
    All,
    /// Its end has to wait: the cursor has no room to say it.
    HeldBack,
    /// The reader has gone.
    ToNobody,
}

/// Where a reader is.
fn after(run: RunId, request: &v1::ReadLogsRequest) -> Result<Cursor, Status> {
    let (of, text) = (cursor::of(run, request), request.after.as_str());
    if text.is_empty() {
        return Ok(Cursor::begin_of(of));
    }
    short("after", text, cursor::MOST)?;
    let wrong = |why: String| refusal::value("/after", why).found(text).status();
    let cursor = Cursor::parse(text).ok_or_else(|| {
        wrong(format!(
            "`after` is {text:?}: no cursor that an answer had, and no id of a line's event"
        ))
    })?;
    match cursor.is_of(of) {
        true => Ok(cursor),
        false => Err(wrong(format!(
            "`after` is {text:?}, a cursor of another run, or of another step, instance or attempt: go on with \
             those that it came from, or begin without one"
        ))),
    }
}

/// The lines of one answer after the other.
fn answers(mut lines: &[NumberedLine]) -> impl Iterator<Item = &[NumberedLine]> {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |line: &&NumberedLine| {
            let room = bytes < ANSWER_BYTES;
            bytes += line.line.text.len();
            room
        };
        let count = lines.iter().take(LINES).take_while(fits).count();
        let (some, rest) = lines.split_at(count);
        lines = rest;
        (count > 0).then_some(some)
    })
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
