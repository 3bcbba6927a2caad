//! What `apply` reads: documents of every kind, several in one file if somebody likes.

use super::given;
use crate::client::Problem;
use crate::source::wrong_text;
use conveyor_engine::document::{Limits, Located};
use conveyor_engine::value::{Json, canonical_bytes};
use conveyor_proto::v1;
use std::path::{Path, PathBuf};

/// One object to apply.
pub(super) enum Object {
    /// A ResourceDefinition.
    Definition(v1::ResourceDefinition),
    /// A pipeline, or what the server will tell is none.
    Pipeline(v1::Document),
    /// A Resource.
    Resource(v1::Resource),
}

/// An object, and the file that has it.
pub(super) struct Found {
    pub(super) file: String,
    pub(super) object: Object,
}

impl Object {
    /// What others may need comes first.
    fn turn(&self) -> u8 {
        match self {
            Object::Definition(_) => 0,
            Object::Pipeline(_) => 1,
            Object::Resource(_) => 2,
        }
    }
}

/// All that is named: definitions first, then pipelines, then resources.
pub(super) fn objects(paths: &[PathBuf]) -> Result<Vec<Found>, Problem> {
    let mut objects = Vec::new();
    for document in documents(paths)? {
        for part in parts(document) {
            let file = part.file_name.clone();
            let object = object(part)?;
            objects.push(Found { file, object });
        }
    }
    objects.sort_by_key(|found| found.object.turn());
    Ok(objects)
}

/// What a pipeline's document is called, with its namespace, as far as it can be read.
pub(super) fn pipeline(document: &v1::Document) -> String {
    let limits = Limits::default();
    let read = Located::read(&document.file_name, &document.source, &limits);
    let json = read.map(|located| located.to_json()).unwrap_or_default();
    let text = |pointer: &str| json.pointer(pointer).and_then(Json::as_str);
    let namespace = text("/metadata/namespace").unwrap_or("default");
    match text("/metadata/name").or_else(|| text("/name")) {
        Some(name) => format!("pipeline {namespace}/{name}"),
        None => "pipeline".to_owned(),
    }
}

/// The documents that are named, those of a directory by their names.
fn documents(paths: &[PathBuf]) -> Result<Vec<v1::Document>, Problem> {
    let mut documents = Vec::new();
    for path in paths {
        if !path.is_dir() {
            documents.push(given::document(path)?);
            continue;
        }
        let unreadable =
            |error: std::io::Error| Problem::refused(format!("{}: {error}", path.display()));
        let entries = std::fs::read_dir(path).map_err(unreadable)?;
        let entries: Result<Vec<_>, _> = entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect();
        let mut files: Vec<_> = entries.map_err(unreadable)?;
        files.retain(|file| is_document(file));
        files.sort();
        if files.is_empty() {
            return Err(Problem::refused(format!(
                "the directory {} has no document: no .yaml, .yml or .json file",
                path.display()
            )));
        }
        for file in files {
            documents.push(given::document(&file)?);
        }
    }
    Ok(documents)
}

/// Files of test cases lie beside their pipelines.
fn is_document(file: &Path) -> bool {
    let name = file
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let kind = file.extension().and_then(|kind| kind.to_str());
    let test = [".test.yaml", ".test.yml", ".test.json"];
    matches!(kind, Some("yaml" | "yml" | "json"))
        && !name.starts_with('.')
        && !test.iter().any(|end| name.ends_with(end))
}

/// The documents of a file, each where it stands: lines before it are empty, so that places in messages
/// are those of the file.
fn parts(document: v1::Document) -> Vec<v1::Document> {
    let Ok(text) = std::str::from_utf8(&document.source) else {
        return vec![document];
    };
    let mut parts: Vec<String> = vec![String::new()];
    for (at, line) in text.split_inclusive('\n').enumerate() {
        let marker = line.strip_prefix("---");
        let marker =
            marker.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
        if marker {
            parts.push("\n".repeat(at));
        }
        if let Some(part) = parts.last_mut() {
            part.push_str(line);
        }
    }
    let says = |part: &String| {
        let mut lines = part.lines().map(str::trim);
        lines.any(|line| !line.is_empty() && line != "---" && !line.starts_with('#'))
    };
    parts.retain(says);
    match parts.len() {
        // One document is what it is, its own mistakes included.
        0 | 1 => vec![document],
        _ => parts
            .into_iter()
            .map(|part| v1::Document {
                source: part.into_bytes().into(),
                file_name: document.file_name.clone(),
            })
            .collect(),
    }
}

fn object(document: v1::Document) -> Result<Object, Problem> {
    let limits = Limits::default();
    // What cannot be read is the server's to tell, with all that is wrong.
    let Ok(located) = Located::read(&document.file_name, &document.source, &limits) else {
        return Ok(Object::Pipeline(document));
    };
    let json = located.to_json();
    let known: &[&str] = match json["kind"].as_str() {
        Some("ResourceDefinition") => &["apiVersion", "kind", "metadata", "schema"],
        Some("Resource") => &[
            "apiVersion",
            "kind",
            "metadata",
            "definition",
            "pipeline",
            "spec",
        ],
        Some("Pipeline") | None => return Ok(Object::Pipeline(document)),
        Some(other) => {
            let kinds = "Pipeline, Resource, ResourceDefinition";
            let message = format!("`kind` is `{other}`; allowed: {kinds}");
            let severity = conveyor_engine::document::Severity::Error;
            let wrong = [located.diagnostic(severity, "/kind", &message)];
            return Err(Problem::refused(wrong_text(&document.file_name, &wrong)));
        }
    };
    let mut found = Vec::new();
    let mut wrong = |pointer: &str, message: String| {
        let severity = conveyor_engine::document::Severity::Error;
        found.push(located.diagnostic(severity, pointer, &message));
    };
    strangers(&json, "", known, &mut wrong);
    if json["apiVersion"] != "conveyor/v1" {
        wrong("/apiVersion", "`apiVersion` must be conveyor/v1".to_owned());
    }
    let fields = ["name", "namespace", "labels", "annotations"];
    strangers(&json["metadata"], "/metadata", &fields, &mut wrong);
    let mut text = |pointer: &str, required: bool| match json.pointer(pointer) {
        Some(Json::String(text)) => text.clone(),
        None if !required => String::new(),
        _ => {
            wrong(pointer, format!("`{}` must be a text", &pointer[1..]));
            String::new()
        }
    };
    let metadata = v1::Metadata {
        name: text("/metadata/name", true),
        namespace: text("/metadata/namespace", false),
        ..v1::Metadata::default()
    };
    let (definition, pipeline) = match json["kind"] == "Resource" {
        true => (text("/definition", true), text("/pipeline", false)),
        false => Default::default(),
    };
    let metadata = v1::Metadata {
        namespace: match metadata.namespace.as_str() {
            "" => "default".to_owned(),
            _ => metadata.namespace,
        },
        labels: texts(&json, "/metadata/labels", &mut wrong),
        annotations: texts(&json, "/metadata/annotations", &mut wrong),
        ..metadata
    };
    if !found.is_empty() {
        return Err(Problem::refused(wrong_text(&document.file_name, &found)));
    }
    let bytes = |key: &str| match &json[key] {
        Json::Null => Default::default(),
        value => canonical_bytes(value).into(),
    };
    Ok(match json["kind"] == "Resource" {
        true => Object::Resource(v1::Resource {
            metadata: Some(metadata),
            definition,
            pipeline,
            spec: bytes("spec"),
            version: 0,
        }),
        false => Object::Definition(v1::ResourceDefinition {
            metadata: Some(metadata),
            schema: bytes("schema"),
            version: 0,
        }),
    })
}

/// Tells of fields that are not known.
fn strangers(json: &Json, at: &str, known: &[&str], wrong: &mut impl FnMut(&str, String)) {
    let Some(object) = json.as_object() else {
        return wrong(at, format!("`{at}` must be an object"));
    };
    for key in object.keys().filter(|key| !known.contains(&key.as_str())) {
        let message = format!("unknown field `{key}`; known: {}", known.join(", "));
        wrong(&format!("{at}/{key}"), message);
    }
}

/// An object of texts; empty where there is none.
fn texts(
    json: &Json,
    at: &str,
    wrong: &mut impl FnMut(&str, String),
) -> std::collections::BTreeMap<String, String> {
    let mut texts = std::collections::BTreeMap::new();
    match json.pointer(at) {
        None => {}
        Some(Json::Object(object)) => {
            for (key, value) in object {
                match value {
                    Json::String(text) => drop(texts.insert(key.clone(), text.clone())),
                    _ => wrong(&format!("{at}/{key}"), format!("`{key}` must be a text")),
                }
            }
        }
        Some(_) => wrong(at, format!("`{}` must be an object", &at[1..])),
    }
    texts
}
