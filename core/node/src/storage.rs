//! The owner's world in the store's terms: groups as transactions, runs folded from their journals.
//! Everything here blocks.

mod journal;
mod shard;
mod snapshot;

pub(crate) use journal::{flaw, fold, value};
pub use journal::{load, load_values, records};
pub(crate) use shard::meta;
pub use shard::{acquire, commit_point, live_entries, outcome, quarantines, transaction};
pub use snapshot::{drop_snapshots, keep_snapshot};
