//! Which cases there are, and what each does.

use super::args::{DescribeArgs, ListArgs, Profile};
use super::run::patterns;
use super::{Refused, tell};
use conveyor_conformance::{RunName, Status, embedded, engine, names, v1};

/// A case as a list has it.
struct Row {
    name: RunName,
    requires: Vec<String>,
    features: Vec<String>,
}

fn rows(profile: Profile) -> Result<Vec<Row>, Refused> {
    let row = |name: &str, requires: &[String], features: &[String]| {
        let name = name.parse::<RunName>();
        Ok(Row {
            name: name.map_err(|error| error.to_string())?,
            requires: requires.to_vec(),
            features: features.to_vec(),
        })
    };
    match profile {
        Profile::Engine => {
            let cases = engine::cases().map_err(Refused)?;
            let cases = cases.iter();
            cases
                .map(|case| row(&case.name, &case.requires, &[]))
                .collect()
        }
        Profile::Contract | Profile::Driver => {
            let cases = embedded(profile.name()).map_err(Refused)?;
            let cases = cases.iter();
            cases
                .map(|case| row(&case.name, &case.requires, &case.features))
                .collect()
        }
    }
}

/// `list`.
pub(super) fn list(args: &ListArgs) -> Result<Status, Refused> {
    let mut rows = rows(args.profile)?;
    let all: Vec<RunName> = rows.iter().map(|row| row.name.clone()).collect();
    let include = patterns(&args.include, &all)?;
    rows.retain(|row| {
        let chosen = include.is_empty() || include.iter().any(|one| one.matches(&row.name));
        let cited = args.requirement.as_ref();
        chosen && cited.is_none_or(|rule| row.requires.contains(rule))
    });
    rows.sort_by(|one, other| one.name.cmp(&other.name));
    let longest = rows.iter().map(|row| row.name.to_string().len()).max();
    for row in &rows {
        let name = row.name.to_string();
        let features = match row.features.is_empty() {
            true => String::new(),
            false => format!("  ({})", row.features.join(", ")),
        };
        let line = format!(
            "{name:width$}  {}{features}",
            row.requires.join(" "),
            width = longest.unwrap_or_default()
        );
        tell(&format!("{}\n", line.trim_end()));
    }
    if rows.is_empty() {
        return Err(Refused(vec![format!(
            "no case of profile {} cites {}",
            args.profile.name(),
            args.requirement.as_deref().unwrap_or("anything")
        )]));
    }
    Ok(Status::AsExpected)
}

/// A case of any profile, as prose; `None` where there is none.
fn prose(name: &str) -> Result<Option<String>, Refused> {
    for profile in ["contract", "driver"] {
        let cases = embedded(profile).map_err(Refused)?;
        if let Some(case) = cases.iter().find(|case| case.name == name) {
            return Ok(Some(conveyor_conformance::describe(case)));
        }
    }
    let cases = engine::cases().map_err(Refused)?;
    Ok(cases.iter().find(|case| case.name == name).map(|case| {
        let steps = case.procedure.iter().enumerate();
        let steps = steps.map(|(at, step)| format!("{:>3}. {step}\n", at + 1));
        format!(
            "{}\n\n{}\n\n{}\n\n{}",
            case.name,
            case.purpose,
            case.requires.join(", "),
            steps.collect::<String>()
        )
    }))
}

/// `describe`.
pub(super) fn describe(args: &DescribeArgs) -> Result<Status, Refused> {
    let name = args.case.split('[').next().unwrap_or_default();
    if let Some(text) = prose(name)? {
        tell(&text);
        return Ok(Status::AsExpected);
    }
    let mut all = Vec::new();
    for profile in ["contract", "driver"] {
        let cases = embedded(profile).map_err(Refused)?;
        all.extend(
            names(&cases, &v1::Config::default())
                .map_err(|why| vec![why])
                .map_err(Refused)?,
        );
    }
    // It says what is near.
    patterns(std::slice::from_ref(&args.case), &all)?;
    Err(Refused(vec![format!("there is no case `{}`", args.case)]))
}
