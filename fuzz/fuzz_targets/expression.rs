//! Whatever text stands in a document: it parses or is refused, and evaluates or fails, without a
//! panic, an overflow of the stack or a stall, and twice alike.
#![no_main]

use conveyor_engine::expr::{Condition, Rule, Scope, Template};
use conveyor_engine::value::Json;
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;

struct Values;

impl Scope for Values {
    fn root(&self, name: &str) -> Option<Arc<Json>> {
        (name != "matrix").then(|| {
            Arc::new(serde_json::json!({"a": 1, "b": [1, 2.5, "x", null], "c": {"d": true}, "number": 9_007_199_254_740_993_i64}))
        })
    }

    fn step(&self, id: &str) -> Option<Arc<Json>> {
        (id != "b").then(|| {
            Arc::new(serde_json::json!({"state": "skipped", "outputs": {"x": 1}, "attempts": 0}))
        })
    }

    fn need(&self, _: &str) -> Option<Arc<Json>> {
        Some(Arc::new(serde_json::json!({"failed": true, "ok": false})))
    }
}

fuzz_target!(|source: &str| {
    if let Ok(condition) = Condition::parse(source) {
        assert_eq!(condition.evaluate(&Values), condition.evaluate(&Values));
    }
    if let Ok(rule) = Rule::parse(source, &|id| id == "a") {
        assert_eq!(rule.evaluate(&Values), rule.evaluate(&Values));
    }
    for text in [source.to_owned(), format!("${{{{ {source} }}}}")] {
        if let Ok(template) = Template::parse(&serde_json::json!({"with": text}))
            && let Ok(first) = template.evaluate_object(&Values)
        {
            assert_eq!(template.reevaluate(&first, &Values), Ok(first));
        }
        if let Ok(template) = Template::parse(&Json::String(text)) {
            assert_eq!(template.evaluate(&Values), template.evaluate(&Values));
        }
    }
});
