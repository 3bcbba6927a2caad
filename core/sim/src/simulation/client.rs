//! People and programs that start runs, and stop, pause and resume them.

use super::changing::Object;
use super::site;
use crate::model::{Document, Kind, Pipeline, SplitMix64, Step, random_pipeline};
use conveyor_engine::document;
use conveyor_engine::plan::Plan;
use conveyor_engine::run::{Inherited, Stop, StopKind};
use conveyor_engine::time::Time;
use conveyor_engine::value::{Json, Value};
use conveyor_node::RunId;
use conveyor_node::owner::{Control, Start, ValueTexts};
use conveyor_proto::storage::v1::StoredDocument;
use prost::Message as _;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Something that a client wants, until it is answered.
#[derive(Clone, Debug)]
pub(super) enum Wish {
    Start(Box<Start>),
    Control(RunId, Control),
    Object(Object),
    /// The secrets are away, or there again.
    Vault {
        away: bool,
    },
}

/// A wish and when it is sent next.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) at: Time,
    pub(super) wish: Wish,
}

/// What the clients of one seed will ask for.
pub(super) fn requests(random: &mut SplitMix64, now: Time) -> Vec<Request> {
    let mut requests = Vec::new();
    for _ in 0..1 + random.below(4) {
        let start = start(random);
        let run = start.run;
        let at = Time(now.0 + random.below(3_000) as u64);
        requests.push(Request {
            at,
            wish: Wish::Start(Box::new(start)),
        });
        if random.percent(35) {
            let at = Time(at.0 + random.below(12_000) as u64);
            let kind = [StopKind::Drain, StopKind::Cancel, StopKind::Terminate][random.below(3)];
            requests.push(stop(run, at, kind));
            if random.percent(40) {
                let later = Time(at.0 + random.below(8_000) as u64);
                let kind = [StopKind::Cancel, StopKind::Terminate][random.below(2)];
                requests.push(stop(run, later, kind));
            }
        }
        if random.percent(35) {
            let at = Time(at.0 + random.below(6_000) as u64);
            let (actor, reason) = (Arc::from("ann"), Arc::from(""));
            requests.push(Request {
                at,
                wish: Wish::Control(run, Control::Pause { actor, reason }),
            });
            let at = Time(at.0 + random.below(6_000) as u64);
            let (actor, reason) = (Arc::from("ann"), Arc::from(""));
            requests.push(Request {
                at,
                wish: Wish::Control(run, Control::Resume { actor, reason }),
            });
        }
    }
    // Away for a while, and there again in the end.
    if random.percent(50) {
        let mut at = now;
        for _ in 0..1 + random.below(3) {
            for away in [true, false] {
                at = Time(at.0 + random.below(8_000) as u64);
                let wish = Wish::Vault { away };
                requests.push(Request { at, wish });
            }
        }
    }
    requests
}

/// What people will want of the objects of one seed. Each number is asked for once.
pub(super) fn objects(random: &mut SplitMix64, now: Time) -> Vec<Request> {
    let mut requests = Vec::new();
    for n in 0..4 + random.below(8) as u64 {
        let resource = site::RESOURCES[random.below(site::RESOURCES.len())];
        let object = match random.below(10) {
            0..6 => Object::Apply {
                resource,
                n,
                key: if random.percent(60) {
                    format!("key-{n}")
                } else {
                    String::new()
                },
            },
            6..8 => Object::Remove { resource },
            _ => Object::Publish {
                revision: random.below(site::REVISIONS.len()),
            },
        };
        requests.push(Request {
            at: Time(now.0 + random.below(15_000) as u64),
            wish: Wish::Object(object),
        });
    }
    requests
}

/// A stop.
pub(super) fn stop(run: RunId, at: Time, kind: StopKind) -> Request {
    let stop = Stop {
        kind,
        actor: Arc::from("ann"),
        reason: Arc::from(""),
    };
    Request {
        at,
        wish: Wish::Control(run, Control::Stop(stop)),
    }
}

/// The starts among the requests.
pub(super) fn starts(requests: &[Request]) -> Vec<Start> {
    let start = |request: &Request| match &request.wish {
        Wish::Start(start) => Some(Start::clone(start)),
        _ => None,
    };
    requests.iter().filter_map(start).collect()
}

/// The start of a fork.
pub(super) fn fork(
    random: &mut SplitMix64,
    old: Start,
    inherited: Vec<Inherited>,
    values: ValueTexts,
) -> Start {
    Start {
        run: id(random),
        forked_from: Some(old.run.text()),
        inherited,
        values,
        ..old
    }
}

fn id(random: &mut SplitMix64) -> RunId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&random.next_u64().to_be_bytes());
    id[8..].copy_from_slice(&random.next_u64().to_be_bytes());
    // The bits that make it a UUIDv7.
    id[6] = 0x70 | (id[6] & 0x0f);
    id[8] = 0x80 | (id[8] & 0x3f);
    RunId(id)
}

fn start(random: &mut SplitMix64) -> Start {
    let run = id(random);
    let pipeline = random_pipeline(random);
    let mut printed = pipeline.document();
    enrich(random, &pipeline, &mut printed);
    let (plan, document) = compile(&printed.text);
    Start {
        run,
        fresh: true,
        plan,
        document,
        inputs: Value::inline(&printed.inputs),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        actor: Arc::from("ann"),
        forked_from: None,
        inherited: Vec::new(),
        resource: None,
        event: None,
        resource_name: None,
        values: Vec::new(),
        values_stored: false,
    }
}

/// So many percent of the pipelines have a fan-out that takes several turns.
const WIDE: usize = 4;

/// Adds what the model has no words for: values that go from step to step, and wide fan-outs.
fn enrich(random: &mut SplitMix64, pipeline: &Pipeline, printed: &mut Document) {
    let mut text: Json = serde_json::from_str(&printed.text).unwrap_or_default();
    for (at, step) in pipeline.steps.iter().enumerate() {
        if step.kind != Kind::Driver {
            continue;
        }
        let parents = pipeline.parents(at);
        let parents = parents.iter().map(|parent| &pipeline.steps[*parent]);
        for parent in parents.filter(|step| step.kind == Kind::Driver && step.fan.is_none()) {
            let parent = &parent.id;
            let given = format!("${{{{ steps.{parent}.outputs.?text.orValue('none') }}}}");
            text["spec"]["steps"][at]["with"][format!("from_{parent}")] = given.into();
        }
    }
    // Some steps have a secret.
    if random.percent(30) {
        text["spec"]["secrets"] = json!([{"name": "token", "from": "file:token"}]);
        for (at, step) in pipeline.steps.iter().enumerate() {
            if step.kind == Kind::Driver && random.percent(50) {
                text["spec"]["steps"][at]["secrets"] = json!({"TOKEN": "token"});
            }
        }
    }
    let plain = |step: &&Step| step.kind == Kind::Transform && step.fan.is_none();
    if random.percent(WIDE)
        && let Some(wide) = pipeline.steps.iter().position(|step| plain(&step))
    {
        let items: Vec<usize> = (0..300 + random.below(1_500)).collect();
        text["spec"]["steps"][wide]["foreach"] = json!({"items": "${{ inputs.wide }}"});
        text["spec"]["inputs"]["properties"]["wide"] = json!({"type": "array"});
        printed.inputs["wide"] = json!(items);
    }
    printed.text = text.to_string();
}

fn compile(text: &str) -> (Arc<Plan>, Arc<[u8]>) {
    let document = document::load("random.json", text.as_bytes()).unwrap_or_else(|errors| {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        panic!("{}\n{text}", errors.join("\n"))
    });
    let stored = StoredDocument {
        canonical: document.canonical.to_vec().into(),
        source: text.as_bytes().to_vec().into(),
        file_name: "random.json".into(),
    };
    (document.plan(), stored.encode_to_vec().into())
}
