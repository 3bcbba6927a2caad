//! What a case is for, what it is run with, and what it looks at: for whoever writes a driver and sees it fail.
//!
//! | module | what it is for |
//! | --- | --- |
//! | `besides` | what is looked at in all that is said, by the rules that a case cites |
//! | `values` | what the values of axes mean |
//! | `page` | all of it as a page of 80 columns |

mod besides;
mod page;
mod values;

use crate::contract::MEETING;
use crate::names::{Axis, RunName};
use crate::rules;
use crate::runner::{self, LIMIT};
use crate::samples;
use crate::site::Transport;
use crate::v1;
use serde::Serialize;
use std::collections::BTreeSet;

/// How many tasks a driver takes at once unless a case says so.
pub(crate) const CAPACITY: u32 = 4;
/// How long tasks may go on after SIGTERM unless a case says so, in milliseconds.
pub(crate) const DRAIN: u64 = 2_000;

/// A case, told. `Display` is a page of 80 columns; as JSON it has the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Description {
    /// The case, or the one run of it that was asked for.
    pub name: String,
    /// What it is for.
    pub purpose: String,
    /// Features that a driver declares who is tested so; none for any driver.
    pub features: Vec<String>,
    /// What it is run with.
    pub axes: Vec<AxisTold>,
    /// How many runs there are with all values together; 1 for a run.
    pub runs: usize,
    /// When it is *not declared*, as a part of a sentence; empty where it never is.
    pub not_declared: String,
    /// How long it may take, in milliseconds.
    pub time_limit_ms: u64,
    /// What is arranged before the driver is started, as sentences.
    pub arranged: Vec<String>,
    /// The rules that it cites.
    pub requires: Vec<Cited>,
    /// What is done and looked for, a sentence each; failures name them by their numbers, from 1.
    pub procedure: Vec<String>,
}

/// An axis, and its values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AxisTold {
    /// `transport`.
    pub axis: String,
    /// Its values, and what each means.
    pub values: Vec<ValueTold>,
}

/// A value of an axis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ValueTold {
    /// `rest`.
    pub value: String,
    /// What it means.
    pub means: String,
}

/// A rule that a case cites.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cited {
    /// `R12`.
    pub number: String,
    /// What it says: of the driver contract, the semantics or the protocol.
    pub says: String,
    /// What is looked at of it in all that is said, besides what the case does.
    pub besides: Vec<String>,
}

/// A case of the profile `contract` or `driver` as prose; of a run, with the meaning of its values.
#[must_use]
pub fn describe(case: &v1::Case, run: Option<&RunName>) -> Description {
    let run = run.filter(|run| run.values().next().is_some());
    let meeting = case.name == MEETING;
    let axes = match run {
        Some(run) => run
            .values()
            .map(|(axis, value)| told(axis, [value.to_owned()]))
            .collect(),
        // The suite performs it by itself, once and whoever comes.
        None if meeting => Vec::new(),
        None => all_axes(case),
    };
    let runs = axes
        .iter()
        .map(|axis: &AxisTold| axis.values.len())
        .product();
    Description {
        name: run.map_or_else(|| case.name.clone(), ToString::to_string),
        purpose: case.purpose.clone(),
        features: case.features.clone(),
        runs,
        not_declared: match meeting {
            true => String::new(),
            false => not_declared(case, run),
        },
        time_limit_ms: limit(case.time_limit_ms),
        arranged: match meeting {
            true => Vec::new(),
            false => arranged(case, run),
        },
        requires: case.requires.iter().map(|rule| cited(rule)).collect(),
        procedure: case.script.iter().map(crate::script::sentence).collect(),
        axes,
    }
}

/// A case of the profile `engine` as prose.
#[must_use]
pub fn describe_engine(case: &v1::EngineCase) -> Description {
    Description {
        name: case.name.clone(),
        purpose: case.purpose.clone(),
        features: Vec::new(),
        axes: Vec::new(),
        runs: 1,
        not_declared: String::new(),
        time_limit_ms: limit(case.time_limit_ms),
        arranged: crate::engine::told::arranged(case),
        requires: case
            .requires
            .iter()
            .map(|rule| Cited {
                // Laws are of what drivers say, and here the suite plays them.
                besides: Vec::new(),
                ..cited(rule)
            })
            .collect(),
        procedure: case
            .steps
            .iter()
            .map(crate::engine::told::sentence)
            .collect(),
    }
}

/// How long a case may take that says this.
fn limit(said: u64) -> u64 {
    match said {
        0 => LIMIT,
        limit => limit,
    }
}

fn cited(rule: &str) -> Cited {
    Cited {
        number: rule.to_owned(),
        says: rules::sentence(rule).unwrap_or_default(),
        besides: besides::of(rule),
    }
}

fn told(axis: Axis, values: impl IntoIterator<Item = String>) -> AxisTold {
    let value = |value: String| ValueTold {
        means: values::meaning(axis, &value),
        value,
    };
    AxisTold {
        axis: axis.to_string(),
        values: values.into_iter().map(value).collect(),
    }
}

/// The axes of a case with all of their values. That of samples has those of a config, and is not known here.
fn all_axes(case: &v1::Case) -> Vec<AxisTold> {
    let said = case.axes.clone().unwrap_or_default();
    let transports = runner::transports(case).into_iter();
    let transports = transports.map(|transport| transport.name().to_owned());
    let mut axes = vec![told(Axis::Transport, transports)];
    if said.concurrency.len() > 1 {
        let counts = said.concurrency.iter().map(u32::to_string);
        axes.push(told(Axis::Concurrency, counts));
    }
    if !said.faults.is_empty() {
        let none = std::iter::once("none".to_owned());
        axes.push(told(Axis::Fault, none.chain(said.faults)));
    }
    axes
}

/// When the case is not for a driver.
fn not_declared(case: &v1::Case, run: Option<&RunName>) -> String {
    let value = |axis| run.and_then(|run| run.value(axis));
    let over = |transport: &Transport| {
        value(Axis::Transport).is_none_or(|named| named == transport.name())
    };
    let mut transports = runner::transports(case);
    transports.retain(over);
    let way = runner::no_way(&transports, |_| false);
    let mut all = case.features.clone();
    let several = value(Axis::Concurrency).is_some_and(|count| count != "1");
    for feature in several
        .then(|| "concurrency".to_owned())
        .into_iter()
        .chain(way.features)
    {
        if !all.contains(&feature) {
            all.push(feature);
        }
    }
    let code = |words: &[String]| format!("`{}`", words.join("`, `"));
    let mut when = Vec::new();
    match all.len() {
        0 => {}
        1 => when.push(format!("does not declare {}", code(&all))),
        _ => when.push(format!("does not declare each of {}", code(&all))),
    }
    // Over anything: whoever talks at all is tested so.
    let anything = transports == Transport::USUAL;
    if !way.one_of.is_empty() && !anything {
        when.push(format!("declares none of {}", code(&way.one_of)));
    }
    let words = samples::words(case);
    let words: BTreeSet<String> = words.into_iter().map(str::to_owned).collect();
    if !words.is_empty() {
        let words: Vec<String> = words.into_iter().collect();
        when.push(format!("has no sample in its config for {}", code(&words)));
    }
    match when.is_empty() {
        true => String::new(),
        false => format!("for a driver that {}", when.join(", or ")),
    }
}

/// What is arranged before the driver is started.
fn arranged(case: &v1::Case, run: Option<&RunName>) -> Vec<String> {
    let setting = case.setting.clone().unwrap_or_default();
    let neighbours = run
        .and_then(|run| run.value(Axis::Concurrency))
        .and_then(|count| count.parse::<u32>().ok())
        .map_or(0, |count| count.saturating_sub(1));
    let capacity = match setting.capacity {
        0 => CAPACITY,
        capacity => capacity,
    };
    let mut arranged = Vec::new();
    // A finished driver takes as many as it does: nobody tells it.
    if samples::words(case).is_empty() {
        let count = capacity + neighbours;
        arranged.push(format!("The driver is to take {count} tasks at once."));
    }
    if setting.drain_ms > 0 {
        let ms = setting.drain_ms;
        arranged.push(format!("Told to stop, its tasks may go on for {ms} ms."));
    }
    if !setting.welcome.is_empty() {
        let changed = crate::interfere::inline(&setting.welcome);
        arranged.push(format!("The engine's `welcome` has {changed}."));
    }
    if !setting.secrets.is_empty() {
        let mut names: Vec<&str> = setting.secrets.keys().map(String::as_str).collect();
        names.sort_unstable();
        arranged.push(format!(
            "Steps may name the secrets `{}`.",
            names.join("`, `")
        ));
    }
    if setting.access {
        arranged.push("Who comes has to show an access token.".to_owned());
    }
    if setting.unstarted {
        arranged.push("The driver is not started before the first step.".to_owned());
    }
    arranged
}

#[cfg(test)]
mod tests;
