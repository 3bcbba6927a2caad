//! Processes below a driver's: it may start them with an environment of their own, and in groups of their own.

use std::collections::BTreeMap;

/// Those that were seen, by their numbers, with the instants of their starts: a number may be another's later.
#[derive(Debug, Default)]
pub(super) struct Family(BTreeMap<u32, u64>);

/// A process as the system shows it.
struct Seen {
    parent: u32,
    started: u64,
    /// Whether it has ended, and nobody has asked for its status.
    over: bool,
}

impl Family {
    /// Adds all that are below a process, or below those that were seen before.
    pub(super) fn note(&mut self, root: Option<u32>) {
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
    pub(super) fn alive(&self) -> Vec<u32> {
        let all = all();
        let alive = self.0.iter().filter(|(id, started)| {
            all.get(id)
                .is_some_and(|seen| seen.started == **started && !seen.over)
        });
        alive.map(|(id, _)| *id).collect()
    }
}

/// All processes.
fn all() -> BTreeMap<u32, Seen> {
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return BTreeMap::new();
    };
    let ids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    ids.filter_map(|id: u32| Some((id, seen(id)?))).collect()
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
