//! Lists the cases of `cases/`, so that the program has them within it, and refuses to build where a rule that drivers
//! or engines *must* keep has no case, or a case cites no rule.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// The document whose rules are cited.
const CONTRACT: &str = "../docs/driver-contract.md";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=cases");
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("cases");
    let mut files = Vec::new();
    find(&root, &root, &mut files)?;
    files.sort();
    let contract = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join(CONTRACT);
    println!("cargo::rerun-if-changed={CONTRACT}");
    // A package of this crate alone was built where the document is before it was packed.
    if contract.is_file() {
        check(&fs::read_to_string(contract)?, &root, &files)?;
    }
    let mut list = String::from("[\n");
    for file in files {
        let place = format!("concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/cases/{file}\")");
        writeln!(list, "    ({file:?}, include_str!({place})),")?;
    }
    list.push_str("]\n");
    fs::write(Path::new(&env::var("OUT_DIR")?).join("cases.rs"), list)?;
    Ok(())
}

/// The YAML files of a directory, by their paths below `root` with slashes.
fn find(root: &Path, directory: &Path, files: &mut Vec<String>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            find(root, &path, files)?;
        } else if path.extension().is_some_and(|end| end == "yaml") {
            let below = path.strip_prefix(root)?.to_str();
            let below = below.ok_or("the name of a file of cases is no UTF-8")?;
            files.push(below.replace('\\', "/"));
        }
    }
    Ok(())
}

/// Each case cites a rule, and each *must* of the contract is cited: by a case for drivers, for engines, or for both,
/// whoever it binds.
fn check(contract: &str, root: &Path, files: &[String]) -> Result<(), Box<dyn Error>> {
    let (mut of_drivers, mut of_engines) = (BTreeSet::new(), BTreeSet::new());
    // What finished drivers are tested with repeats what runtimes are.
    let mut of_finished = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(root.join(file))?;
        let cited = match file.split('/').next() {
            Some("engine") => &mut of_engines,
            Some("contract") => &mut of_drivers,
            _ => &mut of_finished,
        };
        cite(&text, cited).map_err(|wrong| format!("cases/{file}:{wrong}"))?;
    }
    let mut uncited = Vec::new();
    for row in contract.lines().filter(|line| line.starts_with("| R")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, number, who, "must", ..] = cells[..] else {
            continue;
        };
        if who != "engine" && !of_drivers.contains(number) {
            uncited.push(format!("no case for drivers cites {number}"));
        }
        if who != "driver" && !of_engines.contains(number) {
            uncited.push(format!("no case for engines cites {number}"));
        }
    }
    match uncited.is_empty() {
        true => Ok(()),
        false => Err(uncited.join("; ").into()),
    }
}

/// Adds what the cases of a file cite: behind each `- name:` of a case is a line `requires: [R1, R2]`.
fn cite(text: &str, cited: &mut BTreeSet<String>) -> Result<(), String> {
    let mut name: Option<(usize, &str)> = None;
    let none = |(line, name): (usize, &str)| Err(format!("{line}: {name} cites no rule"));
    for (line, text) in text.lines().enumerate() {
        if let Some(next) = text.strip_prefix("  - name:") {
            name.replace((line + 1, next.trim())).map_or(Ok(()), none)?;
        }
        let Some(list) = text.strip_prefix("    requires: [") else {
            continue;
        };
        let rules = list.split(']').next().unwrap_or_default().split(',');
        let rules = rules.map(str::trim).filter(|rule| !rule.is_empty());
        for rule in rules {
            cited.insert(rule.to_owned());
            name = None;
        }
    }
    name.map_or(Ok(()), none)
}
