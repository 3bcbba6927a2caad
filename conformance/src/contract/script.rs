//! Steps that need others before them: names of runs, tasks and interferences that a script has, and those that are
//! only written.

use crate::cases::{Flaws, at, names};
use crate::interfere::{inline, name_of};
use crate::script::ids_of;
use crate::v1;
use crate::v1::interfere::How;
use crate::v1::step::Step as What;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};

/// What a script has begun so far.
struct Begun<'a> {
    case: &'a v1::Case,
    /// Ids of steps, by their runs' names.
    runs: BTreeMap<String, BTreeSet<String>>,
    /// Names of interferences that are on, one that is on twice twice.
    interferences: Vec<String>,
    /// Ids of all steps of all runs of the script.
    steps: BTreeSet<String>,
    flaws: Flaws,
}

/// What is wrong with the steps of a case beside each other.
pub(super) fn flaws(case: &v1::Case) -> Flaws {
    let setting = case.setting.clone().unwrap_or_default();
    let mut begun = Begun {
        case,
        runs: BTreeMap::new(),
        interferences: match setting.welcome.is_empty() {
            true => Vec::new(),
            false => vec!["setting".to_owned()],
        },
        steps: case.script.iter().flat_map(steps_of).collect(),
        flaws: Flaws::new(),
    };
    for (number, step) in case.script.iter().enumerate() {
        if let Some(what) = &step.step {
            begun.step(what, &format!("/script/{number}"));
        }
    }
    begun.flaws
}

/// Ids of the steps whose tasks a driver gets: those of a run, and that of a task in the engine's name.
fn steps_of(step: &v1::Step) -> Vec<String> {
    match &step.step {
        Some(What::Run(run)) => run.tasks.iter().flat_map(ids_of).collect(),
        Some(What::Say(say)) => {
            let message = inline(&say.message);
            let id = message.pointer("/task/id/step").and_then(Json::as_str);
            id.map(str::to_owned).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

impl Begun<'_> {
    fn step(&mut self, what: &What, place: &str) {
        match what {
            What::Run(run) => self.run(run, place),
            What::See(see) => self.pattern(see.message.as_ref(), &format!("{place}/see")),
            What::Unseen(unseen) => {
                self.pattern(unseen.message.as_ref(), &format!("{place}/unseen"));
            }
            What::Interfere(interfere) => {
                let place = format!("{place}/interfere");
                self.pattern(interfere.message.as_ref(), &place);
                if let Some(how) = &interfere.how {
                    if let How::Change(change) = how {
                        self.names(&inline(change), &format!("{place}/change"));
                    }
                    self.interferences.push(name_of(interfere, how).to_owned());
                }
            }
            What::Lift(lift) => self.lift(lift, &format!("{place}/lift/name")),
            What::Say(say) => self.names(&inline(&say.message), &format!("{place}/say/message")),
            What::Ended(ended) => {
                let place = format!("{place}/ended");
                self.run_named(&ended.run, &format!("{place}/run"), &place);
                let steps = inline(&ended.steps);
                self.names(&steps, &format!("{place}/steps"));
                for id in steps.as_object().into_iter().flat_map(|steps| steps.keys()) {
                    // A test, or the absence of a step.
                    if !id.starts_with('$') && steps[id]["$absent"] != true {
                        self.task(&ended.run, id, &at(&format!("{place}/steps"), id), &place);
                    }
                }
            }
            What::Logged(logged) => {
                let place = format!("{place}/logged");
                self.run_named(&logged.run, &format!("{place}/run"), &place);
                let task = or(&logged.task, "a");
                self.task(&logged.run, task, &format!("{place}/task"), &place);
            }
            What::Stop(stop) => {
                let place = format!("{place}/stop");
                self.run_named(&stop.run, &format!("{place}/run"), &place);
            }
            What::Call(call) => {
                let place = format!("{place}/call");
                self.names(&inline(&call.request), &format!("{place}/request"));
                let setting = self.case.setting.clone().unwrap_or_default();
                if !call.principal.is_empty() && !setting.access {
                    let why = "stands in a case whose setting has no `access`: everybody is the same there";
                    self.flaws
                        .push((format!("{place}/principal"), why.to_owned()));
                }
            }
            _ => {}
        }
    }

    fn run(&mut self, run: &v1::Run, place: &str) {
        let name = or(&run.name, "run").to_owned();
        for (index, work) in run.tasks.iter().enumerate() {
            let step = inline(&work.step);
            let place = format!("{place}/run/tasks/{index}");
            self.names(&inline(&work.program), &format!("{place}/program"));
            self.names(&step, &format!("{place}/step"));
            let setting = self.case.setting.clone().unwrap_or_default();
            for (of, secret) in step["secrets"].as_object().into_iter().flatten() {
                let secret = secret.as_str().unwrap_or_default();
                if !setting.secrets.contains_key(secret) {
                    let why = format!("the case's setting has no secret `{secret}`");
                    let place = at(&format!("{place}/step/secrets"), of);
                    self.flaws.push((place, why));
                }
            }
        }
        if !run.refused.is_empty() {
            return;
        }
        let ids = run.tasks.iter().flat_map(ids_of).collect();
        if self.runs.insert(name.clone(), ids).is_some() {
            let below = match run.name.is_empty() {
                true => "/run",
                false => "/run/name",
            };
            let why = format!("there is a run `{name}` already: give it another `name`");
            self.flaws.push((format!("{place}{below}"), why));
        }
    }

    fn lift(&mut self, lift: &v1::Lift, place: &str) {
        match self
            .interferences
            .iter()
            .position(|name| *name == lift.name)
        {
            Some(on) => drop(self.interferences.remove(on)),
            None => {
                let on = match self.interferences.is_empty() {
                    true => "none is".to_owned(),
                    false => format!("on are `{}`", self.interferences.join("`, `")),
                };
                let why = format!("no interference `{}` is on here; {on}", lift.name);
                self.flaws.push((place.to_owned(), why));
            }
        }
    }

    /// A run that a step names, or means by naming none.
    fn run_named(&mut self, name: &str, place: &str, step: &str) {
        let run = or(name, "run");
        if self.runs.contains_key(run) {
            return;
        }
        let runs: Vec<&str> = self.runs.keys().map(String::as_str).collect();
        let begun = match runs.is_empty() {
            true => "none was".to_owned(),
            false => format!("there are `{}`", runs.join("`, `")),
        };
        let why = format!("no run `{run}` was started before; {begun}");
        let place = if name.is_empty() { step } else { place };
        self.flaws.push((place.to_owned(), why));
    }

    /// A step of a run that was started.
    fn task(&mut self, run: &str, id: &str, place: &str, step: &str) {
        let Some(ids) = self.runs.get(or(run, "run")) else {
            return;
        };
        if !ids.contains(id) {
            let why = format!(
                "the run `{}` has no task `{id}`; it has {}",
                or(run, "run"),
                some(ids)
            );
            let place = match (place.ends_with("/task"), id) {
                // It means the one that has no other name.
                (true, "a") => step,
                _ => place,
            };
            self.flaws.push((place.to_owned(), why));
        }
    }

    fn pattern(&mut self, pattern: Option<&v1::Pattern>, place: &str) {
        let Some(pattern) = pattern else { return };
        if !pattern.task.is_empty() && !self.steps.contains(&pattern.task) {
            let why = self.no_step(&pattern.task);
            self.flaws.push((format!("{place}/message/task"), why));
        }
        self.names(&inline(&pattern.like), &format!("{place}/message/like"));
    }

    fn no_step(&self, id: &str) -> String {
        match self.steps.is_empty() {
            true => format!("no run of the script has a task `{id}`: there is no run"),
            false => format!(
                "no run of the script has a task `{id}`; there are {}",
                some(&self.steps)
            ),
        }
    }

    /// Names in texts: tasks that no run has, and words that mean nothing.
    fn names(&mut self, json: &Json, place: &str) {
        let programs = place.ends_with("/program") || place.ends_with("/say/message");
        let placed = programs || place.ends_with("/step");
        for (below, name) in names(json) {
            let (what, of) = name.split_once(':').unwrap_or((&name, ""));
            let step = of.split('/').next().unwrap_or_default();
            let why = match what {
                "token" | "task" if !self.steps.contains(step) => self.no_step(step),
                "token" | "task" => continue,
                "dir" if placed => continue,
                "attempt" | "checkpoint" | "secret" if programs => continue,
                "seen" if of.starts_with('/') => continue,
                "long" if of.parse::<usize>().is_ok() => continue,
                _ => format!(
                    "nothing is called `${{{name}}}`: there are ${{token:STEP}}, ${{task:STEP}}, ${{task:STEP/FIELD}}, ${{seen:/FIELD}}, ${{long:COUNT}}"
                ),
            };
            let flaw = (format!("{place}{below}"), why);
            // Programs are looked at for names by themselves, too.
            if !place.ends_with("/program") || matches!(what, "token" | "task") {
                self.flaws.push(flaw);
            }
        }
    }
}

/// Names, as a sentence can have them.
fn some(names: &BTreeSet<String>) -> String {
    const SHOWN: usize = 10;
    let shown: Vec<String> = names
        .iter()
        .take(SHOWN)
        .map(|name| format!("`{name}`"))
        .collect();
    match names.len() > SHOWN {
        true => format!("{} and {} more", shown.join(", "), names.len() - SHOWN),
        false => shown.join(", "),
    }
}

fn or<'a>(name: &'a str, default: &'a str) -> &'a str {
    match name.is_empty() {
        true => default,
        false => name,
    }
}
