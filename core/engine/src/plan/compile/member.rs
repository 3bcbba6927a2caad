//! Members of roots that the language or the document fixes: `run.id`, `vars.x`, `matrix.os`.

use super::Compiler;
use super::fields::Object;
use super::locate::Written;
use super::place::Place;
use crate::expr::{MemberUse, References};
use crate::nearest::nearest;
use crate::source::{Content, Node, Path, Problem};
use crate::value::Json;

const RUN: [&str; 8] = [
    "id",
    "pipeline",
    "namespace",
    "labels",
    "actor",
    "started_at",
    "forked_from",
    STATUS,
];
const STATUS: &str = "status";
/// In `with` the attempt has not begun; in `retry.if` it has ended.
const ATTEMPT: [&str; 4] = ["number", "state", "failure", "duration"];
const STEP: [&str; 3] = ["id", "state", "failure"];
pub(super) const FAILURE: [&str; 2] = ["code", "message"];

/// What `spec` says of the roots that it fills.
#[derive(Default)]
pub(super) struct SpecMembers<'n> {
    /// Whether a run takes inputs at all.
    inputs: bool,
    /// `None` where an expression says which there are.
    vars: Option<Vec<&'n str>>,
}

impl<'n> SpecMembers<'n> {
    pub(super) fn of(spec: &Object<'n>) -> SpecMembers<'n> {
        let vars = match spec.get("vars").map(|node| &node.content) {
            None => Some(Vec::new()),
            Some(Content::Map(entries)) => {
                let names: Vec<&str> = entries.iter().map(|entry| &*entry.key).collect();
                names
                    .iter()
                    .all(|name| !name.contains("${{"))
                    .then_some(names)
            }
            Some(_) => None,
        };
        SpecMembers {
            inputs: spec.get("inputs").is_some(),
            vars,
        }
    }
}

/// A name that is not among those of its root.
struct Stranger<'a> {
    /// How many names lead to it.
    depth: usize,
    known: Vec<&'a str>,
    /// Why it is not there, beyond that it is not among the `known`.
    why: &'static str,
}

impl<'n> Compiler<'_, '_, 'n> {
    /// Refuses what can never be there; where the expression provides for absence, it is a warning.
    pub(super) fn check_members(
        &mut self,
        node: &'n Node,
        path: &Path<'_>,
        place: &Place<'_>,
        written: Written,
        references: &References,
    ) {
        for used in references.members() {
            let Some(stranger) = self.stranger(used, place) else {
                continue;
            };
            // The error about it stands already.
            let said = (used.optional)
                .then(|| MemberUse {
                    optional: false,
                    ..used.clone()
                })
                .is_some_and(|plain| references.reads(&plain));
            if said {
                continue;
            }
            let root: &str = &used.root;
            let name: &str = &used.path[stranger.depth];
            let above = used.path[..stranger.depth].iter();
            let above = above.fold(root.to_owned(), |above, name| format!("{above}.{name}"));
            let (at, pointer) =
                self.locate_member((node, &path.to_string()), written, (root, name));
            let mut problem = Problem {
                pointer,
                ..Problem::new(at, format!("`{above}` has no `{name}`{}", stranger.why))
            };
            if !stranger.known.is_empty() {
                problem = problem
                    .allowed(stranger.known.join(", "))
                    .nearest(nearest(name, stranger.known.iter().copied()));
            }
            if used.optional {
                self.report.warning(problem);
            } else {
                self.report.foreseen(problem);
            }
        }
    }

    fn stranger<'a>(&'a self, used: &MemberUse, place: &Place<'a>) -> Option<Stranger<'a>> {
        if !place.knows(&used.root) {
            return None; // said already
        }
        let path: Vec<&str> = used.path.iter().map(|name| &**name).collect();
        let first = |known: Vec<&'a str>, why| {
            let strange = !known.contains(&path[0]);
            strange.then_some(Stranger {
                depth: 0,
                known,
                why,
            })
        };
        let with_failure = |known: &[&'static str], why| {
            first(known.to_vec(), why).or_else(|| {
                let strange = path[0] == "failure" && path.len() > 1 && !FAILURE.contains(&path[1]);
                strange.then(|| Stranger {
                    depth: 1,
                    known: FAILURE.to_vec(),
                    why: "",
                })
            })
        };
        match &*used.root {
            "inputs" if !self.members.inputs => {
                first(Vec::new(), ": the pipeline declares no inputs")
            }
            "inputs" => closed(self.inputs.as_deref()?, &path, 0),
            "vars" => first(self.members.vars.clone()?, ""),
            "run" if path[0] == STATUS && !place.status => first(
                RUN[..RUN.len() - 1].to_vec(),
                " here: only `finally` steps know how the run is to end",
            ),
            "run" if place.status => first(RUN.to_vec(), ""),
            "run" => first(RUN[..RUN.len() - 1].to_vec(), ""),
            "attempt" if place.steps.is_some() => first(
                ATTEMPT[..1].to_vec(),
                match ATTEMPT.contains(&path[0]) {
                    true => " here: it has not begun",
                    false => "",
                },
            ),
            "attempt" => with_failure(&ATTEMPT, ""),
            "step" => with_failure(&STEP, ""),
            item => {
                let item = place.item.filter(|known| known.name == item)?;
                first(item.members.clone()?, "")
            }
        }
    }
}

/// A name that a schema does not let in.
fn closed<'a>(schema: &'a Json, path: &[&str], depth: usize) -> Option<Stranger<'a>> {
    let name = path.get(depth)?;
    let properties = schema.get("properties").and_then(Json::as_object);
    if let Some(property) = properties.and_then(|properties| properties.get(*name)) {
        return closed(property, path, depth + 1);
    }
    let shut = schema.get("additionalProperties") == Some(&Json::Bool(false))
        && schema.get("patternProperties").is_none();
    shut.then(|| Stranger {
        depth,
        known: properties
            .into_iter()
            .flat_map(|properties| properties.keys().map(String::as_str))
            .collect(),
        why: "",
    })
}
