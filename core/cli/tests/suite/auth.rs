//! Who may come in: tokens, certificates, addresses.

use crate::http;
use crate::program::conveyor_with;
use crate::raw::talk;
use crate::serve::GATED;
use crate::site::{Background, Site, driver_program};
use conveyor_sdk::{Client, ClientOptions, ErrorKind, Tls};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A server that asks who comes.
pub(crate) fn asking() -> (Site, Background) {
    let mut site = Site::new(&[("gated.yaml", GATED)]);
    let server = site.serve_with("data", &["--auth-required"]);
    (site, server)
}

/// Makes a token over the data directory's socket.
pub(crate) fn token(site: &Site, args: &[&str]) -> String {
    let mut all = vec!["tokens", "create", "--data-dir", "data"];
    all.extend(args);
    let made = conveyor_with(site.dir.path(), &all, "");
    assert_eq!(made.status, 0, "{}", made.err);
    made.out.trim().to_owned()
}

fn status(site: &Site, token: Option<&str>, method: &str, path: &str, body: &Value) -> u16 {
    let told = http::ask_as(&site.url, token, method, path, body);
    told.expect("it is answered").status
}

fn tell(site: &Site, args: &[&str]) -> String {
    let told = conveyor_with(site.dir.path(), args, "");
    assert_eq!(told.status, 0, "{}", told.err);
    told.out
}

#[test]
fn a_server_that_asks_takes_no_call_without_a_token_that_holds() {
    let (site, _server) = asking();
    let client = token(&site, &["--scope", "client", "--principal", "ci"]);
    let get = |token: Option<&str>| status(&site, token, "GET", "/v1/runs", &Value::Null);
    assert_eq!(get(None), 401);
    assert_eq!(get(Some(&client)), 200);
    assert_eq!(get(Some("conveyor_0000000000000000_00")), 401);
    let mut other = client.clone();
    let last = if other.pop() == Some('0') { '1' } else { '0' };
    other.push(last);
    assert_eq!(get(Some(&other)), 401, "one digit is another");
    // Load balancers show nothing.
    for path in ["/healthz", "/readyz"] {
        let told = http::text(&site.url, path).expect("it is answered");
        assert_eq!(told.0, 200, "{path}");
    }
    assert_eq!(http::text(&site.url, "/metrics").expect("an answer").0, 401);
    // The scope says what it may call.
    let namespace = json!({"namespace": {"metadata": {"name": "team-a"}}});
    assert_eq!(
        status(&site, Some(&client), "POST", "/v1/namespaces", &namespace),
        403
    );
    let poll = json!({"session": "x", "resume_secret": "AAAA", "request_id": "1"});
    assert_eq!(
        status(&site, Some(&client), "POST", "/v1/driver/poll", &poll),
        403
    );
    let driver = token(&site, &["--scope", "driver"]);
    assert_eq!(get(Some(&driver)), 403);
    // An administrator makes and ends them by REST, too.
    let admin = token(&site, &["--scope", "admin"]);
    let wanted = json!({"scope": "client", "principal": "by-rest", "ttl_ms": 60_000});
    assert_eq!(
        status(&site, Some(&client), "POST", "/v1/tokens", &wanted),
        403
    );
    let made = http::ask_as(&site.url, Some(&admin), "POST", "/v1/tokens", &wanted);
    let made = made.expect("it is answered").body;
    let secret = made["secret"].as_str().expect("it is told once").to_owned();
    assert_eq!(get(Some(&secret)), 200);
    let path = format!(
        "/v1/tokens/{}",
        made["token"]["id"].as_str().expect("an id")
    );
    assert_eq!(
        status(&site, Some(&admin), "DELETE", &path, &Value::Null),
        200
    );
    assert_eq!(get(Some(&secret)), 401);
    assert_eq!(
        status(&site, Some(&admin), "DELETE", &path, &Value::Null),
        404
    );
    // Nothing of it is in the store but its hash, and the list tells no secret.
    let secret = client.rsplit('_').next().expect("it has parts");
    let listed = tell(
        &site,
        &["tokens", "list", "--data-dir", "data", "-o", "json"],
    );
    assert!(
        listed.contains("\"ci\"") && !listed.contains(secret),
        "{listed}"
    );
    for file in files(&site.dir.path().join("data")) {
        let bytes = std::fs::read(&file).unwrap_or_default();
        let found = bytes
            .windows(secret.len())
            .any(|part| part == secret.as_bytes());
        assert!(!found, "{} has the secret", file.display());
    }
}

/// All files under a folder.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a directory").flatten() {
        match entry.path().is_dir() {
            true => all.extend(files(&entry.path())),
            false => all.push(entry.path()),
        }
    }
    all
}

#[test]
fn a_token_of_one_namespace_knows_of_no_other() {
    let (site, _server) = asking();
    tell(
        &site,
        &["namespaces", "create", "team-a", "--data-dir", "data"],
    );
    let admin = token(&site, &["--scope", "admin"]);
    let bound = token(&site, &["--scope", "client", "--namespace", "team-a"]);
    let document = json!({"document": {"source": GATED, "file_name": "g.yaml"}});
    let started = http::ask_as(&site.url, Some(&admin), "POST", "/v1/runs", &document);
    let started = started.expect("it is answered");
    assert_eq!(started.status, 200, "{}", started.body);
    let run = started.body["run"]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let get = |path: &str| http::ask_as(&site.url, Some(&bound), "GET", path, &Value::Null);
    assert_eq!(
        get(&format!("/v1/runs/{run}")).expect("an answer").status,
        404
    );
    assert_eq!(get("/v1/runs/latest").expect("an answer").status, 404);
    assert_eq!(get("/v1/runs").expect("an answer").body["runs"], json!([]));
    assert_eq!(
        get("/v1/runs?namespace=default").expect("an answer").status,
        403
    );
    let refused = http::ask_as(&site.url, Some(&bound), "POST", "/v1/runs", &document);
    assert_eq!(refused.expect("it is answered").status, 403);
    let stop = format!("/v1/runs/{run}/cancel");
    assert_eq!(status(&site, Some(&bound), "POST", &stop, &json!({})), 404);
    let names = get("/v1/namespaces").expect("an answer").body;
    assert_eq!(
        names["namespaces"][0]["metadata"]["name"], "team-a",
        "{names}"
    );
    assert_eq!(
        names["namespaces"].as_array().map(Vec::len),
        Some(1),
        "{names}"
    );
}

#[test]
fn who_stops_a_run_is_recorded_by_its_token_whatever_it_says() {
    let (site, _server) = asking();
    let admin = token(&site, &["--scope", "client", "--principal", "release-bot"]);
    let start = json!({"document": {"source": GATED, "file_name": "g.yaml"}, "actor": "root"});
    let started = http::ask_as(&site.url, Some(&admin), "POST", "/v1/runs", &start);
    let started = started.expect("it is answered").body;
    assert_eq!(started["run"]["actor"], "release-bot", "{started}");
}

#[test]
fn a_driver_comes_with_its_token_and_is_cut_off_when_that_is_revoked() {
    let (site, _server) = asking();
    let driver = token(&site, &["--scope", "driver", "--principal", "builders"]);
    std::fs::write(site.dir.path().join("driver.token"), format!("{driver}\n")).expect("writable");
    let start = |more: &[&str]| {
        let mut command = Command::new(driver_program());
        command
            .args(["--server", &site.url])
            .args(more)
            .env("NO_COLOR", "1")
            .env_remove("CONVEYOR_TOKEN")
            .current_dir(site.dir.path());
        Background::start(&mut command)
    };
    let mut stranger = start(&[]);
    stranger.line(&["asks who you are"]);
    assert_eq!(stranger.end(), 1);
    let mut known = start(&["--token-file", "driver.token"]);
    known.line(&["connected"]);
    std::fs::write(site.dir.path().join("go"), "").expect("it is writable");
    // Its exit status is the run's.
    tell(
        &site,
        &[
            "start",
            "-f",
            "gated.yaml",
            "--follow",
            "--data-dir",
            "data",
        ],
    );
    let id = driver.split('_').nth(1).expect("it has an id");
    tell(&site, &["tokens", "revoke", id, "--data-dir", "data"]);
    known.line(&["not known here, or does not hold any more"]);
    assert_eq!(known.end(), 1);
}

#[test]
fn a_follower_is_told_when_its_token_ends() {
    let (site, _server) = asking();
    let client = token(&site, &["--scope", "client", "--expires", "2s"]);
    let start = json!({"document": {"source": GATED, "file_name": "g.yaml"}});
    let started = http::ask_as(&site.url, Some(&client), "POST", "/v1/runs", &start);
    let run = started.expect("it is answered").body["run"]["id"].clone();
    let path = format!("/v1/runs/{}/events", run.as_str().expect("an id"));
    let mut last = None;
    let ended = http::events_as(&site.url, Some(&client), &path, None, |event| {
        last = Some((event.kind, event.data));
        false
    });
    assert!(matches!(ended, Ok(false)), "the server ends it: {ended:?}");
    let (kind, data) = last.expect("events came");
    assert_eq!(
        (kind.as_str(), &data["code"]),
        ("error", &json!("unauthenticated"))
    );
    assert_eq!(data["status"], 401, "it is a whole problem: {data}");
    assert_eq!(
        status(&site, Some(&client), "GET", "/v1/runs", &Value::Null),
        401
    );
}

#[test]
fn an_address_that_others_reach_is_refused_without_what_keeps_them_out() {
    let site = Site::new(&[]);
    let cases: [(&[&str], &str); 3] = [
        (&[], "--auth-required"),
        (&["--auth-required"], "--tls-cert"),
        (
            &["--tls-cert", "nothing.pem", "--tls-key", "nothing.key"],
            "--auth-required",
        ),
    ];
    for (more, words) in cases {
        let mut args = vec!["serve", "--data-dir", "data", "--listen", "0.0.0.0:0"];
        args.extend(more);
        let refused = conveyor_with(site.dir.path(), &args, "");
        assert_eq!(refused.status, 2, "{}", refused.err);
        assert!(refused.err.contains(words), "{}", refused.err);
        assert!(!site.dir.path().join("data").exists(), "nothing is made");
    }
}

#[test]
fn what_this_side_refuses_is_no_server_that_does_not_answer() {
    let site = Site::new(&[]);
    let list = |more: &[(&str, &str)], url: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_conveyor"));
        command
            .args(["runs", "list", "--server", url])
            .envs(more.iter().copied())
            .current_dir(site.dir.path());
        let ended = command.output().expect("it starts");
        (
            ended.status.code(),
            String::from_utf8_lossy(&ended.stderr).into_owned(),
        )
    };
    // Nobody has to listen there: nothing is sent.
    let token = [("CONVEYOR_TOKEN", "conveyor_0_0")];
    let (status, said) = list(&token, "http://192.0.2.1:7420");
    assert!(status == Some(2) && said.contains("in the clear"), "{said}");
    let (status, said) = list(&[("CONVEYOR_CLIENT_CERT", "a.pem")], "https://localhost:1");
    assert!(status == Some(2) && said.contains("--client-key"), "{said}");
    let (status, said) = list(&[("CONVEYOR_CA", "nothing.pem")], "https://localhost:1");
    assert!(status == Some(2) && said.contains("nothing.pem"), "{said}");
    // An empty variable is none.
    let (status, said) = list(&[("CONVEYOR_CA", "")], "http://127.0.0.1:1");
    assert!(
        status == Some(3) && said.contains("no server answers"),
        "{said}"
    );
}

/// An authority, and a certificate that it has signed, as PEM files.
pub(crate) struct Authority {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    pub(crate) pem: String,
}

impl Authority {
    pub(crate) fn new() -> Authority {
        let mut params = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        // OpenSSL takes a certificate whose subject is its issuer for one that has signed itself.
        let name = &mut params.distinguished_name;
        name.push(rcgen::DnType::CommonName, "an authority");
        let key = rcgen::KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Authority {
            issuer: rcgen::Issuer::new(params, key),
            pem,
        }
    }

    /// Writes a certificate for a name, and its key.
    pub(crate) fn sign(&self, folder: &Path, file: &str, name: &str) {
        self.sign_until(folder, file, name, 4096);
    }

    /// The same, that ends with a year.
    pub(crate) fn sign_until(&self, folder: &Path, file: &str, name: &str, year: i32) {
        let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        std::fs::write(folder.join(format!("{file}.pem")), certificate.pem()).expect("writable");
        std::fs::write(folder.join(format!("{file}.key")), key.serialize_pem()).expect("writable");
    }
}

/// A server with TLS for `localhost`.
pub(crate) fn with_tls(more: &[&str]) -> (Site, Background, Authority) {
    let mut site = Site::new(&[]);
    let authority = Authority::new();
    let folder = site.dir.path().to_owned();
    std::fs::write(folder.join("ca.pem"), &authority.pem).expect("writable");
    authority.sign(&folder, "server", "localhost");
    let mut args = vec!["--tls-cert", "server.pem", "--tls-key", "server.key"];
    args.extend(more);
    let server = site.serve_with("data", &args);
    site.url = site.url.replace("127.0.0.1", "localhost");
    assert!(site.url.starts_with("https://"), "{}", site.url);
    (site, server, authority)
}

fn client(site: &Site, ca: &str, identity: Option<&str>) -> Result<String, ErrorKind> {
    let path = |name: &str| Some(site.dir.path().join(name));
    let options = ClientOptions {
        url: Some(site.url.clone()),
        patience: Duration::ZERO,
        tls: Tls {
            ca: path(ca),
            cert: identity.and_then(|name| path(&format!("{name}.pem"))),
            key: identity.and_then(|name| path(&format!("{name}.key"))),
        },
        ..ClientOptions::default()
    };
    talk(async {
        let client = Client::open(options).await.map_err(|error| error.kind())?;
        let told = client.get_server_info(Default::default()).await;
        told.map(|info| info.role).map_err(|error| error.kind())
    })
}

#[test]
fn tls_is_spoken_to_who_believes_the_authority_and_the_program_comes_by_it() {
    let (site, _server, _) = with_tls(&[]);
    std::fs::write(site.dir.path().join("other.pem"), Authority::new().pem).expect("writable");
    assert_eq!(client(&site, "ca.pem", None), Ok("serve".to_owned()));
    assert!(client(&site, "other.pem", None).is_err());
    let listed = ["runs", "list", "--server", &site.url, "--ca", "ca.pem"];
    tell(&site, &listed);
    let blind = conveyor_with(site.dir.path(), &listed[..4], "");
    assert_eq!(blind.status, 3, "{}", blind.err);
    let mut command = Command::new(driver_program());
    command
        .args(["--server", &site.url])
        .env("CONVEYOR_CA", "ca.pem")
        .env("NO_COLOR", "1")
        .current_dir(site.dir.path());
    Background::start(&mut command).line(&["connected"]);
}

#[test]
fn a_client_certificate_is_asked_for_and_says_who_it_is() {
    let names = [
        "--tls-client-ca",
        "ca.pem",
        "--client-name",
        "ci.example.com=client",
    ];
    let (site, _server, authority) = with_tls(&names);
    let folder = site.dir.path();
    authority.sign(folder, "ci", "ci.example.com");
    authority.sign(folder, "nobody", "nobody.example.com");
    Authority::new().sign(folder, "foreign", "ci.example.com");
    assert_eq!(client(&site, "ca.pem", Some("ci")), Ok("serve".to_owned()));
    // It is believed, and stands for nobody.
    assert_eq!(
        client(&site, "ca.pem", Some("nobody")),
        Err(ErrorKind::Unauthenticated)
    );
    assert!(client(&site, "ca.pem", Some("foreign")).is_err());
    assert!(client(&site, "ca.pem", None).is_err());
}

#[test]
fn new_certificates_are_taken_without_a_restart_and_broken_ones_are_not() {
    let (site, mut server, _) = with_tls(&[]);
    let folder = site.dir.path();
    assert_eq!(client(&site, "ca.pem", None), Ok("serve".to_owned()));
    std::fs::write(folder.join("server.pem"), "no certificate").expect("writable");
    server.signal(rustix::process::Signal::HUP);
    server.line(&["the ones before stay"]);
    assert_eq!(client(&site, "ca.pem", None), Ok("serve".to_owned()));
    let next = Authority::new();
    std::fs::write(folder.join("next-ca.pem"), &next.pem).expect("writable");
    next.sign(folder, "server", "localhost");
    // Nobody has to say so: it is looked at by itself.
    server.line(&["were read again"]);
    assert_eq!(client(&site, "next-ca.pem", None), Ok("serve".to_owned()));
    assert!(client(&site, "ca.pem", None).is_err());
}
