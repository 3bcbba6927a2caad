//! `spec.triggers`: what starts runs of a stored pipeline.

use super::Compiler;
use super::fields::{DRIVER, Fields, Object, STEP_ID};
use super::place::Place;
use crate::plan::types::{ResourceEvent, Trigger};
use crate::source::{Node, Path, Problem};
use std::collections::BTreeSet;
use std::sync::Arc;

const TRIGGER: Fields = Fields {
    known: &["id", "resource"],
    later: &["webhook", "schedule", "event", "inputs"],
};
const RESOURCE: Fields = Fields::of(&["definition", "events", "when", "inputs"]);
/// The most triggers of a pipeline.
const TRIGGERS: usize = 100;
const EVENTS: [(&str, ResourceEvent); 3] = [
    ("created", ResourceEvent::Created),
    ("updated", ResourceEvent::Updated),
    ("deleted", ResourceEvent::Deleted),
];

impl<'n> Compiler<'_, '_, 'n> {
    /// The triggers; those without a definition mean `spec.resource`.
    pub(super) fn triggers(
        &mut self,
        spec: &Object<'n>,
        path: &Path<'_>,
        resource: Option<&str>,
    ) -> Vec<Trigger> {
        let path = path.key("triggers");
        let Some(node) = spec.get("triggers") else {
            return Vec::new();
        };
        let Some(items) = self.list(node, &path) else {
            return Vec::new();
        };
        if items.len() > TRIGGERS {
            let message = format!(
                "the pipeline has {} triggers; the limit `triggers` is {TRIGGERS}",
                items.len()
            );
            self.report.error(Problem::on(node, &path, message));
            return Vec::new();
        }
        // A name that is wrong was reported where it stands.
        let unsaid = spec.get("resource").is_none();
        let mut ids = BTreeSet::new();
        let mut triggers = Vec::new();
        for (at, item) in items.iter().enumerate() {
            let path = path.index(at);
            let trigger = self.trigger(item, &path, (resource, unsaid));
            let Some((node, id)) = item.get("id").and_then(|node| Some((node, node.as_str()?)))
            else {
                continue;
            };
            if !ids.insert(id) {
                let message = format!("there are two triggers `{id}`");
                self.report
                    .error(Problem::on(node, &path.key("id"), message));
            }
            triggers.extend(trigger);
        }
        triggers
    }

    fn trigger(
        &mut self,
        node: &'n Node,
        path: &Path<'_>,
        (resource, unsaid): (Option<&str>, bool),
    ) -> Option<Trigger> {
        let object = self.object(node, path, &TRIGGER)?;
        let id = self.required(&object, path, "id").and_then(|node| {
            let limit = ("id_bytes", self.limits.id_bytes);
            self.name(node, &path.key("id"), &STEP_ID, limit)
        });
        let later = TRIGGER.later.iter().any(|kind| object.get(kind).is_some());
        let Some(node) = object.get("resource") else {
            if !later {
                self.required(&object, path, "resource");
            }
            return None;
        };
        let path = path.key("resource");
        let object = self.object(node, &path, &RESOURCE)?;
        let definition = match object.get("definition") {
            Some(node) => {
                let limit = ("driver_bytes", self.limits.driver_bytes);
                self.name(node, &path.key("definition"), &DRIVER, limit)
            }
            None => {
                if unsaid {
                    let message = "`definition` is missing, and there is no `spec.resource`";
                    self.report.error(Problem::on(node, &path, message));
                }
                resource
            }
        };
        let events = self.events(&object, &path);
        let place = Place::trigger();
        let when = object
            .get("when")
            .map(|node| self.condition(node, &path.key("when"), &place));
        let inputs = object
            .get("inputs")
            .map(|node| self.templates(node, &path.key("inputs"), &place));
        Some(Trigger {
            id: id?.into(),
            definition: definition?.into(),
            events: events?,
            when: match when {
                Some(when) => Some(when?),
                None => None,
            },
            inputs: match inputs {
                Some(inputs) => Some(inputs?),
                None => None,
            },
        })
    }

    fn events(&mut self, object: &Object<'n>, path: &Path<'_>) -> Option<Arc<[ResourceEvent]>> {
        let path = path.key("events");
        let Some(node) = object.get("events") else {
            return Some(Arc::new([ResourceEvent::Created, ResourceEvent::Updated]));
        };
        let items = self.list(node, &path)?;
        if items.is_empty() {
            let problem = Problem::on(node, &path, "`events` is empty");
            self.report.error(problem.allowed("at least one event"));
            return None;
        }
        let mut events = BTreeSet::new();
        for (at, item) in items.iter().enumerate() {
            events.insert(self.choice(item, &path.index(at), &EVENTS)?);
        }
        Some(events.into_iter().collect())
    }
}
