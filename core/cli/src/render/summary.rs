//! What a person reads after a run, and in `runs show`.

use super::human;
use super::style::{self, Style, Tone};
use super::view::{InstanceView, RunView, StepView};
use conveyor_engine::run::StepState;
use conveyor_engine::time::Time;
use conveyor_engine::value::Json;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Instances of one fan-out that are told one by one; the rest are counted.
const INSTANCES_TOLD: usize = 20;
/// Instances that a stop or a sibling ended and that are told one by one: all say the same.
const STOPPED_TOLD: u32 = 3;

/// The summary after a run: a line for each step, and why each that did not succeed did not.
pub(crate) fn summary(view: &RunView, now: Time, style: Style) -> String {
    let mut text = String::new();
    let width = view
        .steps
        .iter()
        .map(|step| step.id.chars().count())
        .max()
        .unwrap_or(0);
    for step in &view.steps {
        step_lines(&mut text, step, width, now, style);
    }
    if let Some(Json::Object(outputs)) = &view.outputs
        && !outputs.is_empty()
    {
        text.push('\n');
        for (name, value) in outputs {
            let name = style.paint(Tone::Strong, &human::printable(name));
            let _ = writeln!(text, "{name} = {}", human::printable(&value.to_string()));
        }
    }
    text.push('\n');
    text.push_str(&verdict(view, now, style));
    text
}

/// `runs show`: what a run is, then the summary.
pub(crate) fn show(view: &RunView, now: Time, style: Style) -> String {
    let state = style.paint(style::run_tone(view.state), view.word());
    let mut rows = vec![
        ("run", view.id.clone()),
        (
            "pipeline",
            human::printable(&format!("{}/{}", view.namespace, view.pipeline)),
        ),
        ("state", state),
    ];
    let mut add = |name, value: Option<String>| {
        let value = value.map(|value| human::printable(&value));
        rows.extend(
            value
                .filter(|value| !value.is_empty())
                .map(|value| (name, value)),
        );
    };
    let resource = view.resource.as_ref();
    let resource =
        resource.map(|of| format!("{}/{} version {}", of.definition, of.name, of.version));
    add(
        "resource",
        resource.or_else(|| view.resource_definition.clone()),
    );
    add("reason", Some(view.reason.clone()));
    add("started", view.started_at.map(human::instant));
    add("ended", view.ended_at.map(human::instant));
    add("by", Some(view.actor.clone()));
    add("forked from", view.forked_from.clone());
    add("labels", Some(pairs(&view.labels)));
    add("annotations", Some(pairs(&view.annotations)));
    if let Json::Object(inputs) = &view.inputs {
        let inputs: Vec<_> = inputs
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        add("inputs", Some(inputs.join(" ")));
    }
    let mut text = String::new();
    for (name, value) in rows {
        let name = style.paint(Tone::Faint, &format!("{name:<12}"));
        let _ = writeln!(text, "{name} {value}");
    }
    text.push('\n');
    text.push_str(&summary(view, now, style));
    text
}

fn step_lines(text: &mut String, step: &StepView, width: usize, now: Time, style: Style) {
    let allowed = step.warnings > 0 && step.ok;
    let (mark, tone) = (
        style::step_mark(step.state, allowed),
        style::step_tone(step.state, allowed),
    );
    let mut note = String::new();
    if step.fan && !step.instances.is_empty() {
        let ok = step.counts.get(StepState::Succeeded);
        let _ = write!(note, "  {ok}/{} succeeded", step.instances.len());
        for state in StepState::ALL {
            let count = step.counts.get(*state);
            if count > 0 && state.is_terminal() && *state != StepState::Succeeded {
                let _ = write!(note, ", {count} {state}");
            }
        }
    }
    match step.instances.first() {
        Some(instance) if !step.fan && instance.attempts.len() > 1 => {
            let _ = write!(note, "  {} attempts", instance.attempts.len());
        }
        _ => {}
    }
    if allowed {
        note.push_str("  allowed");
    }
    let inherited = step.inherited_from.is_some();
    if inherited {
        note.push_str("  inherited");
    }
    // What a step waits for comes first: why its last attempt failed has not decided anything yet.
    if let Some(waiting) = &step.waiting_for {
        let _ = write!(note, "  waits for {}", human::printable(waiting));
    }
    // The latest of those that nobody here works on.
    let attempts = step.instances.iter().filter_map(|one| one.attempts.last());
    if let Some(until) = attempts
        .filter_map(|attempt| attempt.detached_until_at)
        .max()
    {
        let _ = write!(
            note,
            "  detached, waited for until {}",
            human::instant(until)
        );
    }
    let why = match step.state {
        // Of a success there is nothing to say but that nothing had to be done.
        StepState::Succeeded => step.reason.clone(),
        _ => step.why(),
    };
    if !why.is_empty() && !inherited {
        let _ = write!(note, "  {}", human::printable(&why));
    }
    let took = step.elapsed(now).map(human::duration).unwrap_or_default();
    let line = format!(
        "{} {:<width$}  {} {took:>7}{}",
        style.paint(tone, mark),
        step.id,
        style.paint(tone, &format!("{:<9}", step.state.as_str())),
        style.paint(
            if tone == Tone::Bad {
                Tone::Bad
            } else {
                Tone::Faint
            },
            &note
        )
    );
    text.push_str(line.trim_end());
    text.push('\n');
    if step.fan {
        instance_lines(text, step, style);
    }
}

/// Labels and the like in one line.
fn pairs(all: &BTreeMap<String, String>) -> String {
    let each = all.iter().map(|(key, value)| format!("{key}={value}"));
    each.collect::<Vec<_>>().join(" ")
}

/// The instances of a fan-out that did not succeed, each with its reason.
fn instance_lines(text: &mut String, step: &StepView, style: Style) {
    let told = |instance: &InstanceView| match instance.state {
        StepState::Failed | StepState::Errored | StepState::TimedOut => true,
        state @ (StepState::Cancelled | StepState::Omitted) => {
            step.counts.get(state) <= STOPPED_TOLD
        }
        _ => false,
    };
    let instances = step
        .instances
        .iter()
        .enumerate()
        .filter(|(_, instance)| told(instance));
    let mut left = 0;
    for (count, (position, instance)) in instances.enumerate() {
        if count >= INSTANCES_TOLD {
            left += 1;
            continue;
        }
        let tone = style::step_tone(instance.state, instance.allowed);
        let allowed = if instance.allowed { " (allowed)" } else { "" };
        let attempts = match instance.attempts.len() {
            0 | 1 => String::new(),
            attempts => format!(" after {attempts} attempts"),
        };
        let _ = writeln!(
            text,
            "    {} {}  {}{attempts}{allowed}  {}",
            style.paint(tone, style::step_mark(instance.state, instance.allowed)),
            instance.label(position),
            style.paint(tone, instance.state.as_str()),
            style.paint(Tone::Faint, &human::printable(&instance.why()))
        );
    }
    if left > 0 {
        let _ = writeln!(text, "    … and {}", human::count(left, "more instance"));
    }
}

/// The last line: how the run ended, in how much time.
fn verdict(view: &RunView, now: Time, style: Style) -> String {
    let state = style.paint(style::run_tone(view.state), view.word());
    let took = human::duration(view.elapsed(now));
    let joint = if view.state.is_terminal() {
        "in"
    } else {
        "for"
    };
    let warnings = match view.warnings {
        0 => String::new(),
        warnings => format!(", {}", human::count(warnings as usize, "warning")),
    };
    let why = match human::printable(&view.reason) {
        reason if reason.is_empty() => String::new(),
        reason => format!(": {reason}"),
    };
    let id = &view.id;
    // How long a process has been dead is not known, and says nothing.
    if view.interrupted {
        return format!("run {id} {state}; `conveyor run --continue {id}` goes on with it\n");
    }
    format!("run {id} {state} {joint} {took}{warnings}{why}\n")
}

#[cfg(test)]
mod tests;
