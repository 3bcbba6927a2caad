//! Random pipelines under random inputs: what must hold of the model whatever happens.

use conveyor_engine::run::{RunState, StepState};
use conveyor_sim::model::{
    Input, Model, Pipeline, SplitMix64, View, random_input, random_pipeline,
};

/// Enough for every state and every kind of end to be met many times; under a second.
const SEEDS: u64 = 3000;
/// A run that has not ended after so many inputs is stuck: the longest of them need about 200.
const MOST_INPUTS: usize = 3000;

fn check(before: &View, after: &View, pipeline: &Pipeline) {
    for (step, (old, new)) in before.steps.iter().zip(&after.steps).enumerate() {
        if old.ended.is_some() {
            assert_eq!(old, new, "what has ended does not change");
        }
        let Some(instances) = &new.instances else {
            continue;
        };
        for (at, instance) in instances.iter().enumerate() {
            if let Some(was) = old.instances.as_ref().map(|old| &old[at]) {
                assert!(instance.attempts >= was.attempts && instance.attempts <= was.attempts + 1);
                if was.state.is_terminal() {
                    assert_eq!(was, instance);
                }
            }
        }
        let most = pipeline
            .step(step)
            .fan
            .as_ref()
            .and_then(|fan| fan.max_parallel);
        let busy = |state: StepState| !state.is_terminal() && state != StepState::Pending;
        let open = instances.iter().filter(|i| busy(i.state)).count();
        assert!(most.is_none_or(|most| open <= most), "max_parallel");
    }
}

#[test]
fn every_run_ends_and_nothing_that_ended_changes() {
    let mut met = std::collections::BTreeMap::<&str, u32>::new();
    for seed in 0..SEEDS {
        let mut random = SplitMix64::new(seed);
        let pipeline = random_pipeline(&mut random);
        let mut model = Model::new(pipeline.clone());
        let mut log: Vec<Input> = Vec::new();
        while let Some(input) = random_input(&mut random, &model) {
            let before = model.view();
            log.push(input.clone());
            if let Err(refused) = model.apply(&input) {
                panic!("seed {seed}: {input:?}: {refused}");
            }
            check(&before, &model.view(), &pipeline);
            assert!(
                log.len() < MOST_INPUTS,
                "seed {seed} is stuck: {:#?}",
                model.view()
            );
        }
        let view = model.view();
        assert!(view.run.is_terminal() && view.due.is_none() && view.offered.is_empty());
        assert!(
            view.steps.iter().all(|step| step.ended.is_some()),
            "seed {seed}"
        );
        *met.entry(view.run.as_str()).or_default() += 1;
        for state in view.steps.iter().filter_map(|step| step.ended) {
            *met.entry(state.as_str()).or_default() += 1;
        }
    }
    for run in [RunState::Succeeded, RunState::Failed, RunState::Cancelled] {
        assert!(
            met.get(run.as_str()).is_some_and(|count| *count > 20),
            "{run}: {met:?}"
        );
    }
    for state in StepState::ALL.iter().filter(|state| state.is_terminal()) {
        assert!(
            met.get(state.as_str()).is_some_and(|count| *count > 20),
            "{state}: {met:?}"
        );
    }
}

#[test]
fn a_seed_gives_the_same_pipeline_and_document() {
    for seed in 0..50 {
        let print = || random_pipeline(&mut SplitMix64::new(seed)).document();
        assert_eq!(print().text, print().text);
        assert_eq!(print().inputs, print().inputs);
    }
}
