//! Which cases there are, and what each does.

use super::args::{DescribeArgs, ListArgs, Profile};
use super::run::{any_cases, cases, engines, patterns, text};
use super::{Refused, tell};
use conveyor_conformance::{
    Axis, Description, Pattern, Rule, RunName, Status, describe as told, describe_engine, embedded,
    engine, features, names, needed_for, read_cases, sentence_of, v1,
};
use serde::Serialize;
use std::path::PathBuf;

/// What a driver is asked for who needs no feature.
const CORE: &str = "core";
/// Transports that a case may be run over.
const TRANSPORTS: [&str; 5] = ["tcp", "tls", "unix", "unary", "rest"];

/// A case as a list has it.
#[derive(Serialize)]
struct Row {
    /// What patterns are looked up in.
    #[serde(skip)]
    runs: Vec<RunName>,
    name: String,
    purpose: String,
    requires: Vec<String>,
    features: Vec<String>,
    transports: Vec<String>,
}

fn rows(args: &ListArgs) -> Result<Vec<Row>, Refused> {
    if args.profile == Profile::Engine {
        let cases = engines(&args.case_file)?.cases;
        let runs = engine::names(&cases)?;
        let rows = cases.into_iter().zip(runs).map(|(case, run)| Row {
            runs: vec![run],
            name: case.name,
            purpose: case.purpose,
            requires: case.requires,
            features: Vec::new(),
            transports: Vec::new(),
        });
        return Ok(rows.collect());
    }
    let cases = cases(args.profile, &args.case_file)?.cases;
    cases.iter().map(row).collect()
}

fn row(case: &v1::Case) -> Result<Row, Refused> {
    let transports = told(case, None).axes.into_iter();
    let transports = transports.filter(|axis| axis.axis == Axis::Transport.as_str());
    Ok(Row {
        runs: names(std::slice::from_ref(case), &v1::Config::default())?,
        name: case.name.clone(),
        purpose: case.purpose.clone(),
        requires: case.requires.clone(),
        features: case.features.clone(),
        transports: transports
            .flat_map(|axis| axis.values)
            .map(|value| value.value)
            .collect(),
    })
}

/// `list`.
pub(super) fn list(args: &ListArgs) -> Result<Status, Refused> {
    known(args)?;
    let mut rows = rows(args)?;
    let all: Vec<RunName> = rows.iter().flat_map(|row| row.runs.clone()).collect();
    let include = patterns(&args.include, &all)?;
    if let Some(rule) = &args.requirement
        && !rows.iter().any(|row| row.requires.contains(rule))
    {
        return Err(Refused(vec![uncited(rule, args.profile)?]));
    }
    rows.retain(|row| {
        let chosen = |name: &RunName| include.iter().any(|one| one.matches(name));
        (include.is_empty() || row.runs.iter().any(chosen)) && args.wants(row)
    });
    if rows.is_empty() {
        return Err(Refused(vec![format!(
            "no case of profile {} {}",
            args.profile.name(),
            args.asked()
        )]));
    }
    rows.sort_by(|one, other| one.name.cmp(&other.name));
    if args.json {
        return json(&rows);
    }
    let longest = rows.iter().map(|row| row.name.len()).max();
    for row in &rows {
        let features = match row.features.is_empty() {
            true => String::new(),
            false => format!("  ({})", row.features.join(", ")),
        };
        let line = format!(
            "{name:width$}  {}{features}",
            row.requires.join(" "),
            name = row.name,
            width = longest.unwrap_or_default()
        );
        tell(&format!("{}\n", line.trim_end()));
    }
    Ok(Status::AsExpected)
}

/// Why no case of a profile cites a rule.
fn uncited(rule: &str, profile: Profile) -> Result<String, Refused> {
    let says = |text: &str| {
        text.parse::<Rule>()
            .is_ok_and(|rule| sentence_of(&rule).is_some())
    };
    if !says(rule) {
        let meant = rule.to_ascii_uppercase();
        let near = match says(&meant) {
            true => format!("; near to it: `{meant}`"),
            false => String::new(),
        };
        return Ok(format!(
            "--requirement {rule}: there is no rule `{rule}`: there are R1… of docs/driver-contract.md, SEMANTICS 1… of docs/semantics.md, P1… of docs/protocol.md{near}"
        ));
    }
    // Its cases may be those of others.
    let mut others = Vec::new();
    for (other, whose) in [
        (Profile::Contract, "drivers"),
        (Profile::Driver, "finished drivers"),
        (Profile::Engine, "engines"),
    ] {
        let cited: Vec<Vec<String>> = match other {
            Profile::Engine => {
                let cases = engine::embedded().map_err(Refused)?.into_iter();
                cases.map(|case| case.requires).collect()
            }
            _ => {
                let cases = embedded(other.name()).map_err(Refused)?.into_iter();
                cases.map(|case| case.requires).collect()
            }
        };
        if cited.iter().flatten().any(|cited| cited == rule) {
            // That of the semantics has a space.
            let quoted = match rule.contains(' ') {
                true => format!("'{rule}'"),
                false => rule.to_owned(),
            };
            let asked = format!("list {} --requirement {quoted}", other.name());
            others.push(format!("cases of {whose} do: `{asked}`"));
        }
    }
    Ok(match others.is_empty() {
        true => format!("no case cites {rule}"),
        false => format!(
            "no case of profile {} cites {rule}; {}",
            profile.name(),
            others.join("; ")
        ),
    })
}

/// Whether what is asked for is there at all: a slip would have a list that is empty.
fn known(args: &ListArgs) -> Result<(), Refused> {
    let mut wrong = Vec::new();
    if args.profile == Profile::Engine && (args.feature.is_some() || args.transport.is_some()) {
        wrong.push(
            "--feature and --transport are of drivers: an engine's cases have none".to_owned(),
        );
    }
    if let Some(feature) = &args.feature
        && feature != CORE
        && !features().contains(&feature.as_str())
    {
        wrong.push(format!(
            "--feature {feature}: it is none of {CORE}, {}",
            features().join(", ")
        ));
    }
    if let Some(transport) = &args.transport
        && !TRANSPORTS.contains(&transport.as_str())
    {
        wrong.push(format!(
            "--transport {transport}: it is none of {}",
            TRANSPORTS.join(", ")
        ));
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(Refused(wrong)),
    }
}

impl ListArgs {
    fn wants(&self, row: &Row) -> bool {
        let cited = self.requirement.as_ref();
        // A way to talk is a feature, too.
        let over = |feature: &str| {
            let needed = |way: &String| needed_for(way).contains(&feature);
            row.transports.iter().any(needed)
        };
        let feature = |feature: &String| match feature.as_str() {
            CORE => row.features.is_empty(),
            word => row.features.contains(feature) || over(word),
        };
        cited.is_none_or(|rule| row.requires.contains(rule))
            && self.feature.as_ref().is_none_or(feature)
            && self
                .transport
                .as_ref()
                .is_none_or(|way| row.transports.contains(way))
    }

    /// What was asked for, for who finds nothing.
    fn asked(&self) -> String {
        let mut asked = Vec::new();
        if let Some(rule) = &self.requirement {
            asked.push(format!("cites {rule}"));
        }
        if let Some(feature) = &self.feature {
            asked.push(format!("needs the feature {feature}"));
        }
        if let Some(transport) = &self.transport {
            asked.push(format!("is run over {transport}"));
        }
        if !self.include.is_empty() {
            asked.push(format!("is called {}", self.include.join(" or ")));
        }
        asked.join(" and ")
    }
}

/// A value for programs.
fn json(value: &impl Serialize) -> Result<Status, Refused> {
    let text = serde_json::to_string_pretty(value).map_err(|error| error.to_string())?;
    tell(&format!("{text}\n"));
    Ok(Status::AsExpected)
}

/// `describe`.
pub(super) fn describe(args: &DescribeArgs) -> Result<Status, Refused> {
    let (name, values) = match args.case.split_once('[') {
        Some((name, _)) => (name, true),
        None => (args.case.as_str(), false),
    };
    let (of_engines, of_drivers) = by_kind(&args.case_file)?;
    let mut all = Vec::new();
    for profile in [Profile::Contract, Profile::Driver] {
        let cases = match profile {
            // Those of files may be of either profile: they are told once.
            Profile::Contract => any_cases(profile, &of_drivers)?,
            _ => any_cases(profile, &[])?,
        };
        if let Some(case) = cases.iter().find(|case| case.name == name) {
            let run = match values {
                true => Some(run_of(case, &args.case)?),
                false => None,
            };
            return show(args, &told(case, run.as_ref()));
        }
        all.push((profile, names(&cases, &v1::Config::default())?));
    }
    let engines = engines(&of_engines)?.cases;
    if let Some(case) = engines.iter().find(|case| case.name == name) {
        return match values {
            true => Err(Refused(vec![format!(
                "`{name}` is a case of engines, which have no axes: leave out the `[…]`"
            )])),
            false => show(args, &describe_engine(case)),
        };
    }
    all.push((Profile::Engine, engine::names(&engines)?));
    let every: Vec<RunName> = all.iter().flat_map(|(_, runs)| runs.clone()).collect();
    // It says what is near.
    let pattern = patterns(std::slice::from_ref(&args.case), &every)?;
    let of = |runs: &[RunName]| {
        let matches = |one: &Pattern| runs.iter().any(|run| one.matches(run));
        pattern.iter().any(matches)
    };
    let lists: Vec<String> = all
        .iter()
        .filter(|(_, runs)| of(runs))
        .map(|(profile, _)| format!("`list {} --include '{}'`", profile.name(), args.case))
        .collect();
    Err(Refused(vec![format!(
        "`{}` is no case: {} has those that it is a pattern of",
        args.case,
        lists.join(" or ")
    )]))
}

/// Files of cases: of engines, and of drivers. What is wrong with one is said where its cases are read.
fn by_kind(files: &[PathBuf]) -> Result<(Vec<PathBuf>, Vec<PathBuf>), Refused> {
    let mut kinds = (Vec::new(), Vec::new());
    for file in files {
        let text = text(file)?;
        let name = file.display().to_string();
        // One with a slip is taken for what its words are of.
        let drivers = || {
            read_cases(&name, &text).is_ok()
                || engine::read_cases(&name, &text).is_err() && text.contains("script:")
        };
        match drivers() {
            true => kinds.1.push(file.clone()),
            false => kinds.0.push(file.clone()),
        }
    }
    Ok(kinds)
}

fn show(args: &DescribeArgs, description: &Description) -> Result<Status, Refused> {
    if args.json {
        return json(description);
    }
    tell(&description.to_string());
    Ok(Status::AsExpected)
}

/// The run of a case that was asked for. What its axes do not have is an error that names what they have.
fn run_of(case: &v1::Case, text: &str) -> Result<RunName, Refused> {
    let run = text.parse::<RunName>().map_err(|error| error.to_string())?;
    let every = names(std::slice::from_ref(case), &v1::Config::default())?;
    // Samples are a config's own.
    let known = |(axis, value): (Axis, &str)| {
        axis == Axis::Sample || every.iter().any(|one| one.value(axis) == Some(value))
    };
    let strange = run.values().find(|one| !known(*one));
    match strange.map(|(axis, value)| (axis, value.to_owned())) {
        None => Ok(run),
        Some((axis, value)) => {
            let mut values: Vec<&str> = every.iter().filter_map(|one| one.value(axis)).collect();
            values.sort_unstable();
            values.dedup();
            Err(Refused(vec![match values.is_empty() {
                true => format!("`{text}`: the case has no axis `{axis}`"),
                false => format!(
                    "`{text}`: the case is run with `{axis}` {}, and not with `{value}`",
                    values.join(", ")
                ),
            }]))
        }
    }
}
