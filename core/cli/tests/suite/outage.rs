//! A server whose store takes no commits: it says so, reads go on, writes are refused until it does.

use crate::disk::{journal, limit};
use crate::rest::{get, http, post};
use crate::serve::GATED;
use crate::site::{Background, PATIENCE, Site};
use crate::tally;
use serde_json::json;
use std::process::{Child, Command};
use std::time::{Duration, Instant};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

fn health(site: &Site) -> ServingStatus {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(async {
        let control = conveyor_api::connect_to(&site.url, &conveyor_api::Credentials::default())
            .await
            .expect("it answers");
        let request = HealthCheckRequest {
            service: "conveyor.v1.ControlService".to_owned(),
        };
        let answer = HealthClient::new(control).check(request).await;
        answer.expect("it is known").into_inner().status()
    })
}

fn until(what: &str, is: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is() {
        assert!(Instant::now() < deadline, "not {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_server_without_its_store_reads_refuses_and_comes_back() {
    let mut site = Site::new(&[("gated.yaml", GATED)]);
    let server = site.serve();
    let _driver = site.driver();
    let run = site.start("gated.yaml");
    site.until(&run, "running", |_| site.log(&run).contains("begun"));
    assert_eq!(health(&site), ServingStatus::Serving);
    // Nothing more fits: neither into the journal nor into another file.
    let full = journal(site.dir.path())
        .metadata()
        .expect("it is there")
        .len();
    limit(server.child.id(), Some(full.min(1)));
    let started = |()| post(&site, "/v1/runs", &json!({"document": {"source": GATED}}));
    until("refusing", || [503, 507].contains(&started(()).status));
    for refused in [
        started(()),
        post(
            &site,
            "/v1/namespaces",
            &json!({"namespace": {"metadata": {"name": "a"}}}),
        ),
        http(
            &site.url,
            "POST",
            "/v1/pipelines",
            "application/yaml",
            GATED,
        ),
        post(&site, &format!("/v1/runs/{run}/cancel"), &json!({})),
    ] {
        assert!([503, 507].contains(&refused.status), "{}", refused.body);
        assert!(refused.head.contains("retry-after: 1"), "{}", refused.head);
        let detail = refused.body["detail"].as_str().unwrap_or_default();
        assert!(detail.contains("no space is left"), "{}", refused.body);
    }
    until("unready", || get(&site, "/readyz").status == 503);
    let ready = get(&site, "/readyz");
    assert!(ready.head.contains("retry-after: 1"), "{}", ready.head);
    assert!(
        ready.head.contains("application/problem+json"),
        "{}",
        ready.head
    );
    assert_eq!(get(&site, "/healthz").status, 200, "the process lives");
    assert_eq!(health(&site), ServingStatus::NotServing);
    // What is durable is read.
    let told = get(&site, &format!("/v1/runs/{run}"));
    assert_eq!(told.status, 200, "{}", told.body);
    assert_eq!(told.body["steps"][0]["state"], "running", "{}", told.body);
    assert_eq!(get(&site, "/v1/runs").body["runs"][0]["id"], json!(run));
    assert_eq!(get(&site, "/v1/drivers").status, 200);
    assert_eq!(get(&site, "/metrics").status, 200);

    limit(server.child.id(), None);
    until("ready", || get(&site, "/readyz").status == 200);
    until("serving", || health(&site) == ServingStatus::Serving);
    std::fs::write(site.dir.path().join("go"), "").expect("it is writable");
    assert_eq!(site.ended(&run)["state"], "succeeded");
    assert_eq!(started(()).status, 200);
    tally::held(
        "the disk of a server is full",
        "reads are answered, writes refused with a time, readiness says so; then all went on",
    );
}

#[test]
fn a_log_that_cannot_be_written_stops_no_call() {
    let mut site = Site::new(&[]);
    let path = site.dir.path().join("log");
    let log = std::fs::File::create(&path).expect("it is writable");
    let mut command = Command::new(env!("CARGO_BIN_EXE_conveyor"));
    command
        .args(["serve", "--data-dir", "data", "--listen", "127.0.0.1:0"])
        .env("NO_COLOR", "1")
        .current_dir(site.dir.path())
        .stderr(log);
    let mut server = Ends(command.spawn().expect("the program starts"));
    let read = || std::fs::read_to_string(&path).expect("it is there");
    until("listening", || read().contains("url=\""));
    let text = read();
    let url = text.split("url=\"").nth(1);
    let url = url.and_then(|rest| rest.split('"').next());
    url.expect("the line has an address")
        .clone_into(&mut site.url);
    // Neither the store nor the log may grow, and the store's failure is worth a line of the log.
    limit(server.0.id(), Some(1));
    let document = "{apiVersion: conveyor/v1, kind: Pipeline, metadata: {name: p}, \
                    spec: {steps: [{id: a, transform: {x: 1}}]}}";
    let start = || {
        post(
            &site,
            "/v1/runs",
            &json!({"document": {"source": document}}),
        )
    };
    for _ in 0..3 {
        let refused = start();
        assert!([503, 507].contains(&refused.status), "{}", refused.body);
    }
    assert_eq!(get(&site, "/healthz").status, 200);
    limit(server.0.id(), None);
    until("ready", || get(&site, "/readyz").status == 200);
    assert_eq!(start().status, 200);
    let pid = rustix::process::Pid::from_child(&server.0);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it is there");
    assert!(server.0.wait().expect("it ends").success());
    let text = read();
    assert!(text.contains("lines of the log were lost"), "{text}");
    assert!(text.contains("ended"), "its last line is written: {text}");
}

/// Killed with the value.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_log_in_json_tells_of_the_store_as_of_anything_else() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut command = Command::new(env!("CARGO_BIN_EXE_conveyor"));
    command
        .args(["serve", "--data-dir", "data", "--listen", "127.0.0.1:0"])
        .args(["--log-format", "json"])
        .current_dir(dir.path());
    let mut server = Background::start(&mut command);
    let line: serde_json::Value =
        serde_json::from_str(&server.line(&["listening"])).expect("it is JSON");
    let url = line["fields"]["url"].as_str().expect("a text").to_owned();
    limit(server.child.id(), Some(1));
    let namespace = json!({"namespace": {"metadata": {"name": "a"}}}).to_string();
    let made = || {
        http(
            &url,
            "POST",
            "/v1/namespaces",
            "application/json",
            &namespace,
        )
    };
    until("refusing", || made().status != 200);
    server.line(&["the store cannot write"]);
    limit(server.child.id(), None);
    server.line(&["the store writes again"]);
    server.signal(rustix::process::Signal::TERM);
    assert_eq!(server.end(), 0);
    for line in server.rest().lines() {
        let read: Result<serde_json::Value, _> = serde_json::from_str(line);
        assert!(read.is_ok_and(|line| line["level"].is_string()), "{line}");
    }
    // So it is where there is no server at all.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("it is bound");
    let address = taken.local_addr().expect("it has one").to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_conveyor"));
    command
        .args(["serve", "--data-dir", "data", "--listen", &address])
        .args(["--log-format", "json"])
        .current_dir(dir.path());
    let mut server = Background::start(&mut command);
    assert_eq!(server.end(), 2);
    let said = server.rest();
    let last = said.lines().last().expect("it says why");
    let last: serde_json::Value = serde_json::from_str(last).expect("it is JSON");
    assert_eq!(last["level"], "ERROR", "{said}");
}
