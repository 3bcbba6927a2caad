//! Which runs a change of a Resource starts: decided before the change is made, and made durable with
//! it.

use super::happened::Happened;
use super::{JOINT, digest};
use crate::error::NodeError;
use crate::objects::{self, Changes, ListObjects, Row};
use crate::plans::Plans;
use conveyor_engine::plan::{Plan, Trigger};
use conveyor_engine::planted;
use conveyor_engine::value::Hash;
use conveyor_proto::storage::v1::{
    StoredChange, StoredFiring, StoredPipeline, StoredTriggers, StoredUse,
};
use conveyor_store::Store;
use std::collections::BTreeSet;

/// Pipelines that are read together.
const PAGE: usize = 500;

/// What a change starts.
#[derive(Clone, Debug, Default)]
pub struct Decided {
    /// The row that says so, under its name; `None` where it starts nothing.
    pub change: Option<(String, StoredChange)>,
    /// The pipelines that refuse.
    pub refused: Vec<Refused>,
}

/// A pipeline that is not started, though the change is one of those that start it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Which.
    pub pipeline: String,
    /// By which of its triggers; empty for the Resource's own `pipeline`.
    pub trigger: String,
    /// A sentence that says why.
    pub why: String,
}

impl Decided {
    /// Ids of the runs.
    #[must_use]
    pub fn runs(&self) -> Vec<String> {
        let firings = self.change.iter().flat_map(|(_, change)| &change.firings);
        firings.map(|firing| firing.run.clone()).collect()
    }
}

/// A pipeline that may start.
struct Candidate {
    pipeline: String,
    digest: Hash,
    /// Whether the Resource itself names it.
    own: bool,
}

/// Which runs a change starts. Adds the row that says so to the changes, and the condition that the
/// pipelines are what they were. `may` says whether a plan can be run here at all.
pub(super) fn decide(
    (store, plans): (&dyn Store, &Plans),
    may: &dyn Fn(&Plan) -> Result<(), String>,
    happened: &Happened,
    changes: &mut Changes,
) -> Result<Decided, NodeError> {
    let mut decided = Decided::default();
    let candidates = candidates(store, happened, changes, &mut decided.refused)?;
    let mut firings: Vec<StoredFiring> = Vec::new();
    let mut started = BTreeSet::new();
    for candidate in &candidates {
        let pipeline = candidate.pipeline.as_str();
        // One of its triggers has started it for this very change.
        if candidate.own && started.contains(pipeline) {
            continue;
        }
        let plan = plans.get(store, &candidate.digest)?;
        let fits = |trigger: &&Trigger| {
            *trigger.definition == *happened.definition && trigger.events.contains(&happened.event)
        };
        let triggers: Vec<_> = match candidate.own {
            true => vec![None],
            false => plan.triggers.iter().filter(fits).map(Some).collect(),
        };
        for trigger in triggers {
            let id = trigger.map_or("", |trigger| &*trigger.id);
            match may(&plan).and_then(|()| happened.inputs(&plan, trigger)) {
                Ok(None) => {}
                Ok(Some(_)) => {
                    started.insert(pipeline);
                    firings.push(StoredFiring {
                        run: happened.run(pipeline, id).to_string(),
                        digest: candidate.digest.0.to_vec().into(),
                        trigger: id.to_owned(),
                    });
                }
                Err(why) => decided.refused.push(refused(pipeline, id, why)),
            }
        }
    }
    if !firings.is_empty() {
        let change = StoredChange {
            namespace: happened.namespace.clone(),
            definition: happened.definition.clone(),
            name: happened.name.clone(),
            version: happened.version,
            event: happened.event.as_str().to_owned(),
            time_ms: happened.time_ms,
            firings,
        };
        let name = happened.row_name();
        if !planted!(FiringsUnstored) {
            changes.put("", &name, &change, None);
        }
        decided.change = Some((name, change));
    }
    Ok(decided)
}

/// The pipelines that a change may start.
fn candidates(
    store: &dyn Store,
    happened: &Happened,
    changes: &mut Changes,
    refusals: &mut Vec<Refused>,
) -> Result<Vec<Candidate>, NodeError> {
    let namespace = happened.namespace.as_str();
    let mut candidates = Vec::new();
    let prefix = format!("{}{JOINT}", happened.definition);
    let mut list = ListObjects {
        namespace: namespace.to_owned(),
        prefix: prefix.clone(),
        limit: PAGE,
        ..ListObjects::default()
    };
    loop {
        let page = objects::list::<StoredTriggers>(store, &list)?;
        for (name, row) in &page.rows {
            if !planted!(TriggersUnguarded) {
                changes.keep(namespace, name, row);
            }
            candidates.push(Candidate {
                pipeline: name[prefix.len()..].to_owned(),
                digest: digest(&row.value.digest)?,
                own: false,
            });
        }
        list.after = page.next;
        if list.after.is_none() {
            break;
        }
    }
    let own = happened.new.as_ref().map(|new| new.pipeline.as_str());
    if let Some(own) = own.filter(|own| !own.is_empty()) {
        match objects::get::<StoredPipeline>(store, namespace, own)? {
            Some(row) => {
                changes.keep(namespace, own, &row);
                candidates.push(Candidate {
                    digest: digest(&row.value.digest)?,
                    pipeline: own.to_owned(),
                    own: true,
                });
            }
            None => {
                let why = "there is no such pipeline in the namespace";
                refusals.push(refused(own, "", why.to_owned()));
            }
        }
    }
    Ok(candidates)
}

fn refused(pipeline: &str, trigger: &str, why: String) -> Refused {
    Refused {
        pipeline: pipeline.to_owned(),
        trigger: trigger.to_owned(),
        why,
    }
}

/// Keeps the rows by which changes of Resources find a pipeline: `was` before, `stored` from now on.
///
/// # Errors
/// When the store cannot be read.
pub fn keep_triggers(
    store: &dyn Store,
    (namespace, pipeline): (&str, &str),
    was: Option<&Row<StoredPipeline>>,
    stored: Option<&StoredPipeline>,
    changes: &mut Changes,
) -> Result<(), NodeError> {
    let before = was.map_or(&[][..], |was| &was.value.definitions);
    let after = stored.map_or(&[][..], |stored| &stored.definitions);
    let all: BTreeSet<&String> = before.iter().chain(after).collect();
    for definition in all {
        let key = format!("{definition}{JOINT}{pipeline}");
        let row = objects::get::<StoredTriggers>(store, namespace, &key)?;
        match (stored.filter(|_| after.contains(definition)), &row) {
            (Some(stored), _) => {
                let triggers = StoredTriggers {
                    digest: stored.digest.clone(),
                };
                changes.put(namespace, &key, &triggers, row.as_ref());
                if row.is_none() {
                    others(store, namespace, definition, changes)?;
                }
            }
            (None, Some(row)) => {
                changes.delete(namespace, &key, row);
                others(store, namespace, definition, changes)?;
            }
            (None, None) => {}
        }
    }
    Ok(())
}

/// Other pipelines than before are started by changes of a definition's Resources.
fn others(
    store: &dyn Store,
    namespace: &str,
    definition: &str,
    changes: &mut Changes,
) -> Result<(), NodeError> {
    let used = objects::get::<StoredUse>(store, namespace, definition)?;
    let before = used.as_ref().map(|used| used.value).unwrap_or_default();
    let next = StoredUse {
        pipelines: before.pipelines + 1,
        ..before
    };
    changes.put(namespace, definition, &next, used.as_ref());
    Ok(())
}
