//! What a driver says in its hello that it has, and what its author says of it.

use super::Options;
use crate::config::{self, DRIVER, FEATURES};
use crate::result::Finding;
use crate::wire::{Entry, From};

/// The capabilities of a hello: sorted, each once.
pub(super) fn capabilities(hello: &serde_json::Value) -> Vec<String> {
    let words = hello["capabilities"].as_array().into_iter().flatten();
    let words = words.filter_map(|word| word.as_str().map(str::to_owned));
    sorted(words.collect())
}

fn sorted(mut words: Vec<String>) -> Vec<String> {
    words.sort();
    words.dedup();
    words
}

/// What a driver declares, by its config, else by its first hello.
pub(super) fn declared(options: &Options, advertised: &[String]) -> Vec<String> {
    if options.profile == DRIVER {
        return config::declared(&options.config);
    }
    match options.config.features.is_empty() {
        true => advertised.to_vec(),
        false => sorted(options.config.features.clone()),
    }
}

/// What is wrong with what the first hello advertises; `None` where it is as declared.
pub(super) fn flaw(options: &Options, advertised: &[String]) -> Option<String> {
    match options.profile == DRIVER {
        true => of_finished(options, advertised),
        false => of_runtime(options, advertised),
    }
}

fn of_runtime(options: &Options, advertised: &[String]) -> Option<String> {
    let known = |word: &&String| FEATURES.contains(&word.as_str());
    let unknown: Vec<&str> = advertised
        .iter()
        .filter(|word| !known(word))
        .map(String::as_str)
        .collect();
    // A slip would have its cases left out.
    if !unknown.is_empty() {
        return Some(format!(
            "the hello advertises {}; features of the suite are {}",
            unknown.join(", "),
            FEATURES.join(", ")
        ));
    }
    let declared = declared(options, advertised);
    (declared != advertised).then(|| two("the config declares", &declared, advertised))
}

/// A finished driver may have names of its own besides, and may name nothing: then its config alone says what it has.
/// What nobody can see from outside before a task is lost is to be named.
fn of_finished(options: &Options, advertised: &[String]) -> Option<String> {
    let named = advertised.iter();
    let named: Vec<String> = named
        .filter(|word| FEATURES.contains(&word.as_str()))
        .cloned()
        .collect();
    let declared = declared(options, advertised);
    if named.is_empty() {
        let saves = declared.iter().any(|word| word == "checkpoints");
        return saves.then(|| {
            "the config says that tasks save checkpoints; the hello does not advertise `checkpoints`: name it in `capabilities`, with all else that is declared"
                .to_owned()
        });
    }
    let by = match options.config.features.is_empty() {
        true => "the config has no `features`, which declares",
        false => "the config declares",
    };
    (declared != named).then(|| two(by, &declared, &named))
}

/// Two lists, and what is in one of them alone.
fn two(by: &str, declared: &[String], advertised: &[String]) -> String {
    let mut sentence = format!(
        "{by} {}; the hello advertises {}",
        list(declared),
        list(advertised)
    );
    for (which, these, others) in [
        ("only the hello has", advertised, declared),
        ("only the config has", declared, advertised),
    ] {
        let alone: Vec<String> = these
            .iter()
            .filter(|word| !others.contains(word))
            .cloned()
            .collect();
        if !alone.is_empty() {
            sentence.push_str(&format!("; {which} {}", list(&alone)));
        }
    }
    sentence
}

fn list(words: &[String]) -> String {
    match words.is_empty() {
        true => "nothing".to_owned(),
        false => words.join(", "),
    }
}

/// What is wrong with the hellos of a run: each advertises what that of the first meeting did, however the driver is
/// started and whatever way it talks.
pub(super) fn otherwise(entries: &[Entry], first: &[String]) -> Option<Finding> {
    let hellos = entries
        .iter()
        .filter(|entry| entry.from == From::Driver && entry.kind == "hello");
    let mut others = hellos.map(|hello| capabilities(&hello.body));
    let other = others.find(|advertised| advertised != first)?;
    Some(Finding {
        requirement: None,
        sentence: format!(
            "a hello advertises {}; in the first meeting it was {}, which is what is tested",
            list(&other),
            list(first)
        ),
        place: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Breadth;

    fn options(profile: &str, config: &str) -> Options {
        let config = match config {
            "" => crate::v1::Config::default(),
            text => config::read("c.yaml", text, profile).expect("a config"),
        };
        Options {
            config,
            breadth: Breadth::One,
            parallel: 1,
            profile: profile.to_owned(),
            ..Options::default()
        }
    }

    #[test]
    fn what_is_advertised_and_not_declared_is_told_by_name_and_the_other_way_round() {
        const GOOD: &str = "actions: {run: {good: [{}]}}";
        const SAVES: &str = "actions: {run: {good: [{}], slow: {}, checkpoints: true}}";
        let with = |features: &str, rest: &str| format!("features: [{features}]\n{rest}");
        for (profile, config, advertised, told) in [
            ("contract", String::new(), "logs stream", ""),
            ("contract", with("stream, logs", ""), "logs stream", ""),
            (
                "contract",
                with("stream, rest", ""),
                "logs stream",
                "the config declares rest, stream; the hello advertises logs, stream; only the hello has logs; only the config has rest",
            ),
            (
                "contract",
                with("stream", ""),
                "",
                "the hello advertises nothing; only the config has stream",
            ),
            (
                "contract",
                String::new(),
                "steam",
                "the hello advertises steam; features of the suite are stream,",
            ),
            ("driver", GOOD.to_owned(), "", ""),
            ("driver", GOOD.to_owned(), "gpu", ""),
            (
                "driver",
                GOOD.to_owned(),
                "cancel concurrency drain gpu logs stream tls unix",
                "",
            ),
            (
                "driver",
                GOOD.to_owned(),
                "cancel concurrency detached drain logs stream tls unix",
                "the config has no `features`, which declares cancel, concurrency, drain, logs, stream, tls, unix; the hello advertises cancel, concurrency, detached, drain, logs, stream, tls, unix; only the hello has detached",
            ),
            (
                "driver",
                with("rest", GOOD),
                "logs rest",
                "only the hello has logs",
            ),
            (
                "driver",
                with("rest, logs", GOOD),
                "rest",
                "only the config has logs",
            ),
            (
                "driver",
                SAVES.to_owned(),
                "",
                "the hello does not advertise `checkpoints`",
            ),
            (
                "driver",
                with("rest", SAVES),
                "rest",
                "only the config has checkpoints",
            ),
            ("driver", with("rest", SAVES), "checkpoints rest", ""),
        ] {
            let advertised: Vec<String> =
                advertised.split_whitespace().map(str::to_owned).collect();
            let flaw = flaw(&options(profile, &config), &advertised).unwrap_or_default();
            match told.is_empty() {
                true => assert_eq!(flaw, "", "{profile} {config}"),
                false => assert!(flaw.contains(told), "{profile} {config}: {flaw}"),
            }
        }
    }
}
