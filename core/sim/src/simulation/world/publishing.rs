//! Pipelines are published, of which changes of Resources start runs.

use super::super::changing::Object;
use super::super::client::{Request, Wish};
use super::super::site::{DEFINITION, NAMESPACE, REVISIONS, Revision};
use super::{Check, World};
use conveyor_engine::time::Duration;
use conveyor_node::objects::{self, Changes};
use conveyor_node::{NodeError, resources};
use conveyor_proto::storage::v1::{StoredDefinition, StoredPipeline};
use conveyor_store::Store;

impl World {
    /// The store has a definition, and each pipeline in its first revision.
    pub(super) fn furnish(&mut self) -> Check {
        let told = |error: NodeError| error.to_string();
        let store = &self.disk.store;
        let mut changes = Changes::new();
        changes.put(NAMESPACE, DEFINITION, &StoredDefinition::default(), None);
        let made = store.commit(changes.transaction());
        made.map_err(|error| error.to_string())?;
        for (at, revision) in REVISIONS.iter().enumerate() {
            let plan = self.plans.share(revision.plan.clone());
            conveyor_node::keep_document(store, &plan.digest, &revision.document).map_err(told)?;
            let first = REVISIONS[..at].iter();
            if !first
                .into_iter()
                .any(|other| other.pipeline == revision.pipeline)
            {
                let changes = publish(store, revision).map_err(told)?;
                let made = store.commit(changes.transaction());
                made.map_err(|error| error.to_string())?;
            }
        }
        self.disk.resources = true;
        Ok(())
    }

    /// Somebody publishes a pipeline while a copy of a change is on its way.
    pub(super) fn publish_soon(&mut self) {
        let revision = self.random.below(REVISIONS.len());
        let at = self.now.after(Duration(self.random.below(20) as u64));
        let wish = Wish::Object(Object::Publish { revision });
        self.requests.push(Request { at, wish });
    }
}

/// Makes a revision of a pipeline the one that changes start.
pub(super) fn publish(store: &dyn Store, revision: &Revision) -> Result<Changes, NodeError> {
    let plan = &revision.plan;
    let was = objects::get::<StoredPipeline>(store, NAMESPACE, revision.pipeline)?;
    let triggered = !plan.triggers.is_empty();
    let stored = StoredPipeline {
        digest: plan.digest.0.to_vec().into(),
        definitions: triggered
            .then(|| DEFINITION.to_owned())
            .into_iter()
            .collect(),
        ..StoredPipeline::default()
    };
    let mut changes = Changes::new();
    let names = (NAMESPACE, revision.pipeline);
    resources::keep_triggers(store, names, was.as_ref(), Some(&stored), &mut changes)?;
    changes.put(NAMESPACE, revision.pipeline, &stored, was.as_ref());
    Ok(changes)
}
