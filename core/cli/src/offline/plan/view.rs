//! A plan as readers see it.

use crate::render::graph::{Edge, EdgeKind, Graph, Node, NodeKind};
use crate::render::human;
use conveyor_engine::time::Duration;
use conveyor_engine::value::{Json, parse_json};
use conveyor_proto::v1;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

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
    parents: Vec<(usize, EdgeKind)>,
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
    pub(super) fn new(plan: &v1::Plan) -> PlanView {
        let index: BTreeMap<&str, usize> = (plan.steps.iter().enumerate())
            .map(|(at, step)| (step.id.as_str(), at))
            .collect();
        let parents: Vec<Vec<usize>> = (plan.steps.iter())
            .map(|step| {
                let parents = step.parents.iter();
                parents
                    .filter_map(|id| index.get(id.as_str()).copied())
                    .collect()
            })
            .collect();
        let rank = ranks(&parents);
        let critical: BTreeSet<_> = plan.critical_path.iter().collect();
        let steps = plan.steps.iter().enumerate().map(|(at, step)| {
            StepView::new(step, rank[at], critical.contains(&step.id), &parents[at])
        });
        PlanView {
            pipeline: plan.name.clone(),
            namespace: plan.namespace.clone(),
            digest: plan.digest.clone(),
            description: given(&plan.description),
            resource: given(&plan.resource),
            ordering: match plan.ordering() {
                v1::PlanOrdering::Listed => "listed",
                _ => "graph",
            },
            fail_fast: match plan.fail_fast() {
                v1::PlanFailFast::Off => "false",
                v1::PlanFailFast::Cancel => "cancel",
                _ => "true",
            },
            timeout: plan.timeout_ms.map(|timeout| Duration(timeout).to_string()),
            depth: plan.critical_path.len(),
            critical_path: plan.critical_path.clone(),
            steps: steps.collect(),
        }
    }

    /// The graph to draw.
    pub(super) fn graph(&self) -> Graph {
        let mut edges = Vec::new();
        for (to, step) in self.steps.iter().enumerate() {
            for (from, kind) in &step.parents {
                let from = *from;
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
    fn new(step: &v1::PlanStep, rank: usize, critical: bool, parents: &[usize]) -> StepView {
        let edge = |(parent, id): (&usize, &String)| match (
            step.rule.is_empty(),
            step.handles.contains(id),
        ) {
            (_, true) => (*parent, EdgeKind::Handles),
            (false, _) => (*parent, EdgeKind::Rule),
            (true, _) => (*parent, EdgeKind::Ok),
        };
        let (kind, does) = match step.kind() {
            v1::StepKind::Transform => ("transform", String::new()),
            v1::StepKind::Wait => ("wait", waits(step)),
            _ => {
                let mut does = step.driver.clone();
                if !step.driver_version.is_empty() {
                    does.push_str(&format!("@{}", step.driver_version));
                }
                if !step.action.is_empty() {
                    does.push_str(&format!(" {}", step.action));
                }
                ("driver", does)
            }
        };
        StepView {
            id: step.id.clone(),
            name: given(&step.name),
            kind,
            does,
            finally: step.finally,
            rank,
            critical,
            needs: step.parents.clone(),
            parents: parents.iter().zip(&step.parents).map(edge).collect(),
            handles: step.handles.clone(),
            rule: given(&step.rule),
            when: given(&step.when),
            fan: step.fan.as_ref().map(|fan| FanView::new(fan, step)),
            tries: step.tries,
            timeout: step
                .attempt_timeout_ms
                .map(|timeout| Duration(timeout).to_string()),
            allow_failure: given(&step.allow_failure),
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
    fn new(fan: &v1::PlanFanOut, step: &v1::PlanStep) -> FanView {
        let count = fan.count.map(|count| count as usize);
        let texts = step.instances.iter();
        let instances = texts.map(|text| parse_json(text).unwrap_or_default());
        FanView {
            kind: match fan.kind() {
                v1::PlanFanOutKind::Matrix => "matrix",
                _ => "foreach",
            },
            over: fan.over.clone(),
            count,
            // More than an answer has are only counted.
            instances: (count == Some(step.instances.len())).then(|| instances.collect()),
            depends_on: fan.depends_on.clone(),
            error: given(&fan.error),
            max_parallel: (step.max_parallel > 0).then_some(step.max_parallel),
            fail_fast: fan.fail_fast,
        }
    }
}

/// A text that is there.
fn given(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// What a `wait` waits for.
fn waits(step: &v1::PlanStep) -> String {
    match (step.wait_until, step.wait.as_str()) {
        (false, "") => "as long as an expression says".to_owned(),
        (false, length) => length.to_owned(),
        (true, "") => "until an expression's instant".to_owned(),
        (true, instant) => format!("until {instant}"),
    }
}

/// How many steps are before each at most.
fn ranks(parents: &[Vec<usize>]) -> Vec<usize> {
    let mut children = vec![Vec::new(); parents.len()];
    let mut open: Vec<usize> = parents.iter().map(Vec::len).collect();
    for (at, own) in parents.iter().enumerate() {
        own.iter().for_each(|parent| children[*parent].push(at));
    }
    let mut rank = vec![0; parents.len()];
    let mut ready: Vec<usize> = (0..parents.len()).filter(|at| open[*at] == 0).collect();
    while let Some(at) = ready.pop() {
        for child in &children[at] {
            rank[*child] = rank[*child].max(rank[at] + 1);
            open[*child] -= 1;
            if open[*child] == 0 {
                ready.push(*child);
            }
        }
    }
    rank
}
