//! `Debug` of the messages that carry a secret: each field is shown but the secret. `prost` writes none
//! for them (`tools/generate` names them), so that no secret comes into a log by `{:?}`.

use crate::storage::v1::StoreMeta;
use crate::v1::{
    AnswerRequest, CreateTokenResponse, HeartbeatRequest, LeaveRequest, PollRequest, Resume, Task,
    Welcome,
};
use std::fmt;

/// Stands for a value that is not to be seen.
struct Hidden;

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Shows the first fields, and of the others that they are there. Each field is named: one that is added
/// does not compile before somebody has decided.
macro_rules! hides {
    ($message:ident { $($shown:ident),* } but { $($hidden:ident),* }) => {
        impl fmt::Debug for $message {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let $message { $($shown,)* $($hidden: _,)* } = self;
                f.debug_struct(stringify!($message))
                    $(.field(stringify!($shown), $shown))*
                    $(.field(stringify!($hidden), &Hidden))*
                    .finish()
            }
        }
    };
}

hides!(Welcome {
    session, contract_version, heartbeat_interval_ms, resume_window_ms, limits, log_window, stale_tokens,
    engine, received_sequence, notes
} but { resume_secret });
hides!(Resume { session, generation, tokens, received_sequence } but { resume_secret });
hides!(PollRequest { session, request_id, max_tasks, wait_ms } but { resume_secret });
hides!(AnswerRequest { session, answers } but { resume_secret });
hides!(HeartbeatRequest { session, tasks } but { resume_secret });
hides!(LeaveRequest { session, reason } but { resume_secret });
hides!(CreateTokenResponse { token } but { secret });
hides!(StoreMeta { format, shards, created_ms, created_by } but { token_key });

/// The names of a task's secrets.
struct Names<'a>(&'a std::collections::BTreeMap<String, prost::bytes::Bytes>);

impl fmt::Debug for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.0.keys().map(|name| (name, Hidden)))
            .finish()
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As above: one that is added has to be named.
        let Task {
            id,
            token,
            namespace,
            pipeline,
            action,
            inputs,
            resource,
            secrets,
            deadline_ms,
            time_left_ms,
            grace_ms,
            heartbeat_timeout_ms,
            checkpoint,
            traceparent,
            labels,
            parameters,
        } = self;
        f.debug_struct("Task")
            .field("id", id)
            .field("token", token)
            .field("namespace", namespace)
            .field("pipeline", pipeline)
            .field("action", action)
            .field("inputs", inputs)
            .field("resource", resource)
            .field("secrets", &Names(secrets))
            .field("deadline_ms", deadline_ms)
            .field("time_left_ms", time_left_ms)
            .field("grace_ms", grace_ms)
            .field("heartbeat_timeout_ms", heartbeat_timeout_ms)
            .field("checkpoint", checkpoint)
            .field("traceparent", traceparent)
            .field("labels", labels)
            .field("parameters", parameters)
            .finish()
    }
}
