//! Where progress goes.

use super::super::now;
use crate::args::Progress;
use crate::render::progress::{Frame, Live, line};
use crate::render::style::Style;
use crate::render::view::{ProgressEvent, RunView};
use crate::terminal::{self, Fitting};
use std::io::Stderr;

/// Where progress goes.
pub(super) enum Screen {
    Tree(Box<Live<Fitting<Stderr>>>),
    Plain(Style),
    Nothing,
}

impl Screen {
    pub(super) fn new(progress: Progress) -> Screen {
        let style = Style {
            colour: terminal::colours_err(),
        };
        match progress {
            Progress::Tree => Screen::Tree(Box::new(Live::new(terminal::stderr(), style))),
            Progress::None => Screen::Nothing,
            Progress::Plain | Progress::Auto => Screen::Plain(style),
        }
    }

    pub(super) fn draws(&self) -> bool {
        matches!(self, Screen::Tree(_))
    }

    pub(super) fn show(&mut self, view: &RunView, event: &ProgressEvent) {
        match self {
            Screen::Tree(live) => live.take(event),
            Screen::Plain(style) => {
                if let Some(line) = line(view, event, *style) {
                    terminal::print_err(&format!("{line}\n"));
                }
            }
            Screen::Nothing => {}
        }
    }

    pub(super) fn draw(&mut self, view: &RunView) {
        if let Screen::Tree(live) = self {
            // A terminal that cannot be written is no reason to stop a run.
            let _ = live.draw(view, frame());
        }
    }

    pub(super) fn say(&mut self, message: &str, view: &RunView) {
        let notice = format!("conveyor: {message}\n");
        match self {
            Screen::Tree(live) => {
                let _ = live.say(&notice, view, frame());
            }
            Screen::Plain(_) | Screen::Nothing => terminal::print_err(&notice),
        }
    }

    pub(super) fn clear(&mut self) {
        if let Screen::Tree(live) = self {
            let _ = live.clear();
        }
    }
}

/// What a tree is drawn into now. The cursor stands under it.
fn frame() -> Frame {
    let (width, height) = terminal::size().unwrap_or((80, 24));
    Frame {
        width,
        height: height.saturating_sub(1).max(1),
        now: now(),
        turn: 0,
    }
}
