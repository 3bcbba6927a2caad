//! Thousands of steps that nobody takes: whoever asks for health, and whoever has other work, notices nothing.

use crate::http;
use crate::metrics::scrape;
use crate::raw::talk;
use crate::site::{PATIENCE, Site};
use std::time::{Duration, Instant};
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// How many steps wait.
const WAITING: u32 = 5000;

/// How long the slowest of twenty answers takes.
fn slowest(mut ask: impl FnMut()) -> Duration {
    let took = (0..20).map(|_| {
        let start = Instant::now();
        ask();
        start.elapsed()
    });
    took.max().expect("it was asked")
}

/// How long it takes to be told of health, each way, and to have a run of another pipeline.
fn measure(site: &Site) -> Vec<(&'static str, Duration)> {
    let mut told = Vec::new();
    for path in ["/healthz", "/readyz"] {
        let took = slowest(|| {
            let (status, text) = http::text(&site.url, path).expect("it is answered");
            assert_eq!(status, 200, "{path}: {text}");
        });
        told.push((path, took));
    }
    let took = slowest(|| {
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

/// Costs about ten seconds: most of them until the steps wait.
#[test]
fn health_and_other_runs_do_not_depend_on_a_backlog() {
    let waiting = format!(
        "\
apiVersion: conveyor/v1
kind: Pipeline
metadata: {{name: waiting}}
spec:
  steps:
    - {{id: all, driver: nobody, foreach: {{items: '${{{{ lists.range({WAITING}) }}}}', max_parallel: {WAITING}}}}}
"
    );
    let other =
        "name: other\nsteps:\n  - {id: a, name: a, driver: exec, with: {run: echo other}}\n";
    let mut site = Site::new(&[("waiting.yaml", &waiting), ("other.yaml", other)]);
    let _server = site.serve();
    let _driver = site.driver();
    // The first is slower: nothing was read or opened before.
    measure(&site);
    let before = measure(&site);
    let run = site.start("waiting.yaml");
    let deadline = Instant::now() + PATIENCE;
    let depth = "conveyor_queue_depth{driver=\"nobody\"}";
    while scrape(&site).0.get(depth) != Some(&f64::from(WAITING)) {
        assert!(Instant::now() < deadline, "{:#?}", scrape(&site).0);
        std::thread::sleep(Duration::from_millis(50));
    }
    let beside = measure(&site);
    assert_eq!(site.show(&run)["state"], "running");
    for ((what, before), (_, beside)) in before.into_iter().zip(beside) {
        // Other tests run on this machine, too: what a backlog costs would be some for each of its steps.
        let most = 5 * before + Duration::from_millis(500);
        assert!(
            beside <= most,
            "{what}: {beside:?} beside {WAITING} steps, and {before:?} before: over {most:?}"
        );
    }
}
