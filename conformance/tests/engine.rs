//! The suite for engines, against this release's own.

use conveyor_conformance::engine::{Backend, Options, embedded, names, read_cases, run, uncited};
use conveyor_conformance::{ListFile, Lists, Pattern, Results, Standing, Verdict, describe_engine};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What did not pass, a line each.
fn left(results: &Results) -> Vec<String> {
    let lines = results
        .outcomes
        .iter()
        .filter(|outcome| outcome.verdict != Verdict::Passed);
    let told = lines.map(|outcome| format!("{}: {}", outcome.run, outcome.complaints().join("; ")));
    told.collect()
}

/// All cases of some areas.
fn of(areas: &[&str]) -> Vec<Pattern> {
    let patterns = areas.iter().map(|area| format!("{area}/**").parse());
    patterns
        .collect::<Result<_, _>>()
        .expect("they are patterns")
}

async fn performed(options: Options) -> Results {
    let options = match options.cases.is_empty() {
        true => Options {
            cases: embedded().expect("the cases are read"),
            ..options
        },
        false => options,
    };
    let mut told = 0;
    let results = run(&options, |_, of| {
        told += 1;
        assert!(told <= of);
    });
    let results = results.await.expect("they have names");
    assert_eq!(told, results.outcomes.len());
    results
}

/// `conveyor`, which lies beside the tests' directory.
fn program() -> PathBuf {
    let test = std::env::current_exe().expect("it has a path");
    let built = test.ancestors().nth(2).expect("it lies in `deps`");
    let program = built.join("conveyor");
    assert!(
        program.exists(),
        "{} is not built: `make test` builds it, or `cargo build --release -p conveyor-cli`",
        program.display()
    );
    program
}

#[test]
fn whatever_an_engine_must_has_a_case() {
    let uncited = uncited().expect("the cases are read");
    assert!(uncited.is_empty(), "no case cites\n{}", uncited.join("\n"));
}

#[test]
fn every_case_says_what_it_does() {
    let cases = embedded().expect("they are read");
    assert!(cases.len() >= 100, "{} cases", cases.len());
    for case in cases {
        let told = describe_engine(&case);
        assert!(!told.procedure.is_empty(), "{}", case.name);
        let says = |line: &String| line != "nothing" && !line.is_empty();
        assert!(told.procedure.iter().all(says), "{told:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_engine_passes_every_case() {
    let results = performed(Options::default()).await;
    let left = left(&results);
    let (count, all) = (left.len(), results.outcomes.len());
    assert!(
        left.is_empty(),
        "{count} of {all} did not pass:\n{}",
        left.join("\n")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_passes_what_its_process_and_its_disk_matter_to() {
    let options = Options {
        backend: Backend::Server {
            program: Some(program()),
        },
        include: of(&[
            "restarts", "access", "secrets", "sessions", "events", "objects",
        ]),
        ..Options::default()
    };
    let results = performed(options).await;
    let left = left(&results);
    let (count, all) = (left.len(), results.outcomes.len());
    assert!(
        left.is_empty(),
        "{count} of {all} did not pass:\n{}",
        left.join("\n")
    );
}

#[tokio::test]
async fn an_engine_that_is_not_there_says_nothing_of_the_cases() {
    let nowhere = Backend::Server {
        program: Some(PathBuf::from("/nowhere/conveyor")),
    };
    // Nobody listens on the port of discard.
    let closed = Backend::Endpoint {
        url: "http://127.0.0.1:9".to_owned(),
        ca: None,
        token: None,
    };
    let silent = Backend::Endpoint {
        url: "https://127.0.0.1:9".to_owned(),
        ca: None,
        token: None,
    };
    let strange = Backend::Endpoint {
        url: "ftp://127.0.0.1:9".to_owned(),
        ca: None,
        token: None,
    };
    for (backend, says) in [
        (nowhere, "cannot be started"),
        (closed, "no answer"),
        (silent, "no TLS with 127.0.0.1:9"),
        (strange, "has the scheme `ftp`"),
    ] {
        let one = "data/transform/without-a-driver".parse();
        let options = Options {
            backend,
            include: vec![one.expect("a pattern")],
            ..Options::default()
        };
        let results = performed(options).await;
        let [outcome] = &results.outcomes[..] else {
            panic!("{results:?}");
        };
        let Verdict::CouldNotRun { why } = &outcome.verdict else {
            panic!("{outcome:?}");
        };
        assert!(why.contains(says), "{why}");
    }
}

/// One that an engine does well, one that none can do, and one that is told with several rules.
const CASES: &str = "cases:
  - name: own/answers/well
    purpose: It answers.
    requires: [R1]
    steps:
      - call: {path: /v1/server}
  - name: own/answers/otherwise
    purpose: Nobody has this role.
    requires: [R1]
    steps:
      - call: {path: /v1/server}
      - call: {path: /v1/server, like: {role: nobody, version: none}}
";

#[tokio::test]
async fn what_is_known_is_known_of_engines_too() {
    let cases = read_cases("own.yaml", CASES).expect("they are read");
    let all = names(&cases).expect("they have names");
    let file = |text: &str| {
        [ListFile {
            name: "known.txt".to_owned(),
            text: text.to_owned(),
        }]
    };
    for (failing, flaky, standings) in [
        ("", "", [Standing::Failed, Standing::Passed]),
        (
            "own/answers/otherwise",
            "",
            [Standing::Known, Standing::Passed],
        ),
        ("", "own/**", [Standing::Known, Standing::Passed]),
        ("own/**", "", [Standing::Known, Standing::PassedThoughKnown]),
    ] {
        let options = Options {
            cases: cases.clone(),
            lists: Lists::new(&file(failing), &file(flaky), &all).expect("lists"),
            ..Options::default()
        };
        let results = performed(options).await;
        let found: Vec<Standing> = results.outcomes.iter().map(|one| one.standing()).collect();
        assert_eq!(found, standings, "{results:#?}");
        let [finding] = results.outcomes[0].findings() else {
            panic!("{results:#?}");
        };
        assert_eq!(finding.place, Some(2), "{finding}");
        let told = finding.to_string();
        let says = "R1: `call`: the engine's answer to GET /v1/server: /role: is \"serve\"; expected \"nobody\"; /version: is ";
        assert!(told.starts_with(says), "{told}");
    }
}

/// Runs the program against an engine of its own.
fn program_says(directory: &Path, arguments: &[&str]) -> (Output, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_conveyor-conformance"))
        .arg("engine")
        .args(arguments)
        .current_dir(directory)
        .output()
        .expect("it is started");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, error) = (text(&output.stdout), text(&output.stderr));
    (output, out, error)
}

#[test]
fn the_program_takes_lists_case_files_and_traces_for_engines() {
    let directory = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| {
        std::fs::write(directory.path().join(name), text).expect("it is written");
    };
    write("own.yaml", CASES);
    write("known.txt", "own/answers/otherwise\n");
    write("wrong.yaml", &CASES.replace("call: {path", "call: {pth"));
    write("strange.txt", "own/answer/otherwise\n");
    let own = ["--case-file", "own.yaml", "--include", "own/**"];
    let with = |more: &[&str]| {
        let arguments: Vec<&str> = own.iter().chain(more).copied().collect();
        program_says(directory.path(), &arguments)
    };
    let (output, out, error) = with(&["--trace", "--report", "json=made/here/report.json"]);
    assert_eq!(output.status.code(), Some(1), "{out}{error}");
    assert!(out.contains("FAILED        own/answers/otherwise"), "{out}");
    assert!(out.contains("(step 2)"), "{out}");
    assert!(out.contains(" client GET /v1/server"), "{out}");
    assert!(out.contains("2 cases: 1 passed, 1 failed"), "{out}");
    let report = directory.path().join("made/here/report.json");
    let report = std::fs::read_to_string(report).expect("its directory was made");
    assert!(report.contains("\"requirement\": \"R1\""), "{report}");
    let told: serde_json::Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!(told["case_files"], serde_json::json!(["own.yaml"]));
    assert_eq!(told["replaced"], serde_json::json!([]));
    // One of the suite's own, which two files have: it is told once, and in what is printed, too.
    let taken = "access/actors/who-proves-it-is-named";
    write("again.yaml", &CASES.replace("own/answers/well", taken));
    let twice = ["--case-file", "again.yaml", "--case-file", "again.yaml"];
    let chosen = ["--include", taken, "--report", "json=replaced.json"];
    let (output, out, error) = program_says(directory.path(), &[&twice[..], &chosen].concat());
    assert_eq!(output.status.code(), Some(0), "{out}{error}");
    let line = format!("cases of files in place of the suite's own: {taken}\n");
    assert!(out.contains(&line), "{out}");
    let told = std::fs::read_to_string(directory.path().join("replaced.json"));
    let told: serde_json::Value = serde_json::from_str(&told.expect("written")).expect("JSON");
    assert_eq!(told["replaced"], serde_json::json!([taken]));
    let (output, out, error) = with(&["--known-failing", "known.txt"]);
    assert_eq!(output.status.code(), Some(0), "{out}{error}");
    assert!(out.contains("known by known.txt:1"), "{out}");
    assert!(!out.contains(" client GET"), "{out}");
    for (arguments, says) in [
        (
            &["--known-failing", "strange.txt"][..],
            "strange.txt:1: no case matches `own/answer/otherwise`",
        ),
        (
            &["--known-failing", "known.txt", "--known-flaky", "known.txt"],
            "what is known as flaky cannot be known as failing",
        ),
        (
            &["--case-file", "wrong.yaml"],
            "wrong.yaml:6:21: unknown field `pth`",
        ),
    ] {
        let (output, out, error) = with(arguments);
        assert_eq!(output.status.code(), Some(2), "{out}{error}");
        assert!(error.contains(says), "{says}: {error}");
    }
}
