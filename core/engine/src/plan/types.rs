use super::schema::Schema;
use crate::expr::{Condition, Rule, Template};
use crate::time::Duration;
use crate::value::{Hash, Json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A step's place in [`Plan::steps`].
pub type StepIndex = u32;

/// A pipeline revision, ready to run.
#[derive(Debug)]
pub struct Plan {
    /// SHA-256 of the canonical document.
    pub digest: Hash,
    /// `metadata.name`.
    pub name: Arc<str>,
    /// `metadata.namespace`; `default` where the document names none.
    pub namespace: Arc<str>,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// `metadata.annotations`.
    pub annotations: BTreeMap<String, String>,
    /// `spec.description`.
    pub description: Option<Arc<str>>,
    /// `spec.resource`: the ResourceDefinition that the pipeline acts on.
    pub resource: Option<Arc<str>>,
    /// `spec.triggers`: what starts runs of the pipeline where it is stored.
    pub triggers: Vec<Trigger>,
    /// Where the order of the steps comes from.
    pub ordering: Ordering,
    /// `spec.steps` in their order, then `spec.finally` in theirs.
    pub steps: Vec<Step>,
    /// How many of `steps` come from `spec.steps`.
    pub main: StepIndex,
    /// Step ids to indexes.
    pub index: BTreeMap<Arc<str>, StepIndex>,
    /// `spec.steps` in an order in which parents come before children; ties in document order.
    pub topological: Vec<StepIndex>,
    /// `spec.inputs`: a JSON Schema.
    pub inputs: Option<Arc<Json>>,
    /// The same, compiled.
    pub input_schema: Option<Schema>,
    /// `spec.vars`. May name `inputs` and `run`; evaluated once, when the run starts.
    pub vars: Template,
    /// `spec.secrets`, by name: where each value is found. No value is ever part of a plan.
    pub secrets: BTreeMap<Arc<str>, SecretSource>,
    /// `spec.outputs`: an object of templates; `None` where the document has none.
    pub outputs: Option<Template>,
    /// `spec.fail_fast`.
    pub fail_fast: FailFast,
    /// `spec.timeout`.
    pub timeout: Option<Duration>,
    /// `spec.finally_timeout`.
    pub finally_timeout: Duration,
}

/// A change of a Resource that starts a run.
#[derive(Debug)]
pub struct Trigger {
    /// `id`, unique in the pipeline.
    pub id: Arc<str>,
    /// The Resource's ResourceDefinition; `spec.resource` where the trigger names none.
    pub definition: Arc<str>,
    /// What has to happen to it. Default `created` and `updated`; never empty.
    pub events: Arc<[ResourceEvent]>,
    /// `when`: sees `new`, `old` and `event`.
    pub when: Option<Condition>,
    /// The run's inputs, which see the same.
    pub inputs: Option<Template>,
}

/// What happens to a Resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ResourceEvent {
    /// It was made.
    Created,
    /// It was changed.
    Updated,
    /// It was removed.
    Deleted,
}

impl ResourceEvent {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ResourceEvent::Created => "created",
            ResourceEvent::Updated => "updated",
            ResourceEvent::Deleted => "deleted",
        }
    }
}

/// Where a secret's value is found: a reference, never the value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretSource {
    /// Who knows it.
    pub provider: SecretProvider,
    /// What it is called there: a variable's name, or a file's.
    pub key: Arc<str>,
}

/// Who knows the value of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecretProvider {
    /// `env:NAME`: a variable of the engine's own environment.
    Env,
    /// `file:NAME`: a file in the engine's directory of secrets.
    File,
}

impl std::fmt::Display for SecretSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let provider = match self.provider {
            SecretProvider::Env => "env",
            SecretProvider::File => "file",
        };
        write!(f, "{provider}:{}", self.key)
    }
}

/// Where the order of the steps comes from (SEMANTICS 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ordering {
    /// No step has `needs`: each needs the one listed before it.
    Listed,
    /// At least one step has `needs`: a step without is a root.
    Graph,
}

/// `spec.fail_fast` (SEMANTICS 16).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailFast {
    /// `false`: independent branches go on.
    Off,
    /// `true`: nothing new starts; what has started goes on.
    NothingNew,
    /// `cancel`: what has started is cancelled too.
    Cancel,
}

/// A step of a plan.
#[derive(Debug)]
pub struct Step {
    /// `id`, unique in the plan.
    pub id: Arc<str>,
    /// `name`, for people.
    pub name: Option<Arc<str>>,
    /// Whether it stands under `finally`.
    pub finally: bool,
    /// What it does.
    pub kind: Kind,
    /// What it waits for.
    pub needs: Needs,
    /// The steps that it waits for, without doubles, in the order named.
    pub parents: Vec<StepIndex>,
    /// The steps that wait for it, in index order.
    pub children: Vec<StepIndex>,
    /// The `handles` of other steps turned round: the steps that handle this one when it fails.
    pub handlers: Vec<StepIndex>,
    /// `when`.
    pub when: Option<When>,
    /// `matrix` or `foreach`.
    pub fan: Option<Fan>,
    /// `retry`, merged with `spec.defaults`; `None` where neither has it.
    pub retry: Option<Retry>,
    /// `timeouts`, merged with `spec.defaults`.
    pub timeouts: Timeouts,
    /// `grace`: from the cancel to the end of the lease. Default 30 s.
    pub grace: Duration,
    /// `allow_failure`.
    pub allow_failure: AllowFailure,
    /// Declared `outputs`.
    pub outputs: BTreeMap<Arc<str>, OutputDeclaration>,
    /// JSON pointer of the step in the document, such as `/spec/steps/3`.
    pub pointer: Arc<str>,
    /// SHA-256 of the resolved definition: the step's canonical JSON, defaults merged (SEMANTICS 27).
    pub definition: Hash,
}

/// What a step does.
#[derive(Debug)]
pub enum Kind {
    /// A driver does the work.
    Driver {
        /// The driver's name.
        driver: Arc<str>,
        /// The version requirement after `@`.
        version: Option<Arc<str>>,
        /// `action`; without it, the driver's only or default one.
        action: Option<Arc<str>>,
        /// `with`; an empty object where the document has none.
        with: Template,
        /// `secrets`: the names that the driver sees, each with a name of [`Plan::secrets`].
        secrets: BTreeMap<Arc<str>, Arc<str>>,
    },
    /// Outputs by expressions, no driver.
    Transform {
        /// An object of templates.
        outputs: Template,
    },
    /// Time passes.
    Wait(Wait),
}

/// What a `wait` waits for.
#[derive(Debug)]
pub enum Wait {
    /// `duration`: evaluates to a text such as `10m`.
    Duration(Template),
    /// `until`: evaluates to an RFC 3339 instant.
    Until(Template),
}

/// `needs`, in its two forms (SEMANTICS 2, 3).
#[derive(Debug)]
pub enum Needs {
    /// All parents are to be ok. No parents: a root.
    All,
    /// A rule over the parents' states.
    Rule {
        /// The rule.
        rule: Rule,
        /// The parents whose failure this step handles.
        handles: Vec<StepIndex>,
    },
}

/// `when`, and how often it is asked (SEMANTICS 5).
#[derive(Debug)]
pub struct When {
    /// The condition.
    pub condition: Condition,
    /// Whether it names `matrix` or the `foreach` name, so that each instance has its own answer.
    pub per_instance: bool,
}

/// How a step becomes several instances.
#[derive(Debug)]
pub struct Fan {
    /// Where the instances come from.
    pub source: FanSource,
    /// `max_parallel`.
    pub max_parallel: Option<u32>,
    /// `fail_fast`. Default true.
    pub fail_fast: bool,
}

/// Where instances come from.
#[derive(Debug)]
pub enum FanSource {
    /// `matrix` (SEMANTICS 6).
    Matrix {
        /// The axes in written order; each a template that evaluates to a list.
        axes: Vec<(Arc<str>, Template)>,
        /// `include`: a template that evaluates to a list of objects.
        include: Template,
        /// `exclude`: a template that evaluates to a list of objects.
        exclude: Template,
    },
    /// `foreach`.
    Foreach {
        /// Evaluates to a list.
        items: Template,
        /// The name that expressions use. Default `item`.
        name: Arc<str>,
        /// The most items that are accepted.
        max_items: u32,
    },
}

/// `retry` (SEMANTICS 10, 11).
#[derive(Clone, Debug)]
pub struct Retry {
    /// How many tries in all; 1 is none again.
    pub attempts: u32,
    /// `on: failure`.
    pub on_failure: bool,
    /// `on: error`.
    pub on_error: bool,
    /// `on: timeout`.
    pub on_timeout: bool,
    /// `if`, over `attempt.{number,state,failure,duration}`.
    pub condition: Option<Arc<Condition>>,
    /// How long to wait before the next try.
    pub backoff: Backoff,
    /// Further attempts after lost ones.
    pub lost: u32,
    /// Whether a lost attempt is tried again at all.
    pub on_lost: OnLost,
}

impl Retry {
    /// What holds where the document says nothing: one try, three more after losses.
    #[must_use]
    pub fn none() -> Retry {
        Retry {
            attempts: 1,
            on_failure: true,
            on_error: true,
            on_timeout: true,
            condition: None,
            backoff: Backoff::default(),
            lost: 3,
            on_lost: OnLost::Retry,
        }
    }
}

/// `retry.on_lost`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLost {
    /// Try again, within `retry.lost`.
    Retry,
    /// The step ends `errored`.
    Fail,
}

/// `retry.backoff`.
#[derive(Clone, Debug, PartialEq)]
pub struct Backoff {
    /// How it grows.
    pub kind: BackoffKind,
    /// The first delay. Default 1 s.
    pub initial: Duration,
    /// The factor of `exponential`, in thousandths. Default 2,000.
    pub factor_milli: u64,
    /// The longest delay. Default 1 m.
    pub max: Duration,
    /// The part that jitter may take away, in millionths. Default 0.
    pub jitter_micro: u32,
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff {
            kind: BackoffKind::Exponential,
            initial: Duration::secs(1),
            factor_milli: 2000,
            max: Duration::secs(60),
            jitter_micro: 0,
        }
    }
}

/// `retry.backoff.kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackoffKind {
    /// The same delay each time.
    Fixed,
    /// `initial × n`.
    Linear,
    /// `initial × factor^(n-1)`.
    Exponential,
}

/// `grace` of a step that does not say it (SEMANTICS 18).
pub const GRACE: Duration = Duration::secs(30);

/// `timeouts` (SEMANTICS 12).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From each queueing to its claim.
    pub queue: Option<Duration>,
    /// From claim to result. Default 1 h.
    pub attempt: Duration,
    /// From the first queueing to the end, backoff included.
    pub total: Option<Duration>,
    /// The longest silence of a driver. Default 30 s.
    pub heartbeat: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            queue: None,
            attempt: Duration::secs(3600),
            total: None,
            heartbeat: Duration::secs(30),
        }
    }
}

/// `allow_failure` (SEMANTICS 15).
#[derive(Debug)]
pub enum AllowFailure {
    /// `false`, the default.
    Never,
    /// `true`.
    Always,
    /// CEL over `step.{state,failure}`, `matrix` and the item.
    If(Condition),
}

/// One declared output of a step.
#[derive(Clone, Debug)]
pub struct OutputDeclaration {
    /// What the value must satisfy.
    pub schema: Option<Arc<Json>>,
    /// What readers get when the step did not give it.
    pub default: Option<Arc<Json>>,
    /// `schema`, compiled.
    pub checked: Option<Schema>,
}
