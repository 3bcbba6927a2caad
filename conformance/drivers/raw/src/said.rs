//! What user code says, and how it ends.

use crate::bounds;
use crate::breaks::Break;
use crate::held::{Held, Report, Saying, Stage, Why};
use crate::interpreter;
use crate::says::{End, Event};
use crate::session::Session;
use crate::tasks::UNHEARD;
use conveyor_proto::v1;
use prost::bytes::Bytes;

impl Session {
    /// What user code says.
    pub(crate) fn event(&mut self, event: Event) {
        match event {
            Event::Line(token, line) => {
                let stale_logs = self.breaks(Break::StaleLogs);
                let held = self.held.get_mut(&token);
                if let Some(held) = held.filter(|held| held.runs() || stale_logs) {
                    held.lines.add(&line, self.limits.log_line_bytes);
                }
            }
            Event::Progress(token, permille, message) => {
                if let Some(held) = self.held.get_mut(&token) {
                    held.progress = Some(bounds::progress(permille, &message));
                }
            }
            Event::Checkpoint(token, data, reply) => {
                let (bytes, most) = (data.len() as u64, self.limits.checkpoint_bytes);
                let held = self.held.get_mut(&token).filter(|held| held.runs());
                if bytes > most && !self.breaks.has(Break::SendsTooLarge) {
                    let why =
                        format!("it has {bytes} bytes; the limit `checkpoint_bytes` is {most}");
                    // Whoever saved it may have been stopped.
                    let _ = reply.send(Err(why));
                } else if let Some(held) = held {
                    held.checkpoint = Some(Saying {
                        what: data,
                        sequence: None,
                        reply,
                    });
                }
            }
            Event::Detach(token, mut detached, reply) => {
                if self.breaks(Break::NamesNobody) {
                    detached.principals.clear();
                }
                if let Some(held) = self.held.get_mut(&token).filter(|held| held.runs()) {
                    held.detaching = Some(Saying {
                        what: detached,
                        sequence: None,
                        reply,
                    });
                }
            }
            Event::Ended(token, end) => self.ended(&token, end),
            Event::Accept(token) => {
                if self.held.get(&token).is_some_and(Held::runs) {
                    self.accept(token);
                }
            }
        }
    }

    /// A program has ended, or was cut off.
    pub(crate) fn ended(&mut self, token: &Bytes, end: End) {
        let (limits, breaks) = (self.limits, self.breaks);
        let Some(held) = self.held.get_mut(token).filter(|held| held.runs()) else {
            return;
        };
        let (mut result, twice) = match end {
            End::Once(result) => (result, false),
            End::Twice(result) => (result, true),
            End::Elsewhere => return,
        };
        // Nobody asked for its end, so it is given back, unless it is done (R22).
        let unheard = held.stop.is_some_and(|stop| stop.why == Why::Unheard);
        let is_done = result.state() == v1::AttemptState::Succeeded;
        if unheard && !is_done && !breaks.has(Break::ReportsTheStop) {
            return self.give_back(token);
        }
        if !bounds::goes(&result, &limits) {
            result = too_long();
        }
        result.failure = result
            .failure
            .map(|failure| bounds::failure(failure, &limits));
        result.last_log_offset = breaks.last_log_offset(held.lines.last());
        let report = v1::TaskReport {
            token: token.clone(),
            result: Some(result),
        };
        held.stage = Stage::Ended(Box::new(Report {
            report,
            sequence: None,
            sent: None,
            twice,
            untold: false,
        }));
        // The place is offered before the report is sent: the next claim joins its commit (R11).
        self.places_free(1);
    }

    /// It is another attempt's. Where there is no connection, the next `resume` does not name it.
    fn give_back(&mut self, token: &Bytes) {
        self.drop_task(token);
        self.refuse(token.clone(), UNHEARD);
    }

    /// What is over is remembered, and not held.
    pub(crate) fn clear(&mut self) {
        let still_says = |held: &Held| !held.abort.is_finished();
        let stale_logs = self.breaks(Break::StaleLogs);
        self.held
            .retain(|_, held| !held.is_over() || stale_logs && still_says(held));
    }
}

/// The result in place of one that is longer than a message may be.
pub(crate) fn too_long() -> v1::Result {
    let why = "the result is longer than the limit `message_bytes`: give less back";
    interpreter::failed(v1::AttemptState::Errored, "result_too_long", why.to_owned())
}
