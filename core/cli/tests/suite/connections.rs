//! What connections may cost: how many there are, how much each may ask for, and for how long.

use crate::hostile::LOGGED;
use crate::raw::talk;
use crate::site::{Background, PATIENCE, Site};
use conveyor_proto::v1::control_service_client::ControlServiceClient;
use conveyor_proto::v1::{GetServerInfoRequest, WatchEventsRequest};
use rustix::process::Signal;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;
use tonic::transport::{Channel, Endpoint};

/// How long it is looked whether something comes that is not to come.
const MOMENT: Duration = Duration::from_millis(500);

/// A server whose file says this of connections.
fn limited(settings: &str) -> (Site, Background) {
    let file = format!("[connections]\n{settings}\n");
    let mut site = Site::new(&[("conveyor.toml", &file)]);
    let server = site.serve_with("data", &["--config", "conveyor.toml"]);
    (site, server)
}

/// A connection that has asked for this.
fn asking(site: &Site, request: &str) -> TcpStream {
    let address = site.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).expect("the system takes it");
    stream.set_read_timeout(Some(PATIENCE)).expect("it is set");
    write!(stream, "{request} HTTP/1.1\r\nhost: {address}\r\n").expect("it is sent");
    stream
}

/// Reads until this comes.
#[track_caller]
fn until(stream: &mut TcpStream, wanted: &str) {
    let (mut text, mut bytes) = (String::new(), [0; 1024]);
    while !text.contains(wanted) {
        let read = stream.read(&mut bytes).expect("something comes");
        assert!(read > 0, "no {wanted:?} in {text:?}");
        text.push_str(&String::from_utf8_lossy(&bytes[..read]));
    }
}

/// A connection that goes on being answered.
fn held(site: &Site) -> TcpStream {
    let mut stream = asking(site, "GET /v1/events");
    stream.write_all(b"\r\n").expect("it is sent");
    until(&mut stream, ": connected");
    stream
}

async fn channel(site: &Site) -> Channel {
    let endpoint = Endpoint::from_shared(site.url.clone()).expect("it is an address");
    endpoint.connect().await.expect("the server answers")
}

#[test]
fn a_connection_over_the_limit_waits_until_another_ends() {
    let (site, _server) = limited("limit = 2");
    let (first, _second) = (held(&site), held(&site));
    let mut third = asking(&site, "GET /healthz");
    third.write_all(b"\r\n").expect("it is sent");
    third.set_read_timeout(Some(MOMENT)).expect("it is set");
    assert!(third.read(&mut [0; 1]).is_err(), "it is not answered yet");
    third.set_read_timeout(Some(PATIENCE)).expect("it is set");
    drop(first);
    until(&mut third, "200 OK");
    drop(third);
    let _again = held(&site);
}

#[test]
fn a_server_that_takes_no_more_connections_ends_when_it_is_told_to() {
    let (site, mut server) = limited("limit = 1");
    talk(async {
        // It stays, and asks for nothing.
        let mut client = ControlServiceClient::new(channel(&site).await);
        let told = client.get_server_info(GetServerInfoRequest {}).await;
        told.expect("it is answered");
        server.signal(Signal::TERM);
        let ended = tokio::task::spawn_blocking(move || server.end());
        assert_eq!(ended.await.expect("it ends"), 0);
    });
}

#[test]
fn a_stream_over_the_limit_of_its_connection_waits_until_another_ends() {
    let (site, _server) = limited("streams = 1");
    talk(async {
        let channel = channel(&site).await;
        let mut followed = ControlServiceClient::new(channel.clone());
        let first = followed.watch_events(WatchEventsRequest::default()).await;
        let first = first.expect("it is answered").into_inner();
        let mut client = ControlServiceClient::new(channel);
        let mut second = Box::pin(client.get_server_info(GetServerInfoRequest {}));
        let early = tokio::time::timeout(MOMENT, &mut second).await;
        assert!(early.is_err(), "one stream is there");
        drop(first);
        let told = tokio::time::timeout(PATIENCE, second).await;
        told.expect("it is its turn").expect("it is answered");
    });
}

#[test]
fn who_does_not_end_the_head_of_a_request_is_cut_off() {
    let (site, _server) = limited("head = \"500ms\"");
    let mut slow = asking(&site, "GET /healthz");
    // Far below the default of 10 s.
    let patience = Duration::from_secs(8);
    slow.set_read_timeout(Some(patience)).expect("it is set");
    let mut text = String::new();
    slow.read_to_string(&mut text).expect("the connection ends");
    assert!(!text.contains("200 OK"), "{text}");
    let mut other = asking(&site, "GET /healthz");
    other.write_all(b"\r\n").expect("it is sent");
    until(&mut other, "200 OK");
}

#[test]
fn a_body_of_untold_length_is_refused_where_it_passes_the_limit() {
    const LIMIT: usize = 68 << 20;
    let mut site = Site::new(&[]);
    let _server = site.serve();
    let mut sending = asking(&site, "POST /v1/runs");
    let head = "content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    sending.write_all(head.as_bytes()).expect("it is sent");
    let mebibyte = " ".repeat(1 << 20);
    for _ in 0..LIMIT >> 20 {
        write!(sending, "{:x}\r\n{mebibyte}\r\n", mebibyte.len()).expect("so much is taken");
    }
    // One byte more: the rest of the body is not waited for.
    sending.write_all(b"1\r\n \r\n").expect("it is sent");
    let mut text = String::new();
    sending.read_to_string(&mut text).expect("it is read");
    assert!(text.starts_with("HTTP/1.1 413 "), "{text}");
    let words = format!("the limit `body_bytes` is {LIMIT}; the body is larger");
    assert!(text.contains(&words), "{text}");
}

/// Costs some seconds: a log is written that is longer than the buffers of both ends.
#[test]
fn a_follower_that_reads_nothing_gives_its_place_back() {
    let limits = "[connections]\nlimit = 1\nkeepalive = \"1s\"\n";
    let mut site = Site::new(&[("logged.yaml", LOGGED), ("conveyor.toml", limits)]);
    let mut server = site.serve();
    let mut driver = site.driver();
    let run = site.start("logged.yaml");
    let read = site.conveyor(&["logs", "-f", &run]);
    assert_eq!((read.status, read.out.lines().count()), (0, 20_000));
    driver.kill();
    server.signal(Signal::TERM);
    assert_eq!(server.end(), 0);
    let _server = site.serve_with("data", &["--config", "conveyor.toml"]);
    let mut deaf = asking(&site, &format!("GET /v1/runs/{run}/logs"));
    deaf.write_all(b"\r\n").expect("it is sent");
    until(&mut deaf, "200 OK");
    // It stays, and reads no more: the one place that there is goes to the next all the same.
    let mut next = asking(&site, "GET /healthz");
    next.write_all(b"\r\n").expect("it is sent");
    until(&mut next, "200 OK");
    drop(next);
    // One that reads is silent for longer than that, and stays.
    let mut quiet = held(&site);
    quiet
        .set_read_timeout(Some(Duration::from_secs(3)))
        .expect("it is set");
    loop {
        match quiet.read(&mut [0; 1024]) {
            // The rest of what it was told first.
            Ok(read) => assert!(read > 0, "it was closed"),
            Err(error) => {
                let is_silent =
                    [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind());
                assert!(is_silent, "{error}");
                return;
            }
        }
    }
}
