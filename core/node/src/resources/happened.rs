//! What a change of a Resource is.

use super::{JOINT, object};
use crate::id::RunId;
use conveyor_engine::expr::Scope;
use conveyor_engine::plan::{Plan, ResourceEvent, Trigger};
use conveyor_engine::planted;
use conveyor_engine::time::Time;
use conveyor_engine::value::Json;
use conveyor_proto::storage::v1::StoredResourceVersion;
use serde_json::json;
use std::sync::Arc;

/// A change of a Resource that is about to be made, or was.
#[derive(Clone, Debug)]
pub struct Happened {
    /// Of which namespace.
    pub namespace: String,
    /// Of which ResourceDefinition.
    pub definition: String,
    /// Of which Resource.
    pub name: String,
    /// The version that it makes; for a removal, the last one.
    pub version: u64,
    /// What it does.
    pub event: ResourceEvent,
    /// When, in Unix milliseconds.
    pub time_ms: u64,
    /// The version that it makes; `None` for a removal.
    pub new: Option<StoredResourceVersion>,
    /// The version before; `None` for a Resource that was not there.
    pub old: Option<StoredResourceVersion>,
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
    pub(super) fn run(&self, pipeline: &str, trigger: &str) -> RunId {
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
        let mut parts = parts.to_vec();
        if planted!(RunIdWithoutTrigger) {
            parts.pop();
        }
        RunId::derived(Time(self.time_ms), parts.join("\0").as_bytes())
    }

    /// Under which name the row lies that says what the change starts.
    pub(super) fn row_name(&self) -> String {
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
