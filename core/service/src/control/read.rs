//! Runs as they are.

use super::folds::Folded;
use super::objects::labels_fit;
use super::{ControlHandlers, refuse, short};
use crate::caller::Scope;
use crate::refusal;
use crate::stack::on_stack;
use crate::wire::{self, History, Page, Shown, step_counts};
use conveyor_engine::plan::StepIndex;
use conveyor_engine::run::{Run, RunState, SEMANTICS};
use conveyor_engine::time::Time;
use conveyor_engine::value::Hash;
use conveyor_node::reader::Filter;
use conveyor_node::{NodeError, RunId};
use conveyor_proto::v1;
use prost::Message as _;
use std::collections::{BTreeMap, BTreeSet};
use tonic::Status;

/// The most instances of one answer.
const INSTANCES: u32 = 10_000;
/// The longest name of a pipeline.
const NAME_BYTES: usize = 63;
/// The most steps that a request may name.
const STEPS: usize = 1000;
/// What a page token of runs begins with.
const OF_RUNS: &str = "runs/";
/// The longest page token.
const TOKEN_BYTES: usize = 256;
/// Runs of one answer, by default and at most.
const RUNS: (u32, u32) = (100, 1000);

/// Where a listing of runs goes on.
pub(crate) struct Before {
    run: RunId,
    /// Of the filter and of the run: a token is that of one listing, and nobody else makes one.
    check: u64,
}

impl Before {
    fn new(filter: &[u8], run: RunId) -> Before {
        let mut text = filter.to_vec();
        text.extend(run.0);
        let hash = Hash::of(&text).0;
        let mut check = [0; 8];
        check.copy_from_slice(&hash[..8]);
        Before {
            run,
            check: u64::from_be_bytes(check),
        }
    }

    /// Reads a page token, as it was written.
    pub(crate) fn parse(token: &str) -> Option<Before> {
        let (check, run) = token.strip_prefix(OF_RUNS)?.split_once('/')?;
        let before = Before {
            run: RunId::parse(run)?,
            check: u64::from_str_radix(check, 16).ok()?,
        };
        (before.token() == token).then_some(before)
    }

    /// For the next request.
    pub(crate) fn token(&self) -> String {
        format!("{OF_RUNS}{:016x}/{}", self.check, self.run)
    }
}

/// What decides which runs a request lists, as bytes.
fn filter_of(request: &v1::ListRunsRequest, namespace: Option<&str>) -> Vec<u8> {
    let mut states = request.states.clone();
    states.sort_unstable();
    states.dedup();
    let filter = v1::ListRunsRequest {
        namespace: namespace.unwrap_or_default().to_owned(),
        states,
        page_size: 0,
        page_token: String::new(),
        ..request.clone()
    };
    filter.encode_to_vec()
}

impl ControlHandlers {
    /// A run folded, with what its state does not keep.
    pub(super) async fn folded(&self, run: RunId) -> Result<Folded, NodeError> {
        let mut follower = self.reader.follow(run);
        let mut history = History::default();
        loop {
            let events = follower.poll().await?;
            if events.is_empty() {
                break;
            }
            events.iter().for_each(|event| history.take(event));
        }
        let missing = || NodeError::NotFound(format!("there is no run {run}"));
        let run = follower.into_run().ok_or_else(missing)?;
        Ok(Folded { run, history })
    }

    pub(super) async fn get(
        &self,
        request: v1::GetRunRequest,
    ) -> Result<v1::GetRunResponse, Status> {
        let id = self.resolve(&request.run).await?;
        if request.steps.len() > STEPS {
            let steps = request.steps.len();
            return Err(refusal::limit("/steps", "steps", steps, STEPS));
        }
        let view = refusal::word("/view", request.view, v1::RunView::as_str_name)?;
        let limit = page_size(request.page_size, (INSTANCES, INSTANCES))?;
        let row = self.reader.summary(id).await.map_err(refuse)?;
        let mut told = wire::listed(&row);
        let document = match row.document().filter(|_| request.include_document) {
            Some(digest) => {
                let stored = self.reader.document(digest).await.map_err(refuse)?;
                Some(v1::Document {
                    source: stored.canonical,
                    file_name: stored.file_name,
                })
            }
            None => None,
        };
        if row.state() == RunState::Quarantined {
            // It does not fold: its row and the mark are all there is to tell.
            let mark = self.reader.quarantine(id).await.map_err(refuse)?;
            told.quarantine = mark.as_ref().map(wire::quarantine);
            return Ok(v1::GetRunResponse {
                run: Some(told),
                document,
                ..Default::default()
            });
        }
        let (sequence, page) = match request.page_token.as_str() {
            "" => (0, Page::default()),
            token => Page::parse(token).ok_or_else(|| {
                let why = "the page token is not one of this run";
                refusal::value("/page_token", why).found(token).status()
            })?,
        };
        let folded = match self.folds.take(id, sequence).await {
            Some(folded) => folded,
            None => match self.folded(id).await {
                Ok(folded) => folded,
                Err(NodeError::Corrupt(reason)) => {
                    let flaw = self.reader.flaw(id).await.map_err(refuse)?;
                    // It folds now: somebody has just mended it.
                    let flaw = flaw.ok_or_else(|| Status::aborted(reason))?;
                    told.quarantine = Some(wire::flaw(&flaw));
                    return Ok(v1::GetRunResponse {
                        run: Some(told),
                        document,
                        ..Default::default()
                    });
                }
                Err(error) => return Err(refuse(error)),
            },
        };
        let mut only = BTreeSet::new();
        for (at, step) in request.steps.iter().enumerate() {
            only.insert(step_of(&folded.run, at, step)?);
        }
        let around = self.around(&row).await;
        let values = self.values(id);
        let (answer, folded) = on_stack(move || {
            let Folded { run, history } = &folded;
            fill(&mut told, run, history, &values);
            let shown = Shown {
                run,
                history,
                values: &values,
                around: &around,
                only: &only,
                instances: view != v1::RunView::Steps,
            };
            let (steps, next) = match view {
                v1::RunView::Run => (Vec::new(), None),
                _ => shown.steps(page, limit as usize),
            };
            let next = next.map(|page| page.token(run.sequence()));
            let answer = v1::GetRunResponse {
                run: Some(told),
                steps,
                next_page_token: next.unwrap_or_default(),
                document,
            };
            (answer, folded)
        })
        .await?;
        if !answer.next_page_token.is_empty() {
            self.folds.keep(id, folded).await;
        }
        Ok(answer)
    }

    pub(super) async fn list(
        &self,
        request: v1::ListRunsRequest,
    ) -> Result<v1::ListRunsResponse, Status> {
        labels_fit("/labels", &request.labels)?;
        let states = refusal::states(&request.states)?;
        let named = |text: &String| (!text.is_empty()).then(|| text.clone());
        short("pipeline", &request.pipeline, NAME_BYTES)?;
        let namespace = match (request.namespace.as_str(), &self.caller.namespace) {
            ("", None) => None,
            (name, _) => Some(self.namespace(name).await?),
        };
        let asked = filter_of(&request, namespace.as_deref());
        let filter = Filter {
            namespace,
            pipeline: named(&request.pipeline),
            states,
            interrupted: request.interrupted.then_some(true),
            labels: request.labels,
            created_from: request.created_from_ms.map(Time),
            created_before: request.created_before_ms.map(Time),
        };
        let before = match request.page_token.as_str() {
            "" => None,
            token => {
                short("page_token", token, TOKEN_BYTES)?;
                let own = |before: &Before| before.check == Before::new(&asked, before.run).check;
                let before = Before::parse(token).filter(own).ok_or_else(|| {
                    let why = "the page token is not one of this listing, or of one with other filters: give \
                               one that it told, or none to begin at its first page";
                    refusal::value("/page_token", why).found(token).status()
                })?;
                Some(before.run)
            }
        };
        let limit = page_size(request.page_size, RUNS)?;
        let page = self
            .reader
            .list(filter, before, limit as usize)
            .await
            .map_err(refuse)?;
        let next = page.next.map(|next| Before::new(&asked, next).token());
        Ok(v1::ListRunsResponse {
            runs: page.rows.iter().map(wire::listed).collect(),
            next_page_token: next.unwrap_or_default(),
        })
    }

    pub(super) async fn info(&self) -> Result<v1::GetServerInfoResponse, Status> {
        // A server moves all of its runs: none is interrupted.
        let (live, interrupted) = match self.about.drivers_may_come {
            true => (self.node.live_runs().await.map_err(refuse)?, 0),
            false => {
                let filter = Filter {
                    interrupted: Some(true),
                    ..Filter::default()
                };
                let interrupted = self.reader.list(filter, None, RUNS.1 as usize).await;
                let live = self.gate.live(&self.reader).await.len();
                (live as u64, interrupted.map_err(refuse)?.rows.len())
            }
        };
        // For those alone who look after it: it tells of the machine.
        let step_environment = match self.caller.scope {
            Scope::Admin => self.about.step_environment.clone(),
            _ => BTreeMap::new(),
        };
        Ok(v1::GetServerInfoResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            data_directory: self.about.data_directory.clone(),
            role: self.about.role.clone(),
            started_ms: self.about.started_ms,
            semantics: SEMANTICS,
            drivers: self.about.drivers.keys().cloned().collect(),
            live_runs: live,
            interrupted_runs: interrupted as u64,
            not_ready: self.not_ready().unwrap_or_default(),
            capacity: self.about.capacity,
            step_environment,
        })
    }
}

/// What the fold knows better than the row, and what listings leave out.
fn fill(told: &mut v1::Run, run: &Run, history: &History, values: &crate::values::StoredValues) {
    told.state = run.state().code().into();
    told.reason = history.reason.to_string();
    told.started_ms = history.started.map(|at| at.0);
    told.ended_ms = run.ended_at().map(|at| at.0);
    told.warnings = run.warnings();
    told.sequence = run.sequence();
    told.inputs = values.text(run.inputs());
    told.outputs = run
        .outputs()
        .map(|outputs| values.text(outputs))
        .unwrap_or_default();
    told.step_counts = step_counts(run);
    told.annotations = run.plan().annotations.clone();
    told.annotations.extend(run.annotations().clone());
    told.resource_definition = run
        .plan()
        .resource
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
}

fn step_of(run: &Run, at: usize, id: &str) -> Result<StepIndex, Status> {
    let known = run.plan().index.get(id).copied();
    known.ok_or_else(|| refusal::no_step(refusal::at("/steps", at), "run", run.plan(), id))
}

/// How many a page has, of a usual number and a greatest one.
fn page_size(asked: u32, (usual, most): (u32, u32)) -> Result<u32, Status> {
    match asked {
        0 => Ok(usual),
        asked if asked > most => Err(refusal::limit(
            "/page_size",
            "page_size",
            asked as usize,
            most as usize,
        )),
        asked => Ok(asked),
    }
}
