//! Which cases there are, and what each does.

use super::args::{DescribeArgs, ListArgs, Profile};
use super::run::{cases, engines, patterns, text};
use super::{Refused, tell};
use conveyor_conformance::{
    Axis, Description, RunName, Status, describe as told, describe_engine, engine, features, names,
    needed_for, read_cases, v1,
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
    name: String,
    purpose: String,
    requires: Vec<String>,
    features: Vec<String>,
    transports: Vec<String>,
}

fn rows(args: &ListArgs) -> Result<Vec<Row>, Refused> {
    if args.profile == Profile::Engine {
        let rows = engines(&args.case_file)?.into_iter().map(|case| Row {
            name: case.name,
            purpose: case.purpose,
            requires: case.requires,
            features: Vec::new(),
            transports: Vec::new(),
        });
        return Ok(rows.collect());
    }
    let cases = cases(args.profile, &args.case_file)?;
    Ok(cases.iter().map(row).collect())
}

fn row(case: &v1::Case) -> Row {
    let transports = told(case, None).axes.into_iter();
    let transports = transports.filter(|axis| axis.axis == Axis::Transport.as_str());
    Row {
        name: case.name.clone(),
        purpose: case.purpose.clone(),
        requires: case.requires.clone(),
        features: case.features.clone(),
        transports: transports
            .flat_map(|axis| axis.values)
            .map(|value| value.value)
            .collect(),
    }
}

/// `list`.
pub(super) fn list(args: &ListArgs) -> Result<Status, Refused> {
    known(args)?;
    let mut rows = rows(args)?;
    let name = |row: &Row| row.name.parse::<RunName>();
    let all: Result<Vec<RunName>, _> = rows.iter().map(name).collect();
    let all = all.map_err(|error| error.to_string())?;
    let include = patterns(&args.include, &all)?;
    rows.retain(|row| {
        let chosen = |name: &RunName| include.iter().any(|one| one.matches(name));
        let chosen = include.is_empty() || name(row).is_ok_and(|name| chosen(&name));
        chosen && args.wants(row)
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
            Profile::Contract => cases(profile, &of_drivers)?,
            _ => cases(profile, &[])?,
        };
        if let Some(case) = cases.iter().find(|case| case.name == name) {
            let run = match values {
                true => Some(run_of(case, &args.case)?),
                false => None,
            };
            return show(args, &told(case, run.as_ref()));
        }
        all.extend(names(&cases, &v1::Config::default())?);
    }
    let engines = engines(&of_engines)?;
    if let Some(case) = engines.iter().find(|case| case.name == name) {
        return match values {
            true => Err(Refused(vec![format!(
                "`{name}` is a case of engines, which have no axes: leave out the `[…]`"
            )])),
            false => show(args, &describe_engine(case)),
        };
    }
    for case in &engines {
        all.extend(case.name.parse::<RunName>());
    }
    // It says what is near.
    patterns(std::slice::from_ref(&args.case), &all)?;
    Err(Refused(vec![format!(
        "`{}` is no case: `list --include '{}'` has those that it is a pattern of",
        args.case, args.case
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
