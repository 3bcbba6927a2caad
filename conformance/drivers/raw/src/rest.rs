//! The calls as JSON over HTTP. The stubs make a call of gRPC; here it becomes a `POST` over the same connection, and
//! its answer what gRPC would have answered: so all else of the driver is the same.

use crate::breaks::Breaks;
use crate::forms::{from_json, message, to_json};
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use prost::Message as _;
use prost::bytes::{BufMut as _, Bytes, BytesMut};
use prost_reflect::DynamicMessage;
use serde_json::Value as Json;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tower::Service;

/// What stands before a message of gRPC: whether it is compressed, and its length.
const HEAD: usize = 5;

/// The calls that are made, by their names in the service, with their paths below `/v1/driver/`.
const CALLS: [(&str, &str); 8] = [
    ("Register", "register"),
    ("Poll", "poll"),
    ("Answer", "answer"),
    ("Heartbeat", "heartbeat"),
    ("SaveCheckpoint", "checkpoint"),
    ("Report", "report"),
    ("AppendLogs", "logs"),
    ("Leave", "leave"),
];

/// What calls go over: as gRPC, or as JSON.
#[derive(Clone, Debug)]
pub(crate) struct Carrier {
    channel: Channel,
    json: Option<Breaks>,
}

impl Carrier {
    pub(crate) fn grpc(channel: Channel) -> Carrier {
        Carrier {
            channel,
            json: None,
        }
    }

    pub(crate) fn json(channel: Channel, breaks: Breaks) -> Carrier {
        Carrier {
            channel,
            json: Some(breaks),
        }
    }
}

type Answering =
    Pin<Box<dyn Future<Output = Result<Response<Body>, tonic::transport::Error>> + Send>>;

impl Service<Request<Body>> for Carrier {
    type Response = Response<Body>;
    type Error = tonic::transport::Error;
    type Future = Answering;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.channel.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Answering {
        let Some(breaks) = self.json else {
            return Box::pin(self.channel.call(request));
        };
        // The one that is ready makes the call.
        let next = self.channel.clone();
        let ready = std::mem::replace(&mut self.channel, next);
        Box::pin(call(ready, request, breaks))
    }
}

async fn call(
    mut channel: Channel,
    request: Request<Body>,
    breaks: Breaks,
) -> Result<Response<Body>, tonic::transport::Error> {
    let (name, asked) = match asked(request, breaks).await {
        Ok(asked) => asked,
        Err(status) => return Ok(status.into_http()),
    };
    let answer = channel.call(asked).await?;
    Ok(match answered(name, answer).await {
        Ok(answer) => answer,
        Err(status) => status.into_http(),
    })
}

/// The request that a call of gRPC is, and the call's name.
async fn asked(
    request: Request<Body>,
    breaks: Breaks,
) -> Result<(&'static str, Request<Body>), Status> {
    let (parts, body) = request.into_parts();
    let last = parts.uri.path().rsplit('/').next();
    let call = CALLS.iter().find(|(name, _)| Some(*name) == last);
    let Some(&(name, path)) = call else {
        let why = format!("{} is no call that JSON has", parts.uri.path());
        return Err(Status::unimplemented(why));
    };
    let body = body.collect().await?.to_bytes();
    let no = |what: &str| Status::internal(format!("{name}: {what}"));
    let of = message(&format!("{name}Request")).ok_or_else(|| no("there is no such message"))?;
    let bytes = body.get(HEAD..).ok_or_else(|| no("it has no message"))?;
    let message = DynamicMessage::decode(of, bytes).map_err(|error| no(&error.to_string()))?;
    let mut json = to_json(&message);
    breaks.misform(&mut json);
    let mut asked = Request::post(format!("/v1/driver/{path}"));
    asked = asked.header(CONTENT_TYPE, "application/json");
    if let Some(token) = parts.headers.get(AUTHORIZATION) {
        asked = asked.header(AUTHORIZATION, token);
    }
    let asked = asked.body(Body::new(Full::new(Bytes::from(json.to_string()))));
    Ok((name, asked.map_err(|error| no(&error.to_string()))?))
}

/// The answer as gRPC would have it.
async fn answered(name: &str, answer: Response<Body>) -> Result<Response<Body>, Status> {
    let (parts, body) = answer.into_parts();
    let body = body.collect().await?.to_bytes();
    if parts.status != StatusCode::OK {
        return Err(refused(parts.status, &parts.headers, &body));
    }
    let no = |what: &str| Status::internal(format!("the answer to {name}: {what}"));
    let of = message(&format!("{name}Response")).ok_or_else(|| no("there is no such message"))?;
    let json: Json = serde_json::from_slice(&body).map_err(|error| no(&error.to_string()))?;
    let message = from_json(&of, &json).map_err(|why| no(&why))?;
    let length = message.encoded_len();
    let mut framed = BytesMut::with_capacity(HEAD + length);
    framed.put_u8(0);
    framed.put_u32(u32::try_from(length).map_err(|error| no(&error.to_string()))?);
    message
        .encode(&mut framed)
        .map_err(|error| no(&error.to_string()))?;
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
    let body = Full::new(framed.freeze()).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut answer = Response::new(Body::new(body));
    let kind = http::HeaderValue::from_static("application/grpc");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(answer)
}

/// The status that a problem is, by the contract's table.
fn refused(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Status {
    let code = match status.as_u16() {
        400 | 415 => Code::InvalidArgument,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::NotFound,
        409 => Code::FailedPrecondition,
        413 => Code::OutOfRange,
        501 => Code::Unimplemented,
        503 => Code::Unavailable,
        507 => Code::ResourceExhausted,
        _ => Code::Internal,
    };
    let problem: Json = serde_json::from_slice(body).unwrap_or_default();
    let detail = problem["detail"].as_str().unwrap_or("it says nothing");
    let mut kept = HeaderMap::new();
    if let Some(after) = headers.get(RETRY_AFTER) {
        kept.insert(RETRY_AFTER, after.clone());
    }
    Status::with_metadata(
        code,
        format!("{status}: {detail}"),
        MetadataMap::from_headers(kept),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_the_status_of_the_contracts_table() {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, http::HeaderValue::from_static("3"));
        let body = br#"{"code": "unavailable", "detail": "the store is away"}"#;
        let status = refused(StatusCode::SERVICE_UNAVAILABLE, &headers, body);
        assert_eq!(status.code(), Code::Unavailable);
        assert!(status.message().ends_with("the store is away"), "{status}");
        assert_eq!(
            status.metadata().get("retry-after").expect("it is kept"),
            "3"
        );
        for (number, code) in [
            (400, Code::InvalidArgument),
            (404, Code::NotFound),
            (413, Code::OutOfRange),
            (500, Code::Internal),
            (507, Code::ResourceExhausted),
        ] {
            let status = StatusCode::from_u16(number).expect("a status");
            assert_eq!(refused(status, &HeaderMap::new(), b"").code(), code);
        }
    }
}
