//! Who comes in, and by what: before anything is read of a request but its head.

use crate::rest::Problem;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use conveyor_service::{Access, Caller, Scope, Standing};
use http_body::{Frame, SizeHint};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tonic::Status;

/// Who may come in over an address.
#[derive(Clone, Debug, Default)]
pub struct Admission {
    /// Whether whoever shows nothing is turned away. Else it may do anything.
    pub required: bool,
    /// Who a client certificate stands for, by one of its names.
    pub names: BTreeMap<String, Named>,
}

/// Who a client certificate stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// What it allows.
    pub scope: Scope,
    /// The namespace that it is bound to; `None` for all.
    pub namespace: Option<Arc<str>>,
}

/// The names of the certificate that a connection came with.
#[derive(Clone, Debug)]
pub(crate) struct Names(pub(crate) Arc<[String]>);

/// What a request showed, to whoever is to judge it: the value of its header `authorization`.
#[derive(Clone, Debug)]
pub struct Shown(pub HeaderValue);

/// The door of a listener.
#[derive(Debug)]
pub(crate) struct Door {
    /// `None` where it stands open.
    pub(crate) access: Option<Access>,
    pub(crate) admission: Admission,
}

/// Lets in whoever may; what a caller may do is for the handlers to say.
pub(crate) async fn enter(
    State(door): State<Arc<Door>>,
    mut request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    // Load balancers show nothing, and learn nothing else.
    if matches!(path, "/healthz" | "/readyz") || path.starts_with("/grpc.health.v1.Health/") {
        return next.run(request).await;
    }
    let Some(access) = &door.access else {
        if let Some(shown) = request.headers().get(header::AUTHORIZATION).cloned() {
            request.extensions_mut().insert(Shown(shown));
        }
        return next.run(request).await;
    };
    let caller = door.caller(access, request.headers(), request.extensions().get());
    let caller = caller.await;
    let grpc = is_grpc(request.headers());
    let caller = match caller {
        Ok(caller) if path == "/metrics" && caller.scope < Scope::Client => {
            return refuse(caller.lacks("GET /metrics", Scope::Client), grpc);
        }
        Ok(caller) => caller,
        Err(status) => return refuse(status, grpc),
    };
    let standing = caller.standing.clone();
    request.extensions_mut().insert(caller);
    let response = next.run(request).await;
    match standing {
        Some(standing) if streams(&response) => while_it_stands(response, standing),
        _ => response,
    }
}

impl Door {
    async fn caller(
        &self,
        access: &Access,
        headers: &HeaderMap,
        names: Option<&Names>,
    ) -> Result<Caller, Status> {
        if let Some(value) = headers.get(header::AUTHORIZATION) {
            let token = bearer(value).ok_or_else(|| {
                Status::unauthenticated("`authorization` is no `Bearer` with an access token")
            })?;
            return access.caller(token).await;
        }
        if let Some(Names(names)) = names
            && let Some(caller) = names.iter().find_map(|name| self.named(name))
        {
            return Ok(caller);
        }
        match self.admission.required {
            false => Ok(Caller::local()),
            true => Err(Status::unauthenticated(
                "this server asks who you are: show an access token (`conveyor tokens create` makes one), \
                 as `authorization: Bearer TOKEN` or in CONVEYOR_TOKEN",
            )),
        }
    }

    fn named(&self, name: &str) -> Option<Caller> {
        let named = self.admission.names.get(name)?;
        // The rest is as of access tokens; `local` is nobody's name.
        let principal = match &named.namespace {
            Some(namespace) => format!("{name}@{namespace}"),
            None => format!("certificate {name}"),
        };
        Some(Caller {
            principal: principal.into(),
            scope: named.scope,
            namespace: named.namespace.clone(),
            standing: None,
        })
    }
}

fn bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

fn refuse(status: Status, grpc: bool) -> Response {
    if grpc {
        return status.into_http();
    }
    let mut response = Problem::from(status).into_response();
    if response.status() == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Bearer");
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

/// Whether an answer may go on for longer than a moment.
fn streams(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE);
    let events = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    events || is_grpc(response.headers())
}

/// An answer that ends, and says why, once the token does not hold any more.
fn while_it_stands(response: Response, standing: Standing) -> Response {
    let grpc = is_grpc(response.headers());
    let (parts, body) = response.into_parts();
    let body = Until {
        body,
        over: Some(Box::pin(standing.over())),
        grpc,
    };
    Response::from_parts(parts, Body::new(body))
}

struct Until {
    body: Body,
    /// `None` once it is over.
    over: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    grpc: bool,
}

impl Until {
    fn last(&self) -> Frame<axum::body::Bytes> {
        let status = Status::unauthenticated("the access token does not hold any more");
        if self.grpc {
            let mut trailers = HeaderMap::new();
            // The words are ours, and fit into a header.
            let _ = status.add_header(&mut trailers);
            return Frame::trailers(trailers);
        }
        let data = Problem::from(status).to_json();
        Frame::data(format!("event: error\ndata: {data}\n\n").into())
    }
}

impl http_body::Body for Until {
    type Data = axum::body::Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.get_mut();
        let Some(over) = &mut this.over else {
            return Poll::Ready(None);
        };
        if over.as_mut().poll(context).is_ready() {
            this.over = None;
            return Poll::Ready(Some(Ok(this.last())));
        }
        http_body::Body::poll_frame(Pin::new(&mut this.body), context)
    }

    fn is_end_stream(&self) -> bool {
        self.over.is_none() || http_body::Body::is_end_stream(&self.body)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
