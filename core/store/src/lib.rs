//! Conveyor's store: ordered keys, guarded commits, and nothing visible that is not durable.
//!
//! [`Store`] is the contract (PROTOCOL P10–P14). Three things matter to whoever calls it:
//!
//! - **A commit is one transaction**: every compare holds and every write happens, or none does.
//!   [`Store::commit`] returns only once the transaction is durable, and no read sees it earlier.
//! - **A failed commit says what is known.** [`CommitError`] tells a compare that did not hold from a
//!   transaction that certainly did not happen and from one whose outcome is unknown; the last is
//!   settled by reading the commit key (PROTOCOL P11).
//! - **Every call blocks.** Callers use threads of their own. A backend that talks to a network blocks
//!   on a runtime of its own, never on the caller's.
//!
//! [`Memory`] keeps everything in the process, for simulation and offline tests. [`Embedded`] keeps
//! it in a [`DataDir`]. Both, and every backend to come, pass [`testing::suite`].

mod data_dir;
mod embedded;
mod error;
mod limits;
mod memory;
mod range;
mod store;
#[doc(hidden)]
pub mod testing;
mod transaction;

pub use data_dir::{Access, DataDir, FORMAT};
pub use embedded::{Cut, Embedded};
pub use error::{CommitError, Conflict, Error, ErrorKind, Status};
pub use limits::Limits;
pub use memory::Memory;
pub use range::{Direction, KeyRange, PAGE_BYTES, Page};
pub use store::{Stats, Store, View};
pub use transaction::{Compare, Expected, Transaction};

pub use bytes::Bytes;
