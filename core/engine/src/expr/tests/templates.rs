use super::*;

fn evaluated(json: &Json) -> Json {
    let template = Template::parse(json).unwrap_or_else(|error| panic!("{json}: {error}"));
    template
        .evaluate(&scope())
        .unwrap_or_else(|error| panic!("{json}: {error}"))
}

#[test]
fn a_whole_string_keeps_the_type_and_a_longer_one_is_text() {
    for (template, value) in [
        (json!("${{ inputs.n }}"), json!(3)),
        (json!("${{ inputs.list }}"), json!([3, 1, 2])),
        (json!(" ${{ inputs.n }}"), json!(" 3")),
        (json!("${{ inputs.n }}${{ inputs.n }}"), json!("33")),
        (
            json!("v${{ inputs.ratio }}-${{ true }}-${{ 'x' }}"),
            json!("v2-true-x"),
        ),
        (json!("${{ inputs.big }}!"), json!("9007199254740993!")),
        (json!("$${{ inputs.n }}"), json!("${{ inputs.n }}")),
        (json!("$$${{ x"), json!("$${{ x")),
        (json!("a $ b {{ c }}"), json!("a $ b {{ c }}")),
        (json!("${{ '}}' }}"), json!("}}")),
        (json!("${{ {'a': {'b': 1}} }}"), json!({"a": {"b": 1}})),
        (json!("${{ {'a': {'b': 1}}}}"), json!({"a": {"b": 1}})),
        (json!("${{ r'\\' }}"), json!("\\")),
        (json!("${{ \"\"\"}} \" \"\"\" }}."), json!("}} \" .")),
        (
            json!({"${{ inputs.ref }}": ["${{ inputs.n }}", 7]}),
            json!({"main": [3, 7]}),
        ),
        (
            json!({"k-${{ inputs.n }}": null, "plain": 1.5}),
            json!({"k-3": null, "plain": 1.5}),
        ),
    ] {
        assert_eq!(evaluated(&template), value, "{template}");
    }
}

#[test]
fn nothing_is_evaluated_twice() {
    let scope = scope().root("vars", json!({"x": "${{ inputs.n }}"}));
    let template = Template::parse(&json!("${{ vars.x }}")).expect("a template");
    assert_eq!(template.evaluate(&scope), Ok(json!("${{ inputs.n }}")));
}

#[test]
fn only_scalars_stand_inside_of_a_longer_string() {
    for source in [
        "a ${{ inputs.list }}",
        "a ${{ inputs.map }}",
        "a ${{ null }}",
        "a ${{ 0.0 / 0.0 }}",
    ] {
        let template = Template::parse(&json!({"x": [source]})).expect(source);
        let error = template.evaluate(&scope()).expect_err(source);
        assert_eq!(error.pointer, "/x/0");
        assert!(
            error.message.contains("only strings, numbers and booleans"),
            "{error}"
        );
    }
}

#[test]
fn errors_say_where_in_the_template_they_are() {
    let error =
        Template::parse(&json!({"a/b": ["x", "12 ${{ 1 + }}"]})).expect_err("no expression");
    assert_eq!(
        (error.pointer.as_str(), error.offset, error.key),
        ("/a~1b/1", 6, false)
    );
    let error = Template::parse(&json!({"${{ nope( }}": 1})).expect_err("no expression");
    assert!(error.key);
    let error = Template::parse(&json!("a ${{ 1")).expect_err("not closed");
    assert_eq!(error.offset, 2);
    assert!(error.error.message.contains("is not closed"));
}

#[test]
fn keys_that_become_the_same_are_an_error() {
    let template =
        Template::parse(&json!({"main": 1, "${{ inputs.ref }}": 2})).expect("a template");
    let error = template.evaluate(&scope()).expect_err("the same key twice");
    assert!(
        error.message.contains("the key `main` comes twice"),
        "{error}"
    );
    let template = Template::parse(&json!({"${{ inputs.list }}": 2})).expect("a template");
    assert!(template.evaluate(&scope()).is_err());
}

#[test]
fn a_template_without_expressions_is_constant() {
    let json = json!({"a": [1, "x", null], "b": "$${{ y }}"});
    let template = Template::parse(&json).expect("a template");
    assert_eq!(
        template.constant(),
        Some(&json!({"a": [1, "x", null], "b": "${{ y }}"}))
    );
    assert_eq!(
        Template::parse(&json!(["${{ 1 }}"]))
            .expect("a template")
            .constant(),
        None
    );
}

#[test]
fn only_what_names_attempt_is_evaluated_again() {
    let template = Template::parse(&json!({
        "n": "${{ attempt.number }}", "kept": "${{ inputs.n }}", "list": ["${{ inputs.n }}", "try ${{ attempt.number }}"],
        "${{ inputs.ref }}": "${{ inputs.n }}", "hidden": "${{ [1].map(attempt, attempt) }}",
    }))
    .expect("a template");
    assert!(template.names_attempt());
    let first = template.evaluate(&scope()).expect("values");
    let changed = scope()
        .root("inputs", json!({"n": "changed", "ref": "main"}))
        .root("attempt", json!({"number": 3}));
    let second = template.reevaluate(&first, &changed).expect("values");
    assert_eq!(
        second,
        json!({"n": 3, "kept": 3, "list": [3, "try 3"], "main": 3, "hidden": [1]})
    );
    let plain = Template::parse(&json!("${{ [1].map(attempt, attempt) }}")).expect("a template");
    assert!(!plain.names_attempt());
}

#[test]
fn cel_values_become_json() {
    for (source, json) in [
        (
            "timestamp('2024-02-29T12:00:00Z')",
            json!("2024-02-29T12:00:00.000Z"),
        ),
        ("duration('90m')", json!("1h30m")),
        ("9223372036854775807u", json!(i64::MAX)),
        ("{1: 'a', true: 'b'}", json!({"1": "a", "true": "b"})),
        ("optional.of(1)", json!(1)),
        ("2.0", json!(2.0)),
    ] {
        assert_eq!(eval(source), json, "{source}");
    }
    let beyond = eval_error("[18446744073709551615u]").message;
    assert!(
        beyond.contains(
            "the integer 18446744073709551615 does not fit in 64 bits: the limit `int64` is"
        ),
        "{beyond}"
    );
}

#[test]
fn each_expression_is_shown_with_its_place() {
    let template = Template::parse(
        &json!({"a/b": ["x${{ inputs.n }}-${{ run.id }}"], "${{ inputs.ref }}": 1}),
    )
    .expect("a template");
    let mut shown = Vec::new();
    template.for_each_expression(&mut |it| {
        shown.push((it.pointer.clone(), it.key, it.offset, it.source.to_owned()));
    });
    assert_eq!(
        shown,
        [
            (
                "/${{ inputs.ref }}".to_owned(),
                true,
                3,
                " inputs.ref ".to_owned()
            ),
            ("/a~1b/0".to_owned(), false, 4, " inputs.n ".to_owned()),
            ("/a~1b/0".to_owned(), false, 20, " run.id ".to_owned()),
        ]
    );
}
