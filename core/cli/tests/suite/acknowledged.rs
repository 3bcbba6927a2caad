//! What a server acknowledged stays, however often it is killed: drivers that write down each
//! acknowledgement, and some of which die with a task, are held against what the server says afterwards.

use crate::http;
use crate::site::{PATIENCE, Site};
use crate::tally;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const PIPELINE: &str = "\
apiVersion: conveyor/v1
kind: Pipeline
metadata: {name: acknowledged}
spec:
  defaults: {timeouts: {heartbeat: 3s}, retry: {lost: 50}}
  steps:
    - {id: say, driver: exec, grace: 1s, foreach: {items: '${{ lists.range(60) }}'}, with: {run: x}}
";
/// Instances of the step.
const INSTANCES: usize = 60;
const DRIVERS: usize = 4;
/// Batches of an attempt, and lines of a batch.
const BATCHES: u64 = 4;
const LINES: u64 = 5;
/// Each so-many-th attempt's driver dies with it, after half of the lines.
const DIES: usize = 8;
/// The server is killed until so many attempts were reported. One that never lives for long ends no lease, and
/// so leaves the rest for when it is let alone.
const REPORTED: usize = 50;
/// The longest that the run may take: on a slow machine the server's starts alone take a minute.
const STUCK: Duration = Duration::from_secs(300);

/// An attempt: instance and number.
pub(crate) type Attempt = (u64, u64);

/// What drivers were told.
#[derive(Default)]
struct Told {
    /// How many lines of each attempt the server said that it has.
    lines: BTreeMap<Attempt, u64>,
    /// Attempts whose success the server took.
    succeeded: BTreeSet<Attempt>,
    /// Attempts that the server said are over.
    stale: BTreeSet<Attempt>,
    /// How many drivers died.
    dead: usize,
}

/// Tells all others that the test is over, also when its holder panics: nobody waits for anybody.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What all drivers share.
struct Drivers<'a> {
    url: &'a str,
    told: Mutex<Told>,
    /// How many attempts began.
    begun: AtomicUsize,
    over: AtomicBool,
}

/// A driver that speaks JSON, holds no connection, and works on one task at a time.
struct Driver<'a> {
    all: &'a Drivers<'a>,
    session: Value,
}

/// What an attempt says in a line: nobody else says the same.
pub(crate) fn text((instance, attempt): Attempt, line: u64) -> String {
    format!("{instance} {attempt} {line}")
}

impl Drivers<'_> {
    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.told.lock().expect("no driver panics")
    }

    /// A request that is made until it is answered, and then well; `None` when the test is over before.
    fn ask(&self, call: &str, body: &Value) -> Option<Value> {
        let deadline = Instant::now() + PATIENCE;
        while !self.over.load(Ordering::Relaxed) {
            match http::ask(self.url, "POST", &format!("/v1/driver/{call}"), body) {
                Ok(told) if told.status == 200 => return Some(told.body),
                Ok(told) => assert_eq!(told.status, 503, "{call}: {} of {body}", told.body),
                // It is dead, or died in the middle of its answer.
                Err(error) => assert!(Instant::now() < deadline, "{call}: {error}"),
            }
            thread::sleep(Duration::from_millis(5));
        }
        None
    }

    /// One driver after the other, each until it dies; the last until the test is over.
    fn drive(&self) {
        let _ends = Ends(&self.over);
        while self.live().is_some() {}
    }

    /// A driver's life; `None` when the test is over.
    fn live(&self) -> Option<()> {
        let hello = json!({"hello": {
            "driver": "exec", "contract_versions": [1], "actions": [{"name": "run"}], "capacity": 1,
        }});
        let welcome = self.ask("register", &hello)?;
        let welcome = &welcome["welcome"];
        let session = json!({
            "session": welcome["session"], "resume_secret": welcome["resume_secret"],
        });
        let driver = Driver { all: self, session };
        for request in 0.. {
            let poll = json!({"request_id": format!("r{request}"), "wait_ms": 500});
            let polled = driver.ask("poll", &poll)?;
            for task in polled["tasks"].as_array().expect("a list") {
                if driver.work(task)? == Work::Died {
                    self.told().dead += 1;
                    return Some(());
                }
            }
        }
        None
    }
}

/// How the work on a task ended.
#[derive(PartialEq, Eq)]
enum Work {
    Done,
    /// The server said that the attempt is over.
    Stale,
    Died,
}

impl Driver<'_> {
    /// A call in the name of the session.
    fn ask(&self, call: &str, body: &Value) -> Option<Value> {
        let mut body = body.clone();
        for part in ["session", "resume_secret"] {
            body[part] = self.session[part].clone();
        }
        self.all.ask(call, &body)
    }

    /// A call that names one task; whether the server said that it is over.
    fn names(&self, call: &str, body: &Value, token: &Value) -> Option<bool> {
        let answer = self.ask(call, body)?;
        let stale = &answer["stale_tokens"];
        assert!(
            *stale == json!([]) || *stale == json!([token]),
            "{call}: {answer}"
        );
        Some(*stale != json!([]))
    }

    /// Says the lines of a task, and reports it, unless it is over or the driver dies.
    fn work(&self, task: &Value) -> Option<Work> {
        let number = |name: &str| {
            let number = task["id"][name].as_u64();
            number.unwrap_or_else(|| panic!("no {name}: {task}"))
        };
        let attempt = (number("instance"), number("attempt"));
        let token = &task["token"];
        let reported = self.all.told().succeeded.contains(&attempt);
        let dies = !reported && self.all.begun.fetch_add(1, Ordering::Relaxed) % DIES == DIES - 1;
        if !reported {
            let accept = json!({"answers": [{"token": token, "accepted": {}}]});
            if self.names("answer", &accept, token)? {
                return Some(self.stale(attempt));
            }
            for batch in 0..if dies { BATCHES / 2 } else { BATCHES } {
                self.say(attempt, token, batch)?;
                let beat = json!({"tasks": [{"token": token}]});
                if self.names("heartbeat", &beat, token)? {
                    return Some(self.stale(attempt));
                }
            }
        }
        if dies {
            return Some(Work::Died);
        }
        let result = json!({"state": "succeeded", "last_log_offset": BATCHES * LINES - 1});
        let report = json!({"report": {"token": token, "result": result}});
        let answer = self.all.ask("report", &report)?;
        match answer["outcome"]["status"].as_str() {
            // What comes again was on its way when it was reported.
            Some("accepted") if !reported => {}
            Some("already") => {}
            Some("stale") if !reported => return Some(self.stale(attempt)),
            _ => panic!("{attempt:?}, reported before: {reported}: {answer}"),
        }
        self.all.told().succeeded.insert(attempt);
        Some(Work::Done)
    }

    fn stale(&self, attempt: Attempt) -> Work {
        self.all.told().stale.insert(attempt);
        Work::Stale
    }

    /// Sends a batch of lines, and writes down how many the server has then.
    fn say(&self, attempt: Attempt, token: &Value, batch: u64) -> Option<()> {
        let first = batch * LINES;
        let lines: Vec<_> = (first..first + LINES)
            .map(|line| json!({"text": text(attempt, line)}))
            .collect();
        let logs = json!({"logs": {"token": token, "first_offset": first, "lines": lines}});
        let answer = self.all.ask("logs", &logs)?;
        let kept = &answer["acknowledgement"];
        let next = kept["next_offset"].as_u64();
        let next = next.unwrap_or_else(|| panic!("{attempt:?}: {answer}"));
        assert!(next >= first + LINES, "{attempt:?}: {answer}");
        let mut told = self.all.told();
        let lines = told.lines.entry(attempt).or_default();
        *lines = next.max(*lines);
        Some(())
    }
}

/// Kills the server again and again while the drivers work, and gives the run as it ended, and how often the
/// server was killed.
fn outlive(site: &Site, run: &str, drivers: &Drivers<'_>) -> (Value, u64) {
    let mut server = site.serve_again();
    server.line(&["listening"]);
    let (mut kills, mut next) = (0, 0);
    let began = Instant::now();
    loop {
        assert!(!drivers.over.load(Ordering::Relaxed), "a driver panicked");
        // The instant itself is what is tested: some time after the next success.
        thread::sleep(Duration::from_millis(1 + kills % 7));
        let reported = drivers.told().succeeded.len();
        assert!(began.elapsed() < STUCK, "{reported} were reported");
        if reported < REPORTED {
            if reported < next {
                continue;
            }
            next = reported + 2;
            server.kill();
            server = site.serve_again();
            server.line(&["listening"]);
            kills += 1;
            continue;
        }
        let view = site.show(run);
        let state = view["state"].as_str().unwrap_or_default();
        if ["succeeded", "failed", "cancelled"].contains(&state) {
            return (view, kills);
        }
        assert!(began.elapsed() < STUCK, "it is stuck: {view:#}");
    }
}

/// The texts of all lines, by attempt.
pub(crate) fn lines(site: &Site, run: &str) -> BTreeMap<Attempt, Vec<String>> {
    let log = site.conveyor(&["logs", run, "-o", "json"]);
    assert_eq!(log.status, 0, "{}", log.err);
    let mut lines: BTreeMap<Attempt, Vec<String>> = BTreeMap::new();
    for line in log.out.lines() {
        let line: Value = serde_json::from_str(line).expect("it is JSON");
        let number = |name: &str| line[name].as_u64().expect("a number");
        let of = lines
            .entry((number("instance"), number("attempt")))
            .or_default();
        assert_eq!(number("offset"), of.len() as u64, "{line}");
        of.push(line["text"].as_str().expect("a text").to_owned());
    }
    lines
}

/// Takes about 20 s.
#[test]
fn what_a_server_acknowledged_stays_when_it_is_killed_again_and_again() {
    let mut site = Site::new(&[("acknowledged.yaml", PIPELINE)]);
    let mut server = site.serve();
    let run = site.start("acknowledged.yaml");
    server.kill();
    let drivers = Drivers {
        url: &site.url,
        told: Mutex::default(),
        begun: AtomicUsize::new(0),
        over: AtomicBool::new(false),
    };
    let (view, kills) = thread::scope(|scope| {
        let _ends = Ends(&drivers.over);
        for _ in 0..DRIVERS {
            scope.spawn(|| drivers.drive());
        }
        outlive(&site, &run, &drivers)
    });
    assert_eq!(view["state"], "succeeded", "{view:#}");
    let told = drivers.told.into_inner().expect("no driver panics");
    assert!(
        kills > 3 && told.dead > 2,
        "{kills} kills of the server, {} dead drivers: this proves little",
        told.dead
    );
    // A new process, so that what it tells is what is durable.
    let mut again = site.serve_again();
    again.line(&["listening"]);
    let lines = lines(&site, &run);
    for (attempt, acknowledged) in &told.lines {
        let there = lines.get(attempt).cloned().unwrap_or_default();
        assert!(
            there.len() as u64 >= *acknowledged,
            "{attempt:?}: {there:?}"
        );
        let said: Vec<_> = (0..there.len() as u64)
            .map(|line| text(*attempt, line))
            .collect();
        assert_eq!(there, said, "{attempt:?}");
    }
    let view = site.show(&run);
    let mut succeeded = BTreeSet::new();
    for (instance, told) in view["steps"][0]["instances"]
        .as_array()
        .expect("a list")
        .iter()
        .enumerate()
    {
        let attempts = told["attempts"].as_array().expect("a list");
        let states = attempts.iter().map(|attempt| attempt["state"].as_str());
        for (number, state) in (1..).zip(states) {
            match state {
                Some("succeeded") => _ = succeeded.insert((instance as u64, number)),
                state => assert_eq!(state, Some("lost"), "{instance}, {number}: {told:#}"),
            }
        }
    }
    // Each instance once, by the attempt that a driver was told to have succeeded.
    assert_eq!(succeeded.len(), INSTANCES, "{view:#}");
    assert_eq!(told.succeeded, succeeded, "{view:#}");
    let both: Vec<_> = told.stale.intersection(&succeeded).collect();
    assert!(both.is_empty(), "over, and yet they count: {both:?}");
    const TEST: &str = "drivers that write down what a killed server acknowledged";
    tally::done(TEST, "kills of the server", kills as usize);
    tally::done(TEST, "drivers that died with a task", told.dead);
    tally::done(TEST, "results that were accepted", succeeded.len());
    let acknowledged: u64 = told.lines.values().sum();
    tally::done(
        TEST,
        "log lines that were acknowledged",
        acknowledged as usize,
    );
    tally::held(
        TEST,
        "each accepted result is the one that its run has, and each acknowledged line is there, in order and once",
    );
}
