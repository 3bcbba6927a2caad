//! Conveyor's control and driver services: validation and handlers over a node, without a listener.
//!
//! [`ControlHandlers`] implements the generated `ControlService`, [`DriverHandlers`] `DriverService`.
//! They are served over sockets by `conveyor-api`, or called in the same process without one; callers
//! cannot tell.
//!
//! | module | what it is for |
//! | --- | --- |
//! | `control` | what clients call, one file for each group of calls |
//! | `driver` | what drivers in other processes call |
//! | `access` | access tokens |
//! | `caller` | who asks |
//! | [`contract`] | timings and states of the driver contract, as data |
//! | `wire` | the engine's words as messages |
//! | `gate` | which runs this process was given, and when it may end |
//! | `refusal` | statuses, with all that is wrong in their details |
//! | `stack` | where documents and expressions are read |

mod access;
mod caller;
pub mod contract;
mod control;
mod driver;
#[doc(hidden)]
pub mod fuzzing;
mod gate;
mod refusal;
mod stack;
mod values;
mod wire;

pub use access::{Access, Standing};
pub use caller::{Asked, Caller, Scope};
pub use control::{About, ControlHandlers, LIMIT_LABELS};
pub use driver::{
    CONTRACT_VERSIONS, DriverHandlers, Ending, HEARTBEAT_INTERVAL_MS, LOG_WINDOW, RESUME_WINDOW_MS,
    WAIT_MS,
};
pub use gate::Gate;
pub use refusal::{CLOSING, is_of_the_request};
pub use wire::plan;
