//! Stops, pauses, releases and deletions.

use super::{ControlHandlers, refuse, short};
use crate::refusal;
use conveyor_engine::run::{RunState, Stop, StopKind};
use conveyor_node::{NodeError, RunId};
use conveyor_proto::v1;
use tonic::Status;

/// The longest reason.
const REASON_BYTES: usize = 4096;

impl ControlHandlers {
    async fn asked(
        &self,
        run: &str,
        actor: &str,
        reason: &str,
    ) -> Result<(RunId, RunState), Status> {
        short("actor", actor, 256)?;
        short("reason", reason, REASON_BYTES)?;
        let run = self.resolve(run).await?;
        let row = self.reader.summary(run).await.map_err(refuse)?;
        Ok((run, row.state()))
    }

    pub(super) async fn stop(
        &self,
        request: v1::StopRunRequest,
    ) -> Result<v1::StopRunResponse, Status> {
        let kind = refusal::word("/kind", request.kind, v1::StopKind::as_str_name)?;
        let kind = match kind {
            v1::StopKind::Drain => StopKind::Drain,
            v1::StopKind::Cancel => StopKind::Cancel,
            v1::StopKind::Terminate => StopKind::Terminate,
            v1::StopKind::Unspecified => {
                return Err(
                    refusal::value("/kind", "say how hard: drain, cancel or terminate")
                        .allowed(["drain", "cancel", "terminate"])
                        .status(),
                );
            }
        };
        let entry = self.gate.enter()?;
        let (run, before) = self
            .asked(&request.run, &request.actor, &request.reason)
            .await?;
        let stop = Stop {
            kind,
            actor: self.actor(&request.actor).into(),
            reason: request.reason.as_str().into(),
        };
        let mut no_effect = without_effect(before, kind);
        match self.node.stop(run, stop).await {
            Ok(()) => entry.given(run),
            Err(NodeError::Ended(state)) => no_effect = format!("the run has ended: {state}"),
            Err(error) => return Err(refuse(error)),
        }
        Ok(v1::StopRunResponse {
            run: Some(self.brief(run).await?),
            no_effect,
        })
    }

    pub(super) async fn pause(
        &self,
        request: v1::PauseRunRequest,
    ) -> Result<v1::PauseRunResponse, Status> {
        let (run, before) = self
            .asked(&request.run, &request.actor, &request.reason)
            .await?;
        let mut no_effect = match before {
            RunState::Paused => "it is paused already".to_owned(),
            _ => String::new(),
        };
        let actor = self.actor(&request.actor);
        match self.node.pause(run, &actor, &request.reason).await {
            Ok(()) => {}
            Err(NodeError::Ended(state)) => no_effect = format!("the run has ended: {state}"),
            Err(error) => return Err(refuse(error)),
        }
        Ok(v1::PauseRunResponse {
            run: Some(self.brief(run).await?),
            no_effect,
        })
    }

    pub(super) async fn unpause(
        &self,
        request: v1::ResumeRunRequest,
    ) -> Result<v1::ResumeRunResponse, Status> {
        let (run, before) = self
            .asked(&request.run, &request.actor, &request.reason)
            .await?;
        let no_effect = match before {
            RunState::Paused => {
                let actor = self.actor(&request.actor);
                self.node
                    .resume(run, &actor, &request.reason)
                    .await
                    .map_err(refuse)?;
                String::new()
            }
            state => format!("it is not paused: {state}"),
        };
        Ok(v1::ResumeRunResponse {
            run: Some(self.brief(run).await?),
            no_effect,
        })
    }

    pub(super) async fn release(
        &self,
        request: v1::ReleaseRunRequest,
    ) -> Result<v1::ReleaseRunResponse, Status> {
        let entry = self.gate.enter()?;
        let (run, _) = self.asked(&request.run, &request.actor, "").await?;
        self.node.release(run).await.map_err(refuse)?;
        entry.given(run);
        Ok(v1::ReleaseRunResponse {
            run: Some(self.brief(run).await?),
        })
    }
}

impl ControlHandlers {
    /// Removes a run that has ended. One that another caller began to remove is waited for.
    pub(super) async fn delete(
        &self,
        request: v1::DeleteRunRequest,
    ) -> Result<v1::DeleteRunResponse, Status> {
        let run = self.resolve(&request.run).await?;
        self.node.delete_run(run).await.map_err(refuse)?;
        Ok(v1::DeleteRunResponse {})
    }
}

/// Why a stop changes nothing in a state (SEMANTICS 18); empty where it does.
fn without_effect(state: RunState, kind: StopKind) -> String {
    match (state, kind) {
        (RunState::Cancelling, StopKind::Cancel | StopKind::Drain) => {
            "it is being cancelled already".to_owned()
        }
        (RunState::Draining, StopKind::Drain) => "it is being drained already".to_owned(),
        (RunState::Finishing, StopKind::Cancel | StopKind::Drain) => {
            "its `finally` steps run already".to_owned()
        }
        _ => String::new(),
    }
}
