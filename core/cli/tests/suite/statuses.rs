//! Exit statuses: what the help and the documentation say of them, and what happens.

use crate::engine::{GATED, start};
use crate::program::{conveyor, files, root};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::path::Path;

const RUN: &[&str] = &["run", "p.yaml", "--data-dir", "data"];

fn succeeded(dir: &Path) -> i32 {
    conveyor(dir, &["check", "p.yaml"]).status
}

fn failed(dir: &Path) -> i32 {
    let document = GATED.replace("echo first >>ran", "exit 7");
    std::fs::write(dir.join("bad.yaml"), document).expect("it is writable");
    conveyor(dir, &["run", "bad.yaml", "--data-dir", "data"]).status
}

fn refused(dir: &Path) -> i32 {
    conveyor(dir, &["run", "gone.yaml", "--data-dir", "data"]).status
}

/// The process that moves a run is killed; the one that asked it is told.
fn gone(dir: &Path) -> i32 {
    let mut holder = start(dir, RUN);
    holder.until("second | waiting");
    let mut beside = start(dir, RUN);
    beside.until("second | waiting");
    holder.kill();
    beside.ended().status
}

fn cancelled(dir: &Path) -> i32 {
    let mut run = start(dir, RUN);
    run.until("second | waiting");
    run.signal(Signal::INT);
    run.ended().status
}

/// The numbers that a text tells, each with its meaning.
fn told<'a>(rows: impl Iterator<Item = (&'a str, &'a str)>) -> BTreeMap<i32, String> {
    rows.filter_map(|(number, meaning)| {
        Some((number.trim().parse().ok()?, meaning.trim().to_owned()))
    })
    .collect()
}

#[test]
fn every_exit_status_that_is_told_happens_and_no_other() {
    type Case = fn(&Path) -> i32;
    let cases: [(i32, Case); 5] = [
        (0, succeeded),
        (1, failed),
        (2, refused),
        (3, gone),
        (130, cancelled),
    ];
    for (status, case) in cases {
        let dir = files(&[("p.yaml", GATED)]);
        assert_eq!(case(dir.path()), status);
    }
    let numbers: Vec<_> = cases.iter().map(|(status, _)| *status).collect();

    let docs = std::fs::read_to_string(root().join("docs/command-line.md")).expect("it is there");
    let rows = docs.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        Some((cells.next()?, cells.next()?))
    });
    let documented = told(rows);
    assert_eq!(documented.keys().copied().collect::<Vec<_>>(), numbers);

    // The help says the same, in fewer words.
    let help = conveyor(&root(), &["--help"]).out;
    let (_, statuses) = help.split_once("Exit status:\n").expect("it tells them");
    let statuses = statuses.split("\n\n").next().unwrap_or_default();
    let rows = statuses
        .lines()
        .filter_map(|line| line.trim().split_once(' '));
    let helped = told(rows);
    assert_eq!(
        helped.keys().copied().collect::<Vec<_>>(),
        numbers,
        "{help}"
    );
    for (number, meaning) in &helped {
        assert!(
            documented[number].starts_with(meaning.as_str()),
            "{number}: {meaning} / {}",
            documented[number]
        );
    }
    let run = conveyor(&root(), &["run", "--help"]).out;
    let (_, statuses) = run.split_once("Exit status: ").expect("it tells them");
    let statuses = statuses.split_whitespace().collect::<Vec<_>>().join(" ");
    let rows = statuses.trim_end_matches('.').split(", ");
    let of_run = told(rows.filter_map(|one| one.split_once(' ')));
    assert_eq!(of_run.keys().copied().collect::<Vec<_>>(), numbers, "{run}");
}
