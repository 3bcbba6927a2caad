//! Which runs a change of a Resource starts: decided before the change is made, and made durable with
//! it.

use super::super::{ControlHandlers, check, refuse};
use super::JOINT;
use crate::refusal;
use crate::stack::on_stack;
use conveyor_engine::expr::Scope;
use conveyor_engine::plan::{Plan, ResourceEvent, Trigger};
use conveyor_engine::time::Time;
use conveyor_engine::value::{Hash, Json, parse_json};
use conveyor_node::RunId;
use conveyor_node::objects::{Changes, ListObjects};
use conveyor_proto::storage::v1::{
    StoredChange, StoredFiring, StoredPipeline, StoredResourceVersion, StoredTriggers,
};
use conveyor_proto::v1;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use tonic::Status;

/// Pipelines that are read together.
const PAGE: usize = 500;

/// A change of a Resource that is about to be made, or was.
#[derive(Clone, Debug)]
pub(super) struct Happened {
    pub(super) namespace: String,
    pub(super) definition: String,
    pub(super) name: String,
    /// The version that it makes; for a removal, the last one.
    pub(super) version: u64,
    pub(super) event: ResourceEvent,
    pub(super) time_ms: u64,
    pub(super) new: Option<StoredResourceVersion>,
    pub(super) old: Option<StoredResourceVersion>,
}

/// What a change starts.
pub(super) struct Decided {
    /// The row that says so, under its name; `None` where it starts nothing.
    pub(super) change: Option<(String, StoredChange)>,
    /// The pipelines that refuse.
    pub(super) refused: Vec<v1::Diagnostic>,
}

impl Decided {
    /// Ids of the runs.
    pub(super) fn runs(&self) -> Vec<String> {
        let firings = self.change.iter().flat_map(|(_, change)| &change.firings);
        firings.map(|firing| firing.run.clone()).collect()
    }

    /// What refuses is in the log too: whoever made the change may not be who looks after pipelines.
    pub(super) fn warn(&self) {
        for refused in &self.refused {
            tracing::warn!(reason = %refused.message, "a change of a resource did not start a run");
        }
    }
}

/// What `when` and `inputs` of a trigger see.
struct Seen {
    new: Arc<Json>,
    old: Arc<Json>,
    event: Arc<Json>,
}

impl Scope for Seen {
    fn root(&self, name: &str) -> Option<Arc<Json>> {
        match name {
            "new" => Some(Arc::clone(&self.new)),
            "old" => Some(Arc::clone(&self.old)),
            "event" => Some(Arc::clone(&self.event)),
            _ => None,
        }
    }

    fn step(&self, _: &str) -> Option<Arc<Json>> {
        None
    }

    fn need(&self, _: &str) -> Option<Arc<Json>> {
        None
    }
}

impl Happened {
    /// A version as expressions see it; null for none.
    fn object(&self, version: u64, stored: Option<&StoredResourceVersion>) -> Json {
        let Some(stored) = stored else {
            return Json::Null;
        };
        object(
            (&self.namespace, &self.definition, &self.name),
            version,
            stored,
        )
    }

    /// What the runs see as `resource`: what the change left, or removed.
    pub(super) fn resource(&self) -> Json {
        self.object(self.version, self.new.as_ref().or(self.old.as_ref()))
    }

    /// What the runs of a trigger see as `event`.
    pub(super) fn event(&self, trigger: &str) -> Json {
        let previous = match self.event {
            ResourceEvent::Updated => json!(self.version - 1),
            ResourceEvent::Created | ResourceEvent::Deleted => Json::Null,
        };
        json!({
            "type": self.event.as_str(),
            "trigger": trigger,
            "time": Time(self.time_ms).to_string(),
            "version": self.version,
            "previous_version": previous,
        })
    }

    /// The inputs of the run that a trigger starts: `None` where its `when` says no. Without a
    /// trigger, those of a run that the Resource's own `pipeline` names.
    ///
    /// # Errors
    /// A sentence that says why the run cannot be.
    pub(super) fn inputs(
        &self,
        plan: &Plan,
        trigger: Option<&Trigger>,
    ) -> Result<Option<Json>, String> {
        let given = match trigger {
            None => Json::Object(serde_json::Map::new()),
            Some(trigger) => {
                let new = self.object(self.version, self.new.as_ref());
                let before = match self.event {
                    ResourceEvent::Deleted => self.version,
                    ResourceEvent::Created | ResourceEvent::Updated => self.version - 1,
                };
                let seen = Seen {
                    new: Arc::new(new),
                    old: Arc::new(self.object(before, self.old.as_ref())),
                    event: Arc::new(self.event(&trigger.id)),
                };
                if let Some(when) = &trigger.when
                    && !when
                        .evaluate(&seen)
                        .map_err(|error| format!("when: {error}"))?
                {
                    return Ok(None);
                }
                match &trigger.inputs {
                    None => Json::Object(serde_json::Map::new()),
                    Some(inputs) => inputs
                        .evaluate(&seen)
                        .map_err(|error| format!("inputs: {error}"))?,
                }
            }
        };
        let inputs = plan.resolve_inputs(&given).map_err(|found| {
            let one = |found: &conveyor_engine::plan::Violation| match found.pointer.as_str() {
                "" => format!("inputs: {}", found.message),
                pointer => format!("inputs {pointer}: {}", found.message),
            };
            found.iter().map(one).collect::<Vec<_>>().join("; ")
        })?;
        Ok(Some(inputs))
    }

    /// The run that a trigger of a pipeline starts for this change, and no other run: deciding again
    /// gives it again.
    fn run(&self, pipeline: &str, trigger: &str) -> RunId {
        let version = self.version.to_string();
        let parts = [
            &self.namespace,
            &self.definition,
            &self.name,
            version.as_str(),
            self.event.as_str(),
            pipeline,
            trigger,
        ];
        RunId::derived(Time(self.time_ms), parts.join("\0").as_bytes())
    }

    fn row_name(&self) -> String {
        let (version, event) = (format!("{:020}", self.version), self.event.as_str());
        let parts = [
            &self.namespace,
            &self.definition,
            &self.name,
            version.as_str(),
            event,
        ];
        parts.join(&JOINT.to_string())
    }
}

/// A version of a Resource as expressions and drivers see it.
pub(in super::super) fn object(
    (namespace, definition, name): (&str, &str, &str),
    version: u64,
    stored: &StoredResourceVersion,
) -> Json {
    json!({
        "namespace": namespace,
        "definition": definition,
        "name": name,
        "version": version,
        "labels": stored.labels,
        "annotations": stored.annotations,
        // It was one when it was stored.
        "spec": parse_json(&stored.spec).unwrap_or_default(),
    })
}

/// A pipeline that may start.
struct Candidate {
    pipeline: String,
    digest: Hash,
    /// Whether the Resource itself names it.
    own: bool,
}

impl ControlHandlers {
    /// Which runs a change starts. Adds the row that says so to the changes, and the condition that
    /// the pipelines are what they were.
    pub(super) async fn decide(
        &self,
        happened: &Happened,
        changes: &mut Changes,
    ) -> Result<Decided, Status> {
        let mut refused = Vec::new();
        let mut candidates = Vec::new();
        let prefix = format!("{}{JOINT}", happened.definition);
        let mut list = ListObjects {
            namespace: happened.namespace.clone(),
            prefix: prefix.clone(),
            limit: PAGE,
            ..ListObjects::default()
        };
        loop {
            let page = self.reader.objects::<StoredTriggers>(list.clone()).await;
            let page = page.map_err(refuse)?;
            for (name, row) in &page.rows {
                changes.keep(&happened.namespace, name, row);
                candidates.push(Candidate {
                    pipeline: name[prefix.len()..].to_owned(),
                    digest: hash(&row.value.digest)?,
                    own: false,
                });
            }
            list.after = page.next;
            if list.after.is_none() {
                break;
            }
        }
        let own = happened.new.as_ref().map(|new| new.pipeline.clone());
        if let Some(own) = own.filter(|own| !own.is_empty()) {
            let row = self
                .reader
                .object::<StoredPipeline>(&happened.namespace, &own);
            match row.await.map_err(refuse)? {
                Some(row) => {
                    changes.keep(&happened.namespace, &own, &row);
                    candidates.push(Candidate {
                        digest: hash(&row.value.digest)?,
                        pipeline: own,
                        own: true,
                    });
                }
                None => {
                    let why = "there is no such pipeline in the namespace";
                    refused.push(refusal_of(&own, "", why));
                }
            }
        }
        let mut decided = Decided {
            change: None,
            refused,
        };
        if candidates.is_empty() {
            return Ok(decided);
        }
        let (handlers, of) = (self.clone(), happened.clone());
        let (firings, more) = on_stack(move || handlers.firings(&of, &candidates)).await??;
        decided.refused.extend(more);
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
            changes.put("", &name, &change, None);
            decided.change = Some((name, change));
        }
        Ok(decided)
    }

    /// Asks each pipeline. On a stack of the engine's size.
    fn firings(
        &self,
        happened: &Happened,
        candidates: &[Candidate],
    ) -> Result<(Vec<StoredFiring>, Vec<v1::Diagnostic>), Status> {
        let mut firings: Vec<StoredFiring> = Vec::new();
        let mut refused = Vec::new();
        let mut started = BTreeSet::new();
        for candidate in candidates {
            let pipeline = candidate.pipeline.as_str();
            // One of its triggers has started it for this very change.
            if candidate.own && started.contains(pipeline) {
                continue;
            }
            let store = self.reader.store();
            let plan = self.reader.plans().get(store.as_ref(), &candidate.digest);
            let plan = plan.map_err(refuse)?;
            let fits = |trigger: &&Trigger| {
                *trigger.definition == *happened.definition
                    && trigger.events.contains(&happened.event)
            };
            let triggers: Vec<_> = match candidate.own {
                true => vec![None],
                false => plan.triggers.iter().filter(fits).map(Some).collect(),
            };
            for trigger in triggers {
                let id = trigger.map_or("", |trigger| &*trigger.id);
                let missing = check::drivers(&self.about, &plan, None);
                let inputs = match missing {
                    Ok(()) => happened.inputs(&plan, trigger),
                    Err(status) => Err(status.message().to_owned()),
                };
                match inputs {
                    Ok(None) => {}
                    Ok(Some(_)) => {
                        started.insert(pipeline);
                        firings.push(StoredFiring {
                            run: happened.run(pipeline, id).to_string(),
                            digest: candidate.digest.0.to_vec().into(),
                            trigger: id.to_owned(),
                        });
                    }
                    Err(why) => refused.push(refusal_of(pipeline, id, &why)),
                }
            }
        }
        Ok((firings, refused))
    }
}

fn hash(digest: &[u8]) -> Result<Hash, Status> {
    let digest = digest.try_into().map(Hash);
    digest.map_err(|_| Status::data_loss("a digest has 32 bytes"))
}

/// Why a pipeline is not started.
fn refusal_of(pipeline: &str, trigger: &str, why: &str) -> v1::Diagnostic {
    let by = match trigger {
        "" => "by the Resource's `pipeline`".to_owned(),
        trigger => format!("by its trigger `{trigger}`"),
    };
    let message = format!("the pipeline `{pipeline}` is not started {by}: {why}");
    v1::Diagnostic {
        severity: v1::Severity::Warning.into(),
        ..refusal::input(String::new(), message, "trigger")
    }
}
