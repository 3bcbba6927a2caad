//! Requests that may fail, as those of a client whose server dies.

use serde_json::Value;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// A server that says nothing for so long is taken for dead.
const SILENT: Duration = Duration::from_secs(20);

/// An answer: its status and its body.
pub(crate) struct Told {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

fn broken(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, why)
}

fn open(url: &str, token: Option<&str>, head: &str, body: &str) -> io::Result<TcpStream> {
    let token = token.map(|token| format!("authorization: Bearer {token}\r\n"));
    let token = token.unwrap_or_default();
    let address = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SILENT))?;
    let length = body.len();
    write!(
        stream,
        "{head}{token}host: {address}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )?;
    Ok(stream)
}

/// One request over a connection of its own.
pub(crate) fn ask(url: &str, method: &str, path: &str, body: &Value) -> io::Result<Told> {
    ask_as(url, None, method, path, body)
}

/// The status and the text of an answer to a GET.
pub(crate) fn text(url: &str, path: &str) -> io::Result<(u16, String)> {
    let mut stream = open(url, None, &format!("GET {path} HTTP/1.1\r\n"), "")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let status = text
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    Ok((status.ok_or_else(|| broken("no status"))?, text))
}

/// As [`ask`], with an access token.
pub(crate) fn ask_as(
    url: &str,
    token: Option<&str>,
    method: &str,
    path: &str,
    body: &Value,
) -> io::Result<Told> {
    let body = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    let mut stream = open(url, token, &format!("{method} {path} HTTP/1.1\r\n"), &body)?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text
        .split_once("\r\n\r\n")
        .ok_or_else(|| broken("no head"))?;
    let length = |line: &str| {
        let (name, value) = line.split_once(':')?;
        let is = name.eq_ignore_ascii_case("content-length");
        is.then(|| value.trim().parse::<usize>().ok()).flatten()
    };
    // A server that dies in the middle of an answer has not answered.
    if head.lines().find_map(length) != Some(body.len()) {
        return Err(broken("the answer is cut off"));
    }
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    Ok(Told {
        status: status.ok_or_else(|| broken("no status"))?,
        body: serde_json::from_str(body).map_err(io::Error::other)?,
    })
}

/// A server-sent event.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    pub(crate) kind: String,
    pub(crate) id: String,
    pub(crate) data: Value,
}

/// Reads events until `take` says that it is enough; false where the connection ended before.
pub(crate) fn events(
    url: &str,
    path: &str,
    last: Option<&str>,
    take: impl FnMut(Sent) -> bool,
) -> io::Result<bool> {
    events_as(url, None, path, last, take)
}

/// As [`events`], with an access token.
pub(crate) fn events_as(
    url: &str,
    token: Option<&str>,
    path: &str,
    last: Option<&str>,
    mut take: impl FnMut(Sent) -> bool,
) -> io::Result<bool> {
    let last = last.map(|id| format!("last-event-id: {id}\r\n"));
    let head = format!("GET {path} HTTP/1.1\r\n{}", last.unwrap_or_default());
    let reader = BufReader::new(open(url, token, &head, "")?);
    let mut event = Sent::default();
    for line in reader.lines() {
        // Chunks begin and end at lines: their lengths are no fields.
        let line = line?;
        let Some((field, value)) = line.split_once(": ") else {
            if line.trim().is_empty() && !event.kind.is_empty() && take(std::mem::take(&mut event))
            {
                return Ok(true);
            }
            continue;
        };
        match field {
            "event" => value.clone_into(&mut event.kind),
            "id" => value.clone_into(&mut event.id),
            "data" => event.data = serde_json::from_str(value).map_err(io::Error::other)?,
            _ => {}
        }
    }
    Ok(false)
}
