use crate::program::{conveyor, files};
use std::path::Path;
use std::process::{Command, Stdio};

const VERBS: &[&[&str]] = &[
    &["run"],
    &["check"],
    &["plan"],
    &["test"],
    &["runs"],
    &["runs", "list"],
    &["runs", "show"],
    &["runs", "release"],
    &["logs"],
    &["events"],
    &["cancel"],
    &["drain"],
    &["terminate"],
    &["pause"],
    &["resume"],
    &["fork"],
    &["contract"],
    &["contract", "export"],
    &["completion"],
    &["backup"],
    &["restore"],
    &["doctor"],
    // Last: the others need the run.
    &["runs", "delete"],
];

#[test]
fn every_verb_has_help_with_examples() {
    let dir = files(&[]);
    for verb in VERBS {
        let mut args = verb.to_vec();
        args.push("--help");
        let ended = conveyor(dir.path(), &args);
        assert_eq!(ended.status, 0, "{verb:?}: {}", ended.err);
        let example = format!("  conveyor {}", verb.join(" "));
        assert!(ended.out.contains("Examples:"), "{verb:?}: {}", ended.out);
        assert!(ended.out.contains(&example), "{verb:?}: {}", ended.out);
        // What a verb is asked for comes before what nobody asks.
        let own = ended.out.find("Options:").expect("it has options");
        let colour = ended.out.find("--color").expect("it is of every verb");
        let first = ended.out[own..].lines().nth(1).unwrap_or_default();
        assert!(
            !first.contains("--color")
                || [
                    &["completion"][..],
                    &["runs"],
                    &["contract"],
                    &["contract", "export"]
                ]
                .contains(verb),
            "{verb:?}: {}",
            &ended.out[own..colour]
        );
        assert!(
            !ended.out.contains('\x1b'),
            "{verb:?} has colours off a terminal"
        );
    }
}

#[test]
fn the_version_is_the_packages() {
    let ended = conveyor(files(&[]).path(), &["--version"]);
    assert_eq!(
        ended.out,
        format!("conveyor {}\n", env!("CARGO_PKG_VERSION"))
    );
    assert_eq!(ended.status, 0);
}

#[test]
fn a_wrong_option_is_refused_and_the_right_one_named() {
    let ended = conveyor(files(&[]).path(), &["plan", "p.yaml", "--inptus", "x"]);
    assert_eq!(ended.status, 2);
    assert!(ended.err.contains("--inputs"), "{}", ended.err);
    let ended = conveyor(files(&[]).path(), &["plan", "p.yaml", "-i", "novalue"]);
    assert_eq!(ended.status, 2);
    assert!(ended.err.contains("expected key=value"), "{}", ended.err);
    let ended = conveyor(files(&[]).path(), &["fork", "RUN"]);
    assert_eq!(ended.status, 2);
    assert!(
        ended.err.contains("<--from <STEP>|--from-failed>"),
        "{}",
        ended.err
    );
}

#[test]
fn completions_know_the_verbs() {
    for shell in ["bash", "zsh", "fish"] {
        let ended = conveyor(files(&[]).path(), &["completion", shell]);
        assert_eq!(ended.status, 0);
        for word in ["terminate", "completion", "release"] {
            assert!(ended.out.contains(word), "{shell} does not complete {word}");
        }
    }
}

/// A pipeline that every example can run.
const EXAMPLE: &str = "\
apiVersion: conveyor/v1
kind: Pipeline
metadata: {name: release}
spec:
  inputs: {type: object, properties: {ref: {type: string}, dryRun: {type: boolean}, env: {type: string}}}
  steps:
    - {id: test, driver: exec, matrix: {axes: {n: [1, 2, 3]}}, with: {run: 'true'}}
    - {id: deploy, driver: exec, with: {run: 'true'}}
";
const CASES: &str = "cases: [{name: deploy fails, expect: {}}]";

/// Examples that need what a test does not have, with what they end with here.
const OTHERS: &[(&str, &str)] = &[
    ("conveyor run --continue 0198f5c2-…", "is no run"),
    (
        "conveyor plan pipeline.yaml -o dot | dot -Tpdf > graph.pdf",
        "",
    ),
    ("conveyor runs release RUN", "is not quarantined"),
    // Whatever this machine is like.
    ("conveyor doctor", ""),
    ("conveyor doctor --config conveyor.toml -o json", ""),
    ("conveyor events RUN --after 17.2", "has no event 17.2"),
    ("conveyor events --follow --after CURSOR -o json", "CURSOR"),
];

/// Examples that do not end by themselves.
const ENDLESS: &[&str] = &[
    "conveyor events --follow",
    "conveyor events --follow --state failed -l team=web",
];

#[test]
fn every_example_of_the_help_does_what_it_says() {
    let dir = files(&[
        ("pipeline.yaml", EXAMPLE),
        ("fixed.yaml", EXAMPLE),
        ("prod.yaml", "ref: main"),
        ("pipeline.test.yaml", CASES),
        ("more.test.yaml", CASES),
        ("conveyor.toml", "drain = \"10s\"\n"),
    ]);
    for made in [
        "pipelines",
        ".zfunc",
        ".local/share/bash-completion/completions",
        ".config/fish/completions",
    ] {
        std::fs::create_dir_all(dir.path().join(made)).expect("it is writable");
    }
    let copy = dir.path().join("pipelines/pipeline.yaml");
    std::fs::write(copy, EXAMPLE).expect("it is writable");
    let shell = |line: &str| {
        let programs = Path::new(env!("CARGO_BIN_EXE_conveyor")).parent();
        let programs = programs.expect("a directory").display().to_string();
        let path = std::env::var("PATH").expect("there is one");
        let output = Command::new("sh")
            .args(["-c", line])
            .current_dir(dir.path())
            .env("PATH", format!("{programs}:{path}"))
            .env("HOME", dir.path())
            .env("XDG_STATE_HOME", dir.path().join("state"))
            .stdin(Stdio::null())
            .output()
            .expect("there is a shell");
        let err = String::from_utf8(output.stderr).expect("UTF-8");
        (output.status.code(), err)
    };
    let (status, err) = shell("conveyor run pipeline.yaml");
    assert_eq!(status, Some(0), "{err}");
    let mut others = 0;
    for verb in [&[&[][..]], VERBS].concat() {
        let help = conveyor(dir.path(), &[verb, &["--help"]].concat()).out;
        let examples = help.lines().filter_map(|line| line.strip_prefix("  "));
        for line in examples.filter(|line| line.starts_with("conveyor ")) {
            let line = line.split("  ").next().unwrap_or_default();
            // What is followed for ever is followed for two seconds, and then told to end.
            let endless = ENDLESS.contains(&line);
            let limit = if endless { "timeout -s INT 2 " } else { "" };
            let (status, err) = shell(&format!("{limit}{}", line.replace("RUN", "latest")));
            if endless {
                assert_eq!(status, Some(124), "{line}: {err}");
                continue;
            }
            match OTHERS.iter().find(|(other, _)| *other == line) {
                Some((_, wanted)) => {
                    others += 1;
                    assert!(
                        !err.contains("Usage:") && err.contains(wanted),
                        "{line}: {err}"
                    );
                }
                None => assert_eq!(status, Some(0), "{line}: {err}"),
            }
        }
    }
    assert!(
        others >= OTHERS.len(),
        "what is no example needs no exception"
    );
}
