use super::pipeline::{
    Allow, BackoffKind, FailFast, Fan, FanSource, Kind, Needs, Pipeline, Retry, Step, Timeouts,
    When,
};
use super::rule::{Predicate, Rule};
use super::state::{Input, Model, Result};
use conveyor_engine::run::{LostCause, RunState, StepState, StopKind};

/// Steele, Lea and Flood's SplitMix64: small, seeded, the same everywhere.
#[derive(Clone, Debug)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// A generator whose numbers follow from the seed alone.
    #[must_use]
    pub fn new(seed: u64) -> SplitMix64 {
        SplitMix64(seed)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `below`, which is not 0.
    pub fn below(&mut self, below: usize) -> usize {
        usize::try_from(self.next_u64() % (below as u64)).unwrap_or(0)
    }

    /// True in so many of a hundred cases.
    pub fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// A duration around a size, odd enough that two timers rarely fall on one instant: SEMANTICS
    /// does not say which of two comes first.
    fn millis(&mut self, around: u64) -> u64 {
        around + self.next_u64() % (around * 4)
    }
}

/// A pipeline of one to seven steps and up to two under `finally`.
#[must_use]
pub fn random_pipeline(random: &mut SplitMix64) -> Pipeline {
    let count = 1 + random.below(7);
    let listed = random.percent(15);
    let mut pipeline = Pipeline {
        fail_fast: random.pick(&[FailFast::On, FailFast::On, FailFast::Off, FailFast::Cancel]),
        timeout: random.percent(25).then(|| random.millis(20_000)),
        finally_timeout: if random.percent(30) {
            random.millis(3_000)
        } else {
            600_000
        },
        ..Pipeline::default()
    };
    for at in 0..count {
        let mut step = random_step(random, &format!("s{at}"));
        if !listed {
            step.needs = Some(random_needs(random, &pipeline.steps));
        }
        pipeline.steps.push(step);
    }
    for at in 0..random.below(3) {
        let step = random_step(random, &format!("f{at}"));
        pipeline.finally.push(step);
    }
    if pipeline.fail_fast != FailFast::Off {
        calm(random, &mut pipeline);
    }
    pipeline
}

/// SEMANTICS does not order what becomes ready at one instant, so under `fail_fast` a step that is
/// an error as soon as it begins must not race with one that is done as soon as it begins.
fn calm(random: &mut SplitMix64, pipeline: &mut Pipeline) {
    let keep_errors = random.percent(50);
    let mut had_one = false;
    for step in &mut pipeline.steps {
        if !keep_errors || had_one {
            step.with_error = false;
            if step.when == When::Error
                || matches!(&step.when, When::Each(of) if of.contains(&None))
            {
                step.when = When::Absent;
            }
            if let Some(fan) = step
                .fan
                .as_mut()
                .filter(|fan| fan.source == FanSource::Error)
            {
                fan.source = FanSource::Foreach(2);
            }
            if !keep_errors {
                continue;
            }
        }
        had_one |= step.with_error
            || step.when == When::Error
            || matches!(
                &step.fan,
                Some(Fan {
                    source: FanSource::Error,
                    ..
                })
            );
        step.kind = Kind::Driver;
        if step.when != When::Error {
            step.when = When::Absent;
        }
        if let Some(fan) = step
            .fan
            .as_mut()
            .filter(|fan| fan.source == FanSource::Foreach(0))
        {
            fan.source = FanSource::Foreach(1);
            step.allow = Allow::Never;
        }
        if matches!(
            &step.fan,
            Some(Fan {
                source: FanSource::Error,
                ..
            }) | None
        ) && matches!(step.allow, Allow::Each(_))
        {
            step.allow = Allow::Never;
        }
    }
}

fn random_step(random: &mut SplitMix64, id: &str) -> Step {
    let mut step = Step::new(id);
    step.kind = match random.below(10) {
        0 => Kind::Transform,
        1 | 2 => Kind::Wait(random.millis(2_000)),
        _ => Kind::Driver,
    };
    step.fan = random.percent(35).then(|| {
        let source = match random.below(20) {
            0 => FanSource::Error,
            n if n < 9 => FanSource::Foreach(random.below(5)),
            _ => FanSource::Matrix(1 + random.below(4)),
        };
        let max_parallel = random.percent(40).then(|| 1 + random.below(3));
        Fan {
            source,
            max_parallel,
            fail_fast: random.percent(60),
        }
    });
    let items = match &step.fan {
        Some(Fan {
            source: FanSource::Matrix(n) | FanSource::Foreach(n),
            ..
        }) => Some(*n),
        _ => None,
    };
    step.when = match (random.below(12), items) {
        (0, _) => When::Is(false),
        (1, _) => When::Is(true),
        (2, _) if random.percent(40) => When::Error,
        (3 | 4, Some(n)) => When::Each(
            (0..n)
                .map(|_| (!random.percent(8)).then(|| random.percent(70)))
                .collect(),
        ),
        _ => When::Absent,
    };
    step.allow = match (random.below(10), items) {
        (0, _) => Allow::Always,
        (1, _) => Allow::State(random.pick(&[
            StepState::Failed,
            StepState::Errored,
            StepState::TimedOut,
            StepState::Cancelled,
        ])),
        (2 | 3, Some(n)) => Allow::Each((0..n).map(|_| random.percent(50)).collect()),
        _ => Allow::Never,
    };
    step.with_error = random.percent(4);
    match step.kind {
        Kind::Driver => {
            step.grace = random.millis(1_000);
            step.retry = random.percent(50).then(|| random_retry(random));
            step.timeouts = Timeouts {
                queue: random.percent(20).then(|| random.millis(3_000)),
                attempt: if random.percent(40) {
                    random.millis(2_000)
                } else {
                    3_600_000
                },
                total: random.percent(25).then(|| random.millis(6_000)),
            };
        }
        Kind::Wait(_) => step.timeouts.total = random.percent(25).then(|| random.millis(2_000)),
        Kind::Transform => {}
    }
    step
}

fn random_retry(random: &mut SplitMix64) -> Retry {
    let on = random.pick(&[7, 7, 7, 1, 2, 4, 3, 5, 6]);
    Retry {
        attempts: 1 + u32::try_from(random.below(4)).unwrap_or(0),
        on_failure: on & 1 != 0,
        on_error: on & 2 != 0,
        on_timeout: on & 4 != 0,
        below: random
            .percent(20)
            .then(|| 2 + u32::try_from(random.below(3)).unwrap_or(0)),
        kind: random.pick(&[
            BackoffKind::Fixed,
            BackoffKind::Linear,
            BackoffKind::Exponential,
        ]),
        initial: random.millis(500),
        factor_milli: random.pick(&[1000, 1500, 2000, 3000]),
        max: random.millis(2_000),
        lost: u32::try_from(random.below(4)).unwrap_or(0),
        on_lost_fail: random.percent(15),
    }
}

fn random_needs(random: &mut SplitMix64, before: &[Step]) -> Needs {
    if before.is_empty() || random.percent(20) {
        return Needs::All(Vec::new());
    }
    let mut parents: Vec<usize> = (0..1 + random.below(3))
        .map(|_| random.below(before.len()))
        .collect();
    parents.sort_unstable();
    parents.dedup();
    if random.percent(60) {
        return Needs::All(parents);
    }
    let mut rule = None;
    for at in &parents {
        let next = random_predicate(random, *at, before[*at].fan.is_some());
        rule = Some(match rule {
            None => next,
            Some(left) if random.percent(50) => Rule::And(Box::new(left), Box::new(next)),
            Some(left) => Rule::Or(Box::new(left), Box::new(next)),
        });
    }
    let handles = parents
        .iter()
        .copied()
        .filter(|_| random.percent(40))
        .collect();
    match rule {
        Some(rule) => Needs::Rule { rule, handles },
        None => Needs::All(parents),
    }
}

fn random_predicate(random: &mut SplitMix64, at: usize, fan: bool) -> Rule {
    let predicate = random.pick(&[
        Predicate::In(StepState::Succeeded),
        Predicate::In(StepState::Failed),
        Predicate::In(StepState::Failed),
        Predicate::In(StepState::Errored),
        Predicate::In(StepState::TimedOut),
        Predicate::In(StepState::Cancelled),
        Predicate::In(StepState::Skipped),
        Predicate::In(StepState::Omitted),
        Predicate::Allowed,
        Predicate::Ok,
        Predicate::Ended,
    ]);
    let rule = match random.below(3) {
        // Whether a fan-out that succeeded with allowed failures is itself `allowed` is not said.
        _ if fan && predicate == Predicate::Allowed => Rule::Any(at, predicate),
        0 if fan => Rule::Any(at, predicate),
        1 if fan => Rule::Every(at, predicate),
        _ => Rule::Is(at, predicate),
    };
    if random.percent(25) {
        Rule::Not(Box::new(rule))
    } else {
        rule
    }
}

/// Something that may happen next. `None` once the run has ended.
#[must_use]
pub fn random_input(random: &mut SplitMix64, model: &Model) -> Option<Input> {
    let view = model.view();
    if view.run.is_terminal() {
        return None;
    }
    // Requests from outside are rare beside work.
    match random.below(120) {
        0 => return Some(Input::Stop(StopKind::Cancel)),
        1 => return Some(Input::Stop(StopKind::Drain)),
        2 if random.percent(50) => return Some(Input::Stop(StopKind::Terminate)),
        3..=5 => return Some(Input::Pause),
        6..=9 => return Some(Input::Resume),
        _ => {}
    }
    let running: Vec<(usize, usize)> = view
        .steps
        .iter()
        .enumerate()
        .flat_map(|(step, of)| {
            let instances = of.instances.iter().flatten().enumerate();
            instances
                .filter(|(_, i)| i.state == StepState::Running)
                .map(move |(at, _)| (step, at))
                .collect::<Vec<_>>()
        })
        .collect();
    let offered: Vec<(usize, usize, u32)> = view.offered.iter().copied().collect();
    if !offered.is_empty() && random.percent(55) {
        let (step, instance, _) = random.pick(&offered);
        return Some(Input::Claim { step, instance });
    }
    if !running.is_empty() && random.percent(65) {
        let (step, instance) = random.pick(&running);
        let told = view
            .cancels
            .iter()
            .any(|told| (told.0, told.1) == (step, instance));
        return Some(random_end(random, step, instance, told));
    }
    // Time: to the next timer, or some way towards it.
    let most = view
        .due
        .map_or(60_000, |due| due.saturating_sub(model.now()).max(1));
    let paused = view.run == RunState::Paused;
    if paused && view.due.is_none() {
        return Some(Input::Resume);
    }
    let part = if random.percent(70) {
        most
    } else {
        1 + random.next_u64() % most
    };
    Some(Input::Advance(part.min(7_200_000)))
}

fn random_end(random: &mut SplitMix64, step: usize, instance: usize, told: bool) -> Input {
    let result = match random.below(20) {
        0..=8 => Result::Succeeded,
        9..=12 => Result::Failed {
            retryable: random.pick(&[None, None, None, Some(true), Some(false)]),
            retry_after: random.percent(20).then(|| random.millis(1_500)),
        },
        13..=14 => Result::Errored,
        // Only what was told to stop says that it was cancelled.
        15 if told => Result::Cancelled,
        15 => Result::Succeeded,
        other => {
            let cause = match other {
                16 => LostCause::Refused,
                17 => LostCause::Undelivered,
                18 => LostCause::ProcessDead,
                _ => LostCause::Lease,
            };
            return Input::Lost {
                step,
                instance,
                cause,
            };
        }
    };
    Input::Report {
        step,
        instance,
        result,
    }
}
