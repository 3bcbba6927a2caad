//! Pages of a browser are kept out of a server on this machine: whoever opens a page did not ask it to
//! start runs. Without CORS a page reads nothing; these rules keep it from writing, too, and from coming
//! under a name of its own (DNS rebinding). Pages that the server's configuration names are let in.

use crate::rest::Problem;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tower_http::cors::{AllowOrigin, CorsLayer};

/// How long a browser need not ask again whether a page may ask.
const PREFLIGHT: Duration = Duration::from_secs(600);

/// An origin of pages, as browsers send it: `https://portal.example.com`, `http://localhost:5173`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(HeaderValue);

impl Origin {
    /// Reads one. Origins are compared to the letter: what no browser sends is none, such as one with a path,
    /// a user or capital letters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Origin> {
        let uri: Uri = text.parse().ok()?;
        let (scheme, host) = (uri.scheme_str()?, uri.authority()?.as_str());
        let sent = ["http", "https"].contains(&scheme)
            && text == format!("{scheme}://{host}")
            && text == text.to_lowercase()
            && !host.contains('@');
        let value = HeaderValue::from_str(text).ok()?;
        sent.then_some(Origin(value))
    }
}

/// Origins whose pages are answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pages(Arc<[HeaderValue]>);

impl Pages {
    pub(crate) fn of(origins: &[Origin]) -> Pages {
        Pages(origins.iter().map(|origin| origin.0.clone()).collect())
    }

    /// What tells browsers that these pages may ask, and read the answers; nothing where there are none.
    /// A page shows an access token: certificates and the like that a browser sends by itself are not asked for.
    pub(crate) fn cors(&self) -> Option<CorsLayer> {
        const SENT: [HeaderName; 8] = [
            header::ACCEPT,
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_MATCH,
            header::IF_NONE_MATCH,
            HeaderName::from_static("idempotency-key"),
            HeaderName::from_static("last-event-id"),
            HeaderName::from_static("traceparent"),
        ];
        const READ: [HeaderName; 4] = [
            header::ALLOW,
            header::ETAG,
            header::LOCATION,
            header::RETRY_AFTER,
        ];
        let methods = [
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ];
        (!self.0.is_empty()).then(|| {
            CorsLayer::new()
                .allow_origin(AllowOrigin::list(self.0.iter().cloned()))
                .allow_methods(methods)
                .allow_headers(SENT)
                .expose_headers(READ)
                .max_age(PREFLIGHT)
        })
    }
}

/// Answers nothing that a page of a browser sends which is none of these, wherever the server listens: a browser shows client
/// certificates by itself, and reaches addresses that its page's author does not.
pub(crate) async fn no_pages(State(pages): State<Pages>, request: Request, next: Next) -> Response {
    match request.headers().get(header::ORIGIN) {
        None => next.run(request).await,
        Some(origin) if pages.0.contains(origin) => next.run(request).await,
        Some(origin) => {
            let origin = String::from_utf8_lossy(origin.as_bytes());
            refuse(format!(
                "requests of pages are not answered; this one has the origin {origin}, which the setting \
                 `cors.origins` of the server does not name"
            ))
        }
    }
}

/// Answers nobody who comes under a name of this machine that somebody else may have given to it.
pub(crate) async fn own_name(request: Request, next: Next) -> Response {
    match foreign(request.uri(), request.headers()) {
        None => next.run(request).await,
        Some(why) => refuse(why),
    }
}

fn refuse(why: String) -> Response {
    Problem::new(StatusCode::FORBIDDEN, "permission_denied", why).into_response()
}

/// Why a request is not answered.
fn foreign(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let host = host.or_else(|| uri.authority().map(|authority| authority.as_str()))?;
    match is_address(host) {
        true => None,
        false => Some(format!(
            "this server is asked by an address or as `localhost`, not as {host:?}"
        )),
    }
}

/// Whether a host, perhaps with a port, is no name that somebody else can give to an address.
fn is_address(host: &str) -> bool {
    let bare = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::{Origin, is_address};

    #[test]
    fn an_origin_is_what_browsers_send() {
        for text in [
            "https://portal.example.com",
            "http://localhost:5173",
            "https://[::1]:8443",
        ] {
            assert!(Origin::parse(text).is_some(), "{text}");
        }
        for text in [
            "",
            "*",
            "null",
            "portal.example.com",
            "https://portal.example.com/",
            "https://portal.example.com/app",
            "https://Portal.example.com",
            "https://user@portal.example.com",
            "ftp://portal.example.com",
            "file:///etc",
        ] {
            assert!(Origin::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn addresses_and_localhost_are_no_names_of_others() {
        for host in [
            "127.0.0.1:7420",
            "[::1]:7420",
            "[::1]",
            "localhost",
            "LocalHost:1",
            "10.0.0.7",
        ] {
            assert!(is_address(host), "{host}");
        }
        for host in [
            "evil.example:7420",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "",
        ] {
            assert!(!is_address(host), "{host}");
        }
    }
}
