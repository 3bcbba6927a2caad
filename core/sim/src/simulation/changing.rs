//! Changes of objects in one process: what is decided and on its way to the store.

use super::client::Request;
use conveyor_node::objects::Changes;
use conveyor_node::owner::Ticket;
use conveyor_proto::storage::v1::StoredChange;

/// What somebody wants of the objects.
#[derive(Clone, Debug)]
pub(super) enum Object {
    /// A Resource is to have this number in its spec. A key is empty where there is none.
    Apply {
        resource: &'static str,
        n: u64,
        key: String,
    },
    /// A Resource is to go.
    Remove { resource: &'static str },
    /// A pipeline is to have this revision: a place in `site::REVISIONS`.
    Publish { revision: usize },
}

/// A change that is decided, on its way to the store.
#[derive(Debug)]
pub(super) struct Decided {
    /// Who waits for it.
    pub(super) ticket: Ticket,
    pub(super) request: Request,
    pub(super) changes: Changes,
    /// The row that names the runs that it starts.
    pub(super) change: Option<(String, StoredChange)>,
    /// What its maker is answered.
    pub(super) answer: String,
}
