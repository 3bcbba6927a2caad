//! One step.

use super::Compiler;
use super::draft::{Draft, Given};
use super::fields::{Fields, Object, STEP_ID};
use super::place::Place;
use super::policy::Policy;
use crate::plan::types::{
    AllowFailure, Fan, GRACE, Needs, OutputDeclaration, Retry, Step, StepIndex, Timeouts, When,
};
use crate::source::{Content, Node, Path, Problem};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) const STEP: Fields = Fields {
    known: &[
        "id",
        "name",
        "driver",
        "transform",
        "wait",
        "needs",
        "when",
        "matrix",
        "foreach",
        "action",
        "with",
        "retry",
        "timeouts",
        "grace",
        "allow_failure",
        "outputs",
        "secrets",
    ],
    later: &[
        "approval",
        "pipeline",
        "cache",
        "queue",
        "requires",
        "prefers",
        "sticky",
        "rate_limit",
        "locks",
        "artifacts",
    ],
};
const OUTPUT: Fields = Fields::of(&["schema", "default"]);

impl<'n> Compiler<'_, '_, 'n> {
    /// Reads the ids of a list of steps, so that every later check knows them all.
    pub(super) fn ids(
        &mut self,
        items: &'n [Node],
        path: &Path<'_>,
        finally: bool,
        drafts: &mut Vec<Draft<'n>>,
    ) {
        for (place, node) in items.iter().enumerate() {
            let path = path.index(place);
            let index = drafts.len() as StepIndex;
            drafts.push(Draft {
                node,
                finally,
                place,
                index,
                has_needs: node.get("needs").is_some(),
                parents: Vec::new(),
                parents_known: true,
                fan: node.get("matrix").is_some() || node.get("foreach").is_some(),
                given: Given::Unknown,
                step: None,
            });
            let Some(object) = self.map(node, &path) else {
                continue;
            };
            let Some(id_node) = self.required(&object, &path, "id") else {
                continue;
            };
            let most = ("id_bytes", self.limits.id_bytes);
            let Some(id) = self.name(id_node, &path.key("id"), &STEP_ID, most) else {
                continue;
            };
            match self.index.get(id) {
                None => {
                    self.index.insert(id.into(), index);
                }
                Some(first) => {
                    let first = drafts[*first as usize]
                        .node
                        .get("id")
                        .map_or(0, |node| node.at);
                    let message = format!("the step id {id:?} is not unique");
                    let problem = Problem::on(id_node, &path.key("id"), message);
                    self.report
                        .error(problem.related(first, "the first step of this id"));
                }
            }
        }
    }

    /// Compiles a step into its draft.
    pub(super) fn step(&mut self, draft: &mut Draft<'n>, path: &Path<'_>, defaults: &Policy) {
        if draft.node.as_map().is_none() {
            return; // said already, with the ids
        }
        let before = self.report.errors();
        let Some(object) = self.object(draft.node, path, &STEP) else {
            return;
        };
        let kind_name = self.kind_name(&object, path);
        if let Some(kind) = kind_name {
            self.fits(&object, path, kind);
        }
        let item = Self::item(&object);
        let item = item.as_ref();
        let place = Place::step(draft.index, draft.finally, item);
        let outer = Place::step(draft.index, draft.finally, None);
        let name = object.get("name").and_then(|node| {
            self.short_text(
                node,
                &path.key("name"),
                "name_bytes",
                self.limits.name_bytes,
            )
        });
        let needs = self.step_needs(draft, &object, path);
        let when = object.get("when").and_then(|node| {
            let condition = self.condition(node, &path.key("when"), &place)?;
            let per_instance = item.is_some_and(|item| item.is_named(condition.references()));
            Some(When {
                condition,
                per_instance,
            })
        });
        let fan: Option<Fan> = self.fan(&object, path, &outer).unwrap_or_default();
        let is_wait = kind_name == Some("wait");
        let is_driver = kind_name == Some("driver");
        let retry = object.get("retry").and_then(|node| {
            let place = Place::retry(draft.finally, item);
            self.retry(node, &path.key("retry"), &place)
        });
        let timeouts = object
            .get("timeouts")
            .and_then(|node| self.timeouts(node, &path.key("timeouts"), is_wait));
        let grace = object
            .get("grace")
            .and_then(|node| self.duration(node, &path.key("grace")))
            .unwrap_or(GRACE);
        let allow_failure =
            self.allow_failure(&object, path, &Place::allow_failure(draft.finally, item));
        let outputs = self.output_declarations(&object, path);
        let with_place = Place::with(draft.index, draft.finally, item);
        let kind =
            kind_name.and_then(|kind| self.kind(kind, draft, &object, path, &place, &with_place));
        if let (Given::Unknown, false) = (&draft.given, outputs.is_empty()) {
            let declared = object
                .get("outputs")
                .and_then(Node::as_map)
                .unwrap_or_default();
            draft.given = Given::Declared(declared.iter().map(|entry| &*entry.key).collect());
        }
        if self.report.errors() > before {
            return;
        }
        let (Some(kind), Some(needs)) = (kind, needs) else {
            return;
        };
        let definition = defaults.definition(draft.node, kind_name.unwrap_or_default());
        let retry: Option<Retry> = match (is_driver, retry, &defaults.retry) {
            (false, _, _) | (true, None, None) => None,
            (true, own, below) => Some(own.unwrap_or_default().over(below.as_ref()).finish()),
        };
        let mut layer = timeouts
            .unwrap_or_default()
            .over(defaults.timeouts.as_ref());
        if is_wait {
            layer = layer.only_total();
        }
        let timeouts = if is_wait || is_driver {
            layer.finish()
        } else {
            Timeouts::default()
        };
        draft.step = Some(Step {
            id: draft.id().into(),
            name: name.map(Arc::from),
            finally: draft.finally,
            kind,
            needs,
            parents: Vec::new(),
            children: Vec::new(),
            handlers: Vec::new(),
            when,
            fan,
            retry,
            timeouts,
            grace,
            allow_failure,
            outputs,
            pointer: path.to_string().into(),
            definition,
        });
    }

    fn step_needs(
        &mut self,
        draft: &mut Draft<'n>,
        object: &Object<'n>,
        path: &Path<'_>,
    ) -> Option<Needs> {
        let Some(entry) = object.entry("needs") else {
            return Some(Needs::All);
        };
        let path = path.key("needs");
        if draft.finally {
            let message = "a `finally` step has no `needs`: it waits for all other steps";
            let problem = Problem::new(entry.at, message.to_owned());
            self.report.error(Problem {
                pointer: path.to_string(),
                ..problem
            });
            return None;
        }
        let (needs, parents) = self.needs(&entry.value, &path, draft.index);
        draft.parents = parents;
        draft.parents_known = needs.is_some();
        needs
    }

    fn allow_failure(
        &mut self,
        object: &Object<'n>,
        path: &Path<'_>,
        place: &Place<'_>,
    ) -> AllowFailure {
        let Some(node) = object.get("allow_failure") else {
            return AllowFailure::Never;
        };
        match &node.content {
            Content::Bool(true) => AllowFailure::Always,
            Content::Bool(false) => AllowFailure::Never,
            _ => self
                .condition(node, &path.key("allow_failure"), place)
                .map_or(AllowFailure::Never, AllowFailure::If),
        }
    }

    fn output_declarations(
        &mut self,
        object: &Object<'n>,
        path: &Path<'_>,
    ) -> BTreeMap<Arc<str>, OutputDeclaration> {
        let path = path.key("outputs");
        let mut out = BTreeMap::new();
        let Some(map) = object.get("outputs").and_then(|node| self.map(node, &path)) else {
            return out;
        };
        for entry in map.entries {
            let path = path.key(&entry.key);
            let Some(object) = self.object(&entry.value, &path, &OUTPUT) else {
                continue;
            };
            let checked = match object.get("schema") {
                None => None,
                Some(node) => match self.schemas.output(node, &path.key("schema"), self.report) {
                    Some(schema) => Some(schema),
                    None => continue,
                },
            };
            let default = object
                .get("default")
                .map(|node| (node, Arc::new(node.to_json())));
            if let (Some(schema), Some((node, json))) = (&checked, &default)
                && let Err(violations) = schema.check(json)
            {
                let message = format!("the default does not satisfy its schema: {}", violations[0]);
                self.report
                    .error(Problem::on(node, &path.key("default"), message));
            }
            out.insert(
                Arc::from(&*entry.key),
                OutputDeclaration {
                    schema: checked.as_ref().map(|schema| schema.json()),
                    default: default.map(|(_, json)| json),
                    checked,
                },
            );
        }
        out
    }
}
