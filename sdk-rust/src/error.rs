use conveyor_proto::v1::{Diagnostic, EventsGap, Refusal};
use prost::Message as _;
use std::error::Error as _;
use std::fmt;
use std::time::Duration;
use tonic::{Code, Status};

/// Why a driver, or a call, could not go on.
///
/// [`Error::kind`] is for programs, [`fmt::Display`] for people.
#[derive(Debug)]
pub enum Error {
    /// The address is none, or not one of a server.
    Address(String),
    /// The server does not take the driver, and connecting again does not help: what it said.
    Refused(String),
    /// The driver cannot be what it says: no action, a name twice.
    Driver(String),
    /// The server is not there, or the connection broke.
    Unavailable(String),
    /// The server, or the engine in this process, answered a call with no.
    Answer(Box<Answer>),
}

/// What a call was answered that was not done.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    kind: ErrorKind,
    message: String,
    details: Vec<Diagnostic>,
    retry_after: Option<Duration>,
    oldest_cursor: Option<String>,
}

/// What kind of error it is, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The address is none.
    Address,
    /// The driver cannot be.
    Driver,
    /// The server does not take the driver.
    Refused,
    /// The server, or its store, is away for now. The same call may succeed later.
    Unavailable,
    /// The request cannot be: [`Error::details`] has all that is wrong, with places.
    Invalid,
    /// There is no such thing.
    NotFound,
    /// The name or the id belongs to another one.
    AlreadyExists,
    /// It changed meanwhile: another etag. Read it, and decide again.
    Conflict,
    /// It does not fit the state that is there.
    Precondition,
    /// There is no such place: an event that the run does not have, or events of a namespace that are not
    /// kept any more ([`Error::oldest_cursor`]).
    OutOfRange,
    /// A limit, or the disk, is full.
    Exhausted,
    /// The token is missing, expired or revoked.
    Unauthenticated,
    /// The token may not do that.
    Forbidden,
    /// The server does not have this part of the contract.
    Unimplemented,
    /// The call took too long.
    Timeout,
    /// The call was given up.
    Cancelled,
    /// What is stored cannot be read.
    DataLoss,
    /// The server's own fault.
    Internal,
}

impl Error {
    /// What kind of error it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Address(_) => ErrorKind::Address,
            Error::Refused(_) => ErrorKind::Refused,
            Error::Driver(_) => ErrorKind::Driver,
            Error::Unavailable(_) => ErrorKind::Unavailable,
            Error::Answer(answer) => answer.kind,
        }
    }

    /// A sentence for people.
    #[must_use]
    pub fn message(&self) -> &str {
        match self {
            Error::Address(why)
            | Error::Refused(why)
            | Error::Driver(why)
            | Error::Unavailable(why) => why,
            Error::Answer(answer) => &answer.message,
        }
    }

    /// All that is wrong with a document, with inputs or with the request's own fields, each with its place;
    /// empty for other errors.
    #[must_use]
    pub fn details(&self) -> &[Diagnostic] {
        match self {
            Error::Answer(answer) => &answer.details,
            _ => &[],
        }
    }

    /// When to try again, where the server said so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Error::Answer(answer) => answer.retry_after,
            _ => None,
        }
    }

    /// Where events of a namespace can be followed from, where those that were asked for are not kept.
    #[must_use]
    pub fn oldest_cursor(&self) -> Option<&str> {
        match self {
            Error::Answer(answer) => answer.oldest_cursor.as_deref(),
            _ => None,
        }
    }

    pub(crate) fn answer(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error::Answer(Box::new(Answer {
            kind,
            message: message.into(),
            details: Vec::new(),
            retry_after: None,
            oldest_cursor: None,
        }))
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Error {
        if is_broken(&status) {
            return Error::Unavailable(with_causes(&status));
        }
        let (mut details, mut oldest_cursor) = (Refusal::default(), None);
        match (status.code(), status.details()) {
            (_, []) => {}
            (Code::OutOfRange, told) => {
                oldest_cursor = EventsGap::decode(told).ok().map(|gap| gap.oldest);
            }
            (_, told) => details = Refusal::decode(told).unwrap_or_default(),
        }
        Error::Answer(Box::new(Answer {
            kind: kind(status.code()),
            message: status.message().to_owned(),
            details: details.diagnostics,
            retry_after: retry_after(&status),
            oldest_cursor,
        }))
    }
}

/// Whether it is no answer, but what became of the connection: what an answer says has no source.
pub(crate) fn is_broken(status: &Status) -> bool {
    status.source().is_some() || status.code() == Code::Unknown
}

/// Whether the same call may succeed later.
pub(crate) fn is_temporary(status: &Status) -> bool {
    is_broken(status) || status.code() == Code::Unavailable
}

/// The pause that a server asks for: `retry-after`, in seconds.
pub(crate) fn retry_after(status: &Status) -> Option<Duration> {
    let value = status.metadata().get("retry-after")?;
    let seconds: u64 = value.to_str().ok()?.parse().ok()?;
    // Longer than an hour is no pause but a mistake.
    Some(Duration::from_secs(seconds.min(3600)))
}

/// A status' sentence and those of what caused it, where they say more.
fn with_causes(status: &Status) -> String {
    let mut text = status.message().to_owned();
    let mut source = status.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

fn kind(code: Code) -> ErrorKind {
    match code {
        Code::InvalidArgument => ErrorKind::Invalid,
        Code::NotFound => ErrorKind::NotFound,
        Code::AlreadyExists => ErrorKind::AlreadyExists,
        Code::Aborted => ErrorKind::Conflict,
        Code::FailedPrecondition => ErrorKind::Precondition,
        Code::OutOfRange => ErrorKind::OutOfRange,
        Code::ResourceExhausted => ErrorKind::Exhausted,
        Code::Unauthenticated => ErrorKind::Unauthenticated,
        Code::PermissionDenied => ErrorKind::Forbidden,
        Code::Unimplemented => ErrorKind::Unimplemented,
        Code::DeadlineExceeded => ErrorKind::Timeout,
        Code::Cancelled => ErrorKind::Cancelled,
        Code::DataLoss => ErrorKind::DataLoss,
        Code::Unavailable => ErrorKind::Unavailable,
        Code::Ok | Code::Unknown | Code::Internal => ErrorKind::Internal,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Address(why) => write!(f, "the address cannot be used: {why}"),
            Error::Refused(why) => write!(f, "the server refused the driver: {why}"),
            Error::Driver(why) => write!(f, "the driver cannot be: {why}"),
            Error::Unavailable(why) => write!(f, "the server cannot be reached: {why}"),
            Error::Answer(answer) => f.write_str(&answer.message),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_keeps_its_details_and_its_pause() {
        let refusal = Refusal {
            diagnostics: vec![Diagnostic {
                message: "there is no field `stpes`".to_owned(),
                line: 3,
                ..Diagnostic::default()
            }],
        };
        let details = refusal.encode_to_vec().into();
        let mut status = Status::with_details(Code::InvalidArgument, "refused", details);
        let seconds = "7".parse().expect("it is a number");
        status.metadata_mut().insert("retry-after", seconds);
        let error = Error::from(status);
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert_eq!(error.to_string(), "refused");
        assert_eq!(error.details()[0].line, 3);
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    }

    #[test]
    fn a_broken_connection_is_no_answer_whatever_its_code() {
        let mut broken = Status::internal("h2 protocol error");
        broken.set_source(std::sync::Arc::new(std::io::Error::other("gone")));
        assert!(is_temporary(&broken));
        let error = Error::from(broken);
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(error.message(), "h2 protocol error: gone");
        assert!(!is_temporary(&Status::internal("a task panicked")));
    }
}
