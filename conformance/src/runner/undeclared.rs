//! What was chosen, and is not for this driver.

use super::endpoint::STARTED;
use super::{CLOCK, Options, Plan, names, outcome};
use crate::contract::MEETING;
use crate::names::{Axis, RunName};
use crate::result::{Outcome, Verdict};
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
    features: Vec<String>,
) -> Outcome {
    outcome(options, case, run, Verdict::NotDeclared { features })
}

/// The name of what is lacking: who declares it, and was started by somebody else, cannot be tested for it.
pub(super) fn lacking(options: &Options, declared: &[String], feature: &str) -> String {
    let declares = declared.iter().any(|one| one == feature);
    match options.listen.is_some() && declares {
        true => STARTED.to_owned(),
        false => feature.to_owned(),
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
    let mut absent: BTreeMap<Vec<String>, RunName> = BTreeMap::new();
    let named = |run: &RunName| options.chosen(run) && options.named(run);
    for run in all {
        if !named(&run) || there.contains(&run) {
            continue;
        }
        let mut lacks: BTreeSet<String> = BTreeSet::new();
        let transport = run.value(Axis::Transport).and_then(Transport::parse);
        if let Some(transport) = transport {
            let lacking = |feature: &str| lacking(options, declared, feature);
            let features = transport.features();
            let features = features.iter().filter(|feature| !has(feature));
            lacks.extend(features.map(|feature| lacking(feature)));
        }
        let several = run
            .value(Axis::Concurrency)
            .is_some_and(|count| count != "1");
        if several && !has("concurrency") {
            lacks.insert(lacking(options, declared, "concurrency"));
        }
        if run.value(Axis::Fault) == Some("clock-jump") && !has(CLOCK) {
            lacks.insert(FORWARD.to_owned());
        }
        absent.entry(lacks.into_iter().collect()).or_insert(run);
    }
    let absent = absent.into_iter().filter(|(lacks, _)| !lacks.is_empty());
    absent
        .map(|(lacks, run)| undeclared(options, case, run, lacks))
        .collect()
}

/// Why nothing is run of what was chosen; `None` where something is, or where nothing else than the first meeting was
/// chosen.
pub(super) fn nothing(options: &Options, plan: &Plan) -> Option<String> {
    if !plan.runs.is_empty() {
        return None;
    }
    let all = names(&options.cases, &options.config).unwrap_or_default();
    let others = |run: &&RunName| run.case().as_str() != MEETING && options.included(run);
    let first = all.iter().find(others)?;
    let needs: BTreeSet<&str> = plan.undeclared.iter().flat_map(needs).collect();
    let needs: Vec<&str> = needs.into_iter().collect();
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

fn needs(outcome: &Outcome) -> Vec<&str> {
    match &outcome.verdict {
        Verdict::NotDeclared { features } => features.iter().map(String::as_str).collect(),
        _ => Vec::new(),
    }
}
