//! What a later contract has in its messages: a field that this one does not know, in the bytes of each message of
//! gRPC that goes to the driver. The messages' own types would drop it.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use http_body::{Frame, SizeHint};
use prost::bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

/// The field 1000, twelve bytes.
const FIELD: &[u8] = b"\xc2\x3e\x0cfrom-the-far";
/// What stands before each message of gRPC: whether it is compressed, and its length.
const HEAD: usize = 5;

/// Whether messages are those of a later contract. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Later(Arc<AtomicBool>);

impl Later {
    /// From now on they are.
    pub(crate) fn on(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// The same answers, with the field in each message of gRPC.
    pub(crate) fn around(self, router: Router) -> Router {
        router.layer(from_fn(move |request: Request, next: Next| {
            let later = self.clone();
            async move {
                // Of a stream, what is in a message is a message, too.
                let nested = request.uri().path().ends_with("/Session");
                let response = next.run(request).await;
                let kind = response.headers().get("content-type");
                if !kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")) {
                    return response;
                }
                let (parts, body) = response.into_parts();
                let body = Longer {
                    body,
                    later,
                    nested,
                    waiting: BytesMut::new(),
                };
                Response::from_parts(parts, Body::new(body))
            }
        }))
    }
}

struct Longer {
    body: Body,
    later: Later,
    nested: bool,
    /// The beginning of a message whose rest is still to come.
    waiting: BytesMut,
}

impl http_body::Body for Longer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        loop {
            let frame = ready!(http_body::Body::poll_frame(
                Pin::new(&mut this.body),
                context
            ));
            let Some(Ok(frame)) = frame else {
                return Poll::Ready(frame);
            };
            let data = match frame.into_data() {
                Ok(data) => data,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            };
            if !this.later.is_on() && this.waiting.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            this.waiting.extend_from_slice(&data);
            let whole = longer(&mut this.waiting, this.nested);
            if !whole.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(whole))));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.waiting.is_empty() && http_body::Body::is_end_stream(&self.body)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// The messages that are whole, each with the field; what is left waits.
fn longer(waiting: &mut BytesMut, nested: bool) -> Bytes {
    let mut out = BytesMut::new();
    while waiting.len() >= HEAD {
        let length = u32::from_be_bytes([waiting[1], waiting[2], waiting[3], waiting[4]]) as usize;
        if waiting.len() < HEAD + length {
            break;
        }
        let mut message = waiting.split_to(HEAD + length);
        let compressed = message[0];
        message.advance(HEAD);
        let message = match compressed {
            0 => with_field(&message, nested),
            _ => message.to_vec(),
        };
        out.put_u8(compressed);
        out.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
        out.put_slice(&message);
    }
    out.freeze()
}

/// A message's bytes with the field; where it has messages in it, those too.
fn with_field(message: &[u8], nested: bool) -> Vec<u8> {
    let mut longer = match nested {
        true => with_field_within(message).unwrap_or_else(|| message.to_vec()),
        false => message.to_vec(),
    };
    longer.extend_from_slice(FIELD);
    longer
}

/// The same fields, those of messages with the field behind. `None` of what is no message.
fn with_field_within(mut message: &[u8]) -> Option<Vec<u8>> {
    let mut longer = Vec::with_capacity(message.len() + FIELD.len());
    while !message.is_empty() {
        let key = varint(&mut message)?;
        prost::encoding::encode_varint(key, &mut longer);
        match key & 7 {
            0 => prost::encoding::encode_varint(varint(&mut message)?, &mut longer),
            2 => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                let (inner, rest) = message.split_at_checked(length)?;
                prost::encoding::encode_varint((length + FIELD.len()) as u64, &mut longer);
                longer.extend_from_slice(inner);
                longer.extend_from_slice(FIELD);
                message = rest;
            }
            _ => return None,
        }
    }
    Some(longer)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    prost::encoding::decode_varint(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use conveyor_proto::v1;
    use conveyor_proto::v1::session_response::Message as Told;
    use prost::Message as _;

    fn framed(message: &v1::SessionResponse) -> Vec<u8> {
        let bytes = message.encode_to_vec();
        let mut framed = vec![0];
        framed.extend((bytes.len() as u32).to_be_bytes());
        framed.extend(bytes);
        framed
    }

    #[test]
    fn messages_are_the_same_to_who_does_not_know_the_field_however_they_are_cut() {
        let cancel = v1::Cancel {
            token: vec![7; 40].into(),
            reason: "why".to_owned(),
            grace_ms: 300,
        };
        let message = v1::SessionResponse {
            sequence: 9,
            message: Some(Told::Cancel(cancel)),
        };
        let bytes = framed(&message).repeat(2);
        for cut in 0..bytes.len() {
            let mut waiting = BytesMut::new();
            let mut out = Vec::new();
            for piece in [&bytes[..cut], &bytes[cut..]] {
                waiting.extend_from_slice(piece);
                out.extend(longer(&mut waiting, true));
            }
            assert!(waiting.is_empty());
            // Twice the field in each message.
            assert_eq!(out.len(), bytes.len() + 4 * FIELD.len(), "cut at {cut}");
            let length = out.len() / 2;
            let read = v1::SessionResponse::decode(&out[HEAD..length]);
            assert_eq!(read.expect("it is a message"), message);
        }
    }
}
