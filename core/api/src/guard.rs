//! Pages of a browser are kept out of a server on this machine: whoever opens a page did not ask it to
//! start runs. CORS is off, so a page reads nothing; these rules keep it from writing, too, and from
//! coming under a name of its own (DNS rebinding).

use crate::rest::Problem;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use std::net::IpAddr;

/// Answers nothing that a page of a browser sends, wherever the server listens: a browser shows client
/// certificates by itself, and reaches addresses that its page's author does not.
pub(crate) async fn no_pages(request: Request, next: Next) -> Response {
    match request.headers().get(header::ORIGIN) {
        None => next.run(request).await,
        Some(origin) => {
            let origin = String::from_utf8_lossy(origin.as_bytes());
            refuse(format!(
                "requests of pages are not answered; this one has the origin {origin}"
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
    use super::is_address;

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
