use conveyor_proto::v1;
use conveyor_proto::v1::start_run_request::Pipeline;
use serde_json::Value;
use std::time::Duration;

/// What a run is started with.
///
/// ```
/// use conveyor_sdk::Start;
/// use serde_json::json;
///
/// let stored = Start::pipeline("release").inputs(json!({ "ref": "main" })).label("team", "web");
/// let given = Start::document("name: hello\nsteps: [{name: say, driver: exec, with: {run: echo hello}}]");
/// # let _ = (stored, given);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Start(v1::StartRunRequest);

impl Start {
    /// A stored pipeline's newest revision.
    #[must_use]
    pub fn pipeline(name: impl Into<String>) -> Start {
        let stored = v1::PipelineRef {
            name: name.into(),
            digest: String::new(),
        };
        Start(v1::StartRunRequest {
            pipeline: Some(Pipeline::Stored(stored)),
            ..v1::StartRunRequest::default()
        })
    }

    /// A document, YAML or JSON, that is not stored.
    #[must_use]
    pub fn document(source: impl Into<String>) -> Start {
        let document = v1::Document {
            source: source.into().into_bytes().into(),
            file_name: String::new(),
        };
        Start(v1::StartRunRequest {
            pipeline: Some(Pipeline::Document(document)),
            ..v1::StartRunRequest::default()
        })
    }

    /// The revision, by its digest. Of a stored pipeline; without effect on a document.
    #[must_use]
    pub fn digest(mut self, digest: impl Into<String>) -> Start {
        if let Some(Pipeline::Stored(stored)) = &mut self.0.pipeline {
            stored.digest = digest.into();
        }
        self
    }

    /// Its inputs: a JSON object. At most 16 MiB.
    #[must_use]
    pub fn inputs(mut self, inputs: impl Into<Value>) -> Start {
        self.0.inputs = inputs.into().to_string().into();
        self
    }

    /// A label of the run. At most 64.
    #[must_use]
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Start {
        self.0.labels.insert(key.into(), value.into());
        self
    }

    /// The pipeline's namespace. Default `default`, or the document's own.
    #[must_use]
    pub fn namespace(mut self, name: impl Into<String>) -> Start {
        self.0.namespace = name.into();
        self
    }

    /// The run's id, a UUIDv7 made by the caller, for a start that is to find its run after the caller's
    /// own restart. Default: made before the first try.
    #[must_use]
    pub fn run_id(mut self, id: impl Into<String>) -> Start {
        self.0.run_id = id.into();
        self
    }

    /// Who starts it. Default: whoever the server takes the caller for.
    #[must_use]
    pub fn actor(mut self, name: impl Into<String>) -> Start {
        self.0.actor = name.into();
        self
    }

    /// How long the start itself waits for the run's end. At most 60 s; default: not at all.
    #[must_use]
    pub fn wait(mut self, limit: Duration) -> Start {
        self.0.wait_ms = limit.as_millis() as u64;
        self
    }
}

impl From<Start> for v1::StartRunRequest {
    fn from(start: Start) -> v1::StartRunRequest {
        start.0
    }
}

/// What a fork runs again. What stands before that is inherited from the old run.
#[derive(Clone, Debug, PartialEq)]
pub struct Fork(pub(super) v1::ForkRunRequest);

impl Fork {
    /// These steps, with all that follow them.
    #[must_use]
    pub fn from_steps(steps: impl IntoIterator<Item = impl Into<String>>) -> Fork {
        Fork(v1::ForkRunRequest {
            from_steps: steps.into_iter().map(Into::into).collect(),
            ..v1::ForkRunRequest::default()
        })
    }

    /// What did not end ok, with all that follows it.
    #[must_use]
    pub fn from_failed() -> Fork {
        Fork(v1::ForkRunRequest {
            from_failed: true,
            ..v1::ForkRunRequest::default()
        })
    }

    /// Inputs over those of the old run: a JSON object.
    #[must_use]
    pub fn inputs(mut self, inputs: impl Into<Value>) -> Fork {
        self.0.inputs = inputs.into().to_string().into();
        self
    }

    /// Another document than the old run's.
    #[must_use]
    pub fn document(mut self, source: impl Into<String>) -> Fork {
        self.0.document = Some(v1::Document {
            source: source.into().into_bytes().into(),
            file_name: String::new(),
        });
        self
    }

    /// A label of the new run, over those of the old one.
    #[must_use]
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Fork {
        self.0.labels.insert(key.into(), value.into());
        self
    }
}
