//! What the store must say: of every acknowledgement at once, of everything when all is quiet.

use super::super::client::{self, Request, Wish};
use super::{Check, World};
use conveyor_engine::run::{
    AttemptState, Decision, Fact, ForkFrom, Identity, NoValues, Run, RunState,
};
use conveyor_node::owner::Control;
use conveyor_node::{NodeError, RunId, storage};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What the store says of a run.
pub(super) struct Durable {
    pub(super) run: Run,
    pub(super) decisions: Vec<Decision>,
}

impl World {
    /// Somebody releases what is quarantined, and resumes what is still paused: a resume may have
    /// come before its pause.
    pub(super) fn wake(&mut self) -> Result<bool, String> {
        let quarantined = self.quarantined()?;
        let mut any = false;
        for run in self.ledger.runs.clone() {
            let control = if quarantined.contains(&run) {
                self.counts.fault("a quarantined run was released");
                Control::Release
            } else if self.durable(run)?.run.state() == RunState::Paused {
                Control::Resume {
                    actor: Arc::from("ann"),
                    reason: Arc::from(""),
                }
            } else {
                continue;
            };
            self.requests.push(Request {
                at: self.now,
                wish: Wish::Control(run, control),
            });
            any = true;
        }
        if !any && !self.forked {
            self.forked = true;
            any = self.fork()?;
        }
        Ok(any)
    }

    /// Somebody forks every run that has ended: half of them where they failed.
    fn fork(&mut self) -> Result<bool, String> {
        let before = self.requests.len();
        for start in self.starts.clone() {
            if !self.ledger.runs.contains(&start.run) {
                continue;
            }
            let old = self.durable(start.run)?.run;
            let step = self.random.below(start.plan.main as usize);
            let from = if self.random.percent(50) {
                ForkFrom::Failed
            } else {
                ForkFrom::Steps(vec![Arc::clone(&start.plan.steps[step].id)])
            };
            let fork = old.fork(&start.plan, &start.inputs, &from, &NoValues);
            let fork = fork.map_err(|error| format!("{} cannot be forked: {error}", start.run))?;
            let start = client::fork(&mut self.random, start, fork.inherited);
            self.requests.push(Request {
                at: self.now,
                wish: Wish::Start(Box::new(start)),
            });
        }
        Ok(self.requests.len() > before)
    }

    fn quarantined(&self) -> Result<BTreeSet<RunId>, String> {
        let rows = storage::quarantines(&self.disk.store).map_err(|error| error.to_string())?;
        if !rows.is_empty() && !self.may_quarantine {
            return Err(format!("{rows:?} are quarantined"));
        }
        Ok(rows.into_iter().map(|(run, _)| run).collect())
    }

    pub(super) fn check_taken(&mut self, run: RunId, id: Identity, state: AttemptState) -> Check {
        let durable = self.durable(run)?;
        match (durable.ended(id), state) {
            (None, _) => Err(format!(
                "the acknowledged result of {id} of {run} is not in the store"
            )),
            (Some(found), AttemptState::Succeeded) if found != AttemptState::Succeeded => Err(
                format!("{id} of {run} succeeded, and the store says {found}"),
            ),
            _ => Ok(()),
        }
    }

    /// What the store says of a run now.
    pub(super) fn durable(&mut self, run: RunId) -> Result<Durable, String> {
        let mut durable: Option<Durable> = None;
        let (store, plans) = (&self.disk.store, &self.plans);
        storage::records(store, run, 0, |record| {
            if durable.is_none() {
                let Some(Fact::Started(started)) = record.entries.first().map(|entry| &entry.fact)
                else {
                    return Err(NodeError::Corrupt(
                        "the journal does not begin with a start".into(),
                    ));
                };
                let run = Run::new(plans.get(store, &started.document)?);
                durable = Some(Durable {
                    run,
                    decisions: Vec::new(),
                });
            }
            if let Some(durable) = &mut durable {
                let folded = durable.run.fold(&record);
                let folded = folded.map_err(|error| NodeError::Corrupt(error.to_string()))?;
                durable.decisions.extend(folded);
            }
            Ok(true)
        })
        .map_err(|error| format!("{run} does not fold: {error}"))?;
        durable.ok_or_else(|| format!("{run} was acknowledged and is not in the store"))
    }

    /// Nothing is left to do: everything must have come to its end.
    pub(super) fn at_rest(&mut self) -> Check {
        let live = storage::live_entries(&self.disk.store).map_err(|error| error.to_string())?;
        for run in self.ledger.runs.clone() {
            let durable = self.durable(run)?;
            let state = durable.run.state();
            if !state.is_terminal() {
                return Err(format!("{run} is {state} and nothing moves it"));
            }
            if live.iter().any(|(id, _)| *id == run) {
                return Err(format!("{run} has ended and is still among live work"));
            }
            self.counts.runs += 1;
            self.counts.decisions(&durable.decisions);
        }
        for ((run, id), state) in self.ledger.taken.clone() {
            self.check_taken(run, id, state)?;
        }
        Ok(())
    }
}

impl Durable {
    pub(super) fn was_claimed(&self, id: Identity) -> bool {
        let is_claim =
            |decision: &Decision| matches!(decision, Decision::Claimed { id: of, .. } if *of == id);
        self.decisions.iter().any(is_claim)
    }

    /// How an attempt ended.
    fn ended(&self, id: Identity) -> Option<AttemptState> {
        self.decisions.iter().find_map(|decision| match decision {
            Decision::Attempt { id: of, state, .. } if *of == id => Some(*state),
            _ => None,
        })
    }
}
