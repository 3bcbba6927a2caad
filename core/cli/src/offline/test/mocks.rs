//! What an attempt of a case gives.

use super::cases::{attempt_state, duration};
use conveyor_engine::run::{
    AttemptState, EndedAttempt, Fact, Failure, Identity, LostCause, Report,
};
use conveyor_engine::time::Duration;
use conveyor_engine::value::{Json, Value};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the attempts of a step give.
#[derive(Debug, Default)]
pub(super) struct StepMock {
    /// One for each attempt; the last is for all that follow.
    attempts: Vec<Mock>,
    instances: Vec<InstanceMock>,
}

/// What the attempts of some instances of a fan-out give.
#[derive(Debug)]
struct InstanceMock {
    index: Option<u32>,
    matches: Option<Json>,
    attempts: Vec<Mock>,
}

/// What an attempt gives. Nothing said: it succeeds at once, without outputs.
#[derive(Clone, Debug, Default)]
pub(super) struct Mock {
    state: Option<AttemptState>,
    outputs: Option<BTreeMap<String, Json>>,
    failure: Option<MockFailure>,
    lost: Option<MockLoss>,
    /// How long it takes.
    pub(super) duration: Duration,
    /// Whether it never ends by itself.
    pub(super) hangs: bool,
    /// Whether it does not stop when it is told to.
    pub(super) ignores_cancel: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MockFailure {
    code: String,
    #[serde(default)]
    message: String,
    details: Option<Json>,
    retryable: Option<bool>,
    #[serde(default, deserialize_with = "some_duration")]
    retry_after: Option<Duration>,
}

fn some_duration<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    duration(from).map(Some)
}

/// How an attempt is lost.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum MockLoss {
    Lease,
    Refused,
    Undelivered,
    ProcessDead,
}

/// Every field that a mock may have, wherever it stands; what stands where is checked after.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    #[serde(default, deserialize_with = "attempt_state")]
    state: Option<AttemptState>,
    outputs: Option<BTreeMap<String, Json>>,
    failure: Option<MockFailure>,
    lost: Option<MockLoss>,
    #[serde(default, deserialize_with = "duration")]
    duration: Duration,
    #[serde(default)]
    hangs: bool,
    #[serde(default)]
    ignores_cancel: bool,
    #[serde(default)]
    attempts: Option<Vec<MockField>>,
    #[serde(default)]
    instances: Vec<InstanceField>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MockField {
    #[serde(default, deserialize_with = "attempt_state")]
    state: Option<AttemptState>,
    outputs: Option<BTreeMap<String, Json>>,
    failure: Option<MockFailure>,
    lost: Option<MockLoss>,
    #[serde(default, deserialize_with = "duration")]
    duration: Duration,
    #[serde(default)]
    hangs: bool,
    #[serde(default)]
    ignores_cancel: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct InstanceField {
    index: Option<u32>,
    #[serde(rename = "where")]
    matches: Option<Json>,
    attempts: Vec<MockField>,
}

impl From<MockField> for Mock {
    fn from(field: MockField) -> Mock {
        let MockField {
            state,
            outputs,
            failure,
            lost,
            duration,
            hangs,
            ignores_cancel,
        } = field;
        Mock {
            state,
            outputs,
            failure,
            lost,
            duration,
            hangs,
            ignores_cancel,
        }
    }
}

impl From<Fields> for StepMock {
    fn from(fields: Fields) -> StepMock {
        let Fields {
            state,
            outputs,
            failure,
            lost,
            duration,
            hangs,
            ignores_cancel,
            ..
        } = fields;
        let one = Mock {
            state,
            outputs,
            failure,
            lost,
            duration,
            hangs,
            ignores_cancel,
        };
        let instance = |field: InstanceField| InstanceMock {
            index: field.index,
            matches: field.matches,
            attempts: field.attempts.into_iter().map(Mock::from).collect(),
        };
        StepMock {
            attempts: match fields.attempts {
                Some(attempts) => attempts.into_iter().map(Mock::from).collect(),
                None => vec![one],
            },
            instances: fields.instances.into_iter().map(instance).collect(),
        }
    }
}

impl<'de> Deserialize<'de> for StepMock {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<StepMock, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = StepMock;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("what an attempt gives, or a list of what each attempt gives")
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, seq: A) -> Result<StepMock, A::Error> {
                let fields = Vec::<MockField>::deserialize(
                    serde::de::value::SeqAccessDeserializer::new(seq),
                )?;
                let attempts = fields.into_iter().map(Mock::from).collect();
                Ok(StepMock {
                    attempts,
                    instances: Vec::new(),
                })
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<StepMock, A::Error> {
                let fields =
                    Fields::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                let of_one = fields.state.is_some()
                    || fields.outputs.is_some()
                    || fields.failure.is_some()
                    || fields.lost.is_some()
                    || fields.hangs;
                if of_one && fields.attempts.is_some() {
                    return Err(serde::de::Error::custom(
                        "`attempts` says all: what an attempt gives goes into its entries",
                    ));
                }
                Ok(StepMock::from(fields))
            }
        }
        from.deserialize_any(Visitor)
    }
}

impl StepMock {
    /// What is wrong with the mock, for a step that is a fan-out or not.
    pub(super) fn check(&self, fan: bool) -> impl Iterator<Item = String> {
        let mut wrong = Vec::new();
        if !fan && !self.instances.is_empty() {
            wrong.push("`instances` is for a matrix or a foreach".to_owned());
        }
        let all = [&self.attempts]
            .into_iter()
            .chain(self.instances.iter().map(|i| &i.attempts));
        for attempts in all {
            if attempts.is_empty() {
                wrong.push("`attempts` is empty".to_owned());
            }
            wrong.extend(attempts.iter().filter_map(Mock::check));
        }
        for instance in &self.instances {
            if instance.index.is_some() == instance.matches.is_some() {
                wrong.push("an entry of `instances` has either `index` or `where`".to_owned());
            }
        }
        wrong.into_iter()
    }

    /// The entries of `instances` that are for none of these, which are in order.
    pub(super) fn strays(&self, params: &[Json]) -> impl Iterator<Item = (usize, String)> {
        let strays = self.instances.iter().enumerate().filter(|(_, mock)| {
            let mut all = params.iter().enumerate();
            !all.any(|(position, params)| mock.fits(position as u32, Some(params)))
        });
        let told = strays.map(|(at, mock)| match (mock.index, &mock.matches) {
            (Some(index), _) => (at, format!("`index` is {index}")),
            (None, wanted) => (
                at,
                format!("`where` is {}", wanted.as_ref().unwrap_or(&Json::Null)),
            ),
        });
        told.collect::<Vec<_>>().into_iter()
    }

    /// What an attempt gives, numbered from 1, of the instance at a position with its parameters.
    pub(super) fn attempt(&self, number: u32, position: u32, params: Option<&Json>) -> Mock {
        let attempts = self
            .instances
            .iter()
            .find(|instance| instance.fits(position, params))
            .map_or(&self.attempts, |i| &i.attempts);
        let at = (number.max(1) as usize - 1).min(attempts.len().saturating_sub(1));
        attempts.get(at).cloned().unwrap_or_default()
    }
}

impl InstanceMock {
    fn fits(&self, position: u32, params: Option<&Json>) -> bool {
        match (self.index, &self.matches) {
            (Some(index), _) => index == position,
            (None, Some(wanted)) => params.is_some_and(|params| matches(wanted, params)),
            (None, None) => false,
        }
    }
}

/// Whether an item equals what is wanted, or a combination has all that is wanted.
fn matches(wanted: &Json, params: &Json) -> bool {
    match (wanted, params) {
        (Json::Object(wanted), Json::Object(params)) => wanted
            .iter()
            .all(|(key, value)| params.get(key) == Some(value)),
        _ => wanted == params,
    }
}

impl Mock {
    fn check(&self) -> Option<String> {
        let ended = match self.state() {
            _ if self.hangs && (self.failure.is_some() || self.lost.is_some()) => {
                "`hangs` excludes `failure` and `lost`"
            }
            _ if self.lost.is_some() && self.failure.is_some() => "`lost` excludes `failure`",
            AttemptState::Succeeded if self.failure.is_some() => {
                "an attempt with a `failure` does not end `succeeded`"
            }
            AttemptState::TimedOut => "`timed_out` comes from `hangs` and the step's timeouts",
            AttemptState::Lost if self.lost.is_none() => {
                "`lost` says how: lost: lease, refused, undelivered or process_dead"
            }
            _ => return None,
        };
        Some(ended.to_owned())
    }

    fn state(&self) -> AttemptState {
        match (self.state, &self.failure, self.lost) {
            (Some(state), ..) => state,
            (None, _, Some(_)) => AttemptState::Lost,
            (None, Some(_), None) => AttemptState::Failed,
            (None, None, None) => AttemptState::Succeeded,
        }
    }

    /// The fact that ends the attempt.
    pub(super) fn fact(&self, id: Identity) -> Fact {
        if let Some(loss) = self.lost {
            let cause = match loss {
                MockLoss::Lease => LostCause::Lease,
                MockLoss::Refused => LostCause::Refused,
                MockLoss::Undelivered => LostCause::Undelivered,
                MockLoss::ProcessDead => LostCause::ProcessDead,
            };
            return Fact::Lost { id, cause };
        }
        let state = self.state();
        let outputs = match (&self.outputs, state) {
            (Some(outputs), _) => Some(outputs.clone()),
            (None, AttemptState::Succeeded) => Some(BTreeMap::new()),
            (None, _) => None,
        };
        let outputs = outputs.map(|map| Value::inline(&Json::Object(map.into_iter().collect())));
        let failure = self.failure.as_ref().map(|failure| Failure {
            code: Arc::from(failure.code.as_str()),
            message: Arc::from(failure.message.as_str()),
            details: failure.details.as_ref().map(Value::inline),
            retryable: failure.retryable,
            retry_after_millis: failure.retry_after.map(|after| after.0),
        });
        let result = EndedAttempt {
            state,
            outputs,
            failure,
        };
        Fact::Reported(Report {
            id,
            result,
            last_log: None,
        })
    }
}
