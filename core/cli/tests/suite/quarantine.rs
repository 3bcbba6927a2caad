//! Runs whose journal does not fold: set aside, looked at, released or ended.

use crate::engine::{GATED, shown, start, text};
use crate::program::{Ended, conveyor, files};
use crate::site::Background;
use conveyor_node::{RunId, keys};
use conveyor_store::{Access, DataDir, Direction, Embedded, KeyRange, Store as _, Transaction};
use std::path::Path;
use std::process::Command;

/// Does something with the store of a directory that no process holds.
fn store<T>(dir: &Path, work: impl FnOnce(&Embedded) -> T) -> T {
    let data = DataDir::open(dir.join("data"), Access::Existing).expect("nobody holds it");
    work(&Embedded::open(data).expect("it opens"))
}

fn put(dir: &Path, key: &[u8], value: Vec<u8>) {
    let mut transaction = Transaction::new();
    transaction.put(key.to_vec(), value);
    store(dir, |store| store.commit(&transaction)).expect("it is written");
}

/// Runs until the second step waits, is killed, and has its last record changed: its digest, as if
/// this release folded it to something else than the one that wrote it. The run, and the record as it was.
fn broken(dir: &Path) -> (String, (Vec<u8>, Vec<u8>)) {
    let mut first = start(dir, &["run", "p.yaml", "--data-dir", "data"]);
    let run = first.run();
    first.until("second | waiting");
    first.kill();
    let id = RunId::parse(&run).expect("it is an id");
    let range = KeyRange::prefix(keys::records(id));
    let last = store(dir, |store| store.scan(&range, Direction::Reverse, 1));
    let (key, value) = last.expect("it is read").entries.remove(0);
    let mut changed = value.to_vec();
    *changed.last_mut().expect("it has bytes") ^= 1;
    put(dir, &key, changed);
    (run, (key.to_vec(), value.to_vec()))
}

fn tell(dir: &Path, args: &[&str]) -> Ended {
    conveyor(dir, &[args, &["--data-dir", "data"]].concat())
}

#[test]
fn a_run_that_does_not_fold_is_shown_with_its_reason_and_goes_on_once_it_is_released() {
    let dir = files(&[("p.yaml", GATED)]);
    let dir = dir.path();
    let (run, (key, journal)) = broken(dir);
    // Looking at it changes nothing.
    let show = || tell(dir, &["runs", "show", &run]);
    for _ in 0..2 {
        let show = show();
        assert_eq!(show.status, 0, "{}", show.err);
        let told = "the run does not fold, and will be quarantined by whoever moves it. At record ";
        assert!(show.err.contains(told), "{}", show.err);
        assert!(show.out.contains("interrupted"), "{}", show.out);
    }
    for refused in [
        &["run", "--continue", &run][..],
        &["runs", "release", &run],
        &["cancel", &run],
    ] {
        let ended = tell(dir, refused);
        assert_eq!(ended.status, 2, "{refused:?}: {}", ended.err);
        let why = format!("run {run} is quarantined");
        assert!(ended.err.contains(&why), "{refused:?}: {}", ended.err);
    }
    let list = tell(dir, &["runs", "list", "--state", "quarantined"]);
    assert!(list.out.contains(&run), "{}", list.out);
    let advice = format!("`conveyor runs release {run}` folds it again");
    for part in ["is quarantined", "digest", &advice] {
        let show = show();
        assert!(show.err.contains(part), "no `{part}` in: {}", show.err);
    }
    let mark = &shown(dir, &run)["quarantine"];
    assert_ne!(mark["recorded_digest"], mark["folded_digest"], "{mark}");
    // Others are not touched by it.
    std::fs::write(dir.join("go"), "").expect("it is writable");
    assert_eq!(tell(dir, &["run", "p.yaml"]).status, 0);
    // A server that starts with it moves none.
    let mut serve = Command::new(env!("CARGO_BIN_EXE_conveyor"));
    serve
        .args(["serve", "--data-dir", "data", "--listen", "127.0.0.1:0"])
        .env("NO_COLOR", "1")
        .current_dir(dir);
    let mut server = Background::start(&mut serve);
    server.line(&["listening"]);
    let doctor = tell(dir, &["doctor"]);
    assert!(doctor.out.contains(", 0 live runs"), "{}", doctor.out);
    server.signal(rustix::process::Signal::TERM);
    server.line(&["ended: no run is live"]);
    assert_eq!(server.end(), 0);

    // What a release does that folds it as the one that wrote it.
    put(dir, &key, journal);
    let before = text(&dir.join("ran")).len();
    let release = tell(dir, &["runs", "release", &run, "-o", "json"]);
    assert_eq!(release.status, 0, "{}", release.err);
    let told: serde_json::Value = serde_json::from_str(&release.out).expect("it is JSON");
    assert_eq!(
        (&told["id"], &told["state"]),
        (&run.as_str().into(), &"running".into())
    );
    assert_eq!(
        shown(dir, &run)["state"],
        "succeeded",
        "who released it moved it to its end"
    );
    assert_eq!(&text(&dir.join("ran"))[before..], "second 2\nthird\nbye\n");
    let changes = changes(dir, &run);
    for wanted in [("running", "quarantined"), ("quarantined", "running")] {
        let found = changes
            .iter()
            .any(|(from, to)| (&from[..], &to[..]) == wanted);
        assert!(found, "no {wanted:?} among {changes:?}");
    }
    assert_eq!(changes.last().map(|(_, to)| to.as_str()), Some("succeeded"));
}

/// The changes of a run's state that followers of its namespace are told.
fn changes(dir: &Path, run: &str) -> Vec<(String, String)> {
    let events = tell(dir, &["events", "-o", "json"]);
    assert_eq!(events.status, 0, "{}", events.err);
    let events = events.out.lines();
    let events = events.map(|line| serde_json::from_str(line).expect("it is JSON"));
    let of_run = events.filter(|event: &serde_json::Value| event["run"] == *run);
    let word = |word: &serde_json::Value| word.as_str().unwrap_or_default().to_owned();
    of_run
        .map(|event| (word(&event["from"]), word(&event["to"])))
        .collect()
}

#[test]
fn a_run_that_does_not_fold_can_be_ended() {
    let dir = files(&[("p.yaml", GATED)]);
    let dir = dir.path();
    let (run, _) = broken(dir);
    assert_eq!(tell(dir, &["run", "--continue", &run]).status, 2);
    let end = tell(
        dir,
        &[
            "terminate",
            &run,
            "--reason",
            "no release will fold it",
            "-o",
            "yaml",
        ],
    );
    assert_eq!(end.status, 0, "{}", end.err);
    assert!(end.out.contains("state: cancelled"), "{}", end.out);
    let list = tell(dir, &["runs", "list", "--state", "cancelled"]);
    assert!(
        list.out.contains(&run) && list.out.contains("no release will fold it"),
        "{}",
        list.out
    );
    let again = tell(dir, &["terminate", &run]);
    assert_eq!(
        again.status, 0,
        "repeating it changes nothing: {}",
        again.err
    );
    let last = changes(dir, &run).pop().expect("there are some");
    assert_eq!(last, ("quarantined".to_owned(), "cancelled".to_owned()));
}
