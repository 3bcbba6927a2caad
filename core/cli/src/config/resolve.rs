//! Which of a setting's values counts.

use super::file::{self, Texts};
use super::settings::{Config, SETTINGS, setting};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The variable that names the file.
const FILE: &str = "CONVEYOR_CONFIG";

/// What the options of `serve` say: the file, and for some settings the option and its text.
#[derive(Debug, Default)]
pub(crate) struct Given {
    /// `--config`.
    pub(crate) file: Option<PathBuf>,
    /// By the setting's name.
    pub(crate) options: BTreeMap<&'static str, (&'static str, String)>,
}

/// The effective configuration, and where each setting comes from.
#[derive(Debug)]
pub(crate) struct Resolved {
    /// The settings.
    pub(crate) config: Config,
    /// The file that was read, if any.
    pub(crate) file: Option<PathBuf>,
    /// By the setting's name: its text, and where it comes from.
    pub(super) texts: BTreeMap<&'static str, (String, String)>,
}

/// Reads the file, the environment and the options.
///
/// # Errors
/// Each thing that is wrong, on a line of its own with its place.
pub(crate) fn resolve(
    given: Given,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Resolved, String> {
    // A variable that is empty is as one that is not there.
    let variable = |name: &str| environment(name).filter(|text| !text.is_empty());
    let file = given.file.or_else(|| variable(FILE).map(PathBuf::from));
    let mut problems = Vec::new();
    let from_file = match &file {
        Some(path) => read(path).unwrap_or_else(|found| {
            problems = found;
            Texts::new()
        }),
        None => Texts::new(),
    };
    let mut texts = BTreeMap::new();
    for setting in SETTINGS {
        let mut name = setting.variable();
        let mut from_environment = variable(&name);
        if setting.name == "log.level" && from_environment.is_none() {
            name = "RUST_LOG".to_owned();
            from_environment = variable(&name);
        }
        let chosen = if let Some((option, text)) = given.options.get(setting.name) {
            (text.clone(), (*option).to_owned())
        } else if let Some(text) = from_environment {
            (text, name)
        } else if let Some(found) = from_file.get(setting.name) {
            found.clone()
        } else {
            (setting.default.to_owned(), "default".to_owned())
        };
        if !(setting.fits)(&chosen.0) {
            let (text, place) = &chosen;
            let expected = (setting.expected)();
            problems.push(format!(
                "{place}: `{}` is `{text}`; expected {expected}",
                setting.name
            ));
        }
        texts.insert(setting.name, chosen);
    }
    if !problems.is_empty() {
        return Err(problems.join("\n"));
    }
    let text = |name: &str| texts.get(name).map(|(text, _)| text.clone());
    let config = Config::read(|name| text(name).unwrap_or_default());
    let config = config.map_err(|name| {
        let expected = setting(name).map(|setting| (setting.expected)());
        format!("`{name}`: expected {}", expected.unwrap_or_default())
    })?;
    Ok(Resolved {
        config,
        file,
        texts,
    })
}

/// Variables of ours that are no settings of a server.
const OTHERS: &[&str] = &[
    FILE,
    "CONVEYOR_URL",
    "CONVEYOR_TOKEN",
    "CONVEYOR_CA",
    "CONVEYOR_CLIENT_CERT",
    "CONVEYOR_CLIENT_KEY",
    // Of whoever is started within a step of the driver `exec`.
    "CONVEYOR_RUN_ID",
    "CONVEYOR_NAMESPACE",
    "CONVEYOR_STEP",
    "CONVEYOR_INSTANCE",
    "CONVEYOR_ATTEMPT",
    "CONVEYOR_OUTPUT",
    // Of this repository's tests, whose servers have them too.
    "CONVEYOR_FAILPOINT",
    "CONVEYOR_KILLPOINT",
    "CONVEYOR_KILLPOINT_COUNT",
    "CONVEYOR_FAULTS",
    "CONVEYOR_KILLED_SEED",
    "CONVEYOR_LOAD_SEED",
    "CONVEYOR_RECORD",
];

/// Variables of this process that look like settings and are none, by name. Secrets of steps never begin
/// as settings do.
pub(crate) fn strangers() -> Vec<String> {
    let known: Vec<_> = SETTINGS
        .iter()
        .map(super::settings::Setting::variable)
        .collect();
    let strange = |name: &String| {
        name.starts_with("CONVEYOR_") && !known.contains(name) && !OTHERS.contains(&name.as_str())
    };
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let mut names: Vec<_> = names.filter(strange).collect();
    names.sort();
    names
}

fn read(path: &Path) -> Result<Texts, Vec<String>> {
    let name = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => file::read(&name, &text),
        Err(error) => Err(vec![format!(
            "cannot read the configuration {name}: {error}"
        )]),
    }
}
