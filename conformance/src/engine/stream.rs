//! A stream in a case's own words: what is told, seen and not seen on it.

use super::link::{self, Teller};
use super::talk::Talk;
use crate::like::{like, same, short};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic::Status;

/// What came on a stream, and how it ended.
#[derive(Clone, Debug, Default)]
struct Came {
    messages: Vec<(Instant, Value)>,
    /// The word of its status, and the status' message.
    end: Option<(String, String)>,
}

/// A stream. It breaks when this is dropped.
#[derive(Debug)]
pub(super) struct Stream {
    teller: Teller,
    /// Its name in the case.
    name: String,
    said: Talk,
    sequence: u64,
    came: watch::Receiver<Came>,
    /// Where the next look begins, and when what was found last came.
    from: usize,
    last: Option<Instant>,
    reader: JoinHandle<()>,
}

impl Stream {
    /// Opens one.
    ///
    /// # Errors
    /// The status that it is refused with.
    pub(super) async fn open(
        url: &str,
        token: Option<&str>,
        name: &str,
        said: &Talk,
    ) -> Result<Stream, Status> {
        let (teller, mut told) = link::open(url, token).await?;
        let (writer, came) = watch::channel(Came::default());
        let (whose, heard) = (format!("engine {name}"), said.clone());
        let reader = tokio::spawn(async move {
            loop {
                let end = match told.next().await {
                    Ok(Some(message)) => {
                        let now = Instant::now();
                        heard.message(&whose, &message);
                        writer.send_modify(|came| came.messages.push((now, message)));
                        continue;
                    }
                    Ok(None) => ("ok".to_owned(), String::new()),
                    Err(status) => (link::word(status.code()), status.message().to_owned()),
                };
                writer.send_modify(|came| came.end = Some(end));
                return;
            }
        });
        Ok(Stream {
            teller,
            name: name.to_owned(),
            said: said.clone(),
            sequence: 0,
            came,
            from: 0,
            last: None,
            reader,
        })
    }

    /// Says a message under the next number, or under the one that is given, with bytes behind it.
    ///
    /// # Errors
    /// A sentence: what of it is no message.
    pub(super) fn tell(
        &mut self,
        message: &Value,
        sequence: Option<u64>,
        later: &[u8],
    ) -> Result<(), String> {
        let mut message = message.clone();
        self.sequence = sequence.unwrap_or(self.sequence + 1);
        if let Value::Object(fields) = &mut message {
            fields.insert("sequence".to_owned(), json!(self.sequence));
        }
        let mut bytes = link::encoded(&message)?;
        let whose = format!("driver {}", self.name);
        self.said.message(&whose, &message);
        bytes.extend_from_slice(later);
        self.teller.send(bytes);
        Ok(())
    }

    /// Says bytes.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.sequence += 1;
        self.teller.send(bytes.to_vec());
    }

    /// Waits for a message.
    ///
    /// # Errors
    /// A sentence with what came instead.
    pub(super) async fn see(
        &mut self,
        expected: &Value,
        within: Duration,
        not_before: Duration,
    ) -> Result<Value, String> {
        let until = tokio::time::Instant::now() + within;
        loop {
            let (found, ended) = {
                let came = self.came.borrow_and_update();
                let behind = came.messages.iter().enumerate().skip(self.from);
                let found = behind
                    .into_iter()
                    .find(|(_, (_, message))| like(expected, message).is_ok());
                let found = found.map(|(index, (at, message))| (index, *at, message.clone()));
                (found, came.end.is_some())
            };
            if let Some((index, at, message)) = found {
                self.from = index + 1;
                let pause = self.last.map(|last| at.duration_since(last));
                self.last = Some(at);
                return match pause {
                    Some(pause) if pause < not_before => Err(format!(
                        "the engine said {} on stream `{}` after {} ms; expected no earlier than after {} ms",
                        short(&message),
                        self.name,
                        pause.as_millis(),
                        not_before.as_millis()
                    )),
                    _ => Ok(message),
                };
            }
            let changed = tokio::time::timeout_at(until, self.came.changed()).await;
            if ended || !matches!(changed, Ok(Ok(()))) {
                return Err(self.instead(expected, within));
            }
        }
    }

    /// Looks that a message does not come.
    ///
    /// # Errors
    /// A sentence with the message that came.
    pub(super) async fn unseen(&mut self, expected: &Value, span: Duration) -> Result<(), String> {
        let until = tokio::time::Instant::now() + span;
        loop {
            {
                let came = self.came.borrow_and_update();
                let mut behind = came.messages.iter().skip(self.from);
                if let Some((_, message)) =
                    behind.find(|(_, message)| like(expected, message).is_ok())
                {
                    return Err(format!(
                        "the engine said {} on stream `{}`, and was not to say what is like {}",
                        short(message),
                        self.name,
                        short(expected)
                    ));
                }
            }
            match tokio::time::timeout_at(until, self.came.changed()).await {
                Ok(Ok(())) => {}
                // The stream has ended: nothing comes any more.
                Ok(Err(_)) => return Ok(()),
                Err(_) => return Ok(()),
            }
        }
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// A sentence: how it ended instead.
    pub(super) async fn closed(&mut self, status: &str, within: Duration) -> Result<(), String> {
        let waited = self.came.wait_for(|came| came.end.is_some());
        let end = match tokio::time::timeout(within, waited).await {
            Ok(Ok(came)) => came.end.clone(),
            _ => None,
        };
        match end {
            None => Err(format!(
                "the engine has not ended stream `{}` within {} ms; expected `{status}`",
                self.name,
                within.as_millis()
            )),
            Some((word, _)) if word == status || status == "not ok" && word != "ok" => Ok(()),
            Some((word, why)) => Err(format!(
                "the engine ended stream `{}` with `{word}` ({why}); expected `{status}`",
                self.name
            )),
        }
    }

    /// What the engine said in the place of what was waited for; of its kind, what is otherwise.
    fn instead(&self, expected: &Value, within: Duration) -> String {
        let came = self.came.borrow();
        let behind = came.messages.iter().skip(self.from);
        let behind: Vec<&Value> = behind.map(|(_, message)| message).collect();
        let end = match &came.end {
            Some((word, why)) if why.is_empty() => format!("; then it ended the stream, `{word}`"),
            Some((word, why)) => format!("; then it ended the stream, `{word}`: {why}"),
            None => String::new(),
        };
        let kind = expected.as_object().and_then(|fields| fields.keys().next());
        let near = behind
            .iter()
            .rev()
            .find(|message| kind.is_some_and(|kind| message.get(kind).is_some()));
        let otherwise = near.and_then(|near| same(expected, near).err());
        let instead = match otherwise {
            Some(why) => format!("the last of its kind was otherwise: {why}"),
            None if behind.is_empty() => "it said nothing".to_owned(),
            None => {
                let all: Vec<_> = behind.iter().map(|message| short(message)).collect();
                format!("it said {}", all.join(", "))
            }
        };
        format!(
            "the engine did not say {} on stream `{}` within {} ms; {instead}{end}",
            short(expected),
            self.name,
            within.as_millis()
        )
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.reader.abort();
    }
}
