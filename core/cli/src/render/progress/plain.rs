//! One line for each event and each log line, for files, pipes and CI.

use crate::render::human;
use crate::render::style::{self, Style, Tone};
use crate::render::view::{ProgressEvent, RunView, What};
use conveyor_engine::run::{AttemptState, Identity, StepState};

/// The line for an event, without a line feed; `None` for events that say nothing new to a person.
/// `view` has taken the event. Standard output of a step stands after `|`, standard error after `!`.
pub(crate) fn line(view: &RunView, event: &ProgressEvent, style: Style) -> Option<String> {
    let (tone, text) = text(view, event)?;
    let time = style.paint(Tone::Faint, &human::clock(event.time));
    Some(format!("{time} {}", style.paint(tone, &text)))
}

fn text(view: &RunView, event: &ProgressEvent) -> Option<(Tone, String)> {
    let because = |reason: &str| match human::printable(reason) {
        reason if reason.is_empty() => String::new(),
        reason => format!(": {reason}"),
    };
    match &event.what {
        What::Run { to, reason } => {
            let took = match to.is_terminal() {
                true => format!(" in {}", human::duration(view.elapsed(event.time))),
                false => String::new(),
            };
            let text = format!("run {} {to}{took}{}", view.id, because(reason));
            Some((style::run_tone(*to), text))
        }
        What::Expanded { step, instances } => {
            let count = instances.as_ref().map_or_else(|count| *count, Vec::len);
            let id = &view.steps.get(*step)?.id;
            Some((
                Tone::Plain,
                format!("{id}: {}", human::count(count, "instance")),
            ))
        }
        What::Claimed { id } => {
            let again = match id.attempt {
                1 => String::new(),
                attempt => format!(", attempt {attempt}"),
            };
            Some((Tone::Live, format!("{} running{again}", name(view, *id)?)))
        }
        What::Cancel { id, reason, grace } => {
            let name = name(view, *id)?;
            let text = format!("{name} told to stop within {grace}{}", because(reason));
            Some((Tone::Warn, text))
        }
        // A success is told by the end of the instance, which also has what came before attempts.
        What::Attempt {
            state: AttemptState::Succeeded,
            ..
        } => None,
        What::Attempt {
            id,
            state,
            failure,
            reason,
            ..
        } => {
            let why = match failure {
                Some(failure) => format!(": {failure}"),
                None => because(reason),
            };
            let why = human::printable(&why);
            let text = format!("{} attempt {} {state}{why}", name(view, *id)?, id.attempt);
            Some((style::attempt_tone(Some(*state)), text))
        }
        What::Instance {
            step,
            instance,
            to,
            allowed,
            due,
            reason,
        } => {
            let id = Identity {
                step: *step as u32,
                instance: *instance as u32,
                attempt: 0,
            };
            let name = name(view, id)?;
            let instance = view.steps.get(*step)?.instances.get(*instance)?;
            let tone = style::step_tone(*to, *allowed);
            match to {
                StepState::Pending | StepState::Queued | StepState::Running => None,
                StepState::Waiting => {
                    let until = due.map_or_else(String::new, |due| {
                        format!(" for {}", human::duration(due.since(event.time)))
                    });
                    Some((tone, format!("{name} waiting{until}{}", because(reason))))
                }
                _ => {
                    let took = instance.started_at().map_or_else(String::new, |began| {
                        format!(" in {}", human::duration(event.time.since(began)))
                    });
                    let allowed = if *allowed { ", allowed" } else { "" };
                    Some((
                        tone,
                        format!("{name} {to}{took}{allowed}{}", because(reason)),
                    ))
                }
            }
        }
        // Its instances have told it, unless it never had one or has several.
        What::Step {
            step,
            state,
            reason,
            ..
        } => {
            let step = view.steps.get(*step)?;
            if step.instances.len() == 1 && !step.fan {
                return None;
            }
            let allowed = step.warnings > 0 && step.ok;
            let text = format!("{} {state}{}", step.id, because(reason));
            Some((style::step_tone(*state, allowed), text))
        }
        What::Outputs(_) => None,
        What::NoEffect(reason) => Some((Tone::Faint, format!("no effect{}", because(reason)))),
        What::Log { id, stderr, text } => {
            let bar = if *stderr { '!' } else { '|' };
            let text = format!("{} {bar} {}", name(view, *id)?, human::printable(text));
            Some((Tone::Plain, text))
        }
    }
}

/// `deploy`, or `test[os=linux]` in a fan-out.
fn name(view: &RunView, id: Identity) -> Option<String> {
    let step = view.steps.get(id.step as usize)?;
    Some(step.instance_name(id.instance as usize))
}
