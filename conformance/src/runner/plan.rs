//! Which runs there are of cases for a driver, and which of them are done.

use super::options::{Breadth, Options};
use super::{faults, undeclared};
use crate::axes::{self, Axes};
use crate::backend::Backend;
use crate::config::DRIVER;
use crate::contract::MEETING;
use crate::names::{Axis, CaseName, NameError, RunName};
use crate::result::{Missing, Outcome};
use crate::samples::{self, Pick};
use crate::site::Transport;
use crate::v1;
use std::collections::BTreeSet;
use std::sync::Arc;

/// So few runs of a case are all run where pairs are enough.
const FEW: u64 = 12;

/// What an engine has whose clock can be put forward. No driver's feature is called so.
pub(super) const CLOCK: &str = "engine's clock";

/// A run of a case.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    pub(crate) name: RunName,
    pub(crate) case: Arc<v1::Case>,
    pub(crate) transport: Transport,
    pub(crate) concurrency: u32,
    pub(crate) fault: Option<String>,
}

/// Which runs there are of cases for a driver with these features.
pub(crate) struct Plan {
    pub(crate) runs: Vec<Planned>,
    pub(crate) undeclared: Vec<Outcome>,
    pub(crate) possible: u64,
}

/// All names that runs may have, whatever the driver declares: what patterns are looked up in.
///
/// # Errors
/// A sentence: which case has no name.
pub fn names(cases: &[v1::Case], config: &v1::Config) -> Result<Vec<RunName>, String> {
    let mut all = Vec::new();
    for case in cases {
        for pick in picks_of(case, config) {
            let (name, axes) = axes_of(case, pick.as_ref(), |_| true)?;
            all.extend(axes::every(&name, &axes).map_err(|error| error.to_string())?);
        }
    }
    Ok(all)
}

/// With what a case is run; once with nothing where it asks for no sample, or the config has none of them.
fn picks_of(case: &v1::Case, config: &v1::Config) -> Vec<Option<Pick>> {
    let picks = samples::picks(case, config).unwrap_or_default();
    match picks.is_empty() {
        true => vec![None],
        false => picks.into_iter().map(Some).collect(),
    }
}

/// The axes of a case, of their values those that a driver with some features can.
fn axes_of(
    case: &v1::Case,
    pick: Option<&Pick>,
    has: impl Fn(&str) -> bool,
) -> Result<(CaseName, Axes), String> {
    let name: CaseName = case
        .name
        .parse()
        .map_err(|error: NameError| error.to_string())?;
    if case.name == MEETING {
        return Ok((name, Axes::new()));
    }
    let said = case.axes.clone().unwrap_or_default();
    let can = |transport: &Transport| transport.features().iter().all(|feature| has(feature));
    let transports = transports(case).into_iter().filter(can);
    let mut axes = vec![(
        Axis::Transport,
        transports
            .map(|transport| transport.name().to_owned())
            .collect(),
    )];
    let several = said
        .concurrency
        .iter()
        .filter(|count| **count <= 1 || has("concurrency"));
    let concurrency: Vec<String> = several.map(u32::to_string).collect();
    if concurrency.len() > 1 {
        axes.push((Axis::Concurrency, concurrency));
    }
    if !said.faults.is_empty() {
        let mut faults = vec!["none".to_owned()];
        let can = |fault: &&String| *fault != faults::CLOCK_JUMP || has(CLOCK);
        faults.extend(said.faults.iter().filter(can).cloned());
        axes.push((Axis::Fault, faults));
    }
    if let Some(pick) = pick {
        axes.push((Axis::Sample, vec![pick.value.clone()]));
    }
    Ok((name, axes))
}

/// The transports that a case is run over: those that it names, else all.
pub(crate) fn transports(case: &v1::Case) -> Vec<Transport> {
    let said = case.axes.clone().unwrap_or_default().transports;
    match said.is_empty() {
        true => Transport::USUAL.to_vec(),
        false => said
            .iter()
            .filter_map(|name| Transport::parse(name))
            .collect(),
    }
}

/// What a driver lacks that can talk in none of these ways: what all of them need, and besides that of what one
/// would do.
pub(crate) fn no_way(transports: &[Transport], has: impl Fn(&str) -> bool) -> Missing {
    let lacks = |transport: &Transport| -> BTreeSet<&str> {
        let features = transport.features().into_iter();
        features.filter(|feature| !has(feature)).collect()
    };
    let each: Vec<BTreeSet<&str>> = transports.iter().map(lacks).collect();
    let common = |feature: &&str| each.iter().all(|lacks| lacks.contains(feature));
    let first = each.first().into_iter().flatten();
    let of_all: BTreeSet<&str> = first.copied().filter(|feature| common(feature)).collect();
    let rest: Vec<BTreeSet<&str>> = each.iter().map(|lacks| lacks - &of_all).collect();
    let fewest = rest.iter().map(BTreeSet::len).min().unwrap_or_default();
    let least = rest.iter().filter(|lacks| lacks.len() == fewest);
    let one_of = least.flatten().copied();
    let owned = |one: &str| one.to_owned();
    Missing {
        features: of_all.into_iter().map(owned).collect(),
        one_of: one_of.map(owned).collect(),
        ..Missing::default()
    }
}

/// Chooses the runs.
///
/// # Errors
/// A sentence: what of a case cannot be.
pub(crate) fn plan(options: &Options, declared: &[String]) -> Result<Plan, String> {
    let embedded = matches!(options.backend, Backend::Embedded);
    let declares = |feature: &str| declared.iter().any(|declared| declared == feature);
    let can = |feature: &str| {
        let endpoint = options.listen.as_ref();
        endpoint.is_none_or(|endpoint| endpoint.can(feature))
    };
    let has = |feature: &str| match feature {
        CLOCK => embedded,
        _ => declares(feature) && can(feature),
    };
    let mut plan = Plan {
        runs: Vec::new(),
        undeclared: Vec::new(),
        possible: 0,
    };
    let mut candidates = Vec::new();
    // The first meeting is no run among others.
    for case in options.cases.iter().filter(|case| case.name != MEETING) {
        let mut lacking = undeclared::missing(options, case, declared, has);
        if samples::picks(case, &options.config).is_some_and(|picks| picks.is_empty()) {
            lacking.samples = samples::words(case)
                .iter()
                .map(|&word| word.to_owned())
                .collect();
            lacking.samples.sort();
            lacking.samples.dedup();
        }
        if !lacking.is_empty() {
            let (name, all) = axes_of(case, None, |_| true)?;
            let every = axes::every(&name, &all).map_err(|error| error.to_string())?;
            let run = RunName::new(name, []).map_err(|error| error.to_string())?;
            if every.iter().any(|run| options.chosen(run)) {
                let undeclared = undeclared::undeclared(options, case, run, lacking);
                plan.undeclared.push(undeclared);
            }
            continue;
        }
        let case = Arc::new(case.clone());
        for pick in picks_of(&case, &options.config) {
            let (name, axes) = axes_of(&case, pick.as_ref(), has)?;
            let (_, any) = axes_of(&case, pick.as_ref(), |_| true)?;
            let every = |axes: &Axes| -> Result<Vec<RunName>, NameError> {
                let every = axes::every(&name, axes)?.into_iter();
                Ok(every.filter(|run| options.chosen(run)).collect())
            };
            let all = every(&any).map_err(|error| error.to_string())?;
            let every = every(&axes).map_err(|error| error.to_string())?;
            let absent = undeclared::absent(options, &case, all, &every, declared, has);
            plan.undeclared.extend(absent);
            candidates.push(Candidate {
                case: Arc::clone(&case),
                pick,
                name,
                axes,
                every,
            });
        }
    }
    let chosen = chosen(&candidates, options).map_err(|error| error.to_string())?;
    for candidate in &candidates {
        plan.possible += candidate.every.len() as u64;
        for run in &candidate.every {
            if chosen.contains(run) || options.named(run) {
                plan.runs.push(candidate.planned(run.clone(), options));
            }
        }
    }
    Ok(plan)
}

/// A case with one action or sample, and all of its runs that are asked for.
struct Candidate {
    case: Arc<v1::Case>,
    pick: Option<Pick>,
    name: CaseName,
    axes: Axes,
    every: Vec<RunName>,
}

/// Which of the runs of all candidates are done.
fn chosen(candidates: &[Candidate], options: &Options) -> Result<BTreeSet<RunName>, NameError> {
    if let Breadth::Few(limit) = options.breadth {
        let every: Vec<&[RunName]> = candidates.iter().map(|one| &one.every[..]).collect();
        return Ok(axes::few(&every, options.seed, limit));
    }
    let mut chosen = BTreeSet::new();
    for Candidate {
        name, axes, every, ..
    } in candidates
    {
        match options.breadth {
            Breadth::One => chosen.extend([first(name, axes)?]),
            Breadth::Pairs if axes::product(axes) > FEW => {
                chosen.extend(axes::pairs(name, axes, options.seed)?);
            }
            Breadth::Few(_) | Breadth::Pairs | Breadth::All => chosen.extend(every.iter().cloned()),
        }
    }
    Ok(chosen)
}

impl Candidate {
    fn planned(&self, run: RunName, options: &Options) -> Planned {
        let mut planned = planned(run, &self.case);
        if options.profile == DRIVER {
            let faulty = planned.fault.is_some();
            let placed = samples::placed(&self.case, &options.config, self.pick.as_ref(), faulty);
            planned.case = Arc::new(placed);
        }
        planned
    }
}

/// The run with the first value of each axis.
fn first(name: &CaseName, axes: &Axes) -> Result<RunName, NameError> {
    let values = axes.iter();
    let values = values.filter_map(|(axis, values)| Some((*axis, values.first()?.clone())));
    RunName::new(name.clone(), values)
}

fn planned(name: RunName, case: &Arc<v1::Case>) -> Planned {
    let transport = name.value(Axis::Transport).and_then(Transport::parse);
    let concurrency = name.value(Axis::Concurrency);
    let fault = name.value(Axis::Fault).filter(|fault| *fault != "none");
    Planned {
        case: Arc::clone(case),
        transport: transport.unwrap_or(Transport::Tcp),
        concurrency: concurrency
            .and_then(|count| count.parse().ok())
            .unwrap_or(1),
        fault: fault.map(str::to_owned),
        name,
    }
}
