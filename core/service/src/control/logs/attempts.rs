//! Which attempts' logs are asked for, and how far each was read.

use super::cursor::Cursor;
use crate::control::refuse;
use conveyor_engine::plan::Plan;
use conveyor_engine::run::{Decision, Identity};
use conveyor_engine::time::Time;
use conveyor_node::reader::{Event, Follower};
use conveyor_node::session::SEALED_AFTER;
use conveyor_proto::v1;
use std::collections::BTreeMap;
use tonic::Status;

/// Attempts whose logs are asked for, numbered in the order of their claims.
pub(super) struct Attempts {
    /// Those that are not done yet.
    pub(super) open: BTreeMap<u32, Followed>,
    /// Their numbers.
    numbers: BTreeMap<Identity, u32>,
    /// How many there have been: the next one's number.
    claimed: u32,
    /// What the reader has.
    pub(super) cursor: Cursor,
}

pub(super) struct Followed {
    pub(super) id: Identity,
    /// The next offset; `None` where nothing was read by this stream.
    pub(super) next: Option<u64>,
    /// When it ended, and its last offset as its result told it.
    ended: Option<(Time, Option<u64>)>,
    /// Whether it had ended before what is read now was looked for: all of it is there.
    settled: bool,
    /// Whether all of it was read.
    pub(super) complete: bool,
}

impl Followed {
    /// Whether all that its result told of was read.
    pub(super) fn has_all(&self) -> bool {
        let next = self.next.unwrap_or_default();
        matches!(self.ended, Some((_, Some(last))) if next > last)
    }

    /// Whether nothing more comes of an attempt whose process left no end, or died.
    pub(super) fn is_settled(&self) -> bool {
        self.settled
    }

    /// Whether lines that its result told of may still come (PROTOCOL P33).
    pub(super) fn awaits(&self, now: Time) -> bool {
        let next = self.next.unwrap_or_default();
        match self.ended {
            Some((at, Some(last))) => next <= last && now < at.after(SEALED_AFTER),
            _ => false,
        }
    }
}

impl Attempts {
    pub(super) fn after(cursor: Cursor) -> Attempts {
        Attempts {
            open: BTreeMap::new(),
            numbers: BTreeMap::new(),
            claimed: 0,
            cursor,
        }
    }

    /// Whether the cursor is of this run, as far as that was followed.
    pub(super) fn know_the_cursor(&self) -> bool {
        self.cursor.end() <= self.claimed
    }

    /// Takes all that the run's journal has by now.
    pub(super) async fn catch_up(
        &mut self,
        follower: &mut Follower,
        request: &v1::ReadLogsRequest,
    ) -> Result<(), Status> {
        loop {
            let events = follower.poll().await.map_err(refuse)?;
            if events.is_empty() {
                return Ok(());
            }
            let plan = follower.run().map(|run| run.plan().clone());
            self.take(&events, request, plan.as_deref());
        }
    }

    pub(super) fn take(
        &mut self,
        events: &[Event],
        request: &v1::ReadLogsRequest,
        plan: Option<&Plan>,
    ) {
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
                    let number = self.claimed;
                    self.claimed += 1;
                    if self.cursor.is_done(number) {
                        continue;
                    }
                    let followed = Followed {
                        id: *id,
                        next: None,
                        ended: None,
                        settled: false,
                        complete: false,
                    };
                    self.open.insert(number, followed);
                    self.numbers.insert(*id, number);
                }
                Decision::Attempt { id, .. } => {
                    let number = self.numbers.get(id);
                    if let Some(followed) = number.and_then(|number| self.open.get_mut(number)) {
                        followed.ended = Some((event.time, event.last_log));
                    }
                }
                _ => {}
            }
        }
    }

    /// What has ended by now has all its lines in what is looked for from now on.
    pub(super) fn settle(&mut self) {
        for followed in self.open.values_mut() {
            followed.settled = followed.ended.is_some();
        }
    }

    /// Forgets those that are done. Whether there were any.
    pub(super) fn forget(&mut self) -> bool {
        let before = self.open.len();
        let Attempts {
            open,
            numbers,
            cursor,
            ..
        } = self;
        open.retain(|number, followed| {
            let done = cursor.is_done(*number);
            if done {
                numbers.remove(&followed.id);
            }
            !done
        });
        self.open.len() < before
    }
}
