//! Requests that come twice.

use crate::api::send;
use crate::rest::{Answer, get};
use crate::serve::GATED;
use crate::site::Site;
use serde_json::json;

#[test]
fn a_start_that_comes_twice_under_one_key_is_one_run() {
    let mut site = Site::new(&[]);
    let _server = site.serve();
    let start = |key: &str, label: &str| -> Answer {
        let body = json!({
            "document": {"source": GATED, "file_name": "g.yaml"}, "labels": {"of": label},
        });
        let headers = [
            ("content-type", "application/json"),
            ("idempotency-key", key),
        ];
        send(&site, "POST", "/v1/runs", &headers, &body.to_string())
    };
    let first = start("one", "shop");
    assert_eq!(first.status, 200, "{}", first.body);
    assert_eq!(first.body["existing"], false, "{}", first.body);
    let again = start("one", "shop");
    assert_eq!(again.status, 200, "{}", again.body);
    assert_eq!(again.body["existing"], true, "{}", again.body);
    assert_eq!(again.body["run"]["id"], first.body["run"]["id"]);
    let runs = || get(&site, "/v1/runs").body["runs"].as_array().map(Vec::len);
    assert_eq!(runs(), Some(1));
    let other = start("one", "office");
    assert_eq!(other.status, 409, "{}", other.body);
    assert_eq!(other.body["code"], "already_exists", "{}", other.body);
    assert_eq!(runs(), Some(1), "and nothing was started");
    let second = start("two", "shop");
    assert_eq!(
        second.body["existing"], false,
        "another key: {}",
        second.body
    );
    assert_eq!(runs(), Some(2));
}
