//! Documents and inputs, checked before anything is stored.

use super::objects::{LABEL_VALUE, annotation_key_flaw, label_key_flaw, label_keys_fit, labels_of};
use super::{About, ControlHandlers};
use crate::caller::Caller;
use crate::refusal::{self, diagnostic, input};
use conveyor_engine::document::{self, Diagnostic, Document, Limits, Located, Severity};
use conveyor_engine::plan::{Drivers, Kind, Plan, version_satisfies};
use conveyor_engine::value::{Json, parse_json};
use conveyor_node::Node;
use conveyor_proto::v1;
use std::collections::{BTreeMap, BTreeSet};
use tonic::Status;

/// The most bytes of inputs.
const INPUT_BYTES: usize = 16 << 20;
/// The longest name of a document's file.
const FILE_NAME_BYTES: usize = 4096;
/// The most documents of one check.
const DOCUMENTS: usize = 1000;

/// Reads a document on a stack of the engine's size.
pub(super) fn read(node: &Node, document: &v1::Document) -> Result<Document, Status> {
    file_name_fits("/document/file_name", document)?;
    read_by(checked, node, document)
}

/// The same for a document of the store, or of another run: what was taken before is taken again.
pub(super) fn read_stored(node: &Node, document: &v1::Document) -> Result<Document, Status> {
    read_by(load, node, document)
}

type Load = fn(&Node, &v1::Document) -> Result<Document, Vec<Diagnostic>>;

fn read_by(load: Load, node: &Node, document: &v1::Document) -> Result<Document, Status> {
    load(node, document).map_err(|found| refusal::refused(found.iter().map(diagnostic).collect()))
}

fn file_name_fits(pointer: &str, document: &v1::Document) -> Result<(), Status> {
    let bytes = document.file_name.len();
    match bytes > FILE_NAME_BYTES {
        true => Err(refusal::limit(pointer, "file_name", bytes, FILE_NAME_BYTES)),
        false => Ok(()),
    }
}

/// What the document wants of its drivers is checked against those that runs of its namespace have.
fn load(node: &Node, document: &v1::Document) -> Result<Document, Vec<Diagnostic>> {
    let drivers = match node.registered_drivers().is_empty() {
        true => Drivers::clone(node.drivers()),
        false => {
            let namespace = namespace_of(document);
            node.drivers_of(namespace.as_deref().unwrap_or(super::DEFAULT_NAMESPACE))
        }
    };
    let (name, source) = (&document.file_name, &document.source);
    document::load_for(name, source, &Limits::default(), &drivers)
}

/// A document that somebody gives.
fn checked(node: &Node, document: &v1::Document) -> Result<Document, Vec<Diagnostic>> {
    let read = load(node, document)?;
    match keys(&read.plan(), document) {
        flaws if flaws.is_empty() => Ok(read),
        flaws => Err(flaws),
    }
}

/// Keys of labels and annotations that a document may not have. The engine takes them: what was stored with such a
/// key goes on.
fn keys(plan: &Plan, document: &v1::Document) -> Vec<Diagnostic> {
    let (labels, annotations) = (plan.labels.keys(), plan.annotations.keys());
    let labels = labels.filter_map(|key| Some(("labels", key, label_key_flaw(key)?)));
    let annotations =
        annotations.filter_map(|key| Some(("annotations", key, annotation_key_flaw(key)?)));
    let flaws: Vec<_> = labels.chain(annotations).collect();
    if flaws.is_empty() {
        return Vec::new();
    }
    let (name, limits) = (&document.file_name, Limits::default());
    let Ok(located) = Located::read(name, &document.source, &limits) else {
        return Vec::new();
    };
    let flaws = flaws.into_iter().map(|(of, key, rule)| {
        let pointer = refusal::at(&format!("/metadata/{of}"), key);
        let message = format!("{rule}; `{of}` has {key:?}");
        located.diagnostic(Severity::Error, &pointer, &message)
    });
    flaws.collect()
}

/// Whether a caller may touch the namespace of a document. What is said of a document tells of the
/// drivers that its namespace has, so this comes first.
pub(super) fn within(caller: &Caller, document: &v1::Document) -> Result<(), Status> {
    match (&caller.namespace, namespace_of(document)) {
        (Some(_), Some(named)) => caller.within(&named),
        _ => Ok(()),
    }
}

/// The namespace that a document is of; `None` for what cannot be read, which is refused soon.
fn namespace_of(document: &v1::Document) -> Option<String> {
    let located = Located::read(&document.file_name, &document.source, &Limits::default());
    let json = located.ok()?.to_json();
    let named = json.pointer("/metadata/namespace").and_then(Json::as_str);
    Some(named.unwrap_or(super::DEFAULT_NAMESPACE).to_owned())
}

/// What is given as inputs: an object, with the texts that a person typed read as the plan says.
pub(super) fn given(
    plan: &Plan,
    inputs: &[u8],
    texts: &BTreeMap<String, String>,
    base: Option<&Json>,
) -> Result<Json, Status> {
    if inputs.len() > INPUT_BYTES {
        return Err(refusal::limit(
            "/inputs",
            "inputs",
            inputs.len(),
            INPUT_BYTES,
        ));
    }
    let mut object = serde_json::Map::new();
    if !inputs.is_empty() {
        match parse_json(inputs) {
            Ok(Json::Object(read)) => object = read,
            Ok(_) => {
                let why = "`inputs` must be a JSON object";
                return Err(refusal::value("/inputs", why).status());
            }
            Err(error) => {
                let why = format!("`inputs`: {error}");
                return Err(refusal::value("/inputs", why).status());
            }
        }
    }
    for (key, text) in texts {
        if object.contains_key(key) {
            let why = format!("the input `{key}` is given twice");
            return Err(refusal::value(refusal::at("/text_inputs", key), why).status());
        }
        object.insert(key.clone(), plan.parse_input(key, text));
    }
    if let Some(Json::Object(base)) = base {
        for (key, value) in base {
            object.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    Ok(Json::Object(object))
}

/// Inputs with defaults filled in.
pub(super) fn inputs(plan: &Plan, given: &Json) -> Result<Json, Status> {
    plan.resolve_inputs(given).map_err(|violations| {
        let one = |violation: conveyor_engine::plan::Violation| {
            let place = if violation.pointer.is_empty() {
                ""
            } else {
                " "
            };
            let message = format!("inputs{place}{}: {}", violation.pointer, violation.message);
            input(violation.pointer, message, "input")
        };
        refusal::refused(violations.into_iter().map(one).collect())
    })
}

/// Drivers of this project that are programs of their own, and in no other.
const OWN_PROGRAMS: [&str; 1] = ["http"];

/// Refuses a plan that names drivers which this process does not have and which cannot come.
///
/// With the document, each refusal has its place in it.
pub(super) fn drivers(
    about: &About,
    plan: &Plan,
    document: Option<&v1::Document>,
) -> Result<(), Status> {
    if about.drivers_may_come {
        return Ok(());
    }
    let has = |name: &str| about.drivers.get(name).cloned();
    let known: Vec<_> = about
        .drivers
        .iter()
        .map(|(name, version)| format!("{name} {version}"))
        .collect();
    let say = |step: &str, wanted: &str| {
        let mut text = format!(
            "step `{step}` needs the driver `{wanted}`, which this process does not have; it has: {}",
            known.join(", ")
        );
        if OWN_PROGRAMS.contains(&wanted) {
            text.push_str(&format!(
                "; start `conveyor serve` and `conveyor-driver-{wanted}`, and the run there"
            ));
        }
        text
    };
    let mut found = missing(plan, document, Severity::Error, has, say);
    for one in &mut found {
        one.allowed.clone_from(&known);
    }
    match found.is_empty() {
        true => Ok(()),
        false => Err(refusal::refused(found)),
    }
}

/// Warns of drivers that nobody has registered yet: what the document wants of them is checked when one
/// takes the task (PROTOCOL P27).
pub(super) fn unregistered(
    node: &Node,
    about: &About,
    plan: &Plan,
    document: &v1::Document,
) -> Vec<v1::Diagnostic> {
    if !about.drivers_may_come {
        return Vec::new();
    }
    let known = node.drivers_of(&plan.namespace);
    let has = |name: &str| known.get(name).map(|driver| driver.version.to_string());
    let say = |step: &str, wanted: &str| {
        format!(
            "step `{step}` needs the driver `{wanted}`, which nobody has registered yet: what it takes \
             is checked when one comes, and the step waits for it"
        )
    };
    missing(plan, Some(document), Severity::Warning, has, say)
}

/// Steps whose driver is not there, each with its place.
fn missing(
    plan: &Plan,
    document: Option<&v1::Document>,
    severity: Severity,
    has: impl Fn(&str) -> Option<String>,
    say: impl Fn(&str, &str) -> String,
) -> Vec<v1::Diagnostic> {
    let mut found = Vec::new();
    let mut named = BTreeSet::new();
    for step in &plan.steps {
        let Kind::Driver {
            driver, version, ..
        } = &step.kind
        else {
            continue;
        };
        let fits = |there: String| {
            let wanted = version.as_deref();
            wanted.is_none_or(|wanted| version_satisfies(wanted, &there))
        };
        if has(driver).is_some_and(fits) || !named.insert((driver, version)) {
            continue;
        }
        let wanted = match version {
            Some(version) => format!("{driver}@{version}"),
            None => driver.to_string(),
        };
        let pointer = format!("{}/driver", step.pointer);
        let mut one = input(pointer, say(&step.id, &wanted), "unknown_driver");
        one.severity = match severity {
            Severity::Error => v1::Severity::Error,
            Severity::Warning => v1::Severity::Warning,
        }
        .into();
        one.found = wanted;
        found.push(one);
    }
    if let Some(document) = document.filter(|_| !found.is_empty()) {
        place(document, &mut found);
    }
    found
}

/// Tells of each, by its pointer, where in the document it is. On a stack of the engine's size.
pub(super) fn place(document: &v1::Document, found: &mut [v1::Diagnostic]) {
    let (name, limits) = (&document.file_name, Limits::default());
    let Ok(located) = Located::read(name, &document.source, &limits) else {
        return;
    };
    for one in found {
        let place = located.diagnostic(Severity::Warning, &one.pointer, "");
        (one.file_name, one.line, one.column) = (place.file, place.line, place.column);
    }
}

/// The labels of a run: the document's, and over them what the request gives.
pub(super) fn labels(
    base: &BTreeMap<String, String>,
    given: BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Status> {
    // Those of what is stored are as they are.
    label_keys_fit("/labels", &given)?;
    let mut labels = base.clone();
    labels.extend(given);
    // A directory's path is a label too.
    labels_of("/labels", &labels, |key| {
        match key.starts_with("conveyor/") {
            true => FILE_NAME_BYTES,
            false => LABEL_VALUE,
        }
    })?;
    Ok(labels)
}

impl ControlHandlers {
    pub(super) async fn check_documents(
        &self,
        request: v1::CheckPipelineRequest,
    ) -> Result<v1::CheckPipelineResponse, Status> {
        if request.documents.is_empty() {
            return Err(refusal::missing(
                "/documents",
                "give at least one of `documents`",
            ));
        }
        for (at, document) in request.documents.iter().enumerate() {
            file_name_fits(&format!("/documents/{at}/file_name"), document)?;
        }
        if request.documents.len() > DOCUMENTS {
            let documents = request.documents.len();
            return Err(refusal::limit(
                "/documents",
                "documents",
                documents,
                DOCUMENTS,
            ));
        }
        let (node, caller) = (self.node.clone(), self.caller.clone());
        crate::stack::on_stack(move || {
            let mut diagnostics = Vec::new();
            for document in &request.documents {
                within(&caller, document)?;
                match checked(&node, document) {
                    Ok(read) => diagnostics.extend(read.diagnostics.iter().map(diagnostic)),
                    Err(found) => diagnostics.extend(found.iter().map(diagnostic)),
                }
            }
            Ok(v1::CheckPipelineResponse { diagnostics })
        })
        .await?
    }
}
