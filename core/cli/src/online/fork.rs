//! `fork`.

use super::follow::{Begin, Shown, follow};
use super::{actor, given, with_engine};
use crate::args::{ForkArgs, Output};
use crate::client::{Engine, Options, Problem};
use crate::exit::Exit;
use crate::render::data;
use crate::render::style::{Style, Tone};
use crate::render::table::Table;
use crate::source::Given;
use crate::terminal;
use conveyor_node::RunId;
use conveyor_proto::v1;
use conveyor_store::Access;

/// `conveyor fork`.
pub(crate) fn fork(args: &ForkArgs) -> Exit {
    let shown = Shown {
        progress: args.progress,
        output: args.form.output,
    };
    let options = Options::of(&args.local, Access::Existing);
    let (request, given) = match request(args) {
        Ok(request) => request,
        Err(problem) => return problem.tell(),
    };
    with_engine(options, async |engine| {
        start(engine, request, &given, shown).await
    })
}

fn request(args: &ForkArgs) -> Result<(v1::ForkRunRequest, Given), Problem> {
    let inputs = given::inputs(&args.inputs, args.pipeline.as_deref())?;
    let request = v1::ForkRunRequest {
        run: args.run.clone(),
        from_steps: args.from.clone(),
        from_failed: args.from_failed,
        document: args.pipeline.as_deref().map(given::document).transpose()?,
        inputs: given::bytes(&inputs).into(),
        text_inputs: inputs.texts.clone(),
        run_id: RunId::fresh().to_string(),
        actor: actor(),
        preview: args.preview,
        labels: args.labels.iter().cloned().collect(),
        annotations: args.annotations.iter().cloned().collect(),
        idempotency_key: args.repeats.idempotency_key.clone(),
    };
    Ok((request, inputs))
}

async fn start(
    engine: &mut Engine,
    request: v1::ForkRunRequest,
    given: &Given,
    shown: Shown,
) -> Result<Exit, Problem> {
    let answer = engine.client().fork_run(request.clone()).await;
    let document = request.document.as_ref();
    let answer = answer.map_err(|status| Problem::about(status, document, given))?;
    let answer = answer.into_inner();
    let Some(run) = answer.run else {
        preview(&answer.steps, shown.output)?;
        return Ok(Exit::Succeeded);
    };
    follow(engine, &run.id, Begin::AtTheStart, shown).await
}

fn preview(steps: &[v1::ForkStep], output: Output) -> Result<(), Problem> {
    let word = |step: &v1::ForkStep| if step.inherited { "inherited" } else { "runs" };
    let rows: Vec<_> = steps
        .iter()
        .map(|step| {
            serde_json::json!({"step": step.step, "inherited": step.inherited, "reason": step.reason})
        })
        .collect();
    let text = match output {
        Output::Json => data::json(&rows).map_err(Problem::refused)?,
        Output::Yaml => data::yaml(&rows).map_err(Problem::refused)?,
        Output::Table => {
            let mut table = Table::new(&["step", "", "why"]);
            for step in steps {
                let tone = if step.inherited {
                    Tone::Faint
                } else {
                    Tone::Live
                };
                table.row([
                    (Tone::Plain, step.step.clone()),
                    (tone, word(step).to_owned()),
                    (Tone::Faint, step.reason.clone()),
                ]);
            }
            table.render(Style {
                colour: terminal::colours_out(),
            })
        }
    };
    terminal::print(&text);
    Ok(())
}
