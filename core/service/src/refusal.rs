//! Answers that say no, with all that is wrong in their details.

use conveyor_engine::document;
use conveyor_engine::run::RunState;
use conveyor_node::NodeError;
use conveyor_proto::v1::{Diagnostic, Refusal, Severity};
use prost::Message as _;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

/// The key in an answer's metadata which says that the process that was asked is about to end: the
/// same call, made again to whoever comes next, may succeed.
pub const CLOSING: &str = "conveyor-closing";

/// The key in an answer's metadata which says after how many seconds the same call may succeed.
const RETRY_AFTER: &str = "retry-after";

/// How many bytes of diagnostics one answer has: they travel as a header, and a client takes no
/// header of any length.
const DETAILS: usize = 1 << 20;

/// The document, or the inputs, are refused.
pub(crate) fn refused(mut diagnostics: Vec<Diagnostic>) -> Status {
    let mut bytes = 0;
    let fit = diagnostics.iter().take_while(|one| {
        bytes += one.encoded_len() + 8;
        bytes <= DETAILS
    });
    let fit = fit.count();
    let more = diagnostics.len() - fit;
    diagnostics.truncate(fit);
    if more > 0 {
        diagnostics.push(input(String::new(), format!("and {more} more"), "more"));
    }
    let message = match diagnostics.first() {
        Some(one) if diagnostics.len() == 1 => one.message.clone(),
        Some(one) => format!("{} (and {} more)", one.message, diagnostics.len() - 1),
        None => "refused".to_owned(),
    };
    let details = Refusal { diagnostics }.encode_to_vec();
    // The message is a header too.
    let message: String = message.chars().take(2000).collect();
    Status::with_details(Code::InvalidArgument, message, details.into())
}

/// One thing that is wrong with what came besides the document.
pub(crate) fn input(pointer: String, message: String, code: &str) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error.into(),
        code: code.to_owned(),
        message,
        pointer,
        ..Diagnostic::default()
    }
}

/// A document's diagnostic as a message.
pub(crate) fn diagnostic(found: &document::Diagnostic) -> Diagnostic {
    let mut message = found.message.clone();
    if let Some(related) = &found.related {
        message.push_str(&format!(
            " ({}:{}: {})",
            related.line, related.column, related.message
        ));
    }
    Diagnostic {
        severity: match found.severity {
            document::Severity::Error => Severity::Error,
            document::Severity::Warning => Severity::Warning,
        }
        .into(),
        code: "document".to_owned(),
        message,
        file_name: found.file.clone(),
        line: found.line,
        column: found.column,
        pointer: found.pointer.clone(),
        found: found.found.clone().unwrap_or_default(),
        allowed: found.allowed.iter().cloned().collect(),
        suggestion: found.nearest.clone().unwrap_or_default(),
    }
}

/// What the node says, as a status.
pub(crate) fn status(error: &NodeError) -> Status {
    let message = error.to_string();
    match error {
        NodeError::NotFound(_) => Status::not_found(message),
        NodeError::Ended(_) | NodeError::Invalid(_) | NodeError::Quarantined(_) => {
            Status::failed_precondition(message)
        }
        NodeError::Interrupted(_) => Status::failed_precondition(format!(
            "{message}; `conveyor run --continue RUN` goes on with it"
        )),
        NodeError::Conflict(_) => Status::aborted(message),
        NodeError::Unavailable(_) => later(Status::unavailable(message)),
        NodeError::Full(_) => later(Status::resource_exhausted(message)),
        NodeError::Corrupt(_) => Status::data_loss(message),
    }
}

/// The same call may succeed in a second.
fn later(mut status: Status) -> Status {
    let seconds = MetadataValue::from_static("1");
    status.metadata_mut().insert(RETRY_AFTER, seconds);
    status
}

/// The process is about to end.
pub(crate) fn closing() -> Status {
    let mut status = Status::unavailable("the process that was asked is about to end; ask again");
    status
        .metadata_mut()
        .insert(CLOSING, MetadataValue::from_static("1"));
    status
}

/// The words of a diagnostic's `code` where a field of the request itself is at fault, and not what a
/// document or inputs say.
const OF_THE_REQUEST: [&str; 3] = ["missing", "limit", "value"];

/// Whether it is a field of the request that is at fault: the request cannot be read as it is.
#[must_use]
pub fn is_of_the_request(one: &Diagnostic) -> bool {
    OF_THE_REQUEST.contains(&one.code.as_str())
}

/// Longest text of what was found, in bytes; as `Diagnostic` says.
const FOUND: usize = 1024;

/// A field of a request that cannot be as it is.
#[derive(Debug)]
pub(crate) struct Field(Diagnostic);

/// A field's value is none that it takes. `pointer` is the JSON pointer of the field in the request's
/// message; a parameter of a query is a field of it.
pub(crate) fn value(pointer: impl Into<String>, message: impl Into<String>) -> Field {
    Field(input(pointer.into(), message.into(), "value"))
}

/// A field that has to be there is not.
pub(crate) fn missing(pointer: impl Into<String>, message: impl Into<String>) -> Status {
    Field(input(pointer.into(), message.into(), "missing")).status()
}

/// A limit that a client controls is exceeded.
pub(crate) fn limit(
    pointer: impl Into<String>,
    name: &str,
    value: usize,
    maximum: usize,
) -> Status {
    let message = format!("the limit `{name}` is {maximum}; the request has {value}");
    let mut one = input(pointer.into(), message, "limit");
    one.found = value.to_string();
    one.allowed = vec![format!("at most {maximum}")];
    Field(one).status()
}

/// A state of a filter is none.
pub(crate) fn no_state() -> Status {
    let states = RunState::ALL.iter().map(|state| state.as_str());
    let field = value("/states", "a state of the filter is not one");
    field.allowed(states).status()
}

/// A place in a map of a request, or in a list: the pointer of the field, and the key.
pub(crate) fn at(pointer: &str, key: impl std::fmt::Display) -> String {
    let key = key.to_string().replace('~', "~0").replace('/', "~1");
    format!("{pointer}/{key}")
}

impl Field {
    /// What the field has.
    pub(crate) fn found(mut self, found: &str) -> Field {
        let end = found.floor_char_boundary(FOUND);
        found[..end].clone_into(&mut self.0.found);
        self
    }

    /// What it may have.
    pub(crate) fn allowed(mut self, allowed: impl IntoIterator<Item = impl Into<String>>) -> Field {
        self.0.allowed = allowed.into_iter().map(Into::into).collect();
        self
    }

    pub(crate) fn status(self) -> Status {
        refused(vec![self.0])
    }
}
