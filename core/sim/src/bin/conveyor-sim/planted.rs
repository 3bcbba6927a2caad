//! `--planted`: which faults in the product's own code the simulator catches.

use super::{Asked, on_stack, print, refuse, tally, tell};
use conveyor_sim::simulation::planted::{Fault, Hunt, hunt as hunt_one};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

/// So many characters of what gave a fault away are in the table; `--seed N --trace` has the rest.
const SHOWN: usize = 110;

pub(super) fn hunt(name: &str, asked: &Asked) -> ExitCode {
    if name == "list" {
        for fault in Fault::ALL {
            print(&format!("{:<31} {}\n", fault.word(), fault.breaks()));
        }
        return ExitCode::SUCCESS;
    }
    let wanted = |fault: &&Fault| name == "all" || fault.word() == name;
    let faults: Vec<Fault> = Fault::ALL.iter().filter(wanted).copied().collect();
    if faults.is_empty() {
        return refuse(&format!("--planted: there is no fault {name}"));
    }
    if !asked.trace {
        // A fault may well make the product panic. That is a way to be caught, and is in the table.
        std::panic::set_hook(Box::new(|_| {}));
    }
    let hunts = all(&faults, asked);
    if asked.json {
        print(&tally::hunts(&hunts));
    }
    for hunt in hunts.iter().filter(|_| !asked.json) {
        print(&line(hunt));
        if let (Some(violation), true) = (&hunt.caught, asked.trace) {
            tell(violation);
        }
    }
    let escaped: Vec<&str> = hunts
        .iter()
        .filter(|hunt| !hunt.is_caught())
        .map(|hunt| hunt.fault.word())
        .collect();
    let caught = hunts.len() - escaped.len();
    if !asked.json {
        print(&format!(
            "\n{caught} of {} planted faults were caught\n",
            faults.len()
        ));
    }
    if hunts.len() == faults.len() && escaped.is_empty() {
        return ExitCode::SUCCESS;
    }
    print(&format!("escaped: {}\n", escaped.join(", ")));
    ExitCode::FAILURE
}

/// All hunts, on as many threads as there are cores.
fn all(faults: &[Fault], asked: &Asked) -> Vec<Hunt> {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut hunts: Vec<(usize, Hunt)> = std::thread::scope(|scope| {
        let work = || {
            let mut hunts = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(fault) = faults.get(at).copied() else {
                    return hunts;
                };
                let (seeds, options) = (asked.seeds(), asked.options());
                let hunt = on_stack(move || hunt_one(fault, seeds, &options));
                hunts.extend(hunt.map(|hunt| (at, hunt)));
            }
        };
        let started: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let ended = started.into_iter().filter_map(|thread| thread.join().ok());
        ended.flatten().collect()
    });
    hunts.sort_by_key(|(at, _)| *at);
    hunts.into_iter().map(|(_, hunt)| hunt).collect()
}

fn line(hunt: &Hunt) -> String {
    let (name, breaks) = (hunt.fault.word(), hunt.fault.breaks());
    let (seconds, tried) = (hunt.took.as_secs_f64(), hunt.tried);
    match &hunt.caught {
        Some(violation) if hunt.without => {
            let seed = violation.seed;
            format!("ESCAPED {name:<31} seed {seed:>4} fails without it, too: {violation}\n")
        }
        Some(violation) => {
            let what: String = violation.what.chars().take(SHOWN).collect();
            let what = what.lines().next().unwrap_or_default();
            let seed = violation.seed;
            format!(
                "caught  {name:<31} seed {seed:>4}, {tried:>4} tried {seconds:>5.1} s  {breaks}\n        {what}\n"
            )
        }
        None => format!("ESCAPED {name:<31} {tried:>10} tried {seconds:>5.1} s  {breaks}\n"),
    }
}
