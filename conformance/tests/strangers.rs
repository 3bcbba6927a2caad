//! Drivers that misbehave are told so in a sentence, in a time that has an end, and nothing of them is left.

mod beside;

use beside::program;
use conveyor_conformance::{
    Breadth, Options, Program, Results, Status, Verdict, embedded, read_cases, read_config, v1,
};
use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

/// How long a stranger may be tried: a flood lasts as long as its case, and a busy machine is slow.
const BOUND: Duration = Duration::from_secs(90);
/// How long what a killed suite has left may be there.
const LEFT: Duration = Duration::from_secs(5);
/// Its name.
const CASE: &str = "results/success/outputs";
/// The file of those that talk.
const STRANGER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/strangers/stranger.py");

/// The one case that most strangers are tried with.
fn usual() -> Vec<v1::Case> {
    let mut cases = embedded("contract").unwrap_or_else(|errors| panic!("{}", errors.join("\n")));
    cases.retain(|case| case.name == CASE);
    assert_eq!(cases.len(), 1, "{CASE}");
    cases
}

/// What came of a driver in some cases.
async fn tried(command: &[&str], config: &str, cases: Vec<v1::Case>) -> Results {
    let config = read_config("config.yaml", config, "contract");
    let mut config: v1::Config = config.unwrap_or_else(|all| panic!("{all:?}"));
    config.start_ms = 5_000;
    let options = Options {
        program: Program {
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            ..Program::default()
        },
        config,
        cases,
        breadth: Breadth::One,
        ..Options::default()
    };
    let run = conveyor_conformance::run(&options, |_, _| {});
    let results = tokio::time::timeout(BOUND, run).await;
    let results = results.expect("the suite ends");
    results.expect("the suite can work")
}

/// What came of a stranger that talks.
async fn stranger(how: &str) -> Results {
    tried(&["python3", STRANGER, how], "features: [rest]", usual()).await
}

/// What came of a driver that is a shell's script.
async fn shell(text: &str) -> Results {
    tried(&["bash", "-c", text], "{}", usual()).await
}

/// All that is said of the outcome that failed: of the first meeting, where nothing else is tried then.
fn sentences(results: &Results) -> Vec<String> {
    assert_eq!(results.status(), Status::Failed, "{results:#?}");
    let failed = results.outcomes.iter().find_map(|outcome| {
        let Verdict::Failed { findings } = &outcome.verdict else {
            return None;
        };
        Some(findings.iter().map(|finding| finding.sentence.clone()))
    });
    failed.expect("one has failed").collect()
}

/// Why the driver could not be started.
fn unstarted(results: &Results) -> String {
    assert_eq!(results.status(), Status::CouldNot);
    assert_eq!(results.outcomes.len(), 1, "nothing else is tried");
    match &results.outcomes[0].verdict {
        Verdict::CouldNotRun { why } => why.clone(),
        other => panic!("{other:?}"),
    }
}

/// Processes with a word in their command or in their environment.
fn with(word: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").expect("a system with /proc");
    let ids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let has = |id: u32| {
        let read = |name: &str| std::fs::read(format!("/proc/{id}/{name}")).unwrap_or_default();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).replace('\0', " ");
        let command = text(read("cmdline"));
        let found = command.contains(word) || text(read("environ")).contains(word);
        found.then(|| format!("{id}: {command}"))
    };
    ids.filter(|id| *id != std::process::id())
        .filter_map(has)
        .collect()
}

/// Waits until something is so.
async fn until(within: Duration, what: &str, so: impl Fn() -> bool) {
    let until = Instant::now() + within;
    while !so() {
        assert!(Instant::now() < until, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_ends_at_once_is_told_with_its_last_words() {
    let results = shell("echo 'no such library' >&2; exit 3").await;
    assert_eq!(
        sentences(&results),
        [
            "the driver did not connect: no engine's `welcome` came: the driver's process ended with the status 3"
        ]
    );
    assert_eq!(results.outcomes[0].stderr, ["no such library"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_talks_to_standard_output_alone_is_told_of_both() {
    let results = tried(
        &["bash", "-c", "echo hello; exec sleep 60"],
        "features: [stream]",
        usual(),
    )
    .await;
    let [sentence] = &sentences(&results)[..] else {
        panic!("{results:#?}");
    };
    for part in [
        "the driver did not connect",
        "wrote 6 bytes to standard output",
        "the first is `hello`",
    ] {
        assert!(sentence.contains(part), "{part}: {sentence}");
    }
}

#[tokio::test]
async fn no_driver_has_the_access_token_that_the_suite_was_given() {
    let ran = Command::new(env!("CARGO_BIN_EXE_conveyor-conformance"))
        .env("CONVEYOR_TOKEN", "of-the-suite")
        .env("CONVEYOR_CA", "/of/the/suite.pem")
        .env("CONVEYOR_CONFORMANCE_MINE", "of-the-driver")
        .args(["run", "--include", CASE, "--", "bash", "-c"])
        .arg("env | grep ^CONVEYOR | sort >&2; exit 3")
        .output()
        .await
        .expect("it runs");
    let said = String::from_utf8_lossy(&ran.stdout);
    // Its last words, which have what else it was told.
    assert!(said.contains("CONVEYOR_URL=http://127.0.0.1:"), "{said}");
    assert!(
        said.contains("CONVEYOR_CONFORMANCE_MINE=of-the-driver"),
        "{said}"
    );
    assert!(!said.contains("of-the-suite"), "{said}");
    assert!(!said.contains("/of/the/suite.pem"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_never_connects_is_told_and_nothing_of_it_is_left() {
    let mark = format!("stranger-{}", uuid::Uuid::new_v4().simple());
    let text = format!("trap '' TERM; (exec -a {mark} sleep 600) & exec -a {mark} sleep 600");
    let told = sentences(&shell(&text).await);
    assert_eq!(
        told,
        ["the driver did not connect: no engine's `welcome` came within 5000 ms"]
    );
    assert_eq!(with(&mark), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_speaks_another_version_is_told_what_it_said() {
    let told = sentences(&stranger("version").await);
    assert_eq!(
        told,
        [
            "the driver did not connect: no engine's `welcome` came within 5000 ms; its hello, with contract_versions [99] and capacity 1, is none that the engine welcomes"
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_has_room_for_everything_is_told_what_it_said() {
    let told = sentences(&stranger("capacity").await);
    assert_eq!(
        told,
        [
            "the driver did not connect: no engine's `welcome` came within 5000 ms; its hello, with contract_versions [1] and capacity 4294967295, is none that the engine welcomes"
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_hangs_behind_its_hello_is_told_what_did_not_come() {
    let told = sentences(&stranger("silent").await);
    assert_eq!(
        told[0],
        "no driver's `accepted` of task `a` came within 5000 ms"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_floods_the_engine_is_told_what_did_not_come_and_what_came() {
    let told = sentences(&stranger("heartbeats").await);
    assert_eq!(
        told[0],
        "no driver's `accepted` of task `a` came within 5000 ms"
    );
    let flood = |told: &String| told.contains("heartbeats came within the second");
    assert!(told.iter().any(flood), "{told:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_exits_in_the_middle_of_a_case_is_told_with_its_last_words() {
    let results = stranger("exits").await;
    assert_eq!(
        sentences(&results)[0],
        "no driver's `accepted` of task `a` came: the driver's process ended with the status 3"
    );
    let said = |outcome: &conveyor_conformance::Outcome| outcome.stderr == ["that is too much"];
    assert!(results.outcomes.iter().any(said));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_does_not_end_when_it_is_told_to_is_told_so_and_ended() {
    let mark = format!("stranger-{}", uuid::Uuid::new_v4().simple());
    let config = format!("features: [rest, drain]\nenvironment: {{STRANGER: {mark}}}");
    let case = "\
cases:
  - name: drain/idle/ends
    purpose: A driver that is told to stop ends.
    requires: [R47]
    features: [drain]
    script:
      - signal: {name: TERM}
      - exited: {within_ms: 1000}
";
    let cases = read_cases("deaf.yaml", case).unwrap_or_else(|all| panic!("{all:?}"));
    let command = ["python3", STRANGER, "deaf"];
    let told = sentences(&tried(&command, &config, cases).await);
    assert_eq!(told[0], "the driver's process did not end within 1000 ms");
    assert_eq!(with(&mark), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_floods_standard_error_is_read_to_its_end() {
    let results = stranger("error").await;
    let told = sentences(&results);
    assert_eq!(
        told[0],
        "no driver's `accepted` of task `a` came within 5000 ms"
    );
    let kept = |outcome: &conveyor_conformance::Outcome| outcome.stderr.len() == 200;
    assert!(results.outcomes.iter().any(kept));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_one_line_without_end_a_little_is_kept() {
    let results = stranger("line").await;
    assert_eq!(
        sentences(&results)[0],
        "no driver's `accepted` of task `a` came within 5000 ms"
    );
    for outcome in &results.outcomes {
        assert_eq!(outcome.stderr, ["x".repeat(2_000)]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_writes_to_standard_output_is_told_the_first_line() {
    let driver = program("conveyor-conformance-rust");
    let told = sentences(&shell(&format!("echo hello; exec {driver}")).await);
    assert_eq!(
        told,
        [
            "the driver wrote 6 bytes to standard output, which is not for it: people's lines go to standard error; the first is `hello`"
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_floods_standard_output_is_told_so() {
    let told = sentences(&stranger("output").await);
    let first = "the driver wrote ";
    assert!(told[0].starts_with(first), "{told:#?}");
    assert!(
        told[0].ends_with(&format!("the first is `{}`", "x".repeat(200))),
        "{told:#?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_writes_to_standard_output_with_a_task_alone_is_told_so() {
    let told = sentences(&stranger("late-output").await);
    assert_eq!(
        told.last().map(String::as_str),
        Some(
            "the driver wrote 16 bytes to standard output, which is not for it: people's lines go to standard error; the first is `a task has come`"
        )
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_program_says_nothing_of_a_driver_and_is_told_why() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().expect("a directory");
    let file = |name: &str, text: &str, mode: u32| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("its mode");
        path.display().to_string()
    };
    let place = directory.path().display().to_string();
    let known = [
        (place.clone(), "it is a directory"),
        (format!("{place}/none"), "there is no such file"),
        (
            "no-such-driver-anywhere".to_owned(),
            "there is no such program on PATH",
        ),
        (
            file("plain", "#!/bin/sh\n", 0o644),
            "it is not executable: `chmod +x` makes it so",
        ),
        (
            file("lost", "#!/nowhere/python -u\n", 0o755),
            "its first line, `#!/nowhere/python -u`, names a program that is not there",
        ),
    ];
    for (driver, why) in known {
        let told = unstarted(&tried(&[&driver], "{}", usual()).await);
        assert_eq!(told, format!("the driver `{driver}`: {why}"));
    }
}

/// A suite in a process of its own, against a stranger that starts daemons. What is of it has `mark`.
fn suite(how: &str, mark: &str, temporary: &Path, config: &Path, backend: &str) -> Child {
    std::fs::write(config, "features: [rest]\n").expect("written");
    let mut suite = Command::new(env!("CARGO_BIN_EXE_conveyor-conformance"));
    suite.args([
        "run",
        "--axes",
        "one",
        "--include",
        CASE,
        "--backend",
        backend,
    ]);
    if backend == "server" {
        suite.args(["--conveyor", &program("conveyor")]);
    }
    suite
        .arg("--config")
        .arg(config)
        .args(["--", "python3", STRANGER, how])
        .env("STRANGER", mark)
        .env("TMPDIR", temporary)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts")
}

fn signal(suite: &Child, signal: Signal) {
    let id = suite.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    kill_process(id.expect("it runs"), signal).expect("it is told");
}

/// What lies in a directory.
fn files(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).expect("it is there");
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.collect()
}

/// Daemons that run.
fn daemons(mark: &str) -> usize {
    let sleeps = |line: &&String| line.contains(mark) && line.contains("600");
    with(mark).iter().filter(sleeps).count()
}

async fn nothing_is_left_of_a_killed_suite(backend: &str) {
    let mark = format!("stranger-{}", uuid::Uuid::new_v4().simple());
    let directory = tempfile::tempdir().expect("a directory");
    let temporary = directory.path().join("tmp");
    std::fs::create_dir(&temporary).expect("made");
    let mut suite = suite(
        "daemons",
        &mark,
        &temporary,
        &directory.path().join("c.yaml"),
        backend,
    );
    until(BOUND, "no driver was started", || {
        let serves = |line: &String| line.contains(" serve ");
        daemons(&mark) >= 2 && (backend == "embedded" || with(&mark).iter().any(serves))
    })
    .await;
    assert!(!files(&temporary).is_empty(), "it has its files elsewhere");
    signal(&suite, Signal::KILL);
    suite.wait().await.expect("it is waited for");
    until(LEFT, "something is left", || {
        with(&mark).is_empty() && files(&temporary).is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_of_a_suite_that_is_killed() {
    nothing_is_left_of_a_killed_suite("embedded").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_of_a_suite_that_is_killed_with_its_servers() {
    nothing_is_left_of_a_killed_suite("server").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_of_a_suite_that_has_ended() {
    let mark = format!("stranger-{}", uuid::Uuid::new_v4().simple());
    let directory = tempfile::tempdir().expect("a directory");
    let temporary = directory.path().join("tmp");
    std::fs::create_dir(&temporary).expect("made");
    let config = directory.path().join("c.yaml");
    let mut suite = suite("strays", &mark, &temporary, &config, "embedded");
    let ended = tokio::time::timeout(BOUND, suite.wait()).await;
    let ended = ended.expect("it ends").expect("it is waited for");
    assert_eq!(ended.code(), Some(1));
    assert_eq!(with(&mark), [""; 0]);
    assert_eq!(files(&temporary), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suite_that_is_told_to_end_writes_what_it_has_and_leaves_nothing_running() {
    let directory = tempfile::tempdir().expect("a directory");
    let report = directory.path().join("report.json");
    let mark = format!("conformance-stopped-{}", std::process::id());
    let driver = program("conveyor-conformance-rust");
    // Nowhere else than in what it starts: the suite's own command has the word not.
    let script = directory.path().join("driver.sh");
    let text = format!("(exec -a {mark} sleep 600) &\nexec {driver}\n");
    std::fs::write(&script, text).expect("written");
    let mut suite = Command::new(env!("CARGO_BIN_EXE_conveyor-conformance"))
        .args([
            "run",
            "--axes",
            "one",
            "--include",
            "handshake/hello/no-silent-stream",
        ])
        .arg(format!("--report=json={}", report.display()))
        .args(["--", "bash"])
        .arg(&script)
        .kill_on_drop(true)
        .spawn()
        .expect("it starts");
    until(BOUND, "no driver was started", || !with(&mark).is_empty()).await;
    signal(&suite, Signal::TERM);
    let ended = tokio::time::timeout(Duration::from_secs(10), suite.wait()).await;
    assert_eq!(
        ended.expect("it ends").expect("it is waited for").code(),
        Some(2)
    );
    assert_eq!(with(&mark), [""; 0]);
    let text = std::fs::read_to_string(report).expect("what there is was written");
    assert!(text.contains("told to end by a signal"), "{text}");
}
