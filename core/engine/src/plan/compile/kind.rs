//! What a step does: the one key that says it, and what that key holds.

use super::Compiler;
use super::draft::{Draft, Given};
use super::fields::{DRIVER, Fields, Object};
use super::place::Place;
use super::step::STEP;
use super::version::is_requirement;
use crate::expr::Template;
use crate::nearest::nearest;
use crate::plan::types::{Kind, Wait};
use crate::source::{Content, Node, Path, Problem};
use crate::time::Time;
use crate::value::Json;
use std::sync::Arc;

const WAIT: Fields = Fields {
    known: &["duration", "until"],
    later: &["event", "when", "since", "timeout"],
};

/// Fields that only some kinds know.
const DRIVER_ONLY: [&str; 5] = ["action", "with", "retry", "grace", "secrets"];

/// The kinds, and those that come later.
const KINDS: [&str; 3] = ["driver", "transform", "wait"];
const LATER_KINDS: [&str; 2] = ["approval", "pipeline"];

impl<'n> Compiler<'_, '_, 'n> {
    /// The one key that says what the step does.
    pub(super) fn kind_name(
        &mut self,
        object: &Object<'n>,
        path: &Path<'_>,
    ) -> Option<&'static str> {
        let present: Vec<&'static str> = KINDS
            .into_iter()
            .filter(|kind| object.get(kind).is_some())
            .collect();
        let later = LATER_KINDS.iter().any(|kind| object.get(kind).is_some());
        let allowed = "exactly one of driver, transform, wait";
        match present[..] {
            [kind] => Some(kind),
            [] if later => None, // refused by name already
            [] => {
                let keys = object.entries.iter().map(|entry| &*entry.key);
                let near = keys
                    .filter(|key| !STEP.known.contains(key) && !STEP.later.contains(key))
                    .find_map(|key| nearest(key, KINDS));
                let problem = Problem::on(object.node, path, "the step has no kind");
                self.report.error(problem.allowed(allowed).nearest(near));
                None
            }
            _ => {
                let message = "the step has more than one kind";
                let problem = Problem::on(object.node, path, message).found(present.join(", "));
                self.report.error(problem.allowed(allowed));
                None
            }
        }
    }

    /// Fields that the kind does not know (SEMANTICS 26).
    pub(super) fn fits(&mut self, object: &Object<'n>, path: &Path<'_>, kind: &str) {
        let unfit: &[&str] = match kind {
            "transform" => &["timeouts"],
            "wait" => &["outputs"],
            _ => return,
        };
        for key in DRIVER_ONLY.iter().chain(unfit) {
            if let Some(entry) = object.entry(key) {
                let message = format!("a `{kind}` step has no `{key}`");
                let pointer = path.key(key).to_string();
                self.report.error(Problem {
                    pointer,
                    ..Problem::new(entry.at, message)
                });
            }
        }
    }

    pub(super) fn kind(
        &mut self,
        kind: &str,
        draft: &mut Draft<'n>,
        object: &Object<'n>,
        path: &Path<'_>,
        place: &Place<'_>,
        with_place: &Place<'_>,
    ) -> Option<Kind> {
        let node = object.get(kind)?;
        let own = path.key(kind);
        match kind {
            "driver" => {
                let named = self.driver(node, &own);
                let action = object.get("action").and_then(|node| {
                    self.name(
                        node,
                        &path.key("action"),
                        &DRIVER,
                        ("driver_bytes", self.limits.driver_bytes),
                    )
                });
                let with = match object.get("with") {
                    // `with:` and nothing after it.
                    None
                    | Some(Node {
                        content: Content::Null,
                        ..
                    }) => Template::parse(&Json::Object(serde_json::Map::new())).ok(),
                    Some(node) => self.templates(node, &path.key("with"), with_place),
                };
                let secrets = self.step_secrets(object, path);
                let (driver, version) = named?;
                let with = with?;
                self.against_driver(draft, object, path, (driver, version, action), &with);
                let (driver, version) = (driver.into(), version.map(Arc::from));
                Some(Kind::Driver {
                    driver,
                    version,
                    action: action.map(Arc::from),
                    with,
                    secrets,
                })
            }
            "transform" => {
                draft.given = match &node.content {
                    Content::Map(entries)
                        if entries.iter().all(|entry| !entry.key.contains("${{")) =>
                    {
                        Given::Only(entries.iter().map(|entry| &*entry.key).collect())
                    }
                    _ => Given::Unknown,
                };
                let outputs = self.templates(node, &own, place)?;
                Some(Kind::Transform { outputs })
            }
            _ => {
                draft.given = Given::Only(Vec::new());
                self.wait(node, &own, place).map(Kind::Wait)
            }
        }
    }

    /// `name`, or `name@requirement`.
    fn driver(&mut self, node: &'n Node, path: &Path<'_>) -> Option<(&'n str, Option<&'n str>)> {
        let text = self.text(node, path)?;
        let (name, version) = match text.split_once('@') {
            Some((name, version)) => (name, Some(version)),
            None => (text, None),
        };
        if name.len() > self.limits.driver_bytes || !DRIVER.fits(name) {
            let problem = Problem::on(node, path, "this is not the name of a driver");
            let allowed = format!(
                "{}, at most {} characters, then perhaps @ and a version",
                DRIVER.pattern, self.limits.driver_bytes
            );
            self.report
                .error(problem.found(node.describe()).allowed(allowed));
            return None;
        }
        if version.is_some_and(|version| !is_requirement(version)) {
            let problem = Problem::on(node, path, "this is not a version requirement");
            self.report.error(
                problem
                    .found(node.describe())
                    .allowed("after @: a version such as 1.4, or >=1.4, ^2, ~1.2.3, >=1,<2, *"),
            );
            return None;
        }
        Some((name, version))
    }

    fn wait(&mut self, node: &'n Node, path: &Path<'_>, place: &Place<'_>) -> Option<Wait> {
        let object = self.object(node, path, &WAIT)?;
        let (key, value) = match (object.get("duration"), object.get("until")) {
            (Some(node), None) => ("duration", node),
            (None, Some(node)) => ("until", node),
            (found, _) => {
                // A later key was refused by name already.
                if found.is_some() || !object.entries.iter().any(|e| WAIT.later.contains(&&*e.key))
                {
                    let message = "a `wait` has exactly one of `duration` and `until`";
                    self.report.error(Problem::on(node, path, message));
                }
                return None;
            }
        };
        let path = path.key(key);
        let text = self.text(value, &path)?;
        if !text.contains("${{") {
            if key == "duration" {
                self.duration(value, &path)?;
            } else if Time::parse(text).is_err() {
                let problem = Problem::on(value, &path, "`until` is not an instant");
                let problem = problem.found(value.describe());
                self.report
                    .error(problem.allowed("RFC 3339, such as 2030-01-31T18:00:00Z"));
                return None;
            }
        }
        let template = self.template(value, &path, place)?;
        let (wanted, allowed): (&[&str], _) = match key {
            "duration" => (
                &["string", "duration"],
                "a duration such as 15m, or its text",
            ),
            _ => (&["string", "timestamp"], "an instant, or its RFC 3339 text"),
        };
        if !self.whole(value, &path, &template, (wanted, allowed)) {
            return None;
        }
        Some(if key == "duration" {
            Wait::Duration(template)
        } else {
            Wait::Until(template)
        })
    }
}
