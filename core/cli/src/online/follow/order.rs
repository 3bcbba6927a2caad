//! Events and log lines in one order.
//!
//! They come by different ways: lines may come before the claim of their attempt is told, and after
//! its end. A person reads a beginning, the lines, an end.

use crate::render::view::{ProgressEvent, What};
use conveyor_engine::run::{AttemptState, Identity};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// How long an attempt's end waits for the rest of its log. It is there within milliseconds, unless
/// the disk is in trouble; then a late line is better than a run that seems to hang.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is not shown yet.
#[derive(Debug)]
pub(super) struct Order {
    /// Attempts whose lines a person has seen before.
    old: BTreeSet<Identity>,
    /// Attempts whose claim has been shown, and their end not.
    begun: BTreeSet<Identity>,
    /// Attempts whose end has been shown.
    ended: BTreeSet<Identity>,
    /// Attempts whose log has been told whole.
    complete: BTreeSet<Identity>,
    /// Whether nothing comes by the way of the logs any more.
    silent: bool,
    /// Lines of attempts whose claim is not shown yet.
    early: BTreeMap<Identity, Vec<ProgressEvent>>,
    /// Lines that can be shown.
    lines: VecDeque<ProgressEvent>,
    /// Events that are not shown yet, with when they came.
    events: VecDeque<(Instant, ProgressEvent)>,
}

impl Order {
    /// Lines of `old` attempts are not shown again.
    pub(super) fn new(old: BTreeSet<Identity>) -> Order {
        Order {
            old,
            begun: BTreeSet::new(),
            ended: BTreeSet::new(),
            complete: BTreeSet::new(),
            silent: false,
            early: BTreeMap::new(),
            lines: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Takes a line.
    pub(super) fn line(&mut self, line: ProgressEvent) {
        let What::Log { id, .. } = line.what else {
            return;
        };
        if self.old.contains(&id) {
            return;
        }
        if self.begun.contains(&id) || self.ended.contains(&id) {
            self.lines.push_back(line);
        } else {
            self.early.entry(id).or_default().push(line);
        }
    }

    /// Takes an event.
    pub(super) fn event(&mut self, event: ProgressEvent, now: Instant) {
        self.events.push_back((now, event));
    }

    /// An attempt's log has been told whole.
    pub(super) fn complete(&mut self, id: Identity) {
        if !self.ended.contains(&id) {
            self.complete.insert(id);
        }
    }

    /// No more lines come.
    pub(super) fn all_complete(&mut self) {
        self.silent = true;
    }

    /// Whether an event waits for lines.
    pub(super) fn waits(&self) -> bool {
        !self.events.is_empty()
    }

    /// What is shown next.
    pub(super) fn next(&mut self, now: Instant) -> Option<ProgressEvent> {
        if let Some(line) = self.lines.pop_front() {
            return Some(line);
        }
        let (since, event) = self.events.front()?;
        if let What::Attempt { id, state, .. } = &event.what
            // Whose process died leaves a log without an end.
            && *state != AttemptState::Lost
            && !(self.silent || self.complete.contains(id) || self.old.contains(id))
            && now.duration_since(*since) < PATIENCE
        {
            return None;
        }
        let (_, event) = self.events.pop_front()?;
        match &event.what {
            What::Claimed { id } => {
                self.begun.insert(*id);
                self.lines
                    .extend(self.early.remove(id).into_iter().flatten());
            }
            What::Attempt { id, .. } => {
                self.begun.remove(id);
                self.complete.remove(id);
                self.ended.insert(*id);
            }
            _ => {}
        }
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use conveyor_engine::time::Time;

    fn id(attempt: u32) -> Identity {
        Identity {
            step: 0,
            instance: 0,
            attempt,
        }
    }

    fn told(what: What) -> ProgressEvent {
        ProgressEvent {
            time: Time(0),
            what,
        }
    }

    fn line(attempt: u32, text: &str) -> ProgressEvent {
        told(What::Log {
            id: id(attempt),
            stderr: false,
            text: text.to_owned(),
        })
    }

    fn claimed(attempt: u32) -> ProgressEvent {
        told(What::Claimed { id: id(attempt) })
    }

    fn ended(attempt: u32, state: AttemptState) -> ProgressEvent {
        let (failure, outputs, reason) = (None, None, String::new());
        told(What::Attempt {
            id: id(attempt),
            state,
            failure,
            outputs,
            reason,
        })
    }

    /// What is shown at an instant, in a word each.
    fn shown(order: &mut Order, now: Instant) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(event) = order.next(now) {
            all.push(match event.what {
                What::Claimed { id } => format!("begin {}", id.attempt),
                What::Attempt { id, state, .. } => format!("{state} {}", id.attempt),
                What::Log { text, .. } => text,
                other => format!("{other:?}"),
            });
        }
        all
    }

    #[test]
    fn lines_stand_between_the_beginning_and_the_end_of_their_attempt() {
        let now = Instant::now();
        let mut order = Order::new(BTreeSet::new());
        order.line(line(1, "early"));
        assert!(shown(&mut order, now).is_empty());
        order.event(claimed(1), now);
        order.event(ended(1, AttemptState::Failed), now);
        order.event(claimed(2), now);
        assert_eq!(shown(&mut order, now), ["begin 1", "early"]);
        assert!(order.waits());
        order.line(line(1, "late"));
        assert_eq!(shown(&mut order, now), ["late"]);
        order.line(line(2, "of the next"));
        order.complete(id(1));
        assert_eq!(
            shown(&mut order, now),
            ["failed 1", "begin 2", "of the next"]
        );
        assert!(!order.waits());
    }

    #[test]
    fn a_log_without_an_end_holds_up_nothing_for_long() {
        let now = Instant::now();
        let mut order = Order::new(BTreeSet::from([id(1)]));
        order.line(line(1, "seen before the crash"));
        order.event(ended(1, AttemptState::Lost), now);
        order.event(claimed(2), now);
        assert_eq!(shown(&mut order, now), ["lost 1", "begin 2"]);
        order.event(ended(2, AttemptState::Succeeded), now);
        assert!(shown(&mut order, now).is_empty());
        assert_eq!(shown(&mut order, now + PATIENCE), ["succeeded 2"]);
        order.line(line(2, "late all the same"));
        assert_eq!(shown(&mut order, now), ["late all the same"]);
        order.event(claimed(3), now);
        order.event(ended(3, AttemptState::Succeeded), now);
        order.all_complete();
        assert_eq!(shown(&mut order, now), ["begin 3", "succeeded 3"]);
    }
}
