//! Why a server is not believed or not understood, and what to set: by the program and by the SDK.

use crate::auth::{Authority, with_tls};
use crate::program::conveyor_with;
use crate::raw::talk;
use crate::site::Site;
use conveyor_sdk::{Client, ClientOptions, Tls};
use std::time::Duration;

/// What the program and the SDK say about an address; both fail.
fn said(site: &Site, url: &str, ca: Option<&str>) -> [String; 2] {
    let mut args = vec!["runs", "list", "--server", url];
    args.extend(ca.into_iter().flat_map(|ca| ["--ca", ca]));
    let ended = conveyor_with(site.dir.path(), &args, "");
    assert_eq!(ended.status, 3, "{}", ended.err);
    let options = ClientOptions {
        url: Some(url.to_owned()),
        patience: Duration::ZERO,
        tls: Tls {
            ca: ca.map(|ca| site.dir.path().join(ca)),
            ..Tls::default()
        },
        ..ClientOptions::default()
    };
    let error = talk(async {
        let client = Client::open(options).await?;
        client.get_server_info(Default::default()).await
    });
    [ended.err, error.expect_err("it is not reached").to_string()]
}

#[test]
fn a_server_that_is_not_believed_is_told_from_one_that_does_not_answer() {
    let (mut site, server, authority) = with_tls(&[]);
    let folder = site.dir.path().to_owned();
    let both = |said: [String; 2], words: &[&str]| {
        for said in said {
            assert!(!said.contains("no server answers"), "{said}");
            assert!(
                words.iter().all(|word| said.contains(word)),
                "{words:?}: {said}"
            );
        }
    };
    let other = Authority::new();
    std::fs::write(folder.join("other.pem"), &other.pem).expect("writable");
    both(
        said(&site, &site.url, Some("other.pem")),
        &["not known here", "CONVEYOR_CA"],
    );
    let plain = site.url.replace("https://", "http://");
    let [program, _] = said(&site, &plain, None);
    assert!(program.contains("use https://localhost"), "{program}");
    drop(server);
    authority.sign(&folder, "server", "other.example.com");
    let tls = ["--tls-cert", "server.pem", "--tls-key", "server.key"];
    let again = |site: &mut Site| {
        site.url = String::new();
        let server = site.serve_with("data", &tls);
        site.url = site.url.replace("127.0.0.1", "localhost");
        server
    };
    let server = again(&mut site);
    let named = ["for other.example.com", "not for `localhost`"];
    both(said(&site, &site.url, Some("ca.pem")), &named);
    drop(server);
    authority.sign_until(&folder, "server", "localhost", 2001);
    let server = again(&mut site);
    both(
        said(&site, &site.url, Some("ca.pem")),
        &["has expired", "renew it"],
    );
    drop(server);
    site.url = String::new();
    let _server = site.serve();
    let tls = site.url.replace("http://127.0.0.1", "https://localhost");
    both(
        said(&site, &tls, Some("ca.pem")),
        &["speaks no TLS", "use http://localhost"],
    );
}
