//! A new run from one that has ended (SEMANTICS 27).

use super::objects::{KeyedRun, annotations_fit};
use super::start::wanted;
use super::{ControlHandlers, check, refuse, short};
use crate::refusal;
use crate::stack::on_stack;
use crate::values::StoredValues;
use conveyor_engine::document::Document;
use conveyor_engine::plan::Plan;
use conveyor_engine::run::{Fork, ForkError, ForkFrom, Inherited, Run, Values};
use conveyor_engine::value::{Hash, Json, Value};
use conveyor_node::{RunId, StartRun};
use conveyor_proto::v1;
use prost::Message as _;
use std::collections::BTreeMap;
use std::sync::Arc;
use tonic::Status;

/// The most steps that a fork may begin at.
const STEPS: usize = 1000;

/// What a fork would start.
struct Prepared {
    document: Document,
    inputs: Json,
    fork: Fork,
    values: Vec<(Hash, Arc<[u8]>)>,
    /// What the old run was for, and what triggered it: the new one sees the same.
    resource: Option<Json>,
    event: Option<Json>,
}

impl ControlHandlers {
    pub(super) async fn fork(
        &self,
        mut request: v1::ForkRunRequest,
    ) -> Result<v1::ForkRunResponse, Status> {
        let entry = self.gate.enter()?;
        short("actor", &request.actor, 256)?;
        let key = std::mem::take(&mut request.idempotency_key);
        // A preview makes nothing that a repeat could find.
        let key = if request.preview { "" } else { &key };
        let asked = || {
            let mut asked = request.clone();
            asked.run_id.clear();
            asked.encode_to_vec()
        };
        let (key, reserved) = match self.keyed_run("ForkRun", "", key, asked).await? {
            KeyedRun::Fresh(key, run) => (key, run),
            // What it inherits was told the first time.
            KeyedRun::Repeat(run) => {
                return Ok(v1::ForkRunResponse {
                    run: Some(self.brief(run).await?),
                    steps: Vec::new(),
                    existing: true,
                });
            }
        };
        if request.from_steps.len() > STEPS {
            let steps = request.from_steps.len();
            return Err(refusal::limit("/from_steps", "from_steps", steps, STEPS));
        }
        let from = match (request.from_failed, request.from_steps.is_empty()) {
            (true, true) => ForkFrom::Failed,
            (false, false) => ForkFrom::Steps(
                request
                    .from_steps
                    .iter()
                    .map(|id| id.as_str().into())
                    .collect(),
            ),
            _ => {
                return Err(refusal::missing(
                    "/from_steps",
                    "give `from_steps` or `from_failed`",
                ));
            }
        };
        let new = reserved.or(wanted(&request.run_id)?);
        let old = self.resolve(&request.run).await?;
        let row = self.reader.summary(old).await.map_err(refuse)?;
        let run = self.reader.load(old).await.map_err(refuse)?;
        let stored = request.document.is_none();
        let document = match request.document {
            Some(document) => document,
            None => {
                let digest = row
                    .document()
                    .ok_or_else(|| Status::data_loss("no document"))?;
                let stored = self.reader.document(digest).await.map_err(refuse)?;
                // The canonical text is what the old run pinned, whatever this release makes of the
                // source.
                let file_name = format!("{}.json", stored.file_name.trim_end_matches(".json"));
                v1::Document {
                    source: stored.canonical,
                    file_name,
                }
            }
        };
        check::within(&self.caller, &document)?;
        let (about, values) = (self.about.clone(), self.values(old));
        let labels = check::labels(run.labels(), request.labels)?;
        let mut annotations = run.annotations().clone();
        annotations.extend(request.annotations);
        annotations_fit("/annotations", &annotations)?;
        let (given, texts) = (request.inputs, request.text_inputs);
        let file_name = document.file_name.clone();
        let node = self.node.clone();
        let preview = request.preview;
        let prepared = on_stack(move || -> Result<Prepared, Status> {
            let read = match stored {
                true => check::read_stored(&node, &document)?,
                false => check::read(&node, &document)?,
            };
            if !preview {
                check::drivers(&about, &read.plan(), Some(&document))?;
            }
            prepare(&run, read, &given, &texts, &from, &values)
        })
        .await??;
        let plan = prepared.document.plan();
        let standing = self.changes.starts.read().await;
        self.namespace(&plan.namespace).await?;
        let steps = told(&plan, &prepared.fork);
        if preview {
            return Ok(v1::ForkRunResponse {
                run: None,
                steps,
                existing: false,
            });
        }
        let start = StartRun {
            run: new.unwrap_or_else(RunId::fresh),
            fresh: new.is_none() && !key.is_some(),
            source: prepared.document.source.clone(),
            file_name,
            labels,
            annotations,
            forked_from: Some(old),
            inherited: prepared.fork.inherited,
            values: prepared.values,
            resource: prepared.resource,
            event: prepared.event,
            ..StartRun::new(
                plan,
                prepared.document.canonical,
                prepared.inputs,
                &self.actor(&request.actor),
            )
        };
        let start = StartRun {
            run: self.reserve(key, start.run).await?,
            ..start
        };
        let started = self.node.start_run(start).await.map_err(refuse)?;
        drop(standing);
        match started.existed {
            true => self.sees_run(started.run).await?,
            false => entry.given(started.run),
        }
        let run = Some(self.with_inputs(started.run).await?);
        Ok(v1::ForkRunResponse {
            run,
            steps,
            existing: started.existed,
        })
    }
}

fn prepare(
    run: &Run,
    document: Document,
    given: &[u8],
    texts: &BTreeMap<String, String>,
    from: &ForkFrom,
    values: &StoredValues,
) -> Result<Prepared, Status> {
    let plan = document.plan();
    let old = conveyor_engine::value::parse_json(&values.text(run.inputs()))
        .map_err(|error| Status::data_loss(format!("the old run's inputs: {error}")))?;
    let given = check::given(&plan, given, texts, Some(&old))?;
    let inputs = check::inputs(&plan, &given)?;
    let fork = run
        .fork(&plan, &Value::inline(&inputs), from, values)
        .map_err(|error| unforked(&error, from, &plan))?;
    let mut texts = BTreeMap::new();
    for hash in fork.inherited.iter().flat_map(Inherited::hashes) {
        let made = fork.values.get(&hash).cloned();
        let text = made.or_else(|| values.get(&hash));
        let text =
            text.ok_or_else(|| Status::data_loss(format!("the value {hash} is not there")))?;
        texts.insert(hash, text);
    }
    let read = |value: &Value| {
        conveyor_engine::value::parse_json(&values.text(value))
            .map_err(|error| Status::data_loss(format!("what the old run was for: {error}")))
    };
    Ok(Prepared {
        resource: run.resource().map(read).transpose()?,
        event: run.event().map(read).transpose()?,
        document,
        inputs,
        fork,
        values: texts.into_iter().collect(),
    })
}

/// Why there is no fork: a step that is named and is none is a flaw of the request.
fn unforked(error: &ForkError, from: &ForkFrom, plan: &Plan) -> Status {
    let (ForkError::NoSuchStep(id), ForkFrom::Steps(steps)) = (error, from) else {
        return Status::failed_precondition(error.to_string());
    };
    let at = steps.iter().position(|step| step == id).unwrap_or_default();
    refusal::no_step(refusal::at("/from_steps", at), "pipeline", plan, id)
}

/// Every step of the new plan, in its order, and what becomes of it.
fn told(plan: &Plan, fork: &Fork) -> Vec<v1::ForkStep> {
    let inherited: BTreeMap<_, _> = fork
        .inherited
        .iter()
        .map(|step| (&*step.step, step.state))
        .collect();
    let runs: BTreeMap<_, _> = fork
        .runs
        .iter()
        .map(|(step, why)| (&**step, &**why))
        .collect();
    let step = |step: &conveyor_engine::plan::Step| {
        let kept = inherited.get(&*step.id);
        let reason = match (kept, runs.get(&*step.id)) {
            (Some(state), _) => format!("it ended {state}, and would be given the same"),
            (None, Some(why)) => (*why).to_owned(),
            (None, None) => "`finally` always runs".to_owned(),
        };
        v1::ForkStep {
            step: step.id.to_string(),
            inherited: kept.is_some(),
            reason,
        }
    };
    plan.steps.iter().map(step).collect()
}
