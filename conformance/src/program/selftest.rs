//! The suite tests itself: a driver that breaks one rule after the other, and the cases that notice.

use super::Refused;
use super::args::SelftestArgs;
use super::run::backend;
use conveyor_conformance::{
    Breadth, Lists, Options, Program, Results, Standing, Status, Trace, embedded, musts_of_drivers,
    v1,
};
use futures_util::StreamExt as _;
use std::collections::BTreeSet;
use std::process::{Command, Stdio};

/// Which of its rules the driver breaks.
const BREAK: &str = "CONVEYOR_CONFORMANCE_BREAK";

/// How many switches at once: cases mostly wait.
const AT_ONCE: usize = 4;

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
        config: v1::Config::default(),
        profile: "contract".to_owned(),
        cases,
        backend: backend.clone(),
        breadth: Breadth::One,
        seed: 1,
        parallel: args.parallel,
        trace: Trace::Off,
        include: Vec::new(),
        exclude: Vec::new(),
        lists: Lists::default(),
        listen: None,
    };
    let mut wrong = Vec::new();
    let honest = conveyor_conformance::run(&options(cases.clone(), None), |_, _| {}).await;
    let honest = failed(&honest.map_err(|error| error.to_string())?);
    if !honest.is_empty() {
        wrong.push(format!(
            "the honest driver fails {}",
            honest.iter().cloned().collect::<Vec<_>>().join(", ")
        ));
    }
    let broken = switches.iter().map(|switch| {
        let mut of_switch = cases.clone();
        if !args.all {
            of_switch.retain(|case| case.requires.contains(&switch.requirement));
        }
        let broken = options(of_switch, Some(&switch.name));
        async move { (switch, conveyor_conformance::run(&broken, |_, _| {}).await) }
    });
    let mut broken = futures_util::stream::iter(broken).buffered(AT_ONCE);
    let mut of: BTreeSet<String> = BTreeSet::new();
    let mut caught = 0;
    while let Some((switch, results)) = broken.next().await {
        let failed = failed(&results.map_err(|error| error.to_string())?);
        let cites = |name: &String| {
            let case = cases.iter().find(|case| case.name == *name);
            case.is_some_and(|case| case.requires.contains(&switch.requirement))
        };
        let (by, strangers): (Vec<_>, Vec<_>) =
            failed.difference(&honest).cloned().partition(cites);
        let noticed = match by.is_empty() {
            true => "CAUGHT BY NONE".to_owned(),
            false => by.join(" "),
        };
        println!("{:4} {:36} {noticed}", switch.requirement, switch.name);
        of.insert(switch.requirement.clone());
        match by.is_empty() {
            true => wrong.push(format!(
                "`{}` is caught by no case that cites {}",
                switch.name, switch.requirement
            )),
            false => caught += 1,
        }
        if !strangers.is_empty() {
            wrong.push(format!(
                "`{}` breaks {}, and is caught by cases that do not cite it: {}",
                switch.name,
                switch.requirement,
                strangers.join(", ")
            ));
        }
    }
    drop(broken);
    if args.switch.is_empty() {
        let without = musts_of_drivers()
            .into_iter()
            .filter(|rule| !of.contains(rule) && !args.exempt.contains(rule));
        wrong.extend(without.map(|rule| format!("{rule} has no switch that breaks it")));
    }
    println!(
        "{} switches, {caught} caught, {} cases",
        switches.len(),
        cases.len()
    );
    for why in &wrong {
        println!("wrong: {why}");
    }
    Ok(match wrong.is_empty() {
        true => Status::AsExpected,
        false => Status::Failed,
    })
}

/// Names of the cases that failed.
fn failed(results: &Results) -> BTreeSet<String> {
    let failed = results
        .outcomes
        .iter()
        .filter(|outcome| outcome.standing() == Standing::Failed);
    failed
        .map(|outcome| outcome.run.case().to_string())
        .collect()
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
