//! Server and drivers killed with SIGKILL at random instants while runs are started, worked off and
//! followed. Afterwards what clients and drivers saw is held against what the server says.

use crate::http::{self, Sent};
use crate::site::{Background, PATIENCE, Site, driver_program};
use crate::tally;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Each attempt writes down its start and its end, in one short append each, and logs three lines.
const PIPELINE: &str = "\
apiVersion: conveyor/v1
kind: Pipeline
metadata: {name: load}
spec:
  vars: {work: &work 'who=\"$CONVEYOR_RUN_ID $CONVEYOR_STEP $CONVEYOR_INSTANCE $CONVEYOR_ATTEMPT\"; echo \"start $who\" >>ran; echo \"$who $PPID\" >>by; echo one; echo two; sleep 0.02; echo three; echo \"end $who\" >>ran'}
  defaults: {timeouts: {heartbeat: 1s}, retry: {lost: 50}}
  steps:
    - {id: a, driver: exec, grace: 1s, with: {run: *work}}
    - {id: b, needs: [a], driver: exec, foreach: {items: '${{ lists.range(4) }}'}, grace: 1s, with: {run: *work}}
    - {id: c, needs: [b], driver: exec, grace: 1s, with: {run: *work}}
  finally:
    - {id: bye, driver: exec, grace: 1s, with: {run: *work}}
";

/// Instances of a run.
const INSTANCES: usize = 7;
/// What each attempt says.
const SAID: [&str; 3] = ["one", "two", "three"];
/// How often something is killed.
const KILLS: u32 = 50;
/// Runs under way at once.
const RUNS: usize = 12;
/// The longest time between two kills.
const PAUSE: u64 = 600;

/// The longest that a run may take: no lease ends while the server is killed again and again, and on a
/// slow machine all the starts take a minute.
const STUCK: Duration = Duration::from_secs(300);

const LOAD: &str = "`conveyor serve` and drivers killed at random instants under load";

/// Sets the instants and the victims.
const SEED: &str = "CONVEYOR_LOAD_SEED";

/// xorshift64: what comes needs no quality, only variety.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

fn driver(site: &Site) -> Background {
    let mut command = Command::new(driver_program());
    command
        .args(["--server", &site.url, "--capacity", "8"])
        .env("NO_COLOR", "1")
        .current_dir(site.dir.path());
    Background::start(&mut command)
}

/// Repeats a request until it is answered: its server may be dead just now.
fn insist(url: &str, method: &str, path: &str, body: &Value) -> http::Told {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match http::ask(url, method, path, body) {
            Ok(told) if told.status != 503 => return told,
            Ok(told) => assert!(Instant::now() < deadline, "{}", told.body),
            Err(error) => assert!(Instant::now() < deadline, "{method} {path}: {error}"),
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Starts a run under an id of its own, so that a repeat is the same run, and waits for its end.
fn run(site: &Site) -> String {
    let id = uuid::Uuid::now_v7().to_string();
    let start = json!({"document": {"source": PIPELINE, "file_name": "load.yaml"}, "run_id": id});
    let started = insist(&site.url, "POST", "/v1/runs", &start);
    assert_eq!(started.status, 200, "{}", started.body);
    assert_eq!(started.body["run"]["id"], json!(id), "{}", started.body);
    let deadline = Instant::now() + STUCK;
    loop {
        let told = insist(&site.url, "GET", &format!("/v1/runs/{id}"), &Value::Null);
        assert_eq!(told.status, 200, "an accepted run is gone: {}", told.body);
        let state = told.body["run"]["state"].as_str().unwrap_or_default();
        if ["succeeded", "failed", "cancelled"].contains(&state) {
            assert_eq!(state, "succeeded", "{:#}", told.body);
            return id;
        }
        assert!(Instant::now() < deadline, "it is stuck: {:#}", told.body);
        thread::sleep(Duration::from_millis(20));
    }
}

/// Follows a run's events over as many connections as it takes, each from where the one before ended.
fn follow(site: &Site, run: &str) -> Vec<Sent> {
    let path = format!("/v1/runs/{run}/events");
    let mut seen: Vec<Sent> = Vec::new();
    let deadline = Instant::now() + STUCK;
    loop {
        let last = seen.last().map(|event| event.id.clone());
        let done = http::events(&site.url, &path, last.as_deref(), |event| {
            let end = event.kind == "end";
            if event.kind == "event" {
                seen.push(event);
            }
            end
        });
        if matches!(done, Ok(true)) {
            return seen;
        }
        assert!(Instant::now() < deadline, "its events do not end");
        thread::sleep(Duration::from_millis(5));
    }
}

/// What the attempts wrote down is what the run says, and its log has what they said.
fn consistent(site: &Site, run: &str, marks: &BTreeMap<&str, u32>, killed: &[String]) {
    let view = site.show(run);
    let mut known = Vec::new();
    let mut instances = 0;
    for step in view["steps"].as_array().expect("a list") {
        let id = step["id"].as_str().expect("a step has an id");
        for (at, instance) in step["instances"]
            .as_array()
            .into_iter()
            .flatten()
            .enumerate()
        {
            instances += 1;
            assert_eq!(instance["state"], "succeeded", "{id} {at}: {view:#}");
            let attempts = instance["attempts"].as_array().expect("a list");
            for (number, attempt) in (1..).zip(attempts) {
                let last = number == attempts.len();
                assert_eq!(attempt["number"], json!(number), "{id} {at}: {view:#}");
                let state = if last { "succeeded" } else { "lost" };
                assert_eq!(attempt["state"], state, "{id} {at}: {view:#}");
                known.push(format!("start {run} {id} {at} {number}"));
            }
            let number = attempts.len();
            let end = format!("end {run} {id} {at} {number}");
            assert_eq!(
                marks.get(end.as_str()),
                Some(&1),
                "{end} was not written once"
            );
            let mut lines = said(site, run, id, at, number);
            // Lines that were not acknowledged die with their driver.
            if killed.contains(&format!("{run} {id} {at} {number}")) {
                lines.extend((lines.len()..SAID.len()).map(|at| (at, SAID[at].to_owned())));
            }
            let all: Vec<_> = SAID
                .iter()
                .map(|text| (*text).to_owned())
                .enumerate()
                .collect();
            assert_eq!(lines, all, "{run} {id} {at} {number}");
        }
    }
    assert_eq!(instances, INSTANCES, "{view:#}");
    let prefix = format!("start {run} ");
    for start in marks.keys().filter(|mark| mark.starts_with(&prefix)) {
        assert!(
            known.iter().any(|one| one == start),
            "{start} is of no attempt: {view:#}"
        );
    }
}

/// The log of an attempt: the lines with their offsets.
fn said(
    site: &Site,
    run: &str,
    step: &str,
    instance: usize,
    attempt: usize,
) -> Vec<(usize, String)> {
    let (instance, attempt) = (instance.to_string(), attempt.to_string());
    let log = site.conveyor(&[
        "logs",
        run,
        step,
        "--instance",
        &instance,
        "--attempt",
        &attempt,
        "-o",
        "json",
    ]);
    assert_eq!(log.status, 0, "{}", log.err);
    let lines = log.out.lines().map(|line| {
        let line: Value = serde_json::from_str(line).expect("it is JSON");
        let text = line["text"].as_str().expect("it has a text").to_owned();
        let offset = line["offset"].as_u64().expect("it has an offset");
        (offset as usize, text)
    });
    lines.collect()
}

/// The attempts of drivers that were killed.
fn of_killed(site: &Site, killed: &[u32]) -> Vec<String> {
    let by = std::fs::read_to_string(site.dir.path().join("by")).expect("attempts ran");
    let of = |line: &str| {
        let (attempt, process) = line.rsplit_once(' ')?;
        let process: u32 = process.parse().expect("a process");
        killed.contains(&process).then(|| attempt.to_owned())
    };
    let of: Vec<_> = by.lines().filter_map(of).collect();
    assert!(
        !of.is_empty(),
        "no attempt was of a driver that was killed: this proves little"
    );
    of
}

/// Takes about 25 s.
#[test]
fn nothing_is_lost_or_done_twice_when_server_and_drivers_are_killed_under_load() {
    let seed = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| u64::from(std::process::id()) | 1);
    #[expect(clippy::print_stderr, reason = "it is shown when the test fails")]
    {
        eprintln!("again with {SEED}={seed}");
    }
    let mut random = Random(seed);
    let mut site = Site::new(&[]);
    let mut server = site.serve();
    let site = &site;
    let mut drivers = [driver(site), driver(site)];
    let done = AtomicBool::new(false);
    let ended = AtomicUsize::new(0);
    let mut killed = Vec::new();
    let (runs, followed) = thread::scope(|scope| {
        let (done, ended) = (&done, &ended);
        let starters = [(); RUNS].map(|()| {
            scope.spawn(move || {
                let mut runs = Vec::new();
                while !done.load(Ordering::Relaxed) {
                    runs.push(run(site));
                    ended.fetch_add(1, Ordering::Relaxed);
                }
                runs
            })
        });
        let follower = scope.spawn(move || {
            let id = uuid::Uuid::now_v7().to_string();
            let start =
                json!({"document": {"source": PIPELINE, "file_name": "load.yaml"}, "run_id": id});
            let started = insist(&site.url, "POST", "/v1/runs", &start);
            assert_eq!(started.status, 200, "{}", started.body);
            let seen = follow(site, &id);
            (id, seen)
        });
        for _ in 0..KILLS {
            // The instant itself is what is tested.
            thread::sleep(Duration::from_millis(random.next() % PAUSE));
            match random.next() % 4 {
                0 | 1 => {
                    server.kill();
                    server = site.serve_again();
                }
                which => {
                    let victim = &mut drivers[which as usize - 2];
                    killed.push(victim.child.id());
                    victim.kill();
                    *victim = driver(site);
                }
            }
        }
        // A server that never lives as long as a lease ends none: what the dead held ends now.
        let calm = Instant::now();
        while ended.load(Ordering::Relaxed) <= RUNS {
            assert!(calm.elapsed() < PATIENCE, "no run ends");
            thread::sleep(Duration::from_millis(20));
        }
        done.store(true, Ordering::Relaxed);
        let runs = starters.map(|starter| starter.join().expect("its runs end"));
        let followed = follower.join().expect("its events end");
        (runs.concat(), followed)
    });
    assert_eq!(runs.len(), ended.load(Ordering::Relaxed));
    let ran = std::fs::read_to_string(site.dir.path().join("ran")).expect("attempts ran");
    let mut marks: BTreeMap<&str, u32> = BTreeMap::new();
    ran.lines()
        .for_each(|line| *marks.entry(line).or_default() += 1);
    let twice: Vec<_> = marks.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "{twice:?} in\n{ran}");
    let starts = marks
        .keys()
        .filter(|mark| mark.starts_with("start "))
        .count();
    let of_killed = of_killed(site, &killed);
    for run in runs.iter().chain([&followed.0]) {
        consistent(site, run, &marks, &of_killed);
    }
    let events = site.conveyor(&["events", &followed.0, "-o", "json"]);
    assert_eq!(events.status, 0, "{}", events.err);
    let all: Vec<Value> = events
        .out
        .lines()
        .map(|line| serde_json::from_str(line).expect("it is JSON"))
        .collect();
    let ids = |events: &mut dyn Iterator<Item = &Value>| -> Vec<String> {
        let id = |event: &Value| event["id"].as_str().expect("it has an id").to_owned();
        events.map(id).collect()
    };
    assert_eq!(
        ids(&mut followed.1.iter().map(|event| &event.data)),
        ids(&mut all.iter()),
        "who followed over many connections saw each event once"
    );
    let of_drivers = killed.len();
    tally::done(LOAD, "kills of the server", KILLS as usize - of_drivers);
    tally::done(LOAD, "kills of a driver", of_drivers);
    tally::done(LOAD, "runs", runs.len() + 1);
    tally::done(LOAD, "attempts started", starts);
    tally::done(
        LOAD,
        "of those, in a driver that was killed",
        of_killed.len(),
    );
    tally::held(
        LOAD,
        "each run ended, and each attempt was started at most once and is known to its run",
    );
    tally::held(
        LOAD,
        "acknowledged log lines are all there, in order and once",
    );
    tally::held(LOAD, "a follower over many connections saw each event once");
}
