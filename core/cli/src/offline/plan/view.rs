//! A plan as readers see it.

use super::preview::{Instances, Preview};
use crate::render::graph::{Edge, EdgeKind, Graph, Node, NodeKind};
use crate::render::human;
use conveyor_engine::plan::{
    AllowFailure, FailFast, FanSource, Kind, Needs, Ordering, Plan, Step, StepIndex, Wait,
};
use conveyor_engine::value::Json;
use serde::Serialize;
use std::collections::BTreeSet;

/// A plan.
#[derive(Debug, Serialize)]
pub(super) struct PlanView {
    pub(super) pipeline: String,
    pub(super) namespace: String,
    pub(super) digest: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) resource: Option<String>,
    /// `listed` or `graph`.
    pub(super) ordering: &'static str,
    /// `true`, `false` or `cancel`, as documents say it.
    pub(super) fail_fast: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) timeout: Option<String>,
    /// How many steps wait for each other at most.
    pub(super) depth: usize,
    /// The longest chain of steps that wait for each other.
    pub(super) critical_path: Vec<String>,
    pub(super) steps: Vec<StepView>,
}

/// A step of a plan.
#[derive(Debug, Serialize)]
pub(super) struct StepView {
    pub(super) id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    /// `driver`, `transform` or `wait`.
    pub(super) kind: &'static str,
    /// The driver with its version and action, or what a `wait` waits for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) does: String,
    pub(super) finally: bool,
    /// How many steps are before it at most.
    pub(super) rank: usize,
    pub(super) critical: bool,
    /// The steps that it waits for.
    pub(super) needs: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rule: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) handles: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) when: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fan: Option<FanView>,
    /// How many tries it has in all.
    pub(super) tries: u32,
    /// How long an attempt may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) timeout: Option<String>,
    /// `always`, or the condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) allow_failure: Option<String>,
    #[serde(skip)]
    parents: Vec<(StepIndex, EdgeKind)>,
}

/// A fan-out of a plan.
#[derive(Debug, Serialize)]
pub(super) struct FanView {
    /// `matrix` or `foreach`.
    pub(super) kind: &'static str,
    /// The axes of a matrix in written order, or the name of an item.
    pub(super) over: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) count: Option<usize>,
    /// The combinations or items, where they are known before a run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) instances: Option<Vec<Json>>,
    /// What they depend on, where they are not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) depends_on: Vec<String>,
    /// Why the step would end `errored`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_parallel: Option<u32>,
    pub(super) fail_fast: bool,
}

impl PlanView {
    /// The view of a plan.
    pub(super) fn new(plan: &Plan, preview: &Preview) -> PlanView {
        let mut rank = vec![0; plan.steps.len()];
        for step in &plan.topological {
            let parents = plan.steps[*step as usize].parents.iter();
            rank[*step as usize] = parents.map(|p| rank[*p as usize] + 1).max().unwrap_or(0);
        }
        let path = plan.critical_path(|_| 1);
        let critical: BTreeSet<_> = path.iter().copied().collect();
        let id = |step: &StepIndex| plan.steps[*step as usize].id.to_string();
        let steps = plan.steps.iter().enumerate().map(|(index, step)| {
            let critical = critical.contains(&(index as StepIndex));
            StepView::new(plan, step, rank[index], critical, preview)
        });
        PlanView {
            pipeline: plan.name.to_string(),
            namespace: plan.namespace.to_string(),
            digest: plan.digest.to_string(),
            description: plan.description.as_ref().map(ToString::to_string),
            resource: plan.resource.as_ref().map(ToString::to_string),
            ordering: match plan.ordering {
                Ordering::Listed => "listed",
                Ordering::Graph => "graph",
            },
            fail_fast: match plan.fail_fast {
                FailFast::Off => "false",
                FailFast::NothingNew => "true",
                FailFast::Cancel => "cancel",
            },
            timeout: plan.timeout.map(|timeout| timeout.to_string()),
            depth: path.len(),
            critical_path: path.iter().map(id).collect(),
            steps: steps.collect(),
        }
    }

    /// The graph to draw.
    pub(super) fn graph(&self) -> Graph {
        let mut edges = Vec::new();
        for (to, step) in self.steps.iter().enumerate() {
            for (from, kind) in &step.parents {
                let from = *from as usize;
                // Both ends on the path and ranks apart by one: neighbours on it.
                let critical = step.critical
                    && self.steps[from].critical
                    && self.steps[from].rank + 1 == step.rank;
                edges.push(Edge {
                    from,
                    to,
                    kind: *kind,
                    critical,
                });
            }
        }
        let finally = self.steps.iter().filter(|step| step.finally).count();
        let mut note = format!(
            "{}, {} deep",
            human::count(self.steps.len(), "step"),
            self.depth
        );
        if finally > 0 {
            note.push_str(&format!(", {finally} in finally"));
        }
        if self.ordering == "listed" {
            note.push_str(", in listed order");
        }
        Graph {
            title: self.pipeline.clone(),
            note: format!("{note} · {}", self.digest.get(..12).unwrap_or(&self.digest)),
            nodes: self.steps.iter().map(StepView::node).collect(),
            edges,
        }
    }
}

impl StepView {
    fn new(plan: &Plan, step: &Step, rank: usize, critical: bool, preview: &Preview) -> StepView {
        let id = |step: &StepIndex| plan.steps[*step as usize].id.to_string();
        let (rule, handles) = match &step.needs {
            Needs::All => (None, &[][..]),
            Needs::Rule { rule, handles } => (Some(rule.source().to_owned()), &handles[..]),
        };
        let edge = |parent: &StepIndex| match (&rule, handles.contains(parent)) {
            (_, true) => (*parent, EdgeKind::Handles),
            (Some(_), _) => (*parent, EdgeKind::Rule),
            (None, _) => (*parent, EdgeKind::Ok),
        };
        let (kind, does) = match &step.kind {
            Kind::Driver {
                driver,
                version,
                action,
                ..
            } => {
                let version = version
                    .as_ref()
                    .map(|v| format!("@{v}"))
                    .unwrap_or_default();
                let action = action.as_ref().map(|a| format!(" {a}")).unwrap_or_default();
                ("driver", format!("{driver}{version}{action}"))
            }
            Kind::Transform { .. } => ("transform", String::new()),
            Kind::Wait(Wait::Duration(template)) => {
                let text = template.constant().and_then(Json::as_str);
                (
                    "wait",
                    text.unwrap_or("as long as an expression says").to_owned(),
                )
            }
            Kind::Wait(Wait::Until(template)) => {
                let text = template.constant().and_then(Json::as_str);
                (
                    "wait",
                    format!("until {}", text.unwrap_or("an expression's instant")),
                )
            }
        };
        StepView {
            id: step.id.to_string(),
            name: step.name.as_ref().map(ToString::to_string),
            kind,
            does,
            finally: step.finally,
            rank,
            critical,
            needs: step.parents.iter().map(id).collect(),
            parents: step.parents.iter().map(edge).collect(),
            handles: handles.iter().map(id).collect(),
            rule,
            when: step
                .when
                .as_ref()
                .map(|when| when.condition.source().to_owned()),
            fan: step.fan.as_ref().map(|fan| FanView::new(fan, preview)),
            tries: step.retry.as_ref().map_or(1, |retry| retry.attempts),
            timeout: matches!(step.kind, Kind::Driver { .. })
                .then(|| step.timeouts.attempt.to_string()),
            allow_failure: match &step.allow_failure {
                AllowFailure::Never => None,
                AllowFailure::Always => Some("always".to_owned()),
                AllowFailure::If(condition) => Some(condition.source().to_owned()),
            },
        }
    }

    /// What it does, in a few words.
    pub(super) fn note(&self) -> String {
        match (self.kind, self.does.is_empty()) {
            ("driver", _) => self.does.clone(),
            (kind, true) => kind.to_owned(),
            (kind, false) => format!("{kind} {}", self.does),
        }
    }

    /// What else matters, in a word each.
    pub(super) fn badges(&self) -> Vec<String> {
        let mut badges = Vec::new();
        if let Some(fan) = &self.fan {
            badges.push(match fan.count {
                Some(count) => format!("{} ×{count}", fan.kind),
                None => format!("{} ×?", fan.kind),
            });
        }
        if self.tries > 1 {
            badges.push(format!("{} tries", self.tries));
        }
        if self.when.is_some() {
            badges.push("when".to_owned());
        }
        if self.allow_failure.is_some() {
            badges.push("may fail".to_owned());
        }
        badges
    }

    fn node(&self) -> Node {
        let mut title = self.name.clone().unwrap_or_else(|| self.id.clone());
        for (what, text) in [("when", &self.when), ("rule", &self.rule)] {
            if let Some(text) = text {
                title.push_str(&format!(" · {what} {text}"));
            }
        }
        Node {
            id: self.id.clone(),
            note: self.note(),
            badges: self.badges(),
            kind: match self.kind {
                "transform" => NodeKind::Transform,
                "wait" => NodeKind::Wait,
                _ => NodeKind::Driver,
            },
            finally: self.finally,
            fan: self.fan.is_some(),
            critical: self.critical,
            title,
        }
    }
}

impl FanView {
    fn new(fan: &conveyor_engine::plan::Fan, preview: &Preview) -> FanView {
        let (kind, over) = match &fan.source {
            FanSource::Matrix { axes, .. } => (
                "matrix",
                axes.iter().map(|(name, _)| name.to_string()).collect(),
            ),
            FanSource::Foreach { name, .. } => ("foreach", vec![name.to_string()]),
        };
        let mut view = FanView {
            kind,
            over,
            count: None,
            instances: None,
            depends_on: Vec::new(),
            error: None,
            max_parallel: fan.max_parallel,
            fail_fast: fan.fail_fast,
        };
        match preview.instances(fan) {
            Instances::Known(instances) => {
                view.count = Some(instances.len());
                view.instances = Some(instances);
            }
            Instances::DependOn(names) => view.depends_on = names,
            Instances::Wrong(message) => view.error = Some(message),
        }
        view
    }
}
