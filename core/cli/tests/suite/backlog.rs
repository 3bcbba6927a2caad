//! Thousands of steps that nobody takes: whoever asks for health, and whoever has other work, notices nothing.

use crate::http;
use crate::metrics::scrape;
use crate::polled::Polling;
use crate::raw::talk;
use crate::site::{PATIENCE, Site};
use serde_json::json;
use std::time::{Duration, Instant};
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// How many steps wait, of each run.
const WAITING: u32 = 5000;

/// How long an answer takes: that in the middle of twenty.
fn usual(mut ask: impl FnMut()) -> Duration {
    let took = (0..20).map(|_| {
        let start = Instant::now();
        ask();
        start.elapsed()
    });
    let mut took: Vec<Duration> = took.collect();
    took.sort_unstable();
    took[took.len() / 2]
}

/// How long it takes to be told of health, each way, and to have a run of another pipeline.
fn measure(site: &Site) -> Vec<(&'static str, Duration)> {
    let mut told = Vec::new();
    for path in ["/healthz", "/readyz"] {
        let took = usual(|| {
            let (status, text) = http::text(&site.url, path).expect("it is answered");
            assert_eq!(status, 200, "{path}: {text}");
        });
        told.push((path, took));
    }
    let took = usual(|| {
        talk(async {
            let endpoint = Endpoint::from_shared(site.url.clone()).expect("an address");
            let channel = endpoint.connect().await.expect("the server answers");
            let request = HealthCheckRequest::default();
            let answer = HealthClient::new(channel).check(request).await;
            let status = answer.expect("it is answered").into_inner().status();
            assert_eq!(status, ServingStatus::Serving);
        });
    });
    told.push(("grpc.health.v1", took));
    let start = Instant::now();
    let run = site.start("other.yaml");
    assert_eq!(site.ended(&run)["state"], "succeeded");
    told.push(("a run of another pipeline", start.elapsed()));
    told
}

/// A run of so many steps at once.
fn waiting(driver: &str) -> String {
    format!(
        "\
apiVersion: conveyor/v1
kind: Pipeline
metadata: {{name: {driver}}}
spec:
  steps:
    - {{id: all, driver: {driver}, foreach: {{items: '${{{{ lists.range({WAITING}) }}}}', max_parallel: {WAITING}}}}}
"
    )
}

#[test]
fn health_and_other_runs_do_not_depend_on_a_backlog() {
    let other =
        "name: other\nsteps:\n  - {id: a, name: a, driver: exec, with: {run: echo other}}\n";
    let (busy, absent) = (waiting("busy"), waiting("absent"));
    let pipelines = [
        ("busy.yaml", &*busy),
        ("absent.yaml", &absent),
        ("other.yaml", other),
    ];
    let mut site = Site::new(&pipelines);
    let _server = site.serve();
    let _driver = site.driver();
    // The first is slower: nothing was read or opened before.
    measure(&site);
    let before = measure(&site);
    // Connected, and never asks for work.
    let driver = Polling::register_as(&site, "busy");
    let runs = [site.start("busy.yaml"), site.start("absent.yaml")];
    let deadline = Instant::now() + PATIENCE;
    loop {
        let figures = scrape(&site).0;
        let of = |name: &str| figures.get(name).copied().unwrap_or_default();
        let depth = of("conveyor_queue_depth{driver=\"busy\"}");
        let without = of("conveyor_runs_without_driver");
        if depth == f64::from(WAITING) && without == 1.0 {
            break;
        }
        assert!(
            Instant::now() < deadline,
            "{depth} steps wait, and {without} runs without a driver"
        );
        let beat = driver.call("heartbeat", &json!({"tasks": []}));
        assert_eq!(beat.status, 200, "{}", beat.body);
        std::thread::sleep(Duration::from_millis(50));
    }
    let beside = measure(&site);
    for run in runs {
        assert_eq!(site.show(&run)["state"], "running");
    }
    for ((what, before), (_, beside)) in before.into_iter().zip(beside) {
        // Other tests run on this machine, too: what a backlog costs would be some for each of its steps.
        let most = 5 * before + Duration::from_millis(100);
        assert!(
            beside <= most,
            "{what}: {beside:?} beside twice {WAITING} steps, and {before:?} before: over {most:?}"
        );
    }
}
