//! `plan`, as an engine says it.

use super::{given, reading, with_engine};
use crate::args::PlanArgs;
use crate::client::{Engine, Problem};
use crate::exit::Exit;
use crate::offline;
use crate::terminal;
use conveyor_proto::v1;

/// `conveyor plan --server`.
pub(crate) fn plan(args: &PlanArgs) -> Exit {
    with_engine(reading(&args.place), async |engine| {
        asked(engine, args).await
    })
}

async fn asked(engine: &Engine, args: &PlanArgs) -> Result<Exit, Problem> {
    let document = given::document(&args.file)?;
    let inputs = given::inputs(&args.inputs, Some(&args.file))?;
    let request = v1::PlanPipelineRequest {
        document: Some(document.clone()),
        inputs: given::bytes(&inputs).into(),
        text_inputs: inputs.texts.clone(),
    };
    let answer = engine.client().plan_pipeline(request).await;
    let answer = answer
        .map_err(|status| Problem::about(status, Some(&document), &inputs))?
        .into_inner();
    for warning in &answer.diagnostics {
        terminal::warning(&format!(
            "{}:{}:{}: {}",
            warning.file_name, warning.line, warning.column, warning.message
        ));
    }
    Ok(offline::show_plan(
        &answer.plan.unwrap_or_default(),
        args.output,
    ))
}
