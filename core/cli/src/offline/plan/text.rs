//! A plan for people.

use super::view::{FanView, PlanView, StepView};
use crate::render::human;
use crate::render::style::{Style, Tone};
use crate::render::view::label;
use std::fmt::Write;

/// Instances of one fan-out that are listed; the rest are counted.
const LISTED: usize = 32;

/// Steps of the critical path that are written out; of a longer one, its two ends.
const PATH: usize = 40;

/// The text of a plan.
pub(super) fn text(view: &PlanView, style: Style) -> String {
    let mut text = String::new();
    let title = style.paint(Tone::Strong, &view.pipeline);
    let digest = view.digest.get(..12).unwrap_or(&view.digest);
    let _ = writeln!(
        text,
        "{title}  namespace {}, digest {digest}",
        view.namespace
    );
    if let Some(description) = &view.description {
        let _ = writeln!(text, "{}", human::printable(description));
    }
    let order = match view.ordering {
        "listed" => "listed: no step has `needs`, each waits for the one before it",
        _ => "graph: a step without `needs` starts at once",
    };
    let _ = writeln!(text, "order     {order}");
    let fail_fast = match view.fail_fast {
        "false" => "independent branches go on",
        "cancel" => "nothing new starts, what runs is cancelled",
        _ => "nothing new starts, what runs goes on",
    };
    let _ = writeln!(text, "failure   {fail_fast}");
    if let Some(timeout) = &view.timeout {
        let _ = writeln!(text, "timeout   {timeout}");
    }
    if let Some(resource) = &view.resource {
        let _ = writeln!(text, "resource  {resource}");
    }
    let ids = view
        .steps
        .iter()
        .map(|step| step.id.chars().count())
        .max()
        .unwrap_or(0);
    let notes = view
        .steps
        .iter()
        .map(|step| step.note().chars().count())
        .max()
        .unwrap_or(0);
    let widths = (ids.min(40), notes.min(40));
    for finally in [false, true] {
        let mut steps = view
            .steps
            .iter()
            .filter(|step| step.finally == finally)
            .peekable();
        if steps.peek().is_some() {
            let heading = if finally { "finally" } else { "steps" };
            let _ = writeln!(text, "\n{}", style.paint(Tone::Strong, heading));
        }
        steps.for_each(|step| step_lines(&mut text, step, widths, style));
    }
    let path = &view.critical_path;
    let _ = writeln!(
        text,
        "\ncritical path ({})",
        human::count(path.len(), "step")
    );
    let shown = match path.len() {
        0..=PATH => path.join(" → "),
        len => format!(
            "{} → … → {}",
            path[..PATH / 2].join(" → "),
            path[len - PATH / 2..].join(" → ")
        ),
    };
    let _ = writeln!(text, "  {}", style.paint(Tone::Live, &shown));
    text
}

fn step_lines(text: &mut String, step: &StepView, widths: (usize, usize), style: Style) {
    let mark = match step.critical {
        true => style.paint(Tone::Live, "●"),
        false => style.paint(Tone::Faint, "○"),
    };
    let (ids, notes) = widths;
    let mut line = format!("  {mark} {:<ids$}  {:<notes$}", step.id, step.note());
    let mut tail = Vec::new();
    match (&step.rule, step.needs.is_empty()) {
        (Some(rule), _) => tail.push(format!("if {}", human::printable(rule))),
        (None, false) => tail.push(format!("after {}", step.needs.join(", "))),
        (None, true) => {}
    }
    if !step.handles.is_empty() {
        tail.push(format!("handles {}", step.handles.join(", ")));
    }
    if let Some(when) = &step.when {
        tail.push(format!("when {}", human::printable(when)));
    }
    if step.tries > 1 {
        tail.push(format!("{} tries", step.tries));
    }
    if let Some(allowed) = &step.allow_failure {
        let condition = if allowed == "always" { "" } else { allowed };
        tail.push(
            format!("may fail {}", human::printable(condition))
                .trim_end()
                .to_owned(),
        );
    }
    if !tail.is_empty() {
        let _ = write!(line, "  {}", style.paint(Tone::Faint, &tail.join(" · ")));
    }
    let _ = writeln!(text, "{}", line.trim_end());
    if let Some(fan) = &step.fan {
        fan_lines(text, fan, style);
    }
}

fn fan_lines(text: &mut String, fan: &FanView, style: Style) {
    let mut notes = Vec::new();
    notes.extend(
        fan.max_parallel
            .map(|most| format!("at most {most} at once")),
    );
    notes.extend((!fan.fail_fast).then(|| "all of them, whatever fails".to_owned()));
    let notes = if notes.is_empty() {
        String::new()
    } else {
        format!(", {}", notes.join(", "))
    };
    let over = human::printable(&fan.over.join(" × "));
    let count = match (fan.count, &fan.error) {
        (Some(count), _) => human::count(count, "instance"),
        (None, Some(error)) => {
            let error = style.paint(Tone::Bad, &human::printable(error));
            let _ = writeln!(text, "      {} over {over}: {error}", fan.kind);
            return;
        }
        (None, None) => format!("instances depend on {}", fan.depends_on.join(", ")),
    };
    let _ = writeln!(text, "      {} over {over}: {count}{notes}", fan.kind);
    let instances = fan.instances.as_deref().unwrap_or_default();
    for (position, instance) in instances.iter().take(LISTED).enumerate() {
        let label = style.paint(Tone::Faint, &label(Some(instance), position));
        let _ = writeln!(text, "        {label}");
    }
    if instances.len() > LISTED {
        let _ = writeln!(text, "        … and {} more", instances.len() - LISTED);
    }
}
