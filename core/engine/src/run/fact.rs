use super::{AttemptState, Identity, Items, StepState, TimerKey};
use crate::time::Time;
use crate::value::{Hash, Value};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Something that happened to a run. It carries all that the machine may know of the outside.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// The run was accepted. Always the first, and only once.
    Started(Box<Started>),
    /// A session took a queued instance.
    Claimed(Claim),
    /// The driver reported how an attempt ended.
    Reported(Report),
    /// An attempt will never report.
    Lost {
        /// Which.
        id: Identity,
        /// Why.
        cause: LostCause,
    },
    /// The driver handed over what a next attempt of the instance should know.
    Checkpointed {
        /// Which attempt.
        id: Identity,
        /// Opaque bytes.
        data: Arc<[u8]>,
    },
    /// The driver goes on elsewhere: the attempt needs no session any more (PROTOCOL P27a).
    Detached(Detached),
    /// A timer's instant came.
    TimerDue(TimerKey),
    /// Somebody, or something, stops the run.
    Stopped(Stop),
    /// Nothing is to be queued or claimed until `Resumed`.
    Paused {
        /// Who asked.
        actor: Arc<str>,
        /// Why, in their words; may be empty.
        reason: Arc<str>,
    },
    /// Ends a pause.
    Resumed {
        /// Who asked.
        actor: Arc<str>,
        /// Why, in their words; may be empty.
        reason: Arc<str>,
    },
    /// Work that a bounded turn left over goes on (PROTOCOL P7).
    Turn,
}

/// An attempt that goes on without its session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detached {
    /// Which.
    pub id: Identity,
    /// Until when it is waited for; its `timeouts.attempt` bounds it.
    pub until: Time,
    /// Who may end it: first whoever claimed it, then whoever it named.
    pub principals: Vec<Arc<str>>,
}

/// What a run starts with.
#[derive(Clone, Debug, PartialEq)]
pub struct Started {
    /// The run's id: a UUIDv7 in its usual text.
    pub run: Arc<str>,
    /// The digest of the document that it pins.
    pub document: Hash,
    /// The number of the semantics that it pins.
    pub semantics: u32,
    /// Inputs with defaults filled in, already validated.
    pub inputs: Value,
    /// Labels of the run.
    pub labels: BTreeMap<String, String>,
    /// Annotations that it was given, over those of its document.
    pub annotations: BTreeMap<String, String>,
    /// Who started it.
    pub actor: Arc<str>,
    /// The run that it was forked from.
    pub forked_from: Option<Arc<str>>,
    /// Steps whose results it inherits from there.
    pub inherited: Vec<Inherited>,
    /// The version of a Resource that it is for: an object.
    pub resource: Option<Value>,
    /// What triggered it: an object.
    pub event: Option<Value>,
}

/// A step result copied from another run (SEMANTICS 27).
#[derive(Clone, Debug, PartialEq)]
pub struct Inherited {
    /// The step's id.
    pub step: Arc<str>,
    /// The step's state.
    pub state: StepState,
    /// Whether its failure was allowed.
    pub allowed: bool,
    /// Its instances in order; `None` for a step that was never expanded.
    pub instances: Option<Vec<InheritedInstance>>,
    /// The parameters of its instances, where it is a fan-out.
    pub items: Option<Arc<Items>>,
    /// Why it ended as it did.
    pub reason: Option<Arc<str>>,
}

/// An instance of an inherited step.
#[derive(Clone, Debug, PartialEq)]
pub struct InheritedInstance {
    /// Its state.
    pub state: StepState,
    /// Whether its failure was allowed.
    pub allowed: bool,
    /// Its outputs.
    pub outputs: Option<Value>,
    /// Its failure.
    pub failure: Option<Failure>,
    /// How many attempts it took.
    pub attempts: u32,
    /// What its `with`, or the length of its wait, came out as: a further fork compares it.
    pub with: Option<Value>,
    /// Why it ended as it did.
    pub reason: Option<Arc<str>>,
}

impl Inherited {
    /// The values that it names by hash.
    pub fn hashes(&self) -> impl Iterator<Item = Hash> {
        let instances = self.instances.iter().flatten();
        let values = instances.flat_map(|instance| {
            let details = instance
                .failure
                .as_ref()
                .and_then(|failure| failure.details.as_ref());
            [instance.outputs.as_ref(), instance.with.as_ref(), details]
        });
        let pages = self.items.iter().flat_map(|items| items.pages());
        values
            .flatten()
            .chain(pages.map(|(_, list)| list))
            .filter_map(Value::hash)
    }
}

/// A claim (PROTOCOL P20).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// Which attempt.
    pub id: Identity,
    /// Made by the node; part of the token.
    pub nonce: u64,
    /// The session that took it.
    pub session: Arc<str>,
    /// The driver's version, for people.
    pub version: Arc<str>,
    /// The digest of the driver's actions and schemas, which the attempt is judged by.
    pub schema: Option<Hash>,
}

/// A driver's report of a finished attempt, as the node judged it.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Which attempt.
    pub id: Identity,
    /// How it ended.
    pub result: EndedAttempt,
    /// The last log offset of the attempt, if it logged.
    pub last_log: Option<u64>,
}

/// The end of an attempt as its driver tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct EndedAttempt {
    /// `Succeeded`, `Failed`, `Errored` or `Cancelled`.
    pub state: AttemptState,
    /// An object; present when it succeeded, may be present otherwise.
    pub outputs: Option<Value>,
    /// What went wrong.
    pub failure: Option<Failure>,
}

/// Why something did not succeed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// A short word for programs, such as `exit_status`.
    pub code: Arc<str>,
    /// A sentence for people.
    pub message: Arc<str>,
    /// More, as JSON.
    pub details: Option<Value>,
    /// `Some(false)` forbids another try.
    pub retryable: Option<bool>,
    /// The driver's wish for the delay before the next try, in milliseconds; at most an hour counts.
    pub retry_after_millis: Option<u64>,
}

/// Why an attempt was lost (SEMANTICS 11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LostCause {
    /// Its lease ran out. Charged.
    Lease,
    /// The session refused it. Not charged.
    Refused,
    /// It is known not to have reached the driver. Not charged.
    Undelivered,
    /// The process that had it is known dead. Not charged, but counted.
    ProcessDead,
}

/// A request to stop (SEMANTICS 18).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// How hard.
    pub kind: StopKind,
    /// Who asked.
    pub actor: Arc<str>,
    /// Why, in their words; may be empty.
    pub reason: Arc<str>,
}

/// How hard a stop is, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum StopKind {
    /// What has started finishes; then `finally`.
    Drain,
    /// What has started is cancelled; then `finally`.
    Cancel,
    /// Everything ends now, without `finally`.
    Terminate,
}

impl Fact {
    /// How many bytes of the values that it names are stored beside the record.
    pub(crate) fn stored(&self) -> usize {
        let of = |value: &Value| value.hash().map_or(0, |_| value.len() as usize);
        match self {
            Fact::Reported(report) => {
                let failure = report.result.failure.as_ref();
                let details = failure.and_then(|failure| failure.details.as_ref());
                let values = [report.result.outputs.as_ref(), details];
                values.into_iter().flatten().map(of).sum()
            }
            // What a long start names is stored before it.
            _ => 0,
        }
    }

    /// How many bytes of a record it takes, about.
    pub(crate) fn recorded(&self) -> usize {
        // Times, numbers and tags, and the few short words that the others have.
        64 + match self {
            Fact::Started(started) => {
                let labels = started.labels.iter().chain(&started.annotations);
                let labels = labels.map(|(key, value)| key.len() + value.len());
                let inherited = started.inherited.iter().map(Inherited::recorded);
                started.inputs.recorded() + labels.chain(inherited).sum::<usize>()
            }
            Fact::Claimed(claim) => claim.session.len() + claim.version.len(),
            Fact::Reported(report) => {
                let outputs = report.result.outputs.as_ref().map_or(0, Value::recorded);
                outputs + report.result.failure.as_ref().map_or(0, Failure::recorded)
            }
            Fact::Checkpointed { data, .. } => data.len(),
            Fact::Detached(detached) => {
                let names = detached.principals.iter().map(|name| name.len() + 2);
                names.sum()
            }
            Fact::Stopped(Stop { actor, reason, .. })
            | Fact::Paused { actor, reason }
            | Fact::Resumed { actor, reason } => actor.len() + reason.len(),
            Fact::Lost { .. } | Fact::TimerDue(_) | Fact::Turn => 0,
        }
    }
}

impl Failure {
    fn recorded(&self) -> usize {
        let details = self.details.as_ref().map_or(0, Value::recorded);
        16 + self.code.len() + self.message.len() + details
    }
}

impl Inherited {
    pub(crate) fn recorded(&self) -> usize {
        let of = |instance: &InheritedInstance| {
            let values = [&instance.outputs, &instance.with];
            let values = values.into_iter().flatten().map(Value::recorded);
            let reason = instance.reason.as_ref().map_or(0, |reason| reason.len());
            let failure = instance.failure.as_ref().map_or(0, Failure::recorded);
            16 + values.sum::<usize>() + failure + reason
        };
        let instances = self.instances.iter().flatten().map(of);
        let items = self.items.as_ref().map_or(0, |items| items.recorded());
        let reason = self.reason.as_ref().map_or(0, |reason| reason.len());
        16 + self.step.len() + reason + items + instances.sum::<usize>()
    }
}
