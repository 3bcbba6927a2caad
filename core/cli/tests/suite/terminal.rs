//! What a person at a terminal sees.

use crate::disk::{journal, limit, used};
use crate::engine::{Deadline, GATED, shown};
use crate::program::files;
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::num::NonZero;
use std::path::Path;
use std::process::{Child, Command, Stdio};

const COLUMNS: u16 = 80;
const ROWS: u16 = 24;

/// The program at a terminal of its own. It is killed with the value.
struct AtTerminal {
    _deadline: Deadline,
    child: Child,
    keyboard: File,
    screen: vt100::Parser,
    written: Vec<u8>,
}

impl AtTerminal {
    fn start(dir: &Path, args: &[&str], environment: &[(&str, &str)]) -> AtTerminal {
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&keyboard).expect("it is ours");
        unlockpt(&keyboard).expect("it is ours");
        let name = ptsname(&keyboard, Vec::new()).expect("it has a name");
        let name = name.into_string().expect("UTF-8");
        let open = || OpenOptions::new().read(true).write(true).open(&name);
        let out = open().expect("the terminal opens");
        let size = Winsize {
            ws_col: COLUMNS,
            ws_row: ROWS,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&out, size).expect("it has a size");
        let child = Command::new(env!("CARGO_BIN_EXE_conveyor"))
            .args(args)
            .current_dir(dir)
            .env_remove("NO_COLOR")
            .env("TERM", "xterm-256color")
            .env("LC_ALL", "C.UTF-8")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(out.try_clone().expect("it can be shared"))
            .stderr(out)
            .spawn()
            .expect("the program starts");
        let [rows, columns] = [ROWS, COLUMNS].map(|n| NonZero::new(n).expect("not zero"));
        AtTerminal {
            _deadline: Deadline::of(&child),
            child,
            keyboard: File::from(keyboard),
            screen: vt100::Parser::new(rows, columns, 0),
            written: Vec::new(),
        }
    }

    /// Reads on; false at the end, when nobody has the terminal open any more.
    fn read(&mut self) -> bool {
        let mut bytes = [0; 4096];
        let Ok(count @ 1..) = self.keyboard.read(&mut bytes) else {
            return false;
        };
        self.screen.process(&bytes[..count]);
        self.written.extend_from_slice(&bytes[..count]);
        true
    }

    /// Reads until the screen shows this.
    fn until(&mut self, wanted: &str) -> String {
        self.until_is(wanted, |screen| screen.contains(wanted))
    }

    /// Reads until the screen is so.
    fn until_is(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        loop {
            let contents = self.screen.screen().contents();
            if wanted(&contents) {
                return contents;
            }
            assert!(self.read(), "`{what}` never came:\n{contents}");
        }
    }

    fn interrupt(&self) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::INT).expect("it lives");
    }

    /// Reads to the end; the exit status, and what the screen shows.
    fn ended(mut self) -> (i32, String, Vec<u8>) {
        while self.read() {}
        let status = self.child.wait().expect("it ends").code();
        let screen = self.screen.screen();
        assert!(!screen.hide_cursor(), "the cursor is shown");
        let (row, column) = screen.cursor_position();
        assert!(column == 0 && row > 0, "the cursor is under what was said");
        let written = std::mem::take(&mut self.written);
        (
            status.expect("no signal ended it"),
            screen.contents(),
            written,
        )
    }
}

impl Drop for AtTerminal {
    fn drop(&mut self) {
        // It has ended, unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const RUN: &[&str] = &["run", "p.yaml", "--data-dir", "data"];

#[test]
fn a_tree_is_drawn_while_the_run_goes_on_and_gone_after() {
    let dir = files(&[("p.yaml", GATED)]);
    let mut run = AtTerminal::start(dir.path(), RUN, &[]);
    let drawn = run.until("│ waiting");
    for wanted in ["gated  running  1/4 steps", "✓ first", "second", "· third"] {
        assert!(drawn.contains(wanted), "no `{wanted}` in:\n{drawn}");
    }
    std::fs::write(dir.path().join("go"), "").expect("it is writable");
    let (status, screen, written) = run.ended();
    assert_eq!(status, 0, "{screen}");
    assert!(!screen.contains("running"), "{screen}");
    assert!(screen.contains("✓ third   succeeded"), "{screen}");
    let written = String::from_utf8(written).expect("UTF-8");
    assert!(written.contains("\x1b[32m"), "it has colours");
}

#[test]
fn a_warning_stands_above_the_tree_and_stays() {
    let dir = used();
    let mut run = AtTerminal::start(dir.path(), RUN, &[]);
    run.until("│ waiting");
    let full = journal(dir.path()).metadata().expect("it is there").len();
    limit(run.child.id(), Some(full));
    std::fs::write(dir.path().join("go"), "").expect("it is writable");
    run.until("warning: the store cannot write");
    // The tree is drawn again under it, whole.
    let drawn = run.until_is("a tree under the warning", |screen| {
        let (said, tree) = screen.split_once("gated  running").unwrap_or((screen, ""));
        said.contains("warning: the store cannot write") && tree.contains("· third")
    });
    assert_eq!(drawn.matches("gated  running").count(), 1, "{drawn}");
    limit(run.child.id(), None);
    let (status, screen, _) = run.ended();
    assert_eq!(status, 0, "{screen}");
    for wanted in [
        "cannot write",
        "the store writes again",
        "✓ third   succeeded",
    ] {
        assert!(screen.contains(wanted), "no `{wanted}` in:\n{screen}");
    }
    assert!(!screen.contains("gated  running"), "{screen}");
}

#[test]
fn one_interrupt_cancels_and_says_how_to_terminate() {
    let dir = files(&[("p.yaml", GATED)]);
    let mut run = AtTerminal::start(dir.path(), RUN, &[]);
    run.until("│ waiting");
    run.interrupt();
    run.until("Ctrl-C again terminates the run");
    let (status, screen, _) = run.ended();
    assert_eq!(status, 130, "{screen}");
    assert!(screen.contains("✓ bye     succeeded"), "{screen}");
}

#[test]
fn two_interrupts_terminate_and_nothing_more_runs() {
    let document = GATED.replace("while [", "trap '' TERM; while [");
    let dir = files(&[("p.yaml", &document)]);
    let mut run = AtTerminal::start(dir.path(), RUN, &[]);
    run.until("│ waiting");
    run.interrupt();
    // The step does not listen, so the run is still cancelling.
    run.until("Ctrl-C again terminates the run");
    run.interrupt();
    run.until("conveyor: terminating");
    let (status, screen, _) = run.ended();
    assert_eq!(status, 130, "{screen}");
    let view = shown(dir.path(), "latest");
    assert_eq!(view["steps"][3]["state"], "cancelled", "{screen}");
}

#[test]
fn no_colour_means_a_tree_without_colours() {
    let dir = files(&[("p.yaml", GATED), ("go", "")]);
    let run = AtTerminal::start(dir.path(), RUN, &[("NO_COLOR", "1")]);
    let (status, screen, written) = run.ended();
    assert_eq!(status, 0, "{screen}");
    let written = String::from_utf8(written).expect("UTF-8");
    assert!(
        written.contains('⠋') || written.contains('⠙'),
        "a tree was drawn"
    );
    // Colours and weights are sequences that end in `m`.
    let coloured = written.split("\x1b[").skip(1).find(|sequence| {
        sequence
            .trim_start_matches(|c: char| c.is_ascii_digit() || c == ';' || c == '?')
            .starts_with('m')
    });
    assert_eq!(coloured, None);
}

#[test]
fn a_dumb_terminal_gets_lines() {
    let dir = files(&[("p.yaml", GATED), ("go", "")]);
    let run = AtTerminal::start(dir.path(), RUN, &[("TERM", "dumb")]);
    let (status, screen, written) = run.ended();
    assert_eq!(status, 0, "{screen}");
    assert!(!written.contains(&0x1b), "{screen}");
    assert!(screen.contains("second | waiting"), "{screen}");
    assert!(screen.contains(" first succeeded in "), "{screen}");
}

#[test]
fn a_locale_that_is_not_utf_8_gets_ascii() {
    let document = GATED.replace("echo waiting", "echo 'waiting für ě'");
    let dir = files(&[("p.yaml", &document)]);
    let mut run = AtTerminal::start(dir.path(), RUN, &[("LC_ALL", "POSIX")]);
    let drawn = run.until("| waiting f?r ?");
    for wanted in ["gated  running  1/4 steps", "+ first", "second", ". third"] {
        assert!(drawn.contains(wanted), "no `{wanted}` in:\n{drawn}");
    }
    std::fs::write(dir.path().join("go"), "").expect("it is writable");
    let (status, screen, written) = run.ended();
    assert_eq!(status, 0, "{screen}");
    assert!(screen.contains("+ third   succeeded"), "{screen}");
    assert!(written.is_ascii());
}

#[test]
fn a_termination_leaves_the_terminal_as_it_was() {
    let dir = files(&[("p.yaml", GATED)]);
    let mut run = AtTerminal::start(dir.path(), RUN, &[]);
    run.until("│ waiting");
    kill_process(Pid::from_child(&run.child), Signal::TERM).expect("it lives");
    run.until("`conveyor` was told to end (SIGTERM): cancelling; `finally` runs.");
    // The cursor is looked at there.
    let (status, screen, _) = run.ended();
    assert_eq!(status, 130, "{screen}");
    assert!(screen.contains("■ second  cancelled"), "{screen}");
}
