//! Conveyor's control service: validation and handlers over a node, without a listener.
//!
//! [`ControlHandlers`] implements the generated `ControlService`. It is served over a socket by
//! `conveyor-api`, or called in the same process without one; callers cannot tell.
//!
//! | module | what it is for |
//! | --- | --- |
//! | `control` | the handlers, one file for each group of calls |
//! | `wire` | the engine's words as messages |
//! | `gate` | which runs this process was given, and when it may end |
//! | `refusal` | statuses, with all that is wrong in their details |
//! | `stack` | where documents and expressions are read |

mod control;
mod gate;
mod refusal;
mod stack;
mod values;
mod wire;

pub use control::{About, ControlHandlers, LIMIT_LABELS};
pub use gate::Gate;
pub use refusal::CLOSING;
