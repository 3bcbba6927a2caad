use conveyor_mask::Mask;
use serde_json::Value;
use std::fmt;
use std::time::Duration;

/// How an action says that its task did not succeed.
///
/// Any error becomes one, so `?` works in an action: code `exception`, its text, retryable as the
/// document says. It is deliberately no [`std::error::Error`] itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    pub(crate) kind: Kind,
    /// A short word for programs, such as `exit_status`. At most 128 bytes.
    pub code: String,
    /// A sentence for people. At most 64 KiB.
    pub message: String,
    /// More, as JSON. At most 256 KiB.
    pub details: Option<Value>,
    /// Whether another try may help; `None`: the document decides.
    pub retryable: Option<bool>,
    /// How long to wait before the next try; at most an hour counts.
    pub retry_after: Option<Duration>,
    /// Outputs that are kept for reading.
    pub outputs: Option<Box<Value>>,
}

/// What kind of end it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The driver says no: the step is `failed`.
    Failed,
    /// Not the task's fault: the step is `errored`.
    Errored,
    /// It stopped because it was told to.
    Cancelled,
}

impl Failure {
    /// Without secrets. Outputs with one are left out: they are only for reading.
    pub(crate) fn masked(self, mask: &Mask) -> Failure {
        Failure {
            code: mask.text(&self.code).into_owned(),
            message: mask.text(&self.message).into_owned(),
            details: self.details.map(|details| mask.json(&details)),
            outputs: self
                .outputs
                .filter(|outputs| mask.find_in_json(outputs).is_none()),
            ..self
        }
    }

    /// The driver says no.
    #[must_use]
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Failure {
        Failure {
            kind: Kind::Failed,
            code: code.into(),
            message: message.into(),
            details: None,
            retryable: None,
            retry_after: None,
            outputs: None,
        }
    }

    /// Not the task's fault: a broken environment, a service that is away. The step ends `errored`.
    #[must_use]
    pub fn errored(code: impl Into<String>, message: impl Into<String>) -> Failure {
        Failure {
            kind: Kind::Errored,
            ..Failure::new(code, message)
        }
    }

    /// The same, as the fault of something else than the task: see [`Failure::errored`].
    #[must_use]
    pub fn into_error(mut self) -> Failure {
        self.kind = Kind::Errored;
        self
    }

    /// The task stopped because it was told to.
    #[must_use]
    pub fn cancelled() -> Failure {
        Failure {
            kind: Kind::Cancelled,
            ..Failure::new("cancelled", "the task stopped as it was told")
        }
    }

    /// Says that another try does not help.
    #[must_use]
    pub fn permanent(mut self) -> Failure {
        self.retryable = Some(false);
        self
    }

    /// Says that another try may help.
    #[must_use]
    pub fn retryable(mut self) -> Failure {
        self.retryable = Some(true);
        self
    }

    /// Says that another try may help, after a while.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Failure {
        self.retry_after = Some(delay);
        self.retryable()
    }

    /// Adds details.
    #[must_use]
    pub fn details(mut self, details: Value) -> Failure {
        self.details = Some(details);
        self
    }

    /// Adds outputs that are kept for reading.
    #[must_use]
    pub fn outputs(mut self, outputs: Value) -> Failure {
        self.outputs = Some(Box::new(outputs));
        self
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Failure {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message.push_str(": ");
            message.push_str(&cause.to_string());
            source = cause.source();
        }
        Failure::new("exception", message)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}
