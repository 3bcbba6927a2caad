//! A case with a sample in it: steps get its `with`, ends and logs what it says of them.

use super::Pick;
use crate::config::{actions, drain_ms};
use crate::interfere::{inline, merge};
use crate::v1;
use crate::v1::step::Step as What;
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;

/// How long the driver's end is waited for besides its drain, unless the case says so, in milliseconds.
const EXIT: u64 = 5_000;
/// How long a case may take besides the drain, unless it says so, in milliseconds.
const LIMIT: u64 = 20_000;

/// What became of samples so far in a script.
struct Placing<'a> {
    config: &'a v1::Config,
    pick: Option<&'a Pick>,
    /// Whether a task may be lost on its way, and go on in a later attempt.
    faulty: bool,
    /// Samples by their steps' ids, by runs.
    runs: BTreeMap<String, BTreeMap<String, v1::Sample>>,
    /// Secrets for the setting.
    secrets: BTreeMap<String, String>,
}

/// The case as it is performed for a finished driver, under a fault or under none.
pub(crate) fn placed(
    case: &v1::Case,
    config: &v1::Config,
    pick: Option<&Pick>,
    faulty: bool,
) -> v1::Case {
    let mut placing = Placing {
        config,
        pick,
        faulty,
        runs: BTreeMap::new(),
        secrets: BTreeMap::new(),
    };
    let mut case = case.clone();
    let script = std::mem::take(&mut case.script);
    for step in script {
        let v1::Step { why, step } = step;
        let more = step.map_or_else(Vec::new, |step| placing.step(step));
        case.script.extend(more.into_iter().map(|step| v1::Step {
            why: why.clone(),
            step: Some(step),
        }));
    }
    let setting = case.setting.get_or_insert_default();
    setting.secrets.extend(placing.secrets);
    let ends = |step: &v1::Step| matches!(step.step, Some(What::Exited(_)));
    if case.script.iter().any(ends) {
        let limit = match case.time_limit_ms {
            0 => LIMIT,
            limit => limit,
        };
        case.time_limit_ms = limit.saturating_add(drain_ms(config));
    }
    case
}

impl Placing<'_> {
    fn step(&mut self, step: What) -> Vec<What> {
        match step {
            What::Run(run) => vec![What::Run(self.run(run))],
            What::Ended(ended) if ended.as_said => vec![What::Ended(self.ended(ended))],
            What::Logged(logged) => self.logged(logged),
            What::Published(published) if published.as_said => self.published(&published),
            What::Exited(mut exited) => {
                let within = match exited.within_ms {
                    0 => EXIT,
                    within => within,
                };
                exited.within_ms = within.saturating_add(drain_ms(self.config));
                vec![What::Exited(exited)]
            }
            other => vec![other],
        }
    }

    fn run(&mut self, mut run: v1::Run) -> v1::Run {
        let mut samples = BTreeMap::new();
        for work in &mut run.tasks {
            let Some(pick) = self.pick else { continue };
            let Some(sample) = pick.sample(self.config, &work.sample).cloned() else {
                continue;
            };
            let mut secrets = Map::new();
            let mut named: Vec<_> = sample.secrets.iter().collect();
            named.sort();
            for (name, value) in named {
                let of_case = format!("sample-{}", self.secrets.len());
                secrets.insert(name.clone(), of_case.clone().into());
                self.secrets.insert(of_case, value.clone());
            }
            let mut step = json!({ "action": pick.action, "with": inline(&sample.with) });
            if !secrets.is_empty() {
                step["secrets"] = Json::Object(secrets);
            }
            merge(&mut step, &inline(&work.step));
            work.step = step.to_string().into();
            work.sample.clear();
            let id = or(&work.id, "a");
            match work.copies {
                0 | 1 => drop(samples.insert(id.to_owned(), sample)),
                copies => {
                    samples
                        .extend((0..copies).map(|copy| (format!("{id}-{copy}"), sample.clone())));
                }
            }
        }
        self.runs.insert(or(&run.name, "run").to_owned(), samples);
        run
    }

    fn ended(&self, mut ended: v1::Ended) -> v1::Ended {
        let none = BTreeMap::new();
        let samples = self.runs.get(or(&ended.run, "run")).unwrap_or(&none);
        let mut steps = Map::new();
        let mut state = "succeeded";
        for (id, sample) in samples {
            let of = state_of(self.config, self.pick, sample);
            if of != "succeeded" {
                state = "failed";
            }
            steps.insert(id.clone(), end(sample, &of, self.faulty));
        }
        let mut steps = Json::Object(steps);
        merge(&mut steps, &inline(&ended.steps));
        ended.state = state.to_owned();
        ended.steps = steps.to_string().into();
        ended.as_said = false;
        ended
    }

    /// The looks at what is published: one for each action.
    fn published(&self, published: &v1::Published) -> Vec<What> {
        let looks = actions(self.config).into_keys().map(|name| {
            let mut like =
                json!({ "versions": { "$has": { "actions": { "$has": { "name": name } } } } });
            merge(&mut like, &inline(&published.like));
            What::Published(v1::Published {
                like: like.to_string().into(),
                ..published.clone()
            })
        });
        looks.collect()
    }

    /// The looks at a log: one, or one for each secret that is not to be in it.
    fn logged(&self, mut logged: v1::Logged) -> Vec<What> {
        let samples = self.runs.get(or(&logged.run, "run"));
        let sample = samples.and_then(|samples| samples.get(or(&logged.task, "a")));
        if std::mem::take(&mut logged.as_said)
            && let Some(sample) = sample
        {
            logged.lines = sample.lines.clone();
        }
        if logged.without != "${secret}" {
            return vec![What::Logged(logged)];
        }
        let values = sample
            .into_iter()
            .flat_map(|sample| sample.secrets.values());
        let without = values.map(|value| {
            What::Logged(v1::Logged {
                without: value.clone(),
                ..logged.clone()
            })
        });
        without.collect()
    }
}

/// The state that an attempt of a sample ends in.
fn state_of(config: &v1::Config, pick: Option<&Pick>, sample: &v1::Sample) -> String {
    if !sample.state.is_empty() {
        return sample.state.clone();
    }
    let samples = pick.and_then(|pick| config.actions.get(&pick.action));
    match samples.is_some_and(|samples| samples.bad.contains(sample)) {
        true => "failed".to_owned(),
        false => "succeeded".to_owned(),
    }
}

/// What the view of its step has at least.
fn end(sample: &v1::Sample, state: &str, faulty: bool) -> Json {
    let mut attempt = json!({ "state": state });
    if !sample.code.is_empty() {
        attempt["failure"] = json!({ "code": sample.code });
    }
    if !sample.outputs.is_empty() {
        attempt["outputs"] = inline(&sample.outputs);
    }
    let attempts = match faulty {
        true => json!({ "$has": attempt }),
        false => json!([attempt]),
    };
    json!({ "state": state, "attempts": attempts })
}

fn or<'a>(name: &'a str, default: &'a str) -> &'a str {
    match name.is_empty() {
        true => default,
        false => name,
    }
}
