//! From the model's pipeline to the engine's plan: through the document, as a user's would go.

use conveyor_engine::document;
use conveyor_engine::plan::Plan;
use conveyor_engine::value::Json;
use conveyor_sim::model::Pipeline;
use std::sync::Arc;

/// The plan, and the inputs that its runs start with.
pub(crate) fn plan_of(pipeline: &Pipeline) -> (Arc<Plan>, Json) {
    let printed = pipeline.document();
    match document::load("case.json", printed.text.as_bytes()) {
        Ok(document) => (document.plan(), printed.inputs),
        Err(errors) => {
            let said: Vec<String> = errors.iter().map(ToString::to_string).collect();
            panic!(
                "a random document is refused:\n{}\n{}",
                said.join("\n"),
                printed.text
            );
        }
    }
}
