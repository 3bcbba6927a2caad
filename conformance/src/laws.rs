//! What can be seen of a requirement in all that was said in a case. Each law is of one number, and is looked at
//! after the cases that cite it.
//!
//! | module | of |
//! | --- | --- |
//! | `connections` | R1, R2, R6, R8, R41 |
//! | `tasks` | R12, R13, R15 |
//! | `reports` | R25, R78 |
//! | `flow` | R10, R62 |
//! | `heartbeats` | R20, R21, R41 |
//! | `ends` | R24, R33, R34, R47 |
//! | `cancels` | R36 |
//! | `checkpoints` | R37, R64 |
//! | `resumes` | R37, R43 |
//! | `calls` | R78 |
//! | `room` | R15, of the capacity |
//! | `logs` | R28, R30, R31, R73 |

mod calls;
mod cancels;
mod checkpoints;
mod connections;
mod ends;
mod flow;
mod heartbeats;
mod logs;
mod reports;
mod resumes;
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
    ("R8", connections::one_set_of_actions),
    ("R10", flow::credits),
    ("R12", tasks::answered),
    ("R13", tasks::reported_once_started),
    ("R15", tasks::none_after_the_stop),
    ("R25", reports::until_answered),
    ("R62", flow::unanswered),
    ("R78", reports::growing_pauses),
    ("R15", room::within_capacity),
    ("R20", heartbeats::in_time),
    ("R20", heartbeats::not_too_often),
    ("R21", heartbeats::all_named),
    ("R24", ends::nothing_of_stale),
    ("R33", ends::nothing_without_grace),
    ("R34", ends::within_grace),
    ("R36", cancels::nothing_of_unknown),
    ("R36", cancels::none_but_the_named),
    ("R36", cancels::reports_stay),
    ("R37", checkpoints::within_limit),
    ("R37", resumes::checkpoints),
    ("R41", heartbeats::all_resumed),
    ("R43", resumes::credits),
    ("R43", resumes::reports),
    ("R43", resumes::lines),
    ("R47", ends::nothing_once_it_left),
    ("R64", checkpoints::not_again),
    ("R78", calls::growing_pauses),
    ("R28", logs::last_offset),
    ("R30", logs::without_gaps),
    ("R31", logs::within_window),
    ("R73", logs::in_parts),
];

/// The numbers of the requirements that have laws, one for each law.
#[cfg(test)]
pub(crate) fn numbers() -> impl Iterator<Item = &'static str> {
    LAWS.iter().map(|(number, _)| *number)
}

/// What is wrong by the law of a requirement; nothing where it has none.
pub(crate) fn broken(rule: &str, entries: &[Entry]) -> Vec<String> {
    let laws = LAWS.iter().filter(|(number, _)| *number == rule);
    laws.flat_map(|(_, law)| law(entries)).collect()
}

/// The driver's messages.
fn of_driver(entries: &[Entry]) -> impl Iterator<Item = &Entry> {
    entries.iter().filter(|entry| entry.from == From::Driver)
}

/// A number in a message; 0 where it is not there.
fn number(body: &Json, pointer: &str) -> u64 {
    body.pointer(pointer).and_then(Json::as_u64).unwrap_or(0)
}

/// Messages for the tests of laws.
#[cfg(test)]
pub(crate) mod made {
    use crate::wire::{By, Entry, From};
    use prost::bytes::Bytes;
    use serde_json::Value as Json;
    use std::time::Duration;

    fn entry(from: From, at: u64, kind: &'static str, token: &str, body: Json) -> Entry {
        Entry {
            at: Duration::from_millis(at),
            connection: 1,
            from,
            kind,
            token: Bytes::from(token.to_owned()),
            by: By::Stream { sequence: 1 },
            body,
            forged: false,
            lost: false,
        }
    }

    /// A driver's message on the first connection, so many milliseconds after the case's begin.
    pub(crate) fn driver(at: u64, kind: &'static str, token: &str, body: Json) -> Entry {
        entry(From::Driver, at, kind, token, body)
    }

    /// An engine's message.
    pub(super) fn engine(at: u64, kind: &'static str, token: &str, body: Json) -> Entry {
        entry(From::Engine, at, kind, token, body)
    }

    /// The message on another connection, with another number.
    pub(super) fn on(connection: u32, sequence: u64, entry: Entry) -> Entry {
        Entry {
            connection,
            by: By::Stream { sequence },
            ..entry
        }
    }
}
