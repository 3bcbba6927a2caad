//! What is wrong with a case that somebody wrote: what is no step, can never come, or names what nobody has saved.

use super::cases::{expected, word};
use crate::cases::{self, Flaws, Form, Shape, names, none_of, time, words_of};
use crate::interfere::inline;
use crate::like;
use crate::v1::engine_step::Step;
use crate::v1::{EngineCall, EngineCase, EngineDriver, EngineRelease, Plays};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};

/// What is saved from the start.
const NAMES: &[&str] = &[
    "namespace",
    "unique",
    "driver",
    "other",
    "hello",
    "run_id",
    "run_id_2",
    "admin",
    "actor",
];
/// How calls are made.
const METHODS: &[&str] = &["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
/// How a driver that plays talks.
const TRANSPORTS: &[&str] = &["stream", "rest"];
/// What one that plays does with a cancel, besides giving the task back.
const CANCELLED: &[&str] = &["ignore", "succeed", "fail"];
/// Statuses of gRPC that a stream ends with.
const STATUSES: &[&str] = &[
    "ok",
    "not ok",
    "cancelled",
    "unknown",
    "invalid_argument",
    "deadline_exceeded",
    "not_found",
    "already_exists",
    "permission_denied",
    "resource_exhausted",
    "failed_precondition",
    "aborted",
    "out_of_range",
    "unimplemented",
    "internal",
    "unavailable",
    "data_loss",
    "unauthenticated",
];

/// What a case has begun so far.
#[derive(Default)]
struct Begun<'a> {
    saved: BTreeSet<String>,
    streams: BTreeSet<String>,
    players: BTreeMap<String, &'a EngineDriver>,
    pending: BTreeSet<String>,
    flaws: Flaws,
    /// The step that is looked at: `/steps/0/call`.
    at: String,
}

/// What is wrong with a case, by JSON pointers within it.
pub(super) fn flaws(case: &EngineCase) -> Flaws {
    let mut begun = Begun {
        saved: NAMES.iter().map(|&name| name.to_owned()).collect(),
        flaws: time("/time_limit_ms", case.time_limit_ms),
        ..Begun::default()
    };
    if case.steps.is_empty() {
        begun.flaws.push((String::new(), "has no steps".to_owned()));
    }
    for (index, step) in case.steps.iter().enumerate() {
        let place = format!("/steps/{index}");
        let Some(step) = &step.step else {
            let why = "says nothing to do".to_owned();
            begun.flaws.push((place, why));
            continue;
        };
        begun.at = format!("{place}/{}", word(step));
        for (field, bytes) in expected(step) {
            let wanted = inline(bytes);
            if let Err(flaw) = like::check(&wanted) {
                begun.is(&format!("/{field}{}", flaw.pointer), flaw.sentence);
            }
            begun.names(&format!("/{field}"), &wanted);
        }
        begun.step(step);
    }
    begun.flaws
}

/// What messages of the contract can have.
fn shape(messages: &[&str], form: Form) -> Shape {
    let full: Vec<String> = messages
        .iter()
        .map(|name| format!("conveyor.v1.{name}"))
        .collect();
    let full: Vec<&str> = full.iter().map(String::as_str).collect();
    Shape::new(crate::pool(), &full, form).with_numbers()
}

impl<'a> Begun<'a> {
    fn is(&mut self, below: &str, why: impl Into<String>) {
        self.flaws.push((format!("{}{below}", self.at), why.into()));
    }

    fn all(&mut self, below: &str, flaws: Flaws) {
        for (at, why) in flaws {
            self.is(&format!("{below}{at}"), why);
        }
    }

    /// JSON that is to have a shape, where there is any.
    fn shaped(&mut self, below: &str, bytes: &[u8], messages: &[&str], form: Form) {
        if bytes.is_empty() {
            return;
        }
        let json = inline(bytes);
        if form != Form::Like {
            self.names(below, &json);
        } else if like::check(&json).is_err() {
            return;
        }
        self.all(below, shape(messages, form).flaws(&json));
    }

    fn step(&mut self, step: &'a Step) {
        match step {
            Step::Start(step) => {
                for (field, bytes) in [("/spec", &step.spec), ("/inputs", &step.inputs)] {
                    self.names(field, &inline(bytes));
                }
                self.names("/document", &Json::from(step.document.as_str()));
                self.status(step.status);
                if !step.document.is_empty() && !step.spec.is_empty() {
                    self.is("/document", "stands beside `spec`: it is in its place");
                }
                if matches!(step.status, 0 | 200) {
                    self.shaped("/request", &step.request, &["StartRunRequest"], Form::Said);
                    self.shaped("/like", &step.like, &["StartRunResponse"], Form::Like);
                    self.saved.insert(or(&step.name, "run").to_owned());
                } else {
                    self.names("/request", &inline(&step.request));
                }
            }
            Step::Call(call) => self.call(call),
            Step::Read(step) => {
                self.path(&step.path);
                self.names("/last_event_id", &Json::from(step.last_event_id.as_str()));
                self.all("/within_ms", time("", step.within_ms));
                self.saves(&step.save, false);
            }
            Step::Driver(driver) => self.driver(driver),
            Step::Release(release) => self.release(release),
            Step::Open(step) => {
                self.token(&step.token);
                self.word("/refused", &step.refused, &STATUSES[2..]);
                self.shaped("/first", &step.first, &["SessionRequest"], Form::Said);
                self.shaped("/see", &step.see, &["SessionResponse"], Form::Like);
                self.saves(&step.save, false);
                if step.refused.is_empty() {
                    self.streams.insert(or(&step.session, "s").to_owned());
                }
            }
            Step::Tell(step) => {
                self.stream(&step.session);
                self.shaped("/message", &step.message, &["SessionRequest"], Form::Said);
                if !step.raw.is_empty() && !step.message.is_empty() {
                    self.is("/raw", "stands beside `message`: it is in its place");
                }
            }
            Step::See(step) => {
                self.stream(&step.session);
                self.shaped("/message", &step.message, &["SessionResponse"], Form::Like);
                self.all("/within_ms", time("", step.within_ms));
                let within = match step.within_ms {
                    0 => 5_000,
                    within => within,
                };
                if step.not_before_ms > within {
                    let why = format!(
                        "{} ms are later than `within_ms`, {within}: nothing that comes is in time",
                        step.not_before_ms
                    );
                    self.is("/not_before_ms", why);
                }
                self.saves(&step.save, false);
            }
            Step::Unseen(step) => {
                self.stream(&step.session);
                self.shaped("/message", &step.message, &["SessionResponse"], Form::Like);
                self.all("/for_ms", time("", step.for_ms));
            }
            Step::Break(step) => {
                let name = or(&step.session, "s");
                if !self.streams.remove(name) && self.players.remove(name).is_none() {
                    let why = format!("no stream and no driver `{name}` is open here");
                    self.is_named("/session", &step.session, why);
                }
            }
            Step::Closed(step) => {
                self.stream(&step.session);
                self.word("/status", &step.status, STATUSES);
                self.all("/within_ms", time("", step.within_ms));
            }
            Step::Ended(step) => {
                let states = words_of("RunState");
                let states: Vec<&str> = states.iter().map(String::as_str).collect();
                self.word("/state", &step.state, &states);
                self.all("/within_ms", time("", step.within_ms));
                self.shaped("/like", &step.like, &["Run"], Form::Like);
                let name = or(&step.run, "run");
                let no_run = NAMES.contains(&name) && !name.starts_with("run_id");
                if no_run || !self.is_saved(name) {
                    let why = format!("no run `{name}` was started before");
                    self.is_named("/run", &step.run, why);
                }
                self.steps(&inline(&step.steps));
            }
            Step::Compare(step) => {
                self.names("/that", &inline(&step.that));
                if step.like.is_empty() && step.unlike.is_empty() {
                    self.is(
                        "",
                        "compares with nothing: it has no `like` and no `unlike`",
                    );
                }
            }
            Step::Restart(_) => {}
        }
    }

    fn call(&mut self, call: &EngineCall) {
        if !call.answered.is_empty() {
            if !self.pending.remove(&call.answered) {
                let why = format!(
                    "no call `{}` was made before: one that says `unanswered: {}`",
                    call.answered, call.answered
                );
                self.is("/answered", why);
            }
        } else {
            self.path(&call.path);
        }
        self.word("/method", &call.method, METHODS);
        self.status(call.status);
        self.token(&call.token);
        self.all("/within_ms", time("", call.within_ms));
        self.all("/not_before_ms", time("", call.not_before_ms));
        self.names("/body", &inline(&call.body));
        self.names("/text", &Json::from(call.text.as_str()));
        for (name, value) in &call.headers {
            let below = cases::at("/headers", name);
            self.names(&below, &Json::from(value.as_str()));
        }
        if !call.body.is_empty() && !call.text.is_empty() {
            self.is("/text", "stands beside `body`: it is in its place");
        }
        match call.unanswered.as_str() {
            "" => self.saves(&call.save, true),
            name => {
                if !call.save.is_empty() || !call.like.is_empty() {
                    let why = "goes on without the answer: the step with `answered` looks at it, and saves of it";
                    self.is("/unanswered", why);
                }
                self.pending.insert(name.to_owned());
            }
        }
    }

    fn driver(&mut self, driver: &'a EngineDriver) {
        self.word("/transport", &driver.transport, TRANSPORTS);
        self.shaped("/hello", &driver.hello, &["Hello"], Form::Said);
        for (task, Plays { attempts }) in &driver.play {
            for (index, play) in attempts.iter().enumerate() {
                let below = format!("{}/attempts/{index}", cases::at("/play", task));
                self.word(&format!("{below}/cancelled"), &play.cancelled, CANCELLED);
                for (field, failure) in [("fail", &play.fail), ("error", &play.error)] {
                    self.shaped(
                        &format!("{below}/{field}"),
                        failure,
                        &["Failure"],
                        Form::Said,
                    );
                }
                self.names(&format!("{below}/succeed"), &inline(&play.succeed));
            }
        }
        self.players
            .insert(or(&driver.name, "d").to_owned(), driver);
    }

    fn release(&mut self, release: &EngineRelease) {
        let name = or(&release.driver, "d");
        let Some(driver) = self.players.get(name) else {
            let why = format!("no driver `{name}` is connected here");
            return self.is_named("/driver", &release.driver, why);
        };
        let step = release.task.split('[').next().unwrap_or_default();
        let plays = driver.play.get(&release.task).or(driver.play.get(step));
        let index = release.attempt.max(1) as usize - 1;
        let held = plays.and_then(|plays| plays.attempts.get(index));
        if !held.is_some_and(|play| play.hold) {
            let why = format!(
                "driver `{name}` holds no attempt {} of `{}`: its `play` does not say `hold`",
                index + 1,
                release.task
            );
            self.is("/task", why);
        }
    }

    fn steps(&mut self, steps: &Json) {
        if like::check(steps).is_err() {
            return;
        }
        let shape = shape(&["Step", "StepInstance"], Form::Like);
        for (id, wanted) in steps.as_object().into_iter().flatten() {
            if !id.starts_with('$') {
                self.all(&cases::at("/steps", id), shape.flaws(wanted));
            }
        }
    }

    fn word(&mut self, below: &str, found: &str, may: &[&str]) {
        if !found.is_empty() && !may.contains(&found) {
            self.is(below, none_of(found, may));
        }
    }

    fn status(&mut self, status: u32) {
        if status != 0 && !(100..600).contains(&status) {
            self.is(
                "/status",
                format!("{status} is no status of HTTP: 100 to 599"),
            );
        }
    }

    fn path(&mut self, path: &str) {
        if !path.starts_with('/') {
            self.is("/path", format!("`{path}` is no path: it begins with `/`"));
        }
        self.names("/path", &Json::from(path));
    }

    fn stream(&mut self, session: &str) {
        let name = or(session, "s");
        if !self.streams.contains(name) {
            let why = format!("no stream `{name}` is open here");
            self.is_named("/session", session, why);
        }
    }

    /// A mistake in a name; where it is not written, in the whole step.
    fn is_named(&mut self, below: &str, name: &str, why: String) {
        let below = if name.is_empty() { "" } else { below };
        self.is(below, why);
    }

    fn token(&mut self, name: &str) {
        if !name.is_empty() && name != "nobody" && !self.is_saved(name) {
            let why =
                format!("nothing was saved as `{name}` before: it is that, `admin` or `nobody`");
            self.is("/token", why);
        }
    }

    fn saves<'s>(
        &mut self,
        save: impl IntoIterator<Item = (&'s String, &'s String)>,
        headers: bool,
    ) {
        for (name, from) in save {
            let header = headers && from.starts_with("header:");
            if !from.is_empty() && !from.starts_with('/') && !header {
                let or = match headers {
                    true => ", or `header:NAME`",
                    false => "",
                };
                let why = format!("`{from}` is no JSON pointer: it begins with `/`{or}");
                self.is(&cases::at("/save", name), why);
            }
            self.saved.insert(name.clone());
        }
    }

    /// Whether something stands for a name when the step is done.
    fn is_saved(&self, name: &str) -> bool {
        let counts = |prefix: &str| {
            let count = name.strip_prefix(prefix);
            count.is_some_and(|count| count.parse::<usize>().is_ok())
        };
        let instant = name.strip_prefix("now");
        self.saved.contains(name)
            || counts("long:")
            || counts("base64:")
            || instant.is_some_and(|rest| rest.is_empty() || rest.parse::<i64>().is_ok())
    }

    fn names(&mut self, below: &str, json: &Json) {
        for (at, name) in names(json) {
            if super::values::is_name(&name) && !self.is_saved(&name) {
                self.is(
                    &format!("{below}{at}"),
                    format!("nothing was saved as `{name}` before"),
                );
            }
        }
    }
}

fn or<'a>(name: &'a str, default: &'a str) -> &'a str {
    match name.is_empty() {
        true => default,
        false => name,
    }
}
