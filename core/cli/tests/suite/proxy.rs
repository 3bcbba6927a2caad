//! A network that breaks: a TCP proxy that cuts connections, leaves them half-open, and is slow.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

/// Forwards connections to an address, as it is told. Gone with the value.
pub(crate) struct Proxy {
    address: SocketAddr,
    network: Arc<Network>,
}

struct Network {
    to: SocketAddr,
    over: AtomicBool,
    /// How much came through.
    bytes: AtomicU64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Nothing is forwarded, and nobody is told: a cable is out.
    silent: bool,
    delay: Duration,
    open: Vec<TcpStream>,
    /// Connections so far.
    made: usize,
}

impl Network {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no forwarder panics")
    }

    /// Waits while the cable is out.
    fn pass(&self) {
        let mut state = self.state();
        while state.silent && !self.over.load(Ordering::Relaxed) {
            state = self.changed.wait(state).expect("no forwarder panics");
        }
        let delay = state.delay;
        drop(state);
        thread::sleep(delay);
    }
}

impl Proxy {
    pub(crate) fn new(url: &str) -> Proxy {
        let to = url.trim_start_matches("http://").parse();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it has an address");
        let network = Arc::new(Network {
            to: to.expect("it is an address"),
            over: AtomicBool::new(false),
            bytes: AtomicU64::new(0),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let shared = Arc::clone(&network);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if shared.over.load(Ordering::Relaxed) {
                    return;
                }
                connect(&shared, client);
            }
        });
        Proxy { address, network }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends all connections; new ones are taken.
    pub(crate) fn cut(&self) {
        for stream in self.network.state().open.drain(..) {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Whether nothing comes through any more, while the connections look as before.
    pub(crate) fn silent(&self, silent: bool) {
        self.network.state().silent = silent;
        self.network.changed.notify_all();
    }

    /// How long each piece of what is sent takes.
    pub(crate) fn slow(&self, delay: Duration) {
        self.network.state().delay = delay;
    }

    /// How many bytes came through, both ways.
    pub(crate) fn bytes(&self) -> u64 {
        self.network.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn connections(&self) -> usize {
        self.network.state().made
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.network.over.store(true, Ordering::Relaxed);
        self.silent(false);
        self.cut();
        // Whoever listens sees that it is over.
        let _ = TcpStream::connect(self.address);
    }
}

fn connect(network: &Arc<Network>, client: TcpStream) {
    let Ok(server) = TcpStream::connect(network.to) else {
        return;
    };
    let ends = (client.try_clone(), server.try_clone());
    let (Ok(client_again), Ok(server_again)) = ends else {
        return;
    };
    {
        let mut state = network.state();
        state.made += 1;
        state.open.extend(
            [&client, &server]
                .into_iter()
                .filter_map(|end| end.try_clone().ok()),
        );
    }
    forward(Arc::clone(network), client, server);
    forward(Arc::clone(network), server_again, client_again);
}

fn forward(network: Arc<Network>, mut from: TcpStream, mut to: TcpStream) {
    thread::spawn(move || {
        let mut piece = [0; 16 * 1024];
        loop {
            let read = from.read(&mut piece).unwrap_or(0);
            network.pass();
            network.bytes.fetch_add(read as u64, Ordering::Relaxed);
            if read == 0 || to.write_all(&piece[..read]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    });
}
