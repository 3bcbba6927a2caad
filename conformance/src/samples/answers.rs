//! A small server for HTTP on loopback: samples of drivers that make requests need nothing outside.

use crate::v1;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value as Json, json};
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

/// What stands for its address in a config.
const VARIABLE: &str = "${http}";
/// How long `/slow` takes: twice what a slow sample has to.
const SLOW: Duration = Duration::from_secs(60);
/// The longest answer of `/bytes`.
const MOST: usize = 16 << 20;

/// The server. It ends with the value, and so do its connections.
#[derive(Debug)]
pub(crate) struct Answers {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Answers {
    /// Starts it on a free port.
    ///
    /// # Errors
    /// When it cannot listen.
    pub(crate) async fn start() -> io::Result<Answers> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let service = hyper::service::service_fn(answer);
                let http = hyper::server::conn::http1::Builder::new();
                connections.spawn(http.serve_connection(TokioIo::new(stream), service));
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Answers { address, accepting })
    }

    /// The config with its address in it.
    pub(crate) fn placed(&self, config: &v1::Config) -> v1::Config {
        let address = self.address.to_string();
        let text = |text: &String| text.replace(VARIABLE, &address);
        let bytes = |bytes: &[u8]| text(&String::from_utf8_lossy(bytes).into_owned()).into_bytes();
        let mut config = config.clone();
        config
            .environment
            .values_mut()
            .for_each(|value| *value = text(value));
        config
            .arguments
            .iter_mut()
            .for_each(|value| *value = text(value));
        for samples in config.actions.values_mut() {
            let all = samples.good.iter_mut().chain(&mut samples.bad);
            for sample in all.chain(&mut samples.slow) {
                sample.with = bytes(&sample.with).into();
                sample.outputs = bytes(&sample.outputs).into();
                sample.lines = bytes(&sample.lines).into();
            }
        }
        config
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// What is found at a path.
async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().trim_start_matches('/').to_owned();
    let (first, rest) = path.split_once('/').unwrap_or((&path, ""));
    let nothing = || json_of(StatusCode::NOT_FOUND, &json!({ "status": 404 }));
    Ok(match first {
        "json" => json_of(StatusCode::OK, &json!({ "n": 1, "text": "ä" })),
        "status" => match rest
            .parse()
            .ok()
            .and_then(|code: u16| StatusCode::from_u16(code).ok())
        {
            Some(status) => json_of(status, &json!({ "status": status.as_u16() })),
            None => nothing(),
        },
        "bytes" => match rest.parse::<usize>().ok().filter(|count| *count <= MOST) {
            Some(count) => Response::new(Full::new(Bytes::from("x".repeat(count)))),
            None => nothing(),
        },
        "slow" => {
            tokio::time::sleep(SLOW).await;
            json_of(StatusCode::OK, &json!({}))
        }
        "echo" => echo(request).await,
        _ => nothing(),
    })
}

async fn echo(request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let mut headers = Map::new();
    for (name, value) in &parts.headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        headers.insert(name.as_str().to_owned(), value.into());
    }
    // What broke off is shown as far as nothing came.
    let body = body
        .collect()
        .await
        .map(|body| body.to_bytes())
        .unwrap_or_default();
    let shown = json!({
        "method": parts.method.as_str(),
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
    });
    json_of(StatusCode::OK, &shown)
}

fn json_of(status: StatusCode, json: &Json) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(json.to_string())));
    *response.status_mut() = status;
    let kind = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
