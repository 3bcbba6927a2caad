//! Data directories whose disk is full, and damaged ones.
//!
//! A full disk is a limit on the size of files (RLIMIT_FSIZE): it takes no privilege, fails the same
//! calls, and goes away when a test says so.

use crate::engine::{GATED, Running, shown, start, text};
use crate::program::{conveyor, files};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use std::path::{Path, PathBuf};
use std::process::Command;

const RUN: [&str; 4] = ["run", "p.yaml", "--data-dir", "data"];

/// A directory with a pipeline and a store that has run it once, so that the journal has no room in
/// reserve. The gate is closed.
pub(crate) fn used() -> tempfile::TempDir {
    let dir = files(&[("p.yaml", GATED), ("go", "")]);
    let run = conveyor(dir.path(), &RUN);
    assert_eq!(run.status, 0, "{}", run.err);
    for name in ["go", "ran"] {
        std::fs::remove_file(dir.path().join(name)).expect("it is there");
    }
    dir
}

pub(crate) fn journal(dir: &Path) -> PathBuf {
    let entries = std::fs::read_dir(dir.join("data/store")).expect("it is there");
    let paths = entries.map(|entry| entry.expect("it is readable").path());
    paths
        .filter(|path| path.extension().is_some_and(|name| name == "jnl"))
        .max_by_key(|path| path.metadata().expect("it is there").len())
        .expect("there is a journal")
}

fn place(dir: &Path) -> String {
    let real = dir.join("data").canonicalize().expect("it is there");
    real.display().to_string()
}

/// No file of a process grows over this; `None` takes that away.
pub(crate) fn limit(process: u32, bytes: Option<u64>) {
    let pid = i32::try_from(process).ok().and_then(Pid::from_raw);
    let maximum = getrlimit(Resource::Fsize).maximum;
    let current = bytes.or(maximum);
    let limit = Rlimit { current, maximum };
    prlimit(pid, Resource::Fsize, limit).expect("it is a child of ours");
}

/// A run that is told to go on, and whose disk has no room for that.
fn filled(dir: &Path) -> (Running, String) {
    let mut running = start(dir, &RUN);
    let run = running.run();
    running.until("second | waiting");
    let full = journal(dir).metadata().expect("it is there").len();
    limit(running.pid(), Some(full));
    std::fs::write(dir.join("go"), "").expect("it is writable");
    (running, run)
}

#[test]
fn a_run_waits_for_space_and_goes_on() {
    let dir = used();
    let (mut running, run) = filled(dir.path());
    let line = running.until("the store cannot write");
    for part in ["no space is left", "make space", &place(dir.path())] {
        assert!(line.contains(part), "{line}");
    }
    // What was acknowledged is read meanwhile, and nothing that was not is shown.
    let view = shown(dir.path(), &run);
    assert_eq!(view["steps"][0]["state"], "succeeded");
    assert_eq!(view["steps"][1]["state"], "running");
    // What comes now is refused, and says why.
    let other = conveyor(dir.path(), &RUN);
    assert_eq!(other.status, 2, "{}", other.err);
    assert!(other.err.contains("no space is left"), "{}", other.err);

    limit(running.pid(), None);
    let ended = running.ended();
    assert_eq!(ended.status, 0, "{}", ended.err);
    assert!(
        ended.err.contains("the store writes again"),
        "{}",
        ended.err
    );
    let ran = text(&dir.path().join("ran"));
    assert_eq!(ran, "first\nsecond 1\nthird\nbye\n", "no step ran twice");
    assert_eq!(attempts(dir.path(), &run), ["succeeded"]);
}

#[test]
fn a_run_that_is_killed_on_a_full_disk_goes_on_later() {
    let dir = used();
    let (mut running, run) = filled(dir.path());
    running.until("the store cannot write");
    running.kill();
    let again = ["run", "--continue", &run, "--data-dir", "data"];
    let again = conveyor(dir.path(), &again);
    assert_eq!(again.status, 0, "{}", again.err);
    let ran = text(&dir.path().join("ran"));
    // Its end was never acknowledged, so the second step has another attempt.
    assert_eq!(ran, "first\nsecond 1\nsecond 2\nthird\nbye\n");
    assert_eq!(attempts(dir.path(), &run), ["lost", "succeeded"]);
}

fn attempts(dir: &Path, run: &str) -> Vec<String> {
    let view = shown(dir, run);
    let attempts = &view["steps"][1]["instances"][0]["attempts"];
    let attempts = attempts.as_array().expect("a list").iter();
    let states = attempts.map(|attempt| attempt["state"].as_str().expect("a text").to_owned());
    states.collect()
}

#[test]
fn a_run_that_finds_the_disk_full_is_refused() {
    let dir = used();
    std::fs::write(dir.path().join("go"), "").expect("it is writable");
    for data in ["data", "new"] {
        let output = Command::new("sh")
            .args([
                "-c",
                r#"ulimit -S -f 0; exec "$0" run p.yaml --data-dir "$1""#,
            ])
            .args([env!("CARGO_BIN_EXE_conveyor"), data])
            .current_dir(dir.path())
            .output()
            .expect("there is a shell");
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{err}");
        let real = dir.path().canonicalize().expect("it is there").join(data);
        for part in ["no space is left", &real.display().to_string()] {
            assert!(err.contains(part), "{data}: {err}");
        }
        assert!(!dir.path().join("ran").exists(), "{data}: a step ran");
    }
    for data in ["data", "new"] {
        let run = conveyor(dir.path(), &["run", "p.yaml", "--data-dir", data]);
        assert_eq!(run.status, 0, "there is space again: {}", run.err);
    }
}

#[test]
fn a_damaged_store_is_refused_with_its_file_and_advice() {
    let dir = used();
    for name in ["keyspaces/1/v0", "keyspaces/0/tables/0", "version"] {
        let file = dir.path().join("data/store").join(name);
        let whole = std::fs::read(&file).expect("it is there");
        let mut damaged = whole.clone();
        damaged[0] ^= 1;
        std::fs::write(&file, &damaged).expect("it is writable");
        let list = conveyor(dir.path(), &["runs", "list", "--data-dir", "data"]);
        assert_eq!(list.status, 2, "{name}: {}", list.err);
        let wanted = format!("{}/store/{name}", place(dir.path()));
        for part in [
            "stored data is damaged",
            "from a backup, or move it away",
            &wanted,
        ] {
            assert!(list.err.contains(part), "{name}: {}", list.err);
        }
        assert_eq!(list.err.lines().count(), 1, "{}", list.err);
        assert!(
            std::fs::read(&file).expect("it is there") == damaged,
            "{name}"
        );
        std::fs::write(&file, whole).expect("it is writable");
    }
    let list = conveyor(dir.path(), &["runs", "list", "--data-dir", "data"]);
    assert!(list.out.contains("succeeded"), "{}", list.err);
}

#[test]
fn a_commit_that_a_crash_left_unfinished_is_told() {
    let dir = used();
    let journal = journal(dir.path());
    let mut bytes = std::fs::read(&journal).expect("it is there");
    bytes.extend([1; 100]);
    std::fs::write(&journal, bytes).expect("it is writable");
    let list = || conveyor(dir.path(), &["runs", "list", "--data-dir", "data"]);
    let (first, second) = (list(), list());
    assert_eq!((first.status, second.status), (0, 0), "{}", first.err);
    let kept = format!("kept in {}/store.torn", place(dir.path()));
    for part in [&journal.display().to_string(), "100 bytes at", &kept] {
        assert!(first.err.contains(part), "{}", first.err);
    }
    assert_eq!(first.out, second.out);
    assert_eq!(second.err, "", "it is cut off once");
}

#[test]
fn a_newer_directory_names_both_formats() {
    let dir = used();
    let format = "conveyor data directory, format 99\n";
    std::fs::write(dir.path().join("data/format"), format).expect("it is writable");
    let list = conveyor(dir.path(), &["runs", "list", "--data-dir", "data"]);
    assert_eq!(list.status, 2, "{}", list.err);
    for part in [
        "has format 99",
        "formats up to 1",
        "newer program",
        &place(dir.path()),
    ] {
        assert!(list.err.contains(part), "{}", list.err);
    }
}
