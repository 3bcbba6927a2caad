//! Children of this process: its own, for which somebody waits, and orphans that came to it.

use std::collections::BTreeSet;
use std::io;
use std::process::{Child, Command};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// Numbers of its own. Held while one is started: it may end before its number is known.
static OWN: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());
/// Whether orphans come.
static ADOPTS: OnceLock<()> = OnceLock::new();

fn own() -> MutexGuard<'static, BTreeSet<u32>> {
    OWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a child.
pub(crate) fn spawn(command: &mut tokio::process::Command) -> io::Result<tokio::process::Child> {
    let mut own = own();
    let child = command.spawn()?;
    own.extend(child.id());
    Ok(child)
}

/// Starts a keeper; orphans come from now on.
pub(super) fn spawn_keeper(command: &mut Command) -> io::Result<Child> {
    let mut own = own();
    let child = command.spawn()?;
    own.insert(child.id());
    #[cfg(target_os = "linux")]
    {
        let here = rustix::process::Pid::from_raw(1);
        rustix::process::set_child_subreaper(here)?;
        let _ = ADOPTS.set(());
    }
    Ok(child)
}

/// Asks for the status of orphans that have ended: their numbers would be taken until this process ends.
pub(crate) fn reap() {
    if ADOPTS.get().is_none() {
        return;
    }
    let here = std::process::id();
    let own = own();
    for (id, seen) in super::family::all() {
        if seen.over
            && seen.parent == here
            && !own.contains(&id)
            && let Some(id) = rustix::process::Pid::from_raw(id.cast_signed())
        {
            let _ = rustix::process::waitpid(Some(id), rustix::process::WaitOptions::NOHANG);
        }
    }
}
