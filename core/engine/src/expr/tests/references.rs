use super::*;
use crate::expr::{References, Rule, StepUse};

fn references(source: &str) -> References {
    Condition::parse(source)
        .unwrap_or_else(|error| panic!("{source}: {error}"))
        .references()
        .clone()
}

fn paths(source: &str) -> Vec<(String, String, bool)> {
    references(source)
        .step_references()
        .iter()
        .flat_map(|step| {
            step.uses
                .iter()
                .map(|StepUse { path, optional }| (step.id.to_string(), path.join("."), *optional))
                .collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn uses_of_steps_are_known() {
    let plain = |id: &str, path: &str| (id.to_owned(), path.to_owned(), false);
    let optional = |id: &str, path: &str| (id.to_owned(), path.to_owned(), true);
    for (source, expected) in [
        ("steps.a.outputs.x == 1", vec![plain("a", "outputs.x")]),
        (
            "steps['a-b'].outputs['x'].y == 1",
            vec![plain("a-b", "outputs.x.y")],
        ),
        (
            "steps.a.outputs.?x.orValue(1) == 1",
            vec![optional("a", "outputs.x")],
        ),
        (
            "steps.?a.outputs.x.orValue(1) == 1",
            vec![optional("a", "outputs.x")],
        ),
        ("has(steps.a.outputs.x)", vec![optional("a", "outputs.x")]),
        ("steps.fan.outputs[0].x == 1", vec![plain("fan", "outputs")]),
        (
            "steps.fan.outputs.map(o, o.x) == []",
            vec![plain("fan", "outputs")],
        ),
        (
            "steps.a.outputs[steps.b.state] == 1",
            vec![plain("a", "outputs"), plain("b", "state")],
        ),
        ("steps.a == steps.a", vec![plain("a", "")]),
        (
            "[1].exists(x, steps.a.outputs.x == x)",
            vec![plain("a", "outputs.x")],
        ),
        ("[{'a': 1}].exists(steps, steps.a == 1)", vec![]),
    ] {
        assert_eq!(paths(source), expected, "{source}");
    }
}

#[test]
fn roots_are_named_unless_a_loop_hides_them() {
    let all: Vec<String> = references("inputs.x == 1 || matrix.os == 'a' || inputs.y == 2")
        .roots()
        .map(str::to_owned)
        .collect();
    assert_eq!(all, ["inputs", "matrix"]);
    assert!(!references("[1].all(matrix, matrix == 1)").names("matrix"));
    assert!(references("[matrix].all(matrix, matrix == 1)").names("matrix"));
    assert!(references("[1].all(x, x == region)").names("region"));
    assert!(!references("type(1) == int").names("int"));
}

#[test]
fn steps_are_named_by_constants() {
    for (source, part) in [
        ("steps[inputs.x].state == ''", "indexed by a constant name"),
        ("size(steps) == 1", "`steps` alone is no value"),
        ("steps.exists(k, true)", "`steps` alone is no value"),
        ("needs == 1", "`needs` alone is no value"),
        ("secrets.x == 1", "never see them"),
        (".steps.a == 1", "not a name here"),
    ] {
        let error = parse_error(source);
        assert!(error.message.contains(part), "{source}: {}", error.message);
    }
    assert_eq!(parse_error("1 == 1 && size(steps) == 1").offset, 15);
    let offset = references("inputs.a == 1 || steps.b.state == 'x'").step_references()[0].offset;
    assert_eq!(offset, 23, "at the id");
}

#[test]
fn only_what_is_named_is_asked_for_and_once() {
    let scope = scope();
    let template = Template::parse(&json!({"a": "${{ inputs.n + inputs.n }}", "b": "${{ inputs.ref }} ${{ steps.build.state }}", "c": "plain"})).expect("a template");
    template.evaluate(&scope).expect("values");
    assert_eq!(*scope.asked.borrow(), ["inputs", "steps.build"]);
}

fn rule(source: &str) -> Rule {
    Rule::parse(source, &|id| ["a", "b", "b-c", "inputs"].contains(&id))
        .unwrap_or_else(|error| panic!("{source}: {error}"))
}

#[test]
fn a_rule_names_its_parents() {
    for (source, parents) in [
        ("a.failed || needs['b-c'].succeeded", vec!["a", "b-c"]),
        ("needs.a.failed && a.ended && b.ok", vec!["a", "b"]),
        ("b['failed'] || a.any_failed", vec!["b", "a"]),
        ("inputs.force || a.failed", vec!["a"]),
        ("[1].exists(a, a == 1) || b.failed", vec!["b"]),
    ] {
        let rule = rule(source);
        assert_eq!(
            rule.parents().iter().map(|id| &**id).collect::<Vec<_>>(),
            parents,
            "{source}"
        );
    }
    assert_eq!(
        rule("a.failed && needs['b-c'].succeeded").evaluate(&scope()),
        Ok(true)
    );
    assert_eq!(
        rule("a.ok || needs['b-c'].any_failed").evaluate(&scope()),
        Ok(false)
    );
}

#[test]
fn a_rule_refuses_what_it_does_not_know() {
    let refused = |source: &str| Rule::parse(source, &|id| id == "a").expect_err(source);
    let error = refused("a.faild");
    assert!(
        error
            .message
            .contains("`faild` is no predicate of step `a`")
            && error.message.ends_with("nearest is `failed`"),
        "{error}"
    );
    assert_eq!(error.offset, 2);
    assert!(
        refused("needs.a.any_fail")
            .message
            .contains("nearest is `failed`")
    );
    let error = refused("aa.failed");
    assert_eq!(error.unknown.as_deref(), Some("aa"));
    assert!(refused("a").message.contains("ask for a predicate"));
    assert!(
        refused("needs.exists(n, true)")
            .message
            .contains("`needs` alone")
    );
}
