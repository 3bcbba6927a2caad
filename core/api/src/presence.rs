//! Whether anybody is still there at the other end of a connection, whatever is spoken on it: HTTP/2 has
//! its pings, HTTP/1.1 has nothing of the kind, and who follows server-sent events sends no word.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

/// How often the system asks before it takes a silent peer for gone.
const PROBES: u32 = 4;

/// Lets the system ask a peer that was silent for `keepalive`, and close the connection where nobody
/// answers within as long.
pub(crate) fn ask(stream: &TcpStream, keepalive: Duration) -> io::Result<()> {
    use rustix::net::sockopt;
    sockopt::set_socket_keepalive(stream, true)?;
    // Whole seconds, rounded up: of the smallest setting each is one.
    #[cfg(not(target_os = "openbsd"))]
    {
        sockopt::set_tcp_keepidle(stream, keepalive)?;
        sockopt::set_tcp_keepintvl(stream, keepalive / PROBES)?;
        sockopt::set_tcp_keepcnt(stream, PROBES)?;
    }
    // Probes are for idle connections: what was sent and is acknowledged by nobody would be sent again
    // for a quarter of an hour.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let both = u32::try_from(2 * keepalive.as_millis()).unwrap_or(u32::MAX);
        sockopt::set_tcp_user_timeout(stream, both)?;
    }
    Ok(())
}

/// How long a peer that was told the end of a connection has to read up to it and close its side.
const FAREWELL: Duration = Duration::from_secs(1);

/// A connection whose peer has to take something of what it is sent within `patience`: one that is there
/// and reads nothing would keep its place for ever.
///
/// Its end is heard out: a socket that is closed while its peer still writes (an acknowledgement of
/// HTTP/2, more of a body) breaks under that peer, which then loses the last that it was sent and had not
/// read. So what comes behind the end is read and dropped, until the peer closes or [`FAREWELL`] is over.
pub(crate) struct Patient<W> {
    wire: W,
    patience: Duration,
    /// Set while a write waits for the peer, and kept for the next time.
    stuck: Option<Pin<Box<Sleep>>>,
    waits: bool,
    /// Set once the peer was told the end.
    farewell: Option<Pin<Box<Sleep>>>,
}

impl<W> Patient<W> {
    pub(crate) fn new(wire: W, patience: Duration) -> Patient<W> {
        Patient {
            wire,
            patience,
            stuck: None,
            waits: false,
            farewell: None,
        }
    }

    /// What came of a write, or its end where it waits for too long.
    fn heed<T>(&mut self, cx: &mut Context<'_>, came: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if came.is_ready() {
            self.waits = false;
            return came;
        }
        let patience = self.patience;
        let stuck = self
            .stuck
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        if !self.waits {
            self.waits = true;
            stuck.as_mut().reset(Instant::now() + patience);
        }
        if stuck.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("the client took nothing for {patience:?} (`connections.keepalive`)"),
        )))
    }
}

impl<W: AsyncRead + Unpin> Patient<W> {
    /// Ready once the peer has closed its side, or has had its time.
    fn hear_out(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let farewell = self
            .farewell
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(FAREWELL)));
        let mut dropped = [MaybeUninit::uninit(); 1024];
        while farewell.as_mut().poll(cx).is_pending() {
            let mut dropped = ReadBuf::uninit(&mut dropped);
            // Broken, it is over, too.
            let read = ready!(Pin::new(&mut self.wire).poll_read(cx, &mut dropped));
            if read.is_err() || dropped.filled().is_empty() {
                break;
            }
        }
        Poll::Ready(())
    }
}

impl<W: AsyncRead + Unpin> AsyncRead for Patient<W> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_read(cx, buf)
    }
}

impl<W: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Patient<W> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let came = Pin::new(&mut self.wire).poll_write(cx, buf);
        self.heed(cx, came)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let came = Pin::new(&mut self.wire).poll_write_vectored(cx, bufs);
        self.heed(cx, came)
    }

    fn is_write_vectored(&self) -> bool {
        self.wire.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let came = Pin::new(&mut self.wire).poll_flush(cx);
        self.heed(cx, came)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.farewell.is_none() {
            let came = Pin::new(&mut self.wire).poll_shutdown(cx);
            ready!(self.heed(cx, came))?;
        }
        self.hear_out(cx).map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::{FAREWELL, Patient, ask};
    use std::io::ErrorKind;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::Instant;

    #[tokio::test]
    async fn the_system_takes_the_ends_of_what_the_setting_takes() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it has one");
        let stream = TcpStream::connect(address).await.expect("it is taken");
        for keepalive in [1, 3600].map(Duration::from_secs) {
            ask(&stream, keepalive).expect("the system takes it");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_something_in_time_goes_on_and_one_that_does_not_is_left() {
        let (near, mut far) = duplex(4);
        let mut near = Patient::new(near, Duration::from_secs(10));
        near.write_all(b"full").await.expect("there is room");
        // Slow, though each of its pauses is short enough.
        let slow = tokio::spawn(async move {
            let mut piece = [0; 2];
            for _ in 0..4 {
                tokio::time::sleep(Duration::from_secs(9)).await;
                far.read_exact(&mut piece).await.expect("it came");
            }
            far
        });
        near.write_all(b"and more").await.expect("it was taken");
        let _far = slow.await.expect("it has read");
        let error = near.write_all(b"never taken").await;
        let error = error.expect_err("nobody reads");
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(
            error.to_string().contains("connections.keepalive"),
            "{error}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_may_write_behind_the_end_until_it_has_read_it_and_one_that_stays_is_left() {
        let (near, mut far) = duplex(1 << 16);
        let mut near = Patient::new(near, Duration::from_secs(10));
        near.write_all(b"the last").await.expect("there is room");
        let ended = tokio::spawn(async move { near.shutdown().await });
        let mut last = [0; 8];
        far.read_exact(&mut last).await.expect("it came");
        assert_eq!(far.read(&mut last).await.expect("no break"), 0, "the end");
        for _ in 0..3 {
            far.write_all(&[7; 3000]).await.expect("somebody reads");
        }
        let closed = Instant::now();
        drop(far);
        ended.await.expect("no panic").expect("a good end");
        assert_eq!(closed.elapsed(), Duration::ZERO, "it waits for nothing");

        let (near, far) = duplex(1 << 16);
        let mut near = Patient::new(near, Duration::from_secs(10));
        let told = Instant::now();
        near.shutdown().await.expect("a good end");
        assert!(told.elapsed() >= FAREWELL, "{:?}", told.elapsed());
        drop(far);
    }
}
