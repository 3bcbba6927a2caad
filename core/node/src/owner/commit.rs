//! Group commit: what was collected becomes one transaction at a time (PROTOCOL P10–P13).

use super::live::Slot;
use super::messages::{CommitPoint, Group, Outcome, Output, Write};
use super::part::{Flight, Part};
use super::quarantine::quarantined;
use super::{Owner, RETRY, RETRY_MAX};
use crate::error::NodeError;
use crate::feed::RUNS;
use crate::id::RunId;
use conveyor_engine::planted;
use conveyor_engine::time::{Duration, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

impl Owner {
    /// The next transaction to commit: at most one at a time, until [`super::Input::Committed`] tells
    /// how it went.
    pub fn next_group(&mut self, now: Time) -> Option<Arc<Group>> {
        if self.deposed || self.hold_until.is_some_and(|until| now < until) {
            return None;
        }
        // Whoever notices first that the pause is over ends it: this call, or a tick.
        if self.hold_until.take().is_some() {
            self.retry();
        }
        if let Some(flight) = &mut self.flight {
            return std::mem::take(&mut flight.resend).then(|| Arc::clone(&flight.group));
        }
        let mut parts = match self.splits.pop_front() {
            Some(parts) => parts,
            None => {
                let sealed = self.seal();
                for input in std::mem::take(&mut self.deferred) {
                    self.handle(now, input);
                }
                sealed
            }
        };
        let mut writes = Vec::new();
        let mut documents = BTreeSet::new();
        for part in parts.values_mut() {
            let start = writes.len();
            writes.append(&mut part.writes);
            part.range = start..writes.len();
            if let Some((digest, puts)) = &part.document
                && !self.documents.contains(digest)
                && documents.insert(*digest)
            {
                writes.extend_from_slice(puts);
                if planted!(DocumentBelieved) {
                    self.documents.insert(*digest);
                }
            }
        }
        let to = CommitPoint {
            number: self.point.number + u64::from(!planted!(CommitNumberKept)),
            ..self.point
        };
        // Last of all, so that [`Group::tells`] finds them. Their keys are in the order of commits: whoever has read up to one has missed none before it. A
        // part that goes into another group gets others there.
        let events = parts.values().flat_map(|part| &part.events);
        writes.extend((0..).zip(events).map(|(index, event)| Write {
            key: crate::keys::event(RUNS, (to.epoch, to.number, index)),
            value: Some(event.clone()),
        }));
        // After a failure a commit of nothing tells whether the store works again: nobody may have
        // anything else to commit, for a server that is not ready is given nothing, and claims wait for
        // that.
        let doubtful = self.failures > 0 && !planted!(ClaimsForgottenAfterFailure);
        if writes.is_empty() && !doubtful {
            return None;
        }
        let group = Arc::new(Group {
            from: self.point,
            to,
            writes,
        });
        self.flight = Some(Flight {
            group: Arc::clone(&group),
            parts,
            resend: false,
            unknown: false,
            unsure: false,
        });
        Some(group)
    }

    /// Closes the records of what was collected, as far as a group may hold.
    fn seal(&mut self) -> BTreeMap<RunId, Part> {
        let mut sealed = BTreeMap::new();
        let (mut bytes, mut writes) = (0, 0);
        while bytes < self.config.group_bytes && writes < self.config.group_writes {
            // The runs take turns, so that a full group does not always leave out the same ones.
            let after = (Bound::Excluded(self.sealed_last), Bound::Unbounded);
            let next = self
                .collecting
                .range(after)
                .next()
                .or_else(|| self.collecting.iter().next());
            let Some(run) = next.map(|(run, _)| *run) else {
                break;
            };
            self.sealed_last = run;
            let Some(mut part) = self.collecting.remove(&run) else {
                break;
            };
            if (part.touched || part.rows)
                && let Some(Slot::Live(live)) = self.slots.get_mut(&run)
            {
                let was = live.row.as_ref().map(|row| row.state);
                part.sealed = super::rows::seal(run, live, &mut part.writes);
                part.moved = Some((was, live.run.state()));
                let sequence = part.sealed.map_or(0, |(sequence, _)| sequence);
                let changes = std::mem::take(&mut part.changes);
                part.events
                    .extend(super::told::events(run, live, sequence, &changes));
                part.snapshot = live.snapshot(self.config.snapshot_facts);
                if planted!(SnapshotBeforeDurable)
                    && let Some(kept) = part.snapshot.take()
                {
                    self.outputs.push(Output::Snapshot { run, kept });
                }
            }
            if part.writes.is_empty() {
                self.outputs.append(&mut part.outputs);
                continue;
            }
            writes += part.writes.len() + part.events.len();
            bytes += part.writes.iter().map(Write::len).sum::<usize>();
            bytes += part.events.iter().map(Vec::len).sum::<usize>();
            sealed.insert(run, part);
        }
        self.load_unread();
        sealed
    }

    pub(super) fn committed(&mut self, now: Time, outcome: Outcome) {
        let Some(mut flight) = self.flight.take() else {
            return;
        };
        let outcome = match outcome {
            Outcome::Unknown if planted!(UnknownTakenAsFailure) => {
                Outcome::Failed(NodeError::Unavailable(String::new()))
            }
            Outcome::Unknown if planted!(UnknownTakenAsSuccess) => Outcome::Committed,
            outcome => outcome,
        };
        match outcome {
            Outcome::Committed => {
                self.point = flight.group.to;
                self.failures = 0;
                for (run, part) in flight.parts {
                    self.part_committed(now, run, part);
                }
                self.claim(now);
            }
            Outcome::Unknown => {
                flight.unknown = true;
                flight.unsure = true;
                self.flight = Some(flight);
                self.outputs.push(Output::ReadCommit);
            }
            Outcome::Failed(_) | Outcome::Refused(_)
                if flight.unsure && !planted!(LateCopyForgotten) =>
            {
                self.back_off(now);
                flight.unknown = true;
                self.flight = Some(flight);
            }
            Outcome::Failed(error) => {
                self.back_off(now);
                if planted!(CommitNumberSkipped) {
                    self.point = flight.group.to;
                }
                for (run, part) in flight.parts {
                    self.part_failed(run, part, &error);
                }
            }
            Outcome::Refused(reason) => self.split(now, flight, &reason),
            Outcome::Deposed => self.depose(flight),
        }
    }

    /// The outcome was unknown, and the commit key was read (PROTOCOL P11).
    pub(super) fn commit_key(&mut self, now: Time, point: Option<CommitPoint>) {
        let Some(flight) = self.flight.as_mut().filter(|flight| flight.unknown) else {
            return;
        };
        match point {
            None if planted!(CommitKeyReadOnce) => {}
            None => self.back_off(now),
            Some(point) if point == flight.group.to => self.committed(now, Outcome::Committed),
            Some(point) if point == flight.group.from => {
                flight.unknown = false;
                flight.resend = true;
            }
            Some(_) => self.committed(now, Outcome::Deposed),
        }
    }

    /// The pause after a failure is over.
    pub(super) fn retry(&mut self) {
        if self.flight.as_ref().is_some_and(|flight| flight.unknown) {
            self.outputs.push(Output::ReadCommit);
        }
    }

    fn back_off(&mut self, now: Time) {
        let delay = RETRY.0.saturating_mul(1 << self.failures.min(7));
        self.failures += 1;
        self.hold_until = Some(now.after(Duration(delay.min(RETRY_MAX.0))));
    }

    fn part_committed(&mut self, now: Time, run: RunId, part: Part) {
        if let Some((was, to)) = part.moved {
            self.moved(was, to);
        }
        self.metrics.part(&part);
        self.documents
            .extend(part.document.map(|(digest, _)| digest));
        for id in part.claims {
            self.claim_durable(now, run, id);
        }
        for id in part.ended {
            self.forget(run, id);
        }
        if let Some((sequence, state)) = part.sealed {
            self.outputs.push(Output::Changed {
                run,
                sequence,
                state,
            });
            if state.is_terminal() && self.live(run).is_some_and(|live| live.snapshotted) {
                self.outputs.push(Output::DropSnapshots { run });
            }
        }
        if let Some(kept) = part.snapshot {
            self.outputs.push(Output::Snapshot { run, kept });
        }
        self.outputs.extend(part.outputs);
        self.rest(now, run);
    }

    /// Undoes what a part did outside of the store, and folds its run again.
    fn part_failed(&mut self, run: RunId, part: Part, error: &NodeError) {
        self.undo(run, part, error);
        if !planted!(LaterFactsKept)
            && let Some(later) = self.collecting.remove(&run)
        {
            self.undo(run, later, error);
        }
        self.drop_live(run);
        match self.slots.remove(&run) {
            Some(Slot::Live(live)) => self.load(run, live.waiting),
            // Its rows were to be changed: a fold finds what they are to say.
            Some(Slot::Quarantined) => self.load(run, Vec::new()),
            Some(other) => drop(self.slots.insert(run, other)),
            None => {}
        }
    }

    /// Halves a group that was refused for its content, until the run at fault is alone.
    fn split(&mut self, now: Time, flight: Flight, reason: &str) {
        let Flight {
            group, mut parts, ..
        } = flight;
        if parts.len() == 1
            && let Some((run, part)) = parts.pop_first()
        {
            let sequence = part.sealed.map_or(0, |(sequence, _)| sequence);
            let error = if sequence == 1 {
                NodeError::Invalid(format!("run {run} cannot be stored: {reason}"))
            } else {
                quarantined(run)
            };
            self.undo(run, part, &error);
            if sequence == 1
                && let Some(live) = self.live(run)
            {
                live.row = None;
            }
            return self.quarantine(now, run, reason, sequence);
        }
        for part in parts.values_mut() {
            part.writes = group.writes[part.range.clone()].to_vec();
        }
        let middle = parts.keys().nth(parts.len() / 2).copied();
        let second = middle.map(|run| parts.split_off(&run)).unwrap_or_default();
        if !planted!(SplitDropped) {
            self.splits.push_front(second);
        }
        self.splits.push_front(parts);
    }

    fn depose(&mut self, flight: Flight) {
        self.deposed = true;
        let error = NodeError::Unavailable("another owner has taken over".into());
        let splits = std::mem::take(&mut self.splits);
        let collecting = std::mem::take(&mut self.collecting);
        for parts in splits.into_iter().chain([flight.parts, collecting]) {
            for (run, part) in parts {
                self.undo(run, part, &error);
            }
        }
        for input in std::mem::take(&mut self.deferred) {
            self.refuse(&input, &error);
        }
        self.outputs.push(Output::Deposed);
    }
}
