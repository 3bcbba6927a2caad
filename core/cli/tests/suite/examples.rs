//! The examples, each run for real to its documented end, in a copy of their own.

use crate::program::{Ended, root};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// A copy of `examples`, where commands are typed as in the repository's root.
struct Clone {
    dir: tempfile::TempDir,
}

impl Clone {
    fn new() -> Clone {
        let dir = tempfile::tempdir().expect("a directory");
        copy(&root().join("examples"), &dir.path().join("examples"));
        let bin = dir.path().join("bin");
        std::fs::create_dir(&bin).expect("it is writable");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_conveyor"), bin.join("conveyor"))
            .expect("it is writable");
        Clone { dir }
    }

    fn path(&self, path: &str) -> std::path::PathBuf {
        self.dir.path().join(path)
    }

    fn text(&self, path: &str) -> String {
        std::fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// What a person types into a shell.
    fn shell(&self, line: &str) -> Ended {
        let path = std::env::var("PATH").expect("there is one");
        let output = Command::new("sh")
            .args(["-c", line])
            .current_dir(self.dir.path())
            .env("PATH", format!("{}:{path}", self.path("bin").display()))
            .env("XDG_STATE_HOME", self.path("state"))
            .env_remove("NO_COLOR")
            .output()
            .expect("there is a shell");
        Ended {
            status: output.status.code().expect("no signal ended it"),
            out: String::from_utf8(output.stdout).expect("UTF-8"),
            err: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }

    /// Runs an example; the exit status and the run.
    fn run(&self, line: &str) -> (i32, Value) {
        let ended = self.shell(&format!("conveyor run {line} -o json"));
        let view = serde_json::from_str(&ended.out);
        let view = view.unwrap_or_else(|error| panic!("{error}: {}{}", ended.out, ended.err));
        (ended.status, view)
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("it is writable");
    for entry in std::fs::read_dir(from).expect("it is there") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).expect("it is writable");
        }
    }
}

/// Each step's state, in the document's order.
fn states(view: &Value) -> Vec<(&str, &str)> {
    let steps = view["steps"].as_array().expect("a list").iter();
    let word = |value| Value::as_str(value).expect("a word");
    steps
        .map(|step| (word(&step["id"]), word(&step["state"])))
        .collect()
}

#[test]
fn hello_tries_again_allows_a_failure_and_says_goodbye() {
    let clone = Clone::new();
    let (status, view) = clone.run("examples/hello/pipeline.yaml -i name=you");
    assert_eq!(status, 0, "{view:#}");
    let expected = [
        ("greet", "succeeded"),
        ("flaky", "succeeded"),
        ("optional", "failed"),
        ("summary", "succeeded"),
        ("goodbye", "succeeded"),
    ];
    assert_eq!(states(&view), expected);
    assert_eq!(
        view["outputs"],
        json!({"greeting": "Hello, you!", "attempt": "2"})
    );
    assert_eq!(view["warnings"], 1);
    let attempts = |step: usize| view["steps"][step]["instances"][0]["attempts"].clone();
    assert_eq!(attempts(1).as_array().map(Vec::len), Some(2));
    assert_eq!(attempts(1)[0]["failure"]["code"], "exit_status");
    let greetings: Vec<_> = (0..3)
        .map(|at| view["steps"][0]["instances"][at]["outputs"]["greeting"].clone())
        .collect();
    assert_eq!(greetings, ["Hello, you!", "Bonjour, you!", "Jambo, you!"]);
    let logs = clone.shell("conveyor logs latest summary");
    assert_eq!(
        logs.out,
        "3 greetings, the first of them: Hello, you!\nflaky succeeded at attempt 2\n\
         optional ended failed: the command exited with status 3: nobody minds that this fails\n"
    );
    let logs = clone.shell("conveyor logs latest goodbye");
    assert_eq!(logs.out, "the run ended succeeded\n");
}

#[test]
fn ci_builds_tests_and_leaves_artifacts_as_files() {
    let clone = Clone::new();
    let (status, view) = clone.run("examples/ci/pipeline.yaml");
    assert_eq!(status, 0, "{view:#}");
    let expected = ["sources", "build", "test", "package", "report"].map(|id| (id, "succeeded"));
    assert_eq!(states(&view), expected);
    assert_eq!(view["outputs"]["artifacts"], "target/examples/ci/artifacts");
    assert_eq!(
        view["outputs"]["tests"],
        json!([{"passed": "6"}, {"passed": "6"}])
    );
    let slug = clone.shell("target/examples/ci/artifacts/slug 'Hello,   World!'");
    assert_eq!((slug.status, slug.out.trim()), (0, "hello-world"));
    let report = clone.text("target/examples/ci/artifacts/tests.tap");
    assert_eq!(
        report
            .lines()
            .filter(|line| line.starts_with("ok "))
            .count(),
        6
    );
    let revision = &view["steps"][0]["instances"][0]["outputs"]["revision"];
    let revision = revision.as_str().expect("a text");
    let build = clone.text("target/examples/ci/artifacts/BUILD");
    assert_eq!(build, format!("revision {revision}\n"));
    let sums = clone.shell("cd target/examples/ci/artifacts && cksum slug tests.tap BUILD");
    assert_eq!(
        sums.out,
        clone.text("target/examples/ci/artifacts/CHECKSUMS")
    );

    // A test that does not pass: nothing is packaged, and the log says which.
    let cases = clone.path("examples/ci/tests/cases.txt");
    let wrong = clone
        .text("examples/ci/tests/cases.txt")
        .replace("hello-world", "hullo-world");
    std::fs::write(cases, wrong).expect("it is writable");
    let (status, view) = clone.run("examples/ci/pipeline.yaml -i out=again");
    assert_eq!(status, 1, "{view:#}");
    let expected = [
        ("sources", "succeeded"),
        ("build", "succeeded"),
        ("test", "failed"),
        ("package", "omitted"),
        ("report", "succeeded"),
    ];
    assert_eq!(states(&view), expected);
    assert!(!clone.path("again/artifacts").exists());
    let logs = clone.shell("conveyor logs latest test");
    let line = "not ok 1 - 'Hello, World!': expected 'hullo-world', found 'hello-world'";
    assert_eq!(logs.out.matches(line).count(), 2, "{}", logs.out);
}

#[test]
fn ci_without_its_sources_fails_at_them() {
    let clone = Clone::new();
    let (status, view) = clone.run("examples/ci/pipeline.yaml -i source=elsewhere");
    assert_eq!(status, 1, "{view:#}");
    assert_eq!(states(&view)[0], ("sources", "failed"));
    assert_eq!(states(&view)[1], ("build", "omitted"));
}

#[test]
fn release_deploys_everywhere_or_rolls_back() {
    let clone = Clone::new();
    let regions = || {
        ["ap-south", "eu-west", "us-east"].map(|region| {
            let version = clone.text(&format!("target/examples/release/{region}"));
            version.trim().to_owned()
        })
    };
    let run = |options: &str| clone.run(&format!("examples/release/pipeline.yaml {options}"));
    let ends = |view: &Value, wanted: &[&str]| {
        let ids = [
            "regions", "deploy", "smoke", "rollback", "page", "announce", "tidy",
        ];
        let expected: Vec<_> = ids.into_iter().zip(wanted.iter().copied()).collect();
        assert_eq!(states(view), expected);
    };
    let (ok, no, bad) = ("succeeded", "omitted", "failed");

    let (status, view) = run("-i version=1.3.0");
    assert_eq!(status, 0, "{view:#}");
    ends(&view, &[ok, ok, ok, no, no, ok, ok]);
    assert_eq!(view["outputs"], json!({"released": "true"}));
    assert_eq!(regions(), ["1.3.0"; 3]);

    let (status, view) = run("-i version=1.4.0 -i broken=us-east");
    assert_eq!(status, 0, "{view:#}");
    ends(&view, &[ok, bad, no, ok, no, ok, ok]);
    assert_eq!(view["outputs"], json!({"released": "false"}));
    assert_eq!(regions(), ["1.3.0"; 3], "all are back");

    let (status, view) = run("-i version=1.4.0 -i broken=us-east -i stuck=true");
    assert_eq!(status, 1, "{view:#}");
    ends(&view, &[ok, bad, no, bad, ok, no, ok]);
    let logs = clone.shell("conveyor logs latest page");
    assert_eq!(logs.out, "somebody must look at target/examples/release\n");

    let refused = clone.shell("conveyor run examples/release/pipeline.yaml -i version=latest");
    assert_eq!(refused.status, 2, "{}", refused.err);
    assert!(
        refused.err.contains("-i version=latest: error: "),
        "{}",
        refused.err
    );
}

#[test]
fn the_cases_of_the_examples_pass() {
    let clone = Clone::new();
    for (example, cases) in [("hello", 2), ("release", 4)] {
        let test = clone.shell(&format!(
            "conveyor test examples/{example}/pipeline.yaml -o json"
        ));
        assert_eq!(test.status, 0, "{}{}", test.out, test.err);
        let report: Value = serde_json::from_str(&test.out).expect("it is JSON");
        assert_eq!(
            report["cases"].as_array().map(Vec::len),
            Some(cases),
            "{report:#}"
        );
    }
}

/// The commands of a text's fenced blocks without a language, with the comment that follows.
fn commands(text: &str) -> Vec<(String, String)> {
    let mut block = None;
    let mut commands = Vec::new();
    for line in text.lines() {
        if let Some(language) = line.strip_prefix("```") {
            block = if block.is_none() {
                Some(language)
            } else {
                None
            };
            continue;
        }
        let inside = block == Some("");
        let line = line.replace("cargo run --release -- ", "conveyor ");
        if inside && line.contains("conveyor ") {
            let (command, comment) = line.split_once("  #").unwrap_or((&line, ""));
            commands.push((command.trim().to_owned(), comment.trim().to_owned()));
        }
    }
    commands
}

#[test]
fn every_command_of_the_readmes_ends_as_they_say() {
    for (readme, count) in [
        ("README.md", 1),
        ("examples/hello/README.md", 3),
        ("examples/ci/README.md", 2),
        ("examples/release/README.md", 4),
    ] {
        let clone = Clone::new();
        let text = std::fs::read_to_string(root().join(readme)).expect("it is there");
        let commands = commands(&text);
        assert_eq!(commands.len(), count, "{readme}: {commands:?}");
        for (command, comment) in commands {
            let ended = clone.shell(&command);
            let expected = i32::from(comment == "failed");
            assert_eq!(ended.status, expected, "{readme}: {command}\n{}", ended.err);
        }
    }
}

#[test]
fn the_document_in_the_readme_runs() {
    let clone = Clone::new();
    let text = std::fs::read_to_string(root().join("README.md")).expect("it is there");
    let document = text.split("```yaml\n").nth(1).expect("it has a document");
    let document = document.split("```").next().expect("it ends");
    std::fs::write(clone.path("readme.yaml"), document).expect("it is writable");
    let (status, view) = clone.run("readme.yaml -i who=all");
    assert_eq!(status, 0, "{view:#}");
    let logs = clone.shell("conveyor logs latest greet");
    assert!(
        logs.out.contains("Hello, all") && logs.out.contains("Hei, all"),
        "{}",
        logs.out
    );
}
