//! What cannot be read at all: JSON that is not taken, paths that are no text.

use super::{place, refused_at};
use crate::rest::{get, http};
use crate::site::Site;

#[test]
fn json_that_is_not_taken_and_a_path_that_is_no_text_are_told_with_their_place() {
    let mut site = Site::new(&[]);
    let _server = site.serve();
    let deep = format!(
        "{{\"inputs\": {{\"a\": {}1{}}}}}",
        "[".repeat(600),
        "]".repeat(600)
    );
    for (body, place) in [
        (r#"{"inputs": {"n": 1e400}}"#, "/inputs/n"),
        (
            r#"{"inputs": {"a/b": [0, 18446744073709551616]}}"#,
            "/inputs/a~1b/1",
        ),
        (r#"{"labels": {"k": "a", "k": "b"}}"#, "/labels/k"),
    ] {
        let answer = http(&site.url, "POST", "/v1/runs", "application/json", body);
        refused_at(body, &answer, place);
    }
    let answer = http(&site.url, "POST", "/v1/runs", "application/json", &deep);
    let place = place(&answer).expect("it has a place").to_owned();
    refused_at("too deep", &answer, &place);
    assert!(place.starts_with("/inputs/a/0/0"), "{place}");
    for (path, place) in [
        ("/v1/runs/%E9", "/run"),
        ("/v1/runs/%e9/events", "/run"),
        ("/v1/resources/app/caf%E9", "/name"),
        ("/v1/runs/%zz", "/run"),
        ("/v1/caf%E9", ""),
    ] {
        let answer = get(&site, path);
        refused_at(path, &answer, place);
        assert!(
            answer.head.contains("application/problem+json"),
            "{}",
            answer.head
        );
        let detail = answer.body["detail"].as_str().expect("a text");
        assert!(detail.contains("in the path is no text"), "{detail}");
    }
}
