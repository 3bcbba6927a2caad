//! What a token may do, said as whoever asks knows it, and what becomes of tokens in a restore.

use crate::auth::{asking, token};
use crate::http;
use crate::program::{conveyor, conveyor_with};
use crate::site::{Background, Site, driver_program};
use serde_json::{Value, json};
use std::process::Command;

/// What a refusal says.
fn refused(site: &Site, token: &str, method: &str, path: &str, body: &Value) -> (u16, String) {
    let told = http::ask_as(&site.url, Some(token), method, path, body).expect("it is answered");
    let detail = told.body["detail"].as_str().unwrap_or_default();
    (told.status, detail.to_owned())
}

#[test]
fn a_scope_that_is_missing_is_named_with_the_call_as_it_was_made() {
    let (site, _server) = asking();
    let driver = token(&site, &["--scope", "driver", "--principal", "builders"]);
    let client = token(&site, &["--scope", "client", "--principal", "ci"]);
    let none = Value::Null;
    let cases = [
        (
            &driver,
            "GET",
            "/v1/server",
            &none,
            "`GET /v1/server` takes `client`",
        ),
        (
            &driver,
            "GET",
            "/v1/runs/latest",
            &none,
            "`GET /v1/runs/{run}` takes `client`",
        ),
        (
            &driver,
            "GET",
            "/v1/runs/latest/events",
            &none,
            "`GET /v1/runs/{run}/events` takes `client`",
        ),
        (
            &client,
            "GET",
            "/v1/tokens",
            &none,
            "`GET /v1/tokens` takes `admin`",
        ),
        (
            &client,
            "POST",
            "/v1/driver/poll",
            &json!({}),
            "`POST /v1/driver/poll` takes `driver`",
        ),
    ];
    for (token, method, path, body, words) in cases {
        let (status, said) = refused(&site, token, method, path, body);
        assert_eq!(status, 403, "{said}");
        assert!(
            said.contains(words) && said.contains("conveyor tokens create --scope"),
            "{said}"
        );
    }
    // The program asks who answers before it asks for what it was told to: that is not what is refused.
    let mut command = Command::new(env!("CARGO_BIN_EXE_conveyor"));
    command
        .args(["runs", "list", "--server", &site.url])
        .env("CONVEYOR_TOKEN", &driver)
        .current_dir(site.dir.path());
    let ended = command.output().expect("it starts");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(2), "{said}");
    assert!(said.contains("`ListRuns` takes `client`"), "{said}");
}

#[test]
fn a_driver_for_a_namespace_that_is_not_there_is_refused_by_its_name() {
    let (site, _server) = asking();
    let driver = token(&site, &["--scope", "driver", "--principal", "builders"]);
    let hello = json!({"hello": {
        "driver": "exec", "version": "1.0.0", "contract_versions": [1], "namespace": "team-x",
        "actions": [{"name": "run"}],
    }});
    let register = || refused(&site, &driver, "POST", "/v1/driver/register", &hello);
    let (status, said) = register();
    assert_eq!(status, 404, "{said}");
    assert!(
        said.contains("`team-x`") && said.contains("namespaces create team-x"),
        "{said}"
    );
    // Nor over a stream, where it ends the driver.
    let mut command = Command::new(driver_program());
    command
        .args(["--server", &site.url, "--namespace", "team-x"])
        .env("CONVEYOR_TOKEN", &driver)
        .env("NO_COLOR", "1")
        .current_dir(site.dir.path());
    let mut program = Background::start(&mut command);
    program.line(&["team-x", "is not there"]);
    assert_eq!(program.end(), 1);
    let dir = site.dir.path();
    let made = ["namespaces", "create", "team-x", "--data-dir", "data"];
    let made = conveyor(dir, &made);
    assert_eq!(made.status, 0, "{}", made.err);
    let published = || {
        let list = [
            "drivers",
            "list",
            "--namespace",
            "team-x",
            "--data-dir",
            "data",
            "-o",
            "json",
        ];
        let list = conveyor(dir, &list);
        let rows: Vec<Value> = serde_json::from_str(&list.out).expect("JSON");
        rows.iter().any(|row| row["namespace"] == "team-x")
    };
    assert!(!published(), "nothing was stored");
    assert_eq!(register().0, 200);
    assert!(published());
}

#[test]
fn a_restore_leaves_access_tokens_out_unless_it_is_told_to_keep_them() {
    let (mut site, mut server) = asking();
    let client = token(&site, &["--scope", "client", "--principal", "ci"]);
    let revoked = token(&site, &["--scope", "client", "--principal", "gone"]);
    let dir = site.dir.path().to_owned();
    let done = |args: &[&str]| {
        let ended = conveyor_with(&dir, args, "");
        assert_eq!(ended.status, 0, "{args:?}: {}", ended.err);
        ended.out
    };
    done(&["backup", "all.backup", "--data-dir", "data"]);
    let id = revoked.split('_').nth(1).expect("it has an id");
    done(&["tokens", "revoke", id, "--data-dir", "data"]);
    server.kill();
    let safe = done(&["restore", "all.backup", "--data-dir", "safe"]);
    assert!(safe.contains("2 access tokens left out"), "{safe}");
    assert!(safe.contains("tokens create --data-dir safe"), "{safe}");
    let listed = done(&["tokens", "list", "--data-dir", "safe", "-o", "json"]);
    assert_eq!(listed.trim(), "[]");
    let kept = [
        "restore",
        "all.backup",
        "--data-dir",
        "kept",
        "--keep-tokens",
        "-o",
        "json",
    ];
    let kept: Value = serde_json::from_str(&done(&kept)).expect("JSON");
    assert_eq!(
        (&kept["tokens"], &kept["tokens_kept"]),
        (&json!(2), &json!(true))
    );
    for (data, token, status) in [
        ("safe", &client, 401),
        ("safe", &revoked, 401),
        ("kept", &client, 200),
        ("kept", &revoked, 200),
    ] {
        site.url = String::new();
        let _server = site.serve_with(data, &["--auth-required"]);
        let told = http::ask_as(&site.url, Some(token), "GET", "/v1/runs", &Value::Null);
        assert_eq!(told.expect("it is answered").status, status, "{data}");
    }
}
