//! Descriptions of cases that there are.

use super::*;

fn all() -> Vec<v1::Case> {
    let profiles = ["contract", "driver"].into_iter();
    let each = profiles.flat_map(|profile| {
        crate::embedded(profile).unwrap_or_else(|errors| panic!("{}", errors.join("\n")))
    });
    each.collect()
}

fn case(name: &str) -> v1::Case {
    let found = all().into_iter().find(|case| case.name == name);
    found.unwrap_or_else(|| panic!("there is no {name}"))
}

#[test]
fn every_case_is_a_page_of_eighty_columns_that_has_all_of_it() {
    let engine = crate::engine::embedded().expect("cases");
    let engine = engine.iter().map(describe_engine);
    for told in all().iter().map(|case| describe(case, None)).chain(engine) {
        let page = told.to_string();
        for line in page.lines() {
            assert!(line.chars().count() <= 80, "{}: {line}", told.name);
        }
        let flat = |text: &str| text.split_whitespace().collect::<String>();
        let page = flat(&page);
        let texts = [&told.purpose, &told.not_declared].into_iter();
        let texts = texts.chain(&told.procedure).chain(&told.arranged);
        let rules = told
            .requires
            .iter()
            .flat_map(|rule| rule.besides.iter().chain([&rule.number, &rule.says]));
        for text in texts.chain(rules).chain(&told.features) {
            assert!(page.contains(&flat(text)), "{}: {text}", told.name);
        }
    }
}

#[test]
fn what_it_is_run_with_and_when_it_is_not_are_told() {
    let told = describe(&case("checkpoints/kept/for-the-next-attempt"), None);
    let page = told.to_string();
    for part in [
        "needs         checkpoints\n",
        "run with      transport   tcp: a stream of gRPC, over TCP\n",
        "concurrency 1: ",
        "fault       none: nothing goes wrong\n",
        "not declared  for a driver that does not declare `checkpoints`\n",
        "time limit    20 s\n",
        "arranged      The driver is to take 4 tasks at once.\n",
        "→ In all that is said: no checkpoint is larger than",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    let every = crate::names(
        &[case("checkpoints/kept/for-the-next-attempt")],
        &v1::Config::default(),
    );
    assert_eq!(told.runs, every.expect("names").len());
}

#[test]
fn a_run_is_told_with_the_meaning_of_its_values() {
    let run: RunName =
        "results/success/whatever-goes-wrong[transport:tls,concurrency:64,fault:cut]"
            .parse()
            .expect("a name");
    let told = describe(&case(run.case().as_str()), Some(&run));
    assert_eq!(
        (told.runs, told.name.as_str()),
        (1, run.to_string().as_str())
    );
    let page = told.to_string();
    for part in [
        "transport   tls: a stream of gRPC, over TLS\n",
        "concurrency 64: the driver holds 63 other tasks",
        "fault       cut: the connections are cut",
        "for a driver that does not declare each of `concurrency`, `stream`, `tls`",
        "The driver is to take 67 tasks at once.",
    ] {
        let flat = page.split_whitespace().collect::<Vec<_>>().join(" ");
        let part = part.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(&part), "{part}\n{page}");
    }
    assert!(!page.contains("rest:"), "{page}");
}

#[test]
fn a_case_of_samples_says_which_ones_it_asks_for() {
    let asks = |case: &v1::Case| samples::words(case).contains(&"slow");
    let case = all().into_iter().find(asks).expect("there is one");
    let told = describe(&case, None);
    let at_once = told.arranged.iter().any(|one| one.contains("at once"));
    assert!(!at_once, "nobody tells a finished driver: {told:?}");
    assert!(
        told.not_declared
            .contains("has no sample in its config for `"),
        "{told:?}"
    );
}

#[test]
fn the_first_meeting_is_run_once_whatever_a_driver_declares() {
    let told = describe(&case(MEETING), None);
    assert_eq!((told.runs, told.not_declared.as_str()), (1, ""), "{told}");
    let page = told.to_string();
    for other in ["run with", "not declared", "arranged", "What is done"] {
        assert!(!page.contains(other), "{other}\n{page}");
    }
}

#[test]
fn a_case_of_some_ways_to_talk_says_what_a_driver_of_none_lacks() {
    for (transports, told) in [
        ("[tcp, tls, unix]", "does not declare `stream`"),
        ("[tls]", "does not declare each of `stream`, `tls`"),
        ("[unary, rest]", "declares none of `unary`, `rest`"),
        (
            "[tcp, tls, unix, unary]",
            "declares none of `stream`, `unary`",
        ),
        ("[]", ""),
    ] {
        let text = format!(
            "cases: [{{name: a/b/c, purpose: It is., requires: [R1], axes: {{transports: {transports}}}, script: [{{cut: {{}}}}]}}]"
        );
        let cases = crate::read_cases("a.yaml", &text).expect("a case");
        let found = describe(&cases[0], None).not_declared;
        assert_eq!(
            found.trim_start_matches("for a driver that "),
            told,
            "{transports}"
        );
    }
}

#[test]
fn a_case_of_engines_says_how_long_it_may_take_and_what_is_arranged() {
    let cases = crate::engine::embedded().expect("cases");
    let mut all = cases.iter().map(describe_engine);
    let told = all.find(|told| !told.arranged.is_empty()).expect("one");
    assert!(
        told.to_string()
            .contains(&format!("arranged      {}", &told.arranged[0][..20]))
    );
    let steps = cases
        .iter()
        .flat_map(|case| describe_engine(case).procedure);
    let odd: Vec<String> = steps
        .filter(|step| step.ends_with(" .") || step.contains("with ,"))
        .collect();
    assert!(odd.is_empty(), "{odd:#?}");
    let longer = cases
        .iter()
        .find(|case| case.time_limit_ms > 0)
        .expect("one");
    assert_eq!(describe_engine(longer).time_limit_ms, longer.time_limit_ms);
}

#[test]
fn a_rule_of_another_document_is_told_behind_its_number() {
    let cases = crate::engine::embedded().expect("cases");
    let cites = |number: &str| {
        let cites = |case: &&v1::EngineCase| case.requires.iter().any(|one| one == number);
        describe_engine(cases.iter().find(cites).expect("one")).to_string()
    };
    for (number, begins) in [
        ("SEMANTICS 2", "  SEMANTICS 2 `needs: [a, b]`: ready"),
        ("SEMANTICS 23", "  SEMANTICS 23 Expressions see"),
        ("P3", "  P3          Keys begin with cluster prefix"),
    ] {
        let page = cites(number);
        assert!(page.contains(begins), "{begins}\n{page}");
    }
}
