//! Drivers that people look at, and one that is forgotten.

use crate::polled::Polling;
use crate::rest::{get, http};
use crate::serve::GATED;
use crate::site::Site;
use crate::verbs::{refused, told};
use serde_json::json;

#[test]
fn a_driver_is_shown_with_what_it_holds_now_and_forgotten_once_it_is_gone() {
    let mut site = Site::new(&[("gated.yaml", GATED)]);
    let _server = site.serve();
    refused(
        &site.conveyor(&["drivers", "show", "exec"]),
        &["no driver `exec`"],
    );
    let driver = Polling::register(&site);
    assert_eq!(
        told(&site, &["drivers", "show", "exec"])["sessions"][0]["held"],
        0
    );
    let run = site.start("gated.yaml");
    assert_eq!(get(&site, "/v1/server").body["live_runs"], 1);
    // No heartbeat tells of it: the engine knows what it gave away.
    let task = driver.take("one");
    let shown = told(&site, &["drivers", "show", "exec"]);
    assert_eq!(shown["sessions"][0]["held"], 1, "{shown:#}");
    let listed = site.conveyor(&["drivers", "list"]);
    assert!(listed.out.contains("1/4"), "{}", listed.out);
    let there = site.conveyor(&["drivers", "delete", "exec"]);
    refused(&there, &["sessions that are there"]);
    let by_rest = http(&site.url, "DELETE", "/v1/drivers/exec", "", "");
    assert_eq!(by_rest.status, 409, "{}", by_rest.body);
    // Detached it is no place of the session any more, and says until when it is waited for.
    let until = u64::MAX / 2;
    let detached = json!({"answers": [{"token": task["token"], "detached": {"until_ms": until}}]});
    driver.call("answer", &detached);
    let attempt =
        &get(&site, &format!("/v1/runs/{run}")).body["steps"][0]["instances"][0]["attempts"][0];
    let until = attempt["detached_until_ms"].as_u64().expect("it is told");
    assert!(until > attempt["claimed_ms"].as_u64().expect("it is claimed"));
    let shown = site.conveyor(&["runs", "show", &run]);
    assert!(
        shown.out.contains("detached, waited for until "),
        "{}",
        shown.out
    );
    assert_eq!(
        told(&site, &["drivers", "show", "exec"])["sessions"][0]["held"],
        0
    );
    assert_eq!(driver.call("leave", &json!({})).status, 200);
    assert_eq!(site.conveyor(&["terminate", &run]).status, 0);
    assert_eq!(get(&site, "/v1/server").body["live_runs"], 0);
    let doctor = site.conveyor(&["doctor"]);
    assert!(doctor.out.contains(", 0 live runs"), "{}", doctor.out);
    let deadline = std::time::Instant::now() + crate::site::PATIENCE;
    loop {
        // Its goodbye is answered before the last trace of it is gone.
        let gone = site.conveyor(&["drivers", "delete", "exec"]);
        if gone.status == 0 {
            assert!(gone.out.starts_with("driver exec deleted"), "{}", gone.out);
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{}", gone.err);
    }
    assert_eq!(get(&site, "/v1/drivers/exec").status, 404);
    assert_eq!(told(&site, &["drivers", "list"]), json!([]));
    // Whoever comes next registers it anew, and a restart reads what is stored.
    drop(Polling::register(&site));
    assert_eq!(get(&site, "/v1/drivers/exec").status, 200);
}

#[test]
fn a_driver_of_the_servers_own_process_is_there_like_any_other() {
    let later = "apiVersion: conveyor/v1\nkind: Pipeline\nmetadata: {name: later}\nspec: {steps: [{id: a, \
                 driver: 'exec@>=9', with: {run: x}}]}\n";
    let mut site = Site::new(&[("gated.yaml", GATED), ("later.yaml", later)]);
    let _server = site.serve_with("data", &["--exec", "3"]);
    let run = site.start("gated.yaml");
    site.until(&run, "under way", |view| {
        view["steps"][0]["state"] == "running"
    });
    let shown = told(&site, &["drivers", "show", "exec"]);
    let session = &shown["sessions"][0];
    assert_eq!(
        (&session["capacity"], &session["held"]),
        (&json!(3), &json!(1)),
        "{shown:#}"
    );
    let own = site.conveyor(&["drivers", "delete", "exec"]);
    refused(&own, &["the server's own process"]);
    // What is stored may want another version.
    assert_eq!(site.conveyor(&["apply", "-f", "gated.yaml"]).status, 0);
    let well = site.conveyor(&["doctor"]);
    assert_eq!(well.status, 0, "{}", well.out);
    assert_eq!(site.conveyor(&["apply", "-f", "later.yaml"]).status, 0);
    let wrong = site.conveyor(&["doctor"]);
    assert_eq!(wrong.status, 1, "{}", wrong.out);
    let words = "nobody offers the driver `exec@>=9`, which stored pipelines name: default/later";
    assert!(wrong.out.contains(words), "{}", wrong.out);
}

#[test]
fn a_session_says_by_which_sdk_and_process_it_is() {
    let mut site = Site::new(&[]);
    let _server = site.serve();
    let driver = site.driver();
    let shown = told(&site, &["drivers", "show", "exec"]);
    let session = &shown["sessions"][0];
    let process = format!("process {}", driver.child.id());
    assert_eq!(session["instance"], process, "{shown:#}");
    let sdk = session["sdk"].as_str().unwrap_or_default();
    assert!(sdk.contains(env!("CARGO_PKG_VERSION")), "{shown:#}");
}
