use conveyor_driver_http::{Policy, Trust, driver};
use conveyor_sdk::Failure;
use conveyor_sdk::testing::TestTask;
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A server with a certificate of its own for `localhost`: its port, and the certificate.
async fn start() -> (u16, String) {
    let names = vec!["localhost".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a certificate with its key");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Who does not believe the certificate goes.
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer).await;
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
            let _ = stream.write_all(answer).await;
            let _ = stream.shutdown().await;
        }
    });
    (port, made.cert.pem())
}

async fn ask(trust: Trust, url: &str) -> Result<Value, Failure> {
    let policy = Policy::default().allow_net("127.0.0.0/8").expect("a range");
    let policy = policy.allow_host("localhost").expect("a host");
    let driver = driver(policy, trust).expect("a driver");
    let task = TestTask::new("request").inputs(json!({"url": url}));
    task.run(&driver).await.result
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_is_not_spoken_to() {
    let (port, certificate) = start().await;
    let url = format!("https://localhost:{port}/");
    let refused = ask(Trust::default(), &url)
        .await
        .expect_err("nobody knows it");
    assert_eq!(
        (refused.code.as_str(), refused.retryable),
        ("tls_failed", Some(false))
    );
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("ca.pem");
    std::fs::write(&file, certificate).expect("it is writable");
    let trust = Trust::default().file(&file).expect("it has one");
    let answered = ask(trust.clone(), &url).await.expect("it is believed");
    assert_eq!(answered["body"], "ok");
    // The certificate is of another name.
    let other = format!("https://127.0.0.1:{port}/");
    let refused = ask(trust, &other).await.expect_err("it is another's");
    assert_eq!(refused.code, "tls_failed");
}

#[test]
fn a_file_without_certificates_is_refused_by_name() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("empty.pem");
    std::fs::write(&file, "").expect("it is writable");
    for path in [&file, Path::new("/there/is/none.pem")] {
        let error = Trust::default().file(path).expect_err("it has none");
        assert!(
            error.to_string().contains(&path.display().to_string()),
            "{error}"
        );
    }
}
