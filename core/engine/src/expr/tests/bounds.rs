use super::*;
use crate::expr::Limits;

fn limited(source: &str) {
    let error = eval_error(source);
    assert!(error.limit, "{error}");
}

#[test]
fn a_chain_of_four_kilobytes_is_a_clean_error() {
    let chain = vec!["1"; 2048].join("+");
    assert!(
        parse_error(&chain)
            .message
            .contains("more than 256 operators in a row")
    );
    let chain = vec!["true"; 700].join("||");
    assert!(parse_error(&chain).message.contains("operators in a row"));
    let longest = vec!["1"; 257].join("+");
    assert_eq!(eval(&longest), json!(257));
}

#[test]
fn sources_tokens_brackets_signs_and_members_are_bounded() {
    for (source, part) in [
        (format!("'{}'", "x".repeat(8191)), "bytes, more than 8192"),
        (format!("[{}1]", "1,".repeat(1100)), "more than 2048 tokens"),
        (
            format!("{}1{}", "(".repeat(33), ")".repeat(33)),
            "brackets nest deeper than 32",
        ),
        (
            format!("{}1{}", "[".repeat(4000), "]".repeat(4000)),
            "brackets nest deeper than 32",
        ),
        (format!("{}true", "!".repeat(17)), "more than 16 signs"),
        (format!("{}1", "-".repeat(4000)), "more than 16 signs"),
        (format!("a{}", ".b".repeat(97)), "more than 96 members"),
        (format!("a{}", "[0]".repeat(97)), "more than 96 members"),
        (format!("a{}", "[1+1]".repeat(97)), "more than 96 members"),
        (format!("{}1", "true?1:".repeat(300)), "operators in a row"),
        ("(1".to_owned(), "is not closed"),
        ("1)".to_owned(), "closes no bracket"),
        ("(1]".to_owned(), "closes no bracket"),
        (" ".to_owned(), "is empty"),
    ] {
        let error = parse_error(&source);
        assert!(
            error.message.contains(part),
            "{}: {}",
            &source[..source.len().min(30)],
            error.message
        );
    }
}

#[test]
fn the_deepest_accepted_brackets_evaluate() {
    let nested = format!("{}1{}", "(".repeat(32), ")".repeat(32));
    assert_eq!(eval(&nested), json!(1));
    let nested = format!("size({}1{})", "[".repeat(31), "]".repeat(31));
    assert_eq!(eval(&nested), json!(1));
}

#[test]
fn loops_nested_six_deep_are_a_clean_error() {
    let ten = "[0,1,2,3,4,5,6,7,8,9]";
    let mut source = "1".to_owned();
    for name in ["a", "b", "c", "d", "e", "f"] {
        source = format!("{ten}.map({name}, {source})");
    }
    assert!(parse_error(&source).message.contains("nest deeper than 4"));
}

#[test]
fn what_loops_range_over_and_their_product_are_bounded() {
    limited("lists.range(1000000000)");
    limited("lists.range(100001)");
    assert_eq!(eval("size(lists.range(100000))"), json!(100_000));
    limited("lists.range(1000).map(a, lists.range(1000).map(b, lists.range(1000).map(c, 1)))");
    limited("lists.range(100000).map(a, lists.range(100000))");
    limited("lists.range(100000).all(a, lists.range(100000).all(b, true))");
    limited("lists.range(100000).exists(a, lists.range(100000).exists(b, false) || false)");
    // `||` swallows errors, but not an exceeded bound.
    limited("true && (lists.range(100000).all(a, lists.range(100000).all(b, true)) || true)");
}

#[test]
fn memory_is_bounded_however_it_grows() {
    let doubling = |start: &str, step: &str| format!("{start}{}", step.repeat(40));
    limited(&doubling("['xxxxxxxxxxxxxxxx']", ".map(a, a + a)"));
    limited(&doubling("[[1, 2, 3]]", ".map(a, a + a)"));
    limited(&doubling(
        "['aaaaaaaaaaaaaaaaaa']",
        ".map(a, a.replace('a', 'aa'))",
    ));
    limited(&doubling(
        "['aaaaaaaaaaaaaaaaaa']",
        ".map(a, '%s%s'.format([a, a]))",
    ));
    // Small in memory, as the halves are shared; not when it is written out, or compared.
    limited(&doubling("[1]", ".map(a, [a, a])"));
    limited(&format!("{0} == {0}", doubling("[1]", ".map(a, [a, a])")));
    limited(&format!(
        "{}[0].flatten(99)",
        doubling("[1]", ".map(a, [a, a])")
    ));
    limited(
        "lists.range(100000).map(x, '0123456789').join('0123456789').replace('0', 'a long text in the place of a digit').replace('a', 'and longer still, so that nothing holds it, not even for a moment')",
    );
    limited("[lists.range(100000).map(x, '').join('xxxxxxxxxx')].map(a, a.split(''))");
}

#[test]
fn results_nest_no_deeper_than_json_is_read() {
    let deep = format!("[1]{}", ".map(a, [[[a]]])".repeat(40));
    limited(&deep);
    assert_eq!(eval(&format!("size({deep})")), json!(1));
}

#[test]
fn regular_expressions_are_bounded() {
    limited("'a'.matches('(((a{100}){100}){100}){100}')");
    limited(&format!("'a'.matches('{}')", "a?".repeat(600)));
    limited("lists.range(1000).all(i, 'a'.matches('a' + string(i)) || true)");
    // A pattern is compiled once for all items, and hard texts take linear time.
    assert_eq!(
        eval("lists.range(10000).all(i, string(i).matches('^[0-9]+$'))"),
        json!(true)
    );
    assert_eq!(
        eval(
            "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!'.matches('^(a+)+$')"
        ),
        json!(false)
    );
}

#[test]
fn limits_have_defaults() {
    assert_eq!(Limits::default(), Limits::DEFAULT);
}

/// No soup of tokens panics, aborts or runs on.
#[test]
fn token_soup_is_answered() {
    let words = [
        "1",
        "1u",
        "1.5",
        "'a'",
        "b'x'",
        "r'\\'",
        "\"q\"",
        "true",
        "null",
        "inputs",
        "steps",
        "needs",
        "x",
        "a",
        "list",
        "+",
        "-",
        "*",
        "/",
        "%",
        "==",
        "!=",
        "<",
        ">=",
        "&&",
        "||",
        "!",
        "?",
        ":",
        ".",
        ".?",
        ",",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        " in ",
        ".map(x,",
        ".filter(a,",
        ".all(x,",
        ".exists_one(x,",
        ".sortBy(x,",
        ".transformMap(a,x,",
        "has(",
        "size(",
        "lists.range(",
        "optional.of(",
        ".orValue(",
        ".format(",
        ".matches(",
        "inputs.list",
        "inputs.map",
        "steps.build.outputs",
        ".replace('a',",
        "9223372036854775807",
        "-9223372036854775808",
        "timestamp(",
        "duration(",
        "math.greatest(",
        "`b-c`",
        "\u{e9}",
        "'",
        "@",
        "//",
        "\n",
        "}}",
        "\\",
    ];
    let run = move || {
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = move || {
            // xorshift: the same soup every time.
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random
        };
        let mut evaluated = 0;
        for _ in 0..20_000 {
            let len = 1 + next() % 14;
            let source: String = (0..len)
                .map(|_| words[(next() % words.len() as u64) as usize])
                .collect();
            if let Ok(template) = Template::parse(&json!(format!("${{{{{source}}}}}"))) {
                evaluated += usize::from(template.evaluate(&scope()).is_ok());
            }
            let _ = super::super::Rule::parse(&source, &|id| id == "a");
        }
        evaluated
    };
    // The engine itself starts no thread; its callers run it on such stacks.
    #[allow(clippy::disallowed_methods)]
    let evaluated = std::thread::Builder::new()
        .stack_size(crate::STACK_BYTES)
        .spawn(run)
        .expect("a thread")
        .join()
        .expect("no panic");
    assert!(
        evaluated > 100,
        "the soup has some expressions in it: {evaluated}"
    );
}
