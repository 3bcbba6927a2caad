use super::events::is_final;
use super::{Client, Events, Fork, Logs};
use crate::Error;
use crate::error::ErrorKind;
use conveyor_proto::v1;
use serde_json::Value;

/// A run of a client's server. Clones are the same run; nothing of it is held here but its id.
#[derive(Clone, Debug)]
pub struct Run {
    client: Client,
    id: String,
}

/// A run that has ended, or that nothing moves any more.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended(
    /// The run, with inputs and outputs, without steps.
    pub v1::Run,
);

impl Ended {
    /// How it ended.
    #[must_use]
    pub fn state(&self) -> v1::RunState {
        self.0.state()
    }

    /// Whether it ended `succeeded`.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.state() == v1::RunState::Succeeded
    }

    /// Its outputs: a JSON object, without fields where the run has none.
    ///
    /// # Errors
    /// [`ErrorKind::Precondition`], with the run's reason, when it did not succeed.
    pub fn outputs(&self) -> Result<Value, Error> {
        let run = &self.0;
        if !self.succeeded() {
            let state = run.state().as_str_name().trim_start_matches("RUN_STATE_");
            let mut message = format!("the run {} ended {}", run.id, state.to_ascii_lowercase());
            if !run.reason.is_empty() {
                message.push_str(&format!(": {}", run.reason));
            }
            return Err(Error::answer(ErrorKind::Precondition, message));
        }
        if run.outputs.is_empty() {
            return Ok(Value::Object(serde_json::Map::new()));
        }
        serde_json::from_slice(&run.outputs).map_err(|error| {
            let message = format!("the outputs of the run {} are no JSON: {error}", run.id);
            Error::answer(ErrorKind::Internal, message)
        })
    }
}

impl Client {
    /// Starts a run: see [`super::Start`].
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] with all that is wrong with document and inputs.
    pub async fn start(&self, start: impl Into<v1::StartRunRequest>) -> Result<Run, Error> {
        let answer = self.start_run(start.into()).await?;
        Ok(self.run(answer.run.unwrap_or_default().id))
    }

    /// A run by its id, or an unambiguous beginning of at least 8 characters. Asks nothing yet.
    #[must_use]
    pub fn run(&self, id: impl Into<String>) -> Run {
        Run {
            client: self.clone(),
            id: id.into(),
        }
    }
}

impl Run {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The run as it is now, with inputs and outputs, without steps: those are in
    /// [`Client::get_run`].
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is none.
    pub async fn get(&self) -> Result<v1::Run, Error> {
        let request = v1::GetRunRequest {
            run: self.id.clone(),
            view: v1::RunView::Run.into(),
            ..v1::GetRunRequest::default()
        };
        let answer = self.client.get_run(request).await?;
        Ok(answer.run.unwrap_or_default())
    }

    /// Waits for its end, however long that takes and whatever becomes of connections meanwhile. A run in
    /// quarantine counts as ended: nothing moves it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is no such run, [`ErrorKind::Unavailable`] when the server is
    /// away for longer than the client is patient.
    pub async fn wait(&self) -> Result<Ended, Error> {
        loop {
            let run = self.get().await?;
            if is_final(run.state()) {
                return Ok(Ended(run));
            }
            let mut events = self.events_after(run.sequence.to_string());
            while let Some(event) = events.next().await {
                event?;
            }
        }
    }

    /// Its events from the first one, until it has ended.
    #[must_use]
    pub fn events(&self) -> Events {
        self.events_after("")
    }

    /// Its events after the one with this id (`17.2`), or after all of a record (`17`), until it has
    /// ended. [`ErrorKind::OutOfRange`] if the run has no such event.
    #[must_use]
    pub fn events_after(&self, id: impl Into<String>) -> Events {
        let request = v1::WatchRunEventsRequest {
            run: self.id.clone(),
            after: id.into(),
            follow: true,
        };
        Events::new(self.client.clone(), request)
    }

    /// All its log lines, until every log of it has ended.
    #[must_use]
    pub fn logs(&self) -> Logs {
        self.read_logs(v1::ReadLogsRequest {
            follow: true,
            ..v1::ReadLogsRequest::default()
        })
    }

    /// Log lines as they are asked for: of one step, one attempt, from an offset, the last ones. The
    /// request's `run` is this one.
    #[must_use]
    pub fn read_logs(&self, mut request: v1::ReadLogsRequest) -> Logs {
        request.run.clone_from(&self.id);
        Logs::new(self.client.clone(), request)
    }

    /// Cancels what runs, then runs `finally`. Ready once that is durable; whether it had an effect says
    /// `no_effect`.
    ///
    /// # Errors
    /// As [`Client::stop_run`].
    pub async fn cancel(&self, reason: impl Into<String>) -> Result<v1::StopRunResponse, Error> {
        self.stop(v1::StopKind::Cancel, reason.into()).await
    }

    /// Lets what runs finish, starts nothing, then runs `finally`.
    ///
    /// # Errors
    /// As [`Client::stop_run`].
    pub async fn drain(&self, reason: impl Into<String>) -> Result<v1::StopRunResponse, Error> {
        self.stop(v1::StopKind::Drain, reason.into()).await
    }

    /// Ends everything at once, without `finally`.
    ///
    /// # Errors
    /// As [`Client::stop_run`].
    pub async fn terminate(&self, reason: impl Into<String>) -> Result<v1::StopRunResponse, Error> {
        self.stop(v1::StopKind::Terminate, reason.into()).await
    }

    async fn stop(&self, kind: v1::StopKind, reason: String) -> Result<v1::StopRunResponse, Error> {
        let request = v1::StopRunRequest {
            run: self.id.clone(),
            kind: kind.into(),
            reason,
            ..v1::StopRunRequest::default()
        };
        self.client.stop_run(request).await
    }

    /// Queues nothing new until it is resumed.
    ///
    /// # Errors
    /// As [`Client::pause_run`].
    pub async fn pause(&self, reason: impl Into<String>) -> Result<v1::PauseRunResponse, Error> {
        let request = v1::PauseRunRequest {
            run: self.id.clone(),
            reason: reason.into(),
            ..v1::PauseRunRequest::default()
        };
        self.client.pause_run(request).await
    }

    /// Ends a pause.
    ///
    /// # Errors
    /// As [`Client::resume_run`].
    pub async fn resume(&self, reason: impl Into<String>) -> Result<v1::ResumeRunResponse, Error> {
        let request = v1::ResumeRunRequest {
            run: self.id.clone(),
            reason: reason.into(),
            ..v1::ResumeRunRequest::default()
        };
        self.client.resume_run(request).await
    }

    /// Starts a new run from this one, which has to have ended.
    ///
    /// # Errors
    /// [`ErrorKind::Precondition`] when it has not.
    pub async fn fork(&self, fork: Fork) -> Result<Run, Error> {
        let mut request = fork.0;
        request.run.clone_from(&self.id);
        let answer = self.client.fork_run(request).await?;
        Ok(self.client.run(answer.run.unwrap_or_default().id))
    }
}
