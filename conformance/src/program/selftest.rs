//! The suite tests itself: a driver that breaks one rule after the other, and the cases that notice.

use super::args::SelftestArgs;
use super::run::backend;
use super::{Refused, tell};
use conveyor_conformance::{
    Breadth, Options, Outcome, Program, Results, Standing, Status, embedded, musts_of_drivers, v1,
};
use futures_util::StreamExt as _;
use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use tokio::sync::oneshot;

/// Which of its rules the driver breaks.
const BREAK: &str = "CONVEYOR_CONFORMANCE_BREAK";

/// How many switches at once: cases mostly wait.
const AT_ONCE: usize = 16;
/// How many where all cases are run, and what fails though it has nothing to do with the switch is told: a machine that is
/// busy makes drivers late.
const ALL_AT_ONCE: usize = 4;

/// One way to break the contract.
struct Switch {
    name: String,
    requirement: String,
}

/// `selftest`.
pub(super) async fn run(args: &SelftestArgs) -> Result<Status, Refused> {
    let backend = backend(&args.backend)?;
    let cases = embedded("contract").map_err(Refused)?;
    let mut switches = switches(&args.command)?;
    if !args.switch.is_empty() {
        known(&args.switch, &switches)?;
        switches.retain(|switch| args.switch.contains(&switch.name));
    }
    let options = |cases: Vec<v1::Case>, broken: Option<&str>| Options {
        program: Program {
            command: args.command.clone(),
            environment: broken
                .map(|switch| (BREAK.to_owned(), switch.to_owned()))
                .into_iter()
                .collect(),
        },
        cases,
        backend: backend.clone(),
        breadth: Breadth::One,
        parallel: args.parallel,
        ..Options::default()
    };
    let broken = switches.iter().map(|switch| {
        let mut of_switch = cases.clone();
        if !args.all {
            of_switch.retain(|case| case.requires.contains(&switch.requirement));
        }
        let broken = options(of_switch, Some(&switch.name));
        async move {
            let seen = match noticed(&broken, args.all).await {
                // What is late is seen by time, which a busy machine hides: once more.
                Ok(seen) if seen.is_empty() => noticed(&broken, args.all).await,
                Ok(seen) => without_the_late(switch, &broken, seen).await,
                Err(why) => Err(why),
            };
            (switch, seen)
        }
    });
    let mut broken = futures_util::stream::iter(broken).buffered(match args.all {
        true => ALL_AT_ONCE,
        false => AT_ONCE,
    });
    let mut told = Vec::new();
    while let Some((switch, failed)) = broken.next().await {
        let failed = failed?;
        let by: Vec<&str> = failed.iter().map(String::as_str).collect();
        tell(&format!(
            "{:4} {:38} {}\n",
            switch.requirement,
            switch.name,
            by.join(" ")
        ));
        told.push((switch, failed));
    }
    drop(broken);
    // What the honest driver fails says nothing of a broken one.
    let mut asked = cases.clone();
    if !args.all {
        asked.retain(|case| told.iter().any(|(_, failed)| failed.contains(&case.name)));
    }
    let mut honest = noticed(&options(asked.clone(), None), true).await?;
    if !honest.is_empty() {
        // A machine that is busy makes an honest driver late, too: what failed is run by itself.
        asked.retain(|case| honest.contains(&case.name));
        let alone = Options {
            parallel: 1,
            ..options(asked, None)
        };
        honest = noticed(&alone, true).await?;
    }
    let wrong = judged(args, &cases, &told, &honest);
    tell(&format!(
        "{} switches, {} cases\n",
        switches.len(),
        cases.len()
    ));
    for why in &wrong {
        tell(&format!("wrong: {why}\n"));
    }
    Ok(match wrong.is_empty() {
        true => Status::AsExpected,
        false => Status::Failed,
    })
}

/// Takes the cases out that do not cite the rule and pass when they are run by themselves: a busy machine made them late.
async fn without_the_late(
    switch: &Switch,
    broken: &Options,
    mut seen: BTreeSet<String>,
) -> Result<BTreeSet<String>, Refused> {
    let is_stranger =
        |case: &v1::Case| seen.contains(&case.name) && !case.requires.contains(&switch.requirement);
    let strangers: Vec<_> = broken
        .cases
        .iter()
        .filter(|case| is_stranger(case))
        .cloned()
        .collect();
    if strangers.is_empty() {
        return Ok(seen);
    }
    let names: Vec<String> = strangers.iter().map(|case| case.name.clone()).collect();
    let alone = Options {
        cases: strangers,
        parallel: 1,
        ..broken.clone()
    };
    let again = noticed(&alone, true).await?;
    seen.retain(|name| !names.contains(name) || again.contains(name));
    Ok(seen)
}

/// What is wrong with what noticed the switches.
fn judged(
    args: &SelftestArgs,
    cases: &[v1::Case],
    told: &[(&Switch, BTreeSet<String>)],
    honest: &BTreeSet<String>,
) -> Vec<String> {
    let mut wrong: Vec<String> = honest
        .iter()
        .map(|name| format!("the honest driver fails {name}"))
        .collect();
    for (switch, failed) in told {
        let Switch { name, requirement } = switch;
        let cites = |name: &&String| {
            let case = cases.iter().find(|case| case.name == **name);
            case.is_some_and(|case| case.requires.contains(requirement))
        };
        let (by, strangers): (Vec<_>, Vec<_>) = failed.difference(honest).partition(cites);
        if by.is_empty() {
            wrong.push(format!(
                "`{name}` is caught by no case that cites {requirement}"
            ));
        }
        wrong.extend(strangers.iter().map(|stranger| {
            format!("`{name}` breaks {requirement}, and {stranger}, which does not cite it, fails")
        }));
    }
    if args.switch.is_empty() {
        let broken = |rule: &String| told.iter().any(|(switch, _)| switch.requirement == *rule);
        let without = musts_of_drivers()
            .into_iter()
            .filter(|rule| !broken(rule) && !args.exempt.contains(rule));
        wrong.extend(without.map(|rule| format!("{rule} has no switch that breaks it")));
    }
    wrong
}

/// Names of the cases that fail: all, or the first.
async fn noticed(options: &Options, all: bool) -> Result<BTreeSet<String>, Refused> {
    let (first, seen) = oneshot::channel();
    let mut first = Some(first);
    let run = conveyor_conformance::run(options, |outcome, _| {
        if is_failed(outcome)
            && !all
            && let Some(first) = first.take()
        {
            let _ = first.send(outcome.run.case().to_string());
        }
    });
    tokio::select! {
        results = run => Ok(failed(&results.map_err(|error| error.to_string())?)),
        // The rest ends as it is dropped.
        Ok(name) = seen => Ok(BTreeSet::from([name])),
    }
}

/// Whether a case noticed something: what no driver has to do, too.
fn is_failed(outcome: &Outcome) -> bool {
    matches!(outcome.standing(), Standing::Failed | Standing::Advice)
}

/// Names of the cases that failed.
fn failed(results: &Results) -> BTreeSet<String> {
    let failed = results.outcomes.iter().filter(|outcome| is_failed(outcome));
    failed
        .map(|outcome| outcome.run.case().to_string())
        .collect()
}

/// Whether the driver has all switches that are asked for: a slip would be a selftest of nothing.
fn known(asked: &[String], switches: &[Switch]) -> Result<(), Refused> {
    let all: Vec<&str> = switches.iter().map(|switch| &switch.name[..]).collect();
    let strange = asked.iter().filter(|name| !all.contains(&name.as_str()));
    let told = strange.map(
        |name| match conveyor_engine::nearest(name, all.iter().copied()) {
            Some(near) => {
                format!("--switch {name}: the driver has none of that name; near to it: `{near}`")
            }
            None => format!(
                "--switch {name}: the driver has none of that name, but {}",
                all.join(", ")
            ),
        },
    );
    let wrong: Vec<String> = told.collect();
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(Refused(wrong)),
    }
}

/// What the driver can break: a line each, with tabs between name, requirement and sentence.
fn switches(command: &[String]) -> Result<Vec<Switch>, Refused> {
    let Some((program, arguments)) = command.split_first() else {
        return Err(Refused(vec!["which broken driver?".to_owned()]));
    };
    let told = Command::new(program)
        .args(arguments)
        .arg("--list-switches")
        .stdin(Stdio::null())
        .output();
    let told = told.map_err(|error| format!("{program}: {error}"))?;
    let text = String::from_utf8_lossy(&told.stdout);
    let switches: Vec<Switch> = text
        .lines()
        .filter_map(|line| {
            let mut parts = line.split('\t');
            Some(Switch {
                name: parts.next()?.to_owned(),
                requirement: parts.next()?.to_owned(),
            })
        })
        .collect();
    match switches.is_empty() {
        true => Err(Refused(vec![format!(
            "{program} --list-switches tells no switch"
        )])),
        false => Ok(switches),
    }
}
