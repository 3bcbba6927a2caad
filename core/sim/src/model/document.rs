use super::pipeline::{
    Allow, BackoffKind, FailFast, Fan, FanSource, Kind, Needs, Pipeline, Retry, Step, When,
};
use serde_json::{Map, Value, json};

/// A document, as JSON text, and the inputs that make its expressions come to what the model says.
#[derive(Clone, Debug)]
pub struct Document {
    /// `kind: Pipeline`.
    pub text: String,
    /// An object, to be used as the run's inputs.
    pub inputs: Value,
}

/// An expression that is an error only once it is evaluated: nothing before a run knows the input.
const ERROR: &str = "1 / inputs.zero";

impl Pipeline {
    /// The same pipeline as a document of Conveyor. Its driver steps name the driver `d`.
    #[must_use]
    pub fn document(&self) -> Document {
        let mut inputs = Map::new();
        inputs.insert("zero".to_owned(), json!(0));
        let mut schema = Map::new();
        schema.insert("zero".to_owned(), json!({"type": "integer"}));
        for at in 0..self.len() {
            let step = self.step(at);
            if let Some(Fan {
                source: FanSource::Foreach(count),
                ..
            }) = &step.fan
            {
                inputs.insert(items(step), json!((0..*count).collect::<Vec<_>>()));
                schema.insert(items(step), json!({"type": "array"}));
            }
        }
        let mut spec = Map::new();
        spec.insert(
            "inputs".to_owned(),
            json!({"type": "object", "properties": schema}),
        );
        let fail_fast = match self.fail_fast {
            FailFast::Off => json!(false),
            FailFast::On => json!(true),
            FailFast::Cancel => json!("cancel"),
        };
        spec.insert("fail_fast".to_owned(), fail_fast);
        if let Some(timeout) = self.timeout {
            spec.insert("timeout".to_owned(), millis(timeout));
        }
        spec.insert("finally_timeout".to_owned(), millis(self.finally_timeout));
        let print = |steps: &[Step]| steps.iter().map(|s| self.print(s)).collect::<Vec<_>>();
        spec.insert("steps".to_owned(), json!(print(&self.steps)));
        if !self.finally.is_empty() {
            spec.insert("finally".to_owned(), json!(print(&self.finally)));
        }
        let document = json!({
            "apiVersion": "conveyor/v1",
            "kind": "Pipeline",
            "metadata": {"name": "case"},
            "spec": spec,
        });
        Document {
            text: format!("{document:#}"),
            inputs: Value::Object(inputs),
        }
    }

    fn print(&self, step: &Step) -> Value {
        let mut out = Map::new();
        let mut put = |key: &str, value: Value| out.insert(key.to_owned(), value);
        put("id", json!(step.id));
        let id = |at: usize| self.step(at).id.clone();
        match &step.needs {
            None => {}
            Some(Needs::All(parents)) => {
                let names: Vec<String> = parents.iter().map(|at| id(*at)).collect();
                put("needs", json!(names));
            }
            Some(Needs::Rule { rule, handles }) => {
                let mut needs = json!({"rule": rule.cel(&id)});
                if !handles.is_empty() {
                    let names: Vec<String> = handles.iter().map(|at| id(*at)).collect();
                    needs["handles"] = json!(names);
                }
                put("needs", needs);
            }
        }
        let value = if step.with_error {
            json!(format!("${{{{ {ERROR} }}}}"))
        } else {
            json!(1)
        };
        match step.kind {
            Kind::Driver => {
                put("driver", json!("d"));
                put("with", json!({"x": value}));
                put("grace", millis(step.grace));
            }
            Kind::Transform => {
                put("transform", json!({"x": value}));
            }
            Kind::Wait(duration) => {
                let duration = if step.with_error {
                    json!(format!("${{{{ string({ERROR}) }}}}"))
                } else {
                    millis(duration)
                };
                put("wait", json!({"duration": duration}));
            }
        }
        let item = match &step.fan {
            Some(Fan {
                source: FanSource::Matrix(_),
                ..
            }) => "matrix.i",
            _ => "item",
        };
        match &step.when {
            When::Absent => {}
            When::Is(when) => {
                put("when", json!(when.to_string()));
            }
            When::Error => {
                put("when", json!(format!("{ERROR} == 1")));
            }
            When::Each(answers) => {
                // An item that the map does not have is an error of that instance alone.
                let known = answers
                    .iter()
                    .enumerate()
                    .filter_map(|(i, a)| Some((i, (*a)?)));
                put("when", json!(lookup(known, item)));
            }
        }
        match &step.allow {
            Allow::Never => {}
            Allow::Always => {
                put("allow_failure", json!(true));
            }
            Allow::State(state) => {
                put("allow_failure", json!(format!("step.state == '{state}'")));
            }
            Allow::Each(answers) => {
                let known = answers.iter().copied().enumerate();
                put("allow_failure", json!(lookup(known, item)));
            }
        }
        if let Some(fan) = &step.fan {
            let (key, value) = print_fan(step, fan);
            put(key, value);
        }
        if step.kind == Kind::Driver {
            if let Some(retry) = &step.retry {
                put("retry", print_retry(retry));
            }
            let mut timeouts = json!({"attempt": millis(step.timeouts.attempt)});
            if let Some(queue) = step.timeouts.queue {
                timeouts["queue"] = millis(queue);
            }
            if let Some(total) = step.timeouts.total {
                timeouts["total"] = millis(total);
            }
            put("timeouts", timeouts);
        } else if let (Kind::Wait(_), Some(total)) = (step.kind, step.timeouts.total) {
            put("timeouts", json!({"total": millis(total)}));
        }
        Value::Object(out)
    }
}

fn print_fan(step: &Step, fan: &Fan) -> (&'static str, Value) {
    let (key, mut value) = match fan.source {
        FanSource::Matrix(count) => (
            "matrix",
            json!({"axes": {"i": (0..count).collect::<Vec<_>>()}}),
        ),
        FanSource::Foreach(_) => (
            "foreach",
            json!({"items": format!("${{{{ inputs.{} }}}}", items(step))}),
        ),
        FanSource::Error => ("foreach", json!({"items": "${{ [1 / inputs.zero] }}"})),
    };
    if let Some(most) = fan.max_parallel {
        value["max_parallel"] = json!(most);
    }
    value["fail_fast"] = json!(fan.fail_fast);
    (key, value)
}

fn print_retry(retry: &Retry) -> Value {
    let on: Vec<&str> = [
        (retry.on_failure, "failure"),
        (retry.on_error, "error"),
        (retry.on_timeout, "timeout"),
    ]
    .into_iter()
    .filter_map(|(on, word)| on.then_some(word))
    .collect();
    let kind = match retry.kind {
        BackoffKind::Fixed => "fixed",
        BackoffKind::Linear => "linear",
        BackoffKind::Exponential => "exponential",
    };
    let mut backoff =
        json!({"kind": kind, "initial": millis(retry.initial), "max": millis(retry.max)});
    if retry.factor_milli.is_multiple_of(1000) {
        backoff["factor"] = json!(retry.factor_milli / 1000);
    } else {
        backoff["factor"] = json!(retry.factor_milli as f64 / 1000.0);
    }
    let mut out = json!({
        "attempts": retry.attempts,
        "on": on,
        "backoff": backoff,
        "lost": retry.lost,
        "on_lost": if retry.on_lost_fail { "fail" } else { "retry" },
    });
    if let Some(below) = retry.below {
        out["if"] = json!(format!("attempt.number < {below}"));
    }
    out
}

fn items(step: &Step) -> String {
    format!("items_{}", step.id)
}

fn lookup(known: impl Iterator<Item = (usize, bool)>, item: &str) -> String {
    let entries: Vec<String> = known
        .map(|(at, answer)| format!("{at}: {answer}"))
        .collect();
    format!("{{{}}}[{item}]", entries.join(", "))
}

fn millis(value: u64) -> Value {
    json!(format!("{value}ms"))
}
