mod bounds;
mod differential;
mod document;
mod language;
mod references;
mod templates;

use super::{Condition, EvalError, Scope, Template};
use crate::value::Json;
use serde_json::json;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A scope of fixed values that remembers what it was asked for.
#[derive(Default)]
struct Fixed {
    roots: BTreeMap<String, Arc<Json>>,
    steps: BTreeMap<String, Arc<Json>>,
    needs: BTreeMap<String, Arc<Json>>,
    asked: RefCell<Vec<String>>,
}

impl Fixed {
    fn root(mut self, name: &str, json: Json) -> Fixed {
        self.roots.insert(name.to_owned(), Arc::new(json));
        self
    }

    fn step(mut self, id: &str, json: Json) -> Fixed {
        self.steps.insert(id.to_owned(), Arc::new(json));
        self
    }

    fn need(mut self, id: &str, json: Json) -> Fixed {
        self.needs.insert(id.to_owned(), Arc::new(json));
        self
    }
}

impl Scope for Fixed {
    fn root(&self, name: &str) -> Option<Arc<Json>> {
        self.asked.borrow_mut().push(name.to_owned());
        self.roots.get(name).cloned()
    }

    fn step(&self, id: &str) -> Option<Arc<Json>> {
        self.asked.borrow_mut().push(format!("steps.{id}"));
        self.steps.get(id).cloned()
    }

    fn need(&self, id: &str) -> Option<Arc<Json>> {
        self.asked.borrow_mut().push(format!("needs.{id}"));
        self.needs.get(id).cloned()
    }
}

/// Some inputs, and steps in the states that expressions meet.
fn scope() -> Fixed {
    Fixed::default()
        .root("inputs", json!({"ref": "main", "n": 3, "big": 9_007_199_254_740_993_i64, "ratio": 2.0, "huge": u64::MAX, "list": [3, 1, 2], "map": {"b": 2, "a": 1, "c": 3}, "null": null}))
        .root("run", json!({"id": "r1", "status": "failed"}))
        .root("attempt", json!({"number": 2}))
        .step("build", json!({"state": "succeeded", "outputs": {"digest": "sha256:1", "count": 2}, "attempts": 1}))
        .step("skipped-one", json!({"state": "skipped", "outputs": {}, "attempts": 0}))
        .step("broken", json!({"state": "failed", "outputs": {}, "attempts": 3, "failure": {"code": "exit", "message": "1"}}))
        .step("fan", json!({"state": "succeeded", "outputs": [{"x": 1}, null, {"x": 3}], "attempts": 3}))
        .need("a", json!({"failed": true, "succeeded": false, "ok": false}))
        .need("b-c", json!({"failed": false, "succeeded": true, "ok": true, "any_failed": false}))
}

fn eval_in(source: &str, scope: &Fixed) -> Result<Json, EvalError> {
    let template = Template::parse(&json!(format!("${{{{ {source} }}}}")))
        .unwrap_or_else(|error| panic!("{source}: {error}"));
    template.evaluate(scope)
}

fn eval(source: &str) -> Json {
    eval_in(source, &scope()).unwrap_or_else(|error| panic!("{source}: {error}"))
}

fn eval_error(source: &str) -> EvalError {
    match eval_in(source, &scope()) {
        Err(error) => error,
        Ok(json) => panic!("{source} gives {json}"),
    }
}

fn parse_error(source: &str) -> super::ExprError {
    match Condition::parse(source) {
        Err(error) => error,
        Ok(_) => panic!("{source} is accepted"),
    }
}
