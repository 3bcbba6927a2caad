//! Server-sent events out of the answer of an HTTP/1.1 server, as light as ten thousand of them in one
//! process ask for: a head, a body in chunks, and the fields of the events in it.

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) kind: String,
    pub(crate) id: String,
    pub(crate) data: String,
}

/// Where a reader is.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// In the head, before its empty line.
    Head,
    /// Before the length of a chunk.
    Length,
    /// In a chunk, with so many bytes to come.
    Chunk(usize),
    /// Behind a chunk, before its line's end.
    Behind,
    /// Behind the last chunk: nothing more comes.
    Over,
}

/// An answer, as far as it has come.
#[derive(Debug)]
pub(crate) struct Reader {
    place: Place,
    /// What has come and is not read yet: less than a line, of the head or between chunks.
    raw: Vec<u8>,
    /// What has come of the body's current line.
    line: Vec<u8>,
    event: Event,
}

impl Reader {
    pub(crate) fn new() -> Reader {
        Reader {
            place: Place::Head,
            raw: Vec::new(),
            line: Vec::new(),
            event: Event::default(),
        }
    }

    /// Whether the body has come to its end.
    pub(crate) fn is_over(&self) -> bool {
        self.place == Place::Over
    }

    /// Takes what came; gives the events that it ends.
    ///
    /// # Errors
    /// What is wrong with the answer, in words.
    pub(crate) fn take(&mut self, mut came: &[u8]) -> Result<Vec<Event>, String> {
        let mut events = Vec::new();
        while !came.is_empty() {
            if let Place::Chunk(left) = &mut self.place {
                let now = came.len().min(*left);
                *left -= now;
                let over = *left == 0;
                let (chunk, rest) = came.split_at(now);
                self.body(chunk, &mut events)?;
                came = rest;
                if over {
                    self.place = Place::Behind;
                }
                continue;
            }
            let Some(end) = came.iter().position(|byte| *byte == b'\n') else {
                self.raw.extend_from_slice(came);
                break;
            };
            self.raw.extend_from_slice(&came[..end]);
            came = &came[end + 1..];
            let line = std::mem::take(&mut self.raw);
            let line = String::from_utf8(line).map_err(|_| "the answer is not text")?;
            let line = line.strip_suffix('\r').ok_or("a line ends without CR")?;
            self.line_between(line)?;
        }
        Ok(events)
    }

    /// A line that is not of the body.
    fn line_between(&mut self, line: &str) -> Result<(), String> {
        match self.place {
            Place::Head => {
                let lower = line.to_ascii_lowercase();
                if lower.starts_with("http/") && !lower.starts_with("http/1.1 200 ") {
                    return Err(format!("the server answered {line:?}"));
                }
                if lower.starts_with("content-type:") && !lower.ends_with("text/event-stream") {
                    return Err(format!("the answer is no stream of events: {line:?}"));
                }
                if line.is_empty() {
                    self.place = Place::Length;
                }
            }
            Place::Length => {
                let length = usize::from_str_radix(line, 16);
                self.place = match length.map_err(|_| format!("no length of a chunk: {line:?}"))? {
                    0 => Place::Over,
                    length => Place::Chunk(length),
                };
            }
            Place::Behind if line.is_empty() => self.place = Place::Length,
            Place::Behind => return Err(format!("a chunk is longer than it said: {line:?}")),
            // The last chunk's own empty line.
            Place::Over if line.is_empty() => {}
            Place::Over | Place::Chunk(_) => {
                return Err(format!("something follows the end: {line:?}"));
            }
        }
        Ok(())
    }

    fn body(&mut self, chunk: &[u8], events: &mut Vec<Event>) -> Result<(), String> {
        for part in chunk.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if self.line.pop_if(|last| *last == b'\n').is_none() {
                break;
            }
            let line = std::mem::take(&mut self.line);
            let line = String::from_utf8(line).map_err(|_| "an event is not text")?;
            if line.is_empty() {
                let event = std::mem::take(&mut self.event);
                // After a comment there is nothing to tell.
                events.extend((event != Event::default()).then_some(event));
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                // A comment.
                "" => {}
                "event" => value.clone_into(&mut self.event.kind),
                "id" => value.clone_into(&mut self.event.id),
                "data" => self.event.data.push_str(value),
                other => return Err(format!("an event has the field {other:?}")),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Event, Reader};

    const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n\
        d\r\n: connected\n\n\r\n\
        1b\r\nevent: event\nid: 1.0\ndata: \r\n\
        4\r\n{}\n\n\r\n\
        1c\r\nevent: end\nid: 1.0\ndata: {}\n\r\n\
        1\r\n\n\r\n\
        0\r\n\r\n";

    fn event(kind: &str) -> Event {
        Event {
            kind: kind.to_owned(),
            id: "1.0".to_owned(),
            data: "{}".to_owned(),
        }
    }

    #[test]
    fn events_are_the_same_wherever_the_answer_is_cut() {
        for first in 1..ANSWER.len() {
            let mut reader = Reader::new();
            let (a, b) = ANSWER.as_bytes().split_at(first);
            let mut events = reader.take(a).unwrap();
            // All but the empty line behind the last chunk.
            let over = first >= ANSWER.len() - "\r\n".len();
            assert_eq!(reader.is_over(), over, "{first}");
            events.extend(reader.take(b).unwrap());
            assert_eq!(events, [event("event"), event("end")], "{first}");
            assert!(reader.is_over(), "{first}");
        }
    }

    #[test]
    fn an_answer_that_is_no_stream_of_events_is_told() {
        for (answer, why) in [
            ("HTTP/1.1 404 Not Found\r\n", "404"),
            (
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n",
                "json",
            ),
            ("HTTP/1.1 200 OK\r\n\r\nxy\r\n", "length"),
            ("HTTP/1.1 200 OK\r\n\r\n1\r\n:x\r\n", "longer"),
            ("HTTP/1.1 200 OK\r\n\r\n0\r\n\r\nmore\r\n", "follows"),
        ] {
            let error = Reader::new().take(answer.as_bytes()).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
