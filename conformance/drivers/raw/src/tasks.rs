//! Tasks begin and end.

use crate::held::{Held, Past, Report, Saying, Stage};
use crate::interpreter::{self, Interpreter};
use crate::logs::Lines;
use crate::mask::Mask;
use crate::pace::unheard_after;
use crate::says::{End, Event, Says};
use crate::session::Session;
use conveyor_proto::v1;
use conveyor_proto::v1::task_answer::Answer;
use prost::Message;
use prost::bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// Why a task is stopped, or not started, where the engine was not heard.
const UNHEARD: &str = "the engine was not heard for too long";
/// How much of a message is left for what is not the outputs.
const ENVELOPE: u64 = 64 << 10;

impl Session {
    /// How many more tasks it takes.
    pub(crate) fn free(&self) -> u32 {
        let running = self.held.values().filter(|held| held.runs()).count() as u32;
        match self.stopping {
            Some(_) => 0,
            None => self.launch.capacity.saturating_sub(running),
        }
    }

    pub(crate) fn places_free(&mut self, count: u32) {
        if count > 0 && self.stopping.is_none() {
            self.credits(count);
        }
    }

    /// A task comes, for the first time or again. It is answered at once (R12).
    pub(crate) fn task(&mut self, task: v1::Task) {
        let token = task.token.clone();
        if let Some(held) = self.held.get_mut(&token) {
            match &mut held.stage {
                Stage::Runs => self.answer(token, Answer::Accepted(v1::Accepted {})),
                Stage::Ended(report) => report.sent = None,
                Stage::Told => {}
            }
            return;
        }
        match self.past.get(&token).cloned() {
            None => {}
            Some(Past::Refused) => return self.refuse(token, "the driver has refused it before"),
            Some(Past::Reported(report)) => {
                return self.say(v1::session_request::Message::Report(report));
            }
            Some(Past::Gone) => return,
        }
        let timeout = Duration::from_millis(task.heartbeat_timeout_ms);
        self.pace.task(timeout);
        let unheard = self.pace.is_overdue(timeout, Instant::now());
        if self.stopping.is_some() {
            return self.refuse(token, "the driver is told to stop");
        }
        if self.free() == 0 {
            return self.refuse(token, "the driver has no room");
        }
        if unheard {
            self.refuse(token, UNHEARD);
            return self.places_free(1);
        }
        self.answer(token.clone(), Answer::Accepted(v1::Accepted {}));
        let lines = Lines::default();
        let (cancel, cancelled) = watch::channel(false);
        let abort = self.start(&task, Arc::clone(&lines.room), cancelled);
        let held = Held {
            grace: Duration::from_millis(task.grace_ms),
            heartbeat_timeout: timeout,
            came: Instant::now(),
            deadline: Instant::now() + Duration::from_millis(task.time_left_ms),
            cancel,
            abort,
            cut_off: None,
            unheard: false,
            progress: None,
            lines,
            checkpoint: None,
            detaching: None,
            stage: Stage::Runs,
        };
        self.held.insert(token, held);
    }

    /// Starts the task's program, and sees to it that its end is told, however it ends.
    fn start(
        &self,
        task: &v1::Task,
        room: Arc<Semaphore>,
        cancelled: watch::Receiver<bool>,
    ) -> AbortHandle {
        let text = |value: &Bytes| String::from_utf8_lossy(value).into_owned();
        let secrets: BTreeMap<_, _> = task
            .secrets
            .iter()
            .map(|(name, value)| (name.clone(), text(value)))
            .collect();
        let says = Says {
            token: task.token.clone(),
            events: self.to_events.clone(),
            room,
            mask: Mask::new(&secrets),
        };
        let mut task = task.clone();
        // They are in one place, which ends with the program (R71).
        task.secrets.clear();
        let came = std::time::Instant::now();
        let interpreter = Interpreter {
            task,
            came,
            says: says.clone(),
            secrets,
            cancelled,
        };
        let work = self.programs.spawn(interpreter.perform());
        let abort = work.abort_handle();
        self.programs.spawn(async move {
            let end = match work.await {
                Ok(end) => end,
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => End::Once(exception(panic.as_ref(), &says.mask)),
                    // It was cut off: whoever did that knows.
                    Err(_) => return,
                },
            };
            says.tell(Event::Ended(says.token.clone(), end));
        });
        abort
    }

    fn refuse(&mut self, token: Bytes, reason: &str) {
        self.past.put(token.clone(), Past::Refused);
        self.answer(
            token,
            Answer::Refused(v1::Refused {
                reason: reason.to_owned(),
            }),
        );
    }

    /// User code is to stop; what still runs shortly before the grace is over is cut off (R34). Once told, it
    /// is told no more (R36).
    pub(crate) fn tell_to_stop(&mut self, token: &Bytes, grace: Duration) {
        let Some(held) = self.held.get_mut(token).filter(|held| held.runs()) else {
            return;
        };
        if held.cut_off.is_some() {
            return;
        }
        held.cut_off = Some(Instant::now() + grace - left_for_report(grace));
        held.cancel.send_replace(true);
    }

    /// The task is nobody's any more, or another's: it stops at once, and nothing more is told of it.
    pub(crate) fn drop_task(&mut self, token: &Bytes) {
        let Some(held) = self.held.remove(token) else {
            return;
        };
        held.abort.abort();
        held.lines.room.close();
        self.past.put(token.clone(), Past::Gone);
        self.places_free(u32::from(held.runs()));
    }

    /// What user code says.
    pub(crate) fn event(&mut self, event: Event) {
        match event {
            Event::Line(token, line) => {
                if let Some(held) = self.held.get_mut(&token).filter(|held| held.runs()) {
                    held.lines.add(&line, self.limits.log_line_bytes);
                }
            }
            Event::Progress(token, permille, message) => {
                if let Some(held) = self.held.get_mut(&token) {
                    held.progress = Some((permille, message));
                }
            }
            Event::Checkpoint(token, data, reply) => {
                let (bytes, most) = (data.len() as u64, self.limits.checkpoint_bytes);
                let held = self.held.get_mut(&token).filter(|held| held.runs());
                if bytes > most {
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
            Event::Detach(token, detached, reply) => {
                if let Some(held) = self.held.get_mut(&token).filter(|held| held.runs()) {
                    held.detaching = Some(Saying {
                        what: detached,
                        sequence: None,
                        reply,
                    });
                }
            }
            Event::Ended(token, end) => self.ended(&token, end),
            Event::Say(message) => self.say(message),
        }
    }

    /// A program has ended, or was cut off.
    pub(crate) fn ended(&mut self, token: &Bytes, end: End) {
        let message_bytes = self.limits.message_bytes;
        let Some(held) = self.held.get_mut(token).filter(|held| held.runs()) else {
            return;
        };
        let (mut result, twice) = match end {
            End::Once(result) => (result, false),
            End::Twice(result) => (result, true),
            End::Elsewhere => return,
        };
        // Nobody asked for its end, so it is given back, unless it is done (R22).
        if held.unheard && result.state() != v1::AttemptState::Succeeded {
            return self.give_back(token);
        }
        result.last_log_offset = held.lines.last();
        let mut report = v1::TaskReport {
            token: token.clone(),
            result: Some(result),
        };
        if report.encoded_len() as u64 + ENVELOPE > message_bytes {
            report = too_long(token.clone(), held.lines.last());
        }
        held.stage = Stage::Ended(Report {
            report,
            sequence: None,
            sent: None,
            twice,
        });
        // The place is offered before the report is sent: the next claim joins its commit (R11).
        self.places_free(1);
    }

    /// It is another attempt's. Where there is no connection, the next `resume` does not name it.
    fn give_back(&mut self, token: &Bytes) {
        if self.is_welcome() {
            self.refuse(token.clone(), UNHEARD);
        }
        self.drop_task(token);
    }

    /// What is over is remembered, and not held.
    pub(crate) fn clear(&mut self) {
        self.held.retain(|_, held| !held.is_over());
    }

    /// The engine was not heard for too long: it may give the task to another soon (R22).
    pub(crate) fn is_unheard(&self, held: &Held, now: Instant) -> bool {
        let heard = self.pace.answered.max(held.came);
        now.saturating_duration_since(heard) > unheard_after(held.heartbeat_timeout)
    }
}

/// The last part of the grace: a fifth, two seconds at most.
fn left_for_report(grace: Duration) -> Duration {
    (grace / 5).min(Duration::from_secs(2))
}

/// The report in place of one that is longer than a message may be.
pub(crate) fn too_long(token: Bytes, last_log_offset: Option<u64>) -> v1::TaskReport {
    let why = "the result is longer than the limit `message_bytes`: give less back".to_owned();
    let result = interpreter::failed(v1::AttemptState::Errored, "result_too_long", why);
    v1::TaskReport {
        token,
        result: Some(v1::Result {
            last_log_offset,
            ..result
        }),
    }
}

/// How user code ended that did not mean to.
fn exception(panic: &(dyn std::any::Any + Send), mask: &Mask) -> v1::Result {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without a message");
    interpreter::failed(v1::AttemptState::Failed, "exception", mask.text(text))
}
