use super::rule::Rule;
use conveyor_engine::run::StepState;
use std::collections::BTreeSet;

/// A pipeline as the model needs it: what its expressions come to instead of the expressions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pipeline {
    /// `spec.steps`. Other steps are named by their place in here; parents come first.
    pub steps: Vec<Step>,
    /// `spec.finally`; their places follow those of `steps`.
    pub finally: Vec<Step>,
    /// `spec.fail_fast`.
    pub fail_fast: FailFast,
    /// `spec.timeout`, in milliseconds.
    pub timeout: Option<u64>,
    /// `spec.finally_timeout`, in milliseconds. Default 10 minutes.
    pub finally_timeout: u64,
}

/// `spec.fail_fast` (SEMANTICS 16).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailFast {
    /// `false`.
    Off,
    /// `true`, the default.
    On,
    /// `cancel`.
    Cancel,
}

/// A step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// `id`.
    pub id: String,
    /// What it does.
    pub kind: Kind,
    /// `needs`; `None` where the step does not have the field.
    pub needs: Option<Needs>,
    /// What `when` comes to.
    pub when: When,
    /// `matrix` or `foreach`.
    pub fan: Option<Fan>,
    /// Whether `with` (of a transform: its outputs) is an error.
    pub with_error: bool,
    /// `retry`; of drivers alone.
    pub retry: Option<Retry>,
    /// `timeouts`; of a wait only `total` counts, of a transform none.
    pub timeouts: Timeouts,
    /// `grace`, in milliseconds. Default 30 s.
    pub grace: u64,
    /// What `allow_failure` comes to.
    pub allow: Allow,
}

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A driver does the work.
    Driver,
    /// Done as soon as it begins.
    Transform,
    /// So many milliseconds pass.
    Wait(u64),
}

/// `needs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Needs {
    /// The list form.
    All(Vec<usize>),
    /// The rule form.
    Rule {
        /// The rule.
        rule: Rule,
        /// `handles`.
        handles: Vec<usize>,
    },
}

/// What `when` comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    /// There is none.
    Absent,
    /// The same for the whole step.
    Is(bool),
    /// An error, before expansion.
    Error,
    /// It mentions the item; `None` is an error for that instance.
    Each(Vec<Option<bool>>),
}

/// What `allow_failure` comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allow {
    /// `false`.
    Never,
    /// `true`.
    Always,
    /// Only where the instance ended in this state.
    State(StepState),
    /// It depends on the item.
    Each(Vec<bool>),
}

/// `matrix` or `foreach`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fan {
    /// Where the instances come from.
    pub source: FanSource,
    /// `max_parallel`.
    pub max_parallel: Option<usize>,
    /// `fail_fast`. Default true.
    pub fail_fast: bool,
}

/// Where instances come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FanSource {
    /// A matrix of one axis with so many values, at least one.
    Matrix(usize),
    /// A foreach over a list of so many items, known only when it is expanded.
    Foreach(usize),
    /// A foreach whose `items` are an error.
    Error,
}

/// `retry`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// How many tries in all.
    pub attempts: u32,
    /// `on: failure`.
    pub on_failure: bool,
    /// `on: error`.
    pub on_error: bool,
    /// `on: timeout`.
    pub on_timeout: bool,
    /// `if: attempt.number < N`.
    pub below: Option<u32>,
    /// `backoff.kind`.
    pub kind: BackoffKind,
    /// `backoff.initial`, in milliseconds.
    pub initial: u64,
    /// `backoff.factor`, in thousandths.
    pub factor_milli: u64,
    /// `backoff.max`, in milliseconds.
    pub max: u64,
    /// `lost`.
    pub lost: u32,
    /// `on_lost: fail`.
    pub on_lost_fail: bool,
}

/// `retry.backoff.kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackoffKind {
    /// The same each time.
    Fixed,
    /// `initial × n`.
    Linear,
    /// `initial × factor^(n-1)`.
    Exponential,
}

/// `timeouts`, in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From each queueing to its claim.
    pub queue: Option<u64>,
    /// From claim to result. Default 1 h.
    pub attempt: u64,
    /// From the first queueing to the end.
    pub total: Option<u64>,
}

impl Default for Pipeline {
    fn default() -> Pipeline {
        Pipeline {
            steps: Vec::new(),
            finally: Vec::new(),
            fail_fast: FailFast::On,
            timeout: None,
            finally_timeout: 600_000,
        }
    }
}

impl Default for Retry {
    /// The defaults of SEMANTICS 10 and 11; also what holds for a step without `retry`.
    fn default() -> Retry {
        Retry {
            attempts: 1,
            on_failure: true,
            on_error: true,
            on_timeout: true,
            below: None,
            kind: BackoffKind::Exponential,
            initial: 1000,
            factor_milli: 2000,
            max: 60_000,
            lost: 3,
            on_lost_fail: false,
        }
    }
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            queue: None,
            attempt: 3_600_000,
            total: None,
        }
    }
}

impl Step {
    /// A driver step with nothing but its id.
    #[must_use]
    pub fn new(id: &str) -> Step {
        Step {
            id: id.to_owned(),
            kind: Kind::Driver,
            needs: None,
            when: When::Absent,
            fan: None,
            with_error: false,
            retry: None,
            timeouts: Timeouts::default(),
            grace: 30_000,
            allow: Allow::Never,
        }
    }
}

impl Pipeline {
    /// The step at a place: `steps`, then `finally`.
    #[must_use]
    pub fn step(&self, at: usize) -> &Step {
        if at < self.steps.len() {
            &self.steps[at]
        } else {
            &self.finally[at - self.steps.len()]
        }
    }

    /// How many steps there are, `finally` included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.steps.len() + self.finally.len()
    }

    /// Whether there is no step at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the place is one of `finally`.
    #[must_use]
    pub fn is_finally(&self, at: usize) -> bool {
        at >= self.steps.len()
    }

    /// A step's needs, by SEMANTICS 1 and 4.
    #[must_use]
    pub fn needs(&self, at: usize) -> Needs {
        if self.is_finally(at) {
            return Needs::All(Vec::new());
        }
        let listed = self.steps.iter().all(|step| step.needs.is_none());
        match &self.steps[at].needs {
            Some(needs) => needs.clone(),
            None if listed && at > 0 => Needs::All(vec![at - 1]),
            None => Needs::All(Vec::new()),
        }
    }

    /// A step's parents.
    #[must_use]
    pub fn parents(&self, at: usize) -> Vec<usize> {
        match self.needs(at) {
            Needs::All(parents) => parents,
            Needs::Rule { rule, .. } => {
                let mut named = BTreeSet::new();
                rule.parents(&mut named);
                named.into_iter().collect()
            }
        }
    }

    /// The steps that say they handle this one.
    #[must_use]
    pub fn handlers(&self, of: usize) -> Vec<usize> {
        (0..self.steps.len())
            .filter(|at| {
                matches!(self.needs(*at), Needs::Rule { handles, .. } if handles.contains(&of))
            })
            .collect()
    }
}
