//! What the objects of a seed are: two Resources, and pipelines that their changes start. Which runs a
//! change starts is said here a second time, naively; the product reads it from documents.

use conveyor_engine::document;
use conveyor_engine::plan::Plan;
use conveyor_engine::value::Hash;
use conveyor_proto::storage::v1::StoredDocument;
use prost::Message as _;
use serde_json::{Value, json};
use std::sync::{Arc, LazyLock};

/// The ResourceDefinition.
pub(super) const DEFINITION: &str = "thing";
pub(super) const NAMESPACE: &str = "default";
/// The Resources. The second one names a pipeline itself.
pub(super) const RESOURCES: [&str; 2] = ["one", "two"];
/// Which pipeline a Resource names.
pub(super) fn own_of(resource: &str) -> &'static str {
    if resource == RESOURCES[1] {
        PIPELINES[2].0
    } else {
        ""
    }
}

/// A `when`, and the numbers for which it holds.
type When = (&'static str, fn(u64) -> bool);

/// A trigger: its id, its events, and its `when`.
struct Rule {
    id: &'static str,
    events: &'static [&'static str],
    when: Option<When>,
}

const fn rule(id: &'static str, events: &'static [&'static str]) -> Rule {
    Rule {
        id,
        events,
        when: None,
    }
}

/// Pipelines, each in two revisions.
static PIPELINES: [(&str, [&[Rule]; 2]); 3] = [
    (
        "follow",
        [
            &[
                rule("changed", &["created", "updated"]),
                Rule {
                    id: "odd",
                    events: &["updated"],
                    when: Some(("new.spec.n % 2 == 1", |n| n % 2 == 1)),
                },
            ],
            &[rule("changed", &["created"])],
        ],
    ),
    (
        "clean",
        [
            &[rule("gone", &["deleted"])],
            &[rule("gone", &["deleted"]), rule("new", &["created"])],
        ],
    ),
    (
        "own",
        [
            &[],
            &[Rule {
                id: "third",
                events: &["updated"],
                when: Some(("new.spec.n % 3 == 0", |n| n % 3 == 0)),
            }],
        ],
    ),
];

/// A revision of a pipeline, compiled.
pub(super) struct Revision {
    pub(super) pipeline: &'static str,
    rules: &'static [Rule],
    pub(super) plan: Arc<Plan>,
    /// The document as it is stored.
    pub(super) document: Vec<u8>,
}

/// All of them: the first ones of all pipelines, then the second ones.
pub(super) static REVISIONS: LazyLock<Vec<Revision>> = LazyLock::new(|| {
    let of = |at: usize| {
        PIPELINES
            .iter()
            .map(move |(name, rules)| (*name, rules[at]))
    };
    let compiled = of(0)
        .chain(of(1))
        .map(|(name, rules)| revision(name, rules));
    compiled.collect()
});

fn revision(pipeline: &'static str, rules: &'static [Rule]) -> Revision {
    let trigger = |rule: &Rule| {
        let mut resource = json!({
            "events": rule.events,
            "inputs": {"n": "${{ event.type == 'deleted' ? old.spec.n : new.spec.n }}"},
        });
        if let Some((when, _)) = rule.when {
            resource["when"] = when.into();
        }
        json!({"id": rule.id, "resource": resource})
    };
    let triggers: Vec<Value> = rules.iter().map(trigger).collect();
    let mut text = json!({
        "apiVersion": "conveyor/v1",
        "kind": "Pipeline",
        "metadata": {"name": pipeline},
        "spec": {
            "resource": DEFINITION,
            "inputs": {"type": "object", "properties": {"n": {"type": "integer"}}},
            "steps": [{
                "id": "a",
                "driver": "d",
                "with": {"n": "${{ resource.spec.n }}"},
                "timeouts": {"attempt": "20s"},
            }],
        },
    });
    if !triggers.is_empty() {
        text["spec"]["triggers"] = triggers.into();
    }
    let text = text.to_string();
    let read = document::load("site.json", text.as_bytes()).unwrap_or_else(|errors| {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        panic!("{}\n{text}", errors.join("\n"))
    });
    let document = StoredDocument {
        canonical: read.canonical.to_vec().into(),
        source: text.into_bytes().into(),
        file_name: "site.json".into(),
    };
    Revision {
        pipeline,
        rules,
        plan: read.plan(),
        document: document.encode_to_vec(),
    }
}

/// The revision that a digest names.
pub(super) fn by_digest(digest: &Hash) -> Option<&'static Revision> {
    REVISIONS
        .iter()
        .find(|revision| revision.plan.digest == *digest)
}

impl Revision {
    /// Ids of the triggers that a change starts it by; the empty one for the Resource's own `pipeline`.
    pub(super) fn started_by(&self, resource: &str, event: &str, n: u64) -> Vec<&'static str> {
        let holds = |rule: &&Rule| {
            rule.events.contains(&event) && rule.when.is_none_or(|(_, holds)| holds(n))
        };
        let rules = self.rules.iter().filter(holds);
        let mut ids: Vec<_> = rules.map(|rule| rule.id).collect();
        if ids.is_empty() && event != "deleted" && own_of(resource) == self.pipeline {
            ids.push("");
        }
        ids
    }
}
