//! One request and its answer.

use crate::connect::{self, Wire};
use crate::driver::Means;
use crate::failure::{permanent, unanswered};
use crate::target::Target;
use bytes::Bytes;
use conveyor_sdk::Failure;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::error::Error as _;
use tokio::task::JoinHandle;

/// The longest head of an answer, in bytes.
const HEAD_BYTES: usize = 64 << 10;
const USER_AGENT: &str = concat!("conveyor-driver-http/", env!("CARGO_PKG_VERSION"));

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) target: Target,
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A connection that is closed with the value: a request that nobody waits for any more ends at once.
struct Open(JoinHandle<()>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Asks once, over a connection of its own.
pub(crate) async fn exchange(means: &Means, ask: &Ask, max_bytes: u64) -> Result<Answer, Failure> {
    let wire = connect::connect(&means.policy, &means.tls, &ask.target).await?;
    let lost = |error: &hyper::Error| {
        let mut why = error.to_string();
        if let Some(cause) = error.source() {
            why.push_str(&format!(": {cause}"));
        }
        let message = format!("{} {}: the connection broke: {why}", ask.method, ask.target);
        unanswered("connection_lost", message, &ask.method)
    };
    let (mut sender, _open) = open(wire).await.map_err(|error| lost(&error))?;
    let request = request(ask)?;
    let answered = sender.send_request(request).await;
    let answered = answered.map_err(|error| lost(&error))?;
    let status = answered.status();
    let headers = answered.headers().clone();
    // A redirect's body is nobody's.
    let body = match is_redirect(status) && headers.contains_key(header::LOCATION) {
        true => Bytes::new(),
        false => read(answered, ask, max_bytes)
            .await?
            .map_err(|error| lost(&error))?,
    };
    Ok(Answer {
        status,
        headers,
        body,
    })
}

async fn open(
    wire: Box<dyn Wire>,
) -> Result<(http1::SendRequest<Full<Bytes>>, Open), hyper::Error> {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(HEAD_BYTES);
    let (sender, connection) = builder.handshake(TokioIo::new(wire)).await?;
    let driving = tokio::spawn(async move {
        // What breaks is told to whoever waits for the answer.
        let _ = connection.await;
    });
    Ok((sender, Open(driving)))
}

fn request(ask: &Ask) -> Result<Request<Full<Bytes>>, Failure> {
    let unsendable = |error: &dyn std::fmt::Display| {
        permanent(
            "invalid_input",
            format!("the request cannot be sent: {error}"),
        )
    };
    let host = HeaderValue::from_str(&ask.target.authority());
    let host = host.map_err(|error| unsendable(&error))?;
    let mut request = Request::builder()
        .method(ask.method.clone())
        .uri(ask.target.path_and_query())
        .body(Full::new(ask.body.clone()))
        .map_err(|error| unsendable(&error))?;
    let headers = request.headers_mut();
    headers.insert(header::HOST, host);
    headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    for (name, value) in &ask.headers {
        headers.insert(name.clone(), value.clone());
    }
    Ok(request)
}

/// The answer's body, as far as it is within the limit.
async fn read(
    answer: Response<Incoming>,
    ask: &Ask,
    max_bytes: u64,
) -> Result<Result<Bytes, hyper::Error>, Failure> {
    let too_large = |bytes: u64| {
        let message = format!(
            "{} {}: the answer has {bytes} bytes or more; the limit `max_bytes` is {max_bytes}",
            ask.method, ask.target
        );
        permanent("response_too_large", message)
    };
    let mut body = answer.into_body();
    let told = body.size_hint().lower();
    if told > max_bytes && ask.method != Method::HEAD {
        return Err(too_large(told));
    }
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => return Ok(Err(error)),
        };
        // Trailers are left out.
        let Ok(data) = frame.into_data() else {
            continue;
        };
        bytes.extend_from_slice(&data);
        if bytes.len() as u64 > max_bytes {
            return Err(too_large(bytes.len() as u64));
        }
    }
    Ok(Ok(bytes.into()))
}

/// Whether an answer may say where to ask instead.
pub(crate) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}
