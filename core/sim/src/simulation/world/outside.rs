//! The world outside of the process: its outputs are carried out, and its answers believed.

use super::super::client::{Request, Wish};
use super::super::driver;
use super::super::process::{Asker, Event, Letter};
use super::{Check, World};
use conveyor_engine::time::Duration;
use conveyor_node::owner::{Answer, Control, Input, Output, SessionEvent, StartTask};
use conveyor_node::token::Claimed;
use conveyor_node::{NodeError, RunId};

impl World {
    pub(super) fn carry_out(&mut self, outputs: Vec<Output>) -> Check {
        for output in outputs {
            // What is rarer is struck more often.
            let of = match &output {
                Output::Cancel { .. } | Output::Abort { .. } | Output::LoadValues { .. } => 30,
                _ => 400,
            };
            if self.dies(400, "crash between two outputs")? || self.dies(of, before(&output))? {
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
        self.note(|| format!("out {output:?}"));
        let soon = self.now.after(Duration(self.random.below(20) as u64));
        if let Output::Start(task) = &output
            && !self.equip(task)
        {
            return Ok(());
        }
        let Some(process) = &mut self.process else {
            return Ok(());
        };
        match output {
            Output::Answer { ticket, answer } => {
                if let Some(asker) = process.askers.remove(&ticket) {
                    return self.answered(asker, answer);
                }
            }
            Output::Start(task) if task.session != process.session => self.send_task(*task),
            Output::Start(task) => {
                self.started(&task)?;
                self.dies(200, "crash after a task was started")?;
            }
            Output::Cancel {
                claimed,
                session,
                grace,
                ..
            } if session != process.session => {
                process.told.insert(claimed);
                self.send_cancel(&session, claimed, grace);
            }
            Output::Abort {
                claimed, session, ..
            } if session != process.session => {
                self.send_cancel(&session, claimed, Duration::ZERO);
                return self.check_told(claimed);
            }
            Output::Cancel { claimed, .. } => {
                process.told.insert(claimed);
                if process.tasks.get(&claimed) == Some(&false) {
                    if self.random.percent(60) {
                        let Claimed { run, id, .. } = claimed;
                        let result = driver::cancelled(&mut self.random, run, id);
                        process.at(soon, Event::Done(claimed, Box::new(result)));
                    } else {
                        self.counts.fault("a driver did not heed a cancel");
                    }
                }
            }
            Output::Abort { claimed, .. } => {
                process.tasks.remove(&claimed);
                process.working.remove(&claimed);
                process.releasing += 1;
                process.at(soon, Event::Released(claimed));
                return self.check_told(claimed);
            }
            Output::Load { run } => process.at(soon, Event::Load(run)),
            Output::LoadValues { run, hashes } => process.at(soon, Event::Values(run, hashes)),
            Output::ReadCommit => process.at(soon, Event::CommitKey),
            Output::Snapshot { run, kept } => process.at(soon, Event::Snapshot(run, kept)),
            Output::DropSnapshots { run } => process.at(soon, Event::DropSnapshots(run)),
            Output::Changed { run, .. } => drop(process.runs.insert(run)),
            Output::Silent { session } => self.session_over(&session, false),
            Output::SessionOver { session } => self.session_over(&session, true),
            Output::Deposed => return Err("the only process was deposed".into()),
        }
        Ok(())
    }

    /// A driver starts an attempt.
    fn started(&mut self, task: &StartTask) -> Check {
        self.counts.attempts += 1;
        self.check_start(task)?;
        let Claimed { run, id, .. } = task.claimed;
        let mut result = driver::result(&mut self.random, run, id);
        self.may_tell(task, &mut result);
        let mut after = driver::duration(&mut self.random);
        if !self.stormy() {
            after = after.map(|after| after.min(2_000));
        }
        let Some(process) = &mut self.process else {
            return Ok(());
        };
        process.tasks.insert(task.claimed, false);
        process.working.insert(task.claimed);
        if process.working.len() > process.capacity {
            let (working, capacity) = (process.working.len(), process.capacity);
            return Err(format!(
                "{working} tasks at once, the session takes {capacity}"
            ));
        }
        match after {
            Some(after) => {
                let at = self.now.after(Duration(after));
                process.at(at, Event::Done(task.claimed, Box::new(result)));
            }
            None => self.counts.fault("a driver never ended"),
        }
        Ok(())
    }

    pub(super) fn answered(&mut self, asker: Asker, answer: Result<Answer, NodeError>) -> Check {
        match asker {
            Asker::Client(request) => self.client_answered(request, answer),
            Asker::Driver(claimed, result) => self.driver_answered(claimed, result, answer),
            Asker::Late(letter) => self.late_answered(&letter, &answer),
            Asker::Remote(session, claimed, result) => {
                self.remote_answered(&session, claimed, &result, answer)
            }
            Asker::Beat(session) => self.beat_answered(&session, answer),
            Asker::Unsent(session, connection) => {
                if answer.is_ok() && self.links.get(&session).copied() == connection {
                    let event = SessionEvent::Credits(1);
                    self.handle(Input::Session { session, event });
                }
                Ok(())
            }
            Asker::Firing(firings) => self.fired(*firings, answer),
            Asker::Detach(session, claimed) => {
                self.detached(&session, claimed, &answer);
                Ok(())
            }
        }
    }

    fn client_answered(&mut self, request: Request, answer: Result<Answer, NodeError>) -> Check {
        match (&request.wish, answer) {
            (Wish::Start(start), Ok(_)) => {
                self.ledger.runs.insert(start.run);
                self.durable(start.run).map(drop)
            }
            (Wish::Control(run, _), Ok(_)) if self.abandons(&request.wish) => {
                let run = *run;
                self.find_abandoned();
                if !self.ledger.abandoned.contains(&run) {
                    return Err(format!("{run} was terminated, and its row does not say so"));
                }
                Ok(())
            }
            (Wish::Control(run, Control::Stop(stop)), Ok(_)) => {
                let stored = self.durable(*run)?.stops.contains(&stop.kind);
                // A terminate that came with it may have ended a run that does not fold.
                self.find_abandoned();
                if !stored && !self.ledger.abandoned.contains(run) {
                    let kind = stop.kind;
                    return Err(format!(
                        "a {kind:?} of {run} was acknowledged and not stored"
                    ));
                }
                Ok(())
            }
            (_, Ok(_)) => Ok(()),
            (_, Err(error)) if error.is_temporary() => {
                self.ask_again(request);
                Ok(())
            }
            // A control may come before its run; the run then still is to be started.
            (Wish::Control(run, _), Err(NodeError::NotFound(_))) if self.will_start(*run) => {
                self.ask_again(request);
                Ok(())
            }
            (Wish::Start(start), Err(error)) if !self.may_quarantine => {
                Err(format!("{} was not started: {error}", start.run))
            }
            (_, Err(_)) => Ok(()),
        }
    }

    /// Whether somebody still asks for the run to be started.
    fn will_start(&self, run: RunId) -> bool {
        let asked = self
            .process
            .iter()
            .flat_map(|process| process.askers.values());
        let asked = asked.filter_map(|asker| match asker {
            Asker::Client(request) => Some(request),
            _ => None,
        });
        let starts =
            |request: &Request| matches!(&request.wish, Wish::Start(start) if start.run == run);
        self.requests.iter().chain(asked).any(starts)
    }

    fn driver_answered(
        &mut self,
        claimed: Claimed,
        result: Box<driver::Result>,
        answer: Result<Answer, NodeError>,
    ) -> Check {
        let Some(process) = &mut self.process else {
            return Ok(());
        };
        match answer {
            Ok(Answer::Taken { .. }) => {
                process.tasks.remove(&claimed);
                self.taken(claimed, &result)
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

    /// A report was acknowledged as taken. Some drivers report again.
    pub(super) fn taken(&mut self, claimed: Claimed, result: &driver::Result) -> Check {
        let Claimed { run, id, .. } = claimed;
        let ended = result.ended.clone();
        for _ in 0..[0, 0, 0, 1, 3][self.random.below(5)] {
            self.late_report(claimed, Box::new(result.clone()), true);
        }
        self.check_taken(run, id, &ended)?;
        self.ledger.taken.insert((run, id), ended);
        Ok(())
    }

    fn late_answered(&mut self, letter: &Letter, answer: &Result<Answer, NodeError>) -> Check {
        let Claimed { run, id, .. } = letter.claimed;
        match answer {
            Ok(Answer::Taken { already: false }) if letter.repeat => Err(format!(
                "a repeated report of {id} of {run} was taken as a new one"
            )),
            Ok(Answer::Stale) if letter.repeat && self.durable(run)?.reported_last(id) => {
                Err(format!("a repeated report of {id} of {run} is not known"))
            }
            Ok(Answer::Taken { .. }) if !letter.repeat => {
                self.taken(letter.claimed, &letter.result)
            }
            _ => Ok(()),
        }
    }
}

/// Where the process may die in front of an output.
fn before(output: &Output) -> &'static str {
    match output {
        Output::Answer { .. } => "crash before an answer",
        Output::Start(_) => "crash before a task is started",
        Output::Cancel { .. } => "crash before a task is told to stop",
        Output::Abort { .. } => "crash before a task is ended",
        Output::Load { .. } => "crash before a run is read",
        Output::LoadValues { .. } => "crash before values are read",
        Output::ReadCommit => "crash before the commit key is read",
        Output::Snapshot { .. } | Output::DropSnapshots { .. } => "crash before a snapshot is kept",
        Output::Changed { .. }
        | Output::Silent { .. }
        | Output::SessionOver { .. }
        | Output::Deposed => "crash before followers hear of a record",
    }
}
