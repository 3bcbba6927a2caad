//! Documents in files: each in `bad/` is refused with exactly the text beside it, each in `good/`
//! loads, and loads to the same plan from its canonical text.
//!
//! `UPDATE_GOLDEN=1 cargo test -p conveyor-engine --test suite documents` writes the texts anew.

use conveyor_engine::document::{Diagnostic, Document, Limits, Severity, load, load_with};
use conveyor_engine::plan::{FanSource, Kind, Ordering, Plan, check_outputs};
use conveyor_engine::time::Duration;
use serde_json::json;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn folder(name: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/documents")
        .join(name);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|ext| ext == "yaml" || ext == "json")
        })
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no documents in {}", folder.display());
    files
}

fn print(diagnostics: &[Diagnostic]) -> String {
    diagnostics
        .iter()
        .fold(String::new(), |mut out, diagnostic| {
            let _ = writeln!(out, "{diagnostic}");
            out
        })
}

/// On a stack as callers of the engine have it.
fn on_engine_stack<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(conveyor_engine::STACK_BYTES);
        thread
            .spawn_scoped(scope, work)
            .expect("a thread")
            .join()
            .expect("no panic")
    })
}

fn loaded(text: &str) -> Document {
    load("pipeline.yaml", text.as_bytes()).unwrap_or_else(|errors| panic!("{}", print(&errors)))
}

fn refused(text: &str) -> String {
    match load("pipeline.yaml", text.as_bytes()) {
        Ok(_) => panic!("the document was accepted:\n{text}"),
        Err(errors) => print(&errors),
    }
}

/// A pipeline of these steps, each line two spaces in.
fn steps(text: &str) -> String {
    format!("metadata: {{name: p}}\nspec:\n  steps:\n{text}")
}

#[test]
fn every_bad_document_is_refused_as_its_golden_text_says() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    for path in folder("bad") {
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let bytes = std::fs::read(&path).expect("a document");
        let found = match load(&name, &bytes) {
            Ok(_) => "accepted\n".to_owned(),
            Err(errors) => print(&errors),
        };
        let golden = path.with_extension("txt");
        if update {
            std::fs::write(&golden, &found).expect("a golden text");
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        if found != expected || !found.contains(": error: ") {
            wrong.push(format!(
                "== {name}\n-- expected\n{expected}-- found\n{found}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_good_document_loads_and_its_canonical_text_gives_the_same_plan() {
    for path in folder("good") {
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let bytes = std::fs::read(&path).expect("a document");
        let document = load(&name, &bytes).unwrap_or_else(|errors| panic!("{}", print(&errors)));
        let again = Plan::from_canonical(&document.canonical)
            .unwrap_or_else(|errors| panic!("{}", print(&errors)));
        assert_eq!(again.digest, document.digest, "{name}");
        assert_eq!(
            format!("{again:?}"),
            format!("{:?}", document.plan()),
            "{name}"
        );
        let json = load("again.json", &document.canonical).expect("canonical JSON is a document");
        assert_eq!(json.digest, document.digest, "{name}");
    }
}

#[test]
fn yaml_and_json_of_one_meaning_have_one_digest_whatever_the_order_of_keys() {
    let yaml = loaded(
        "metadata: {name: p}\nspec:\n  vars: {a: 1.0, b: \"é😀\"}\n  steps:\n    - id: t\n      \
         driver: exec\n      matrix: {axes: {os: [a], v: [0x10]}}\n",
    );
    let json = load(
        "p.json",
        br#"{"spec": {"steps": [{"matrix": {"axes": [{"name": "os", "values": ["a"]}, {"values": [16], "name": "v"}]}, "driver": "exec", "id": "t"}], "vars": {"b": "\u00e9\ud83d\ude00", "a": 1}}, "metadata": {"name": "p"}}"#,
    )
    .unwrap_or_else(|errors| panic!("{}", print(&errors)));
    assert_eq!(
        String::from_utf8_lossy(&yaml.canonical),
        String::from_utf8_lossy(&json.canonical)
    );
    assert_eq!(yaml.digest, json.digest);
    let other = loaded(
        "metadata: {name: p}\nspec:\n  vars: {a: 1.0, b: \"é😀\"}\n  steps:\n    - id: t\n      \
         driver: exec\n      matrix: {axes: {v: [0x10], os: [a]}}\n",
    );
    assert_ne!(
        yaml.digest, other.digest,
        "the order of axes is part of the meaning"
    );
}

#[test]
fn a_double_beyond_the_integers_has_one_text_from_which_the_plan_is_built_again() {
    let document = loaded(
        "metadata: {name: p}\nspec:\n  vars: {a: 1e20, b: 9223372036854775808.0, c: 1e3}\n  \
         steps: [{id: a, driver: d}]\n",
    );
    let canonical = String::from_utf8_lossy(&document.canonical);
    assert!(
        canonical.contains(r#"{"a":1e+20,"b":9.223372036854776e+18,"c":1000}"#),
        "{canonical}"
    );
    let again = Plan::from_canonical(&document.canonical).expect("the canonical text is a plan");
    assert_eq!(again.digest, document.digest);
}

#[test]
fn the_seed_form_loads_and_steps_run_in_listed_order() {
    let document = loaded(
        "name: old\nresource: application\nsteps:\n  - {id: a, name: First, driver: one}\n  \
         - {id: b, name: Second, driver: two}\n",
    );
    let plan = document.plan();
    assert_eq!(
        (&*plan.name, plan.resource.as_deref()),
        ("old", Some("application"))
    );
    assert_eq!(plan.ordering, Ordering::Listed);
    assert_eq!(plan.steps[1].parents, [0]);
    assert_eq!(plan.steps[0].children, [1]);
    assert_eq!(
        plan.drivers()
            .keys()
            .map(|name| &**name)
            .collect::<Vec<_>>(),
        ["one", "two"]
    );
    let full = loaded(
        "apiVersion: conveyor/v1\nkind: Pipeline\nmetadata: {name: old}\nspec:\n  resource: \
         application\n  triggers: [{id: resource, resource: {events: [created, updated]}}]\n  steps:\n    - {id: a, name: First, driver: one}\n    - {id: b, name: \
         Second, driver: two}\n",
    );
    assert_eq!(full.digest, document.digest);
}

#[test]
fn exec_with_an_empty_with_loads() {
    for with in ["", "with: {}", "with:"] {
        loaded(&steps(&format!(
            "    - id: a\n      driver: exec\n      {with}\n"
        )));
    }
}

#[test]
fn defaults_reach_every_step_and_leave_out_what_its_kind_does_not_know() {
    let document = loaded(
        "metadata: {name: p}\nspec:\n  defaults:\n    timeouts: {attempt: 15m, total: 2h}\n    \
         retry: {attempts: 3, backoff: {initial: 2s, jitter: 0.2}}\n  steps:\n    - {id: a, \
         driver: exec}\n    - id: b\n      driver: exec\n      retry: {on: [error], backoff: \
         {kind: fixed}}\n      timeouts: {attempt: 1m}\n    - {id: c, wait: {duration: 1s}}\n  \
         finally:\n    - {id: f, driver: exec}\n",
    );
    let plan = document.plan();
    for id in ["a", "f"] {
        let step = &plan.steps[plan.step(id).expect("a step") as usize];
        assert_eq!(step.timeouts.attempt, Duration::secs(900));
        assert_eq!(step.retry.as_ref().map(|retry| retry.attempts), Some(3));
    }
    let own = &plan.steps[1];
    let retry = own.retry.as_ref().expect("a retry");
    assert_eq!(
        (own.timeouts.attempt, own.timeouts.total),
        (Duration::secs(60), Some(Duration::secs(7200)))
    );
    assert_eq!(
        (retry.attempts, retry.on_failure, retry.on_error),
        (3, false, true)
    );
    assert_eq!(
        (retry.backoff.initial, retry.backoff.jitter_micro),
        (Duration::secs(2), 200_000)
    );
    let wait = &plan.steps[2];
    assert!(wait.retry.is_none() && wait.timeouts.total == Some(Duration::secs(7200)));
    assert_eq!(wait.timeouts.attempt, Duration::secs(3600));
}

#[test]
fn needs_rules_draw_edges_and_handlers() {
    let document = loaded(&steps(
        "    - {id: deploy-it, driver: d}\n    - {id: b, driver: d, needs: []}\n    - id: rollback\n      \
         driver: d\n      needs: {rule: \"needs['deploy-it'].failed && b.ended\", handles: [deploy-it]}\n",
    ));
    let plan = document.plan();
    assert_eq!(plan.ordering, Ordering::Graph);
    assert_eq!(plan.steps[2].parents, [0, 1]);
    assert_eq!(plan.steps[0].handlers, [2]);
    assert_eq!(plan.topological, [0, 1, 2]);
}

#[test]
fn inputs_get_defaults_and_all_violations_are_told() {
    let document = loaded(
        "metadata: {name: p}\nspec:\n  inputs:\n    type: object\n    required: [ref]\n    \
         additionalProperties: false\n    properties:\n      ref: {type: string}\n      env: \
         {enum: [staging, prod], default: staging}\n      n: {type: integer}\n  steps:\n    - {id: \
         a, driver: exec}\n",
    );
    let plan = document.plan();
    assert_eq!(
        plan.resolve_inputs(&json!({"ref": "main"})).expect("valid"),
        json!({"ref": "main", "env": "staging"})
    );
    assert_eq!(plan.parse_input("n", "7"), json!(7));
    let wrong = plan
        .resolve_inputs(&json!({"env": "x", "n": "y"}))
        .expect_err("three violations");
    let text: Vec<String> = wrong.iter().map(ToString::to_string).collect();
    assert_eq!(
        text,
        [
            "\"ref\" is a required property",
            "/env: \"x\" is not one of \"staging\" or \"prod\"",
            "/n: \"y\" is not of type \"integer\"",
        ]
    );
}

#[test]
fn a_typed_input_is_read_as_its_type_or_else_as_the_values_that_may_be() {
    let document = loaded(
        "metadata: {name: p}
spec:
  inputs:
    properties:
      constant: {const: 5}
      listed: {enum: [1, 2.5, null]}
      mixed: {enum: [1, one]}
      bounded: {$ref: '#/$defs/port', maximum: 9}
    $defs: {port: {enum: [80, 443]}}
  steps: [{id: a, driver: d}]
",
    );
    let read = |key, text| document.plan().read_input(key, text).expect("readable");
    assert_eq!(read("constant", "5"), json!(5));
    assert_eq!(read("listed", "2.5"), json!(2.5));
    assert_eq!(read("listed", "null"), json!(null));
    assert_eq!(read("listed", "two"), json!("two"));
    assert_eq!(read("mixed", "1"), json!("1"));
    assert_eq!(read("bounded", "80"), json!(80));
}

#[test]
fn outputs_are_checked_against_their_declaration() {
    let document = loaded(&steps(
        "    - id: a\n      driver: d\n      outputs:\n        digest: {schema: {type: string}}\n        \
         size: {schema: {type: integer}, default: 0}\n",
    ));
    let plan = document.plan();
    let declared = &plan.steps[0].outputs;
    assert_eq!(
        check_outputs(declared, &json!({"digest": "x", "more": 1})),
        Ok(())
    );
    assert_eq!(
        check_outputs(declared, &json!({"size": "x"})),
        Err(
            "the declared output `digest` did not come; output `size`: \"x\" is not of type \
             \"integer\""
                .to_owned()
        )
    );
}

#[test]
fn a_bomb_of_aliases_is_refused() {
    let mut text = String::from("metadata: {name: p}\nx0: &x0 [1,1,1,1,1,1,1,1,1,1]\n");
    for level in 1..12 {
        let before = format!("*x{}", level - 1);
        let _ = writeln!(text, "x{level}: &x{level} [{}]", vec![before; 10].join(","));
    }
    let error = refused(&text);
    assert!(
        error.contains("1000001 values repeated by aliases; the limit `alias_nodes` is 1000000"),
        "{error}"
    );
}

#[test]
fn deep_nesting_is_refused_in_both_formats() {
    for name in ["p.json", "p.yaml"] {
        let text = format!("{{\"a\": {}1{}}}", "[".repeat(200_000), "]".repeat(200_000));
        let errors = load(name, text.as_bytes()).expect_err("too deep");
        assert!(
            errors[0]
                .message
                .contains("nested at least 101 deep; the limit `depth` is 100"),
            "{}",
            errors[0]
        );
    }
}

#[test]
fn a_document_over_its_limit_is_refused_with_limit_and_value() {
    let limits = Limits {
        bytes: 10,
        ..Limits::default()
    };
    let errors = load_with("p.yaml", b"name: 0123456789", &limits).expect_err("too long");
    assert_eq!(
        errors[0].to_string(),
        "p.yaml:1:1: error: the document has 16 bytes; the limit `bytes` is 10"
    );
    let limits = Limits {
        steps: 1,
        ..Limits::default()
    };
    let text = steps("    - {id: a, driver: d}\n    - {id: b, driver: d}\n");
    let errors = load_with("p.yaml", text.as_bytes(), &limits).expect_err("too many");
    assert!(
        errors[0]
            .message
            .contains("has 2 steps; the limit `steps` is 1"),
        "{}",
        errors[0]
    );
}

#[test]
fn invalid_utf_8_is_refused_with_its_place() {
    let errors = load("p.yaml", b"name: a\nx: \xff").expect_err("no UTF-8");
    assert_eq!(
        errors[0].to_string(),
        "p.yaml:2:4: error: invalid UTF-8: byte 0xff at offset 11\n  2 | x: \n    |    ^"
    );
}

#[test]
fn at_most_a_hundred_errors_are_told() {
    let text = steps(&"    - {id: 1}\n".repeat(300));
    let errors = load("p.yaml", text.as_bytes()).expect_err("many errors");
    assert_eq!(errors.len(), 101);
    assert_eq!(errors[100].to_string(), "p.yaml: and 500 more errors");
    assert_eq!(errors[100].unlisted, 500);
    assert!(errors.iter().all(|error| error.severity == Severity::Error));
}

#[test]
fn limits_of_edges_and_annotations_are_told_with_their_place() {
    let all: Vec<String> = (0..1_420).map(|step| format!("s{step}")).collect();
    let text: String = (0..all.len())
        .map(|step| {
            let needs = all[..step].join(", ");
            format!("    - {{id: s{step}, driver: d, needs: [{needs}]}}\n")
        })
        .collect();
    let errors = load("p.yaml", steps(&text).as_bytes()).expect_err("too many");
    let [error] = &errors[..] else {
        panic!("one error: {errors:?}")
    };
    assert_eq!(
        error.message,
        "the steps have 1007490 parents in all; the limit `edges` is 1000000"
    );
    assert_eq!(error.pointer, "/spec/steps/1414/needs");

    let long = "a".repeat(65_537);
    let text = format!(
        "metadata: {{name: p, annotations: {{note: {long}}}}}\nspec: {{steps: [{{id: a, driver: d}}]}}\n"
    );
    let errors = load("p.yaml", text.as_bytes()).expect_err("too long");
    assert_eq!(errors[0].pointer, "/metadata/annotations/note");
    assert!(
        errors[0].message.contains("65537")
            && errors[0].message.contains("`annotation_bytes` is 65536"),
        "{}",
        errors[0].message
    );
}

#[test]
fn scalars_are_those_of_yaml_1_2() {
    let document = loaded(
        "metadata: {name: p}\nspec:\n  vars:\n    on: yes\n    big: 9223372036854775807\n    hex: \
         0xff\n    oct: 0o17\n    old: 0777\n    date: 2020-01-01\n    float: -1.5e3\n    tilde: \
         ~\n    text: !!str 12\n    time: 12:30:45\n    dot: .5\n    ver: 1.2.3\n  steps: [{id: a, \
         driver: d}]\n",
    );
    let plan = document.plan();
    assert_eq!(
        plan.vars.constant(),
        Some(&json!({
            "on": "yes", "big": i64::MAX, "hex": 255, "oct": 15, "old": 777, "date": "2020-01-01",
            "float": -1500, "tilde": null, "text": "12", "time": "12:30:45", "dot": 0.5,
            "ver": "1.2.3",
        }))
    );
}

#[test]
fn a_matrix_keeps_the_written_order_of_its_axes() {
    let document = loaded(&steps(
        "    - {id: t, driver: d, matrix: {axes: {z: [1], a: [2], m: \"${{ [3] }}\"}}}\n",
    ));
    let plan = document.plan();
    let Some(FanSource::Matrix { axes, .. }) = plan.steps[0].fan.as_ref().map(|fan| &fan.source)
    else {
        panic!("no matrix")
    };
    let names: Vec<&str> = axes.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["z", "a", "m"]);
    assert!(!plan.is_static_fan(0));
}

#[test]
fn the_critical_path_is_the_longest() {
    let document = loaded(&steps(
        "    - {id: a, driver: d}\n    - {id: b, driver: d, needs: [a]}\n    - {id: c, driver: d, \
         needs: [a]}\n    - {id: e, driver: d, needs: [c]}\n",
    ));
    let plan = document.plan();
    assert_eq!(plan.critical_path(|_| 1), [0, 2, 3]);
    assert_eq!(
        plan.critical_path(|step| if step == 1 { 9 } else { 1 }),
        [0, 1]
    );
}

/// 100,000 steps in layers of 100, three parents each, a far reference in every tenth.
fn large() -> String {
    let mut text = String::from("metadata: {name: large}\nspec:\n  steps:\n");
    let filler = "x".repeat(70);
    for index in 0..100_000_usize {
        let _ = writeln!(text, "    - id: step-{index}\n      driver: exec");
        if index >= 100 {
            let layer = index / 100 - 1;
            let parents: Vec<String> = [0, 7, 31]
                .iter()
                .map(|offset| format!("step-{}", layer * 100 + (index + offset) % 100))
                .collect();
            let _ = writeln!(text, "      needs: [{}]", parents.join(", "));
            let far = if index % 10 == 0 && index >= 1000 {
                index - 1000
            } else {
                layer * 100 + index % 100
            };
            let _ = writeln!(
                text,
                "      when: \"steps['step-{far}'].state == 'succeeded'\""
            );
        }
        let _ = writeln!(
            text,
            "      with: {{command: [echo, \"{filler}\", \"${{{{ run.id }}}}\"], env: {{N: \"{index}\"}}}}"
        );
    }
    text
}

#[test]
fn a_document_of_100_000_steps_loads_in_time() {
    let text = large();
    let (document, took) = on_engine_stack(|| {
        let start = std::time::Instant::now();
        let document = loaded(&text);
        (document, start.elapsed())
    });
    let plan = document.plan();
    assert_eq!(plan.steps.len(), 100_000);
    assert_eq!(plan.topological.len(), 100_000);
    assert!(matches!(plan.steps[0].kind, Kind::Driver { .. }));
    // The budget is 3 s in release; a machine under load and a debug build are slower.
    let bound = if cfg!(debug_assertions) { 180 } else { 12 };
    eprintln!("{} bytes, 100,000 steps: {took:?}", text.len());
    assert!(took.as_secs() < bound, "took {took:?}");
}
