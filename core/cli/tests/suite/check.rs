use crate::program::{RELEASE, conveyor, conveyor_with, files, root};

const WRONG: &str = "\
apiVersion: conveyor/v1
kind: Pipeline
metadata: {name: wrong}
spec:
  steps:
    - {id: a, drivr: exec}
    - {id: b, driver: exec, needs: [c]}
    - {id: b, driver: exec}
";

#[test]
fn every_mistake_is_told_with_its_place_and_the_exit_status_is_2() {
    let dir = files(&[("wrong.yaml", WRONG)]);
    let ended = conveyor(dir.path(), &["check", "wrong.yaml"]);
    assert_eq!(ended.status, 2, "{}", ended.out);
    for place in ["wrong.yaml:6:", "wrong.yaml:7:", "wrong.yaml:8:"] {
        assert!(ended.out.contains(place), "no {place} in:\n{}", ended.out);
    }
    assert!(ended.out.contains("did you mean: driver"), "{}", ended.out);
    assert!(
        ended
            .out
            .lines()
            .last()
            .is_some_and(|line| line.contains("refused: "))
    );
}

#[test]
fn one_wrong_file_does_not_hide_another() {
    let dir = files(&[("wrong.yaml", WRONG), ("right.yaml", RELEASE)]);
    let ended = conveyor(
        dir.path(),
        &["check", "wrong.yaml", "gone.yaml", "right.yaml"],
    );
    assert_eq!(ended.status, 2);
    assert!(ended.out.contains("cannot read gone.yaml"), "{}", ended.out);
    assert!(
        ended
            .out
            .contains("right.yaml: ok: pipeline release, 7 steps"),
        "{}",
        ended.out
    );
}

#[test]
fn several_files_are_told_sorted_and_counted() {
    let dir = files(&[
        ("b.yaml", WRONG),
        ("a.yaml", RELEASE),
        (
            "c.yaml",
            "name: s\nsteps: [{id: a, name: a, drver: exec}]\n",
        ),
    ]);
    let ended = conveyor(dir.path(), &["check", "b.yaml", "a.yaml", "c.yaml"]);
    assert_eq!(ended.status, 2);
    let heads = ended.out.lines().filter(|line| {
        let file = line.split(':').next().unwrap_or_default();
        ["a.yaml", "b.yaml", "c.yaml"].contains(&file)
    });
    // In the order that they were given, the lines of each in the order of the text.
    let places: Vec<_> = heads
        .map(|line| line.split(": ").next().unwrap_or_default())
        .collect();
    let expected = [
        "b.yaml:6:7",
        "b.yaml:6:15",
        "b.yaml:7:37",
        "b.yaml:8:12",
        "b.yaml",
        "a.yaml:12:30",
        "a.yaml",
        "c.yaml:2:9",
        "c.yaml:2:26",
        "c.yaml",
    ];
    assert_eq!(places, expected, "{}", ended.out);
    let last = ended.out.lines().last();
    assert!(
        last.is_some_and(
            |line| line.starts_with("3 files: 2 refused, ") && line.ends_with(" errors, 1 warning")
        ),
        "{last:?}"
    );
}

#[test]
fn programs_get_every_diagnostic_as_json() {
    let dir = files(&[("wrong.yaml", WRONG), ("right.yaml", RELEASE)]);
    let ended = conveyor(
        dir.path(),
        &["check", "wrong.yaml", "right.yaml", "-o", "json"],
    );
    let json: serde_json::Value = serde_json::from_str(&ended.out).expect("is JSON");
    assert_eq!(json["ok"], false);
    let wrong = &json["files"][0];
    assert!(
        wrong["diagnostics"]
            .as_array()
            .is_some_and(|all| all.len() >= 3),
        "{wrong}"
    );
    assert_eq!(wrong["diagnostics"][0]["line"], 6, "{wrong}");
    assert_eq!(json["files"][1]["ok"], true);
    assert_eq!(json["files"][1]["digest"].as_str().map(str::len), Some(64));
}

#[test]
fn a_driver_that_run_does_not_have_is_a_warning() {
    let dir = files(&[("p.yaml", RELEASE)]);
    let ended = conveyor(dir.path(), &["check", "p.yaml"]);
    assert_eq!(ended.status, 0, "{}", ended.out);
    assert!(
        ended.out.contains("p.yaml:12:30: warning: step `checkout`"),
        "{}",
        ended.out
    );
    assert!(ended.out.contains("it has: exec"), "{}", ended.out);
    assert_eq!(
        conveyor(dir.path(), &["check", "p.yaml", "--strict"]).status,
        2
    );
}

#[test]
fn standard_input_is_a_document_too() {
    let ended = conveyor_with(files(&[]).path(), &["check", "-"], WRONG);
    assert_eq!(ended.status, 2);
    assert!(ended.out.contains("<stdin>:6:"), "{}", ended.out);
}

#[test]
fn the_examples_are_accepted() {
    let examples = ["hello", "ci", "release"].map(|name| format!("examples/{name}/pipeline.yaml"));
    let mut args = vec!["check", "--strict"];
    args.extend(examples.iter().map(String::as_str));
    let ended = conveyor(&root(), &args);
    assert_eq!(ended.status, 0, "{}", ended.out);
}

#[test]
fn what_a_step_wants_of_exec_is_checked_against_its_schema() {
    let document = "\
apiVersion: conveyor/v1
kind: Pipeline
metadata: {name: wrong}
spec:
  steps:
    - {id: a, driver: exec}
    - {id: b, driver: exec, with: {comand: [make], dir: 7}}
    - {id: c, driver: exec, with: {run: make, env: {CONVEYOR_X: 1}}}
";
    let dir = files(&[("wrong.yaml", document)]);
    let checked = conveyor(dir.path(), &["check", "wrong.yaml"]);
    assert_eq!(checked.status, 2);
    for told in [
        "wrong.yaml:7:36: error: `with`: unknown key `comand`",
        "did you mean: command",
        "wrong.yaml:7:57: error: `with`: 7 is not of type \"string\"",
        "at: /spec/steps/1/with/dir",
        "wrong.yaml:8:52: error:",
        "wrong.yaml: refused: 3 errors",
    ] {
        assert!(checked.out.contains(told), "no {told} in:\n{}", checked.out);
    }
    // Whoever runs it is told the same, and nothing has run.
    let ran = conveyor(dir.path(), &["run", "wrong.yaml"]);
    assert_eq!(ran.status, 2, "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("wrong.yaml:7:36"), "{}", ran.err);
    let planned = conveyor(dir.path(), &["plan", "wrong.yaml"]);
    assert_eq!(planned.status, 2);
}
