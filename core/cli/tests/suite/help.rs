use crate::program::{conveyor, files};

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
    &["completion"],
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
            !first.contains("--color") || *verb == ["completion"] || *verb == ["runs"],
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
