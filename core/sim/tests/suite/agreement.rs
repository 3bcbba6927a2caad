//! The engine against the model: the same random case through both, compared after every input.

use crate::engine::Engine;
use conveyor_sim::model::{
    AttemptResult, Input, Model, Pipeline, SplitMix64, StepView, View, random_input,
    random_pipeline,
};
use std::fmt::Write;

/// How many cases a plain test run compares. `CONVEYOR_MODEL_SEEDS=from..to` asks for others.
const SEEDS: u64 = 2000;

/// So many kinds of difference are enough for one test run.
const MOST_KINDS: usize = 8;

/// Whether a reason has the words that SEMANTICS gives it. Several may be true of one instant: any
/// parent that is not ok may be named, any cause, and 2 as well as 16.
fn says(engine: &str, model: &str, view: &View) -> bool {
    let said = engine.replace('`', "");
    let omits = |reason: &str| {
        let state = reason.rsplit(' ').next().unwrap_or_default();
        let known = view
            .steps
            .iter()
            .filter_map(|s| s.ended)
            .any(|s| s.as_str() == state);
        known || reason.starts_with("run failed at ")
    };
    said.contains(model) || (omits(model) && omits(&said))
}

/// Where the two differ, if they do: what is compared of a view, in words.
fn difference(model: &View, engine: &View) -> Option<String> {
    let mut out = String::new();
    let mut differ = |what: String, model: &dyn std::fmt::Debug, engine: &dyn std::fmt::Debug| {
        let _ = writeln!(out, "  {what}: model {model:?}, engine {engine:?}");
    };
    if model.run != engine.run {
        differ("run".to_owned(), &model.run, &engine.run);
    }
    if model.offered != engine.offered {
        differ("offered".to_owned(), &model.offered, &engine.offered);
    }
    if model.cancels != engine.cancels {
        differ("cancels".to_owned(), &model.cancels, &engine.cancels);
    }
    // While an attempt has to stop, the engine may also wake up for what can change nothing any more.
    let early = !model.cancels.is_empty() && engine.due.is_some() && engine.due < model.due;
    if model.due != engine.due && !early {
        differ("due".to_owned(), &model.due, &engine.due);
    }
    if model.warnings != engine.warnings {
        differ("warnings".to_owned(), &model.warnings, &engine.warnings);
    }
    for (at, (m, e)) in model.steps.iter().zip(&engine.steps).enumerate() {
        if (m.ended, m.allowed) != (e.ended, e.allowed) {
            differ(
                format!("step {at}"),
                &(m.ended, m.allowed),
                &(e.ended, e.allowed),
            );
        }
        if !says(&e.reason, &m.reason, engine) {
            differ(format!("reason of step {at}"), &m.reason, &e.reason);
        }
        let none = Vec::new();
        let (mi, ei) = (
            m.instances.as_ref().unwrap_or(&none),
            e.instances.as_ref().unwrap_or(&none),
        );
        // Whether a fan-out was expanded before it was omitted or cancelled whole in the same
        // instant is nobody's business.
        let whole = |step: &StepView| {
            step.instances
                .iter()
                .flatten()
                .all(|i| !i.started && Some(i.state) == step.ended)
        };
        if mi.len() != ei.len() && whole(m) && whole(e) {
            continue;
        }
        if mi.len() != ei.len() {
            differ(format!("instances of step {at}"), &mi.len(), &ei.len());
        }
        for (i, (m, e)) in mi.iter().zip(ei).enumerate() {
            let of =
                |v: &conveyor_sim::model::InstanceView| (v.state, v.allowed, v.started, v.attempts);
            if of(m) != of(e) {
                differ(
                    format!("{at}/{i} (state, allowed, started, attempts)"),
                    &of(m),
                    &of(e),
                );
            }
            if !says(&e.reason, &m.reason, engine) {
                differ(format!("reason of {at}/{i}"), &m.reason, &e.reason);
            }
        }
    }
    (!out.is_empty()).then_some(out)
}

/// Runs a schedule through both; what differs first, and after which input.
fn compare(pipeline: &Pipeline, inputs: &[Input]) -> Result<(), (usize, String)> {
    let mut model = Model::new(pipeline.clone());
    let mut engine = Engine::new(pipeline);
    if let Some(difference) = difference(&model.view(), &engine.view()) {
        return Err((0, difference));
    }
    for (at, input) in inputs.iter().enumerate() {
        if model.view().run.is_terminal() {
            break;
        }
        if untold(&model, input) || model.apply(input).is_err() {
            continue; // Shrinking took away what it was about.
        }
        engine.apply(input);
        if let Some(difference) = difference(&model.view(), &engine.view()) {
            return Err((at + 1, difference));
        }
    }
    Ok(())
}

/// Whether a driver says that it was cancelled without having been told to.
fn untold(model: &Model, input: &Input) -> bool {
    match input {
        Input::Report {
            step,
            instance,
            result: AttemptResult::Cancelled,
        } => !model
            .view()
            .cancels
            .iter()
            .any(|told| (told.0, told.1) == (*step, *instance)),
        _ => false,
    }
}

/// The inputs that a seed makes for a pipeline, as the model goes.
fn schedule(random: &mut SplitMix64, pipeline: &Pipeline) -> Vec<Input> {
    let mut model = Model::new(pipeline.clone());
    let mut inputs = Vec::new();
    while let Some(input) = random_input(random, &model) {
        model.apply(&input).expect("the schedule follows the model");
        inputs.push(input);
    }
    inputs
}

fn fails(pipeline: &Pipeline, inputs: &[Input]) -> Option<(usize, String)> {
    let run = || compare(pipeline, inputs);
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) {
        Ok(result) => result.err(),
        Err(panic) => {
            let said = panic.downcast_ref::<String>().cloned();
            let said = said.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            Some((
                inputs.len(),
                format!("  panic: {}", said.unwrap_or_default()),
            ))
        }
    }
}

/// Takes away inputs, then what steps carry, while the two still differ.
fn shrink(mut pipeline: Pipeline, mut inputs: Vec<Input>) -> (Pipeline, Vec<Input>, String) {
    let mut last = String::new();
    loop {
        let before = (pipeline.clone(), inputs.clone());
        if let Some((used, difference)) = fails(&pipeline, &inputs) {
            inputs.truncate(used);
            last = difference;
        }
        let mut at = inputs.len();
        while at > 0 {
            at -= 1;
            let mut fewer = inputs.clone();
            fewer.remove(at);
            if fails(&pipeline, &fewer).is_some() {
                inputs = fewer;
            }
        }
        for simpler in crate::simpler::simpler(&pipeline) {
            if fails(&simpler, &inputs).is_some() {
                pipeline = simpler;
                break;
            }
        }
        if before == (pipeline.clone(), inputs.clone()) {
            return (pipeline, inputs, last);
        }
    }
}

/// The seeds to go through.
fn seeds() -> std::ops::Range<u64> {
    let asked = std::env::var("CONVEYOR_MODEL_SEEDS").ok();
    match asked.as_deref().and_then(|range| range.split_once("..")) {
        Some((from, to)) => from.parse().expect("a seed")..to.parse().expect("a seed"),
        None => 0..SEEDS,
    }
}

/// Each kind of difference once, by what differs, with its first seed and its smallest case.
#[test]
fn the_engine_agrees_with_the_model() {
    let mut found = std::collections::BTreeMap::<String, String>::new();
    for seed in seeds() {
        let mut random = SplitMix64::new(seed);
        let pipeline = random_pipeline(&mut random);
        let inputs = schedule(&mut random, &pipeline);
        if fails(&pipeline, &inputs).is_none() {
            continue;
        }
        let (pipeline, inputs, difference) = shrink(pipeline, inputs);
        let kind = difference.chars().filter(|c| !c.is_ascii_digit()).collect();
        found.entry(kind).or_insert_with(|| {
            format!(
                "seed {seed}: the engine differs from the model after {inputs:?} on\n{}\n{difference}",
                pipeline.document().text
            )
        });
        if found.len() == MOST_KINDS {
            break;
        }
    }
    let found: Vec<String> = found.into_values().collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}
