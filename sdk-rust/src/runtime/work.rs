//! What tasks do.

use super::deadlines::UNHEARD;
use super::held::{Detaching, Held, Saving};
use super::session::Runtime;
use super::sink::Event;
use crate::Failure;
use crate::bounds;
use crate::sink::NotKept;
use conveyor_proto::v1;
use conveyor_proto::v1::session_request::Message as Tell;
use prost::bytes::Bytes;
use serde_json::Value;
use tokio::time::Instant;

/// Lines go out while no more messages than this are on their way: half of what a driver with one place may have.
const LOGS_ON_THEIR_WAY: u64 = 128;

impl Runtime {
    pub(super) fn event(&mut self, event: Event) {
        match event {
            Event::Line(token, pieces) => {
                if let Some(held) = self.held.get_mut(&token) {
                    held.add(pieces);
                }
            }
            Event::Progress(token, permille, message) => {
                if let Some(held) = self.held.get_mut(&token) {
                    held.progress = (permille, bounds::progress(message));
                }
            }
            Event::Checkpoint(token, data, reply) => match self.held.get_mut(&token) {
                Some(held) if held.runs() => {
                    let (bytes, most) = (data.len() as u64, self.limits.checkpoint_bytes);
                    if bytes > most {
                        let why = format!(
                            "the checkpoint has {bytes} bytes; the limit `checkpoint_bytes` is {most}"
                        );
                        // Whoever saved it may have stopped waiting.
                        let _ = reply.send(Err(NotKept(why)));
                        return;
                    }
                    let sequence = None;
                    held.checkpoints.push_back(Saving {
                        data,
                        sequence,
                        reply,
                    });
                    self.send_checkpoints(&token);
                }
                _ => {
                    let over = NotKept("the attempt is over: nothing more is saved".to_owned());
                    // Whoever saved it may have stopped waiting.
                    let _ = reply.send(Err(over));
                }
            },
            Event::Detach(token, detached, reply) => match self.held.get_mut(&token) {
                Some(held) if held.runs() && held.detaching.is_some() => {
                    let twice = "the task is being handed over already";
                    // Whoever handed it over may have stopped waiting.
                    let _ = reply.send(Err(NotKept(twice.to_owned())));
                }
                Some(held) if held.runs() => {
                    let sequence = None;
                    held.detaching = Some(Detaching {
                        detached,
                        sequence,
                        reply,
                    });
                    // What was said before is numbered before it goes on elsewhere.
                    self.flush_logs();
                    self.send_detached(&token);
                }
                _ => {
                    let over = "the attempt is over: it cannot go on elsewhere";
                    // Whoever handed it over may have stopped waiting.
                    let _ = reply.send(Err(NotKept(over.to_owned())));
                }
            },
            Event::Done(token, result) => self.done(&token, result),
        }
    }

    pub(super) fn done(&mut self, token: &Bytes, result: Result<Value, Failure>) {
        let Some(held) = self.held.get_mut(token).filter(|held| held.runs()) else {
            return;
        };
        // However it failed: an action that is told to stop says so in many ways.
        if held.unheard && result.is_err() {
            return self.give_back(token);
        }
        held.end(token, result);
        // The place is free before the report is taken, so that the next task's claim joins its
        // commit (R11).
        if self.is_welcome() && self.stopping.is_none() {
            self.credits(1);
        }
        // What it said comes before how it ended, as far as the window allows.
        self.flush_logs();
        self.send_report(token);
    }

    /// Nobody asked for the end of a task: it is another attempt's (R22). Where there is no connection, it is
    /// not named over the next one; where that has begun, it is named already, and refused after the welcome.
    fn give_back(&mut self, token: &Bytes) {
        self.flush_logs();
        if self.is_welcome() {
            self.refuse(token.clone(), UNHEARD);
        } else if self.link.is_some() {
            self.given_back.push(token.clone());
        }
        self.forget(token);
    }

    pub(super) fn send_report(&mut self, token: &Bytes) {
        if !self.is_welcome() {
            return;
        }
        let Some(held) = self.held.get_mut(token) else {
            return;
        };
        if let Some(report) = held.report.clone() {
            held.reported = Some(Instant::now());
            self.tell(Tell::Report(report));
        }
    }

    pub(super) fn send_checkpoints(&mut self, token: &Bytes) {
        if !self.is_welcome() {
            return;
        }
        let unsent = |held: &Held| {
            held.checkpoints
                .iter()
                .position(|one| one.sequence.is_none())
        };
        while let Some(held) = self.held.get(token)
            && let Some(at) = unsent(held)
        {
            let data = Bytes::copy_from_slice(&held.checkpoints[at].data);
            let token = token.clone();
            let checkpoint = v1::Checkpoint {
                token: token.clone(),
                data,
            };
            let sequence = self.tell(Tell::Checkpoint(checkpoint));
            if let Some(held) = self.held.get_mut(&token) {
                held.checkpoints[at].sequence = Some(sequence);
            }
        }
    }

    /// Says that a task goes on elsewhere (R55), where that is not said over this connection yet.
    pub(super) fn send_detached(&mut self, token: &Bytes) {
        if !self.is_welcome() {
            return;
        }
        let held = self.held.get(token);
        let detaching = held.and_then(|held| held.detaching.as_ref());
        let Some(detached) = detaching.filter(|one| one.sequence.is_none()) else {
            return;
        };
        let answer = v1::task_answer::Answer::Detached(detached.detached.clone());
        let answer = v1::TaskAnswer {
            token: token.clone(),
            answer: Some(answer),
        };
        let sequence = self.tell(Tell::Answer(answer));
        let held = self.held.get_mut(token);
        if let Some(detaching) = held.and_then(|held| held.detaching.as_mut()) {
            detaching.sequence = Some(sequence);
        }
    }

    pub(super) fn flush_logs(&mut self) {
        let Some(link) = self.link.as_mut().filter(|link| link.welcome) else {
            return;
        };
        // More lines wait for an acknowledgement: what is on its way has a limit, and answers and reports need room
        // beside them (R62).
        let on_its_way = link.sequence.saturating_sub(link.acknowledged);
        let mut room = LOGS_ON_THEIR_WAY.saturating_sub(on_its_way);
        let mut window = link.window;
        let most = self.limits.log_batch_bytes;
        let mut batches = Vec::new();
        for (token, held) in &mut self.held {
            while room > 0
                && let Some(batch) = held.batch(token, &mut window, most)
            {
                batches.push(batch);
                room -= 1;
            }
        }
        link.window = window;
        for batch in batches {
            self.tell(Tell::Logs(batch));
        }
    }
}
