use super::Reader;
use crate::error::NodeError;
use crate::id::RunId;
use crate::keys;
use conveyor_bus::{LogPage, LogStore as _, StoreLogs};
use conveyor_engine::run::Identity;

impl Reader {
    /// Lines of an attempt's log from `offset` on, at most about `limit`: as far as they are durable.
    ///
    /// # Errors
    /// When the store cannot be read. An attempt that does not exist has no lines.
    pub async fn log(
        &self,
        run: RunId,
        id: Identity,
        offset: u64,
        limit: usize,
    ) -> Result<LogPage, NodeError> {
        self.on_worker(move |reader| {
            let logs = StoreLogs::new(reader.log_store().clone());
            Ok(logs.read(keys::log(run, id), offset, limit)?)
        })
        .await
    }
}
