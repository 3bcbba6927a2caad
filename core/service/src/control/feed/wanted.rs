use super::super::objects::labels_fit;
use super::super::short;
use crate::refusal;
use conveyor_proto::storage::v1::stored_event::What;
use conveyor_proto::storage::v1::{StoredEvent, StoredObjectKind};
use conveyor_proto::v1;
use std::collections::BTreeMap;
use std::sync::Arc;
use tonic::Status;

/// The most states of a filter: as many as there are.
const STATES: usize = 10;

/// Which events a reader wants.
pub(super) struct Wanted {
    namespace: Option<Arc<str>>,
    labels: BTreeMap<String, String>,
    pipeline: String,
    states: Vec<i32>,
}

impl Wanted {
    pub(super) fn of(
        namespace: Option<String>,
        request: &v1::WatchEventsRequest,
    ) -> Result<Wanted, Status> {
        labels_fit("/labels", &request.labels)?;
        short("pipeline", &request.pipeline, 63)?;
        if request.states.len() > STATES {
            let states = request.states.len();
            return Err(refusal::limit("/states", "states", states, STATES));
        }
        let states = refusal::states(&request.states)?;
        Ok(Wanted {
            namespace: namespace.map(Arc::from),
            labels: request.labels.clone(),
            pipeline: request.pipeline.clone(),
            states: states.iter().map(|state| state.code().into()).collect(),
        })
    }

    pub(super) fn namespace(&self) -> Option<Arc<str>> {
        self.namespace.clone()
    }

    pub(super) fn fits(&self, event: &StoredEvent) -> bool {
        if self
            .namespace
            .as_ref()
            .is_some_and(|own| **own != *event.namespace)
        {
            return false;
        }
        let (labels, pipeline, state) = match &event.what {
            Some(What::Run(told)) => {
                let Some(run) = &told.run else { return false };
                (&run.labels, Some(&run.pipeline), Some(told.to))
            }
            Some(What::Object(object)) => {
                let pipeline = object.kind() == StoredObjectKind::Pipeline;
                (&object.labels, pipeline.then_some(&object.name), None)
            }
            None => return false,
        };
        (self.pipeline.is_empty() || pipeline == Some(&self.pipeline))
            && (self.states.is_empty() || state.is_some_and(|state| self.states.contains(&state)))
            && self
                .labels
                .iter()
                .all(|(key, value)| labels.get(key) == Some(value))
    }
}
