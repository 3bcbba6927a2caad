use super::Reader;
use crate::error::NodeError;
use crate::id::RunId;
use crate::keys;
use conveyor_bus::{LogCommits, LogPage, LogStore as _, StoreLogs};
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
        self.log_before(run, id, offset, limit, u64::MAX).await
    }

    /// As [`Reader::log`], of what was written before the commit of a number ([`LogCommits`]).
    ///
    /// # Errors
    /// As [`Reader::log`].
    pub async fn log_before(
        &self,
        run: RunId,
        id: Identity,
        offset: u64,
        limit: usize,
        commit: u64,
    ) -> Result<LogPage, NodeError> {
        self.on_worker(move |reader| {
            let logs = StoreLogs::new(reader.log_store().clone());
            Ok(logs.read_before(keys::log(run, id), offset, limit, commit)?)
        })
        .await
    }

    /// How many lines of an attempt's log were written before the commit of a number: the offset of the
    /// first later one.
    ///
    /// # Errors
    /// When the store cannot be read. An attempt that does not exist has none.
    pub async fn lines_before(
        &self,
        run: RunId,
        id: Identity,
        commit: u64,
    ) -> Result<u64, NodeError> {
        self.on_worker(move |reader| {
            let logs = StoreLogs::new(reader.log_store().clone());
            Ok(logs.count_before(keys::log(run, id), commit)?)
        })
        .await
    }

    /// The number of the next commit of log lines: all that is durable by now was written before it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn next_log_commit(&self) -> Result<u64, NodeError> {
        self.on_worker(|reader| {
            let commits = LogCommits::load(reader.log_store().as_ref())?;
            Ok(commits.next().count())
        })
        .await
    }
}
