//! Processes as the system shows them: those below another, which may have an environment and a group of their own,
//! and those that can be known by a variable.
//!
//! They are read from `/proc`; where there is none, none is found.

use std::collections::BTreeMap;

/// Those that were seen, by their numbers, with the instants of their starts: a number may be another's later.
#[derive(Debug, Default)]
pub(crate) struct Family(BTreeMap<u32, u64>);

/// A process as the system shows it.
pub(super) struct Seen {
    pub(super) parent: u32,
    started: u64,
    /// Whether it has ended, and nobody has asked for its status.
    pub(super) over: bool,
}

impl Family {
    /// A family of one, which is there now: all that is below it is added with each [`Family::note`] as long as it is
    /// there, and not what is below another that has its number later.
    pub(super) fn of(id: u32) -> Family {
        let started = seen(id).map(|seen| (id, seen.started));
        Family(started.into_iter().collect())
    }

    /// Adds some that are there.
    pub(super) fn add(&mut self, ids: &[u32]) {
        let there = ids.iter().filter_map(|id| Some((*id, seen(*id)?.started)));
        self.0.extend(there);
    }

    /// Adds all that are below a process, or below those that were seen before.
    pub(crate) fn note(&mut self, root: Option<u32>) {
        let all = all();
        loop {
            let known = self.0.len();
            for (id, seen) in &all {
                let below_seen = self.0.get(&seen.parent).is_some_and(|started| {
                    all.get(&seen.parent)
                        .is_some_and(|parent| parent.started == *started)
                });
                if below_seen || root == Some(seen.parent) {
                    self.0.insert(*id, seen.started);
                }
            }
            if self.0.len() == known {
                return;
            }
        }
    }

    /// Those that are still there.
    pub(crate) fn alive(&self) -> Vec<u32> {
        let all = all();
        let alive = self.0.iter().filter(|(id, started)| {
            all.get(id)
                .is_some_and(|seen| seen.started == **started && !seen.over)
        });
        alive.map(|(id, _)| *id).collect()
    }
}

/// Processes of this user in whose environment a variable has a value.
pub(crate) fn with_variable(name: &str, value: &str) -> Vec<u32> {
    let wanted = format!("{name}={value}");
    let has = |id: &u32| {
        let environment = std::fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
        let mut variables = environment.split(|byte| *byte == 0);
        variables.any(|variable| variable == wanted.as_bytes())
    };
    numbers().into_iter().filter(has).collect()
}

/// Ends a process at once; it may be gone.
pub(crate) fn kill(id: u32) {
    if let Some(id) = rustix::process::Pid::from_raw(id.cast_signed()) {
        let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
    }
}

/// All processes.
pub(super) fn all() -> BTreeMap<u32, Seen> {
    let ids = numbers().into_iter();
    ids.filter_map(|id| Some((id, seen(id)?))).collect()
}

fn numbers() -> Vec<u32> {
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let ids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    ids.collect()
}

fn seen(id: u32) -> Option<Seen> {
    let text = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name stands in brackets, and may have any letter.
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    Some(Seen {
        over: matches!(*fields.first()?, "Z" | "X"),
        parent: fields.get(1)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn what_lost_its_parent_is_known_until_it_ends() {
        let mut shell = Command::new("sh")
            .args(["-c", "sleep 60 & wait"])
            .stdin(Stdio::null())
            .spawn()
            .expect("a shell");
        let mut family = Family::default();
        let alive = loop {
            family.note(Some(shell.id()));
            if let [alive] = family.alive()[..] {
                break alive;
            }
        };
        shell.kill().expect("it is there");
        shell.wait().expect("it ends");
        family.note(None);
        assert_eq!(family.alive(), [alive]);
        let id = rustix::process::Pid::from_raw(alive.cast_signed()).expect("a number");
        rustix::process::kill_process(id, rustix::process::Signal::KILL).expect("it is there");
        while !family.alive().is_empty() {
            std::thread::yield_now();
        }
    }
}
