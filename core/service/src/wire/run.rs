//! A run's row.

use conveyor_engine::run::SEMANTICS;
use conveyor_node::RunId;
use conveyor_node::owner::Flaw;
use conveyor_node::reader::RunRow;
use conveyor_proto::{storage, v1};
use std::fmt::Write as _;

/// A run as listings show it: without inputs, outputs and counts.
pub(crate) fn listed(row: &RunRow) -> v1::Run {
    v1::Run {
        state: i32::from(row.state().code()),
        interrupted: row.interrupted,
        ..summary(row.id, &row.row)
    }
}

/// A run as its row tells it.
pub(super) fn summary(id: RunId, stored: &storage::v1::RunSummary) -> v1::Run {
    v1::Run {
        id: id.to_string(),
        namespace: stored.namespace.clone(),
        pipeline: stored.pipeline.clone(),
        digest: hex(&stored.document),
        semantics: SEMANTICS,
        state: stored.state,
        reason: stored.reason.clone(),
        labels: stored.labels.clone(),
        actor: stored.actor.clone(),
        created_ms: stored.created_ms,
        started_ms: stored.started_ms,
        ended_ms: stored.ended_ms,
        warnings: stored.warnings,
        forked_from: stored.forked_from.clone().unwrap_or_default(),
        sequence: stored.sequence,
        resource: stored.resource.clone().map(|resource| v1::ResourceVersion {
            definition: resource.definition,
            name: resource.name,
            version: resource.version,
            spec: Default::default(),
        }),
        ..v1::Run::default()
    }
}

/// Why a run is quarantined.
pub(crate) fn quarantine(mark: &storage::v1::Quarantine) -> v1::Quarantine {
    v1::Quarantine {
        reason: mark.reason.clone(),
        sequence: mark.sequence,
        recorded_digest: mark.recorded_digest,
        folded_digest: mark.folded_digest,
        since_ms: Some(mark.since_ms),
    }
}

/// Why a run would be quarantined by whoever moved it.
pub(crate) fn flaw(flaw: &Flaw) -> v1::Quarantine {
    let (recorded_digest, folded_digest) = flaw.digests.unwrap_or_default();
    v1::Quarantine {
        reason: flaw.reason.clone(),
        sequence: flaw.sequence,
        recorded_digest,
        folded_digest,
        since_ms: None,
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
