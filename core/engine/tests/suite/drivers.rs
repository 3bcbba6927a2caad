//! Documents against what drivers say of themselves (PROTOCOL P27).

use conveyor_engine::document::{Diagnostic, Document, Limits, Severity, load_for};
use conveyor_engine::plan::{DriverContract, Drivers, Plan};
use serde_json::{Value as Json, json};

fn drivers(clone_outputs: &Json) -> Drivers {
    let inputs = json!({
        "type": "object", "additionalProperties": false, "required": ["url"],
        "properties": {
            "url": { "type": "string" },
            "depth": { "type": "integer", "minimum": 1 },
            "options": {
                "type": "object", "additionalProperties": false,
                "properties": { "quiet": { "type": "boolean" } },
            },
        },
    });
    let actions = [
        ("clone", Some(&inputs), Some(clone_outputs)),
        ("tag", None, None),
    ];
    let mut drivers = Drivers::default();
    drivers.insert(DriverContract::new("git", "1.4.2", actions).expect("schemas"));
    drivers
}

fn closed() -> Json {
    json!({
        "type": "object", "additionalProperties": false,
        "properties": { "sha": { "type": "string" }, "branch": { "type": "string" } },
    })
}

fn load(outputs: &Json, steps: &str) -> Result<Document, Vec<Diagnostic>> {
    let text = format!(
        "apiVersion: conveyor/v1\nkind: Pipeline\nmetadata: {{ name: p }}\nspec:\n  steps:\n{steps}"
    );
    load_for(
        "p.yaml",
        text.as_bytes(),
        &Limits::default(),
        &drivers(outputs),
    )
}

/// `line:column pointer: message` of each error.
fn errors(outputs: &Json, steps: &str) -> Vec<String> {
    match load(outputs, steps) {
        Ok(document) => {
            assert!(
                document.diagnostics.is_empty(),
                "{:?}",
                document.diagnostics
            );
            Vec::new()
        }
        Err(found) => found.iter().map(brief).collect(),
    }
}

fn brief(found: &Diagnostic) -> String {
    assert_eq!(found.severity, Severity::Error);
    let Diagnostic {
        line,
        column,
        pointer,
        message,
        ..
    } = found;
    format!("{line}:{column} {pointer}: {message}")
}

#[test]
fn a_constant_with_is_checked_where_it_stands_and_every_mistake_told() {
    let steps = "    - id: a
      driver: git
      with:
        urll: https://example.com/x.git
        depth: 0
        options: { quiet: yes please }
";
    let found = load(&closed(), steps).expect_err("refused");
    let told: Vec<_> = found.iter().map(brief).collect();
    assert_eq!(
        told,
        [
            "9:9 /spec/steps/0/with: `with`: \"url\" is a required property",
            "9:9 /spec/steps/0/with/urll: `with`: unknown key `urll`",
            "10:16 /spec/steps/0/with/depth: `with`: 0 is less than the minimum of 1",
            "11:27 /spec/steps/0/with/options/quiet: `with`: \"yes please\" is not of type \"boolean\"",
        ]
    );
    assert_eq!(found[1].nearest.as_deref(), Some("url"));
    assert_eq!(found[1].allowed.as_deref(), Some("depth, options, url"));
}

#[test]
fn a_step_without_with_is_checked_too() {
    assert_eq!(
        errors(&closed(), "    - { id: a, driver: git }\n"),
        ["6:7 /spec/steps/0/with: `with`: \"url\" is a required property"]
    );
}

#[test]
fn what_an_expression_decides_is_left_to_the_claim() {
    let steps = "    - { id: a, driver: git, with: { url: x, depth: \"${{ 0 }}\" } }\n";
    assert_eq!(errors(&closed(), steps), Vec::<String>::new());
}

#[test]
fn an_unknown_action_is_refused_with_those_there_are() {
    let found = load(&closed(), "    - { id: a, driver: git, action: tags }\n");
    let found = found.expect_err("refused");
    assert_eq!(
        brief(&found[0]),
        "6:37 /spec/steps/0/action: the driver `git` 1.4.2 has no such action"
    );
    assert_eq!(found[0].allowed.as_deref(), Some("clone, tag"));
    assert_eq!(found[0].nearest.as_deref(), Some("tag"));
}

#[test]
fn other_drivers_and_other_versions_are_not_checked() {
    let steps = "    - { id: a, driver: svn, with: { x: 1 } }
    - { id: b, driver: git@2, action: none, with: { x: 1 } }
    - { id: c, driver: git@1.4, action: tag, with: { x: 1 } }
";
    assert_eq!(errors(&closed(), steps), Vec::<String>::new());
}

const READS: &str = "    - { id: a, driver: git, with: { url: x } }
    - { id: b, transform: { x: \"${{ steps.a.outputs.shaa }}\" } }
";

#[test]
fn an_output_that_the_schema_does_not_name_is_refused() {
    let silent = json!({ "properties": { "sha": {} } });
    for outputs in [closed(), silent] {
        let found = load(&outputs, READS).expect_err("refused");
        assert_eq!(
            brief(&found[0]),
            "7:53 /spec/steps/1/transform/x: the step `a` has no output `shaa`"
        );
        assert_eq!(found[0].nearest.as_deref(), Some("sha"));
    }
    let named = READS.replace("shaa", "sha");
    assert_eq!(errors(&closed(), &named), Vec::<String>::new());
    let optional = READS.replace(".outputs.shaa", ".outputs.?shaa.orValue('')");
    let warned = load(&closed(), &optional).expect("accepted").diagnostics;
    assert_eq!(warned.len(), 1);
    assert_eq!(warned[0].severity, Severity::Warning);
}

#[test]
fn a_schema_that_leaves_room_refuses_no_output() {
    for outputs in [
        json!({ "type": "object" }),
        json!({ "properties": { "sha": {} }, "additionalProperties": true }),
        json!({ "properties": { "sha": {} }, "additionalProperties": { "type": "string" } }),
        json!({ "properties": { "sha": {} }, "patternProperties": { "^s": {} } }),
        json!({ "properties": { "sha": {} }, "allOf": [{ "properties": { "shaa": {} } }] }),
    ] {
        assert_eq!(errors(&outputs, READS), Vec::<String>::new(), "{outputs}");
    }
}

#[test]
fn a_declared_output_that_the_driver_never_gives_is_refused_unless_it_has_a_default() {
    let steps = "    - { id: a, driver: git, with: { url: x }, outputs: { shaa: {}, note: { default: \"\" } } }
    - { id: b, transform: { x: \"${{ steps.a.outputs.note }}\" } }
";
    let found = load(&closed(), steps).expect_err("refused");
    let told: Vec<_> = found.iter().map(brief).collect();
    assert_eq!(
        told,
        ["6:58 /spec/steps/0/outputs/shaa: the driver `git` gives no output `shaa`"]
    );
}

#[test]
fn the_digest_of_a_revision_does_not_depend_on_the_drivers() {
    let steps = "    - { id: a, driver: git, with: { url: x } }\n";
    let document = load(&closed(), steps).expect("accepted");
    let again = Plan::from_canonical(&document.canonical).expect("the same document");
    assert_eq!(again.digest, document.digest);
}

#[test]
fn a_schema_that_leads_out_of_itself_cannot_be_used() {
    let remote = json!({ "$ref": "https://example.com/schema.json" });
    let error = DriverContract::new("d", "1", [("run", None, Some(&remote))]);
    assert_eq!(
        error.expect_err("refused"),
        "the schema of the outputs of `d`, action `run`, cannot be used: /$ref: a remote `$ref` is not followed"
    );
    // Under a property's name that looks like the keyword.
    for keyword in ["properties", "dependencies"] {
        let hidden = json!({ keyword: { "$ref": remote } });
        let error = DriverContract::new("d", "1", [("run", None, Some(&hidden))]);
        let error = error.expect_err("refused");
        let place = format!("/{keyword}/$ref/$ref: a remote");
        assert!(error.contains(&place), "{error}");
    }
}
