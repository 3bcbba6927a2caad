//! Very many readers of one run's events in a process of its own, each over a connection of its own.

use crate::load::{Failed, runtime};
use crate::sse::Reader;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};

/// So many connect at once: fewer than wait in a listener's queue.
const CONNECTING: usize = 64;
/// What of an answer is read at once.
const BUFFER: usize = 4096;

/// What all readers saw, written once all have seen the run's end.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// The events, in the order of whoever saw each first.
    pub(crate) events: Vec<Told>,
    /// How many saw the end behind the last event.
    pub(crate) ends: u32,
}

/// One event.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Told {
    pub(crate) id: String,
    /// When it happened, by the server: milliseconds since 1970.
    pub(crate) time_ms: u64,
    /// How many have seen it, each as its event of this place and with the same data.
    pub(crate) readers: u32,
    /// When the last one of them did, in milliseconds since 1970.
    pub(crate) last_ms: f64,
    #[serde(skip)]
    data: String,
}

/// The process: reads the events of a run so many times, says how many events there were
/// once all have seen the first, and [`Seen`] once all have seen the end.
pub(crate) fn readers(url: &str, run: &str, count: &str) -> Result<(), Failed> {
    let count: u32 = count.parse()?;
    let address: Arc<str> = url.trim_start_matches("http://").into();
    let run: Arc<str> = run.into();
    let seen: Arc<Mutex<Seen>> = Arc::default();
    runtime()?.block_on(async {
        let (begun, mut begins) = mpsc::unbounded_channel();
        let connecting = Arc::new(Semaphore::new(CONNECTING));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..count {
            let (address, run, seen) = (Arc::clone(&address), Arc::clone(&run), Arc::clone(&seen));
            let (begun, place) = (
                begun.clone(),
                Arc::clone(&connecting).acquire_owned().await?,
            );
            tasks.spawn(async move {
                // Its place is the next one's once it has seen the first event.
                let mut told = Some(move || {
                    drop(place);
                    // Whoever counts may have ended.
                    let _ = begun.send(());
                });
                read(&address, &run, &seen, || {
                    if let Some(told) = told.take() {
                        told();
                    }
                })
                .await
            });
        }
        drop(begun);
        let mut all = 0;
        while begins.recv().await.is_some() {
            all += 1;
        }
        if all == count {
            let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            crate::print(&format!("{}\n", seen.events.len()));
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        crate::print(&(serde_json::to_string(&*seen)? + "\n"));
        Ok(())
    })
}

/// Reads all events of a run.
async fn read(
    address: &str,
    run: &str,
    seen: &Mutex<Seen>,
    mut begins: impl FnMut(),
) -> Result<(), String> {
    let told = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect(address).await.map_err(told)?;
    let request = format!(
        "GET /v1/runs/{run}/events HTTP/1.1\r\nhost: {address}\r\naccept: text/event-stream\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.map_err(told)?;
    let (mut reader, mut place) = (Reader::new(), 0);
    loop {
        // Not kept while it waits: it would be the most of what a reader takes.
        stream.readable().await.map_err(told)?;
        let mut buffer = [0; BUFFER];
        let length = match stream.try_read(&mut buffer) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            length => length.map_err(told)?,
        };
        if length == 0 {
            return Err(format!("the server closed the stream after {place} events"));
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_err(|error| error.to_string())?.as_secs_f64() * 1e3;
        for event in reader.take(&buffer[..length])? {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            match &*event.kind {
                "event" => seen.event(place, event.id, event.data, now)?,
                "end" if seen.events.len() == place => {
                    seen.ends += 1;
                    return Ok(());
                }
                _ => return Err(format!("after {place} events came {event:?}")),
            }
            drop(seen);
            place += 1;
            begins();
        }
        if reader.is_over() {
            return Err(format!(
                "the stream is over after {place} events, without `end`"
            ));
        }
    }
}

impl Seen {
    /// A reader has seen its event of this place.
    fn event(&mut self, place: usize, id: String, data: String, now: f64) -> Result<(), String> {
        if let Some(told) = self.events.get_mut(place) {
            if (&told.id, &told.data) != (&id, &data) {
                return Err(format!(
                    "event {place} is {} to one and {id} to another",
                    told.id
                ));
            }
            told.readers += 1;
            told.last_ms = told.last_ms.max(now);
            return Ok(());
        }
        let json: serde_json::Value =
            serde_json::from_str(&data).map_err(|_| format!("event {id} is {data:?}"))?;
        let time_ms = json["time_ms"].as_u64();
        self.events.push(Told {
            time_ms: time_ms.ok_or_else(|| format!("event {id} has no `time_ms`: {data}"))?,
            id,
            readers: 1,
            last_ms: now,
            data,
        });
        Ok(())
    }
}
