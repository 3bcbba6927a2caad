//! Reading what a person names on the command line.

use crate::args::Inputs;
use conveyor_driver_exec::ExecDriver;
use conveyor_engine::document::{Diagnostic, Document, Limits, load_for};
use conveyor_engine::plan::Plan;
use conveyor_engine::value::Json;
use conveyor_node::driver::{Driver, contracts};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// The drivers that `conveyor run` has in process.
pub(crate) fn local_drivers() -> Vec<Arc<dyn Driver>> {
    vec![Arc::new(ExecDriver::new())]
}

/// The most that a file of inputs or of cases may have: 16 MiB. Documents have their own limit.
const MOST_BYTES: usize = 16 << 20;

/// Reads a file, or standard input for `-`; gives the name for messages too.
///
/// # Errors
/// A sentence with the path.
pub(crate) fn read(path: &Path, limit: usize) -> Result<(String, Vec<u8>), String> {
    let stdin = path.as_os_str() == "-";
    let name = if stdin {
        "<stdin>".to_owned()
    } else {
        path.display().to_string()
    };
    let mut bytes = Vec::new();
    // One byte more than allowed tells that there is more.
    let most = limit as u64 + 1;
    let read = match stdin {
        true => std::io::stdin().lock().take(most).read_to_end(&mut bytes),
        false => std::fs::File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes)),
    };
    match read {
        Ok(_) => Ok((name, bytes)),
        Err(error) => Err(format!("cannot read {name}: {error}")),
    }
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
            Unusable::Unread(message) => format!("conveyor: error: {message}\n"),
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
        .map(|diagnostic| format!("{diagnostic}\n"))
        .collect()
}

/// A sentence for each driver of a plan that `conveyor run` does not have in process.
pub(crate) fn foreign_drivers(plan: &Plan) -> Vec<String> {
    let known: Vec<_> = local_drivers().iter().map(|own| own.info().name).collect();
    let drivers = plan.drivers().into_iter();
    let foreign = drivers.filter(|(name, _)| !known.contains(name));
    foreign
        .map(|(name, step)| {
            let step = &plan.steps[step as usize];
            format!(
                "step `{}` ({}) needs the driver `{name}`, which `conveyor run` does not have in \
                 process; it has: {}",
                step.id,
                step.pointer,
                known.join(", ")
            )
        })
        .collect()
}

/// Reads a YAML or JSON file, positions in its errors.
///
/// # Errors
/// A sentence with the path, and line and column where it is about the text.
pub(crate) fn parse<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, String> {
    let (name, bytes) = read(path, MOST_BYTES)?;
    if bytes.len() > MOST_BYTES {
        return Err(format!(
            "{name} has more than {MOST_BYTES} bytes, the limit of such a file"
        ));
    }
    let text = std::str::from_utf8(&bytes)
        .map_err(|error| format!("{name}: invalid UTF-8 at offset {}", error.valid_up_to()))?;
    serde_saphyr::from_str(text).map_err(|error| format!("{name}: {error}"))
}

/// `-i` and `--inputs` as one object; values of `-i` are read as the plan's schema says.
///
/// # Errors
/// A sentence about the file.
pub(crate) fn given_inputs(inputs: &Inputs, plan: &Plan) -> Result<Json, String> {
    let mut given = match &inputs.inputs {
        None => serde_json::Map::new(),
        Some(path) => match parse::<Json>(path)? {
            Json::Object(map) => map,
            Json::Null => serde_json::Map::new(),
            _ => return Err(format!("{}: inputs must be an object", path.display())),
        },
    };
    for (key, text) in &inputs.input {
        given.insert(key.clone(), plan.parse_input(key, text));
    }
    Ok(Json::Object(given))
}

/// The inputs of a run: what was given, completed and checked.
///
/// # Errors
/// Every violation, a line each.
pub(crate) fn inputs(inputs: &Inputs, plan: &Plan) -> Result<Json, String> {
    let given = given_inputs(inputs, plan)?;
    plan.resolve_inputs(&given).map_err(|violations| {
        let mut text = "the inputs are not what the document asks for".to_owned();
        for violation in violations {
            let place = if violation.pointer.is_empty() {
                "inputs"
            } else {
                &violation.pointer
            };
            text.push_str(&format!("\n  {place}: {}", violation.message));
        }
        text
    })
}
