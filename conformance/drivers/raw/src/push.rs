//! What is to be said goes out, as far as there is room.
//!
//! Everything that has to reach the engine is kept until that has it: with the task, or in the outbox. So a new
//! connection means no more than to forget what was sent over the last one (R43).

use crate::breaks::{Break, Breaks};
use crate::held::{Held, Stage};
use crate::session::Session;
use crate::wire::Link;
use conveyor_proto::contract::REPORT_AGAIN_MS;
use conveyor_proto::v1;
use conveyor_proto::v1::session_request::Message as Tell;
use conveyor_proto::v1::task_answer::Answer;
use prost::bytes::Bytes;
use std::time::Duration;
use tokio::time::Instant;

/// A report that is not answered for so long is sent again (R25).
const AGAIN: Duration = Duration::from_millis(REPORT_AGAIN_MS);

impl Session {
    /// Says something as soon as there is a connection and room; a new connection says it anew where it must.
    pub(crate) fn say(&mut self, message: Tell) {
        if self.is_welcome() {
            self.outbox.push_back(message);
        }
    }

    pub(crate) fn credits(&mut self, count: u32) {
        self.say(Tell::Credits(v1::Credits {
            count,
            queue: String::new(),
        }));
    }

    pub(crate) fn answer(&mut self, token: Bytes, answer: Answer) {
        self.say(Tell::Answer(v1::TaskAnswer {
            token,
            answer: Some(answer),
        }));
    }

    /// Sends a message at once.
    pub(crate) fn tell(&mut self, message: Tell) {
        if let Some(link) = &mut self.link {
            link.tell(message);
        }
    }

    pub(crate) fn push(&mut self) {
        let Some(link) = self.link.as_mut().filter(|link| link.welcome) else {
            return;
        };
        while link.room() > 0
            && let Some(message) = self.outbox.pop_front()
        {
            link.tell(message);
        }
        for (token, held) in &mut self.held {
            push_lines(link, token, held, &self.limits, self.breaks);
            push_rest(link, token, held, self.breaks);
        }
    }
}

/// Half of the room is for what is no line. Calls of a task are made one after another: the lines that come while one
/// is made are together in the next, however late it is answered.
fn push_lines(
    link: &mut Link,
    token: &Bytes,
    held: &mut Held,
    limits: &v1::Limits,
    breaks: Breaks,
) {
    let floods = breaks.has(Break::Floods);
    let one_by_one = link.wire.repeats() && !floods;
    while (link.room() > link.most() / 2 || floods)
        && !(one_by_one && held.lines.is_on_the_way())
        && let Some(batch) = held.lines.batch(token, &mut link.window, limits)
    {
        link.tell(Tell::Logs(batch));
    }
}

pub(crate) fn checkpoint(token: Bytes, data: Bytes) -> Tell {
    Tell::Checkpoint(v1::Checkpoint { token, data })
}

pub(crate) fn detached(token: Bytes, detached: v1::Detached) -> Tell {
    let answer = Some(Answer::Detached(detached));
    Tell::Answer(v1::TaskAnswer { token, answer })
}

fn push_rest(link: &mut Link, token: &Bytes, held: &mut Held, breaks: Breaks) {
    if let Some(checkpoint) = &mut held.checkpoint
        && checkpoint.sequence.is_none()
        && link.room() > 0
    {
        let message = self::checkpoint(token.clone(), checkpoint.what.clone());
        checkpoint.sequence = Some(link.tell(message));
    }
    if breaks.has(Break::CheckpointOnce)
        && let Some(sent) = held.checkpoint.take_if(|saying| saying.sequence.is_some())
    {
        // Whoever saved it may have been stopped.
        let _ = sent.reply.send(Ok(()));
    }
    if let Some(detaching) = &mut held.detaching
        && detaching.sequence.is_none()
        && link.room() > 0
    {
        let message = detached(token.clone(), detaching.what.clone());
        detaching.sequence = Some(link.tell(message));
    }
    if let Stage::Ended(report) = &mut held.stage {
        let due = match report.sent {
            None => true,
            Some(_) if breaks.has(Break::ReportsOnce) => false,
            Some(_) if link.wire.repeats() && !report.untold => false,
            Some(sent) => sent.elapsed() >= AGAIN,
        };
        if due && link.room() > 0 {
            (report.sent, report.untold) = (Some(Instant::now()), false);
            report.sequence = Some(link.tell(Tell::Report(report.report.clone())));
        }
    }
}
