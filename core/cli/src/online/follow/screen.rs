//! Where progress goes.

use super::super::now;
use crate::args::Progress;
use crate::render::progress::{Frame, Live, line};
use crate::render::style::Style;
use crate::render::view::{ProgressEvent, RunView};
use crate::terminal::{self, Fitting, Notices};
use std::io::Stderr;

/// Where progress goes.
pub(super) enum Screen {
    Tree(Box<Live<Fitting<Stderr>>>, Notices),
    Plain(Style),
    Nothing,
}

impl Screen {
    pub(super) fn new(progress: Progress) -> Screen {
        let style = Style {
            colour: terminal::colours_err(),
        };
        match progress {
            Progress::Tree => {
                let live = Live::new(terminal::stderr(), style);
                Screen::Tree(Box::new(live), Notices::divert())
            }
            Progress::None => Screen::Nothing,
            Progress::Plain | Progress::Auto => Screen::Plain(style),
        }
    }

    pub(super) fn draws(&self) -> bool {
        matches!(self, Screen::Tree(..))
    }

    pub(super) fn show(&mut self, view: &RunView, event: &ProgressEvent) {
        match self {
            Screen::Tree(live, _) => live.take(event),
            Screen::Plain(style) => {
                if let Some(line) = line(view, event, *style) {
                    terminal::print_err(&format!("{line}\n"));
                }
            }
            Screen::Nothing => {}
        }
    }

    pub(super) fn draw(&mut self, view: &RunView) {
        if let Screen::Tree(live, _) = self {
            // A terminal that cannot be written is no reason to stop a run.
            let _ = live.draw(view, frame());
        }
    }

    /// What the rest of the program says while a tree is drawn; never, where none is.
    pub(super) async fn notice(&mut self) -> String {
        match self {
            Screen::Tree(_, notices) => notices.next().await,
            Screen::Plain(_) | Screen::Nothing => std::future::pending().await,
        }
    }

    /// Shows a notice above the tree.
    pub(super) fn say(&mut self, notice: &str, view: &RunView) {
        match self {
            Screen::Tree(live, _) => {
                let _ = live.say(notice, view, frame());
            }
            Screen::Plain(_) | Screen::Nothing => terminal::print_err(notice),
        }
    }

    /// Takes the tree away, and says what was not shown yet.
    pub(super) fn clear(&mut self) {
        if let Screen::Tree(mut live, notices) = std::mem::replace(self, Screen::Nothing) {
            let _ = live.clear();
            drop(notices);
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
