use super::pipeline::{Kind, Pipeline, Retry};
use super::rule::Ended;
use conveyor_engine::run::{LostCause, RunState, StepState, StopKind};
use std::fmt;

/// A run of a [`Pipeline`], as SEMANTICS has it.
#[derive(Clone, Debug)]
pub struct Model {
    pub(super) pipeline: Pipeline,
    /// Milliseconds since the run started.
    pub(super) now: u64,
    pub(super) steps: Vec<StepRun>,
    /// The strongest stop so far.
    pub(super) stop: Option<StopKind>,
    /// Whether the run timeout has passed.
    pub(super) timed_out: bool,
    /// What the first of stop and run timeout says the run ends as (SEMANTICS 22).
    pub(super) named: Option<RunState>,
    pub(super) paused: bool,
    /// The first cause that SEMANTICS 16 acted on.
    pub(super) failed_at: Option<usize>,
    /// When `finally` began.
    pub(super) finally_at: Option<u64>,
    /// Whether `finally_timeout` has passed.
    pub(super) finally_over: bool,
    pub(super) ended: Option<RunState>,
}

/// What became of a step.
#[derive(Clone, Debug)]
pub(super) struct StepRun {
    /// Needs met and `when` true: instances may begin.
    pub(super) open: bool,
    /// `None` for a fan-out that was not expanded; a plain step always has one.
    pub(super) instances: Option<Vec<Instance>>,
    pub(super) end: Option<StepEnd>,
}

/// How a step ended.
#[derive(Clone, Debug)]
pub(super) struct StepEnd {
    pub(super) as_: Ended,
    pub(super) reason: String,
}

/// An instance of a step.
#[derive(Clone, Debug)]
pub(super) struct Instance {
    pub(super) state: StepState,
    pub(super) allowed: bool,
    /// Claimed once, or its wait began.
    pub(super) started: bool,
    /// Claims so far: the number of the last attempt.
    pub(super) attempts: u32,
    /// Attempts that ended and were not lost (SEMANTICS 10).
    pub(super) tries: u32,
    /// Charged losses (SEMANTICS 11).
    pub(super) lost: u32,
    /// Ends by a dead process (SEMANTICS 11).
    pub(super) dead: u32,
    /// What the last attempt's end makes of the instance if nothing follows (SEMANTICS 13).
    pub(super) last: StepState,
    pub(super) reason: String,
    /// Whether it was queued once, so that `total` counts.
    pub(super) counting: bool,
    /// How much of `queue` is used since the last queueing.
    pub(super) queue_used: u64,
    /// How much of `total` is used.
    pub(super) total_used: u64,
    pub(super) claimed_at: u64,
    /// Why the running attempt has to stop, and since when.
    pub(super) ending: Option<(Ending, u64)>,
    /// When the backoff or the wait is over.
    pub(super) due: u64,
}

/// Why an attempt has to stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// `timeouts.attempt`: SEMANTICS 10 applies afterwards.
    AttemptTimeout,
    /// `timeouts.total`: the step is `timed_out`.
    Total,
    /// SEMANTICS 14, 16, 18 or a run timeout: `cancelled`.
    Cancelled(String),
    /// `finally_timeout`: `timed_out`.
    Finally,
}

/// What happens to a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// So many milliseconds pass; timers that become due are served in order.
    Advance(u64),
    /// A driver takes an offered instance.
    Claim {
        /// The step's place.
        step: usize,
        /// The instance.
        instance: usize,
    },
    /// A driver says how the running attempt ended.
    Report {
        /// The step's place.
        step: usize,
        /// The instance.
        instance: usize,
        /// How.
        result: Result,
    },
    /// The running attempt will never report.
    Lost {
        /// The step's place.
        step: usize,
        /// The instance.
        instance: usize,
        /// Why.
        cause: LostCause,
    },
    /// Somebody stops the run.
    Stop(StopKind),
    /// Somebody pauses it.
    Pause,
    /// Somebody ends a pause.
    Resume,
}

/// What a driver reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Result {
    /// It gave its outputs.
    Succeeded,
    /// The driver said no.
    Failed {
        /// `retryable`.
        retryable: Option<bool>,
        /// `retry_after`, in milliseconds.
        retry_after: Option<u64>,
    },
    /// Its output broke its schema, and the like.
    Errored,
    /// The driver stopped it.
    Cancelled,
}

/// An input that cannot happen in this state, such as a claim of what is not offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(pub String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Instance {
    pub(super) fn new() -> Instance {
        Instance {
            state: StepState::Pending,
            allowed: false,
            started: false,
            attempts: 0,
            tries: 0,
            lost: 0,
            dead: 0,
            last: StepState::Pending,
            reason: String::new(),
            counting: false,
            queue_used: 0,
            total_used: 0,
            claimed_at: 0,
            ending: None,
            due: 0,
        }
    }

    pub(super) fn ended(&self) -> Option<Ended> {
        self.state.is_terminal().then_some(Ended {
            state: self.state,
            allowed: self.allowed,
        })
    }
}

impl Model {
    /// A run that has just started.
    #[must_use]
    pub fn new(pipeline: Pipeline) -> Model {
        let steps = (0..pipeline.len())
            .map(|at| StepRun {
                open: false,
                instances: pipeline
                    .step(at)
                    .fan
                    .is_none()
                    .then(|| vec![Instance::new()]),
                end: None,
            })
            .collect();
        let mut model = Model {
            pipeline,
            now: 0,
            steps,
            stop: None,
            timed_out: false,
            named: None,
            paused: false,
            failed_at: None,
            finally_at: None,
            finally_over: false,
            ended: None,
        };
        model.settle();
        model
    }

    /// The pipeline that it runs.
    #[must_use]
    pub fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// Milliseconds since the run started.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.now
    }

    /// One input, and all that follows from it.
    ///
    /// # Errors
    ///
    /// Where the input cannot happen now; the model is as it was.
    pub fn apply(&mut self, input: &Input) -> std::result::Result<(), Refused> {
        match input {
            Input::Advance(millis) => self.advance(self.now + millis),
            Input::Claim { step, instance } => {
                if !self
                    .view()
                    .offered
                    .iter()
                    .any(|o| (o.0, o.1) == (*step, *instance))
                {
                    return Err(Refused(format!("{step}/{instance} is not offered")));
                }
                self.claim(*step, *instance);
            }
            Input::Report {
                step,
                instance,
                result,
            } => {
                self.running(*step, *instance)?;
                self.report(*step, *instance, *result);
            }
            Input::Lost {
                step,
                instance,
                cause,
            } => {
                self.running(*step, *instance)?;
                self.lost(*step, *instance, *cause);
            }
            Input::Stop(kind) => self.request_stop(*kind),
            Input::Pause => self.pause(),
            Input::Resume => self.paused = false,
        }
        self.settle();
        Ok(())
    }

    fn running(&self, step: usize, instance: usize) -> std::result::Result<(), Refused> {
        let found = self
            .steps
            .get(step)
            .and_then(|s| s.instances.as_ref()?.get(instance));
        match found {
            Some(found) if found.state == StepState::Running => Ok(()),
            _ => Err(Refused(format!("{step}/{instance} does not run"))),
        }
    }

    /// Applies rules, one change at a time, until none changes anything.
    pub(super) fn settle(&mut self) {
        while self.ended.is_none()
            && (self.close_steps()
                || self.omit()
                || self.fail_fast()
                || self.begin()
                || self.begin_finally()
                || self.end_run())
        {}
    }

    // What the rules read.

    pub(super) fn instance(&self, step: usize, at: usize) -> &Instance {
        &self.steps[step].instances.as_ref().expect("expanded")[at]
    }

    pub(super) fn instance_mut(&mut self, step: usize, at: usize) -> &mut Instance {
        &mut self.steps[step].instances.as_mut().expect("expanded")[at]
    }

    /// How many instances a step has by now.
    pub(super) fn count(&self, step: usize) -> usize {
        self.steps[step].instances.as_ref().map_or(0, Vec::len)
    }

    /// Every instance there is, as (step, instance).
    pub(super) fn all(&self) -> Vec<(usize, usize)> {
        (0..self.steps.len())
            .flat_map(|s| (0..self.count(s)).map(move |i| (s, i)))
            .collect()
    }

    pub(super) fn end(&self, step: usize) -> Option<Ended> {
        self.steps[step].end.as_ref().map(|end| end.as_)
    }

    /// Whether a stop, or the run timeout, was accepted before `finally` began.
    pub(super) fn stopped(&self) -> bool {
        self.stop.is_some() || self.timed_out
    }

    pub(super) fn retry_of(&self, step: usize) -> Retry {
        self.pipeline.step(step).retry.clone().unwrap_or_default()
    }

    pub(super) fn is_wait(&self, step: usize) -> bool {
        matches!(self.pipeline.step(step).kind, Kind::Wait(_))
    }
}
