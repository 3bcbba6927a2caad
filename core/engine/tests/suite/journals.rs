//! Recorded journals: `tests/fixtures/journals/VERSION`, one file for each run of a test of the
//! semantics. What a version has recorded stays as it is; every later one folds it to the same
//! states. `README.md` beside them says when and how a new version is recorded.

use crate::world::World;
use conveyor_engine::plan::{Plan, StepIndex};
use conveyor_engine::run::table::{self, Event, RunEvent};
use conveyor_engine::run::{
    Decision, Fact, LostCause, Record, Run, StopKind, TimerKind, decode_record, encode_record,
};
use conveyor_engine::time::Time;
use conveyor_engine::value::Value;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Names the version that the tests of the semantics are to record.
const RECORD: &str = "RECORD_JOURNALS";

/// A longer journal is not kept: it has what shorter ones have, more often.
const BYTES: usize = 128 << 10;

thread_local! {
    /// How many journals this test has recorded.
    static COUNT: Cell<u32> = const { Cell::new(0) };
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/journals")
}

/// Keeps the journal of a test's run, if it is asked for. A version that is there is never changed.
pub(crate) fn keep(world: &World) {
    let Some(version) = std::env::var_os(RECORD) else {
        return;
    };
    let thread = std::thread::current();
    let test = thread.name().unwrap_or_default().replace("::", ".");
    let count = COUNT.get() + 1;
    COUNT.set(count);
    let text = written(world);
    if text.len() > BYTES {
        return;
    }
    let folder = folder().join(version);
    std::fs::create_dir_all(&folder).expect("the folder of a version");
    let path = folder.join(format!("{test}.{count}.txt"));
    let mut file = std::fs::File::create_new(&path).unwrap_or_else(|error| {
        panic!(
            "{}: {error}; a recorded version is not changed: record another",
            path.display()
        )
    });
    std::io::Write::write_all(&mut file, text.as_bytes()).expect("a journal is written");
}

fn written(world: &World) -> String {
    let mut text = format!("document {}\n", String::from_utf8_lossy(&world.canonical));
    for record in &world.journal {
        text.push_str("record ");
        for byte in encode_record(record) {
            let _ = write!(text, "{byte:02x}");
        }
        text.push('\n');
    }
    text + &states(&world.run)
}

/// All that a run's state is, sentences for people apart: their wording may change.
fn states(run: &Run) -> String {
    let at = |time: Option<Time>| time.map_or("-".to_owned(), |time| time.0.to_string());
    let value = |value: Option<&Value>| match value {
        Some(Value::Inline(text)) => String::from_utf8_lossy(text).into_owned(),
        Some(Value::Stored { hash, len }) => format!("{hash} of {len} bytes"),
        None => "-".to_owned(),
    };
    let mut text = String::new();
    let mut line = |parts: &[String]| {
        let _ = writeln!(text, "{}", parts.join(" "));
    };
    line(&[
        format!(
            "run {}: {} at record {}",
            run.id(),
            run.state(),
            run.sequence()
        ),
        format!(
            "started {} ended {}",
            run.started_at().0,
            at(run.ended_at())
        ),
        format!("warnings {} turn {}", run.warnings(), run.wants_turn()),
        format!(
            "inputs {} outputs {}",
            value(Some(run.inputs())),
            value(run.outputs())
        ),
    ]);
    for step in 0..run.plan().steps.len() as StepIndex {
        let view = run.step(step);
        line(&[
            format!(
                "step {}: {} ok {}",
                run.plan().steps[step as usize].id,
                view.state,
                view.ok
            ),
            format!("warnings {} inherited {}", view.warnings, view.inherited),
            format!("ended {}", at(view.ended_at)),
        ]);
        for index in 0..view.instances {
            let inst = run.instance(step, index).expect("an instance");
            let item = inst
                .params
                .and_then(|item| item.read(&conveyor_engine::run::NoValues));
            let failure = inst
                .failure
                .map_or("-".to_owned(), |failure| failure.code.to_string());
            line(&[
                format!("  {index}: {} attempt {}", inst.state, inst.attempt),
                format!("started {} allowed {}", inst.started, inst.allowed),
                format!(
                    "queued {} claimed {}",
                    at(inst.queued_at),
                    at(inst.claimed_at)
                ),
                format!("ended {} failure {failure}", at(inst.ended_at)),
                format!("session {}", inst.session.as_deref().unwrap_or("-")),
                format!("outputs {}", value(inst.outputs.as_ref())),
                format!(
                    "item {}",
                    item.map_or("-".to_owned(), |item| item.to_string())
                ),
            ]);
        }
    }
    let pending = run.pending();
    for id in pending.offers {
        line(&[format!("offer {} {} {}", id.step, id.instance, id.attempt)]);
    }
    for order in pending.cancels {
        let id = order.id;
        line(&[
            format!("cancel {} {} {}", id.step, id.instance, id.attempt),
            format!("grace {} since {}", order.grace.0, order.since.0),
        ]);
    }
    if let Some((due, key)) = pending.timer {
        line(&[
            format!("timer {:?} {} {}", key.kind, key.step, key.instance),
            format!("due {}", due.0),
        ]);
    }
    text
}

/// What the journals of a version have in them.
#[derive(Default)]
struct Met {
    facts: BTreeSet<&'static str>,
    decisions: BTreeSet<&'static str>,
    timers: BTreeSet<TimerKind>,
    rows: BTreeSet<(String, Event, String)>,
    run_rows: BTreeSet<(String, RunEvent, String)>,
}

impl Met {
    fn fact(&mut self, fact: &Fact) {
        self.facts.insert(match fact {
            Fact::Started(started) if started.inherited.is_empty() => "started",
            Fact::Started(_) => "forked",
            Fact::Claimed(_) => "claimed",
            Fact::Reported(_) => "reported",
            Fact::Lost { cause, .. } => match cause {
                LostCause::Lease => "lost lease",
                LostCause::Refused => "refused",
                LostCause::Undelivered => "undelivered",
                LostCause::ProcessDead => "process dead",
            },
            Fact::Checkpointed { .. } => "checkpointed",
            Fact::Detached(_) => "detached",
            Fact::TimerDue(key) => {
                self.timers.insert(key.kind);
                "timer due"
            }
            Fact::Stopped(stop) => match stop.kind {
                StopKind::Drain => "drain",
                StopKind::Cancel => "cancel",
                StopKind::Terminate => "terminate",
            },
            Fact::Paused { .. } => "paused",
            Fact::Resumed { .. } => "resumed",
            Fact::Turn => "turn",
        });
    }

    fn decision(&mut self, decision: &Decision) {
        self.decisions.insert(match decision {
            Decision::Run {
                from, to, event, ..
            } => {
                self.run_rows
                    .insert((from.to_string(), *event, to.to_string()));
                "run"
            }
            Decision::Instance {
                from, to, event, ..
            } => {
                self.rows.insert((from.to_string(), *event, to.to_string()));
                "instance"
            }
            Decision::Expanded { .. } => "expanded",
            Decision::Claimed { .. } => "claimed",
            Decision::Cancel { .. } => "cancel",
            Decision::Attempt { .. } => "attempt",
            Decision::Step { .. } => "step",
            Decision::Outputs { .. } => "outputs",
            Decision::NoEffect { .. } => "no effect",
        });
    }
}

/// A file of a version.
pub(crate) struct Recorded {
    pub(crate) plan: Arc<Plan>,
    pub(crate) records: Vec<Record>,
    states: String,
}

fn read(path: &Path) -> Result<Recorded, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let mut lines = text.split_inclusive('\n');
    let document = lines.next().and_then(|line| line.strip_prefix("document "));
    let document = document
        .ok_or("it does not begin with a document")?
        .trim_end();
    let plan = Plan::from_canonical(document.as_bytes()).map_err(|found| format!("{found:?}"))?;
    let (mut records, mut states) = (Vec::new(), String::new());
    for line in lines {
        let Some(hex) = line.strip_prefix("record ") else {
            states.push_str(line);
            continue;
        };
        let bytes = bytes(hex.trim_end()).ok_or("a record is not hexadecimal")?;
        let record = decode_record(&bytes).map_err(|error| error.to_string())?;
        if encode_record(&record) != bytes {
            return Err(format!(
                "record {} is written otherwise now",
                record.sequence
            ));
        }
        records.push(record);
    }
    Ok(Recorded {
        plan: Arc::new(plan),
        records,
        states,
    })
}

/// Folds a file of a version and compares.
fn fold(path: &Path, met: &mut Met) -> Result<(), String> {
    let recorded = read(path)?;
    let mut run = Run::new(recorded.plan);
    for record in &recorded.records {
        record
            .entries
            .iter()
            .for_each(|entry| met.fact(&entry.fact));
        let decisions = run.fold(record).map_err(|error| error.to_string())?;
        decisions.iter().for_each(|decision| met.decision(decision));
    }
    let (found, expected) = (states(&run), recorded.states);
    if found != expected {
        return Err(format!("-- recorded\n{expected}-- found\n{found}"));
    }
    Ok(())
}

/// All files of the newest version, by their names.
pub(crate) fn newest() -> Vec<(PathBuf, Recorded)> {
    let versions = versions();
    let newest = std::fs::read_dir(versions.last().expect("a version")).expect("a version");
    let mut paths: Vec<PathBuf> = newest
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    let read = |path: PathBuf| {
        let recorded = read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path, recorded)
    };
    paths.into_iter().map(read).collect()
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let byte = |at: usize| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
    (0..hex.len()).step_by(2).map(byte).collect()
}

fn versions() -> Vec<PathBuf> {
    let mut versions: Vec<PathBuf> = std::fs::read_dir(folder())
        .expect("the recorded journals")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_dir())
        .collect();
    versions.sort();
    versions
}

fn folded(version: &Path) -> Met {
    let mut met = Met::default();
    let mut wrong = Vec::new();
    let mut count = 0;
    for entry in std::fs::read_dir(version).expect("a version") {
        let path = entry.expect("an entry").path();
        count += 1;
        if let Err(message) = fold(&path, &mut met) {
            wrong.push(format!("{}: {message}", path.display()));
        }
    }
    assert!(count > 0, "{} is empty", version.display());
    assert!(
        wrong.is_empty(),
        "{} of {count}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    met
}

#[test]
fn every_recorded_journal_folds_to_the_states_that_were_recorded() {
    for version in versions() {
        folded(&version);
    }
}

#[test]
fn the_newest_recorded_journals_have_every_fact_decision_timer_and_row() {
    let met = folded(versions().last().expect("a version"));
    let all = |names: &[&'static str]| names.iter().copied().collect::<BTreeSet<_>>();
    let facts = [
        "started",
        "forked",
        "claimed",
        "reported",
        "lost lease",
        "refused",
        "undelivered",
        "process dead",
        "checkpointed",
        "detached",
        "timer due",
        "drain",
        "cancel",
        "terminate",
        "paused",
        "resumed",
        "turn",
    ];
    let mut missing: Vec<String> = Vec::new();
    missing.extend(
        all(&facts)
            .difference(&met.facts)
            .map(|fact| format!("fact {fact}")),
    );
    let decisions = [
        "run",
        "instance",
        "expanded",
        "claimed",
        "cancel",
        "attempt",
        "step",
        "outputs",
        "no effect",
    ];
    missing.extend(
        all(&decisions)
            .difference(&met.decisions)
            .map(|one| format!("decision {one}")),
    );
    let timers = TimerKind::ALL.iter();
    missing.extend(
        timers
            .filter(|kind| !met.timers.contains(kind))
            .map(|kind| format!("{kind:?}")),
    );
    for (from, event, to) in table::INSTANCE {
        if !met
            .rows
            .contains(&(from.to_string(), *event, to.to_string()))
        {
            missing.push(format!("row {from} --{}--> {to}", event.as_str()));
        }
    }
    for (from, event, to) in table::RUN {
        if !met
            .run_rows
            .contains(&(from.to_string(), *event, to.to_string()))
        {
            missing.push(format!("row {from} --{}--> {to} of a run", event.as_str()));
        }
    }
    assert!(
        missing.is_empty(),
        "no journal has:\n{}",
        missing.join("\n")
    );
}
