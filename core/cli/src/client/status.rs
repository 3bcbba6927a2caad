//! An answer that says no.

use crate::exit::Exit;
use crate::render::human;
use crate::source::{self, Given};
use crate::terminal;
use conveyor_engine::document;
use conveyor_proto::v1::{Diagnostic, Document, Refusal, Severity};
use conveyor_service::is_of_the_request;
use prost::Message as _;
use std::error::Error as _;
use std::fmt::Write as _;
use tonic::{Code, Status};

/// Why a verb did not do what it was asked, and how the program ends.
#[derive(Debug)]
pub(crate) struct Problem {
    exit: Exit,
    message: String,
}

/// What is at the bottom of an error: what lies around it says that a connection failed, which is known.
pub(crate) fn root_cause(error: &std::io::Error) -> String {
    let mut why = error.to_string();
    let mut source = error.get_ref().and_then(|error| error.source());
    while let Some(cause) = source {
        why = cause.to_string();
        source = cause.source();
    }
    why
}

impl Problem {
    /// Something that the person can mend: exit status 2.
    pub(crate) fn refused(message: impl Into<String>) -> Problem {
        Problem {
            exit: Exit::Refused,
            message: message.into(),
        }
    }

    /// The engine does not answer: exit status 3.
    pub(crate) fn unreachable(message: impl Into<String>) -> Problem {
        Problem {
            exit: Exit::Unreachable,
            message: message.into(),
        }
    }

    /// No server answers at an address: exit status 3.
    pub(crate) fn no_server(url: &str, error: &std::io::Error) -> Problem {
        if let Some(advice) = conveyor_sdk::tls_advice(url, error) {
            return Problem::unreachable(format!("cannot talk to the server: {advice}"));
        }
        let why = root_cause(error);
        Problem::unreachable(format!(
            "no server answers at {url}: {why}; start one with `conveyor serve`, or name another with \
             --server"
        ))
    }

    /// Something listens at an address, and ended the connection at the first call: exit status 3. What a client
    /// without TLS is told by a server with it may be gone before it is read.
    pub(crate) fn broken_off(url: &str, status: Status) -> Problem {
        match url.strip_prefix("http://") {
            Some(rest) => Problem::unreachable(format!(
                "what listens at {url} broke the connection off before any answer: if it speaks TLS, use \
                 https://{rest}; else look at its log"
            )),
            None => {
                let error = std::io::Error::other(status);
                if conveyor_sdk::tls_advice(url, &error).is_some() {
                    return Problem::no_server(url, &error);
                }
                Problem::unreachable(no_certificate(url))
            }
        }
    }

    /// The connection broke while a backup was read, of which nothing is left: exit status 3.
    pub(crate) fn of_backup(status: Status) -> Problem {
        match is_of_transport(&status) {
            true => Problem::unreachable(
                "the server went away while the backup was read: nothing is left of it, its `.part` neither; take it \
                 again once the server is back",
            ),
            false => status.into(),
        }
    }

    /// A refusal with the lines of the document, and of the inputs, that it is about.
    pub(crate) fn about(status: Status, document: Option<&Document>, given: &Given) -> Problem {
        Problem::refusal(status, document, given, "nothing was started")
    }

    /// A document that is not stored, with its lines that the refusal is about; where that is about none, with
    /// what the document is.
    pub(crate) fn not_stored(status: Status, document: &Document, object: &str) -> Problem {
        let refusal = Refusal::decode(status.details()).unwrap_or_default();
        if refusal.diagnostics.is_empty() {
            return Problem::from(status).of(object);
        }
        let given = Given::default();
        Problem::refusal(status, Some(document), &given, "it is not stored")
    }

    /// The same, said of an object: its file and its name come first.
    pub(crate) fn of(self, object: &str) -> Problem {
        let joint = if self.message.contains('\n') {
            ":\n"
        } else {
            ": "
        };
        Problem {
            message: format!("{object}{joint}{}", self.message),
            ..self
        }
    }

    fn refusal(
        status: Status,
        document: Option<&Document>,
        given: &Given,
        undone: &str,
    ) -> Problem {
        let refusal = Refusal::decode(status.details()).unwrap_or_default();
        // What is wrong with the request itself is one sentence, whatever the document.
        if refusal.diagnostics.iter().all(is_of_the_request) {
            return status.into();
        }
        if refusal.diagnostics.iter().all(|one| one.code == "input") {
            let each = refusal.diagnostics.iter();
            let each = each.map(|one| {
                // The service names the place in the sentence too.
                let named = format!("inputs {}: ", one.pointer);
                let message = one.message.strip_prefix(&named);
                let message = message.or_else(|| one.message.strip_prefix("inputs: "));
                given.explain(&one.pointer, message.unwrap_or(&one.message))
            });
            return Problem::refused(source::refused(each.collect()));
        }
        let text = document.map(|document| String::from_utf8_lossy(&document.source));
        let errors = refusal.diagnostics.iter();
        let errors = errors
            .filter(|one| one.severity() == Severity::Error)
            .count();
        Problem::refused(format!(
            "the document is refused ({}), {undone}\n{}",
            human::count(errors, "error"),
            diagnostics(&refusal.diagnostics, &text.unwrap_or_default())
        ))
    }

    /// Says it in the log, for a server whose log is read by a program, and gives the exit status.
    pub(crate) fn log(&self) -> Exit {
        tracing::error!("{}", self.message);
        self.exit
    }

    /// Says it, and gives the exit status.
    pub(crate) fn tell(&self) -> Exit {
        terminal::error(&self.message);
        self.exit
    }
}

impl From<Status> for Problem {
    fn from(status: Status) -> Problem {
        let refusal = Refusal::decode(status.details()).unwrap_or_default();
        if !refusal.diagnostics.is_empty() {
            return Problem::refused(diagnostics(&refusal.diagnostics, ""));
        }
        if is_of_transport(&status) {
            return Problem::unreachable(message(&status));
        }
        match status.code() {
            Code::DeadlineExceeded => Problem::unreachable(message(&status)),
            Code::Internal | Code::DataLoss => Problem {
                exit: Exit::Failed,
                message: message(&status),
            },
            _ => Problem::refused(message(&status)),
        }
    }
}

/// Why a connection over TLS may end before any answer: the alert that says so is at times lost.
pub(crate) fn no_certificate(url: &str) -> String {
    format!(
        "what listens at {url} broke the connection off before any answer, as a server does that wants a certificate of \
         the client: give --client-cert and --client-key, or set CONVEYOR_CLIENT_CERT and CONVEYOR_CLIENT_KEY; else \
         look at its log"
    )
}

/// Whether the process that was asked is about to end, so that the same call is worth another try
/// once it has.
pub(super) fn is_closing(status: &Status) -> bool {
    status.metadata().contains_key(conveyor_service::CLOSING)
}

/// Whether it is no answer, but what became of the connection when the holder's process ended, or never
/// was there. What an answer says comes without a source; a connection's failures have one, and codes as
/// any answer could have.
pub(super) fn is_of_transport(status: &Status) -> bool {
    let code = matches!(
        status.code(),
        Code::Unavailable | Code::Unknown | Code::Cancelled
    );
    code || status.source().is_some()
}

fn message(status: &Status) -> String {
    if status.message().is_empty() {
        return format!("the engine says {:?}", status.code());
    }
    status.message().to_owned()
}

/// As a person reads them: all of them, each with its place.
fn diagnostics(diagnostics: &[Diagnostic], source: &str) -> String {
    let each = diagnostics.iter().map(|diagnostic| match diagnostic.line {
        0 => placeless(diagnostic),
        line => placed(
            diagnostic,
            source.lines().nth(line as usize - 1).unwrap_or_default(),
        ),
    });
    each.collect::<Vec<_>>().join("\n")
}

/// As `conveyor check` prints it.
fn placed(diagnostic: &Diagnostic, line: &str) -> String {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let shown = document::Diagnostic {
        severity: match diagnostic.severity() {
            Severity::Warning => document::Severity::Warning,
            _ => document::Severity::Error,
        },
        file: diagnostic.file_name.clone(),
        line: diagnostic.line,
        column: diagnostic.column,
        pointer: diagnostic.pointer.clone(),
        message: diagnostic.message.clone(),
        found: some(&diagnostic.found),
        allowed: some(&diagnostic.allowed.join(", ")),
        nearest: some(&diagnostic.suggestion),
        related: None,
        excerpt: document::excerpt(line, diagnostic.column),
        unlisted: 0,
    };
    shown.to_string()
}

/// What is about inputs, or about no one place.
fn placeless(diagnostic: &Diagnostic) -> String {
    let mut text = match diagnostic.file_name.as_str() {
        "" => String::new(),
        name => format!("{name}: "),
    };
    text.push_str(&diagnostic.message);
    if !diagnostic.file_name.is_empty() && !diagnostic.pointer.is_empty() {
        let _ = write!(text, "\n  at: {}", diagnostic.pointer);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_connection_that_breaks_is_no_answer_whatever_its_code() {
        let mut broken = Status::internal("h2 protocol error: http2 error");
        broken.set_source(Arc::new(std::io::Error::other("gone")));
        assert!(is_of_transport(&broken));
        assert!(is_of_transport(&Status::unavailable("")));
        assert!(!is_of_transport(&Status::internal("a task panicked")));
        assert!(!is_of_transport(&Status::not_found("there is no run")));
        let of_backup = Problem::of_backup(broken.clone());
        assert_eq!(of_backup.exit, Exit::Unreachable);
        assert!(
            of_backup.message.contains("nothing is left of it"),
            "{}",
            of_backup.message
        );
        let refused = Problem::of_backup(Status::permission_denied("it takes `admin`"));
        assert_eq!(refused.message, "it takes `admin`");
        assert_eq!(Problem::from(broken).exit, Exit::Unreachable);
    }
}
