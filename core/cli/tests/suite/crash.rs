//! A process that is killed, and what becomes of its runs.

use crate::engine::{GATED, shown, start, text};
use crate::program::{conveyor, files};

#[test]
fn a_killed_run_goes_on_where_it_was() {
    let dir = files(&[("p.yaml", GATED)]);
    let mut first = start(dir.path(), &["run", "p.yaml", "--data-dir", "data"]);
    let run = first.run();
    first.until("second | waiting");
    first.kill();

    let list = conveyor(dir.path(), &["runs", "list", "--data-dir", "data"]);
    assert!(list.out.contains("interrupted"), "{}", list.out);
    let listed = [
        "runs",
        "list",
        "--state",
        "interrupted",
        "--data-dir",
        "data",
        "-o",
        "json",
    ];
    let listed = conveyor(dir.path(), &listed);
    let listed: serde_json::Value = serde_json::from_str(&listed.out).expect("it is JSON");
    assert_eq!(listed[0]["id"], run.as_str());
    assert_eq!(
        text(&dir.path().join("ran")),
        "first\nsecond 1\n",
        "listing moves nothing"
    );

    let again = ["run", "--continue", run.as_str(), "--data-dir", "data"];
    let again = conveyor(dir.path(), &again);
    assert_eq!(again.status, 0, "{}{}", again.out, again.err);
    assert!(
        !again.err.contains("first running"),
        "old events are not told again: {}",
        again.err
    );
    let ran = "first\nsecond 1\nsecond 2\nthird\nbye\n";
    assert_eq!(
        text(&dir.path().join("ran")),
        ran,
        "a finished step is not run again"
    );
    let view = shown(dir.path(), &run);
    let attempts = view["steps"][1]["instances"][0]["attempts"]
        .as_array()
        .expect("a list");
    let states: Vec<_> = attempts
        .iter()
        .map(|attempt| attempt["state"].clone())
        .collect();
    assert_eq!(states, ["lost", "succeeded"]);
    assert!(again.err.contains("second | waiting"), "{}", again.err);
}

#[test]
fn another_run_leaves_an_interrupted_one_alone() {
    let dir = files(&[("p.yaml", GATED)]);
    let mut first = start(dir.path(), &["run", "p.yaml", "--data-dir", "data"]);
    let run = first.run();
    first.until("second | waiting");
    first.kill();
    std::fs::write(dir.path().join("go"), "").expect("it is writable");
    let other = conveyor(dir.path(), &["run", "p.yaml", "--data-dir", "data"]);
    assert_eq!(other.status, 0, "{}", other.err);
    assert_eq!(shown(dir.path(), &run)["interrupted"], true);
    let cancel = conveyor(dir.path(), &["cancel", &run, "--data-dir", "data"]);
    assert_eq!(cancel.status, 0, "{}", cancel.err);
    assert_eq!(
        shown(dir.path(), &run)["state"],
        "cancelled",
        "a stop ends it, `finally` and all"
    );
}
