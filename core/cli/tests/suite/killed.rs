//! `conveyor run` killed with SIGKILL beside its syncs and at any other time, and continued until it
//! ends. Its steps write down who started and who ended.

use crate::engine::{shown, text};
use crate::killpoint::library;
use crate::program::{conveyor, files};
use crate::tally;
use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Two kinds of steps, a fan-out, outputs that go on, and a `finally`. Each attempt writes one line
/// when it starts and one when it ends; so short a line is appended whole.
const PIPELINE: &str = "\
apiVersion: conveyor/v1
kind: Pipeline
metadata: {name: killed}
spec:
  vars: {mark: &mark 'who=\"$CONVEYOR_STEP $CONVEYOR_INSTANCE $CONVEYOR_ATTEMPT\"; echo \"start $who\" >>ran; echo at=$CONVEYOR_ATTEMPT >$CONVEYOR_OUTPUT; echo \"end $who\" >>ran'}
  steps:
    - {id: a, driver: exec, with: {run: *mark}}
    - {id: b, needs: [a], driver: exec, foreach: {items: '${{ lists.range(3) }}'}, with: {run: *mark}}
    - {id: c, needs: [b], driver: exec, with: {run: *mark}}
    - {id: d, needs: [c], driver: exec, with: {run: *mark}}
  finally:
    - {id: bye, driver: exec, with: {run: *mark}}
";

/// Sets the random moments at which runs are killed.
const SEED: &str = "CONVEYOR_KILLED_SEED";

/// How often each of the two ways kills.
const KILLS: u64 = 25;
/// A run that needs more continuations than this does not come to its end.
const CONTINUED: u32 = 40;
/// So much longer than any run takes that it can only hang.
const HANGS: Duration = Duration::from_secs(30);

/// When a process is killed.
enum Kill {
    /// `CONVEYOR_KILLPOINT`.
    Sync(String),
    /// After so long.
    After(Duration),
    Never,
}

/// Runs the program until it ends or is killed.
fn live(dir: &Path, args: &[&str], kill: &Kill) -> ExitStatus {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conveyor"));
    command
        .args(args)
        .args(["--data-dir", "data", "--capacity", "2"])
        .current_dir(dir)
        .env("LD_PRELOAD", library())
        .env("CONVEYOR_KILLPOINT_COUNT", dir.join("count"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if let Kill::Sync(point) = kill {
        command.env("CONVEYOR_KILLPOINT", point);
    }
    let mut child = command.spawn().expect("the program starts");
    let started = Instant::now();
    if let Kill::After(after) = kill {
        // The moment itself is what is tested.
        while started.elapsed() < *after {
            if let Some(status) = child.try_wait().expect("it is this test's own") {
                return status;
            }
            std::thread::sleep(Duration::from_micros(500).min(*after));
        }
        child.kill().expect("it is this test's own");
    }
    loop {
        if let Some(status) = child.try_wait().expect("it is this test's own") {
            return status;
        }
        if started.elapsed() > HANGS {
            child.kill().expect("it is this test's own");
            child.wait().expect("it ends");
            panic!("the run hangs");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn killed(status: ExitStatus) -> bool {
    assert!(
        status.success() || status.signal() == Some(9),
        "it neither succeeded nor was killed: {status}"
    );
    status.signal() == Some(9)
}

/// The syncs of a program that ended or was killed.
fn syncs(dir: &Path) -> u64 {
    let text = text(&dir.join("count"));
    let word = text
        .strip_prefix("syncs=")
        .and_then(|rest| rest.split(' ').next());
    word.and_then(|word| word.parse().ok())
        .expect("the library counts")
}

/// The ids of the runs that the directory knows.
fn runs(dir: &Path) -> Vec<String> {
    if !dir.join("data").exists() {
        return Vec::new();
    }
    let list = conveyor(dir, &["runs", "list", "--data-dir", "data", "-o", "json"]);
    assert_eq!(list.status, 0, "{}", list.err);
    let list: Vec<serde_json::Value> = serde_json::from_str(&list.out).expect("it is JSON");
    let id = |run: &serde_json::Value| run["id"].as_str().expect("a run has an id").to_owned();
    list.iter().map(id).collect()
}

/// Lives through one run that is killed again and again, and gives how often.
fn survive(mut kill: impl FnMut(u32) -> Kill) -> u64 {
    let dir = files(&[("p.yaml", PIPELINE)]);
    let dir = dir.path();
    let mut kills = 0;
    let mut ended = false;
    let mut before: Vec<(String, u64)> = Vec::new();
    let mut run: Option<String> = None;
    for life in 0..CONTINUED {
        let status = match &run {
            None => live(dir, &["run", "p.yaml"], &kill(life)),
            Some(run) => live(dir, &["run", "--continue", run], &kill(life)),
        };
        if !killed(status) {
            ended = true;
        }
        kills += u64::from(killed(status));
        if run.is_none() {
            run = runs(dir).pop();
        }
        let Some(run) = &run else { continue };
        let view = shown(dir, run);
        // What was recorded as finished stays so, with the same number of attempts.
        let now = finished(&view);
        for old in &before {
            assert!(
                now.contains(old),
                "{old:?} was finished, now there is {now:?}"
            );
        }
        before = now;
        ended |= view["state"] == "succeeded";
        if ended {
            assert_eq!(view["state"], "succeeded", "{view}");
            consistent(dir, run, &view);
            return kills;
        }
    }
    panic!("it does not end");
}

/// Every instance of a run's view, by its step and number.
fn instances(view: &serde_json::Value) -> Vec<(String, &serde_json::Value)> {
    let steps = view["steps"].as_array().expect("a list");
    let mut all = Vec::new();
    for step in steps {
        let id = step["id"].as_str().expect("a step has an id");
        for (at, instance) in step["instances"]
            .as_array()
            .into_iter()
            .flatten()
            .enumerate()
        {
            all.push((format!("{id} {at}"), instance));
        }
    }
    all
}

/// Instances that are recorded as succeeded, and by which attempt.
fn finished(view: &serde_json::Value) -> Vec<(String, u64)> {
    let ended = |instance: &serde_json::Value| instance["state"] == "succeeded";
    let last = |instance: &serde_json::Value| {
        let attempts = instance["attempts"].as_array().expect("a list");
        attempts
            .last()
            .and_then(|attempt| attempt["number"].as_u64())
    };
    let all = instances(view)
        .into_iter()
        .filter(|(_, instance)| ended(instance));
    all.map(|(name, instance)| (name, last(instance).unwrap_or_default()))
        .collect()
}

/// What the steps wrote down is what the run's attempts and events say.
fn consistent(dir: &Path, run: &str, view: &serde_json::Value) {
    let ran = text(&dir.join("ran"));
    let mut marks: BTreeMap<&str, u32> = BTreeMap::new();
    ran.lines()
        .for_each(|line| *marks.entry(line).or_default() += 1);
    let twice: Vec<_> = marks.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "{twice:?} in\n{ran}");
    let all = instances(view);
    assert_eq!(all.len(), 7, "{view}");
    let mut known = Vec::new();
    for (name, instance) in all {
        assert_eq!(instance["state"], "succeeded", "{name}: {view}");
        let attempts = instance["attempts"].as_array().expect("a list");
        for (at, attempt) in attempts.iter().enumerate() {
            let last = at + 1 == attempts.len();
            assert_eq!(attempt["number"], at + 1, "{name}: {view}");
            assert_eq!(attempt["state"], if last { "succeeded" } else { "lost" });
            known.push(format!("start {name} {}", at + 1));
        }
        let end = format!("end {name} {}", attempts.len());
        assert_eq!(marks.get(end.as_str()), Some(&1), "{end} is not in\n{ran}");
    }
    for start in marks.keys().filter(|mark| mark.starts_with("start ")) {
        assert!(
            known.iter().any(|known| known == start),
            "{start} is of no attempt"
        );
    }
    let events = conveyor(dir, &["events", run, "--data-dir", "data", "-o", "json"]);
    assert_eq!(events.status, 0, "{}", events.err);
    let mut open: BTreeMap<String, u32> = BTreeMap::new();
    let mut at = (0, 0);
    for line in events.out.lines() {
        let event: serde_json::Value = serde_json::from_str(line).expect("it is JSON");
        let id = event["id"].as_str().and_then(|id| id.split_once('.'));
        let number = |text: &str| text.parse::<u64>().expect("an event's id is two numbers");
        let id = id.map(|(record, place)| (number(record), number(place)));
        let id = id.expect("an event has an id");
        assert!(id > at, "{id:?} after {at:?}");
        at = id;
        let attempt = format!(
            "{} {} {}",
            event["step"], event["instance"], event["attempt"]
        );
        let count = open.entry(attempt.clone()).or_default();
        match event["type"].as_str() {
            Some("attempt_claimed") => {
                assert_eq!(*count, 0, "{attempt} was claimed twice");
                *count = 1;
            }
            Some("attempt_ended") => {
                assert_eq!(*count, 1, "{attempt} ended in a state it was not in");
                *count = 2;
            }
            _ => {}
        }
    }
    assert_eq!(open.values().filter(|count| **count == 1).count(), 0);
}

fn counted(test: &str, kills: u64, runs: u64) {
    tally::done(test, "kills", kills as usize);
    tally::done(test, "runs", runs as usize);
    tally::held(
        test,
        "no attempt was started twice, none that had ended was run again",
    );
}

#[test]
fn a_run_that_is_killed_beside_any_sync_ends_with_each_attempt_started_once() {
    let dir = files(&[("p.yaml", PIPELINE)]);
    assert!(!killed(live(dir.path(), &["run", "p.yaml"], &Kill::Never)));
    let most = syncs(dir.path());
    let mut kills = 0;
    let mut at = 0;
    while kills < KILLS {
        // Over the whole range, the making of the store less closely than the run; every run that
        // is continued is killed once more, early in its own life, before and after in turn.
        let first = 1 + at * 7 % most;
        let moment = |n: u64| {
            if n.is_multiple_of(2) {
                "before"
            } else {
                "after"
            }
        };
        kills += survive(|life| match life {
            0 => Kill::Sync(format!("{}:{first}", moment(at))),
            1 => Kill::Sync(format!("{}:{}", moment(at + 1), 1 + first % 11)),
            _ => Kill::Never,
        });
        at += 1;
        assert!(
            at < 2 * KILLS,
            "only {kills} kills in {at} runs of {most} syncs"
        );
    }
    counted("`conveyor run` killed beside a sync", kills, at);
}

#[test]
fn a_run_that_is_killed_at_any_time_ends_with_each_attempt_started_once() {
    // The quickest of a few: the first one mostly waits for the disk.
    let took = [(); 3].map(|()| {
        let dir = files(&[("p.yaml", PIPELINE)]);
        let started = Instant::now();
        assert!(!killed(live(dir.path(), &["run", "p.yaml"], &Kill::Never)));
        u64::try_from(started.elapsed().as_micros()).expect("it is short")
    });
    let most = took.into_iter().min().expect("there are three");
    let seed = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok());
    let mut random = seed.unwrap_or_else(|| u64::from(std::process::id()) | 1);
    #[expect(clippy::print_stderr, reason = "it is shown when the test fails")]
    {
        eprintln!("again with {SEED}={random}");
    }
    let mut next = move || {
        // xorshift64: what comes needs no quality, only variety.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let (mut kills, mut runs) = (0, 0);
    for tried in 0.. {
        if kills >= KILLS {
            break;
        }
        assert!(tried < 20 * KILLS, "only {kills} kills in {tried} runs");
        kills += survive(|life| match life {
            0 | 1 => Kill::After(Duration::from_micros(next() % most)),
            _ => Kill::Never,
        });
        runs += 1;
    }
    counted("`conveyor run` killed at a random instant", kills, runs);
}
