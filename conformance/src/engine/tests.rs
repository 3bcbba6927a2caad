//! Whether the runner sees what it is to see: cases that must fail do, each at its step.

use super::*;
use crate::cases::all;
use crate::site::Certificates;
use crate::v1::EngineFile;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Performs one case that a test has made.
async fn performed(steps: &str, backend: &Backend, shared: Option<Shared>) -> Verdict {
    performed_within(10_000, steps, backend, shared).await
}

async fn performed_within(
    limit: u64,
    steps: &str,
    backend: &Backend,
    shared: Option<Shared>,
) -> Verdict {
    let text = format!(
        "cases:\n  - name: a/b/c\n    purpose: a test.\n    requires: [R1]\n    time_limit_ms: {limit}\n    steps:\n{steps}"
    );
    let read = all(&[("test.yaml", &text)], "EngineFile", |file: EngineFile| {
        file.cases
    });
    let cases = read.unwrap_or_else(|errors| panic!("{errors:?}"));
    one(&cases[0], backend, shared).await.verdict
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_otherwise_fails_at_its_step() {
    let start = "      - start: {spec: {steps: [{id: a, transform: {n: 1}}]}}\n";
    for (steps, says) in [
        (
            "ended: {state: failed}",
            "step 2, `ended`: run `run`: is \"succeeded\"; expected \"failed\"",
        ),
        (
            "ended: {steps: {a: {outputs: {n: 2}}}}",
            "/a/outputs/n: is 1; expected 2",
        ),
        ("ended: {steps: {b: {}}}", "/b: is not there"),
        ("call: {path: /v1/nothing}", "is answered 404"),
        (
            "call: {path: /v1/server, like: {role: x}, within_ms: 100}",
            "/role: is \"serve\"",
        ),
        (
            "call: {path: /v1/server, headers_like: {etag: {$any: true}}}",
            "/etag: is not there",
        ),
        (
            "call: {path: /v1/server, not_before_ms: 60000}",
            "expected no earlier",
        ),
        (
            "call: {path: /v1/server, save: {x: /nothing}}",
            "there is nothing at `/nothing`",
        ),
        ("call: {path: '/v1/runs/${x}'}", "nothing was saved as `x`"),
        (
            "read: {path: '/v1/runs/${run}/events', count: 100}",
            "it ended after",
        ),
        (
            "read: {path: '/v1/events?namespace=${namespace}', count: 1, within_ms: 200}",
            "has not come to 1 events",
        ),
        (
            "read: {path: '/v1/runs/${run}/events', like: []}",
            "items, not 0",
        ),
        ("compare: {that: 1, like: 2}", "is 1; expected 2"),
        (
            "compare: {that: {a: 1}, unlike: {a: {$least: 1}}}",
            "is like",
        ),
        ("see: {message: {task: {}}}", "no stream `s` is open"),
        (
            "open: {first: {hello: {}}, see: {goodbye: {}}}",
            "/goodbye: is not there",
        ),
        (
            "open: {first: {hello: {}}, refused: unauthenticated}",
            "it has not ended within",
        ),
        ("release: {task: a}", "no driver `d` is connected"),
        ("driver: {hello: {driver: Not_A_Name}}", "goodbye"),
        (
            "driver: {transport: pigeon}",
            "there is no transport `pigeon`",
        ),
        (
            "why: for a reason\n        call: {path: /v1/nothing}",
            "step 2, `call` (for a reason): ",
        ),
    ] {
        let steps = format!("{start}      - {steps}\n");
        let verdict = performed(&steps, &Backend::Embedded, None).await;
        let Verdict::Failed(why) = verdict else {
            panic!("{steps}: {verdict:?}");
        };
        assert!(why.contains(says), "{says}: {why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_or_does_not_on_a_stream_fails() {
    let open = "      - open: {first: {hello: {}}, see: {welcome: {}}}\n      - tell: {message: {heartbeat: {}}}\n";
    for (steps, says) in [
        (
            "see: {message: {task: {}}, within_ms: 200}",
            "{\"task\":{}} did not come; {\"acknowledgement\"",
        ),
        ("unseen: {message: {acknowledgement: {}}}", "came"),
        (
            "see: {message: {acknowledgement: {}}}\n      - tell: {message: {heartbeat: {}}}\n      - see: {message: {acknowledgement: {}}, not_before_ms: 3000}",
            "expected no earlier than after 3000 ms",
        ),
        ("closed: {within_ms: 100}", "it has not ended within 100 ms"),
        (
            "tell: {message: {leaving: {}}}\n      - closed: {status: internal}",
            "it ended `ok`",
        ),
        ("tell: {message: {leave: {}}}", "unknown field `leave`"),
    ] {
        let steps = format!("{open}      - {steps}\n");
        let verdict = performed(&steps, &Backend::Embedded, None).await;
        let Verdict::Failed(why) = verdict else {
            panic!("{steps}: {verdict:?}");
        };
        assert!(why.contains(says), "{says}: {why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_that_hangs_is_ended_by_its_time_limit() {
    let steps = "      - open: {first: {hello: {}}}\n      - see: {message: {task: {}}, within_ms: 60000}\n";
    let verdict = performed_within(1000, steps, &Backend::Embedded, None).await;
    let says = "it took longer than its `time_limit_ms` of 1000";
    assert_eq!(verdict, Verdict::Failed(says.to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_runs_already_is_neither_restarted_nor_ended() {
    let engine = Engine::start(&Backend::Embedded, &Setting::default()).await;
    let engine = engine.expect("it starts");
    let backend = Backend::Endpoint {
        url: format!("{}/", engine.url()),
        ca: None,
        token: None,
    };
    let shared = || async { Some(Arc::new(Engine::start(&backend, &Setting::default()).await)) };
    let start = "      - start: {spec: {steps: [{id: a, transform: {}}]}}\n      - ended: {}\n";
    let verdict = performed(start, &backend, shared().await).await;
    assert_eq!(verdict, Verdict::Passed);
    let restart = format!("{start}      - restart: {{}}\n");
    let verdict = performed(&restart, &backend, shared().await).await;
    assert!(matches!(verdict, Verdict::CouldNotRun(_)), "{verdict:?}");
    let verdict = performed(start, &backend, shared().await).await;
    assert_eq!(verdict, Verdict::Passed, "it still runs");
    engine.stop().await;
}

/// Speaks TLS before an address; gives its own port.
async fn tls_before(address: String, certificates: &Certificates) -> u16 {
    let chain = CertificateDer::pem_file_iter(&certificates.cert).expect("it is there");
    let chain = chain.map(|one| one.expect("a certificate")).collect();
    let key = PrivateKeyDer::from_pem_file(&certificates.key).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("they belong together");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, address) = (acceptor.clone(), address.clone());
            tokio::spawn(async move {
                // Whoever does not believe the certificate is gone.
                let Ok(mut here) = acceptor.accept(stream).await else {
                    return;
                };
                let mut there = TcpStream::connect(address).await.expect("it runs");
                let _ = tokio::io::copy_bidirectional(&mut here, &mut there).await;
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_speaks_tls_is_tested_as_any() {
    let engine = Engine::start(&Backend::Embedded, &Setting::default()).await;
    let engine = engine.expect("it starts");
    let directory = tempfile::tempdir().expect("a directory");
    let certificates = Certificates::make(directory.path()).expect("they are written");
    let address = engine.url().trim_start_matches("http://").to_owned();
    let port = tls_before(address, &certificates).await;
    let behind = |ca| Backend::Endpoint {
        url: format!("https://localhost:{port}/"),
        ca,
        token: None,
    };
    // Calls, events and a stream.
    let steps = "      - open: {first: {hello: {}}, see: {welcome: {}}}\n      - tell: {message: {credits: {count: 1}}}\n      - start: {spec: {steps: [{id: a}]}}\n      - see: {message: {task: {}}, save: {token: /task/token}}\n      - tell: {message: {report: {token: \"${token}\", result: {state: succeeded}}}}\n      - ended: {}\n      - read: {path: '/v1/runs/${run}/events', count: 1}\n";
    let known = behind(Some(certificates.ca.clone()));
    let shared = Engine::start(&known, &Setting::default()).await;
    let verdict = performed(steps, &known, Some(Arc::new(shared))).await;
    assert_eq!(verdict, Verdict::Passed);
    // Who signed it is not believed without being named.
    let stranger = Engine::start(&behind(None), &Setting::default()).await;
    let why = stranger.expect_err("it is not believed").to_string();
    assert!(
        why.contains("UnknownIssuer") && why.contains("`--ca`"),
        "{why}"
    );
    engine.stop().await;
}
