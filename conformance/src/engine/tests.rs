//! Whether the runner sees what it is to see: cases that must fail do, each at its step.

use super::*;
use crate::Status;
use crate::site::Certificates;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A case that a test has made.
fn case(limit: u64, steps: &str) -> String {
    format!(
        "cases:\n  - name: a/b/c\n    purpose: a test.\n    requires: [R1]\n    time_limit_ms: {limit}\n    steps:\n{steps}"
    )
}

/// Performs one case.
async fn performed(steps: &str, backend: &Backend, shared: Option<Shared>) -> Outcome {
    performed_within(10_000, steps, backend, shared).await
}

async fn performed_within(
    limit: u64,
    steps: &str,
    backend: &Backend,
    shared: Option<Shared>,
) -> Outcome {
    let read = read_cases("test.yaml", &case(limit, steps));
    let cases = read.unwrap_or_else(|errors| panic!("{errors:#?}"));
    let options = Options {
        backend: backend.clone(),
        trace: Trace::On,
        ..Options::default()
    };
    let run = cases[0].name.parse().expect("a name");
    one(run, &cases[0], &options, shared).await
}

/// What was found at the last step, as a report tells it.
fn found(outcome: &Outcome) -> String {
    let findings: Vec<_> = outcome.findings().iter().map(Finding::to_string).collect();
    assert!(!findings.is_empty(), "{outcome:?}");
    findings.join("; ")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_otherwise_fails_at_its_step() {
    let start = "      - start: {spec: {steps: [{id: a, transform: {n: 1}}]}}\n";
    for (steps, says) in [
        (
            "ended: {state: failed}",
            "R1: `ended`: the engine was to end run `run` as `failed`: it is `succeeded`; `a` is `succeeded` (step 2)",
        ),
        (
            "ended: {steps: {a: {outputs: {n: 2}}}}",
            "the engine shows the steps of run `run` otherwise: /a/outputs/n: is 1; expected 2",
        ),
        ("ended: {steps: {b: {}}}", "/b: is not there"),
        (
            "call: {path: /v1/nothing}",
            "the engine answers GET /v1/nothing with 404, `not_found`: ",
        ),
        (
            "call: {path: /v1/server, like: {role: x}, within_ms: 100}",
            "the engine's answer to GET /v1/server: /role: is \"serve\"; expected \"x\"",
        ),
        (
            "call: {path: /v1/server, headers_like: {etag: {$any: true}}}",
            "the engine's headers to GET /v1/server: /etag: is not there",
        ),
        (
            "call: {path: /v1/server, not_before_ms: 60000}",
            "expected no earlier",
        ),
        (
            "call: {path: /v1/server, save: {x: /nothing}}",
            "there is nothing at `/nothing`",
        ),
        (
            "read: {path: '/v1/runs/${run}/events', count: 100}",
            "the engine ended the events of GET /v1/runs/",
        ),
        (
            "read: {path: '/v1/events?namespace=${namespace}', count: 1, within_ms: 200}",
            "the engine has not come to 1 events of GET /v1/events",
        ),
        (
            "read: {path: '/v1/runs/${run}/events', like: []}",
            "events: has ",
        ),
        ("compare: {that: 1, like: 2}", "is 1; expected 2"),
        (
            "compare: {that: {a: 1}, unlike: {a: {$least: 1}}}",
            "what the engine said before is {\"a\":1}, and was not to be like",
        ),
        (
            "open: {first: {hello: {}}, see: {goodbye: {}}}",
            "the engine's first message on stream `s` is `welcome`: /goodbye: is not there",
        ),
        (
            "open: {first: {hello: {}}, refused: unauthenticated}",
            "the engine has not ended stream `s` within 5000 ms; expected `unauthenticated`",
        ),
        (
            "driver: {hello: {driver: Not_A_Name}}",
            "the engine answers the hello of driver `d` with {\"goodbye\"",
        ),
        (
            "why: for a reason\n        call: {path: /v1/nothing}",
            "R1: `call` (for a reason): ",
        ),
    ] {
        let steps = format!("{start}      - {steps}\n");
        let outcome = performed(&steps, &Backend::Embedded, None).await;
        let why = found(&outcome);
        assert!(why.contains(says), "{says}: {why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_or_does_not_on_a_stream_fails() {
    let open = "      - open: {first: {hello: {}}, see: {welcome: {}}}\n      - tell: {message: {heartbeat: {}}}\n";
    for (steps, says) in [
        (
            "see: {message: {task: {}}, within_ms: 200}",
            "the engine did not say {\"task\":{}} on stream `s` within 200 ms; it said {\"acknowledgement\"",
        ),
        (
            "see: {message: {acknowledgement: {stale_tokens: [bm8=]}}, within_ms: 200}",
            "the last of its kind was otherwise: /acknowledgement/stale_tokens: has 0 items, not 1",
        ),
        (
            "unseen: {message: {acknowledgement: {}}}",
            "the engine said {\"acknowledgement\"",
        ),
        (
            "see: {message: {acknowledgement: {}}}\n      - tell: {message: {heartbeat: {}}}\n      - see: {message: {acknowledgement: {}}, not_before_ms: 3000}",
            "expected no earlier than after 3000 ms",
        ),
        (
            "closed: {within_ms: 100}",
            "the engine has not ended stream `s` within 100 ms; expected `ok`",
        ),
        (
            "tell: {message: {leaving: {}}}\n      - closed: {status: internal}",
            "the engine ended stream `s` with `ok`",
        ),
    ] {
        let steps = format!("{open}      - {steps}\n");
        let outcome = performed(&steps, &Backend::Embedded, None).await;
        let why = found(&outcome);
        assert!(why.contains(says), "{says}: {why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_that_hangs_is_ended_by_its_time_limit() {
    let steps = "      - open: {first: {hello: {}}}\n      - see: {message: {task: {}}, within_ms: 60000}\n";
    let outcome = performed_within(1000, steps, &Backend::Embedded, None).await;
    let says = "R1: the case did not end within 1000 ms";
    assert!(found(&outcome).starts_with(says), "{outcome:?}");
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
    let outcome = performed(start, &backend, shared().await).await;
    assert_eq!(outcome.verdict, Verdict::Passed);
    let restart = format!("{start}      - restart: {{}}\n");
    let outcome = performed(&restart, &backend, shared().await).await;
    assert!(
        matches!(outcome.verdict, Verdict::NotDeclared { .. }),
        "{outcome:?}"
    );
    let outcome = performed(start, &backend, shared().await).await;
    assert_eq!(outcome.verdict, Verdict::Passed, "it still runs");

    // What it cannot be asked for leaves the rest as it is, and what is told names it.
    let one = ["objects/etags/a-change-that-is-guarded", "restarts/**"];
    let options = Options {
        backend,
        cases: embedded().expect("they are read"),
        include: one.map(|one| one.parse().expect("a pattern")).to_vec(),
        ..Options::default()
    };
    let results = run(&options, |_, _| {}).await.expect("they have names");
    assert_eq!(results.status(), Status::AsExpected, "{results:#?}");
    let counts = results.counts();
    assert_eq!(counts.passed, 1, "{results:#?}");
    assert!(counts.not_declared >= 2, "{results:#?}");
    assert_eq!(results.subject.name, format!("{}/", engine.url()));
    assert_eq!(results.subject.version, env!("CARGO_PKG_VERSION"));
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_is_told_in_its_order() {
    let steps = "      - driver: {play: {a: {attempts: [{succeed: {n: 1}}]}}}
      - open: {first: {hello: {driver: \"${other}\"}}, see: {welcome: {}}}
      - start: {spec: {steps: [{id: a}]}}
      - ended: {}
";
    let outcome = performed(steps, &Backend::Embedded, None).await;
    assert_eq!(outcome.verdict, Verdict::Passed);
    let mut lines = outcome.messages.iter();
    for said in [
        "client POST /v1/namespaces {",
        "engine 200 {",
        "driver d {\"hello\":",
        "engine d {",
        "driver s {\"hello\":",
        "engine s {",
        "client POST /v1/runs {\"document\":",
        "client GET /v1/runs/",
    ] {
        let told = lines.any(|line| line.split_once(said).is_some());
        assert!(told, "{said}: {:#?}", outcome.messages);
    }
    let untold = Options::default();
    let read = read_cases("test.yaml", &case(10_000, steps)).expect("cases");
    let run = read[0].name.parse().expect("a name");
    let outcome = one(run, &read[0], &untold, None).await;
    assert!(outcome.messages.is_empty(), "{outcome:?}");
}

/// Mistakes in cases are refused at their places, which `‸` marks.
#[test]
fn what_is_wrong_with_a_case_is_refused_at_its_place() {
    let open = "      - open: {first: {hello: {}}, see: {welcome: {}}, save: {token: /welcome/session}}\n      - start: {spec: {}}\n";
    for (step, words) in [
        ("‸why: only", "says nothing to do"),
        (
            "call: {path: ‸v1/runs}",
            "`v1/runs` is no path: it begins with `/`",
        ),
        (
            "call: {path: /v1/runs, method: ‸FETCH}",
            "`FETCH` is none of GET, POST,",
        ),
        (
            "call: {path: /v1/runs, status: ‸20}",
            "20 is no status of HTTP: 100 to 599",
        ),
        (
            "call: {path: ‸'/v1/runs/${x}'}",
            "nothing was saved as `x` before",
        ),
        (
            "call: {path: /v1/runs, body: {run: ‸'${x}'}}",
            "nothing was saved as `x` before",
        ),
        (
            "call: {path: /v1/runs, token: ‸mine}",
            "nothing was saved as `mine` before",
        ),
        (
            "call: {path: /v1/runs, save: {x: ‸run}}",
            "`run` is no JSON pointer",
        ),
        (
            "call: {path: /v1/runs, like: {runs: {$lest: ‸1}}}",
            "there is no test `$lest`",
        ),
        (
            "call: {path: /v1/runs, within_ms: ‸999999}",
            "999999 ms are more than anything may take",
        ),
        ("call: {answered: ‸it}", "no call `it` was made before"),
        (
            "read: {path: /v1/events, within_ms: ‸999999}",
            "999999 ms are more than",
        ),
        (
            "driver: {transport: ‸pigeon}",
            "`pigeon` is none of stream, rest",
        ),
        (
            "driver: {hello: {capcity: ‸1}}",
            "unknown field `capcity`; known are `driver`",
        ),
        (
            "driver: {play: {a: {attempts: [{cancelled: ‸ignored}]}}}",
            "`ignored` is none of ignore, succeed, fail; near to it: `ignore`",
        ),
        (
            "driver: {play: {a: {attempts: [{fail: {cod: ‸x}}]}}}",
            "unknown field `cod`; known are `code`",
        ),
        ("release: ‸{task: a}", "no driver `d` is connected here"),
        (
            "see: {session: ‸t, message: {task: {}}}",
            "no stream `t` is open here",
        ),
        (
            "see: {message: {tsk: ‸{}}}",
            "unknown field `tsk`; known are `sequence`, `welcome`",
        ),
        (
            "see: {message: {task: {$least: ‸1}}}",
            "`$least` is no test of what stands there",
        ),
        (
            "see: {message: {}, not_before_ms: ‸9000}",
            "9000 ms are later than `within_ms`, 5000",
        ),
        (
            "unseen: {message: {task: {idd: ‸1}}}",
            "unknown field `idd`; known are",
        ),
        (
            "tell: {message: {leave: ‸{}}}",
            "unknown field `leave`; known are `sequence`, `hello`",
        ),
        (
            "break: {session: ‸t}",
            "no stream and no driver `t` is open here",
        ),
        (
            "closed: {status: ‸done}",
            "`done` is none of ok, not ok, cancelled,",
        ),
        (
            "open: {session: t, refused: ‸no}",
            "`no` is none of cancelled, unknown,",
        ),
        (
            "ended: {state: ‸done}",
            "`done` is none of queued, running,",
        ),
        ("ended: {run: ‸other}", "no run `other` was started before"),
        (
            "start: {spec: {}, request: {lables: ‸{}}}",
            "unknown field `lables`; known are",
        ),
        (
            "start: {spec: {}, document: ‸'a: 1'}",
            "stands beside `spec`",
        ),
        ("compare: ‸{that: 1}", "compares with nothing"),
    ] {
        let (text, place) =
            crate::cases::marked("c.yaml", &case(5, &format!("{open}      - {step}\n")));
        let errors = read_cases("c.yaml", &text).expect_err(&text);
        let [error] = &errors[..] else {
            panic!("{text}: {errors:#?}");
        };
        let told = format!("{place}: {words}");
        assert!(error.starts_with(&told), "{told}\n{error}");
    }
    let held = "      - driver: {play: {a: {attempts: [{}, {hold: true}]}}}\n      - release: {task: ‸a}\n";
    let (text, place) = crate::cases::marked("c.yaml", &case(5, held));
    let errors = read_cases("c.yaml", &text).expect_err(&text);
    let told = format!("{place}: driver `d` holds no attempt 1 of `a`");
    assert!(errors[0].starts_with(&told), "{errors:?}");
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
    let outcome = performed(steps, &known, Some(Arc::new(shared))).await;
    assert_eq!(outcome.verdict, Verdict::Passed);
    // Who signed it is not believed without being named.
    let stranger = Engine::start(&behind(None), &Setting::default()).await;
    let why = stranger.expect_err("it is not believed").to_string();
    assert!(
        why.contains("UnknownIssuer") && why.contains("`--ca`"),
        "{why}"
    );
    engine.stop().await;
}
