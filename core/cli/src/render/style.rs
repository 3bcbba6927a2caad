//! Colours and the marks of states.

use conveyor_engine::run::{AttemptState, RunState, StepState};
use ratatui_core::style::{Color, Modifier};

/// Whether text gets colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Style {
    /// Whether it does.
    pub(crate) colour: bool,
}

/// What a colour stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Done and well.
    Good,
    /// Ended badly.
    Bad,
    /// Ended badly, and that is allowed; or stopped.
    Warn,
    /// Goes on.
    Live,
    /// Did not happen, or not yet.
    Faint,
    /// A heading.
    Strong,
    /// Everything else.
    Plain,
}

impl Tone {
    const fn ansi(self) -> &'static str {
        match self {
            Tone::Good => "\x1b[32m",
            Tone::Bad => "\x1b[31m",
            Tone::Warn => "\x1b[33m",
            Tone::Live => "\x1b[36m",
            Tone::Faint => "\x1b[2m",
            Tone::Strong => "\x1b[1m",
            Tone::Plain => "",
        }
    }

    /// The colour in pictures.
    pub(crate) const fn hex(self) -> &'static str {
        match self {
            Tone::Good => "#2da44e",
            Tone::Bad => "#cf222e",
            Tone::Warn => "#d4a72c",
            Tone::Live => "#218bff",
            Tone::Faint => "#afb8c1",
            Tone::Strong | Tone::Plain => "#24292f",
        }
    }
}

impl Style {
    /// A tone in the tree of a run.
    pub(crate) fn look(self, tone: Tone) -> ratatui_core::style::Style {
        let plain = ratatui_core::style::Style::new();
        match tone {
            _ if !self.colour => plain,
            Tone::Good => plain.fg(Color::Green),
            Tone::Bad => plain.fg(Color::Red),
            Tone::Warn => plain.fg(Color::Yellow),
            Tone::Live => plain.fg(Color::Cyan),
            Tone::Faint => plain.add_modifier(Modifier::DIM),
            Tone::Strong => plain.add_modifier(Modifier::BOLD),
            Tone::Plain => plain,
        }
    }

    /// Text in a tone.
    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        if self.colour && tone != Tone::Plain && !text.is_empty() {
            format!("{}{text}\x1b[0m", tone.ansi())
        } else {
            text.to_owned()
        }
    }
}

/// The tone of a step's or an instance's state.
pub(crate) const fn step_tone(state: StepState, allowed: bool) -> Tone {
    match state {
        StepState::Succeeded => Tone::Good,
        StepState::Running => Tone::Live,
        StepState::Waiting | StepState::Cancelled => Tone::Warn,
        StepState::Failed | StepState::Errored | StepState::TimedOut => {
            if allowed {
                Tone::Warn
            } else {
                Tone::Bad
            }
        }
        StepState::Pending | StepState::Queued | StepState::Skipped | StepState::Omitted => {
            Tone::Faint
        }
    }
}

/// The mark of a step's or an instance's state; running ones have a spinner in its place.
pub(crate) const fn step_mark(state: StepState, allowed: bool) -> &'static str {
    match state {
        StepState::Succeeded => "✓",
        StepState::Failed | StepState::Errored | StepState::TimedOut => {
            if allowed {
                "!"
            } else {
                "✗"
            }
        }
        StepState::Cancelled => "■",
        StepState::Skipped | StepState::Omitted => "-",
        StepState::Running => "▶",
        StepState::Waiting => "◷",
        StepState::Queued => "○",
        StepState::Pending => "·",
    }
}

/// The tone of a run's state.
pub(crate) const fn run_tone(state: RunState) -> Tone {
    match state {
        RunState::Succeeded => Tone::Good,
        RunState::Failed | RunState::Quarantined => Tone::Bad,
        RunState::Cancelled | RunState::Cancelling | RunState::Draining | RunState::Paused => {
            Tone::Warn
        }
        RunState::Queued => Tone::Faint,
        RunState::Running | RunState::Finishing => Tone::Live,
    }
}

/// The tone of an attempt; `None` while it goes on.
pub(crate) const fn attempt_tone(state: Option<AttemptState>) -> Tone {
    match state {
        None => Tone::Live,
        Some(AttemptState::Succeeded) => Tone::Good,
        Some(AttemptState::Lost | AttemptState::Cancelled) => Tone::Warn,
        Some(AttemptState::Failed | AttemptState::Errored | AttemptState::TimedOut) => Tone::Bad,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_come_only_where_they_are_wanted() {
        assert_eq!(Style { colour: false }.paint(Tone::Bad, "x"), "x");
        assert_eq!(
            Style { colour: true }.paint(Tone::Bad, "x"),
            "\x1b[31mx\x1b[0m"
        );
        assert_eq!(Style { colour: true }.paint(Tone::Plain, "x"), "x");
    }

    #[test]
    fn an_allowed_failure_does_not_look_like_a_failure() {
        let marks = [true, false].map(|allowed| step_mark(StepState::Failed, allowed));
        assert_ne!(marks[0], marks[1]);
        assert_eq!(step_tone(StepState::Failed, true), Tone::Warn);
    }
}
