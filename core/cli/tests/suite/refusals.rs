//! What is refused before anything begins: with its place, its limit and its value, exit status 2, and
//! nothing half done.

use crate::engine::shown;
use crate::program::{Ended, conveyor, conveyor_with, files};
use std::path::Path;

const INPUTS: &str = "\
apiVersion: conveyor/v1
kind: Pipeline
metadata: {name: x}
spec:
  inputs:
    type: object
    required: [ref]
    properties:
      ref: {type: string}
      copies: {type: integer, minimum: 1}
      deep: {type: object, properties: {a: {type: boolean}}}
  steps:
    - {id: a, driver: exec, with: {run: 'echo >ran'}}
";

/// Runs what must be refused; nothing may have run or been stored.
fn refused(dir: &Path, args: &[&str]) -> Ended {
    let run = conveyor(dir, &[&["run", "--data-dir", "data"], args].concat());
    assert_eq!(run.status, 2, "{}{}", run.out, run.err);
    assert!(!dir.join("ran").exists(), "nothing was started");
    if dir.join("data").exists() {
        let list = ["runs", "list", "--data-dir", "data", "-o", "json"];
        let list = conveyor(dir, &list);
        assert_eq!(list.out.trim(), "[]", "nothing was stored");
    }
    run
}

fn tells(ended: &Ended, wanted: &[&str]) {
    for wanted in wanted {
        assert!(
            ended.err.contains(wanted),
            "no `{wanted}` in:\n{}",
            ended.err
        );
    }
}

#[test]
fn every_violation_of_the_inputs_has_its_place_in_the_file() {
    let dir = files(&[
        ("p.yaml", INPUTS),
        ("inputs.yaml", "copies: 0\ndeep:\n  a: 3\n"),
        ("inputs.json", "{\"ref\": \"main\",\n \"copies\": \"two\"}"),
    ]);
    let run = refused(dir.path(), &["p.yaml", "--inputs", "inputs.yaml"]);
    tells(
        &run,
        &[
            "inputs.yaml:1:1: error: \"ref\" is a required property",
            "inputs.yaml:1:9: error: 0 is less than the minimum of 1\n",
            "  1 | copies: 0\n",
            "  at: /copies\n",
            "inputs.yaml:3:6: error: 3 is not of type \"boolean\"",
            "  at: /deep/a\n",
        ],
    );
    let run = refused(dir.path(), &["p.yaml", "--inputs", "inputs.json"]);
    tells(&run, &["inputs.json:2:12: error: \"two\" is not of type"]);
    // `plan` says the same.
    let plan = conveyor(dir.path(), &["plan", "p.yaml", "--inputs", "inputs.json"]);
    assert_eq!(plan.status, 2);
    tells(&plan, &["inputs.json:2:12: error: \"two\" is not of type"]);
}

#[test]
fn a_violation_of_what_was_typed_names_the_flag() {
    let dir = files(&[("p.yaml", INPUTS), ("inputs.yaml", "copies: 2\n")]);
    let wrong = ["p.yaml", "--inputs", "inputs.yaml", "-i", "copies=many"];
    let run = refused(dir.path(), &wrong);
    tells(
        &run,
        &[
            "-i copies=many: error: \"many\" is not of type \"integer\"\n  at: /copies",
            "inputs are given by -i KEY=VALUE and --inputs FILE",
        ],
    );
    let run = refused(dir.path(), &["p.yaml"]);
    tells(&run, &["inputs: error: \"ref\" is a required property"]);
    let twice = ["p.yaml", "-i", "ref=a", "-i", "ref=b"];
    let run = refused(dir.path(), &twice);
    tells(
        &run,
        &["the input `ref` is given twice: -i ref=a and -i ref=b"],
    );
}

#[test]
fn what_is_typed_wins_over_the_file() {
    let dir = files(&[("p.yaml", INPUTS), ("inputs.yaml", "copies: 0\n")]);
    let typed = [
        "-i",
        "copies=2",
        "-i",
        "ref=main",
        "-i",
        "deep={\"a\":true}",
    ];
    let run = [
        "run",
        "p.yaml",
        "--data-dir",
        "data",
        "--inputs",
        "inputs.yaml",
    ];
    let run = conveyor(dir.path(), &[&run[..], &typed].concat());
    assert_eq!(run.status, 0, "{}", run.err);
    let inputs = serde_json::json!({"copies": 2, "ref": "main", "deep": {"a": true}});
    assert_eq!(shown(dir.path(), "latest")["inputs"], inputs);
}

#[test]
fn a_file_of_inputs_is_read_as_strictly_as_a_document() {
    let dir = files(&[
        ("p.yaml", INPUTS),
        ("twice.yaml", "ref: a\ncopies: 1\nref: b\ncopies: 2\n"),
        ("list.json", "[1]"),
        ("broken.yaml", "ref: [\n"),
        ("empty.yaml", "\n"),
        (
            "twice.json",
            "{\"ref\": \"a\",\n \"deep\": {\"a\": true, \"a\": false}}",
        ),
        ("broken.json", "{\"ref\": \"a\",}"),
        ("wide.json", "{\"copies\": 9223372036854775808}"),
        ("wide.yaml", "copies: -9223372036854775809\n"),
    ]);
    let with = |file| refused(dir.path(), &["p.yaml", "--inputs", file]);
    tells(
        &with("twice.yaml"),
        &[
            "twice.yaml:3:1: error: the key \"ref\" stands twice",
            "twice.yaml:4:1: error: the key \"copies\" stands twice",
        ],
    );
    tells(
        &with("list.json"),
        &["list.json:1:1: error: inputs must be an object"],
    );
    tells(
        &with("broken.yaml"),
        &["broken.yaml:1:6: error: invalid YAML"],
    );
    tells(
        &with("twice.json"),
        &["twice.json:2:22: error: the key \"a\" stands twice"],
    );
    tells(
        &with("broken.json"),
        &["broken.json:1:13: error: invalid JSON: expected a key in double quotes"],
    );
    let wide = "does not fit in 64 bits";
    tells(&with("wide.json"), &["wide.json:1:12: error: ", wide]);
    tells(&with("wide.yaml"), &["wide.yaml:1:9: error: ", wide]);
    tells(&with("gone.yaml"), &["cannot read gone.yaml"]);
    tells(&with("empty.yaml"), &["\"ref\" is a required property"]);
}

#[test]
fn inputs_can_come_by_standard_input() {
    let dir = files(&[("p.yaml", INPUTS)]);
    let run = ["run", "p.yaml", "--data-dir", "data", "--inputs", "-"];
    let wrong = conveyor_with(dir.path(), &run, "ref: main\ncopies: 0\n");
    assert_eq!(wrong.status, 2, "{}", wrong.out);
    tells(
        &wrong,
        &["<stdin>:2:9: error: 0 is less than the minimum of 1"],
    );
    let right = conveyor_with(
        dir.path(),
        &run,
        "{\"ref\": \"main\", \"copies\": 9007199254740993}",
    );
    assert_eq!(right.status, 0, "{}", right.err);
    let inputs = serde_json::json!({"ref": "main", "copies": 9_007_199_254_740_993_i64});
    assert_eq!(shown(dir.path(), "latest")["inputs"], inputs);
    for verb in ["run", "plan"] {
        let both = conveyor_with(dir.path(), &[verb, "-", "--inputs", "-"], INPUTS);
        assert_eq!(both.status, 2, "{}", both.out);
        tells(
            &both,
            &["standard input is read once: as the document or as --inputs"],
        );
    }
}

#[test]
fn the_seed_form_runs_and_its_resource_is_shown() {
    let seed = "{name: seed, resource: app/shop, steps: [{id: a, name: Build, driver: exec}]}";
    let dir = files(&[("p.yaml", seed)]);
    let run = conveyor(dir.path(), &["run", "p.yaml", "--data-dir", "data"]);
    assert_eq!(run.status, 1, "{}", run.err);
    assert!(
        run.out.contains("no_command: `with` names nothing to run"),
        "{}",
        run.out
    );
    let show = conveyor(
        dir.path(),
        &["runs", "show", "latest", "--data-dir", "data"],
    );
    assert!(show.out.contains("resource     app/shop\n"), "{}", show.out);
    let plan = conveyor(dir.path(), &["plan", "p.yaml"]);
    assert!(plan.out.contains("resource  app/shop\n"), "{}", plan.out);
}

#[test]
fn a_document_in_the_seed_form_has_places_too() {
    let seed =
        "name: s\nsteps:\n  - {id: a, name: A, driver: exec}\n  - {id: b, name: B, driver: git}\n";
    let dir = files(&[("seed.yaml", seed)]);
    let run = refused(dir.path(), &["seed.yaml"]);
    tells(
        &run,
        &["seed.yaml:4:30: error: step `b` needs the driver `git`"],
    );
}

#[test]
fn every_driver_that_is_not_here_is_named_once_in_the_order_of_the_text() {
    let step = |id: &str, driver: &str| format!("    - {{id: {id}, driver: \"{driver}\"}}\n");
    let mut document = INPUTS.replace("    required: [ref]\n", "");
    for (id, driver) in [
        ("k", "kubernetes"),
        ("g", "git@>=1.4"),
        ("l", "kubernetes"),
        ("n", "exec@>=99"),
    ] {
        document.push_str(&step(id, driver));
    }
    let dir = files(&[("p.yaml", &document)]);
    let places = |text: &str| -> Vec<String> {
        let lines = text
            .lines()
            .filter(|line| line.contains("needs the driver"));
        lines
            .map(|line| line.split(": ").next().unwrap_or_default().to_owned())
            .collect()
    };
    let expected = ["p.yaml:13:23", "p.yaml:14:23", "p.yaml:16:23"];
    let run = refused(dir.path(), &["p.yaml"]);
    assert_eq!(places(&run.err), expected, "{}", run.err);
    let check = conveyor(dir.path(), &["check", "p.yaml"]);
    assert_eq!(check.status, 0, "{}", check.out);
    assert_eq!(places(&check.out), expected, "{}", check.out);
    let plan = conveyor(dir.path(), &["plan", "p.yaml"]);
    assert_eq!(plan.status, 0, "{}", plan.err);
    assert_eq!(places(&plan.err), expected, "{}", plan.err);
}

#[test]
fn a_file_over_its_limit_is_refused_with_its_size_and_is_not_read() {
    let dir = files(&[]);
    let huge = std::fs::File::create(dir.path().join("huge.yaml")).expect("it is writable");
    // A file of holes: it takes no room, and reading it would take 1 TiB.
    huge.set_len(1 << 40).expect("holes are free");
    let wanted = "huge.yaml has 1099511627776 bytes; the limit of such a file is 67108864 (64 MiB)";
    tells(&refused(dir.path(), &["huge.yaml"]), &[wanted]);
    let check = conveyor(dir.path(), &["check", "huge.yaml"]);
    assert_eq!(check.status, 2);
    assert!(check.out.contains(wanted), "{}", check.out);
}

#[test]
fn a_bomb_of_aliases_is_refused_by_its_limit() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let below = format!("*a{}, ", level - 1).repeat(10);
        bomb.push_str(&format!("a{level}: &a{level} [{below}]\n"));
    }
    let dir = files(&[("bomb.yaml", &bomb)]);
    let wanted = [
        "bomb.yaml:",
        "1000001 values repeated by aliases; the limit `alias_nodes` is 1000000",
    ];
    tells(&refused(dir.path(), &["bomb.yaml"]), &wanted);
}

#[test]
fn invalid_utf_8_has_its_offset() {
    let dir = files(&[]);
    std::fs::write(dir.path().join("p.yaml"), b"name: x\n# \xff\n").expect("it is writable");
    let wanted = ["p.yaml:2:3: error: invalid UTF-8: byte 0xff at offset 10"];
    tells(&refused(dir.path(), &["p.yaml"]), &wanted);
}

#[test]
fn all_duplicate_keys_and_ids_are_told_with_the_first_of_each() {
    let document = INPUTS.replace("required: [ref]", "required: []")
        + "    - {id: a, driver: exec, driver: exec, with: {run: x, run: y, run: z}}\n    - {id: a, driver: exec}\n";
    let dir = files(&[("p.yaml", &document)]);
    let run = refused(dir.path(), &["p.yaml"]);
    tells(
        &run,
        &[
            "the document is refused (5 errors), nothing was started",
            "p.yaml:14:12: error: the step id \"a\" is not unique",
            "p.yaml:14:29: error: the key \"driver\" stands twice",
            "p.yaml:14:58: error: the key \"run\" stands twice",
            "p.yaml:14:66: error: the key \"run\" stands twice",
            "p.yaml:15:12: error: the step id \"a\" is not unique",
            "13:12: the first step of this id",
        ],
    );
}

#[test]
fn a_cycle_is_printed_as_a_path() {
    let document = INPUTS.replace("with: {run: 'echo >ran'}", "needs: [c]")
        + "    - {id: b, driver: exec, needs: [a]}\n    - {id: c, driver: exec, needs: [b]}\n";
    let ended = conveyor_with(files(&[]).path(), &["check", "-"], &document);
    assert_eq!(ended.status, 2);
    let wanted = "<stdin>:13:36: error: the steps wait in a cycle: a -> b -> c -> a";
    assert!(ended.out.contains(wanted), "{}", ended.out);
}

#[test]
fn a_driver_that_is_a_program_of_its_own_is_named() {
    let document = "name: x\nsteps: [{id: a, driver: http, with: {url: 'https://example.org/'}}]";
    let dir = files(&[("p.yaml", document)]);
    let refused = refused(dir.path(), &["p.yaml"]);
    tells(
        &refused,
        &["`http`", "conveyor serve", "conveyor-driver-http"],
    );
}
