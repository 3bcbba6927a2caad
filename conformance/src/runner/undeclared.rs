//! What was chosen, and is not for this driver.

use super::endpoint::{self, STARTED};
use super::faults::CLOCK_JUMP;
use super::plan::CLOCK;
use super::{Options, Plan, names, no_way, outcome, transports};
use crate::config::DRIVER;
use crate::contract::MEETING;
use crate::names::{Axis, RunName};
use crate::result::{Missing, Outcome, Verdict};
use crate::site::Transport;
use crate::v1;
use std::collections::{BTreeMap, BTreeSet};

/// What a run needs whose fault puts the engine's clock forward.
const FORWARD: &str = "an engine whose clock can be put forward (`--backend embedded`)";

/// A run, or a case, that needs what there is not.
pub(super) fn undeclared(
    options: &Options,
    case: &v1::Case,
    run: RunName,
    missing: Missing,
) -> Outcome {
    outcome(options, case, run, Verdict::NotDeclared { missing })
}

/// What a case needs besides samples, and is not there.
pub(super) fn missing(
    options: &Options,
    case: &v1::Case,
    declared: &[String],
    has: impl Fn(&str) -> bool,
) -> Missing {
    let declares = |feature: &str| declared.iter().any(|one| one == feature);
    let transports = transports(case);
    let can = |has: &dyn Fn(&str) -> bool| {
        let mut ways = transports.iter();
        ways.any(|transport| transport.features().iter().all(|feature| has(feature)))
    };
    // Who declares a way and does not come by it was started by somebody else.
    let mut missing = match can(&declares) {
        true => Missing::default(),
        false => no_way(&transports, declares),
    };
    let arranged = options.listen.is_some() && endpoint::is_arranged(case);
    if arranged || (!can(&has) && can(&declares)) {
        missing.besides.push(STARTED.to_owned());
    }
    for feature in case.features.iter().filter(|feature| !has(feature)) {
        lacks(&mut missing, feature, declared);
    }
    missing
}

/// Adds a feature that is not there: who declares it, and was started by somebody else, cannot be tested for it.
fn lacks(missing: &mut Missing, feature: &str, declared: &[String]) {
    let (among, what) = match declared.iter().any(|one| one == feature) {
        true => (&mut missing.besides, STARTED),
        false => (&mut missing.features, feature),
    };
    if !among.iter().any(|one| one == what) {
        among.push(what.to_owned());
    }
}

/// Runs of a case that were chosen by their own values, and that are not among those that there are for the driver: one for
/// each set of what they need. `all` are those that any driver could have.
pub(super) fn absent(
    options: &Options,
    case: &v1::Case,
    all: Vec<RunName>,
    there: &[RunName],
    declared: &[String],
    has: impl Fn(&str) -> bool,
) -> Vec<Outcome> {
    let mut absent: BTreeMap<Missing, RunName> = BTreeMap::new();
    let named = |run: &RunName| options.chosen(run) && options.named(run);
    for run in all {
        if !named(&run) || there.contains(&run) {
            continue;
        }
        let mut missing = Missing::default();
        let transport = run.value(Axis::Transport).and_then(Transport::parse);
        let features = transport.map(Transport::features).unwrap_or_default();
        for feature in features.into_iter().filter(|feature| !has(feature)) {
            lacks(&mut missing, feature, declared);
        }
        let several = run
            .value(Axis::Concurrency)
            .is_some_and(|count| count != "1");
        if several && !has("concurrency") {
            lacks(&mut missing, "concurrency", declared);
        }
        if run.value(Axis::Fault) == Some(CLOCK_JUMP) && !has(CLOCK) {
            missing.besides.push(FORWARD.to_owned());
        }
        absent.entry(missing).or_insert(run);
    }
    let absent = absent
        .into_iter()
        .filter(|(missing, _)| !missing.is_empty());
    absent
        .map(|(missing, run)| undeclared(options, case, run, missing))
        .collect()
}

/// Why nothing is run of what was chosen; `None` where something is, or where nothing else than the first meeting was
/// chosen.
pub(super) fn nothing(options: &Options, plan: &Plan, advertised: &[String]) -> Option<String> {
    if !plan.runs.is_empty() {
        return None;
    }
    let all = names(&options.cases, &options.config).unwrap_or_default();
    let others = |run: &&RunName| run.case().as_str() != MEETING && options.included(run);
    let first = all.iter().find(others)?;
    let needs: BTreeSet<String> = plan.undeclared.iter().flat_map(needs).collect();
    let needs: Vec<String> = needs.into_iter().collect();
    if !needs.is_empty() && advertised.is_empty() && options.config.features.is_empty() {
        let why = "nothing that was chosen is for this driver: its `hello` has no `capabilities`, and no config says its `features`";
        return Some(match options.profile == DRIVER {
            true => why.to_owned(),
            false => format!("{why}; a finished driver is tested with `--profile driver`"),
        });
    }
    Some(match (needs.is_empty(), options.chosen(first)) {
        (false, _) => format!(
            "nothing that was chosen is for this driver: it needs {}",
            needs.join(", ")
        ),
        (true, true) => format!(
            "no run is left of what was chosen, as {first}: `--axes` leaves it out, or it is not for this driver"
        ),
        (true, false) => format!("all that was chosen is excluded, as {first}"),
    })
}

fn needs(outcome: &Outcome) -> Vec<String> {
    match &outcome.verdict {
        Verdict::NotDeclared { missing } => missing.each(),
        _ => Vec::new(),
    }
}
