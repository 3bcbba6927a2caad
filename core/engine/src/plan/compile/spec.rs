//! The document's own fields, and `spec`'s.

use super::Compiler;
use super::draft::Draft;
use super::fields::{DRIVER, Fields, OBJECT_NAME, Object};
use super::member::SpecMembers;
use super::place::Place;
use super::policy::Policy;
use crate::expr::Template;
use crate::plan::types::{FailFast, Plan, StepIndex};
use crate::source::{Content, Node, Path, Problem};
use crate::time::Duration;
use crate::value::{Hash, Json};
use std::collections::BTreeMap;
use std::sync::Arc;

const DOCUMENT: Fields = Fields::of(&["apiVersion", "kind", "metadata", "spec"]);
const METADATA: Fields = Fields::of(&["name", "namespace", "labels", "annotations"]);

/// Fields of a Plan on their way there.
struct Metadata {
    /// `None` where it is missing or wrong.
    name: Option<Arc<str>>,
    namespace: Arc<str>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}
const SPEC: Fields = Fields {
    known: &[
        "description",
        "resource",
        "triggers",
        "inputs",
        "vars",
        "secrets",
        "timeout",
        "finally_timeout",
        "fail_fast",
        "defaults",
        "steps",
        "finally",
        "outputs",
    ],
    later: &[
        "idempotency",
        "concurrency",
        "priority",
        "fairness",
        "retention",
    ],
};
const DEFAULTS: Fields = Fields::of(&["timeouts", "retry"]);

/// 63: what a DNS label holds, so that a name can become one.
const OBJECT_BYTES: (&str, usize) = ("object_name_bytes", 63);

/// SEMANTICS 19.
const FINALLY_TIMEOUT: Duration = Duration::secs(600);

impl<'n> Compiler<'_, '_, 'n> {
    pub(super) fn document(&mut self, root: &'n Node, digest: Hash) -> Option<Plan> {
        let path = Path::ROOT;
        let object = self.object(root, &path, &DOCUMENT)?;
        for (key, only) in [("apiVersion", "conveyor/v1"), ("kind", "Pipeline")] {
            if let Some(node) = object.get(key) {
                self.choice(node, &path.key(key), &[(only, ())]);
            }
        }
        let metadata = self.required(&object, &path, "metadata");
        let metadata = metadata.and_then(|node| self.metadata(node, &path.key("metadata")));
        let spec = self.required(&object, &path, "spec");
        let spec = spec.and_then(|node| self.object(node, &path.key("spec"), &SPEC));
        let plan = self.spec(spec?, &path.key("spec"), digest);
        let metadata = metadata?;
        Some(Plan {
            name: metadata.name?,
            namespace: metadata.namespace,
            labels: metadata.labels,
            annotations: metadata.annotations,
            ..plan?
        })
    }

    pub(super) fn required(
        &mut self,
        object: &Object<'n>,
        path: &Path<'_>,
        key: &str,
    ) -> Option<&'n Node> {
        let node = object.get(key);
        if node.is_none() {
            self.report.error(Problem::on(
                object.node,
                path,
                format!("`{key}` is missing"),
            ));
        }
        node
    }

    fn metadata(&mut self, node: &'n Node, path: &Path<'_>) -> Option<Metadata> {
        let object = self.object(node, path, &METADATA)?;
        let name = self.required(&object, path, "name");
        let name =
            name.and_then(|node| self.name(node, &path.key("name"), &OBJECT_NAME, OBJECT_BYTES));
        let namespace = object
            .get("namespace")
            .and_then(|node| self.name(node, &path.key("namespace"), &OBJECT_NAME, OBJECT_BYTES));
        let most = self.limits.label_bytes;
        let labels = self.texts(&object, path, "labels", ("label_bytes", most));
        let most = self.limits.annotation_bytes;
        let annotations = self.texts(&object, path, "annotations", ("annotation_bytes", most));
        Some(Metadata {
            name: name.map(Arc::from),
            namespace: namespace.unwrap_or("default").into(),
            labels,
            annotations,
        })
    }

    fn texts(
        &mut self,
        object: &Object<'n>,
        path: &Path<'_>,
        key: &str,
        (limit, most): (&str, usize),
    ) -> BTreeMap<String, String> {
        let path = path.key(key);
        let Some(map) = object.get(key).and_then(|node| self.map(node, &path)) else {
            return BTreeMap::new();
        };
        if map.entries.len() > self.limits.labels {
            let (count, most) = (map.entries.len(), self.limits.labels);
            let message = format!("`{key}` has {count} entries; the limit `labels` is {most}");
            self.report.error(Problem::on(map.node, &path, message));
        }
        let mut out = BTreeMap::new();
        for entry in map.entries {
            let path = path.key(&entry.key);
            if entry.key.is_empty() || entry.key.len() > self.limits.label_bytes {
                let message = format!(
                    "a key of `{key}` has {} bytes; it has 1 to {} (limit `label_bytes`)",
                    entry.key.len(),
                    self.limits.label_bytes
                );
                self.report.error(Problem::on(&entry.value, &path, message));
            }
            if let Some(text) = self.short_text(&entry.value, &path, limit, most) {
                out.insert(entry.key.to_string(), text.to_owned());
            }
        }
        out
    }

    fn spec(&mut self, spec: Object<'n>, path: &Path<'_>, digest: Hash) -> Option<Plan> {
        let description = spec.get("description").and_then(|node| {
            let most = self.limits.description_bytes;
            self.short_text(node, &path.key("description"), "description_bytes", most)
        });
        let resource = spec.get("resource").and_then(|node| {
            self.name(
                node,
                &path.key("resource"),
                &DRIVER,
                ("driver_bytes", self.limits.driver_bytes),
            )
        });
        let schema = spec
            .get("inputs")
            .and_then(|node| self.schemas.inputs(node, &path.key("inputs"), self.report));
        self.inputs = schema.as_ref().map(|schema| schema.json());
        self.members = SpecMembers::of(&spec);
        let vars = match spec.get("vars") {
            Some(node) => self.templates(node, &path.key("vars"), &Place::vars()),
            None => Template::parse(&Json::Object(serde_json::Map::new())).ok(),
        };
        self.secrets = self.spec_secrets(&spec, path);
        let duration = |compiler: &mut Self, key: &str| {
            spec.get(key)
                .and_then(|node| compiler.duration(node, &path.key(key)))
        };
        let timeout = duration(self, "timeout");
        let finally_timeout = duration(self, "finally_timeout").unwrap_or(FINALLY_TIMEOUT);
        let triggers = self.triggers(&spec, path, resource);
        let fail_fast = self.fail_fast(&spec, path);
        let defaults = self.defaults(&spec, path);

        let steps = self.required(&spec, path, "steps");
        let steps = steps.map(|node| (node, "steps"));
        let finally = spec.get("finally").map(|node| (node, "finally"));
        let mut drafts: Vec<Draft<'n>> = Vec::new();
        for (node, key) in steps.into_iter().chain(finally) {
            let path = path.key(key);
            let Some(items) = self.list(node, &path) else {
                continue;
            };
            if key == "steps" && items.is_empty() {
                let problem = Problem::on(node, &path, "`steps` is empty");
                self.report.error(problem.allowed("at least one step"));
            }
            if drafts.len() + items.len() > self.limits.steps {
                let (count, most) = (drafts.len() + items.len(), self.limits.steps);
                let message =
                    format!("the pipeline has {count} steps; the limit `steps` is {most}");
                self.report.error(Problem::on(node, &path, message));
                return None;
            }
            self.ids(items, &path, key == "finally", &mut drafts);
        }
        self.main = drafts.iter().filter(|draft| !draft.finally).count() as StepIndex;
        let steps_path = path.key("steps");
        let finally_path = path.key("finally");
        for draft in &mut drafts {
            let parent = if draft.finally {
                &finally_path
            } else {
                &steps_path
            };
            let path = parent.index(draft.place);
            self.step(draft, &path, &defaults);
        }
        let outputs = spec
            .get("outputs")
            .map(|node| self.templates(node, &path.key("outputs"), &Place::run_outputs()));
        let graph = self.graph(&mut drafts);
        self.check_references(&drafts, graph.as_ref());
        let graph = graph?;
        let steps: Option<Vec<_>> = drafts.into_iter().map(|draft| draft.step).collect();
        let outputs = match outputs {
            Some(outputs) => Some(outputs?),
            None => None,
        };
        let mut plan = Plan {
            digest,
            name: "".into(),
            namespace: "".into(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            description: description.map(Arc::from),
            resource: resource.map(Arc::from),
            triggers,
            ordering: graph.ordering,
            steps: steps?,
            main: self.main,
            index: std::mem::take(&mut self.index),
            topological: graph.topological,
            inputs: schema.as_ref().map(|schema| schema.json()),
            input_schema: schema,
            vars: vars?,
            secrets: std::mem::take(&mut self.secrets),
            outputs,
            fail_fast,
            timeout,
            finally_timeout,
        };
        for (step, children) in plan.steps.iter_mut().zip(graph.children) {
            step.children = children;
        }
        super::needs::turn_handles_round(&mut plan.steps);
        Some(plan)
    }

    fn fail_fast(&mut self, spec: &Object<'n>, path: &Path<'_>) -> FailFast {
        let Some(node) = spec.get("fail_fast") else {
            return FailFast::NothingNew;
        };
        match &node.content {
            Content::Bool(true) => FailFast::NothingNew,
            Content::Bool(false) => FailFast::Off,
            Content::Text(text) if &**text == "cancel" => FailFast::Cancel,
            _ => {
                self.wrong_type(node, &path.key("fail_fast"), "true, false or cancel");
                FailFast::NothingNew
            }
        }
    }

    fn defaults(&mut self, spec: &Object<'n>, path: &Path<'_>) -> Policy {
        let path = path.key("defaults");
        let Some(node) = spec.get("defaults") else {
            return Policy::default();
        };
        let Some(object) = self.object(node, &path, &DEFAULTS) else {
            return Policy::default();
        };
        Policy {
            retry: object
                .get("retry")
                .and_then(|node| self.retry(node, &path.key("retry"), &Place::retry(true, None))),
            timeouts: object
                .get("timeouts")
                .and_then(|node| self.timeouts(node, &path.key("timeouts"), false)),
            json: node.to_json(),
        }
    }
}
