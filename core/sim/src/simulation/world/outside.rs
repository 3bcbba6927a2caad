//! The world outside of the process: its outputs are carried out, and its answers believed.

use super::super::client::{Request, Wish};
use super::super::driver;
use super::super::process::{Asker, Event};
use super::{Check, World};
use conveyor_engine::run::EndedAttempt;
use conveyor_engine::time::Duration;
use conveyor_node::owner::{Answer, Control, Input, Output, StartTask};
use conveyor_node::token::Claimed;
use conveyor_node::{NodeError, storage};

impl World {
    pub(super) fn carry_out(&mut self, outputs: Vec<Output>) -> Check {
        for output in outputs {
            if self.stormy() && self.random.below(400) == 0 {
                self.crash("crash between two outputs");
                return Ok(());
            }
            self.output(output)?;
            if self.process.is_none() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn output(&mut self, output: Output) -> Check {
        self.note(|| format!("out {output:?}").chars().take(240).collect());
        let soon = self.now.after(Duration(self.random.below(20) as u64));
        let stormy = self.stormy();
        let Some(process) = &mut self.process else {
            return Ok(());
        };
        match output {
            Output::Answer { ticket, answer } => {
                if let Some(asker) = process.askers.remove(&ticket) {
                    return self.answered(asker, answer);
                }
            }
            Output::Start(task) => return self.started(&task),
            Output::Cancel { claimed, .. } => {
                if process.tasks.get(&claimed) == Some(&false) && self.random.percent(60) {
                    let result = driver::cancelled(&mut self.random);
                    process.at(soon, Event::Done(claimed, result));
                }
            }
            Output::Abort { session, claimed } => {
                process.tasks.remove(&claimed);
                let released = Input::Released { session, claimed };
                process.at(soon, Event::Input(Box::new(released)));
            }
            Output::Load { run } => process.at(soon, Event::Load(run)),
            Output::LoadValues { run, hashes } => {
                let values = storage::load_values(&self.disk.store, run, &hashes);
                process.at(soon, Event::Input(Box::new(Input::Values { run, values })));
            }
            Output::ReadCommit => {
                let point = if stormy && self.random.percent(20) {
                    self.counts.fault("the commit key could not be read");
                    None
                } else {
                    storage::commit_point(&self.disk.store).map_err(|error| error.to_string())?
                };
                process.at(soon, Event::Input(Box::new(Input::CommitKey(point))));
            }
            Output::Changed { .. } | Output::Logged { .. } => {}
            Output::Deposed => return Err("the only process was deposed".into()),
        }
        Ok(())
    }

    /// A driver starts an attempt.
    fn started(&mut self, task: &StartTask) -> Check {
        let Claimed { run, id, .. } = task.claimed;
        self.counts.attempts += 1;
        if !self.ledger.start(run, id) {
            return Err(format!("attempt {id} of {run} was started twice"));
        }
        let durable = self.durable(run)?;
        if !durable.was_claimed(id) {
            return Err(format!(
                "attempt {id} of {run} was started before its claim was durable"
            ));
        }
        let plan = durable.run.plan();
        let step = &plan.steps[id.step as usize];
        let open = step
            .parents
            .iter()
            .find(|parent| !durable.run.step(**parent).state.is_terminal());
        if let Some(parent) = open {
            let parent = &plan.steps[*parent as usize].id;
            return Err(format!(
                "{} of {run} was started before {parent} had ended",
                step.id
            ));
        }
        let main_open = || (0..plan.main).any(|at| !durable.run.step(at).state.is_terminal());
        if step.finally && main_open() {
            return Err(format!(
                "{} of {run} was started before all steps had ended",
                step.id
            ));
        }
        let result = driver::result(&mut self.random);
        let mut after = driver::duration(&mut self.random);
        if !self.stormy() {
            after = after.min(2_000);
        }
        let at = self.now.after(Duration(after));
        if let Some(process) = &mut self.process {
            process.tasks.insert(task.claimed, false);
            process.at(at, Event::Done(task.claimed, result));
        }
        Ok(())
    }

    fn answered(&mut self, asker: Asker, answer: Result<Answer, NodeError>) -> Check {
        match asker {
            Asker::Client(request) => self.client_answered(request, answer),
            Asker::Driver(claimed, result) => self.driver_answered(claimed, result, answer),
            Asker::Repeat => match answer {
                Ok(Answer::Taken { already: false }) => {
                    Err("a repeated report was taken as a new one".into())
                }
                _ => Ok(()),
            },
        }
    }

    fn client_answered(&mut self, request: Request, answer: Result<Answer, NodeError>) -> Check {
        match (&request.wish, answer) {
            (Wish::Start(start), Ok(_)) => {
                self.ledger.runs.insert(start.run);
                self.durable(start.run).map(|_| ())
            }
            (Wish::Control(run, Control::Stop(_)), Ok(_)) => {
                self.ledger.stopped.insert(*run);
                Ok(())
            }
            (_, Ok(_)) => Ok(()),
            (_, Err(error)) if error.is_temporary() => {
                self.ask_again(request);
                Ok(())
            }
            // A control may come before its run; the run then still is to be started.
            (Wish::Control(..), Err(NodeError::NotFound(_))) if !self.requests.is_empty() => {
                self.ask_again(request);
                Ok(())
            }
            (Wish::Start(start), Err(error)) if !self.may_quarantine => {
                Err(format!("{} was not started: {error}", start.run))
            }
            (_, Err(_)) => Ok(()),
        }
    }

    fn driver_answered(
        &mut self,
        claimed: Claimed,
        result: EndedAttempt,
        answer: Result<Answer, NodeError>,
    ) -> Check {
        let Claimed { run, id, .. } = claimed;
        let Some(process) = &mut self.process else {
            return Ok(());
        };
        match answer {
            Ok(Answer::Taken { .. }) => {
                process.tasks.remove(&claimed);
                if self.random.percent(15) {
                    let at = self.now.after(Duration(self.random.below(3_000) as u64));
                    process.at(at, Event::Again(claimed, result.clone()));
                }
                self.ledger.taken.insert((run, id), result.state);
                self.check_taken(run, id, result.state)
            }
            Err(error) if error.is_temporary() => {
                process.tasks.insert(claimed, false);
                let at = self.now.after(Duration(1 + self.random.below(500) as u64));
                process.at(at, Event::Done(claimed, result));
                Ok(())
            }
            Ok(_) | Err(_) => {
                process.tasks.remove(&claimed);
                Ok(())
            }
        }
    }
}
