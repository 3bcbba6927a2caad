//! Where runs are kept.

use std::env;
use std::path::PathBuf;

/// The data directory: what the option says, else `CONVEYOR_DATA_DIR`, else `$XDG_STATE_HOME/conveyor`, else
/// `~/.local/state/conveyor`. A server has its settings before, whose variable is the same one.
///
/// # Errors
/// When none of them is known.
pub(crate) fn data_dir(option: Option<PathBuf>) -> Result<PathBuf, String> {
    if let Some(path) = option {
        return Ok(path);
    }
    // An empty variable is none.
    if let Some(path) = env::var_os("CONVEYOR_DATA_DIR").filter(|path| !path.is_empty()) {
        return Ok(path.into());
    }
    // The XDG base directory specification: a relative path is to be ignored.
    let absolute = |name: &str| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    if let Some(state) = absolute("XDG_STATE_HOME") {
        return Ok(state.join("conveyor"));
    }
    match absolute("HOME") {
        Some(home) => Ok(home.join(".local/state/conveyor")),
        None => Err(
            "there is no default data directory: neither XDG_STATE_HOME nor HOME is an absolute \
             path; give --data-dir DIR"
                .to_owned(),
        ),
    }
}
