//! Tasks begin and end.

use crate::breaks::Break;
use crate::held::{Held, Past, Stage, Stop, Why};
use crate::interpreter::{self, Interpreter};
use crate::logs::Lines;
use crate::mask::Mask;
use crate::pace::unheard_after;
use crate::says::{End, Event, Says};
use crate::session::Session;
use conveyor_proto::v1;
use conveyor_proto::v1::session_request::Message as Tell;
use conveyor_proto::v1::task_answer::Answer;
use prost::bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// Why a task is stopped, or not started, where the engine was not heard.
pub(crate) const UNHEARD: &str = "the engine was not heard for too long";
/// When a driver answers that answers late: before a task is sent again.
const LATE: Duration = Duration::from_secs(3);
/// How late user code hears of a cancel at most, where it hears late.
const TOLD_LATE: Duration = Duration::from_secs(4);
/// After every case.
const NEVER: Duration = Duration::from_secs(86_400);

impl Session {
    /// How many more tasks it takes.
    pub(crate) fn free(&self) -> u32 {
        let running = self.held.values().filter(|held| held.runs()).count() as u32;
        match self.stopping {
            Some(_) if !self.breaks(Break::StartsWhenStopping) => 0,
            _ => self.launch.capacity.saturating_sub(running),
        }
    }

    pub(crate) fn places_free(&mut self, count: u32) {
        if count > 0 && self.stopping.is_none() {
            self.credits(count);
        }
    }

    /// A task comes, for the first time or again. It is answered at once (R12).
    pub(crate) fn task(&mut self, task: &v1::Task) {
        let token = task.token.clone();
        if self.comes_again(task) {
            return;
        }
        let timeout = Duration::from_millis(task.heartbeat_timeout_ms);
        self.pace.task(timeout);
        if self.stopping.is_some() && !self.breaks(Break::StartsWhenStopping) {
            return self.refuse(token, "the driver is told to stop");
        }
        if self.free() == 0 && !self.breaks(Break::StartsWithoutRoom) {
            return match self.breaks(Break::SilentWithoutRoom) {
                true => {}
                false => self.refuse(token, "the driver has no room"),
            };
        }
        let overdue = self.pace.is_overdue(timeout, Instant::now());
        if overdue && !self.breaks(Break::StartsUnheard) {
            self.refuse(token, UNHEARD);
            return self.places_free(1);
        }
        match self.breaks(Break::AnswersLate) {
            true => self.accept_late(token.clone()),
            false => self.accept(token.clone()),
        }
        self.breaks.print_task(task);
        let lines = Lines::new(self.breaks);
        let (cancel, cancelled) = watch::channel(false);
        let abort = self.start(task, Arc::clone(&lines.room), cancelled);
        let held = Held {
            grace: Duration::from_millis(task.grace_ms),
            heartbeat_timeout: timeout,
            came: Instant::now(),
            deadline: self.breaks.deadline(task),
            cancel,
            abort,
            stop: None,
            progress: None,
            lines,
            checkpoint: None,
            detaching: None,
            stage: Stage::Runs,
        };
        self.held.insert(token, held);
    }

    /// A token starts a program once (R13): one that comes again is accepted again, or reported again.
    fn comes_again(&mut self, task: &v1::Task) -> bool {
        let token = task.token.clone();
        if self.breaks(Break::StartsEndedAgain) && self.has_ended(&token) {
            self.held.remove(&token);
            return false;
        }
        match self.held.get_mut(&token).map(|held| &mut held.stage) {
            Some(Stage::Runs) => {
                if self.breaks(Break::StartsTwice) {
                    self.start_twice(task);
                }
                if !self.breaks(Break::AcceptsOnce) {
                    self.accept(token);
                }
                return true;
            }
            Some(Stage::Ended(report)) => {
                report.sent = None;
                return true;
            }
            Some(Stage::Told) | None => {}
        }
        match self.past.get(&token).cloned() {
            None => return false,
            Some(Past::Refused) => self.refuse(token, "the driver has refused it before"),
            Some(Past::Reported(report)) => self.say(Tell::Report(*report)),
            Some(Past::Gone) => {}
        }
        true
    }

    fn has_ended(&self, token: &Bytes) -> bool {
        let ended = self.held.get(token).is_some_and(|held| !held.runs());
        ended || matches!(self.past.get(token), Some(Past::Reported(_)))
    }

    fn start_twice(&self, task: &v1::Task) {
        if let Some(held) = self.held.get(&task.token) {
            self.start(task, Arc::clone(&held.lines.room), held.cancel.subscribe());
        }
    }

    pub(crate) fn accept(&mut self, token: Bytes) {
        self.answer(token, Answer::Accepted(v1::Accepted {}));
    }

    fn accept_late(&self, token: Bytes) {
        let events = self.to_events.clone();
        // The driver may have ended by then.
        self.breaks
            .later(LATE, move || drop(events.send(Event::Accept(token))));
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

    pub(crate) fn refuse(&mut self, token: Bytes, reason: &str) {
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
    pub(crate) fn tell_to_stop(&mut self, token: &Bytes, why: Why, grace: Duration) {
        let breaks = self.breaks;
        let Some(held) = self.held.get_mut(token).filter(|held| held.runs()) else {
            return;
        };
        if let Some(stop) = &mut held.stop {
            if breaks.has(Break::RepeatCutsOff) && stop.why == Why::Asked {
                stop.cut_off = Instant::now();
            }
            // Now somebody asks for its end, and is told of it.
            if why == Why::Asked {
                stop.why = why;
            }
            return;
        }
        let most = match breaks.has(Break::NeverCutsOff) {
            true => NEVER,
            false => grace - left_for_report(grace),
        };
        let cut_off = Instant::now() + most;
        held.stop = Some(Stop { why, cut_off });
        let cancel = held.cancel.clone();
        let tell = move || {
            cancel.send_replace(true);
        };
        match breaks.has(Break::TellsLate) {
            true => breaks.later(TOLD_LATE.min(grace / 2), tell),
            false => tell(),
        }
    }

    /// The task is nobody's any more, or another's: it stops at once, and nothing more is told of it.
    pub(crate) fn drop_task(&mut self, token: &Bytes) {
        if let Some(held) = self.let_go(token) {
            held.abort.abort();
        }
    }

    /// The task is not held any more; its program runs on.
    pub(crate) fn let_go(&mut self, token: &Bytes) -> Option<Held> {
        let held = self.held.remove(token)?;
        held.lines.room.close();
        self.past.put(token.clone(), Past::Gone);
        self.places_free(u32::from(held.runs()));
        Some(held)
    }

    /// The engine was not heard for too long: it may give the task to another soon (R22).
    pub(crate) fn is_unheard(&self, held: &Held, now: Instant) -> bool {
        let heard = self.pace.answered.max(held.came);
        let most = match self.breaks(Break::StopsLate) {
            true => held.heartbeat_timeout,
            false => unheard_after(held.heartbeat_timeout),
        };
        now.saturating_duration_since(heard) > most && !self.breaks(Break::RunsOnUnheard)
    }
}

/// The last part of the grace: a fifth, two seconds at most.
fn left_for_report(grace: Duration) -> Duration {
    (grace / 5).min(Duration::from_secs(2))
}

/// How user code ended that did not mean to.
fn exception(panic: &(dyn std::any::Any + Send), mask: &Mask) -> v1::Result {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without a message");
    interpreter::failed(v1::AttemptState::Failed, "exception", mask.text(text))
}
