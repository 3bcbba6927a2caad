//! `conveyor plan`.

mod text;
mod view;

use crate::args::{PlanArgs, PlanOutput};
use crate::exit::{Exit, refuse};
use crate::render::style::Style;
use crate::render::{data, graph};
use crate::source;
use crate::terminal;
use conveyor_proto::v1;

/// Prints what a pipeline would do.
pub(crate) fn plan(args: &PlanArgs) -> Exit {
    let document = match source::document(&args.file) {
        Ok(document) => document,
        Err(unusable) => {
            terminal::print_err(&unusable.text());
            return Exit::Refused;
        }
    };
    let plan = document.plan();
    let asked = !args.inputs.input.is_empty() || args.inputs.inputs.is_some();
    let inputs =
        source::Given::read(&args.inputs, Some(&args.file)).and_then(|given| given.resolve(&plan));
    let inputs = match inputs {
        Ok(inputs) => Some(inputs),
        // Nobody gave inputs: what depends on them is told to be unknown.
        Err(_) if !asked => None,
        Err(message) => return refuse(message),
    };
    terminal::print_err(&source::diagnostics_text(&document.diagnostics));
    let foreign = source::foreign_drivers(&document, &args.file);
    terminal::print_err(&source::diagnostics_text(&foreign));
    show(&conveyor_service::plan(&plan, inputs), args.output)
}

/// Prints a plan.
pub(crate) fn show(plan: &v1::Plan, output: PlanOutput) -> Exit {
    let view = view::PlanView::new(plan);
    let text = match output {
        PlanOutput::Text => Ok(text::text(
            &view,
            Style {
                colour: terminal::colours_out(),
            },
        )),
        PlanOutput::Json => data::json(&view),
        PlanOutput::Yaml => data::yaml(&view),
        PlanOutput::Mermaid => Ok(graph::mermaid(&view.graph())),
        PlanOutput::Dot => Ok(graph::dot(&view.graph())),
        PlanOutput::Svg => graph::svg(&view.graph()),
    };
    match text {
        Ok(text) => terminal::print(&text),
        Err(message) => return refuse(message),
    }
    Exit::Succeeded
}
