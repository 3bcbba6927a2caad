//! `docs/expressions.md` says what is so.

use super::*;
use crate::expr::functions::{Style, names};
use crate::expr::{Limits, PREDICATES, ROOTS};

const DOCUMENT: &str = include_str!("../../../../../docs/expressions.md");

fn documented() -> Fixed {
    let values = block("json").next().expect("the values of the examples");
    let values: Json = serde_json::from_str(&values).expect("JSON");
    let mut scope = Fixed::default();
    for (name, value) in values.as_object().expect("an object") {
        if name == "steps" {
            for (id, step) in value.as_object().expect("an object") {
                scope = scope.step(id, step.clone());
            }
        } else {
            scope = scope.root(name, value.clone());
        }
    }
    scope
}

fn block(language: &str) -> impl Iterator<Item = String> {
    let fence = format!("```{language}\n");
    DOCUMENT
        .split(&fence)
        .skip(1)
        .filter_map(|after| Some(after.split_once("```")?.0.to_owned()))
        .collect::<Vec<_>>()
        .into_iter()
}

/// Runs `SOURCE => JSON` or `SOURCE => error`.
fn run(line: &str, template: &Json, scope: &Fixed) {
    let (_, expected) = line.rsplit_once("=>").expect("an example");
    let outcome = Template::parse(template)
        .unwrap_or_else(|error| panic!("{line}: {error}"))
        .evaluate(scope);
    match (expected.trim(), outcome) {
        ("error", Err(_)) => {}
        ("error", Ok(json)) => panic!("{line} gives {json}"),
        (expected, outcome) => {
            let expected: Json =
                serde_json::from_str(expected).unwrap_or_else(|error| panic!("{line}: {error}"));
            assert_eq!(outcome, Ok(expected), "{line}");
        }
    }
}

#[test]
fn every_example_of_the_document_holds() {
    let scope = documented();
    let mut examples = 0;
    for line in block("cel").flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>())
    {
        let (source, _) = line
            .rsplit_once("=>")
            .unwrap_or_else(|| panic!("{line} is no example"));
        run(&line, &json!(format!("${{{{ {source} }}}}")), &scope);
        examples += 1;
    }
    for line in
        block("template").flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>())
    {
        let (source, _) = line
            .rsplit_once("=>")
            .unwrap_or_else(|| panic!("{line} is no example"));
        run(
            &line,
            &serde_json::from_str(source).unwrap_or_else(|error| panic!("{line}: {error}")),
            &scope,
        );
        examples += 1;
    }
    assert!(examples > 120, "{examples} examples were found");
}

#[test]
fn every_function_root_and_predicate_is_in_the_document() {
    for name in names(Style::Global) {
        assert!(DOCUMENT.contains(&format!("{name}(")), "{name}");
    }
    for name in names(Style::Member) {
        assert!(DOCUMENT.contains(&format!(".{name}(")), "{name}");
    }
    for name in ROOTS.iter().chain(&PREDICATES) {
        assert!(DOCUMENT.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn the_bounds_of_the_document_are_the_code_s() {
    let limits = Limits::DEFAULT;
    for line in [
        format!(
            "| source | {} bytes, {} tokens |",
            limits.source_bytes, limits.tokens
        ),
        format!("| brackets, one in another | {} |", limits.brackets),
        format!("| operators in one bracket | {} |", limits.operators),
        format!("| signs before a value | {} |", limits.unary),
        format!(
            "| members, calls and indexes in a row | {} (",
            limits.members
        ),
        format!("| depth of the syntax tree | {} |", limits.depth),
        format!("| macros that range, one in another | {} |", limits.loops),
        format!(
            "| items that a macro ranges over, and of a list that is made | {} |",
            limits.range
        ),
        format!(
            "| work of one evaluation, of all expressions of a template together | {} units |",
            limits.work
        ),
        format!(
            "| memory that one evaluation claims in all | {} bytes |",
            limits.memory
        ),
        format!("| depth of a result | {} |", limits.result_depth),
        format!(
            "| regular expression | {} bytes, {} bytes compiled |",
            limits.regex_bytes, limits.regex_size
        ),
    ] {
        assert!(DOCUMENT.contains(&line), "{line}");
    }
}
