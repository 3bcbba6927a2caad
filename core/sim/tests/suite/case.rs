//! One helper per verb, so that a test reads like the table of SEMANTICS.

use conveyor_engine::run::{LostCause, RunState, StepState, StopKind};
use conveyor_sim::model::{
    AttemptResult, Fan, FanSource, Input, Kind, Model, Needs, Pipeline, Predicate, Retry, Rule,
    Step,
};

/// A run of the model whose steps are called by their ids.
pub(crate) struct Case {
    pub(crate) model: Model,
}

pub(crate) fn step(id: &str) -> Step {
    Step::new(id)
}

pub(crate) fn needs(id: &str, parents: &[usize]) -> Step {
    Step {
        needs: Some(Needs::All(parents.to_vec())),
        ..Step::new(id)
    }
}

pub(crate) fn rule(id: &str, rule: Rule, handles: &[usize]) -> Step {
    Step {
        needs: Some(Needs::Rule {
            rule,
            handles: handles.to_vec(),
        }),
        ..Step::new(id)
    }
}

pub(crate) fn is(at: usize, state: StepState) -> Rule {
    Rule::Is(at, Predicate::In(state))
}

pub(crate) fn wait(id: &str, millis: u64) -> Step {
    Step {
        kind: Kind::Wait(millis),
        ..Step::new(id)
    }
}

pub(crate) fn retry(attempts: u32) -> Option<Retry> {
    Some(Retry {
        attempts,
        ..Retry::default()
    })
}

pub(crate) fn matrix(count: usize) -> Option<Fan> {
    Some(Fan {
        source: FanSource::Matrix(count),
        max_parallel: None,
        fail_fast: true,
    })
}

pub(crate) fn foreach(count: usize, max_parallel: Option<usize>) -> Option<Fan> {
    Some(Fan {
        source: FanSource::Foreach(count),
        max_parallel,
        fail_fast: true,
    })
}

pub(crate) fn run(steps: Vec<Step>) -> Case {
    start(Pipeline {
        steps,
        ..Pipeline::default()
    })
}

pub(crate) fn start(pipeline: Pipeline) -> Case {
    Case {
        model: Model::new(pipeline),
    }
}

impl Case {
    fn at(&self, id: &str) -> usize {
        let pipeline = self.model.pipeline();
        (0..pipeline.len())
            .find(|at| pipeline.step(*at).id == id)
            .expect("a step of that name")
    }

    fn apply(&mut self, input: &Input) {
        self.model
            .apply(input)
            .unwrap_or_else(|refused| panic!("{input:?}: {refused}"));
    }

    pub(crate) fn claim_instance(&mut self, id: &str, instance: usize) {
        let step = self.at(id);
        self.apply(&Input::Claim { step, instance });
    }

    pub(crate) fn claim(&mut self, id: &str) {
        self.claim_instance(id, 0);
    }

    pub(crate) fn report_instance(&mut self, id: &str, instance: usize, result: AttemptResult) {
        let step = self.at(id);
        self.apply(&Input::Report {
            step,
            instance,
            result,
        });
    }

    pub(crate) fn succeed(&mut self, id: &str) {
        self.report_instance(id, 0, AttemptResult::Succeeded);
    }

    pub(crate) fn fail_instance(&mut self, id: &str, instance: usize) {
        let failed = AttemptResult::Failed {
            retryable: None,
            retry_after: None,
        };
        self.report_instance(id, instance, failed);
    }

    pub(crate) fn fail(&mut self, id: &str) {
        self.fail_instance(id, 0);
    }

    pub(crate) fn error(&mut self, id: &str) {
        self.report_instance(id, 0, AttemptResult::Errored);
    }

    pub(crate) fn lose(&mut self, id: &str) {
        let step = self.at(id);
        self.apply(&Input::Lost {
            step,
            instance: 0,
            cause: LostCause::Lease,
        });
    }

    pub(crate) fn pass(&mut self, millis: u64) {
        self.apply(&Input::Advance(millis));
    }

    pub(crate) fn stop(&mut self, kind: StopKind) {
        self.apply(&Input::Stop(kind));
    }

    pub(crate) fn pause(&mut self) {
        self.apply(&Input::Pause);
    }

    pub(crate) fn claim_and_succeed(&mut self, id: &str) {
        self.claim(id);
        self.succeed(id);
    }

    pub(crate) fn claim_and_fail(&mut self, id: &str) {
        self.claim(id);
        self.fail(id);
    }

    pub(crate) fn ended(&self, id: &str) -> Option<StepState> {
        self.model.view().steps[self.at(id)].ended
    }

    pub(crate) fn reason(&self, id: &str) -> String {
        self.model.view().steps[self.at(id)].reason.clone()
    }

    pub(crate) fn instances(&self, id: &str) -> Vec<StepState> {
        let view = self.model.view();
        view.steps[self.at(id)]
            .instances
            .iter()
            .flatten()
            .map(|i| i.state)
            .collect()
    }

    pub(crate) fn count(&self, id: &str, state: StepState) -> usize {
        self.instances(id)
            .into_iter()
            .filter(|s| *s == state)
            .count()
    }

    pub(crate) fn offers(&self, id: &str) -> bool {
        let step = self.at(id);
        self.model
            .view()
            .offered
            .iter()
            .any(|offered| offered.0 == step)
    }

    pub(crate) fn is_told_to_stop(&self, id: &str) -> bool {
        let step = self.at(id);
        self.model.view().cancels.iter().any(|told| told.0 == step)
    }

    pub(crate) fn state(&self) -> RunState {
        self.model.view().run
    }

    pub(crate) fn warnings(&self) -> u32 {
        self.model.view().warnings
    }
}
