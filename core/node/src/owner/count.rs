//! What an owner counts: runs by state, and what became durable.

use super::Owner;
use super::part::Part;
use crate::metrics::{Figures, Metrics};
use conveyor_engine::run::{AttemptState, RunState, StepState};
use conveyor_engine::time::Time;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a session holds and takes, at one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether it is of another process.
    pub remote: bool,
    /// Tasks that it holds. One that is detached is none of them.
    pub held: u32,
    /// How many more it takes now: free places in this process, credits of another.
    pub free: u32,
    /// Whether its connection is there.
    pub connected: bool,
    /// Whether it takes nothing new.
    pub draining: bool,
    /// Until when it gets nothing because it refused a task.
    pub refused: Option<Time>,
}

impl Owner {
    /// What it counts; its caller tells it the time ([`Metrics`]).
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// How it is now.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let states = self.states.iter().enumerate();
        let states = states.filter_map(|(code, count)| {
            let state = RunState::from_code(u8::try_from(code).ok()?)?;
            (!state.is_terminal()).then_some((state, *count))
        });
        Figures {
            runs: states.collect(),
            runs_in_memory: self.census().0 as u64,
            queues: self.queues.depths(),
            runs_without_driver: self.absent.values().map(|runs| runs.len() as u64).sum(),
            sessions: self.sessions.remote(),
            claimed: self.sessions.claimed(),
        }
    }

    /// What each session holds and takes, by its id.
    #[must_use]
    pub fn standings(&self) -> BTreeMap<Arc<str>, Standing> {
        self.sessions.standings()
    }

    /// A run is there, in a state; one of an earlier release does not tell which, and is taken to run.
    pub(super) fn counted(&mut self, state: Option<RunState>) {
        let state = state.unwrap_or(RunState::Running);
        self.states[usize::from(state.code())] += 1;
    }

    /// A run's row says another state, durably. It had none before its first.
    pub(super) fn moved(&mut self, was: Option<RunState>, to: RunState) {
        match was {
            Some(was) if was == to => return,
            Some(was) => {
                let count = &mut self.states[usize::from(was.code())];
                *count = count.saturating_sub(1);
            }
            None => self.metrics.runs_started.add(1),
        }
        if to.is_terminal() {
            self.metrics.runs_ended(to).add(1);
        } else {
            self.counted(Some(to));
        }
    }
}

impl Metrics {
    /// What a run had in a group is durable.
    pub(super) fn part(&self, part: &Part) {
        let ended = |counts: &[u32], add: &dyn Fn(u8, u64)| {
            for (code, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
                add(code as u8, u64::from(*count));
            }
        };
        ended(&part.tally.steps, &|code, count| {
            if let Some(state) = StepState::from_code(code) {
                self.steps_ended(state).add(count);
            }
        });
        ended(&part.tally.attempts, &|code, count| {
            if let Some(state) = AttemptState::from_code(code) {
                self.attempts_ended(state).add(count);
            }
        });
        if part.reported > 0 && !part.claims.is_empty() {
            self.step_to_step
                .observe(self.now().saturating_sub(part.reported));
        }
    }

    /// An attempt that was queued then has its claim.
    pub(super) fn started(&self, queued: i64) {
        let waited = self.now() as i64 - queued;
        self.schedule_to_start
            .observe(u64::try_from(waited).unwrap_or(0));
    }
}
