//! Access tokens whose time is over.

use crate::error::NodeError;
use crate::node::Node;
use crate::objects::{self, Changes, ListObjects};
use conveyor_engine::time::{Duration, Time};
use conveyor_proto::storage::v1::StoredToken;

/// A token stays so long after its end, for whoever looks why something is not let in any more.
pub const EXPIRED_TOKENS: Duration = Duration(30 * 24 * 60 * 60 * 1000);

/// Tokens that one turn looks at.
const PAGE: usize = 256;

impl Node {
    /// Deletes the tokens that ended [`EXPIRED_TOKENS`] ago, each guarded: how many.
    pub(super) async fn drop_expired_tokens(&self, now: Time) -> Result<usize, NodeError> {
        let mut deleted = 0;
        let mut list = ListObjects {
            limit: PAGE,
            ..ListObjects::default()
        };
        loop {
            let of = list.clone();
            let look = move |reader: &crate::Reader| {
                objects::list::<StoredToken>(reader.store().as_ref(), &of)
            };
            let page = self.reader().on_worker(look).await?;
            for (id, row) in &page.rows {
                let ended = row.value.expires_ms.map(Time);
                if ended.is_none_or(|ended| ended.after(EXPIRED_TOKENS) > now) {
                    continue;
                }
                let mut changes = Changes::new();
                changes.delete("", id, row);
                match self.change(changes).await {
                    Ok(()) => deleted += 1,
                    // Somebody revoked it meanwhile.
                    Err(NodeError::Conflict(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            list.after = page.next;
            if list.after.is_none() {
                return Ok(deleted);
            }
            tokio::time::sleep(super::pass::REST).await;
        }
    }
}
