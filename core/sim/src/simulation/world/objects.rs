//! Resources change, and their changes start runs: what handlers do with a node, done with a seed.

use super::super::changing::{Decided, Object};
use super::super::client::{Request, Wish};
use super::super::disk::Fate;
use super::super::process::{Asker, Event};
use super::super::site::{self, DEFINITION, NAMESPACE, REVISIONS};
use super::publishing::publish;
use super::{Check, World};
use conveyor_engine::time::Duration;
use conveyor_node::NodeError;
use conveyor_node::objects::{self, Changes};
use conveyor_node::owner::{Answer, Input};
use conveyor_node::repeats::{self, Keyed};
use conveyor_node::resources::{self, Applied, Firings, Made, Unstarted, Wanted, resource_key};
use conveyor_proto::storage::v1::{StoredChange, StoredDefinition, StoredResource};
use conveyor_store::{CommitError, Store};
use prost::bytes::Bytes;
use serde_json::json;

/// How long a change whose runs could not be started waits for the next try, in milliseconds.
const AGAIN: u64 = 1_000;

/// What a wish comes to.
enum Decision {
    /// Nothing is to be made.
    Answered(String),
    /// This is, and answered so.
    Commit(Box<Changes>, Option<(String, StoredChange)>, String),
}

impl World {
    /// A wish is taken: it is decided by what the store has, and goes on its way there.
    pub(super) fn change(&mut self, request: Request, object: &Object) -> Check {
        let busy = self.process.as_ref().is_none_or(|process| process.changing);
        if busy {
            self.ask_again(request);
            return Ok(());
        }
        let reads = self.reads(8);
        let view = self.disk.view(reads, Fate::Committed);
        let decision = self.decide(&view, object);
        self.note(|| format!("{object:?}"));
        let (changes, change, answer) = match decision {
            Ok(Decision::Answered(answer)) => return self.changed(request, &answer),
            Ok(Decision::Commit(changes, change, answer)) => (*changes, change, answer),
            Err(error) if error.is_temporary() => {
                self.counts.fault("a change could not be decided");
                self.ask_again(request);
                return Ok(());
            }
            Err(error) => return Err(format!("{object:?}: {error}")),
        };
        let at = self.now.after(Duration(self.random.below(100) as u64));
        if let Some(process) = &mut self.process {
            process.changing = true;
            let decided = Decided {
                ticket: process.ticket(Asker::Client(request.clone())),
                request,
                changes,
                change,
                answer,
            };
            process.at(at, Event::Change(Box::new(decided)));
        }
        Ok(())
    }

    fn decide(&self, store: &dyn Store, object: &Object) -> Result<Decision, NodeError> {
        let may = |_: &conveyor_engine::plan::Plan| Ok(());
        let from = (store, &self.plans);
        match object {
            Object::Publish { revision } => {
                let changes = publish(store, &REVISIONS[*revision])?;
                Ok(Decision::Commit(Box::new(changes), None, String::new()))
            }
            Object::Remove { resource } => {
                let key = resource_key(DEFINITION, resource);
                let was = objects::get::<StoredResource>(store, NAMESPACE, &key)?;
                let Some(was) = was else {
                    return Ok(Decision::Answered(String::new()));
                };
                let names = (NAMESPACE, DEFINITION, *resource);
                let made = resources::remove(from, &may, names, &was, self.now)?;
                commit(made, String::new(), &repeats::Key::default())
            }
            Object::Apply { resource, n, key } => {
                let request = format!("{resource} {n}");
                let place = (NAMESPACE, key.as_str());
                let call = "ApplyResource";
                let key = match repeats::keyed(store, call, place, request.as_bytes(), self.now)? {
                    Keyed::Repeat(row) => {
                        let answer = String::from_utf8_lossy(&row.answer).into_owned();
                        return Ok(Decision::Answered(answer));
                    }
                    Keyed::Other => return Err(NodeError::Invalid("another request".into())),
                    Keyed::Fresh(key) => key,
                };
                let definition = objects::get::<StoredDefinition>(store, NAMESPACE, DEFINITION)?;
                let gone = || NodeError::Corrupt("the definition is gone".into());
                let definition = definition.ok_or_else(gone)?;
                let object = resource_key(DEFINITION, resource);
                let was = objects::get::<StoredResource>(store, NAMESPACE, &object)?;
                let wanted = Wanted {
                    namespace: NAMESPACE.into(),
                    definition: DEFINITION.into(),
                    name: (*resource).into(),
                    spec: Bytes::from(json!({"n": n}).to_string()),
                    pipeline: site::own_of(resource).into(),
                    ..Wanted::default()
                };
                let was = was.as_ref();
                match resources::apply(from, &may, wanted, &definition, was, self.now)? {
                    Applied::Made(made) => {
                        let answer = format!("version {}", made.happened.version);
                        commit(*made, answer, &key)
                    }
                    Applied::Same => Ok(Decision::Answered("the same".into())),
                }
            }
        }
    }

    /// A change reaches the disk.
    pub(super) fn commit_change(&mut self, decided: Decided) -> Check {
        if self.dies(20, "crash before a change is made")? {
            return Ok(());
        }
        let fate = self.fate_of_change();
        let made = self
            .disk
            .view(None, fate)
            .commit(decided.changes.transaction());
        self.note(|| format!("ticket {}: {fate:?}, {made:?}", decided.ticket));
        if self.dies(
            20,
            "crash after a change was made, before its runs are started",
        )? {
            return Ok(());
        }
        if let Some(process) = &mut self.process {
            process.changing = false;
            process.askers.remove(&decided.ticket);
        }
        match made {
            Ok(()) => {
                self.changed(decided.request, &decided.answer)?;
                if let Some((name, change)) = decided.change {
                    self.fire(name, change);
                }
            }
            Err(CommitError::Conflict(_)) => {
                self.counts.fault("a change was decided by what is no more");
                self.ask_again(decided.request);
            }
            // It may have been made all the same, and then has runs to be started.
            Err(_) => {
                if fate == Fate::UnknownLate && self.random.percent(60) {
                    self.publish_soon();
                }
                self.ask_again(decided.request);
                self.look_for_left(0);
            }
        }
        Ok(())
    }

    fn fate_of_change(&mut self) -> Fate {
        if !self.strikes(3) {
            return Fate::Committed;
        }
        let (fate, fault) = [
            (Fate::Full, "a change failed"),
            (Fate::UnknownMade, "a change was made, and nobody knows"),
            (Fate::UnknownNot, "a change was not made, and nobody knows"),
            (Fate::UnknownLate, "a copy of a change comes late"),
        ][self.random.below(4)];
        self.counts.fault(fault);
        fate
    }

    /// Somebody is told that a change is made. Some ask again under the same key.
    fn changed(&mut self, request: Request, answer: &str) -> Check {
        let Wish::Object(Object::Apply { resource, n, key }) = &request.wish else {
            return Ok(());
        };
        self.ledger.applied.insert(*n, resource);
        if key.is_empty() {
            return Ok(());
        }
        let first = self
            .ledger
            .answers
            .entry(key.clone())
            .or_insert_with(|| answer.to_owned());
        if *first != answer {
            return Err(format!(
                "{key} was answered {first:?}, and its repeat {answer:?}"
            ));
        }
        if self.strikes(3) {
            self.counts.fault("a request with a key came twice");
            self.ask_again(request);
        }
        Ok(())
    }

    fn fire(&mut self, name: String, change: StoredChange) {
        let reads = self.reads(2);
        let view = self.disk.view(reads, Fate::Committed);
        match Firings::read(&view, name, change) {
            Ok(firings) => self.soon(Event::Fire(Box::new(firings))),
            Err(_) => {
                self.counts.fault("what a change starts could not be read");
                self.look_for_left(AGAIN);
            }
        }
    }

    fn soon(&mut self, event: Event) {
        let at = self.now.after(Duration(self.random.below(30) as u64));
        if let Some(process) = &mut self.process {
            process.at(at, event);
        }
    }

    /// It is looked, after so many milliseconds, which changes have runs left.
    pub(super) fn look_for_left(&mut self, after: u64) {
        let at = self.now.after(Duration(after));
        if let Some(process) = &mut self.process {
            process.at(at, Event::Left);
        }
    }

    /// The changes with runs left are taken up.
    pub(super) fn take_up_left(&mut self) -> Check {
        if self.dies(20, "crash before changes with runs left are taken up")? {
            return Ok(());
        }
        let reads = self.reads(2);
        match resources::left(&self.disk.view(reads, Fate::Committed)) {
            Ok(left) => {
                for (name, change) in left {
                    self.counts.fault("a change had runs left to be started");
                    self.fire(name, change);
                }
                Ok(())
            }
            Err(error) if error.is_temporary() => {
                self.counts.fault("what a change starts could not be read");
                self.look_for_left(AGAIN);
                Ok(())
            }
            Err(error) => Err(format!("changes with runs left: {error}")),
        }
    }

    /// The next run of a change is started, or the change struck off.
    pub(super) fn fire_next(&mut self, firings: Firings) -> Check {
        if firings.next().is_none() {
            self.soon(Event::StrikeOff(Box::new(firings)));
            return Ok(());
        }
        if self.dies(20, "crash before a run of a change is started")? {
            return Ok(());
        }
        let reads = self.reads(3);
        let view = self.disk.view(reads, Fate::Committed);
        let start = firings.start(&view, &self.plans);
        let start = start.and_then(|start| Ok(start.prepare(&view, &self.plans)?));
        match start {
            Ok(start) => {
                if let Some(process) = &mut self.process {
                    let ticket = process.ticket(Asker::Firing(Box::new(firings)));
                    let start = Box::new(start);
                    self.handle(Input::Start { ticket, start });
                }
                Ok(())
            }
            Err(why) => {
                self.counts.fault("what a change starts could not be read");
                self.tried(firings, &Err(why))
            }
        }
    }

    pub(super) fn fired(&mut self, firings: Firings, answer: Result<Answer, NodeError>) -> Check {
        let run = firings.next().and_then(conveyor_node::RunId::parse);
        let run = run.ok_or("a change starts a run without an id")?;
        let outcome = match answer {
            Ok(_) => {
                self.ledger.runs.insert(run);
                self.durable(run)?;
                Ok(())
            }
            Err(error) => Err(Unstarted::from(error)),
        };
        self.tried(firings, &outcome)
    }

    fn tried(&mut self, mut firings: Firings, outcome: &Result<(), Unstarted>) -> Check {
        if let Err(Unstarted::Never(why)) = outcome {
            let run = firings.next().unwrap_or_default();
            return Err(format!("{run} of a change will never be started: {why}"));
        }
        firings.tried(outcome);
        self.soon(Event::Fire(Box::new(firings)));
        Ok(())
    }

    /// A change keeps what is left of its runs.
    pub(super) fn strike_off(&mut self, firings: &Firings) -> Check {
        if self.dies(20, "crash before a change is struck off")? {
            return Ok(());
        }
        let reads = self.reads(2);
        let view = self.disk.view(reads, Fate::Committed);
        let changes = firings.strike_off(&view);
        let made = match changes {
            Ok(Some(changes)) => {
                let fate = self.fate_of_change();
                let made = self.disk.view(None, fate).commit(changes.transaction());
                // Somebody else has done the same meanwhile.
                matches!(made, Ok(()) | Err(CommitError::Conflict(_)))
            }
            Ok(None) => true,
            Err(_) => {
                self.counts.fault("what a change starts could not be read");
                false
            }
        };
        if self.dies(20, "crash after a change was struck off")? {
            return Ok(());
        }
        if !made || firings.leaves() {
            self.look_for_left(AGAIN);
        }
        Ok(())
    }
}

fn commit(made: Made, answer: String, key: &repeats::Key) -> Result<Decision, NodeError> {
    let Made {
        mut changes,
        decided,
        ..
    } = made;
    if let Some(refused) = decided.refused.first() {
        return Err(NodeError::Invalid(format!("{refused:?}")));
    }
    key.keep(&mut changes, answer.clone().into());
    Ok(Decision::Commit(Box::new(changes), decided.change, answer))
}
