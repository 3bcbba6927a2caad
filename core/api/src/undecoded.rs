//! Messages of gRPC that are none. `tonic` answers bytes which do not decode with INTERNAL, as a mistake of its own
//! would be; but whoever sent them can mend it, and nobody else.

use axum::response::Response;
use conveyor_proto::v1::{Diagnostic, Refusal, Severity};
use prost::Message as _;
use tonic::{Code, Status};

/// What `prost` says first of bytes that are no message.
const UNDECODED: &str = "failed to decode Protobuf message";

/// Tells who sent what does not decode that it is at fault. A call answers so before its handler is asked; a stream
/// that goes on ends as its handler says.
pub(crate) async fn told(response: Response) -> Response {
    let status = Status::from_header_map(response.headers());
    let why = match &status {
        Some(status) if status.code() == Code::Internal => status.message(),
        _ => return response,
    };
    match why.strip_prefix(UNDECODED) {
        Some(why) => refused(why.trim_start_matches(": ")).into_http(),
        None => response,
    }
}

fn refused(why: &str) -> Status {
    let message = format!("the request is no message of this call: {why}");
    let one = Diagnostic {
        severity: Severity::Error.into(),
        code: "value".to_owned(),
        message: message.clone(),
        ..Diagnostic::default()
    };
    let refusal = Refusal {
        diagnostics: vec![one],
    };
    let details = refusal.encode_to_vec().into();
    Status::with_details(Code::InvalidArgument, message, details)
}
