//! What a driver's author says of the driver: read, and looked at.

use crate::cases::{self, CaseError, Flaws, at, none_of, time, twice, word};
use crate::contract::lines_flaws;
use crate::interfere::inline;
use crate::like;
use crate::samples;
use crate::v1;
use std::collections::{BTreeMap, BTreeSet};

/// The profile that is run with samples.
pub(crate) const DRIVER: &str = "driver";
/// Features that a driver may declare.
pub(crate) const FEATURES: &[&str] = &[
    "stream",
    "unary",
    "rest",
    "tls",
    "unix",
    "checkpoints",
    "detached",
    "adoption",
    "secrets",
    "cancel",
    "logs",
    "progress",
    "exit",
    "report-twice",
    "concurrency",
    "drain",
];
/// Those of a finished driver whose config says nothing of them: what every SDK gives.
const USUAL: &[&str] = &[
    "stream",
    "tls",
    "unix",
    "drain",
    "cancel",
    "logs",
    "concurrency",
];
/// States that an attempt of a sample may end in.
const STATES: &[&str] = &["succeeded", "failed", "errored", "timed_out", "cancelled"];
/// The ways to talk, one of which a driver needs.
const WAYS: [&str; 3] = ["stream", "unary", "rest"];
/// Variables that the suite sets itself, for any driver: where the engine is, and what the driver's processes are known by.
const SET: &[&str] = &[
    "CONVEYOR_URL",
    "CONVEYOR_TOKEN",
    "CONVEYOR_CA",
    "CONVEYOR_CONFORMANCE_MARK",
    "CONFORMANCE_RUN",
    "TMPDIR",
];
/// And those for a driver that is told what to be: a finished one may have them for itself.
const SET_OF_CONTRACT: &[&str] = &[
    "CONVEYOR_CONFORMANCE_TRANSPORT",
    "CONVEYOR_CONFORMANCE_DRIVER",
    "CONVEYOR_CONFORMANCE_VERSION",
    "CONVEYOR_CONFORMANCE_CAPACITY",
    "CONVEYOR_CONFORMANCE_DRAIN_MS",
];
/// How long tasks may go on after SIGTERM unless the config says so, in milliseconds.
const DRAIN: u64 = 30_000;

/// Reads a config for a profile, `contract` or `driver`.
///
/// # Errors
/// All that is wrong with it.
pub(crate) fn read(name: &str, text: &str, profile: &str) -> Result<v1::Config, Vec<CaseError>> {
    cases::one(name, text, "Config", |config| flaws(config, profile))
}

/// What a finished driver declares.
pub(crate) fn declared(config: &v1::Config) -> Vec<String> {
    let mut declared = match config.features.is_empty() {
        true => USUAL.iter().map(|&feature| feature.to_owned()).collect(),
        false => config.features.clone(),
    };
    // An action that saves them says so by itself.
    let saves = config.actions.values().any(|samples| samples.checkpoints);
    declared.extend(saves.then(|| "checkpoints".to_owned()));
    // So does one whose good sample has a secret.
    let mut good = config.actions.values().flat_map(|samples| &samples.good);
    let has_secrets = good.any(|sample| !sample.secrets.is_empty());
    declared.extend(has_secrets.then(|| "secrets".to_owned()));
    declared.sort();
    declared.dedup();
    declared
}

/// How long its tasks may go on after SIGTERM, in milliseconds.
pub(crate) fn drain_ms(config: &v1::Config) -> u64 {
    match config.drain_ms {
        0 => DRAIN,
        drain => drain,
    }
}

/// The actions in the order of their names.
pub(crate) fn actions(config: &v1::Config) -> BTreeMap<&str, &v1::Samples> {
    let actions = config.actions.iter();
    actions
        .map(|(name, samples)| (name.as_str(), samples))
        .collect()
}

fn flaws(config: &v1::Config, profile: &str) -> Flaws {
    let mut flaws = Flaws::new();
    for (at, feature) in config.features.iter().enumerate() {
        if !FEATURES.contains(&feature.as_str()) {
            flaws.push((format!("/features/{at}"), none_of(feature, FEATURES)));
        }
    }
    flaws.extend(twice("/features", &config.features));
    flaws.extend(time("/start_ms", config.start_ms));
    flaws.extend(time("/drain_ms", config.drain_ms));
    flaws.extend(of_environment(config, profile));
    if profile != DRIVER {
        let way = |feature: &String| WAYS.contains(&feature.as_str());
        if !config.features.is_empty() && !config.features.iter().any(way) {
            let why = format!(
                "names none of {}: a driver talks in one of them at least",
                WAYS.join(", ")
            );
            flaws.push(("/features".to_owned(), why));
        }
        for (is, field) in [
            (!config.actions.is_empty(), "actions"),
            (!config.driver.is_empty(), "driver"),
            (config.drain_ms > 0, "drain_ms"),
        ] {
            if is {
                let why =
                    format!("`{field}` is of the profile `driver`: run with `--profile driver`");
                flaws.push((format!("/{field}"), why));
            }
        }
        return flaws;
    }
    let ways = WAYS
        .iter()
        .filter(|way| declared(config).iter().any(|one| one == **way));
    if ways.count() != 1 {
        let why = format!(
            "a finished driver talks in one way: say one of {}",
            WAYS.join(", ")
        );
        flaws.push(("/features".to_owned(), why));
    }
    if config.actions.is_empty() {
        let why = "names no action in `actions`: profile `driver` runs their samples";
        flaws.push((String::new(), why.to_owned()));
    }
    let mut words: BTreeMap<String, &str> = BTreeMap::new();
    for (name, samples) in actions(config) {
        let at = format!("/actions/{}", name.replace('~', "~0").replace('/', "~1"));
        if let Some(other) = words.insert(samples::word(name), name) {
            let why = format!("`{name}` and `{other}` are the same word in names of runs");
            flaws.push((at.clone(), why));
        }
        flaws.extend(of_action(&at, samples));
    }
    flaws
}

/// Variables that the driver would not find as they are said.
fn of_environment(config: &v1::Config, profile: &str) -> Flaws {
    let mut flaws = Flaws::new();
    let names: BTreeSet<&str> = config.environment.keys().map(String::as_str).collect();
    for name in names {
        let set = SET.contains(&name) || profile != DRIVER && SET_OF_CONTRACT.contains(&name);
        let why = match name {
            "" => "the name of a variable is empty".to_owned(),
            _ if name.contains(['=', '\0']) => format!(
                "`{}` is no name of a variable: it has no `=` and no NUL",
                name.escape_debug()
            ),
            _ if set => {
                format!("`{name}` is set by the suite, whatever the config says: leave it out")
            }
            _ => continue,
        };
        flaws.push((at("/environment", name), why));
    }
    flaws
}

fn of_action(at: &str, samples: &v1::Samples) -> Flaws {
    let mut flaws = Flaws::new();
    if samples.good.is_empty() {
        flaws.push((at.to_owned(), "has no `good` sample".to_owned()));
    }
    for (index, good) in samples.good.iter().enumerate() {
        let at = format!("{at}/good/{index}");
        flaws.extend(of_sample(&at, good));
        flaws.extend(only_bad(&at, good));
        if !good.code.is_empty() && matches!(good.state.as_str(), "" | "succeeded") {
            let why = "is of a sample that fails, and this one ends `succeeded`";
            flaws.push((format!("{at}/code"), why.to_owned()));
        }
    }
    for (index, bad) in samples.bad.iter().enumerate() {
        let at = format!("{at}/bad/{index}");
        flaws.extend(of_sample(&at, bad));
        let says = bad.permanent || says_end(bad);
        if bad.by_schema && says {
            let why = "says `by_schema`: the run is refused, so that nothing else becomes of it";
            flaws.push((at, why.to_owned()));
        }
    }
    match &samples.slow {
        Some(slow) => {
            let at = format!("{at}/slow");
            flaws.extend(of_sample(&at, slow));
            flaws.extend(only_bad(&at, slow));
            if says_end(slow) {
                let why =
                    "is stopped before its end: leave out `state`, `outputs`, `code`, `lines`";
                flaws.push((at, why.to_owned()));
            }
        }
        None if samples.checkpoints => {
            let why = "says `checkpoints`, and has no `slow` sample that saves one";
            flaws.push((at.to_owned(), why.to_owned()));
        }
        None => {}
    }
    flaws
}

/// Whether it says how an attempt ends.
fn says_end(sample: &v1::Sample) -> bool {
    let texts = [&sample.state, &sample.code];
    let values = [&sample.outputs, &sample.lines];
    texts.iter().any(|text| !text.is_empty()) || values.iter().any(|value| !value.is_empty())
}

/// What is said of bad samples alone.
fn only_bad(at: &str, sample: &v1::Sample) -> Flaws {
    let said = [
        (sample.by_schema, "by_schema"),
        (sample.permanent, "permanent"),
    ];
    let said = said.into_iter().filter(|(is, _)| *is);
    let flaw = |(_, field)| {
        let why = format!("`{field}` is of `bad` samples alone");
        (format!("{at}/{field}"), why)
    };
    said.map(flaw).collect()
}

fn of_sample(at: &str, sample: &v1::Sample) -> Flaws {
    let mut flaws = Flaws::new();
    if !inline(&sample.with).is_object() {
        let why = "is no object: `with` of a step is one";
        flaws.push((format!("{at}/with"), why.to_owned()));
    }
    flaws.extend(word(&format!("{at}/state"), &sample.state, STATES));
    for (field, value) in [("outputs", &sample.outputs), ("lines", &sample.lines)] {
        if let Err(mismatch) = like::check(&inline(value)) {
            let at = format!("{at}/{field}{}", mismatch.pointer);
            flaws.push((at, mismatch.sentence));
        }
    }
    if !sample.lines.is_empty() {
        let wrong = lines_flaws(&inline(&sample.lines)).into_iter();
        flaws.extend(wrong.map(|(below, why)| (format!("{at}/lines{below}"), why)));
    }
    if !inline(&sample.outputs).is_object() {
        let why = "is no object: outputs of a task are one";
        flaws.push((format!("{at}/outputs"), why.to_owned()));
    }
    for (name, value) in &sample.secrets {
        if value.is_empty() {
            let why = "is empty: what is to be masked has letters";
            let name = name.replace('~', "~0").replace('/', "~1");
            flaws.push((format!("{at}/secrets/{name}"), why.to_owned()));
        }
    }
    flaws
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str, profile: &str) -> Vec<String> {
        let read = read("c.yaml", text, profile);
        let errors = read.expect_err("it is refused").into_iter();
        errors.map(|error| error.to_string()).collect()
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let good = "actions:\n  run:\n    good: [{with: {}}]\n";
        for (text, told) in [
            ("features: [", "c.yaml:1:"),
            ("driver: a\n", "c.yaml:1:1: names no action"),
            ("colour: red\n", "c.yaml:1:9: unknown field `colour`"),
            ("actions: {run: {}}\n", "c.yaml:1:16: has no `good` sample"),
            (
                &format!("{good}features: [stream, colour]\n"),
                "c.yaml:4:20: `colour` is none of",
            ),
            (
                &format!("{good}features: [stream, rest]\n"),
                "c.yaml:4:11: a finished driver talks in one way",
            ),
            (
                &format!("{good}    bad: [{{with: {{}}, state: gone}}]\n"),
                "c.yaml:4:29: `gone` is none of",
            ),
            (
                &format!("{good}features: [stream, stream]\n"),
                "c.yaml:4:20: `stream` stands there twice",
            ),
            (
                &format!("{good}start_ms: 999999\n"),
                "c.yaml:4:11: 999999 ms are more than anything may take: 120000 ms",
            ),
            (
                &format!("{good}    bad: [{{with: {{}}, state: faild}}]\n"),
                "c.yaml:4:29: `faild` is none of succeeded, failed, errored, timed_out, cancelled; near to it: `failed`",
            ),
            (
                &format!("{good}    bad: [{{with: {{}}, lines: [3]}}]\n"),
                "c.yaml:4:30: 3 is no text, and no test of one",
            ),
            (
                &format!("{good}    bad: [{{with: {{}}, lines: {{$matches: '('}}}}]\n"),
                "c.yaml:4:40: `(` is no regular expression: unclosed group",
            ),
            (
                &format!("{good}    bad: [{{with: {{}}, outputs: 3}}]\n"),
                "c.yaml:4:31: is no object: outputs",
            ),
            (
                "actions: {run: {good: [{with: {}, code: no}]}}\n",
                "c.yaml:1:41: is of a sample that fails",
            ),
            (
                &format!("{good}    bad: [{{with: 3}}]\n"),
                "c.yaml:4:18: is no object",
            ),
            (
                &format!("{good}    bad: [{{with: {{}}, by_schema: true, code: no}}]\n"),
                "c.yaml:4:11: says `by_schema`",
            ),
            (
                &format!("{good}    slow: {{with: {{}}, permanent: true}}\n"),
                "c.yaml:4:33: `permanent` is of `bad` samples alone",
            ),
            (
                &format!("{good}    slow: {{with: {{}}, code: no}}\n"),
                "c.yaml:4:11: is stopped before its end",
            ),
            (
                &format!("{good}    checkpoints: true\n"),
                "c.yaml:3:5: says `checkpoints`",
            ),
            (
                &format!("{good}  RUN:\n    good: [{{with: {{}}}}]\n"),
                "c.yaml:3:5: `run` and `RUN` are the same word",
            ),
            (
                "actions: {run: {good: [{with: {}, outputs: {$odd: 1}}]}}\n",
                "c.yaml:1:51: there is no test `$odd`",
            ),
        ] {
            let errors = refused(text, DRIVER);
            let found = errors.iter().any(|error| error.starts_with(told));
            assert!(found, "{told}: {errors:?}");
        }
        let errors = refused(good, "contract");
        assert!(errors[0].contains("of the profile `driver`"), "{errors:?}");
    }

    #[test]
    fn features_without_a_way_to_talk_are_told_before_anything_is_run() {
        let errors = refused("features: [logs]\n", "contract");
        let told = "c.yaml:1:11: names none of stream, unary, rest: a driver talks in one of them at least (at /features)";
        assert_eq!(errors, [told]);
        for good in ["features: []", "features: [logs, unary]"] {
            let read = read("c.yaml", good, "contract");
            assert!(read.is_ok(), "{good}: {read:?}");
        }
    }

    #[test]
    fn variables_that_the_suite_sets_or_nobody_can_are_refused() {
        let good = "actions: {run: {good: [{with: {}}]}}\n";
        for profile in ["contract", DRIVER] {
            let base = match profile == DRIVER {
                true => good,
                false => "",
            };
            let line = base.lines().count() + 1;
            for (name, why) in [
                ("CONVEYOR_URL", "`CONVEYOR_URL` is set by the suite"),
                ("CONVEYOR_TOKEN", "`CONVEYOR_TOKEN` is set by the suite"),
                ("TMPDIR", "`TMPDIR` is set by the suite"),
                ("\"A=B\"", "`A=B` is no name of a variable"),
                ("\"\"", "the name of a variable is empty"),
            ] {
                let errors = refused(&format!("{base}environment:\n  {name}: x\n"), profile);
                let [error] = &errors[..] else {
                    panic!("{name}: {errors:?}");
                };
                let place = format!("c.yaml:{}:", line + 1);
                assert!(error.starts_with(&place), "{place}: {error}");
                assert!(error.contains(why), "{why}: {error}");
            }
        }
        // A finished driver is not told of these.
        let own = "environment: {CONVEYOR_CONFORMANCE_CAPACITY: '4', CONVEYOR_LOG_LEVEL: info}\n";
        let errors = refused(own, "contract");
        assert!(
            errors[0].contains("`CONVEYOR_CONFORMANCE_CAPACITY` is set"),
            "{errors:?}"
        );
        assert_eq!(errors.len(), 1, "{errors:?}");
        let read = read("c.yaml", &format!("{good}{own}"), DRIVER);
        assert!(read.is_ok(), "{read:?}");
    }

    #[test]
    fn a_finished_driver_declares_what_sdks_give_unless_its_config_says_otherwise() {
        let config = read("c.yaml", "actions: {run: {good: [{}]}}", DRIVER);
        let config = config.expect("a config");
        assert!(declared(&config).contains(&"drain".to_owned()));
        assert_eq!(drain_ms(&config), 30_000);
        let config = v1::Config {
            features: vec!["rest".to_owned()],
            drain_ms: 5,
            ..config
        };
        assert_eq!(declared(&config), ["rest"]);
        assert_eq!(drain_ms(&config), 5);
    }
}
