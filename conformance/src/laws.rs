//! What can be seen of a requirement in all that was said in a case. Each law is of one number, and is looked at
//! after the cases that cite it.
//!
//! | module | of |
//! | --- | --- |
//! | `connections` | R1, R2, R6, R41 |
//! | `tasks` | R12, R13 |
//! | `heartbeats` | R20, R21 |
//! | `room` | R15 |
//! | `logs` | R28, R30, R31, R73 |

mod connections;
mod heartbeats;
mod logs;
mod room;
mod tasks;

use crate::wire::{Entry, From};
use serde_json::Value as Json;

/// What is wrong, as sentences. A law has nothing to say of what was not said.
type Law = fn(&[Entry]) -> Vec<String>;

/// The laws, by the numbers of their requirements.
const LAWS: &[(&str, Law)] = &[
    ("R1", connections::first_message),
    ("R2", connections::in_time),
    ("R6", connections::numbered),
    ("R41", connections::generations),
    ("R12", tasks::answered),
    ("R13", tasks::reported_once_started),
    ("R15", room::within_capacity),
    ("R20", heartbeats::in_time),
    ("R21", heartbeats::all_named),
    ("R28", logs::last_offset),
    ("R30", logs::without_gaps),
    ("R31", logs::within_window),
    ("R73", logs::in_parts),
];

/// What is wrong by the law of a requirement; nothing where it has none.
pub(crate) fn broken(rule: &str, entries: &[Entry]) -> Vec<String> {
    let law = LAWS.iter().find(|(number, _)| *number == rule);
    law.map_or_else(Vec::new, |(_, law)| law(entries))
}

/// The driver's messages.
fn of_driver(entries: &[Entry]) -> impl Iterator<Item = &Entry> {
    entries.iter().filter(|entry| entry.from == From::Driver)
}

/// A number in a message; 0 where it is not there.
fn number(body: &Json, pointer: &str) -> u64 {
    body.pointer(pointer).and_then(Json::as_u64).unwrap_or(0)
}
