use crate::program::{conveyor, files};
use std::path::Path;
use std::process::{Command, Stdio};

/// A verb, as the program's own help tells of it.
struct Verb {
    words: Vec<String>,
    help: String,
    /// Whether others stand below it.
    group: bool,
}

impl Verb {
    /// The lines of its help that begin as a command, without what is said of them.
    fn examples(&self) -> impl Iterator<Item = &str> {
        let lines = self.help.lines().filter_map(|line| line.strip_prefix("  "));
        let lines =
            lines.filter(|line| line.starts_with("conveyor ") || line.starts_with("generate "));
        lines.map(|line| line.split("  ").next().unwrap_or_default())
    }
}

/// All that the program knows, by its own help: nobody has to remember to put a new one here.
fn verbs(dir: &Path) -> Vec<Verb> {
    let mut all = Vec::new();
    let mut open: Vec<Vec<String>> = vec![Vec::new()];
    while let Some(words) = open.pop() {
        let mut args: Vec<&str> = words.iter().map(String::as_str).collect();
        args.push("--help");
        let ended = conveyor(dir, &args);
        assert_eq!(ended.status, 0, "{words:?}: {}", ended.err);
        let below = ended.out.lines().skip_while(|line| *line != "Commands:");
        let below = below.skip(1).take_while(|line| !line.is_empty());
        // A line that goes on has more space before it.
        let names = below.filter_map(|line| line.strip_prefix("  "));
        let names = names.filter(|line| !line.starts_with(' '));
        let names = names.filter_map(|line| line.split(' ').next());
        let names: Vec<_> = names.filter(|name| *name != "help").collect();
        for name in names.iter().rev() {
            let mut more = words.clone();
            more.push((*name).to_owned());
            open.push(more);
        }
        let group = !names.is_empty();
        all.push(Verb {
            words,
            group,
            help: ended.out,
        });
    }
    all
}

#[test]
fn every_verb_has_help_with_examples() {
    let dir = files(&[]);
    let verbs = verbs(dir.path());
    assert!(verbs.len() > 50, "{} verbs", verbs.len());
    let examples: Vec<_> = verbs.iter().flat_map(Verb::examples).collect();
    for verb in &verbs {
        let (words, help) = (verb.words.join(" "), &verb.help);
        let command = format!("conveyor {words}");
        let shown = |example: &&str| example.contains(command.trim_end());
        assert!(examples.iter().any(shown), "no example of `{command}`");
        if verb.words.len() < 2 {
            assert!(help.contains("Examples:"), "{words}: {help}");
        }
        // What a verb is asked for comes before what nobody asks.
        let own = help.find("Options:").expect("it has options");
        let first = help[own..].lines().nth(1).unwrap_or_default();
        let alone = [
            "completion",
            "conformance",
            "contract export",
            "contract openapi",
        ];
        assert!(
            !first.contains("--color") || verb.group || alone.contains(&words.as_str()),
            "{words}: {}",
            &help[own..]
        );
        assert!(!help.contains('\x1b'), "{words} has colours off a terminal");
        assert!(!help.contains("[default: \"\"]"), "{words}: {help}");
        let prose = |line: &str| !line.is_empty() && !line.starts_with(' ');
        let lines: Vec<_> = help.lines().collect();
        for pair in lines.windows(2) {
            let broken = prose(pair[0]) && prose(pair[1]) && !pair[0].ends_with(['.', ':']);
            assert!(
                !broken || pair[0].chars().count() > 60,
                "{words}: a sentence is broken: {pair:?}"
            );
        }
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
  inputs: {type: object, properties: {ref: {type: string}, dryRun: {type: boolean}, env: {type: string}, version: {type: string}}}
  steps:
    - {id: test, driver: exec, matrix: {axes: {n: [1, 2, 3]}}, with: {run: 'true'}}
    - {id: deploy, driver: exec, with: {run: 'true'}}
";
const CASES: &str = "cases: [{name: deploy fails, expect: {}}]";

const SITE: &str = "\
apiVersion: conveyor/v1
kind: Resource
metadata: {name: web}
definition: application
spec: {image: shop}
---
apiVersion: conveyor/v1
kind: ResourceDefinition
metadata: {name: application}
schema: {type: object}
";

/// Examples that need what a test does not have, with what they end with here.
const OTHERS: &[(&str, &str)] = &[
    ("conveyor run --continue 0198f5c2-…", "is no run"),
    (
        "conveyor plan pipeline.yaml -o dot | dot -Tpdf > graph.pdf",
        "",
    ),
    ("conveyor runs release RUN", "is not quarantined"),
    ("conveyor conformance run -- ./my-driver", ""),
    // Whatever this machine is like.
    ("conveyor doctor", ""),
    ("conveyor doctor --config conveyor.toml -o json", ""),
    ("conveyor events RUN --after 17.2", "has no event 17.2"),
    ("conveyor events --follow --after CURSOR -o json", "CURSOR"),
    // Whoever listens there.
    ("conveyor runs list --server http://127.0.0.1:7420", ""),
    (
        "conveyor start release --digest 7c5e2f1a",
        "has no revision 7c5e2f1a",
    ),
    (
        "conveyor pipelines show --digest 7c5e2f1a",
        "has a revision 7c5e2f1a",
    ),
    (
        "conveyor resources show application web --version 3",
        "version 3",
    ),
    ("conveyor drivers delete old", "no driver `old`"),
    ("conveyor tokens revoke 3f6c2b7a9d01e45c", ""),
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
        ("site.yaml", SITE),
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
    let (mut others, mut last) = (0, Vec::new());
    let mut examples = Vec::new();
    for verb in verbs(dir.path()) {
        for line in verb.examples() {
            // What others need goes in the end, the last that was made first.
            let removes = line.contains(" delete ") || line.contains(" revoke ");
            let place = if removes { &mut last } else { &mut examples };
            place.push(line.to_owned());
        }
    }
    examples.extend(last.into_iter().rev());
    for line in &examples {
        // What is followed for ever is followed for two seconds, and then told to end.
        let endless = ENDLESS.contains(&line.as_str());
        let limit = if endless { "timeout -s INT 2 " } else { "" };
        let mut run = format!("{limit}{}", line.replace("RUN", "latest"));
        if run.starts_with("conveyor serve") && !run.contains("--print-config") {
            // It would go on until it is told to end.
            run.push_str(" --print-config");
        }
        if run.starts_with("generate ") {
            run = format!("generate() {{ cat pipeline.yaml; }}; {run}");
        }
        let (status, err) = shell(&run);
        if endless {
            assert_eq!(status, Some(124), "{line}: {err}");
            continue;
        }
        match OTHERS.iter().find(|(other, _)| other == line) {
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
    assert!(
        others >= OTHERS.len(),
        "what is no example needs no exception"
    );
}
