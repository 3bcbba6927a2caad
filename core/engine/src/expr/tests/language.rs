use super::*;

#[test]
fn integers_are_ints_and_survive_above_two_to_the_53() {
    assert_eq!(eval("inputs.big"), json!(9_007_199_254_740_993_i64));
    assert_eq!(eval("inputs.big + 1"), json!(9_007_199_254_740_994_i64));
    assert_eq!(eval("type(inputs.n) == int"), json!(true));
    // Never a uint: what no int holds is a double.
    assert_eq!(eval("type(inputs.huge) == double"), json!(true));
}

#[test]
fn a_number_kept_as_double_stays_one() {
    assert_eq!(eval("type(inputs.ratio) == double"), json!(true));
    assert_eq!(eval("inputs.ratio / 4.0"), json!(0.5));
    assert_eq!(eval("inputs.ratio").as_i64(), None);
}

#[test]
fn numbers_are_equal_and_ordered_across_types() {
    for source in [
        "1 == 1.0",
        "1u == 1",
        "2 > 1.5",
        "1.5 < 2u",
        "inputs.big > 9007199254740992.0",
        "1 in [1.0]",
        "-1 < 1u",
    ] {
        assert_eq!(eval(source), json!(true), "{source}");
    }
}

#[test]
fn maps_are_walked_in_key_order() {
    assert_eq!(eval("inputs.map.map(k, k)"), json!(["a", "b", "c"]));
    assert_eq!(
        eval("{'z': 1, 'm': 2, 'a': 3}.map(k, k)"),
        json!(["a", "m", "z"])
    );
    assert_eq!(eval("{10: 1, 9: 2, 2: 3}.map(k, k)"), json!([2, 9, 10]));
    assert_eq!(
        eval("inputs.map.transformList(k, v, k + string(v))"),
        json!(["a1", "b2", "c3"])
    );
}

#[test]
fn macros_do_what_cel_says() {
    for (source, json) in [
        ("[1, 2, 3].all(x, x > 0)", json!(true)),
        ("[1, 2, 3].exists(x, x == 2)", json!(true)),
        ("[1, 2, 3].exists_one(x, x > 1)", json!(false)),
        ("[1, 2, 3].existsOne(x, x > 2)", json!(true)),
        ("[1, 2, 3].filter(x, x % 2 == 1)", json!([1, 3])),
        ("[1, 2, 3].map(x, x * x)", json!([1, 4, 9])),
        ("[1, 2, 3].map(x, x > 1, x * x)", json!([4, 9])),
        (
            "[1, 2].map(x, [10, 20].map(y, x + y))",
            json!([[11, 21], [12, 22]]),
        ),
        ("[5, 6].transformList(i, v, i > 0, v)", json!([6])),
        ("{'a': 1}.transformMap(k, v, v + 1)", json!({"a": 2})),
        ("[5, 6].all(i, v, v == i + 5)", json!(true)),
        ("[5, 6].exists(i, v, i == 1 && v == 6)", json!(true)),
        ("[3, 1, 2].sortBy(x, -x)", json!([3, 2, 1])),
        ("[1].map(inputs, inputs)", json!([1])),
        ("has(inputs.ref) && !has(inputs.nope)", json!(true)),
    ] {
        assert_eq!(eval(source), json, "{source}");
    }
}

#[test]
fn one_side_may_fail_when_the_other_decides() {
    assert_eq!(eval("inputs.nope == 1 || true"), json!(true));
    assert_eq!(eval("1 / 0 == 1 && false"), json!(false));
    assert_eq!(eval("[1, 0].exists(x, 1 / x == 1)"), json!(true));
    assert_eq!(eval("[0, 2].all(x, 1 / x == 1)"), json!(false));
    assert!(
        eval_error("inputs.nope == 1 || false")
            .message
            .contains("inputs.nope")
    );
}

#[test]
fn optionals_provide_for_absence() {
    for (source, json) in [
        (
            "steps.?nowhere.?outputs.?digest.orValue('none')",
            json!("none"),
        ),
        (
            "steps.?build.?outputs.?digest.orValue('none')",
            json!("sha256:1"),
        ),
        (
            "steps.?build.outputs.digest.orValue('none')",
            json!("sha256:1"),
        ),
        (
            "steps['skipped-one'].outputs.?digest.orValue('')",
            json!(""),
        ),
        ("inputs.?nope.hasValue()", json!(false)),
        ("inputs.?ref.value()", json!("main")),
        ("inputs.?nope.or(inputs.?ref).value()", json!("main")),
        ("inputs.?ref.optMap(r, r + '!').orValue('')", json!("main!")),
        (
            "inputs.?nope.optMap(r, r + '!').orValue('none')",
            json!("none"),
        ),
        ("inputs.list[?7].orValue(0)", json!(0)),
        ("inputs.map[?'a'].orValue(0)", json!(1)),
        ("[?inputs.?nope, ?inputs.?ref]", json!(["main"])),
        (
            "{?'a': inputs.?nope, ?'b': inputs.?ref}",
            json!({"b": "main"}),
        ),
        ("optional.of(1).orValue(1 / 0)", json!(1)),
        ("has(steps.build) && !has(steps.nowhere)", json!(true)),
    ] {
        assert_eq!(eval(source), json, "{source}");
    }
}

#[test]
fn an_absent_output_names_step_output_and_reason() {
    let message = eval_error("steps['skipped-one'].outputs.digest").message;
    assert!(
        message.starts_with(
            "`steps['skipped-one'].outputs.digest` is absent: step `skipped-one` is skipped"
        ),
        "{message}"
    );
    let message = eval_error("steps.build.outputs.digets").message;
    assert!(message.contains("`steps.build.outputs.digets` is absent: step `build` succeeded without the output `digets`; nearest is `digest`"), "{message}");
    let message = eval_error("steps.build.failure.code").message;
    assert!(
        message.contains("`steps.build.failure` is absent: step `build` is succeeded"),
        "{message}"
    );
}

#[test]
fn errors_name_the_place_and_the_types() {
    for (source, part) in [
        (
            "inputs.n + 'x'",
            "`+` does not take int (`inputs.n`) and string; use string()",
        ),
        ("inputs.n + 1.5", "use double() or int()"),
        (
            "inputs.n ? 1 : 2",
            "the condition of `?:` is int (`inputs.n`), not bool",
        ),
        ("inputs.n && true", "`&&` takes bool, not int (`inputs.n`)"),
        (
            "inputs.list[9]",
            "`inputs.list[9]`: the list has 3 items, and none at 9",
        ),
        ("inputs.refs", "`inputs.refs` is absent; nearest is `ref`"),
        ("inputs.n.x", "`inputs.n.x`: int has no members"),
        ("steps.fan.outputs.x", "a list of 3 has no member `x`"),
        (
            "inputs.n.map(x, x)",
            "`.map()` ranges over a list or a map, not int (`inputs.n`)",
        ),
        ("matrix.os", "there is no `matrix` here"),
        (
            "inputs.?ref + 'x'",
            "an optional gives its value by orValue()",
        ),
    ] {
        let message = eval_error(source).message;
        assert!(message.contains(part), "{source}: {message}");
    }
}

#[test]
fn arithmetic_that_has_no_answer_is_an_error() {
    for source in [
        "9223372036854775807 + 1",
        "-9223372036854775808 - 1",
        "9223372036854775807 * 2",
        "1 / 0",
        "1 % 0",
        "1u - 2u",
        "-9223372036854775808 / -1",
        "-9223372036854775808 % -1",
        "math.abs(-9223372036854775808)",
        "int(1e300)",
        "int('x')",
        "uint(-1)",
        "timestamp('2024-01-01T00:00:00Z') + duration('99999999d')",
        "duration('9999999999999999999h')",
        "timestamp(-1)",
        "math.bitShiftLeft(1, -1)",
        "double('NaN')",
        "1.0 / 0.0",
        "b'x'",
        "type(1)",
        "optional.none()",
        "[1, 2][-1]",
        "'abc'.substring(2, 1)",
        "'abc'.charAt(9)",
        "lists.range(-1)",
        "[1, 'a'].sort()",
        "'%d'.format([])",
        "'%q'.format([1])",
        "'%'.format([1])",
        "'%.999f'.format([1.0])",
        "'a'.matches('(')",
        "{1: 2, 1u: 3}",
        "{'a': 1, 'a': 2}",
    ] {
        let error = eval_error(source);
        assert!(
            !error.limit && !error.message.is_empty(),
            "{source}: {error}"
        );
    }
}

#[test]
fn a_condition_must_be_boolean() {
    let condition = Condition::parse("inputs.n").expect("an expression");
    let error = condition.evaluate(&scope()).expect_err("an int");
    assert_eq!(error.message, "`inputs.n` gives int, not bool");
    assert_eq!(condition.source(), "inputs.n");
    assert_eq!(
        Condition::parse("inputs.n == 3").map(|c| c.evaluate(&scope())),
        Ok(Ok(true))
    );
}

#[test]
fn functions_that_do_not_exist_are_refused_by_name() {
    for (source, part) in [
        (
            "now()",
            "an expression gives the same value whenever it is evaluated",
        ),
        ("sizes('a')", "nearest is `size`"),
        ("'a'.startWith('b')", "nearest is `startsWith`"),
        ("contains('a', 'b')", "write it after a value"),
        ("'a'.int()", "write it before its arguments"),
        ("size(1, 2)", "takes 1 arguments, not 2"),
        ("Message{a: 1}", "write a map"),
        ("math.cbrt(2.0)", "there is no function `math.cbrt()`"),
    ] {
        let error = parse_error(source);
        assert!(error.message.contains(part), "{source}: {}", error.message);
    }
}
