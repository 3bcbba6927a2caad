//! How far it is, while it runs: a line that stays on a terminal, a line now and then elsewhere.

use conveyor_conformance::{Outcome, RunName, Standing};
use std::io::{IsTerminal as _, Write as _, stderr};
use std::time::{Duration, Instant};

/// How often it is told where nobody watches.
const QUIET: Duration = Duration::from_secs(10);

/// Counts, and tells.
pub(super) struct Progress {
    terminal: bool,
    began: Instant,
    told: Instant,
    done: usize,
    failed: usize,
}

impl Progress {
    pub(super) fn new() -> Progress {
        let now = Instant::now();
        Progress {
            terminal: stderr().is_terminal(),
            began: now,
            told: now,
            done: 0,
            failed: 0,
        }
    }

    /// One more of so many.
    pub(super) fn tell(&mut self, outcome: &Outcome, of: usize) {
        self.done += 1;
        if matches!(
            outcome.standing(),
            Standing::Failed | Standing::PassedThoughKnown
        ) {
            self.failed += 1;
        }
        if !self.terminal && self.told.elapsed() < QUIET {
            return;
        }
        self.told = Instant::now();
        let line = format!(
            "{} of {of}, {} failed, {} s: {}",
            self.done,
            self.failed,
            self.began.elapsed().as_secs(),
            outcome.run
        );
        match self.terminal {
            // Longer lines would not be taken back whole.
            true => {
                let line: String = line.chars().take(78).collect();
                eprint!("\r\x1b[K{line}");
                let _ = stderr().flush();
            }
            false => eprintln!("{line}"),
        }
    }

    /// The driver, which somebody else starts, has not come back yet.
    pub(super) fn waits(&self, run: &RunName) {
        if self.terminal {
            eprint!("\r\x1b[K");
        }
        eprintln!("the suite is waiting for the driver again: {run}");
    }

    /// Nothing is told any more.
    pub(super) fn end(&self) {
        if self.terminal {
            eprint!("\r\x1b[K");
            let _ = stderr().flush();
        }
    }
}
