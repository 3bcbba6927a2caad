//! Reading what a person names on the command line.

mod inputs;

pub(crate) use inputs::{Given, refused};

use crate::drivers::local_drivers;
use crate::render::human::printable_lines;
use conveyor_engine::document::{Diagnostic, Document, Limits, Located, Severity, load_for};
use conveyor_engine::plan::{Kind, version_satisfies};
use conveyor_node::driver::contracts;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// The most that a file of inputs or of cases may have: 16 MiB. Documents have their own limit.
const MOST_BYTES: usize = 16 << 20;

/// What a file is called in messages.
pub(crate) fn name(path: &Path) -> String {
    if path.as_os_str() == "-" {
        "<stdin>".to_owned()
    } else {
        path.display().to_string()
    }
}

/// Reads a file, or standard input for `-`; gives the name for messages too.
///
/// # Errors
/// A sentence with the path.
pub(crate) fn read(path: &Path, limit: usize) -> Result<(String, Vec<u8>), String> {
    let stdin = path.as_os_str() == "-";
    let name = name(path);
    // A file tells how large it is, so that the refusal can.
    if let Ok(about) = std::fs::metadata(path)
        && !stdin
        && about.is_file()
        && about.len() > limit as u64
    {
        return Err(too_large(&name, Some(about.len()), limit));
    }
    let mut bytes = Vec::new();
    // One byte more than allowed tells that there is more.
    let most = limit as u64 + 1;
    let read = match stdin {
        true => std::io::stdin().lock().take(most).read_to_end(&mut bytes),
        false => std::fs::File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes)),
    };
    match read {
        Ok(read) if read > limit => Err(too_large(&name, None, limit)),
        Ok(_) => Ok((name, bytes)),
        Err(error) => Err(format!("cannot read {name}: {error}")),
    }
}

fn too_large(name: &str, bytes: Option<u64>, limit: usize) -> String {
    let has = match bytes {
        Some(bytes) => format!("has {bytes} bytes"),
        None => "has more".to_owned(),
    };
    let mib = limit >> 20;
    format!("{name} {has}; the limit of such a file is {limit} ({mib} MiB)")
}

/// Why a document cannot be used.
#[derive(Debug)]
pub(crate) enum Unusable {
    /// It cannot be read.
    Unread(String),
    /// It has errors.
    Wrong(Vec<Diagnostic>),
}

impl Unusable {
    /// The text for people, with a line feed at the end.
    pub(crate) fn text(&self) -> String {
        match self {
            Unusable::Unread(message) => printable_lines(&format!("conveyor: error: {message}\n")),
            Unusable::Wrong(diagnostics) => diagnostics_text(diagnostics),
        }
    }
}

/// Reads and checks a document.
///
/// # Errors
/// When it cannot be read, or every error that it has.
pub(crate) fn document(path: &Path) -> Result<Document, Unusable> {
    let limits = Limits::default();
    let (name, bytes) = read(path, limits.bytes).map_err(Unusable::Unread)?;
    let drivers = contracts(&local_drivers());
    let drivers = drivers.map_err(|error| Unusable::Unread(error.to_string()))?;
    load_for(&name, &bytes, &limits, &drivers).map_err(Unusable::Wrong)
}

/// Diagnostics one after the other.
pub(crate) fn diagnostics_text(diagnostics: &[Diagnostic]) -> String {
    diagnostics
        .iter()
        .map(|diagnostic| printable_lines(&format!("{diagnostic}\n")))
        .collect()
}

/// A warning for each driver of a document that `conveyor run` does not have in process.
pub(crate) fn foreign_drivers(document: &Document, path: &Path) -> Vec<Diagnostic> {
    let here: BTreeMap<_, _> = local_drivers()
        .iter()
        .map(|driver| driver.info())
        .map(|info| (info.name, info.version))
        .collect();
    let plan = document.plan();
    let mut named = BTreeSet::new();
    let foreign: Vec<_> = plan
        .steps
        .iter()
        .filter_map(|step| match &step.kind {
            Kind::Driver {
                driver, version, ..
            } => {
                let wanted = version.as_deref();
                let fits =
                    |has: &Arc<str>| wanted.is_none_or(|wanted| version_satisfies(wanted, has));
                let has = here.get(driver).is_some_and(fits);
                (!has && named.insert((driver, version))).then_some((step, driver, wanted))
            }
            _ => None,
        })
        .collect();
    if foreign.is_empty() {
        return Vec::new();
    }
    let Ok(located) = Located::read(&name(path), document.source.as_bytes(), &Limits::default())
    else {
        return Vec::new();
    };
    let here = here
        .iter()
        .map(|(name, version)| format!("{name} {version}"));
    let here = here.collect::<Vec<_>>().join(", ");
    let told = foreign.into_iter().map(|(step, driver, version)| {
        let wanted = version.map_or_else(String::new, |version| format!("@{version}"));
        let message = format!(
            "step `{}` needs the driver `{driver}{wanted}`, which `conveyor run` does not have in \
             process; it has: {here}",
            step.id
        );
        let pointer = format!("{}/driver", step.pointer);
        located.diagnostic(Severity::Warning, &pointer, &message)
    });
    let mut told: Vec<_> = told.collect();
    told.sort_by_key(|one| (one.line, one.column));
    told
}

/// Reads a YAML or JSON file by the rules of a document.
///
/// # Errors
/// Lines for a person: that it cannot be read, or what is wrong with its text.
pub(crate) fn located(path: &Path) -> Result<Located, String> {
    let (name, bytes) = read(path, MOST_BYTES)?;
    let limits = Limits {
        bytes: MOST_BYTES,
        ..Limits::default()
    };
    Located::read(&name, &bytes, &limits).map_err(|found| wrong_text(&name, &found))
}

/// Lines about a file that is no document: what is wrong with it, each with its place.
pub(crate) fn wrong_text(name: &str, found: &[Diagnostic]) -> String {
    let text = diagnostics_text(found);
    format!("{name} cannot be used\n{}", text.trim_end())
}
