//! What is written of results, as golden files have it.
//!
//! `UPDATE_GOLDEN=1 cargo test -p conveyor-conformance --test reports` writes them anew.

use conveyor_conformance::{
    DESCRIPTORS, Expectation, Finding, Line, ListFile, Lists, Missing, Outcome, Results, Rule,
    RunName, Status, Subject, TextOptions, Verdict, badge, groups, json_report, junit_report,
    known_failing, profile, text_report,
};
use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

fn golden(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, found).expect("a golden file");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "{name} differs\n-- expected\n{expected}-- found\n{found}"
    );
}

fn outcome(run: &str, requires: &[u32], verdict: Verdict) -> Outcome {
    Outcome {
        run: run.parse().unwrap_or_else(|error| panic!("{error}")),
        requires: requires.iter().copied().map(Rule::contract).collect(),
        features: Vec::new(),
        verdict,
        expectation: Expectation::MustPass,
        took: Duration::from_millis(1_204),
        stderr: Vec::new(),
        messages: Vec::new(),
    }
}

fn failed(requirement: Option<u32>, sentence: &str, place: Option<usize>) -> Verdict {
    Verdict::Failed {
        findings: vec![Finding {
            requirement: requirement.map(Rule::contract),
            sentence: sentence.to_owned(),
            place,
        }],
    }
}

fn known(number: usize) -> Line {
    Line {
        file: "known.txt".to_owned(),
        number,
    }
}

fn subject() -> Subject {
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    Subject {
        name: "plain|`python`".to_owned(),
        version: "1.2.0\u{1b}[31m".to_owned(),
        sdk: "none".to_owned(),
        profile: "contract".to_owned(),
        backend: "embedded".to_owned(),
        suite: "0.1.0".to_owned(),
        date: "2026-11-28".to_owned(),
        declared: words(&["checkpoints", "exit", "rest", "stream"]),
        chosen: words(&["**"]),
        excluded: Vec::new(),
        case_files: Vec::new(),
        replaced: Vec::new(),
    }
}

/// One of each kind, with all that a driver may say.
fn mixed() -> Results {
    let mut hostile = outcome(
        "tasks/accept/at-once[transport:rest,concurrency:64]",
        &[12, 13],
        Verdict::Failed {
            findings: vec![
                Finding {
                    requirement: Some(Rule::contract(12)),
                    sentence: "no `accepted` of `a` within 5000 ms; seen was\n<refused why=\"full & \u{1b}[2Jmore\">".to_owned(),
                    place: Some(3),
                },
                Finding {
                    requirement: None,
                    sentence: "the process ended with status 3".to_owned(),
                    place: None,
                },
            ],
        },
    );
    hostile.stderr = vec![
        "panic: \u{1b}[31mred\u{7} ]]>".to_owned(),
        "größe".to_owned(),
    ];
    hostile.messages = vec!["driver: {\"hello\": {}}".to_owned()];
    let mut listed = outcome(
        "logs/order/flood",
        &[30],
        failed(Some(30), "line 7 is missing", Some(4)),
    );
    listed.expectation = Expectation::KnownFailing(known(3));
    let mut better = outcome("logs/order/short", &[30], Verdict::Passed);
    better.expectation = Expectation::KnownFailing(known(4));
    let mut unsteady = outcome(
        "logs/seal/late",
        &[31],
        failed(Some(31), "not sealed", None),
    );
    unsteady.expectation = Expectation::KnownFlaky(known(9));
    let mut advised = outcome(
        "failures/words/code",
        &[29],
        failed(Some(29), "a failure has no code", Some(2)),
    );
    advised.expectation = Expectation::ShouldPass;
    let mut checkpoints = outcome("checkpoints/resume/after-kill", &[40], Verdict::Passed);
    checkpoints.features = vec!["checkpoints".to_owned()];
    let mut detached = outcome(
        "detached/complete/by-name",
        &[57],
        Verdict::NotDeclared {
            missing: Missing {
                features: vec!["detached".to_owned()],
                one_of: vec!["rest".to_owned(), "unary".to_owned()],
                samples: vec!["slow".to_owned()],
                besides: vec!["to start the driver".to_owned()],
            },
        },
    );
    detached.features = vec!["checkpoints".to_owned(), "detached".to_owned()];
    let mut subject = subject();
    subject.case_files = vec!["own/cases.yaml".to_owned()];
    subject.replaced = vec!["tasks/accept/at-once".to_owned()];
    Results {
        subject,
        axes: "pairs".to_owned(),
        seed: 7,
        possible: 61,
        stopped: Some("the time of all cases together, 600 s, is over (--time-limit)".to_owned()),
        outcomes: vec![
            hostile,
            outcome(
                "tasks/accept/at-once[transport:tcp,concurrency:1]",
                &[12, 13],
                Verdict::Passed,
            ),
            listed,
            better,
            unsteady,
            advised,
            checkpoints,
            detached,
            outcome(
                "hello/version/none-in-common",
                &[3],
                Verdict::CouldNotRun {
                    why: "no port could be bound: too many open files; raise `ulimit -n`"
                        .to_owned(),
                },
            ),
        ],
    }
}

/// All as it should be.
fn good() -> Results {
    let mut checkpoints = outcome("checkpoints/resume/after-kill", &[40], Verdict::Passed);
    checkpoints.features = vec!["checkpoints".to_owned()];
    Results {
        subject: subject(),
        axes: "all".to_owned(),
        seed: 7,
        possible: 2,
        stopped: None,
        outcomes: vec![
            outcome("hello/first/is-hello", &[1], Verdict::Passed),
            checkpoints,
        ],
    }
}

fn sentence(rule: &Rule) -> Option<String> {
    let known = [
        (12, "Each task is answered `accepted` or `refused` at once."),
        (30, "Lines are numbered \\| without gaps."),
    ];
    let known = known.into_iter();
    known
        .filter(|(number, _)| *rule == Rule::contract(*number))
        .map(|(_, text)| text.to_owned())
        .next()
}

#[test]
fn the_text_has_what_did_not_come_as_expected_and_a_summary() {
    let plain = TextOptions::default();
    golden("mixed.txt", &text_report(&mixed(), plain));
    golden("good.txt", &text_report(&good(), plain));
    let all = TextOptions {
        colour: true,
        all: true,
    };
    golden("mixed-all-colour.txt", &text_report(&mixed(), all));
    let none = Results::default();
    golden("none.txt", &text_report(&none, plain));
    // Nothing of a driver's text reaches a terminal as it is.
    let control = |letter: char| letter.is_control() && letter != '\n';
    assert!(!text_report(&mixed(), plain).contains(control));
}

#[test]
fn calls_over_tls_count_for_both_and_a_plain_stream_for_the_stream() {
    let results = Results {
        outcomes: vec![
            outcome("a/b/calls[transport:rest-tls]", &[1], Verdict::Passed),
            outcome("a/b/plain[transport:tcp]", &[1], Verdict::Passed),
        ],
        ..Results::default()
    };
    let groups: Vec<String> = groups(&results).iter().map(ToString::to_string).collect();
    assert_eq!(groups, ["core 2/2", "rest 1/1", "stream 1/1", "tls 1/1"]);
}

#[test]
fn the_junit_report_counts_what_it_has() {
    let text = junit_report(&mixed());
    golden("mixed.xml", &text);
    golden("good.xml", &junit_report(&good()));
    for (element, count) in [
        ("failure", 2),
        ("error", 2),
        ("skipped", 4),
        ("testcase", 10),
    ] {
        let elements = text.matches(&format!("<{element} ")).count();
        assert_eq!(elements, count, "{element}");
    }
    let head = "<testsuites name=\"conveyor conformance\" tests=\"10\" failures=\"2\" errors=\"2\" skipped=\"4\"";
    assert!(text.contains(head), "{text}");
    let control = |letter: char| letter.is_control() && letter != '\n';
    assert!(!text.contains(control));
}

#[test]
fn the_junit_report_has_what_the_driver_said_and_why_a_run_was_skipped() {
    let mut results = mixed();
    for outcome in &mut results.outcomes {
        outcome.stderr = vec![format!("said by {}", outcome.run)];
    }
    let text = junit_report(&results);
    for run in [
        "tasks/accept/at-once[transport:rest,concurrency:64]",
        "logs/order/flood",
        "hello/version/none-in-common",
    ] {
        let said = format!("<system-err>said by {run}</system-err>");
        assert!(text.contains(&said), "{run}: {text}");
    }
    for why in [
        "not declared: detached; rest or unary; a sample `slow` in the config; to start the driver",
        "failed, as is known by known.txt:3: R30: line 7 is missing (step 4)",
        "advice: R29: a failure has no code (step 2)",
    ] {
        assert!(
            text.contains(&format!("<skipped message=\"{why}\"/>")),
            "{why}: {text}"
        );
    }
    for (name, value) in [
        ("axes", "pairs"),
        ("seed", "7"),
        ("runs", "ran 7 of 61, axes pairs, seed 7"),
    ] {
        let property = format!("<property name=\"{name}\" value=\"{value}\"/>");
        assert!(text.contains(&property), "{property}: {text}");
    }
    // Who was stopped before it knew how many there would be says no number of them.
    results.possible = 0;
    results.subject.replaced.clear();
    let text = text_report(&results, TextOptions::default());
    assert!(
        text.contains("\nran 7, axes pairs, seed 7\nended before its end"),
        "{text}"
    );
}

#[test]
fn the_profile_is_a_page_and_its_badge_shows_the_core() {
    golden("mixed.md", &profile(&mixed(), &sentence));
    golden("good.md", &profile(&good(), &sentence));
    golden("mixed.svg", &badge(&mixed()));
    golden("good.svg", &badge(&good()));
    golden("none.svg", &badge(&Results::default()));
    let mut partly = mixed();
    let unexpected = |outcome: &Outcome| outcome.complaints().is_empty();
    partly.outcomes.retain(unexpected);
    let stopped = badge(&partly);
    assert!(stopped.contains("#8a6100"), "{stopped}");
    assert!(stopped.contains("core 1/1 (stopped)<"), "{stopped}");
    // All that was chosen passed, and it is no whole.
    let mut chosen = good();
    assert!(badge(&chosen).contains("#2e7d32") && badge(&chosen).contains("core 1/1<"));
    chosen.subject.chosen = vec!["hello/**".to_owned()];
    let text = badge(&chosen);
    assert!(
        text.contains("#8a6100") && text.contains("core 1/1 (a part)<"),
        "{text}"
    );
    let text = profile(&chosen, &sentence);
    assert!(
        text.contains("Only a part of the suite's cases was run"),
        "{text}"
    );
    chosen.subject.chosen.clear();
    chosen.subject.excluded = vec!["logs/**".to_owned()];
    let text = profile(&chosen, &sentence);
    assert!(
        text.contains("| without | `logs/**` |\n| axes | `all` |"),
        "{text}"
    );
    assert!(badge(&chosen).contains("(a part)"));
    let groups: Vec<String> = groups(&mixed()).iter().map(ToString::to_string).collect();
    assert_eq!(
        groups,
        [
            "core 1/6",
            "checkpoints 1/1",
            "detached: not declared",
            "exit: nothing was run",
            "rest 0/1",
            "stream 1/1",
            "unary: not declared",
        ]
    );
}

#[test]
fn the_next_list_has_what_failed_known_or_not_and_makes_all_expected() {
    let list = known_failing(&mixed());
    golden("known-failing.new.txt", &list);
    assert_eq!(known_failing(&good()), "");
    let file = |name: &str, text: &str| ListFile {
        name: name.to_owned(),
        text: text.to_owned(),
    };
    let mut next = mixed();
    next.stopped = None;
    let could_run = |outcome: &Outcome| !matches!(outcome.verdict, Verdict::CouldNotRun { .. });
    next.outcomes.retain(could_run);
    assert_eq!(next.status(), Status::Failed);
    let runs: Vec<RunName> = next.outcomes.iter().map(|o| o.run.clone()).collect();
    let flaky = [file("flaky.txt", "logs/seal/late")];
    let lists = Lists::new(&[file("new.txt", &list)], &flaky, &runs).expect("lists");
    for outcome in &mut next.outcomes {
        // What no driver has to do needs no list.
        if outcome.expectation != Expectation::ShouldPass {
            outcome.expectation = lists.expectation(&outcome.run);
        }
    }
    assert_eq!(next.status(), Status::AsExpected);
}

/// Each object has the fields of its message, and nothing else.
#[test]
fn the_json_report_is_the_message_of_the_descriptor() {
    let text = json_report(&mixed(), &sentence);
    golden("mixed.json", &text);
    golden("good.json", &json_report(&good(), &sentence));
    let pool = DescriptorPool::decode(DESCRIPTORS).expect("descriptors");
    let report = pool
        .get_message_by_name("conveyor.conformance.v1.Report")
        .expect("a message");
    let mut seen = BTreeSet::new();
    let value: Value = serde_json::from_str(&text).expect("JSON");
    is_message(&value, &report, &mut seen);
    let mut missing = BTreeSet::new();
    fields(&report, &mut missing);
    let missing: Vec<&String> = missing.difference(&seen).collect();
    assert!(missing.is_empty(), "never written: {missing:?}");
}

fn is_message(value: &Value, message: &MessageDescriptor, seen: &mut BTreeSet<String>) {
    let object = value.as_object().expect("an object");
    for name in object.keys() {
        let known = message.get_field_by_name(name).is_some();
        assert!(known, "{} has no field {name}", message.full_name());
    }
    for field in message.fields() {
        let Some(value) = object.get(field.name()) else {
            let name = field.full_name();
            assert!(field.supports_presence(), "{name} is not there");
            continue;
        };
        seen.insert(field.full_name().to_owned());
        match (field.is_list(), value) {
            (true, Value::Array(values)) => {
                for value in values {
                    is_value(value, &field, seen);
                }
            }
            (true, value) => panic!("{}: {value}", field.full_name()),
            (false, value) => is_value(value, &field, seen),
        }
    }
}

fn is_value(value: &Value, field: &FieldDescriptor, seen: &mut BTreeSet<String>) {
    let fits = match field.kind() {
        Kind::String => value.is_string(),
        Kind::Bool => value.is_boolean(),
        Kind::Uint64 => value.is_u64(),
        Kind::Uint32 => value.as_u64().is_some_and(|n| n <= u64::from(u32::MAX)),
        Kind::Message(message) => {
            is_message(value, &message, seen);
            true
        }
        Kind::Enum(kind) => {
            let word = value.as_str().unwrap_or_default().to_uppercase();
            let name = format!("{}_{word}", kind.name().to_uppercase());
            let known = kind.get_value_by_name(&name);
            known.is_some_and(|known| known.number() != 0)
        }
        other => panic!("{}: nothing is written as {other:?}", field.full_name()),
    };
    assert!(fits, "{} is {value}", field.full_name());
}

fn fields(message: &MessageDescriptor, all: &mut BTreeSet<String>) {
    for field in message.fields() {
        all.insert(field.full_name().to_owned());
        if let Kind::Message(inner) = field.kind() {
            fields(&inner, all);
        }
    }
}

/// What the program says to `run` or `engine` with these arguments, and how it ended.
fn refused(command: &str, directory: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_conveyor-conformance"))
        .arg(command)
        // No case is run where the rest is not refused: the pattern is none.
        .args(["--include", "no/such/case"])
        .args(arguments)
        .args(match command {
            "run" => &["--", "/nowhere/driver"][..],
            _ => &[],
        })
        .current_dir(directory)
        .output()
        .expect("it is started");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), said)
}

#[test]
fn what_cannot_be_written_or_run_is_refused_before_anything_is_run() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    std::fs::write(path.join("file"), "").expect("it is written");
    std::fs::create_dir(path.join("there")).expect("it is made");
    for command in ["run", "engine"] {
        for (arguments, says) in [
            (&["--parallel", "0"][..], "it is a number from 1 to 256"),
            (&["--parallel", "257"], "it is a number from 1 to 256"),
            (&["--parallel", "many"], "it is a number from 1 to 256"),
            (
                &["--report", "json"],
                "--report json: it is KIND=FILE, and kinds are text,",
            ),
            (
                &["--report", "html=a.html"],
                "--report html=a.html: it is KIND=FILE",
            ),
            (
                &["--report", "json=there"],
                "--report json=there: there is a directory",
            ),
            (
                &["--report", "json=file/a.json"],
                "--report json=file/a.json: the directory file cannot be made: ",
            ),
            (
                &["--report-dir", "file"],
                "--report-dir file: the directory file cannot be made: ",
            ),
            (
                &["--report", "json=a", "--report", "junit=there/../a"],
                "--report junit=there/../a: there/../a is the file of --report json=a, too",
            ),
            (
                &["--report", "json=there/junit.xml", "--report-dir", "there"],
                "--report-dir there: there/junit.xml is the file of --report json=there/junit.xml, too",
            ),
        ] {
            let (status, said) = refused(command, path, arguments);
            assert_eq!(status, Some(2), "{said}");
            assert!(said.contains(says), "{command}: {says}: {said}");
            assert!(!said.contains("no/such/case"), "{said}");
        }
        // What can be is made before anything is run.
        let made = format!("{command}/of/reports");
        let report = format!("text={made}/report.txt");
        let (status, said) = refused(command, path, &["--report", &report, "--parallel", "1"]);
        assert_eq!(status, Some(2));
        assert!(said.contains("`no/such/case`"), "{said}");
        assert!(path.join(&made).is_dir(), "{made}");
    }
}
