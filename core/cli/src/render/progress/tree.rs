//! The tree of steps while a run goes on: which rows there is room for, and what they say.

use super::row::Row;
use super::tails::Tails;
use crate::render::human;
use crate::render::style::{self, Style, Tone};
use crate::render::view::{InstanceView, RunView, StepView};
use conveyor_engine::run::StepState;
use conveyor_engine::time::Time;
use ratatui_core::text::Line;

/// What the tree is drawn into.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    /// Columns.
    pub(crate) width: usize,
    /// Rows. More steps than fit are folded into counts.
    pub(crate) height: usize,
    /// Now.
    pub(crate) now: Time,
    /// The number of the drawing: what the spinner turns by.
    pub(crate) turn: usize,
}

/// Instances of one fan-out that did not go well and are shown while it goes on, the latest; all of
/// them are in its count. More would hide what still runs.
const BAD_SHOWN: usize = 3;

const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/// A row before it is known whether there is room for it: a step, or an instance of a fan-out.
#[derive(Clone, Copy)]
struct Item {
    rank: Rank,
    step: usize,
    instance: Option<usize>,
}

/// What a row is worth: lower ones are folded first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Pending,
    Done,
    Waiting,
    Bad,
    Live,
}

impl Rank {
    /// The best first.
    const ALL: [Rank; 5] = [
        Rank::Live,
        Rank::Bad,
        Rank::Waiting,
        Rank::Done,
        Rank::Pending,
    ];

    const fn of(state: StepState) -> Rank {
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
}

/// The lines of the tree, none wider than the frame, no more than it is high.
///
/// Text is made for the rows that are shown only: a run may have 100,000 steps.
pub(crate) fn tree(
    view: &RunView,
    tails: &Tails,
    frame: Frame,
    style: Style,
) -> Vec<Line<'static>> {
    let (items, folded) = choose(items(view), frame.height.saturating_sub(1));
    let logs = frame.height.saturating_sub(1 + folded.rows() + items.len());
    let speaking = items.iter().filter(|item| speaks(view, tails, **item));
    let mut shares = shares(logs, speaking.count());
    let mut rows = vec![head(view, frame)];
    rows.extend(folded.before());
    for item in items {
        rows.push(match item.instance {
            None => step_row(&view.steps[item.step], frame),
            Some(at) => instance_row(&view.steps[item.step].instances[at], at, frame),
        });
        if speaks(view, tails, item) {
            let tail = tails.of(item.step, item.instance.unwrap_or_default());
            let share = shares.next().unwrap_or_default();
            rows.extend(
                tail.skip(tail_start(tails, item, share))
                    .map(|text| log_row(text)),
            );
        }
    }
    rows.extend(folded.after());
    rows.truncate(frame.height);
    rows.iter()
        .map(|row| row.line(frame.width, style))
        .collect()
}

/// Everything that could be shown, in the document's order.
fn items(view: &RunView) -> Vec<Item> {
    let mut items = Vec::with_capacity(view.steps.len());
    for (at, step) in view.steps.iter().enumerate() {
        items.push(Item {
            rank: Rank::of(step.state),
            step: at,
            instance: None,
        });
        // An ended step is one row, a fan-out too.
        if !step.fan || step.state.is_terminal() {
            continue;
        }
        let mut bad = step.counts.bad().saturating_sub(BAD_SHOWN as u32);
        for (instance, view) in step.instances.iter().enumerate() {
            let rank = Rank::of(view.state);
            let shown = match rank {
                Rank::Live | Rank::Waiting => true,
                Rank::Bad if bad == 0 => true,
                Rank::Bad => {
                    bad -= 1;
                    false
                }
                Rank::Done | Rank::Pending => false,
            };
            if shown {
                items.push(Item {
                    rank,
                    step: at,
                    instance: Some(instance),
                });
            }
        }
    }
    items
}

/// What there was no room for.
#[derive(Default)]
struct Folded {
    done: usize,
    pending: usize,
    other: usize,
}

impl Folded {
    fn rows(&self) -> usize {
        usize::from(self.done > 0) + usize::from(self.pending + self.other > 0)
    }

    fn before(&self) -> Option<Row> {
        let text = format!("{} done", human::count(self.done, "more step"));
        (self.done > 0).then(|| Row::note("✓", text))
    }

    fn after(&self) -> Option<Row> {
        let rest: Vec<_> = [
            (self.other, "going on or not ok"),
            (self.pending, "to come"),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} more {what}"))
        .collect();
        (!rest.is_empty()).then(|| Row::note("·", rest.join(", ")))
    }
}

/// Leaves out what matters least until the rest fits into `room` rows, with those that tell of it.
fn choose(items: Vec<Item>, room: usize) -> (Vec<Item>, Folded) {
    if items.len() <= room {
        return (items, Folded::default());
    }
    // A row before and one after tell what was left out.
    let mut room = room.saturating_sub(2);
    let mut keep = vec![false; items.len()];
    for rank in Rank::ALL {
        let of_rank = items
            .iter()
            .enumerate()
            .filter(|(_, item)| item.rank == rank);
        let places = of_rank.map(|(at, _)| at);
        // Of done steps the latest, of all others the first.
        let kept: Vec<usize> = match rank {
            Rank::Done => places.rev().take(room).collect(),
            _ => places.take(room).collect(),
        };
        room -= kept.len();
        kept.into_iter().for_each(|at| keep[at] = true);
    }
    let mut folded = Folded::default();
    let mut kept = Vec::new();
    for (item, keep) in items.into_iter().zip(keep) {
        match item.rank {
            _ if keep => kept.push(item),
            Rank::Done => folded.done += 1,
            Rank::Pending => folded.pending += 1,
            _ => folded.other += 1,
        }
    }
    (kept, folded)
}

/// How many log rows each of `count` has, of `room` rows.
fn shares(room: usize, count: usize) -> impl Iterator<Item = usize> {
    let (each, more) = match count {
        0 => (0, 0),
        count => (room / count, room % count),
    };
    (0..count).map(move |at| each + usize::from(at < more))
}

fn tail_start(tails: &Tails, item: Item, share: usize) -> usize {
    let kept = tails.of(item.step, item.instance.unwrap_or_default()).len();
    kept.saturating_sub(share)
}

/// Whether log lines stand under a row.
fn speaks(view: &RunView, tails: &Tails, item: Item) -> bool {
    let step = &view.steps[item.step];
    let row = match item.instance {
        None => !step.fan && !step.state.is_terminal(),
        Some(at) => !step.instances[at].state.is_terminal(),
    };
    row && tails.of(item.step, item.instance.unwrap_or_default()).len() > 0
}

fn head(view: &RunView, frame: Frame) -> Row {
    let ended = view.steps.iter().filter(|step| step.ended_at.is_some());
    let bad = view.steps.iter().filter(|step| {
        let ended = step.state.is_terminal() && !step.ok;
        ended && Rank::of(step.state) == Rank::Bad
    });
    let mut note = format!(
        "{}  {}/{} steps",
        view.word(),
        ended.count(),
        view.steps.len()
    );
    let bad = bad.count();
    if bad > 0 {
        note.push_str(&format!(", {bad} not ok"));
    }
    if view.warnings > 0 {
        note.push_str(&format!(
            ", {}",
            human::count(view.warnings as usize, "warning")
        ));
    }
    let mark = match view.state.is_terminal() {
        true => "●",
        false => SPINNER[frame.turn % SPINNER.len()],
    };
    Row {
        depth: 0,
        mark,
        tone: style::run_tone(view.state),
        text: human::printable(&view.pipeline),
        text_tone: Tone::Strong,
        note,
        time: human::duration(view.elapsed(frame.now)),
    }
}

fn step_row(step: &StepView, frame: Frame) -> Row {
    let allowed = step.warnings > 0 && step.ok;
    let mut note = Vec::new();
    if step.fan && !step.instances.is_empty() {
        note.push(counts(step));
    }
    if let Some(instance) = step.instances.first().filter(|_| !step.fan) {
        note.extend(attempt_note(instance, frame));
    }
    if step.state.is_terminal() && step.state != StepState::Succeeded {
        let allowed = if allowed { " (allowed)" } else { "" };
        note.push(format!("{}{allowed}", step.state));
        note.push(step.why());
    }
    row(step.state, allowed, step.id.clone(), note, frame, Row::STEP)
        .taking(step.elapsed(frame.now))
}

/// `137/10000, 3 failed`: how many instances have ended, and how many of them badly.
fn counts(step: &StepView) -> String {
    let mut text = format!("{}/{}", step.counts.ended(), step.instances.len());
    for state in StepState::ALL.iter().filter(|s| Rank::of(**s) == Rank::Bad) {
        let count = step.counts.get(*state);
        if count > 0 {
            text.push_str(&format!(", {count} {state}"));
        }
    }
    text
}

fn instance_row(instance: &InstanceView, at: usize, frame: Frame) -> Row {
    let mut note: Vec<_> = attempt_note(instance, frame).into_iter().collect();
    if instance.state.is_terminal() {
        let allowed = if instance.allowed { " (allowed)" } else { "" };
        note.push(format!("{}{allowed}", instance.state));
        note.push(instance.why());
    }
    let took = instance
        .started_at()
        .map(|began| instance.ended_at.unwrap_or(frame.now).since(began));
    let label = instance.label(at);
    row(
        instance.state,
        instance.allowed,
        label,
        note,
        frame,
        Row::INSTANCE,
    )
    .taking(took)
}

fn row(
    state: StepState,
    allowed: bool,
    text: String,
    mut note: Vec<String>,
    frame: Frame,
    depth: usize,
) -> Row {
    note.retain(|part| !part.is_empty());
    Row {
        depth,
        mark: match state {
            StepState::Running => SPINNER[frame.turn % SPINNER.len()],
            _ => style::step_mark(state, allowed),
        },
        tone: style::step_tone(state, allowed),
        text,
        text_tone: match state {
            StepState::Pending | StepState::Skipped | StepState::Omitted => Tone::Faint,
            _ => Tone::Plain,
        },
        note: human::printable(&note.join("  ")),
        time: String::new(),
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
        (n, Some(due)) => {
            let failure = instance.failure();
            let why = failure.map_or(String::new(), |failure| format!(" after {failure}"));
            Some(format!("attempt {} in {due}{why}", n + 1))
        }
        (n, None) if n > 1 => Some(format!("attempt {n}")),
        _ => None,
    }
}

fn log_row(text: &str) -> Row {
    Row {
        depth: Row::LOG,
        mark: "│",
        tone: Tone::Faint,
        text: String::new(),
        text_tone: Tone::Faint,
        note: text.to_owned(),
        time: String::new(),
    }
}
