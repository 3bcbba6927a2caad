//! `run` and what is left of it.

use crate::engine::{shown, text};
use crate::program::{conveyor, conveyor_with, files, root};

fn one(with: &str) -> String {
    format!(
        "apiVersion: conveyor/v1\nkind: Pipeline\nmetadata: {{name: one}}\nspec:\n  steps:\n    \
         - {{id: only, driver: exec, with: {{run: \"{with}\"}}}}\n"
    )
}

#[test]
fn the_hello_example_runs_to_its_end() {
    let dir = files(&[]);
    let document = root().join("examples/hello/pipeline.yaml");
    let document = document.to_str().expect("UTF-8");
    let run = conveyor(
        dir.path(),
        &["run", document, "--data-dir", "data", "-i", "name=you"],
    );
    assert_eq!(run.status, 0, "{}{}", run.out, run.err);
    assert!(
        run.out.contains("greeting = \"Hello, you!\""),
        "{}",
        run.out
    );
    assert!(
        run.out.contains("flaky") && run.out.contains("2 attempts"),
        "{}",
        run.out
    );
    assert!(run.out.contains("1 warning"), "{}", run.out);
    // Lines of a step come after its beginning.
    let begun = run
        .err
        .find("greet[language=french word=Bonjour] running")
        .expect("it begins");
    let said = run.err.find("| Bonjour, you!").expect("it speaks");
    assert!(begun < said, "{}", run.err);
}

#[test]
fn the_exit_status_tells_how_the_run_ended() {
    let dir = files(&[("good.yaml", &one("exit 0")), ("bad.yaml", &one("exit 7"))]);
    let run = |file| {
        conveyor(
            dir.path(),
            &["run", file, "--data-dir", "data", "-o", "json"],
        )
    };
    let good = run("good.yaml");
    assert_eq!(good.status, 0, "{}", good.err);
    let bad = run("bad.yaml");
    assert_eq!(bad.status, 1, "{}", bad.err);
    let view: serde_json::Value = serde_json::from_str(&bad.out).expect("it is JSON");
    assert_eq!(view["state"], "failed");
    assert_eq!(
        view["steps"][0]["instances"][0]["attempts"][0]["failure"]["code"],
        "exit_status"
    );
    let list = conveyor(
        dir.path(),
        &["runs", "list", "--data-dir", "data", "-o", "json"],
    );
    let list: serde_json::Value = serde_json::from_str(&list.out).expect("it is JSON");
    let states: Vec<_> = list
        .as_array()
        .expect("a list")
        .iter()
        .map(|run| run["state"].clone())
        .collect();
    assert_eq!(states, ["failed", "succeeded"], "newest first");
}

#[test]
fn a_document_can_come_by_standard_input() {
    let dir = files(&[]);
    let run = conveyor_with(
        dir.path(),
        &["run", "-", "--data-dir", "data"],
        &one("echo hi"),
    );
    assert_eq!(run.status, 0, "{}", run.err);
    let logs = conveyor(dir.path(), &["logs", "latest", "--data-dir", "data"]);
    assert_eq!(logs.out, "only | hi\n");
}

#[test]
fn steps_run_where_the_program_was_started() {
    let dir = files(&[("p.yaml", &one("pwd -P >here"))]);
    let run = conveyor(dir.path(), &["run", "p.yaml", "--data-dir", "data"]);
    assert_eq!(run.status, 0, "{}", run.err);
    let here = dir.path().canonicalize().expect("it is there");
    assert_eq!(
        text(&dir.path().join("here")).trim(),
        here.to_str().expect("UTF-8")
    );
}

#[test]
fn a_driver_that_is_not_here_is_refused_by_name() {
    let document = "apiVersion: conveyor/v1\nkind: Pipeline\nmetadata: {name: x}\nspec:\n  steps:\n    \
                    - {id: a, driver: exec, with: {run: 'echo a >ran'}}\n    \
                    - {id: b, driver: kubernetes}\n";
    let dir = files(&[("p.yaml", document)]);
    let run = conveyor(dir.path(), &["run", "p.yaml", "--data-dir", "data"]);
    assert_eq!(run.status, 2, "{}", run.err);
    let wanted =
        "step `b` needs the driver `kubernetes`, which this process does not have; it has: exec";
    assert!(run.err.contains(wanted), "{}", run.err);
    assert!(run.err.contains("p.yaml:7:23: error: "), "{}", run.err);
    assert!(run.err.contains("at: /spec/steps/1/driver"), "{}", run.err);
    assert!(!dir.path().join("ran").exists(), "nothing was started");
    let newer = document.replace("kubernetes", "exec@>=9");
    std::fs::write(dir.path().join("newer.yaml"), newer).expect("it is writable");
    let newer = conveyor(dir.path(), &["run", "newer.yaml", "--data-dir", "data"]);
    assert_eq!(newer.status, 2, "{}", newer.err);
    assert!(
        newer.err.contains("needs the driver `exec@>=9`"),
        "{}",
        newer.err
    );
    let list = conveyor(
        dir.path(),
        &["runs", "list", "--data-dir", "data", "-o", "json"],
    );
    assert_eq!(list.out.trim(), "[]", "nothing was stored");
}

#[test]
fn a_broken_document_is_refused_with_its_lines() {
    let dir = files(&[("p.yaml", &one("true").replace("driver", "drvier"))]);
    let run = conveyor(dir.path(), &["run", "p.yaml", "--data-dir", "data"]);
    assert_eq!(run.status, 2, "{}", run.err);
    assert!(run.err.contains("p.yaml:6:"), "{}", run.err);
    assert!(
        run.err.contains("driver") && run.err.contains('^'),
        "{}",
        run.err
    );
}

#[test]
fn a_run_is_named_by_a_part_of_its_id() {
    let dir = files(&[("p.yaml", &one("true"))]);
    conveyor(dir.path(), &["run", "p.yaml", "--data-dir", "data"]);
    conveyor(dir.path(), &["run", "p.yaml", "--data-dir", "data"]);
    let id = shown(dir.path(), "latest")["id"]
        .as_str()
        .expect("it has an id")
        .to_owned();
    assert_eq!(shown(dir.path(), &id[id.len() - 12..])["id"], id.as_str());
    let both = conveyor(
        dir.path(),
        &["runs", "show", &id[..6], "--data-dir", "data"],
    );
    assert_eq!(both.status, 2);
    assert!(both.err.contains("fits 2 runs"), "{}", both.err);
    let none = conveyor(
        dir.path(),
        &["runs", "show", "ffffff", "--data-dir", "data"],
    );
    assert_eq!(none.status, 2);
    assert!(
        none.err.contains("there is no run `ffffff`"),
        "{}",
        none.err
    );
}

#[test]
fn a_log_that_there_is_not_is_no_empty_log() {
    let dir = files(&[("p.yaml", &one("true"))]);
    conveyor(dir.path(), &["run", "p.yaml", "--data-dir", "data"]);
    let logs = |more: &[&str]| {
        let logs = ["logs", "latest", "only", "--data-dir", "data"];
        conveyor(dir.path(), &[&logs[..], more].concat())
    };
    let silent = logs(&["--attempt", "1", "--instance", "0"]);
    assert_eq!((silent.status, &*silent.out), (0, ""), "{}", silent.err);
    let attempt = logs(&["--attempt", "5"]);
    assert_eq!(attempt.status, 2);
    let wanted = "the step `only` has had no attempt 5: it has had 1 attempt";
    assert!(attempt.err.contains(wanted), "{}", attempt.err);
    let instance = logs(&["--instance", "3"]);
    assert_eq!(instance.status, 2);
    let wanted = "the step `only` has no instance 3: it has 1 instance, numbered from 0";
    assert!(instance.err.contains(wanted), "{}", instance.err);
    let follow = logs(&["--instance", "3", "--follow"]);
    assert_eq!(follow.status, 2, "it has ended: nothing more comes");
    let step = ["logs", "latest", "olny", "--data-dir", "data"];
    let step = conveyor(dir.path(), &step);
    assert_eq!(step.status, 2);
    let wanted = "the run has no step `olny`; it has: only";
    assert!(step.err.contains(wanted), "{}", step.err);
}

#[test]
fn a_fork_inherits_what_ended_well() {
    let document = "apiVersion: conveyor/v1\nkind: Pipeline\nmetadata: {name: x}\nspec:\n  steps:\n    \
                    - {id: a, driver: exec, with: {run: 'echo a >>ran'}}\n    \
                    - {id: b, driver: exec, with: {run: 'echo b >>ran; test -e good'}}\n";
    let dir = files(&[("p.yaml", document)]);
    let run = conveyor(dir.path(), &["run", "p.yaml", "--data-dir", "data"]);
    assert_eq!(run.status, 1, "{}", run.err);
    let old = shown(dir.path(), "latest")["id"].clone();
    std::fs::write(dir.path().join("good"), "").expect("it is writable");
    let fork = ["fork", "latest", "--from-failed", "--data-dir", "data"];
    let preview = conveyor(
        dir.path(),
        &[&fork[..], &["--preview", "-o", "json"]].concat(),
    );
    assert_eq!(preview.status, 0, "{}", preview.err);
    let steps: serde_json::Value = serde_json::from_str(&preview.out).expect("it is JSON");
    assert_eq!(
        (&steps[0]["inherited"], &steps[1]["inherited"]),
        (&true.into(), &false.into())
    );
    assert_eq!(
        text(&dir.path().join("ran")),
        "a\nb\n",
        "a preview starts nothing"
    );
    let forked = conveyor(dir.path(), &fork);
    assert_eq!(forked.status, 0, "{}", forked.err);
    assert_eq!(text(&dir.path().join("ran")), "a\nb\nb\n");
    let view = shown(dir.path(), "latest");
    assert_eq!(view["forked_from"], old);
    assert_eq!(view["steps"][0]["inherited_from"], old);
}

#[test]
fn a_fork_from_finally_runs_finally_and_nothing_else() {
    let document = "apiVersion: conveyor/v1\nkind: Pipeline\nmetadata: {name: x}\nspec:\n  steps:\n    \
                    - {id: a, driver: exec, with: {run: 'echo a >>ran'}}\n  finally:\n    \
                    - {id: bye, driver: exec, with: {run: 'echo bye >>ran; test -e good'}}\n";
    let dir = files(&[("p.yaml", document)]);
    let run = conveyor(dir.path(), &["run", "p.yaml", "--data-dir", "data"]);
    assert_eq!(run.status, 1, "{}", run.err);
    std::fs::write(dir.path().join("good"), "").expect("it is writable");
    let fork = ["fork", "latest", "--from", "bye", "--data-dir", "data"];
    let fork = conveyor(dir.path(), &fork);
    assert_eq!(fork.status, 0, "{}", fork.err);
    assert_eq!(text(&dir.path().join("ran")), "a\nbye\nbye\n");
}

#[test]
fn plain_lines_of_an_attempt_stand_between_its_beginning_and_its_end() {
    let document = "apiVersion: conveyor/v1\nkind: Pipeline\nmetadata: {name: x}\nspec:\n  steps:\n    \
                    - id: each\n      driver: exec\n      foreach: {items: \"${{ lists.range(60) }}\"}\n      \
                    retry: {attempts: 2, backoff: {initial: 1ms}}\n      \
                    with: {run: 'for i in 1 2 3; do echo line $i; done; test $CONVEYOR_ATTEMPT = 2'}\n";
    let dir = files(&[("p.yaml", document)]);
    let run = conveyor(dir.path(), &["run", "p.yaml", "--data-dir", "data"]);
    assert_eq!(run.status, 0, "{}", run.err);
    for instance in 0..60 {
        let name = format!(" each[{instance}] ");
        let told = run.err.lines().filter_map(|line| line.split_once(&name));
        let told: Vec<_> = told
            .map(|(_, told)| told.split(" in ").next().unwrap_or_default())
            // How long is up to the clock.
            .map(|told| told.split(" for ").next().unwrap_or_default())
            .collect();
        let lines = ["| line 1", "| line 2", "| line 3"];
        let expected = [
            &["running"][..],
            &lines,
            &["attempt 1 failed: exit_status: the command exited with status 1"],
            &["waiting"],
            &["running, attempt 2"],
            &lines,
            &["succeeded"],
        ];
        assert_eq!(told, expected.concat(), "{name}");
    }
}

#[test]
fn a_run_that_is_not_quarantined_is_not_released() {
    let dir = files(&[("p.yaml", &one("true"))]);
    conveyor(dir.path(), &["run", "p.yaml", "--data-dir", "data"]);
    let release = ["runs", "release", "latest", "--data-dir", "data"];
    let release = conveyor(dir.path(), &release);
    assert_eq!(release.status, 2, "{}", release.out);
    assert!(
        release.err.contains("is not quarantined"),
        "{}",
        release.err
    );
    assert_eq!(shown(dir.path(), "latest")["state"], "succeeded");
}
