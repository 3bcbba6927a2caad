//! The cases of the profiles `contract` and `driver`, and what is wrong with one that somebody wrote.
//!
//! | module | what it is for |
//! | --- | --- |
//! | `step` | what is wrong with a step by itself |
//! | `pattern` | messages that a step is about, and what they can be like |
//! | `tasks` | runs: their programs, samples, and the pipelines that come of them |
//! | `script` | steps that need others before them |

mod pattern;
mod script;
mod step;
mod tasks;

pub(crate) use step::lines_flaws;

use crate::cases::{self, CaseError, Citing, Flaws, time, twice, word};
use crate::config::FEATURES;
use crate::interfere::{self, inline};
use crate::runner::faults;
use crate::samples::words;
use crate::site::Transport;
use crate::v1;
use std::collections::BTreeSet;

/// The case that is the first meeting with a driver, which the suite performs by itself (`runner/probe.rs`).
pub(crate) const MEETING: &str = "handshake/features/as-declared";

/// How many tasks a driver may hold at once: neighbours are started for no other number.
const CONCURRENCY: &[u32] = &[1, 64];

/// The cases of a profile that are within the program.
///
/// # Errors
/// All that is wrong with them.
pub(crate) fn embedded(profile: &str) -> Result<Vec<v1::Case>, Vec<CaseError>> {
    read(cases::files(profile))
}

/// The cases of files.
///
/// # Errors
/// All that is wrong with them.
pub(crate) fn read(files: &[(&str, &str)]) -> Result<Vec<v1::Case>, Vec<CaseError>> {
    cases::all(files, "CaseFile", |file: v1::CaseFile| file.cases)
}

impl Citing for v1::Case {
    fn name(&self) -> &str {
        &self.name
    }

    fn purpose(&self) -> &str {
        &self.purpose
    }

    fn requires(&self) -> &[String] {
        &self.requires
    }

    fn flaws(&self) -> Flaws {
        let mut flaws = time("/time_limit_ms", self.time_limit_ms);
        for (at, feature) in self.features.iter().enumerate() {
            flaws.extend(of_list(&format!("/features/{at}"), feature, FEATURES));
        }
        flaws.extend(twice("/features", &self.features));
        flaws.extend(of_axes(&self.axes.clone().unwrap_or_default()));
        flaws.extend(of_setting(&self.setting.clone().unwrap_or_default()));
        match (self.name == MEETING, self.script.is_empty()) {
            (false, true) => flaws.push((String::new(), "has no `script`".to_owned())),
            (true, false) => {
                let why =
                    "is of the first meeting, which the suite performs by itself: leave it out";
                flaws.push(("/script".to_owned(), why.to_owned()));
            }
            _ => {}
        }
        let mut each: Vec<&str> = words(self);
        each.retain(|word| word.starts_with("each-"));
        each.dedup();
        if let [first, other, ..] = each[..] {
            let why =
                format!("asks for `{first}` and `{other}`: a case is run with one of these words");
            flaws.push(("/script".to_owned(), why));
        }
        for (at, step) in self.script.iter().enumerate() {
            for (below, why) in step::flaws(step) {
                flaws.push((format!("/script/{at}{below}"), why));
            }
        }
        flaws.extend(script::flaws(self));
        // What is wrong by itself is told of a step first: whether the rest can be is asked once it is mended.
        let told: BTreeSet<usize> = flaws.iter().filter_map(|(at, _)| step_at(at)).collect();
        let never = interfere::flaws(self).into_iter();
        flaws.extend(never.filter(|(at, _)| step_at(at).is_none_or(|step| !told.contains(&step))));
        flaws
    }
}

/// Which step of the script a pointer is within.
fn step_at(pointer: &str) -> Option<usize> {
    let below = pointer.strip_prefix("/script/")?;
    below.split('/').next()?.parse().ok()
}

fn of_axes(axes: &v1::Axes) -> Flaws {
    let mut flaws = Flaws::new();
    for (at, transport) in axes.transports.iter().enumerate() {
        if Transport::parse(transport).is_none() {
            let near = cases::near(transport, &Transport::ALL.map(Transport::name));
            let why = format!("`{transport}` is none of {}{near}", Transport::names());
            flaws.push((format!("/axes/transports/{at}"), why));
        }
    }
    for (at, count) in axes.concurrency.iter().enumerate() {
        if !CONCURRENCY.contains(count) {
            let why = format!("{count} is none of 1, 64");
            flaws.push((format!("/axes/concurrency/{at}"), why));
        }
    }
    for (at, fault) in axes.faults.iter().enumerate() {
        if !faults::is_fault(fault) {
            let near = cases::near(fault, faults::FAULTS);
            let why = format!("`{fault}` is none of {}{near}", faults::names());
            flaws.push((format!("/axes/faults/{at}"), why));
        }
    }
    flaws.extend(twice("/axes/transports", &axes.transports));
    flaws.extend(twice("/axes/concurrency", &axes.concurrency));
    flaws.extend(twice("/axes/faults", &axes.faults));
    flaws
}

/// A word of a list: an empty one is none either.
fn of_list(place: &str, found: &str, may: &[&str]) -> Flaws {
    match found {
        "" => vec![(place.to_owned(), cases::none_of(found, may))],
        found => word(place, found, may),
    }
}

fn of_setting(setting: &v1::Setting) -> Flaws {
    let mut flaws = time("/setting/drain_ms", setting.drain_ms);
    if !setting.welcome.is_empty() {
        let shape = pattern::of_kind("welcome", cases::Form::Change);
        let wrong = shape.flaws(&inline(&setting.welcome)).into_iter();
        flaws.extend(wrong.map(|(at, why)| (format!("/setting/welcome{at}"), why)));
    }
    flaws
}

#[cfg(test)]
mod tests;
