//! A server of the test: it answers what it is told to, and keeps what it was asked.

use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

type Answer = Arc<dyn Fn(&str) -> Vec<u8> + Send + Sync>;

pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) port: u16,
    asked: Arc<Mutex<Vec<String>>>,
    /// Told when a client has gone.
    pub(crate) gone: mpsc::UnboundedReceiver<()>,
}

impl Server {
    /// Answers each request, head and body as text, by the function; an empty answer is none at all.
    pub(crate) async fn start(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (asked, answer): (_, Answer) = (Arc::default(), Arc::new(answer));
        let kept = Arc::clone(&asked);
        let (left, gone) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, kept) = (Arc::clone(&answer), Arc::clone(&kept));
                tokio::spawn(serve(stream, answer, kept, left.clone()));
            }
        });
        Server {
            url: format!("http://127.0.0.1:{port}"),
            port,
            asked,
            gone,
        }
    }

    /// What it was asked, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no panic").clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    answer: Answer,
    kept: Arc<Mutex<Vec<String>>>,
    left: mpsc::UnboundedSender<()>,
) {
    let Some(request) = read(&mut stream).await else {
        return;
    };
    kept.lock().expect("no panic").push(request.clone());
    let bytes = answer(&request);
    if !bytes.is_empty() {
        // The client may have enough of it.
        let _ = stream.write_all(&bytes).await;
        return;
    }
    while stream.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {}
    let _ = left.send(());
}

async fn read(stream: &mut TcpStream) -> Option<String> {
    let mut text = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let read = stream
            .read(&mut buffer)
            .await
            .ok()
            .filter(|read| *read > 0)?;
        text.extend_from_slice(&buffer[..read]);
        let request = String::from_utf8_lossy(&text).into_owned();
        if let Some((head, body)) = request.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.parse().expect("a number"));
            if body.len() >= length {
                return Some(request);
            }
        }
    }
}

/// An answer with a status line, more headers and a body.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}
