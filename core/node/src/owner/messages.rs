//! What goes into an owner, and what comes out.
//!
//! | module | what it has |
//! | --- | --- |
//! | `input`, `request` | what happens outside; what people and drivers bring along |
//! | `read`, `commit` | a run as the store has it; what is committed, and what becomes of it |
//! | `output` | what is to be done outside |

mod commit;
mod input;
mod output;
mod read;
mod request;

pub use commit::{CommitPoint, Group, Outcome, Write};
pub use input::Input;
pub use output::{Answer, Output, StartTask};
pub use read::{Flaw, KeptSnapshot, Loaded, LoadedRun};
pub use request::{Control, Reported, SessionEvent, SessionInfo, Start};

use conveyor_engine::value::Hash;
use std::sync::Arc;

/// Names a request, so that its caller finds the answer. Made by the caller; 0 wants no answer.
pub type Ticket = u64;

/// Values by hash, as they are handed in and stored.
pub type ValueTexts = Vec<(Hash, Arc<[u8]>)>;
