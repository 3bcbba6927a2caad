//! The tree of steps while a run goes on.

use crate::render::human::{self, cut};
use crate::render::style::{self, Style, Tone};
use crate::render::view::{InstanceView, RunView, StepView};
use conveyor_engine::run::{Identity, StepState};
use conveyor_engine::time::Time;
use std::collections::{BTreeMap, VecDeque};

/// What the tree is drawn into.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    /// Columns.
    pub(crate) width: usize,
    /// Lines. More steps than fit are folded into counts.
    pub(crate) height: usize,
    /// Now.
    pub(crate) now: Time,
    /// The number of the drawing: what the spinner turns by.
    pub(crate) turn: usize,
}

/// The last log lines of what runs.
#[derive(Debug, Default)]
pub(crate) struct Tails(BTreeMap<(u32, u32), VecDeque<String>>);

/// Log lines kept for each instance that runs.
const TAIL: usize = 5;

impl Tails {
    /// Takes a log line.
    pub(crate) fn push(&mut self, id: Identity, line: &str) {
        let tail = self.0.entry((id.step, id.instance)).or_default();
        if tail.len() == TAIL {
            tail.pop_front();
        }
        tail.push_back(human::printable(line));
    }

    /// Forgets an instance that ended.
    pub(crate) fn end(&mut self, step: u32, instance: u32) {
        self.0.remove(&(step, instance));
    }
}

const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/// A line before it is known whether there is room for it.
struct Line {
    /// What it is worth: lower ones are folded first.
    rank: Rank,
    depth: usize,
    mark: &'static str,
    tone: Tone,
    text: String,
    note: String,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Pending,
    Done,
    Log,
    Waiting,
    Bad,
    Live,
    Head,
}

/// The lines of the tree, none longer than the frame is wide, no more than it is high.
pub(crate) fn tree(view: &RunView, tails: &Tails, frame: Frame, style: Style) -> Vec<String> {
    let mut lines = vec![head(view, frame)];
    for (index, step) in view.steps.iter().enumerate() {
        step_lines(&mut lines, tails, index, step, frame);
    }
    fold(lines, frame.height)
        .iter()
        .map(|line| paint(line, frame.width, style))
        .collect()
}

fn head(view: &RunView, frame: Frame) -> Line {
    let ended = view
        .steps
        .iter()
        .filter(|step| step.ended_at.is_some())
        .count();
    let live = !view.state.is_terminal();
    Line {
        rank: Rank::Head,
        depth: 0,
        mark: if live {
            SPINNER[frame.turn % SPINNER.len()]
        } else {
            "●"
        },
        tone: style::run_tone(view.state),
        text: format!("{}  {}", view.pipeline, view.id),
        note: format!(
            "{}  {}  {ended}/{} steps",
            view.word(),
            human::duration(view.elapsed(frame.now)),
            view.steps.len()
        ),
    }
}

fn step_lines(lines: &mut Vec<Line>, tails: &Tails, index: usize, step: &StepView, frame: Frame) {
    let allowed = step.warnings > 0 && step.ok;
    let mut note = Vec::new();
    if step.fan && !step.instances.is_empty() {
        note.push(format!("{}/{}", step.counts.ended(), step.instances.len()));
    }
    if let Some(elapsed) = step.elapsed(frame.now) {
        note.push(human::duration(elapsed));
    }
    let plain = step.instances.first().filter(|_| !step.fan);
    if let Some(instance) = plain {
        note.extend(attempt_note(instance, frame));
    }
    if step.state.is_terminal() && step.state != StepState::Succeeded {
        let allowed = if allowed { " (allowed)" } else { "" };
        note.push(format!("{}{allowed}", step.state));
        note.push(step.why());
    }
    note.retain(|part| !part.is_empty());
    lines.push(Line {
        rank: rank(step.state),
        depth: 1,
        mark: mark(step.state, allowed, frame.turn),
        tone: style::step_tone(step.state, allowed),
        text: step.id.clone(),
        note: human::printable(&note.join("  ")),
    });
    if step.state.is_terminal() {
        return;
    }
    if plain.is_some() {
        return log_lines(lines, tails, index, 0);
    }
    // Of a fan-out: what goes on and what went wrong. The rest is in the counts.
    for (at, instance) in step.instances.iter().enumerate() {
        let bad = instance.state.is_terminal()
            && !matches!(instance.state, StepState::Succeeded | StepState::Skipped);
        if !bad && !matches!(instance.state, StepState::Running | StepState::Waiting) {
            continue;
        }
        let mut note: Vec<_> = instance
            .began_at
            .map(|began| human::duration(instance.ended_at.unwrap_or(frame.now).since(began)))
            .into_iter()
            .chain(attempt_note(instance, frame))
            .collect();
        if bad {
            note.push(format!("{}  {}", instance.state, instance.why()));
        }
        lines.push(Line {
            rank: rank(instance.state),
            depth: 2,
            mark: mark(instance.state, instance.allowed, frame.turn),
            tone: style::step_tone(instance.state, instance.allowed),
            text: instance.label(at),
            note: human::printable(&note.join("  ")),
        });
        log_lines(lines, tails, index, at);
    }
}

/// Which attempt it is, and how long until the next.
fn attempt_note(instance: &InstanceView, frame: Frame) -> Option<String> {
    let attempts = instance.attempts.len();
    let due = instance
        .due
        .filter(|_| instance.state == StepState::Waiting);
    let due = due.map(|due| human::duration(due.since(frame.now)));
    match (attempts, due) {
        (0, Some(due)) => Some(format!("for another {due}")),
        (n, Some(due)) => Some(format!("attempt {} in {due}", n + 1)),
        (n, None) if n > 1 => Some(format!("attempt {n}")),
        _ => None,
    }
}

fn log_lines(lines: &mut Vec<Line>, tails: &Tails, step: usize, instance: usize) {
    let Some(tail) = tails.0.get(&(step as u32, instance as u32)) else {
        return;
    };
    lines.extend(tail.iter().map(|text| Line {
        rank: Rank::Log,
        depth: 3,
        mark: "│",
        tone: Tone::Faint,
        text: String::new(),
        note: text.clone(),
    }));
}

fn rank(state: StepState) -> Rank {
    match state {
        StepState::Running => Rank::Live,
        StepState::Waiting => Rank::Waiting,
        StepState::Failed | StepState::Errored | StepState::TimedOut | StepState::Cancelled => {
            Rank::Bad
        }
        StepState::Succeeded | StepState::Skipped | StepState::Omitted => Rank::Done,
        StepState::Pending | StepState::Queued => Rank::Pending,
    }
}

fn mark(state: StepState, allowed: bool, turn: usize) -> &'static str {
    match state {
        StepState::Running => SPINNER[turn % SPINNER.len()],
        _ => style::step_mark(state, allowed),
    }
}

/// Leaves out what matters least until the rest fits, each gap told by one line.
fn fold(lines: Vec<Line>, height: usize) -> Vec<Line> {
    if lines.len() <= height {
        return lines;
    }
    // The worth of the last line that still fits, when two lines are kept for what was left out:
    // a gap before and a gap after.
    let room = height.saturating_sub(3).max(1);
    let mut order: Vec<usize> = (0..lines.len()).collect();
    // Of the same worth, done steps are folded from the front, all others from the back.
    order.sort_by_key(|at| {
        let rank = lines[*at].rank;
        let place = *at as i64;
        (
            std::cmp::Reverse(rank),
            if rank == Rank::Done { -place } else { place },
        )
    });
    let mut keep = vec![false; lines.len()];
    order.iter().take(room).for_each(|at| keep[*at] = true);
    let (mut done, mut pending, mut other) = (0, 0, 0);
    let mut kept = Vec::with_capacity(height);
    for (line, keep) in lines.into_iter().zip(keep) {
        match line.rank {
            _ if keep => kept.push(line),
            Rank::Done if line.depth == 1 => done += 1,
            Rank::Pending if line.depth == 1 => pending += 1,
            Rank::Log => {}
            _ => other += 1,
        }
    }
    let gap = |mark, text: String| Line {
        rank: Rank::Head,
        depth: 1,
        mark,
        tone: Tone::Faint,
        text,
        note: String::new(),
    };
    if done > 0 {
        kept.insert(
            1,
            gap("✓", format!("{} done", human::count(done, "more step"))),
        );
    }
    let rest: Vec<_> = [(other, "going on or not ok"), (pending, "to come")]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} more {what}"))
        .collect();
    if !rest.is_empty() {
        kept.push(gap("·", rest.join(", ")));
    }
    kept
}

fn paint(line: &Line, width: usize, style: Style) -> String {
    let indent = "  ".repeat(line.depth.saturating_sub(1));
    let used = indent.len() + line.mark.chars().count() + 1;
    let text = cut(&line.text, width.saturating_sub(used));
    let gap = if line.text.is_empty() { 0 } else { 2 };
    let room = width.saturating_sub(used + text.chars().count() + gap);
    let note = cut(&line.note, room);
    let gap = if note.is_empty() { "" } else { &"  "[..gap] };
    let tone = if line.rank == Rank::Head && line.depth == 0 {
        Tone::Strong
    } else {
        Tone::Plain
    };
    let tone = if line.tone == Tone::Faint {
        Tone::Faint
    } else {
        tone
    };
    let note_tone = if line.tone == Tone::Bad {
        Tone::Bad
    } else {
        Tone::Faint
    };
    format!(
        "{indent}{} {}{gap}{}",
        style.paint(line.tone, line.mark),
        style.paint(tone, &text),
        style.paint(note_tone, &note)
    )
}
