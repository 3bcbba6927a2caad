//! A task as a driver in another process sees it, and its report on the way back.

use super::Reported;
use super::assigned::{self, Assigned};
use super::directory::Known;
use super::repeat::is_repeat;
use crate::driver::Outcome;
use crate::error::NodeError;
use crate::node::{Node, judge, parameters, resource, unexpected};
use crate::owner::{self, Answer, Input, StartTask};
use crate::secrets::SecretValues;
use crate::token::Claimed;
use conveyor_engine::run::{AttemptState, Failure};
use conveyor_engine::time::{Duration, Time};
use conveyor_engine::value::{Json, Value};
use conveyor_mask::Mask;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The code of a failure that stands for a report which breaks the contract (R26).
pub const INVALID_REPORT: &str = "invalid_report";

/// What a driver in another process is to be told.
#[derive(Debug)]
pub enum ToDriver {
    /// A task. [`super::Session::task`] makes it ready to be sent.
    Task(Box<StartTask>),
    /// A task has to stop.
    Cancel {
        /// Which.
        claimed: Claimed,
        /// Its run's namespace.
        namespace: Arc<str>,
        /// Why.
        reason: Arc<str>,
        /// How long it has; zero: its claim is over already.
        grace: Duration,
    },
    /// A newer connection has the session.
    Replaced,
    /// The session was silent for too long, or is over.
    Over,
}

/// An attempt as a driver in another process sees it.
#[derive(Clone, Debug)]
pub struct DriverTask {
    /// The claim.
    pub claimed: Claimed,
    /// The run's id.
    pub run: Arc<str>,
    /// The step's id.
    pub step: Arc<str>,
    /// The run's namespace.
    pub namespace: Arc<str>,
    /// The pipeline's name.
    pub pipeline: Arc<str>,
    /// The action's name.
    pub action: Arc<str>,
    /// `with`, evaluated: a JSON object's text.
    pub inputs: Arc<[u8]>,
    /// Secrets by the name that the step gives them.
    pub secrets: SecretValues,
    /// When the attempt's time is over, by the node's clock.
    pub deadline: Time,
    /// From a cancel to the end of the lease.
    pub grace: Duration,
    /// The longest silence.
    pub heartbeat: Duration,
    /// What an earlier attempt handed over.
    pub checkpoint: Option<Arc<[u8]>>,
    /// Labels of the run.
    pub labels: BTreeMap<String, String>,
    /// Parameters of the instance: JSON text; `None` for a plain step.
    pub parameters: Option<Arc<[u8]>>,
    /// The version of a Resource that the run is for: the JSON text of an object.
    pub resource: Option<Arc<[u8]>>,
}

/// A task that is to be sent, or not.
#[derive(Debug)]
pub enum Ready {
    /// It is to be sent.
    Task(Box<DriverTask>),
    /// It cannot be done, and has ended: its place is free again.
    Ended,
    /// It cannot be sent for now, and has not ended: its driver may have it from before, or the store did not
    /// take its end. Its place is not free; it comes again.
    Later,
}

/// Makes a task ready to be sent. One that cannot be done ends here.
pub(super) async fn prepare(node: &Node, known: &Known, start: StartTask) -> Ready {
    match made(node, known, &start).await {
        Ok((task, mask)) => {
            let contract = Some(Arc::clone(&known.contract));
            let assigned = Assigned::new(contract, start.spec.action.as_ref(), mask);
            node.assignments().begin(start.claimed, assigned);
            Ready::Task(Box::new(task))
        }
        Err(failure) if start.again => {
            let why = failure.message;
            tracing::info!(run = %start.claimed.run, %why, "a task is not sent again for now");
            Ready::Later
        }
        Err(failure) => {
            let outcome = Outcome::Errored(failure);
            // Its words are the node's own.
            let judged_by = Assigned::default();
            let ended = report_for(node, &judged_by, start.claimed, outcome, None).await;
            match ended {
                Ok(_) => Ready::Ended,
                // Its place is not free while the claim stands, which its lease ends.
                Err(error) => {
                    tracing::warn!(run = %start.claimed.run, %error, "a task that cannot be done was not ended");
                    Ready::Later
                }
            }
        }
    }
}

async fn made(
    node: &Node,
    known: &Known,
    start: &StartTask,
) -> Result<(DriverTask, Mask), Failure> {
    let (plan, spec) = (&start.plan, &start.spec);
    let wanted = spec.action.as_deref();
    let action = judge::action(&known.contract, wanted)?;
    let inputs = match (&start.with, &spec.with) {
        (Some(text), _) | (None, Value::Inline(text)) => Arc::clone(text),
        (None, Value::Stored { hash, .. }) => {
            let text = node.reader().value(start.claimed.run, *hash).await;
            text.map_err(|error| judge::no_inputs(&error, true))?
        }
    };
    let step = &plan.steps[start.claimed.id.step as usize];
    if action.inputs.is_some() {
        let json: Json =
            serde_json::from_slice(&inputs).map_err(|error| judge::no_inputs(&error, false))?;
        judge::inputs(action, step, &json)?;
    }
    let item = start.parameters.as_ref();
    let parameters = parameters(node.reader(), start.claimed.run, item).await?;
    let resource = resource(node.reader(), start).await?;
    let resolved = node.resolve(plan, start.claimed.id.step).await?;
    let task = DriverTask {
        secrets: resolved.values,
        parameters,
        resource,
        claimed: start.claimed,
        run: start.claimed.run.text(),
        step: Arc::clone(&step.id),
        namespace: Arc::clone(&plan.namespace),
        pipeline: Arc::clone(&plan.name),
        action: Arc::clone(&action.name),
        inputs,
        deadline: spec.deadline,
        grace: spec.grace,
        heartbeat: spec.heartbeat,
        checkpoint: spec.checkpoint.clone(),
        labels: start.labels.clone(),
    };
    Ok((task, resolved.mask))
}

/// Takes a driver's report: judged by the schemas of the version that its claim names.
pub(super) async fn report(
    node: &Node,
    claimed: Claimed,
    outcome: Outcome,
    last_log: Option<u64>,
) -> Result<Reported, NodeError> {
    let Some(judged_by) = assigned::assigned(node, claimed).await? else {
        return over(node, claimed, outcome, last_log).await;
    };
    let reported = report_for(node, &judged_by, claimed, outcome, last_log).await?;
    node.assignments().end(&claimed);
    if let Some(last) = last_log
        && reported != Reported::Stale
    {
        assigned::seal(node, claimed, last).await;
    }
    Ok(reported)
}

/// Takes a report of an attempt that is over, perhaps by this very report: nothing of it is kept.
async fn over(
    node: &Node,
    claimed: Claimed,
    outcome: Outcome,
    last_log: Option<u64>,
) -> Result<Reported, NodeError> {
    // What it was masked with then. Where that cannot be found any more, the report looks like another.
    let mask = assigned::mask_of_over(node, claimed).await;
    let judged_by = Assigned::new(None, None, mask.unwrap_or_default());
    let said = outcome.clone();
    let reported = report_for(node, &judged_by, claimed, outcome, last_log).await?;
    if reported != Reported::Stale {
        return Ok(reported);
    }
    let most = node.limits().output_bytes;
    let said = judge::ended(None, &Mask::default(), said, most, &mut Vec::new());
    match is_repeat(node, claimed, &said, last_log).await? {
        true => Ok(Reported::Already),
        false => Ok(Reported::Stale),
    }
}

/// Whether the report could not be read (R26): [`Failure::code`] says so.
fn breaks_the_contract(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Errored(failure) if &*failure.code == INVALID_REPORT)
}

async fn report_for(
    node: &Node,
    judged_by: &Assigned,
    claimed: Claimed,
    outcome: Outcome,
    last_log: Option<u64>,
) -> Result<Reported, NodeError> {
    let (action, mask) = (judged_by.action(), judged_by.mask());
    let gave = matches!(outcome, Outcome::Succeeded(_)) || breaks_the_contract(&outcome);
    let mut values = Vec::new();
    let result = judge::ended(
        action,
        mask,
        outcome,
        node.limits().output_bytes,
        &mut values,
    );
    let invalid = (gave && result.state != AttemptState::Succeeded)
        .then(|| {
            result
                .failure
                .as_ref()
                .map(|failure| failure.message.to_string())
        })
        .flatten();
    let report = Box::new(owner::Reported {
        claimed,
        result,
        last_log,
        values,
    });
    let asked = move |ticket| Input::Report { ticket, report };
    match node.ask(asked).await {
        Ok(Answer::Taken { already: true }) => Ok(Reported::Already),
        Ok(Answer::Taken { already: false }) => Ok(match invalid {
            Some(reason) => Reported::Invalid(reason),
            None => Reported::Accepted,
        }),
        Ok(Answer::Stale) => Ok(Reported::Stale),
        Ok(other) => Err(unexpected(&other)),
        // Its run has gone: so has its claim.
        Err(NodeError::NotFound(_)) => Ok(Reported::Stale),
        Err(error) => Err(error),
    }
}
