//! A client of REST: calls, and server-sent events.

use super::talk::Talk;
use crate::like::short;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Map, Value, json};
use std::fmt;

/// Calls an engine.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    client: Client<HttpConnector, Full<Bytes>>,
    url: String,
    said: Talk,
}

/// A call.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<Vec<u8>>,
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Value,
    /// What is no JSON is a text.
    pub(crate) body: Value,
}

impl Asked {
    /// A call with JSON, by a token.
    pub(crate) fn post(path: &str, body: &Value, token: Option<&str>) -> Asked {
        let mut headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        headers.extend(token.map(authorization));
        Asked {
            method: "POST".to_owned(),
            path: path.to_owned(),
            headers,
            body: Some(body.to_string().into_bytes()),
        }
    }

    /// A call without a body, by a token.
    pub(crate) fn get(path: &str, token: Option<&str>) -> Asked {
        Asked {
            method: "GET".to_owned(),
            path: path.to_owned(),
            headers: token.map(authorization).into_iter().collect(),
            body: None,
        }
    }
}

/// `GET /v1/runs`.
impl fmt::Display for Asked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.method, self.path)
    }
}

impl Answer {
    fn new(status: u16, headers: Value, body: &[u8]) -> Answer {
        let text = || String::from_utf8_lossy(body).into_owned().into();
        Answer {
            status,
            headers,
            body: serde_json::from_slice(body).unwrap_or_else(|_| text()),
        }
    }

    /// Its status, and of an error what it says: ``404, `not_found`: there is no run``.
    pub(super) fn told(&self) -> String {
        let text = |field: &str| self.body[field].as_str();
        match (text("code"), text("detail").or(text("title"))) {
            (Some(code), Some(detail)) => format!("{}, `{code}`: {detail}", self.status),
            _ => format!("{}: {}", self.status, short(&self.body)),
        }
    }
}

/// The header that shows a token.
pub(crate) fn authorization(token: &str) -> (String, String) {
    ("authorization".to_owned(), format!("Bearer {token}"))
}

impl Http {
    pub(crate) fn new(url: &str, said: &Talk) -> Http {
        Http {
            client: Client::builder(TokioExecutor::new()).build_http(),
            url: url.to_owned(),
            said: said.clone(),
        }
    }

    async fn send(&self, asked: &Asked) -> Result<Response<Incoming>, String> {
        let method = Method::from_bytes(asked.method.as_bytes());
        let method = method.map_err(|error| error.to_string())?;
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{}", self.url, asked.path));
        for (name, value) in &asked.headers {
            request = request.header(name, value);
        }
        let body = Full::new(Bytes::from(asked.body.clone().unwrap_or_default()));
        let request = request.body(body).map_err(|error| error.to_string())?;
        self.client.request(request).await.map_err(|error| {
            let inner = std::error::Error::source(&error).map(ToString::to_string);
            format!(
                "the engine gives no answer to {asked}: {error}: {}",
                inner.unwrap_or_default()
            )
        })
    }

    /// Calls.
    ///
    /// # Errors
    /// A sentence, where there is no answer.
    pub(crate) async fn call(&self, asked: &Asked) -> Result<Answer, String> {
        let response = self.send(asked).await?;
        let status = response.status().as_u16();
        let headers = headers(response.headers());
        let body = response.into_body().collect().await;
        let body =
            body.map_err(|error| format!("the engine's answer to {asked} broke off: {error}"))?;
        let answer = Answer::new(status, headers, &body.to_bytes());
        let (call, status) = (asked.to_string(), status.to_string());
        self.said
            .call(&call, asked.body.as_deref(), &status, &answer.body);
        Ok(answer)
    }

    /// Reads server-sent events, so many of them, or until the answer's end where `count` is 0.
    ///
    /// # Errors
    /// A sentence, where it is answered otherwise or breaks off.
    pub(crate) async fn events(&self, asked: &Asked, count: usize) -> Result<Value, String> {
        let response = self.send(asked).await?;
        let status = response.status();
        let mut body = response.into_body();
        if !status.is_success() {
            let body = body.collect().await.map_err(|error| error.to_string())?;
            let answer = Answer::new(status.as_u16(), Value::Null, &body.to_bytes());
            return Err(format!("the engine answers {asked} with {}", answer.told()));
        }
        let mut events = Events::default();
        while count == 0 || events.told.len() < count {
            let Some(frame) = body.frame().await else {
                if count > 0 {
                    let told = Value::Array(events.told);
                    return Err(format!(
                        "the engine ended the events of {asked}, and {count} were to come; came {}",
                        short(&told)
                    ));
                }
                break;
            };
            let frame = frame
                .map_err(|error| format!("the engine's events of {asked} broke off: {error}"))?;
            let told = events.told.len();
            if let Some(data) = frame.data_ref() {
                events.take(data);
            }
            for event in &events.told[told..] {
                self.said.message("engine event", event);
            }
        }
        if count > 0 {
            events.told.truncate(count);
        }
        Ok(Value::Array(events.told))
    }
}

fn headers(headers: &HeaderMap) -> Value {
    let each = headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.as_str().to_owned(), value.into())
    });
    Value::Object(each.collect::<Map<_, _>>())
}

/// Server-sent events out of bytes. Those without data are told to nobody.
#[derive(Default)]
struct Events {
    pending: Vec<u8>,
    event: String,
    id: Option<String>,
    data: Vec<String>,
    told: Vec<Value>,
}

impl Events {
    fn take(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        while let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.pending.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            self.line(line.trim_end_matches(['\n', '\r']));
        }
    }

    fn line(&mut self, line: &str) {
        if line.is_empty() {
            return self.over();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event),
            "id" => self.id = Some(value.to_owned()),
            "data" => self.data.push(value.to_owned()),
            // A comment, or what nobody needs.
            _ => {}
        }
    }

    fn over(&mut self) {
        let (event, id) = (std::mem::take(&mut self.event), self.id.take());
        let data = std::mem::take(&mut self.data).join("\n");
        if data.is_empty() {
            return;
        }
        let data: Value = serde_json::from_str(&data).unwrap_or_else(|_| data.into());
        let mut told = json!({"event": event, "data": data});
        if let Some(id) = id {
            told["id"] = id.into();
        }
        self.told.push(told);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_however_they_are_cut() {
        let text = ": connected\n\nevent: a\ndata: {\"n\":1}\nid: 1.0\n\nid: 7\n\nevent: end\r\ndata: x\r\n\r\n";
        for size in [1, 3, 7, 1000] {
            let mut events = Events::default();
            text.as_bytes()
                .chunks(size)
                .for_each(|part| events.take(part));
            assert_eq!(
                events.told,
                [
                    json!({"event": "a", "data": {"n": 1}, "id": "1.0"}),
                    json!({"event": "end", "data": "x"})
                ]
            );
        }
    }
}
