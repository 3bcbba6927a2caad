//! The variables a process gets, and the search for its program.

use crate::failure::{failure, permanent};
use crate::with::With;
use conveyor_sdk::{Failure, Task};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// What is taken from the engine's process when `inherit_env` is not given.
const TAKEN: [&str; 3] = ["PATH", "HOME", "LANG"];

/// Where programs are looked for when there is no `PATH` at all.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Where the attempt's trace context is.
const TRACEPARENT: &str = "TRACEPARENT";

pub(crate) type Variables = BTreeMap<OsString, OsString>;

/// What every step gets out of the engine's environment, by default: `PATH`, `HOME` and `LANG`, as far
/// as they are set.
pub fn taken_environment() -> impl Iterator<Item = (&'static str, OsString)> {
    let own = |name| Some((name, std::env::var_os(name)?));
    TAKEN.into_iter().filter_map(own)
}

/// The process's whole environment.
///
/// # Errors
/// Code `bad_secret`: no variable can hold it.
pub(crate) fn variables(with: &With, task: &Task, output: &Path) -> Result<Variables, Failure> {
    let mut variables: Variables = if with.inherit_env {
        std::env::vars_os().collect()
    } else {
        taken_environment()
            .map(|(name, value)| (name.into(), value))
            .collect()
    };
    // Of the attempt or of nobody: the engine's own span is none of the step's.
    variables.remove(OsStr::new(TRACEPARENT));
    if !task.traceparent.is_empty() {
        variables.insert(TRACEPARENT.into(), (&*task.traceparent).into());
    }
    for (name, value) in &with.env {
        match value {
            Some(value) => variables.insert(name.into(), value.into()),
            None => variables.remove(OsStr::new(name)),
        };
    }
    for (name, value) in task.secrets.iter() {
        if value.contains(&0) {
            let message = format!(
                "the secret `{name}` has a zero byte, which no variable of the environment can hold"
            );
            return Err(permanent("bad_secret", message));
        }
        variables.insert(name.into(), OsString::from_vec(value.to_vec()));
    }
    let own: [(&str, OsString); 6] = [
        ("CONVEYOR_OUTPUT", output.into()),
        ("CONVEYOR_RUN_ID", (&*task.run).into()),
        ("CONVEYOR_STEP", (&*task.step).into()),
        ("CONVEYOR_INSTANCE", task.instance.to_string().into()),
        ("CONVEYOR_ATTEMPT", task.attempt.to_string().into()),
        ("CONVEYOR_NAMESPACE", (&*task.namespace).into()),
    ];
    variables.extend(own.map(|(name, value)| (name.into(), value)));
    Ok(variables)
}

/// The program's file. A name without a slash is looked for in the task's own `PATH`; one with a
/// slash is relative to `dir`.
///
/// # Errors
/// Codes `not_found` and `permission_denied`.
pub(crate) fn program(name: &str, dir: &Path, variables: &Variables) -> Result<PathBuf, Failure> {
    if name.contains('/') {
        let file = dir.join(name);
        return match file.metadata() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(failure(
                "not_found",
                format!("there is no command `{}`", file.display()),
            )),
            Err(error) => Err(failure(
                "permission_denied",
                format!("cannot look at `{}`: {error}", file.display()),
            )),
            Ok(_) if runnable(&file) => Ok(file),
            Ok(_) => Err(not_executable(&file)),
        };
    }
    let path = variables
        .get(OsStr::new("PATH"))
        .map_or(OsStr::new(DEFAULT_PATH), OsString::as_os_str);
    let mut present = None;
    for entry in std::env::split_paths(path) {
        // An empty or relative entry of PATH counts from the directory, as shells have it.
        let file = dir.join(entry).join(name);
        if runnable(&file) {
            return Ok(file);
        }
        if file.is_file() {
            present.get_or_insert(file);
        }
    }
    Err(match present {
        Some(file) => not_executable(&file),
        None => failure(
            "not_found",
            format!("there is no command `{name}` in PATH ({})", path.display()),
        ),
    })
}

/// Whether someone may execute it; whether this process may is for the system to say.
fn runnable(file: &Path) -> bool {
    file.metadata()
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

fn not_executable(file: &Path) -> Failure {
    failure(
        "permission_denied",
        format!("`{}` is not an executable file", file.display()),
    )
}
