use super::Reader;
use crate::error::NodeError;
use crate::id::RunId;
use crate::{keys, stored};
use conveyor_engine::run::RunState;
use conveyor_engine::time::Time;
use conveyor_engine::value::Hash;
use conveyor_proto::storage::v1::{RecordKind, RunSummary};
use conveyor_store::{Bytes, Direction, KeyRange};
use std::collections::BTreeMap;

/// Rows that one call reads at most while it looks for those that fit: 10,000.
const LOOKED_AT: usize = 10_000;

/// How far the clock of a client that makes its runs' ids itself may be before the engine's, in
/// milliseconds: 10 minutes.
const AHEAD_MS: u64 = 10 * 60 * 1000;
/// How much older than its run an id may be, in milliseconds: a day. A client makes it before its first try,
/// a change of a Resource when it happens; the run comes when the engine can be reached, or is up again.
const BEHIND_MS: u64 = 24 * 60 * 60 * 1000;

/// Which runs are listed. Empty fits all.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only of this namespace.
    pub namespace: Option<String>,
    /// Only of this pipeline.
    pub pipeline: Option<String>,
    /// Only in one of these states, if there are any.
    pub states: Vec<RunState>,
    /// Only those that nobody moves (`true`), or only others.
    pub interrupted: Option<bool>,
    /// Only with all of these labels.
    pub labels: BTreeMap<String, String>,
    /// Only those accepted at or after this instant, and with an id that is at most a day older.
    pub created_from: Option<Time>,
    /// Only those accepted before this instant, and with an id that is from at most 10 minutes after it.
    pub created_before: Option<Time>,
}

/// A run's row, as listings show it.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRow {
    /// The run.
    pub id: RunId,
    /// Its stored row.
    pub row: RunSummary,
    /// Whether it has not ended and nobody here moves it.
    pub interrupted: bool,
}

/// A part of a listing.
#[derive(Clone, Debug, Default)]
pub struct RunPage {
    /// The runs, newest first.
    pub rows: Vec<RunRow>,
    /// Where the next part begins: `before` of the next call. `None` after the last.
    pub next: Option<RunId>,
}

impl RunRow {
    /// The run's state.
    #[must_use]
    pub fn state(&self) -> RunState {
        let state = u8::try_from(self.row.state)
            .ok()
            .and_then(RunState::from_code);
        state.unwrap_or(RunState::Queued)
    }

    /// When it was accepted.
    #[must_use]
    pub fn created(&self) -> Time {
        Time(self.row.created_ms)
    }

    /// The digest of its document.
    #[must_use]
    pub fn document(&self) -> Option<Hash> {
        Some(Hash(self.row.document.as_ref().try_into().ok()?))
    }
}

impl Reader {
    pub(super) fn row(&self, id: RunId, row: RunSummary) -> RunRow {
        let mut row = RunRow {
            id,
            row,
            interrupted: false,
        };
        let state = row.state();
        row.interrupted =
            !state.is_terminal() && state != RunState::Quarantined && !self.held().contains(id);
        row
    }

    pub(super) fn page(
        &self,
        filter: &Filter,
        before: Option<RunId>,
        limit: usize,
    ) -> Result<RunPage, NodeError> {
        let mut range = filter.range();
        if let Some(before) = before {
            let before: Bytes = keys::summary(before).into();
            range.end = Some(range.end.map_or(before.clone(), |end| end.min(before)));
        }
        let mut page = RunPage::default();
        let mut looked = 0;
        let mut rest = (limit > 0).then_some(range);
        while let Some(range) = rest {
            let part = self
                .store()
                .scan(&range, Direction::Reverse, limit.clamp(1, 1000))?;
            for (key, value) in &part.entries {
                let id = keys::run_of(key)
                    .ok_or_else(|| NodeError::Corrupt("a row's key names no run".into()))?;
                let row = self.row(id, stored::decode(RecordKind::RunSummary, value)?);
                looked += 1;
                if filter.fits(&row) {
                    page.rows.push(row);
                }
                if page.rows.len() == limit || looked == LOOKED_AT {
                    page.next = Some(id);
                    return Ok(page);
                }
            }
            rest = part.rest(&range, Direction::Reverse);
        }
        Ok(page)
    }
}

impl Filter {
    /// The keys among which all lie that fit: ids sort by the time at which they were made, so that of a
    /// long history only what is around the instants is read.
    fn range(&self) -> KeyRange {
        let mut range = KeyRange::prefix(keys::summaries());
        if let Some(from) = self.created_from {
            range.start = keys::summary(RunId::first_of(from.0.saturating_sub(BEHIND_MS))).into();
        }
        if let Some(before) = self.created_before {
            let end = keys::summary(RunId::first_of(before.0.saturating_add(AHEAD_MS)));
            range.end = Some(end.into());
        }
        range
    }

    fn fits(&self, row: &RunRow) -> bool {
        self.namespace
            .as_ref()
            .is_none_or(|wanted| *wanted == row.row.namespace)
            && self
                .pipeline
                .as_ref()
                .is_none_or(|wanted| *wanted == row.row.pipeline)
            && (self.states.is_empty() || self.states.contains(&row.state()))
            && self
                .interrupted
                .is_none_or(|wanted| wanted == row.interrupted)
            && self.created_from.is_none_or(|from| row.created() >= from)
            && self
                .created_before
                .is_none_or(|before| row.created() < before)
            && self
                .labels
                .iter()
                .all(|(name, value)| row.row.labels.get(name) == Some(value))
    }
}
