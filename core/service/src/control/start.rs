//! Runs begin, and go on.

use super::objects::{KeyedRun, annotations_fit};
use super::{ControlHandlers, check, refuse, short};
use crate::stack::on_stack;
use crate::{refusal, wire};
use conveyor_engine::plan::Plan;
use conveyor_engine::value::{Json, Value};
use conveyor_node::reader::Topic;
use conveyor_node::{NodeError, RunId, StartRun};
use conveyor_proto::v1;
use conveyor_proto::v1::start_run_request::Pipeline;
use prost::Message as _;
use prost::bytes::Bytes;
use std::collections::BTreeMap;
use std::time::Duration;
use tonic::Status;

/// The longest that a start waits for the end.
const WAIT_MS: u64 = 60_000;

impl ControlHandlers {
    pub(super) async fn start(
        &self,
        mut request: v1::StartRunRequest,
    ) -> Result<v1::StartRunResponse, Status> {
        let entry = self.gate.enter()?;
        short("actor", &request.actor, 256)?;
        let key = std::mem::take(&mut request.idempotency_key);
        let actor = self.actor(&request.actor);
        if request.wait_ms > WAIT_MS {
            let asked = usize::try_from(request.wait_ms).unwrap_or(usize::MAX);
            return Err(refusal::limit(
                "/wait_ms",
                "wait_ms",
                asked,
                WAIT_MS as usize,
            ));
        }
        // A check makes nothing that a repeat could find.
        let key = if request.validate_only { "" } else { &key };
        let asked = || {
            let mut asked = request.clone();
            // However long it waits, it is the same run.
            asked.wait_ms = 0;
            asked.run_id.clear();
            asked.encode_to_vec()
        };
        let keyed = self.keyed_run("StartRun", &request.namespace, key, asked);
        let (key, reserved) = match keyed.await? {
            KeyedRun::Fresh(key, run) => (key, run),
            KeyedRun::Repeat(run) => {
                self.wait(run, request.wait_ms).await;
                return Ok(v1::StartRunResponse {
                    run: Some(self.with_inputs(run).await?),
                    existing: true,
                    diagnostics: Vec::new(),
                });
            }
        };
        let stored = matches!(request.pipeline, Some(Pipeline::Stored(_)));
        let document = match request.pipeline {
            Some(Pipeline::Document(document)) => document,
            Some(Pipeline::Stored(wanted)) => {
                self.stored_document(&request.namespace, &wanted).await?
            }
            None => {
                return Err(refusal::missing(
                    "/document",
                    "what is to run is missing: give `document`, or the name of an applied pipeline in `stored`",
                ));
            }
        };
        check::within(&self.caller, &document)?;
        let run = reserved.or(wanted(&request.run_id)?);
        let (about, node) = (self.about.clone(), self.node.clone());
        let (inputs, texts) = (request.inputs, request.text_inputs);
        let (read, unregistered, inputs, file_name) = on_stack(move || -> Result<_, Status> {
            let read = match stored {
                true => check::read_stored(&node, &document)?,
                false => check::read(&node, &document)?,
            };
            let plan = read.plan();
            check::drivers(&about, &plan, Some(&document))?;
            let given = check::given(&plan, &inputs, &texts, None)?;
            let inputs = check::inputs(&plan, &given)?;
            let unregistered = check::unregistered(&node, &about, &plan, &document);
            Ok((read, unregistered, inputs, document.file_name))
        })
        .await??;
        let plan = read.plan();
        if !request.namespace.is_empty() && *request.namespace != *plan.namespace {
            let why = format!(
                "the document is of the namespace `{}`, the request of `{}`",
                plan.namespace, request.namespace
            );
            let field = refusal::value("/namespace", why).found(&request.namespace);
            return Err(field.allowed([&*plan.namespace]).status());
        }
        let standing = self.changes.starts.read().await;
        self.namespace(&plan.namespace).await?;
        let resource = match &request.resource {
            None => None,
            Some(wanted) => Some(self.for_resource(&plan, wanted).await?),
        };
        let labels = check::labels(&plan.labels, request.labels)?;
        annotations_fit("/annotations", &request.annotations)?;
        let mut diagnostics: Vec<_> = read.diagnostics.iter().map(refusal::diagnostic).collect();
        diagnostics.extend(unregistered);
        let digest = read.digest;
        let start = StartRun {
            run: run.unwrap_or_else(RunId::fresh),
            fresh: run.is_none() && !key.is_some(),
            source: read.source.clone(),
            file_name,
            labels,
            annotations: request.annotations,
            resource,
            ..StartRun::new(plan.clone(), read.canonical.clone(), inputs, &actor)
        };
        let text = Bytes::from(conveyor_engine::value::canonical_bytes(&start.inputs));
        if request.validate_only {
            let run = v1::Run {
                id: start.run.to_string(),
                namespace: plan.namespace.to_string(),
                pipeline: plan.name.to_string(),
                digest: digest.to_string(),
                semantics: conveyor_engine::run::SEMANTICS,
                labels: start.labels,
                annotations: with(&plan.annotations, start.annotations),
                actor,
                inputs: text,
                ..v1::Run::default()
            };
            return Ok(v1::StartRunResponse {
                run: Some(run),
                existing: false,
                diagnostics,
            });
        }
        let (given, annotations) = (start.inputs.clone(), start.annotations.clone());
        let resource = start.resource.clone();
        let start = StartRun {
            run: self.reserve(key, start.run).await?,
            ..start
        };
        let started = self.node.start_run(start).await.map_err(refuse)?;
        drop(standing);
        if started.existed {
            self.sees_run(started.run).await?;
            self.same(started.run, digest, (&given, resource.as_ref()))
                .await?;
        } else {
            entry.given(started.run);
        }
        drop(entry);
        self.wait(started.run, request.wait_ms).await;
        let run = match started.existed {
            // What it was given with is what it has.
            true => self.with_inputs(started.run).await?,
            false => v1::Run {
                inputs: text,
                annotations: with(&plan.annotations, annotations),
                ..self.brief(started.run).await?
            },
        };
        Ok(v1::StartRunResponse {
            run: Some(run),
            existing: started.existed,
            diagnostics,
        })
    }

    /// Whether a run that was there is what a repeated request asks for.
    async fn same(
        &self,
        run: RunId,
        digest: conveyor_engine::value::Hash,
        (inputs, resource): (&Json, Option<&Json>),
    ) -> Result<(), Status> {
        let row = self.reader.summary(run).await.map_err(refuse)?;
        let there = self.reader.load(run).await.map_err(refuse)?;
        let inputs = Value::inline(inputs).digest();
        let resource = resource.map(|resource| Value::inline(resource).digest());
        if row.document() != Some(digest)
            || there.inputs().digest() != inputs
            || there.resource().map(Value::digest) != resource
        {
            return Err(Status::already_exists(format!(
                "the run {run} is there already, of another document, with other inputs or for another \
                 resource"
            )));
        }
        Ok(())
    }

    /// The version of a Resource that a request names, as expressions see it.
    async fn for_resource(
        &self,
        plan: &Plan,
        wanted: &v1::ResourceVersion,
    ) -> Result<Json, Status> {
        if !wanted.spec.is_empty() {
            return Err(refusal::value(
                "/resource/spec",
                "`resource.spec` is the stored one: leave it out",
            )
            .status());
        }
        let definition = wanted.definition.as_str();
        if let Some(acts_on) = plan.resource.as_deref().filter(|on| *on != definition) {
            let why = format!(
                "the pipeline acts on a Resource of `{acts_on}`, the request names one of `{definition}`"
            );
            let field = refusal::value("/resource/definition", why).found(definition);
            return Err(field.allowed([acts_on]).status());
        }
        let version = (wanted.version > 0).then_some(wanted.version);
        let found = self.resource_at(
            "/resource",
            &plan.namespace,
            definition,
            &wanted.name,
            version,
        );
        let (resource, stored) = found.await?;
        let names = (&*plan.namespace, definition, wanted.name.as_str());
        Ok(conveyor_node::resources::object(
            names,
            resource.version,
            &stored,
        ))
    }

    async fn wait(&self, run: RunId, wait_ms: u64) {
        if wait_ms > 0 {
            let limit = Duration::from_millis(wait_ms);
            let mut closed = self.gate.closed();
            // Too slow is no error, nor is a process that ends before: the answer tells the state.
            tokio::select! {
                _ = tokio::time::timeout(limit, self.ended(run)) => {}
                () = async { let _ = closed.wait_for(|closed| *closed).await; } => {}
            }
        }
    }

    /// A run that was there, as its start answers.
    pub(super) async fn with_inputs(&self, run: RunId) -> Result<v1::Run, Status> {
        let mut told = self.brief(run).await?;
        let folded = self.reader.load(run).await.map_err(refuse)?;
        told.inputs = self.values(run).text(folded.inputs()).to_vec().into();
        told.annotations = with(&folded.plan().annotations, folded.annotations().clone());
        Ok(told)
    }

    async fn ended(&self, run: RunId) -> Result<(), NodeError> {
        // Not as a follower of all that it does: its row would be read after each step.
        let mut end = self.reader.hub().subscribe(Topic::Ended(run));
        while !self.reader.summary(run).await?.state().is_terminal() {
            end.wait().await;
        }
        Ok(())
    }

    pub(super) async fn go_on(
        &self,
        request: v1::ContinueRunRequest,
    ) -> Result<v1::ContinueRunResponse, Status> {
        let entry = self.gate.enter()?;
        short("actor", &request.actor, 256)?;
        let run = self.resolve(&request.run).await?;
        let row = self.reader.summary(run).await.map_err(refuse)?;
        if row.state().is_terminal() || self.node.is_held(run) {
            let run = Some(wire::listed(&row));
            return Ok(v1::ContinueRunResponse {
                run,
                continued: false,
            });
        }
        let about = self.about.clone();
        match self.reader.load(run).await {
            Ok(folded) => check::drivers(&about, folded.plan(), None)?,
            // The node sets it aside, and says so.
            Err(NodeError::Corrupt(_)) => {}
            Err(error) => return Err(refuse(error)),
        }
        self.node.continue_run(run).await.map_err(refuse)?;
        entry.given(run);
        Ok(v1::ContinueRunResponse {
            run: Some(self.brief(run).await?),
            continued: true,
        })
    }
}

/// The id that a request has for its run.
pub(super) fn wanted(id: &str) -> Result<Option<RunId>, Status> {
    if id.is_empty() {
        return Ok(None);
    }
    let wrong = || {
        let why = format!("the run id `{id}` is no UUIDv7");
        refusal::value("/run_id", why).found(id).status()
    };
    RunId::parse(id).map(Some).ok_or_else(wrong)
}

/// The document's annotations, and over them what was given.
fn with(
    base: &BTreeMap<String, String>,
    given: BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut all = base.clone();
    all.extend(given);
    all
}
