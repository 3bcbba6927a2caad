//! One form for every way to write the same pipeline: the seed form becomes the full form, and the
//! axes of a matrix, whose order matters, become a list of `{name, values}`.

use super::node::{Content, Entry, Node};
use super::path::Path;
use super::report::{Problem, Report};
use crate::nearest::nearest;

/// The document in its one form; `None` where it is none at all, which is then reported.
pub(crate) fn normalise(mut root: Node, report: &mut Report<'_>) -> Option<Node> {
    if root.as_map().is_none() {
        report.error(
            Problem::on(&root, &Path::ROOT, "a pipeline document must be an object")
                .found(root.describe())
                .allowed("apiVersion, kind, metadata, spec; or name, resource, steps"),
        );
        return None;
    }
    let full = ["apiVersion", "kind", "metadata", "spec"];
    if full.iter().all(|key| root.get(key).is_none()) && root.get("steps").is_some() {
        report.seed_form();
        root = from_seed(root, report);
    }
    for steps in ["steps", "finally"] {
        if let Some(steps) = child(&mut root, "spec").and_then(|spec| child(spec, steps))
            && let Content::List(items) = &mut steps.content
        {
            items.iter_mut().for_each(order_axes);
        }
    }
    Some(root)
}

fn child<'a>(node: &'a mut Node, key: &str) -> Option<&'a mut Node> {
    match &mut node.content {
        Content::Map(entries) => entries
            .iter_mut()
            .find(|entry| &*entry.key == key)
            .map(|entry| &mut entry.value),
        _ => None,
    }
}

fn entry(key: &str, at: u32, value: Node) -> Entry {
    Entry {
        key: key.into(),
        at,
        value,
    }
}

fn map(at: u32, entries: Vec<Entry>) -> Node {
    Node {
        at,
        content: Content::Map(entries),
    }
}

/// `{name, resource, steps: [{id, name, driver}]}`, the form of Conveyor CI 0.6.
fn from_seed(root: Node, report: &mut Report<'_>) -> Node {
    let at = root.at;
    let Content::Map(entries) = root.content else {
        return root;
    };
    let mut metadata = Vec::new();
    let mut spec = Vec::new();
    for entry in entries {
        match &*entry.key {
            "name" => metadata.push(entry),
            "resource" => {
                spec.push(self::entry("triggers", entry.at, on_changes(entry.at)));
                spec.push(entry);
            }
            "steps" => spec.push(entry),
            other => {
                let path = Path::ROOT;
                let path = path.key(other);
                let known = ["name", "resource", "steps"];
                report.error(
                    Problem {
                        pointer: path.to_string(),
                        ..Problem::new(entry.at, format!("unknown field `{other}`"))
                    }
                    .allowed(
                        "name, resource, steps (a document without `spec`); any other field needs \
                         the full form: apiVersion, kind, metadata, spec",
                    )
                    .nearest(nearest(other, known)),
                );
            }
        }
    }
    map(
        at,
        vec![
            entry("apiVersion", at, Node::text(at, "conveyor/v1")),
            entry("kind", at, Node::text(at, "Pipeline")),
            entry("metadata", at, map(at, metadata)),
            entry("spec", at, map(at, spec)),
        ],
    )
}

/// What `resource` means in that form: each change of such a Resource but its removal starts a run.
fn on_changes(at: u32) -> Node {
    let events = ["created", "updated"].map(|event| Node::text(at, event));
    let list = |items| Node {
        at,
        content: Content::List(items),
    };
    let events = map(at, vec![entry("events", at, list(events.into()))]);
    let trigger = vec![
        entry("id", at, Node::text(at, "resource")),
        entry("resource", at, events),
    ];
    list(vec![map(at, trigger)])
}

fn order_axes(step: &mut Node) {
    let Some(axes) = child(step, "matrix").and_then(|matrix| child(matrix, "axes")) else {
        return;
    };
    if !matches!(axes.content, Content::Map(_)) {
        return;
    }
    let Content::Map(entries) = std::mem::replace(&mut axes.content, Content::Null) else {
        return;
    };
    axes.content = Content::List(
        entries
            .into_iter()
            .map(|axis| {
                let name = Node::text(axis.at, &axis.key);
                map(
                    axis.at,
                    vec![
                        entry("name", axis.at, name),
                        entry("values", axis.value.at, axis.value),
                    ],
                )
            })
            .collect(),
    );
}
