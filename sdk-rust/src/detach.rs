use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How a task goes on without its driver: see [`crate::Task::detach`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detach {
    pub(crate) within: Duration,
    pub(crate) principals: Vec<String>,
}

impl Detach {
    /// It is waited for so long, at most to the end of its `timeouts.attempt`; [`crate::Client::extend`]
    /// gives it more.
    #[must_use]
    pub fn within(time: Duration) -> Detach {
        Detach {
            within: time,
            principals: Vec::new(),
        }
    }

    /// A principal, besides the driver's own, that may end it. At most 16.
    #[must_use]
    pub fn principal(mut self, name: impl Into<String>) -> Detach {
        self.principals.push(name.into());
        self
    }
}

/// What the outside needs to end a detached task. Its token is a secret: whoever has it, and is one of the
/// principals, ends the task.
#[derive(Clone, PartialEq, Eq)]
pub struct Handover {
    /// What the calls name the task by.
    pub token: Vec<u8>,
    /// The server, as the driver reached it.
    pub url: String,
    /// Until when the task is waited for, by the engine's clock; `timeouts.attempt` may end it before.
    pub until: SystemTime,
    /// The offset of the next line of the task's log. A result's `last_log_offset` is one less than that
    /// of the line after its last; absent where there is none.
    pub next_log_offset: u64,
}

impl fmt::Debug for Handover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handover")
            .field("url", &self.url)
            .field("until", &self.until)
            .field("next_log_offset", &self.next_log_offset)
            .finish_non_exhaustive()
    }
}

impl Handover {
    /// The same for programs that speak JSON over HTTP: the token in base64, as `POST /v1/driver/complete`,
    /// `extend` and `logs` take it, and the paths of these calls.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let until = self.until.duration_since(UNIX_EPOCH).unwrap_or_default();
        json!({
            "token": STANDARD.encode(&self.token),
            "url": self.url,
            "until_ms": until.as_millis() as u64,
            "next_log_offset": self.next_log_offset,
            "complete": "/v1/driver/complete",
            "extend": "/v1/driver/extend",
            "logs": "/v1/driver/logs",
        })
    }
}
