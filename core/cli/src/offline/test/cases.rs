//! The file of cases. `docs/testing-pipelines.md` is its reference.

use super::mocks::StepMock;
use conveyor_engine::document::{Located, Severity};
use conveyor_engine::plan::{Kind, Plan};
use conveyor_engine::run::{AttemptState, RunState, StepState};
use conveyor_engine::time::{Duration, Time};
use conveyor_engine::value::Json;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_path_to_error::Segment;
use std::collections::BTreeMap;
use std::path::Path;

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cases {
    cases: Vec<Case>,
}

/// A case.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    pub(super) name: String,
    #[serde(default)]
    inputs: BTreeMap<String, Json>,
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(default = "start", deserialize_with = "time")]
    pub(super) at: Time,
    #[serde(default)]
    pub(super) steps: BTreeMap<String, StepMock>,
    #[serde(default)]
    pub(super) actions: Vec<Action>,
    pub(super) expect: Expect,
}

/// Somebody does something to the run.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Action {
    #[serde(rename = "do")]
    pub(super) verb: ActionVerb,
    /// How long after the start.
    #[serde(default, deserialize_with = "duration")]
    pub(super) after: Duration,
    #[serde(default)]
    pub(super) reason: String,
}

/// What somebody does.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum ActionVerb {
    Cancel,
    Drain,
    Terminate,
    Pause,
    Resume,
}

impl Action {
    /// Which of a case's actions it is, for messages.
    pub(super) fn described(&self, index: usize) -> String {
        let verb = match self.verb {
            ActionVerb::Cancel => "cancel",
            ActionVerb::Drain => "drain",
            ActionVerb::Terminate => "terminate",
            ActionVerb::Pause => "pause",
            ActionVerb::Resume => "resume",
        };
        format!("actions[{index}]: {verb} after {}", self.after)
    }
}

/// What is asked of a run; what is not named is not looked at.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expect {
    #[serde(default, deserialize_with = "run_state")]
    pub(super) state: Option<RunState>,
    pub(super) reason: Option<String>,
    pub(super) warnings: Option<u32>,
    pub(super) outputs: Option<Json>,
    #[serde(default, deserialize_with = "some_duration")]
    pub(super) duration: Option<Duration>,
    /// The inputs are refused, with this in the message.
    pub(super) refused: Option<String>,
    #[serde(default)]
    pub(super) steps: BTreeMap<String, StepExpect>,
    /// Steps in the order in which they begin.
    #[serde(default)]
    pub(super) order: Vec<String>,
}

/// What is asked of a step; a lone word is its state.
#[derive(Debug, Default)]
pub(super) struct StepExpect {
    pub(super) state: Option<StepState>,
    pub(super) fields: StepFields,
}

/// What may be asked of a step besides its state.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StepFields {
    #[serde(default, deserialize_with = "step_state")]
    state: Option<StepState>,
    pub(super) attempts: Option<u32>,
    pub(super) reason: Option<String>,
    pub(super) failure: Option<String>,
    pub(super) allowed: Option<bool>,
    pub(super) outputs: Option<Json>,
    pub(super) with: Option<BTreeMap<String, Json>>,
    #[serde(default, deserialize_with = "step_states")]
    pub(super) instances: Option<Vec<StepState>>,
}

impl<'de> Deserialize<'de> for StepExpect {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<StepExpect, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = StepExpect;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a step's state, or an object of what is expected of it")
            }

            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<StepExpect, E> {
                let state = Some(word_of(word, StepState::ALL)?);
                Ok(StepExpect {
                    state,
                    fields: StepFields::default(),
                })
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                map: A,
            ) -> Result<StepExpect, A::Error> {
                let fields =
                    StepFields::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                Ok(StepExpect {
                    state: fields.state,
                    fields,
                })
            }
        }
        from.deserialize_any(Visitor)
    }
}

impl Case {
    /// The inputs as one object.
    pub(super) fn inputs_json(&self) -> Json {
        Json::Object(self.inputs.clone().into_iter().collect())
    }
}

/// Reads the cases, and checks them against the pipeline: every step named exists, every mock is of
/// a step that has results to mock.
///
/// # Errors
/// Lines for a person: the first mistake in what the file holds, else all that do not fit the
/// pipeline.
pub(super) fn read(file: &Located, plan: &Plan, path: &Path) -> Result<Vec<Case>, String> {
    let name = crate::source::name(path);
    let wrong = |found: Vec<(String, String)>| {
        let found: Vec<_> = found
            .iter()
            .map(|(pointer, message)| file.diagnostic(Severity::Error, pointer, message))
            .collect();
        crate::source::wrong_text(&name, &found)
    };
    let cases: Cases = serde_path_to_error::deserialize(file.to_json())
        .map_err(|error| wrong(vec![(pointer(error.path()), error.inner().to_string())]))?;
    let found = misfits(&cases, plan);
    if found.is_empty() {
        Ok(cases.cases)
    } else {
        Err(wrong(found))
    }
}

/// The JSON pointer of where reading stopped.
fn pointer(path: &serde_path_to_error::Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => {
                pointer.push('/');
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}

/// What of the cases does not fit the pipeline: JSON pointers and sentences.
fn misfits(file: &Cases, plan: &Plan) -> Vec<(String, String)> {
    let mut wrong = Vec::new();
    let known = || {
        let ids: Vec<_> = plan.steps.iter().take(30).map(|step| &*step.id).collect();
        let more = if plan.steps.len() > ids.len() {
            ", …"
        } else {
            ""
        };
        format!("{}{more}", ids.join(", "))
    };
    for (index, case) in file.cases.iter().enumerate() {
        let mut say = |place: &str, message: String| {
            let message = format!("case `{}`: {message}", case.name);
            wrong.push((format!("/cases/{index}{place}"), message));
        };
        for (id, mock) in &case.steps {
            let place = format!("/steps/{id}");
            match plan.step(id).map(|step| &plan.steps[step as usize]) {
                None => say(
                    &place,
                    format!("steps.{id}: no such step; there are: {}", known()),
                ),
                Some(step) => {
                    if !matches!(step.kind, Kind::Driver { .. }) {
                        let message = format!("steps.{id}: only a driver has results to mock");
                        say(&place, message);
                    }
                    for problem in mock.check(step.fan.is_some()) {
                        say(&place, format!("steps.{id}: {problem}"));
                    }
                }
            }
        }
        let steps = case
            .expect
            .steps
            .keys()
            .map(|id| (id, format!("steps/{id}")));
        let order = case.expect.order.iter().enumerate();
        let order = order.map(|(at, id)| (id, format!("order/{at}")));
        for (id, place) in steps.chain(order) {
            if plan.step(id).is_none() {
                let message = format!("expect: no step `{id}`; there are: {}", known());
                say(&format!("/expect/{place}"), message);
            }
        }
        let expect = &case.expect;
        if expect.refused.is_some() && (expect.state.is_some() || !expect.steps.is_empty()) {
            let message = "expect: a run that is refused has neither state nor steps";
            say("/expect/refused", message.to_owned());
        }
        if file.cases[..index]
            .iter()
            .any(|other| other.name == case.name)
        {
            say("/name", "there is another case of this name".to_owned());
        }
    }
    if file.cases.is_empty() {
        wrong.push(("/cases".to_owned(), "there is no case".to_owned()));
    }
    wrong
}

/// 2027-01-01T00:00:00Z: when a case's run starts that does not say.
fn start() -> Time {
    Time(1_798_761_600_000)
}

fn word_of<T: Copy + std::fmt::Display, E: serde::de::Error>(
    word: &str,
    all: &[T],
) -> Result<T, E> {
    all.iter()
        .copied()
        .find(|state| state.to_string() == word)
        .ok_or_else(|| {
            let all: Vec<_> = all.iter().map(ToString::to_string).collect();
            E::custom(format!(
                "`{word}` is no such state; there are: {}",
                all.join(", ")
            ))
        })
}

fn run_state<'de, D: Deserializer<'de>>(from: D) -> Result<Option<RunState>, D::Error> {
    word_of(&String::deserialize(from)?, RunState::ALL).map(Some)
}

fn step_state<'de, D: Deserializer<'de>>(from: D) -> Result<Option<StepState>, D::Error> {
    word_of(&String::deserialize(from)?, StepState::ALL).map(Some)
}

fn step_states<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<StepState>>, D::Error> {
    let words = Vec::<String>::deserialize(from)?;
    words
        .iter()
        .map(|word| word_of(word, StepState::ALL))
        .collect::<Result<_, _>>()
        .map(Some)
}

/// How an attempt of a mock ends.
pub(super) fn attempt_state<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<AttemptState>, D::Error> {
    word_of(&String::deserialize(from)?, AttemptState::ALL).map(Some)
}

fn time<'de, D: Deserializer<'de>>(from: D) -> Result<Time, D::Error> {
    Time::parse(&String::deserialize(from)?).map_err(D::Error::custom)
}

/// A duration such as `2m`.
pub(super) fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    Duration::parse(&String::deserialize(from)?).map_err(D::Error::custom)
}

fn some_duration<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    duration(from).map(Some)
}
