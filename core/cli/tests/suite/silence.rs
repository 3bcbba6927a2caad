//! Where nothing happens.

use crate::auth::files;
use crate::metrics::scrape;
use crate::raw::{Raw, talk};
use crate::serve::GATED;
use crate::site::{Background, PATIENCE, Site};
use conveyor_proto::v1;
use conveyor_proto::v1::session_request::Message as Tell;
use conveyor_proto::v1::session_response::Message as Told;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

/// A server with this in its file.
fn configured(settings: &str) -> (Site, Background) {
    let mut site = Site::new(&[("conveyor.toml", settings), ("gated.yaml", GATED)]);
    let server = site.serve_with("data", &["--config", "conveyor.toml"]);
    (site, server)
}

/// Follows this until a line is said, and gives the lines before it.
fn followed(site: &Site, path: &str, last: &str) -> Vec<String> {
    let address = site.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).expect("the server answers");
    stream.set_read_timeout(Some(PATIENCE)).expect("it is set");
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n").expect("it is sent");
    let mut before = Vec::new();
    for line in BufReader::new(stream).lines() {
        let line = line.unwrap_or_else(|error| panic!("{path}: {error} after {before:#?}"));
        if line == last {
            return before;
        }
        before.push(line);
    }
    panic!("{path}: no {last:?} in {before:#?}");
}

#[test]
fn followers_of_what_is_silent_are_answered_at_once_and_told_that_somebody_is_there() {
    // Of the second server nobody waits for the silence to end.
    for (settings, last) in [
        ("connections.silence = \"1s\"", ": still there"),
        ("connections.silence = \"10m\"", ": connected"),
    ] {
        let (site, _server) = configured(settings);
        // Nobody offers its driver: it has neither lines nor, after its start, events.
        let run = site.start("gated.yaml");
        for path in [
            format!("/v1/runs/{run}/events"),
            format!("/v1/runs/{run}/logs"),
            "/v1/events".to_owned(),
        ] {
            let before = followed(&site, &path, last);
            assert_eq!(before[0], "HTTP/1.1 200 OK", "{path}: {before:#?}");
            let kind = "content-type: text/event-stream";
            assert!(
                before.iter().any(|line| line == kind),
                "{path}: {before:#?}"
            );
        }
    }
}

/// What commits leave behind: how many there were of runs and of logs, and the store's files with their lengths
/// and the instants of their last change.
fn written(site: &Site) -> (Vec<f64>, Vec<(PathBuf, u64, SystemTime)>) {
    let figures = scrape(site).0;
    let counted = [
        "conveyor_commit_seconds_count",
        "conveyor_log_commit_seconds_count",
    ];
    let files = files(&site.dir.path().join("data/store")).into_iter();
    let mut files: Vec<_> = files
        .map(|path| {
            let about = path.metadata().expect("it is there");
            (path, about.len(), about.modified().expect("it is known"))
        })
        .collect();
    files.sort();
    (counted.map(|name| figures[name]).to_vec(), files)
}

#[test]
fn a_server_whose_sessions_only_beat_commits_nothing() {
    const LONG: Duration = Duration::from_secs(3);
    let (site, _server) = configured("sessions.heartbeat = \"500ms\"");
    // It beats by itself, meanwhile.
    let _driver = site.driver();
    talk(async {
        let mut raw = Raw::connect(&site.url, "idle", 1).await;
        let (before, began) = (written(&site), Instant::now());
        while began.elapsed() < LONG {
            raw.tell(Tell::Heartbeat(v1::SessionHeartbeat::default()));
            raw.until("an acknowledgement", |told| {
                matches!(told, Told::Acknowledgement(_)).then_some(())
            })
            .await;
            // Ten a second are as many as a driver may send.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let beats = began.elapsed().as_millis() / 100;
        assert_eq!(written(&site), before, "after {beats} beats");
    });
}
