//! What a client still sends when it is answered already: a refusal does not wait for the body. HTTP/2 would
//! then reset the stream behind the answer, and clients take that for a broken connection and show no answer
//! (curl 7.88: "Stream error in the HTTP/2 framing layer").

use crate::router::is_grpc;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::{Version, header};
use axum::middleware::Next;
use axum::response::Response;
use http_body::{Frame, SizeHint};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

/// The most that is read of it, in bytes: what a client may send before anything is read.
const MOST: usize = crate::serve::WINDOW as usize;
/// How long its end is waited for. Whoever sends longer than that is cut off.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where a body goes that nobody wants any more.
type Left = Arc<Mutex<Option<Body>>>;

/// A body that is not lost with whoever reads it.
struct Kept {
    /// `None` once all of it was read.
    body: Option<Body>,
    left: Left,
}

impl HttpBody for Kept {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let frame = std::task::ready!(Pin::new(body).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) {
            self.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let hint = self.body.as_ref().map(HttpBody::size_hint);
        hint.unwrap_or_else(|| SizeHint::with_exact(0))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let rest = self.body.take().filter(|body| !body.is_end_stream());
        *self.left.lock().unwrap_or_else(PoisonError::into_inner) = rest;
    }
}

/// Reads what nobody wanted of a request, before it is answered.
pub(crate) async fn hear_out(request: Request, next: Next) -> Response {
    // HTTP/1.1 ends the connection behind such an answer; who asks before it sends has sent nothing; and who
    // speaks gRPC may send for ever, and knows of such resets.
    let waits = request.headers().contains_key(header::EXPECT) || is_grpc(request.headers());
    if request.version() != Version::HTTP_2 || waits || request.body().is_end_stream() {
        return next.run(request).await;
    }
    let left = Left::default();
    let kept = Arc::clone(&left);
    let request = request.map(|body| {
        Body::new(Kept {
            body: Some(body),
            left: kept,
        })
    });
    let answer = next.run(request).await;
    // Nothing where it was read to its end.
    let rest = left.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(rest) = rest {
        let _ = tokio::time::timeout(PATIENCE, read(rest)).await;
    }
    answer
}

async fn read(mut rest: Body) {
    let mut bytes = 0;
    while bytes <= MOST {
        let frame = std::future::poll_fn(|cx| Pin::new(&mut rest).poll_frame(cx)).await;
        let Some(Ok(frame)) = frame else {
            return;
        };
        bytes += frame.data_ref().map_or(0, Bytes::len);
    }
}
