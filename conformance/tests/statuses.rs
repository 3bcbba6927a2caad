//! What the program's exit status says, and the sentence beside it.
//!
//! The programs are built by `make test`.

mod beside;

use beside::program;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn suite(arguments: &[&str]) -> Output {
    let suite = Command::new(env!("CARGO_BIN_EXE_conveyor-conformance"))
        .args(arguments)
        .output();
    suite.expect("the suite runs")
}

/// Runs the suite: its status, and all that it says.
fn said(arguments: &[&str]) -> (Option<i32>, String) {
    let output = suite(arguments);
    let texts = [output.stdout, output.stderr];
    let texts = texts.map(|text| String::from_utf8_lossy(&text).into_owned());
    (output.status.code(), texts.concat())
}

/// Runs cases once against the Rust driver.
fn of_rust(arguments: &[&str]) -> (Option<i32>, String) {
    let driver = program("conveyor-conformance-rust");
    let mut all = vec!["run", "--axes", "one", "-v"];
    all.extend(arguments);
    all.extend(["--", &driver]);
    said(&all)
}

const MEETING: &str = "handshake/features/as-declared";

#[test]
fn where_nothing_is_run_of_what_was_chosen_the_status_is_2_and_it_is_told_why() {
    for (arguments, why) in [
        // A value that the driver does not declare.
        (
            &["--include", "results/success/outputs[transport:rest]"][..],
            "nothing that was chosen is for this driver: it needs rest",
        ),
        // A case of a feature that it does not declare.
        (
            &["--include", "polling/**"],
            "nothing that was chosen is for this driver: it needs ",
        ),
        (
            &["--include", "results/**", "--exclude", "results/**"],
            "all that was chosen is excluded, as results/",
        ),
        (&["--exclude", "**"], "all that was chosen is excluded, as "),
    ] {
        let (status, text) = of_rust(arguments);
        assert_eq!(status, Some(2), "{arguments:?}: {text}");
        assert!(text.contains(why), "{arguments:?}: {text}");
        assert!(
            text.ends_with("not done\n") || text.contains("\nnot done\n"),
            "{text}"
        );
    }
}

#[test]
fn a_fault_that_the_engine_cannot_have_is_told_as_such() {
    let directory = tempfile::tempdir().expect("a directory");
    let case = "cases:\n  - name: own/fault/clock\n    purpose: A driver does not mind the engine's clock.\n    requires: [R17]\n    axes: {transports: [tcp], faults: [clock-jump]}\n    script: [{run: {tasks: [{program: []}]}}, {ended: {}}]\n";
    let file = written(directory.path(), "cases.yaml", case);
    let conveyor = program("conveyor");
    let (status, text) = of_rust(&[
        "--backend",
        "server",
        "--conveyor",
        &conveyor,
        "--case-file",
        &file,
        "--include",
        "own/**[fault:clock-jump]",
    ]);
    assert_eq!(status, Some(2), "{text}");
    // No clock but that of an engine within this process can be put forward.
    let why = "needs an engine whose clock can be put forward (`--backend embedded`)";
    assert!(text.contains(why), "{text}");
}

#[test]
fn what_is_chosen_by_values_that_the_driver_has_not_is_told_beside_what_is_run() {
    let (status, text) = of_rust(&[
        "--include",
        "results/success/outputs[transport:rest]",
        "--include",
        "results/success/outputs[transport:tcp]",
    ]);
    assert_eq!(status, Some(0), "{text}");
    assert!(
        text.contains("not declared  results/success/outputs[transport:rest]"),
        "{text}"
    );
    assert!(text.contains("    needs rest\n"), "{text}");
}

#[test]
fn the_first_meeting_is_a_case_as_others_are() {
    let (status, text) = of_rust(&["--include", MEETING]);
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("1 case: 1 passed"), "{text}");
    for profile in ["contract", "driver"] {
        let (status, text) = said(&["list", profile, "--include", MEETING]);
        assert_eq!(status, Some(0), "{text}");
        assert!(text.starts_with(MEETING), "{text}");
    }
    let (status, text) = said(&["describe", MEETING]);
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("first meeting"), "{text}");
}

fn written(directory: &Path, name: &str, text: &str) -> String {
    let file = directory.join(name);
    std::fs::write(&file, text).expect("written");
    file.display().to_string()
}

#[test]
fn a_first_meeting_that_is_known_to_fail_has_to_and_leaves_no_green_behind() {
    let directory = tempfile::tempdir().expect("a directory");
    let list = written(directory.path(), "known.txt", MEETING);
    // It passes: the list is wrong.
    let known = ["--include", MEETING, "--known-failing", &list];
    let (status, text) = of_rust(&known);
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains("is known as failing and passed"), "{text}");
    // It fails, as is known; nothing else can be run then.
    let (status, text) = said(&["run", "--known-failing", &list, "--", "false"]);
    assert_eq!(status, Some(2), "{text}");
    assert!(text.contains("came to nothing"), "{text}");
    // The hello is otherwise, as is known; all else is run.
    let config = written(directory.path(), "c.yaml", "features: [stream]\n");
    let (status, text) = of_rust(&[
        "--config",
        &config,
        "--include",
        "results/success/*",
        "--known-failing",
        &list,
    ]);
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("1 failed as known"), "{text}");
}

#[test]
fn what_is_advertised_and_not_declared_fails_the_first_meeting_by_name() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = written(directory.path(), "c.yaml", "features: [stream, rest]\n");
    let (status, text) = of_rust(&["--config", &config, "--include", MEETING]);
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains("the config declares rest, stream;"), "{text}");
    assert!(text.contains("only the config has rest"), "{text}");
    // A finished driver, whose config leaves out that it saves checkpoints, and more.
    let file = root().join("conformance/drivers/rust.yaml");
    let whole = std::fs::read_to_string(file).expect("it is there");
    let features = whole.lines().find(|line| line.starts_with("features:"));
    let less = whole.replace(features.expect("it declares"), "");
    let less = written(directory.path(), "less.yaml", &less);
    let finished = ["--profile", "driver", "--include", MEETING, "--config"];
    let (status, text) = of_rust(&[&finished[..], &[&less]].concat());
    assert_eq!(status, Some(1), "{text}");
    let only = "only the hello has adoption, detached, exit, progress";
    assert!(text.contains(only), "{text}");
}

#[test]
fn a_hello_that_advertises_something_else_than_the_first_one_fails_its_run() {
    let page = std::fs::read_to_string(root().join("docs/testing-a-driver.md"));
    let page = page.expect("the page is there");
    let (_, block) = page.split_once("```python\n").expect("it has a driver");
    let (block, _) = block.split_once("\n```").expect("it ends");
    // The first meeting is with a capacity of 1.
    let other = block.replace(
        r#""capabilities": ["rest"],"#,
        r#""capabilities": ["rest"] + ["logs"] * (os.environ["CONVEYOR_CONFORMANCE_CAPACITY"] != "1"),"#,
    );
    assert_ne!(other, block);
    let directory = tempfile::tempdir().expect("a directory");
    let driver = written(directory.path(), "driver.py", &other);
    let config = written(directory.path(), "c.yaml", "features: [rest]\n");
    let run = "results/success/outputs";
    let (status, text) = said(&[
        "run",
        "--axes",
        "one",
        "--config",
        &config,
        "--include",
        run,
        "--",
        "python3",
        &driver,
    ]);
    assert_eq!(status, Some(1), "{text}");
    assert!(
        text.contains(&format!("FAILED        {run}[transport:rest]")),
        "{text}"
    );
    let told = "a hello advertises logs, rest; in the first meeting it was rest";
    assert!(text.contains(told), "{text}");
    assert!(text.contains("1 passed, 1 failed"), "{text}");
}

#[test]
fn the_profile_of_finished_drivers_without_samples_is_refused() {
    let (status, text) = said(&["run", "--profile", "driver", "--", "true"]);
    assert_eq!(status, Some(2), "{text}");
    assert!(text.contains("--config FILE"), "{text}");
    let place = "docs/testing-a-driver.md#a-finished-driver";
    assert!(text.contains(place), "{text}");
    let page = std::fs::read_to_string(root().join("docs/testing-a-driver.md"));
    assert!(
        page.expect("it is there")
            .contains("\n## A finished driver\n")
    );
}

#[test]
fn an_endpoint_without_a_port_is_refused() {
    let (status, text) = said(&["run", "--endpoint", "127.0.0.1:0"]);
    assert_eq!(status, Some(2), "{text}");
    assert!(text.contains("name a port"), "{text}");
}

#[test]
fn what_there_is_when_a_signal_comes_says_of_whom_it_is_and_that_it_is_a_part() {
    let directory = tempfile::tempdir().expect("a directory");
    let starts = directory.path().join("starts");
    let driver = program("conveyor-conformance-rust");
    let text = format!("echo >>{}; exec {driver}", starts.display());
    let report = directory.path().join("report.json");
    let mut suite = Command::new(env!("CARGO_BIN_EXE_conveyor-conformance"))
        .args(["run", "--axes", "one", "--include"])
        .arg("handshake/hello/no-silent-stream")
        .arg(format!("--report=json={}", report.display()))
        .args(["--", "bash", "-c", &text])
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    // The first meeting is over when the driver is started for its case, which takes longer than all of this.
    let started = || std::fs::read(&starts).map_or(0, |lines| lines.len());
    let until = Instant::now() + Duration::from_secs(30);
    while started() < 2 {
        assert!(Instant::now() < until, "the case does not begin");
        std::thread::sleep(Duration::from_millis(10));
    }
    let id = rustix::process::Pid::from_raw(suite.id().cast_signed()).expect("it runs");
    rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("it is told");
    assert_eq!(suite.wait().expect("it ends").code(), Some(2));
    let text = std::fs::read_to_string(report).expect("what there is was written");
    for part in [
        "\"stopped\": \"it was told to end by a signal\"",
        "\"name\": \"under-test\"",
        "\"possible\": 4",
        "\"checkpoints\"",
        MEETING,
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn what_takes_longer_than_all_cases_may_is_ended_and_says_so() {
    let driver = program("conveyor-conformance-rust");
    let (status, text) = said(&[
        "run",
        "--time-limit=2",
        "--axes=one",
        // It takes ten seconds.
        "--include=handshake/hello/no-silent-stream",
        "--",
        &driver,
    ]);
    assert_eq!(status, Some(2), "{text}");
    let why = "the time of all cases together, 2 s, is over (--time-limit)";
    assert!(text.contains(why), "{text}");
}

/// That the program refuses it with this sentence, before anything is run.
fn refuses(arguments: &[&str], says: &str) {
    let output = suite(arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
    assert!(error.contains(says), "{arguments:?}: {says}: {error}");
    assert!(output.stdout.is_empty(), "{arguments:?}: {output:?}");
}

#[test]
fn an_engine_that_is_not_there_is_told_once_and_before_any_case() {
    let directory = tempfile::tempdir().expect("a directory");
    let empty = written(directory.path(), "empty.pem", "");
    for (arguments, says) in [
        (&["ftp://x"][..], "`ftp://x` has the scheme `ftp`"),
        (&["127.0.0.1:9"], "`127.0.0.1:9` has no scheme"),
        (
            &["http://127.0.0.1:9/x"],
            "has more than a host and a port; an engine's address is `http://HOST:PORT`",
        ),
        (
            &["http://127.0.0.1:9?a=b"],
            "has more than a host and a port",
        ),
        (&["http://127.0.0.1:99999"], "has the port `99999`"),
        (&["http://me@127.0.0.1:9"], "names a user"),
        // Nobody listens on the port of discard.
        (
            &["http://127.0.0.1:9"],
            "--endpoint http://127.0.0.1:9: the engine gives no answer to GET /v1/server",
        ),
        (&["https://127.0.0.1:9"], "no TLS with 127.0.0.1:9"),
        (
            &["https://127.0.0.1:9", "--ca", "/nope"],
            "the certificates of /nope: ",
        ),
        (
            &["https://127.0.0.1:9", "--ca", &empty],
            "empty.pem: it has no certificate",
        ),
        (
            &["http://127.0.0.1:9", "--ca", "/nope"],
            "--ca /nope is of an `https` --endpoint",
        ),
    ] {
        let whole = [&["engine", "--endpoint"], arguments].concat();
        refuses(&whole, says);
        let error = String::from_utf8_lossy(&suite(&whole).stderr).into_owned();
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn options_that_would_do_nothing_are_refused_by_name() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = "environment: {COLOUR: red}\narguments: [-v]\n";
    let config = written(directory.path(), "c.yaml", config);
    let here = "127.0.0.1:7421";
    let there = "http://127.0.0.1:9";
    for (arguments, says) in [
        (
            &["run", "--conveyor", "/x", "--", "true"][..],
            "--conveyor /x is the program of `--backend server`, and this is `--backend embedded`",
        ),
        (
            &["engine", "--conveyor", "/x"],
            "--conveyor /x is the program of `--backend server`",
        ),
        (
            &["engine", "--endpoint", there, "--conveyor", "/x"],
            "cannot be used with '--conveyor <FILE>'",
        ),
        (&["engine", "--token", "t"], "--endpoint <URL>"),
        (&["engine", "--ca", "/x"], "--endpoint <URL>"),
        (
            &["run", "--endpoint", here, "--parallel", "8"],
            "cannot be used with '--parallel <COUNT>'",
        ),
        (
            &["run", "--endpoint", here, "--config", &config],
            "c.yaml: `arguments` is of a driver that the suite starts",
        ),
        (
            &["run", "--endpoint", here, "--config", &config],
            "c.yaml: `environment` is of a driver that the suite starts",
        ),
    ] {
        refuses(arguments, says);
    }
    // In the environment it may be for others.
    let output = Command::new(env!("CARGO_BIN_EXE_conveyor-conformance"))
        .args(["engine", "--include", "no/such/case"])
        .env("CONVEYOR_TOKEN", "t")
        .env("CONVEYOR_CA", "/nope")
        .output();
    let error = output.expect("the suite runs").stderr;
    let error = String::from_utf8_lossy(&error);
    assert!(error.contains("no case matches `no/such/case`"), "{error}");
}

#[test]
fn a_switch_that_the_broken_driver_does_not_have_is_refused() {
    let driver = program("conveyor-conformance-raw");
    for (switch, says) in [
        (
            "nope",
            "--switch nope: the driver has none of that name, but r1-",
        ),
        (
            "r1-first-is-heartbeat",
            "--switch r1-first-is-heartbeat: the driver has none of that name; near to it: `r1-first-is-a-heartbeat`",
        ),
    ] {
        refuses(&["selftest", "--switch", switch, "--", &driver], says);
    }
}

#[test]
fn cases_of_another_profile_are_refused_and_not_held_against_the_driver() {
    let directory = tempfile::tempdir().expect("a directory");
    let of = |text: &str| {
        format!(
            "cases:\n  - name: own/a/b\n    purpose: It is.\n    requires: [R17]\n    script: [{text}]\n"
        )
    };
    let program = of("{run: {tasks: [{program: []}]}}, {ended: {}}");
    let sample = of("{run: {tasks: [{sample: good}]}}, {ended: {as_said: true}}");
    let program = written(directory.path(), "program.yaml", &program);
    let sample = written(directory.path(), "sample.yaml", &sample);
    let config = root().join("conformance/drivers/rust.yaml");
    let config = config.display().to_string();
    let finished = [
        "run",
        "--profile",
        "driver",
        "--config",
        &config,
        "--case-file",
    ];
    let finished = [&finished[..], &[&program, "--", "true"]].concat();
    let says = "program.yaml:5:39: `program` is of the profile `contract`";
    refuses(&finished, says);
    refuses(&["list", "driver", "--case-file", &program], says);
    let says = "sample.yaml:5:38: `sample` is of the profile `driver`";
    refuses(&["run", "--case-file", &sample, "--", "true"], says);
    refuses(
        &["list", "--case-file", &sample],
        "`as_said` is of the profile `driver`",
    );
    // Each is described, as it is no matter whose it is.
    for file in [&program, &sample] {
        let (status, text) = said(&["describe", "own/a/b", "--case-file", file]);
        assert_eq!(status, Some(0), "{text}");
    }
}

#[test]
fn a_list_takes_names_of_runs_and_says_whose_a_rule_is() {
    let pattern = "results/**[transport:rest]";
    let list = format!("`list contract --include '{pattern}'`");
    refuses(&["describe", pattern], &list);
    let (status, text) = said(&["list", "contract", "--include", pattern]);
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("results/success/outputs"), "{text}");
    // One that is run over a stream alone is none of them.
    let (_, all) = said(&["list"]);
    let (_, rest) = said(&["list", "--include", "**[transport:rest]"]);
    assert!(rest.lines().count() < all.lines().count(), "{rest}");
    for (rule, says) in [
        ("R4", "cases of engines do: `list engine --requirement R4`"),
        (
            "R99",
            "--requirement R99: there is no rule `R99`: there are R1",
        ),
        ("r34", "of docs/protocol.md; near to it: `R34`"),
    ] {
        refuses(&["list", "--requirement", rule], says);
    }
    for (value, says) in [
        (
            "fault:takeover",
            "`fault:takeover` comes with a later release; `fault` is one of clock-jump, ",
        ),
        (
            "transport:ffi",
            "`transport:ffi` comes with a later release; `transport` is one of rest, ",
        ),
        ("backend:cluster", "there is no axis `backend`"),
    ] {
        let include = format!("**[{value}]");
        refuses(&["run", "--include", &include, "--", "true"], says);
        refuses(&["list", "--include", &include], says);
    }
}

#[test]
fn an_endpoint_is_a_host_by_name_or_number_and_a_port() {
    let like = "it is HOST:PORT, such as 127.0.0.1:7420";
    for address in [
        "http://127.0.0.1:7420",
        "localhost",
        ":7420",
        "localhost:http",
    ] {
        refuses(&["run", "--endpoint", address], like);
    }
    refuses(&["run", "--endpoint", "localhost:0"], "name a port");
    // The name is read: what is wrong comes behind it.
    let named = [
        "run",
        "--endpoint",
        "localhost:7421",
        "--include",
        "no/such",
    ];
    refuses(&named, "no case matches `no/such`");
}
