//! What people look at and tidy up: namespaces, revisions, lists of runs, and a setup that a
//! server would refuse.

use crate::api::send;
use crate::auth::Authority;
use crate::program::{Ended, conveyor, files};
use crate::rest::{get, post};
use crate::site::Site;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

fn pipeline(name: &str, value: u32) -> String {
    format!(
        "apiVersion: conveyor/v1\nkind: Pipeline\nmetadata: {{name: {name}}}\nspec: {{steps: [{{id: a, \
         transform: {{x: {value}}}}}]}}\n"
    )
}

/// What a verb tells programs.
#[track_caller]
pub(crate) fn told(site: &Site, args: &[&str]) -> Value {
    let ended = site.conveyor(&[args, &["-o", "json"]].concat());
    assert_eq!(ended.status, 0, "{args:?}: {}", ended.err);
    serde_json::from_str(&ended.out).expect("JSON")
}

#[track_caller]
pub(crate) fn refused(ended: &Ended, words: &[&str]) {
    assert_eq!(ended.status, 2, "{}{}", ended.out, ended.err);
    for word in words {
        assert!(ended.err.contains(word), "{word}: {}", ended.err);
    }
}

#[test]
fn namespaces_and_runs_are_found_by_what_people_know_of_them() {
    let team = pipeline("one", 1).replace("name: one", "name: one, namespace: team");
    let mut site = Site::new(&[("default.yaml", &pipeline("one", 1)), ("team.yaml", &team)]);
    let _server = site.serve();
    assert_eq!(site.conveyor(&["namespaces", "create", "team"]).status, 0);
    assert_eq!(told(&site, &["namespaces", "show", "team"])["name"], "team");
    assert_eq!(get(&site, "/v1/namespaces/default").status, 200);
    refused(
        &site.conveyor(&["namespaces", "show", "none"]),
        &["no namespace `none`"],
    );
    let start = |namespace: &str, label: &str| {
        let file = format!("{namespace}.yaml");
        let of = ["-f", &file, "--namespace", namespace, "--label", label];
        let made = site.conveyor(&[&["start"][..], &of].concat());
        assert_eq!(made.status, 0, "{}", made.err);
    };
    start("default", "of=shop");
    let one = site.conveyor(&["runs", "list"]);
    assert!(!one.out.contains("NAMESPACE"), "{}", one.out);
    start("team", "of=shop");
    start("team", "of=office");
    let all = site.conveyor(&["runs", "list"]);
    assert!(
        all.out.contains("NAMESPACE") && all.out.contains("team"),
        "{}",
        all.out
    );
    let count = |args: &[&str]| {
        let runs = told(&site, &[&["runs", "list"], args].concat());
        runs.as_array().map(Vec::len)
    };
    assert_eq!(count(&["--namespace", "team"]), Some(2));
    assert_eq!(count(&["--label", "of=shop"]), Some(2));
    assert_eq!(count(&["-n", "team", "-l", "of=shop"]), Some(1));
    assert_eq!(count(&["--since", "1h"]), Some(3));
    assert_eq!(count(&["--until", "1h"]), Some(0));
    assert_eq!(count(&["--since", "2020-01-01T00:00:00Z"]), Some(3));
    let wrong = site.conveyor(&["runs", "list", "--since", "yesterday"]);
    refused(&wrong, &["how long ago"]);
}

#[test]
fn namespaces_have_labels_and_objects_are_listed_by_when_they_were_made() {
    let mut site = Site::new(&[("p.yaml", &pipeline("p", 1))]);
    let _server = site.serve();
    let create = ["namespaces", "create", "team", "-l", "of=shop"];
    let made = site.conveyor(&[&create[..], &["--annotation", "contact=ann"]].concat());
    assert_eq!(made.status, 0, "{}", made.err);
    let shown = || told(&site, &["namespaces", "show", "team"]);
    assert_eq!(shown()["labels"], json!({"of": "shop"}));
    assert_eq!(shown()["annotations"], json!({"contact": "ann"}));
    let names = |args: &[&str]| {
        let rows = told(&site, args);
        let rows = rows.as_array().into_iter().flatten();
        let names = rows.map(|row| row["name"].as_str().expect("a name").to_owned());
        names.collect::<Vec<_>>()
    };
    assert_eq!(names(&["namespaces", "list", "-l", "of=shop"]), ["team"]);
    // What it gets takes the place of all that it has.
    let set = ["namespaces", "set", "team", "-l", "of=office"];
    assert_eq!(told(&site, &set)["changed"], true);
    assert_eq!(told(&site, &set)["unchanged"], true);
    assert_eq!(shown()["labels"], json!({"of": "office"}));
    assert_eq!(shown()["annotations"], json!({}));
    assert!(names(&["namespaces", "list", "-l", "of=shop"]).is_empty());
    let always = site.conveyor(&["namespaces", "set", "default", "-l", "of=shop"]);
    refused(&always, &["`default`", "neither labels"]);
    // By REST, as it was read.
    let etag = shown()["etag"].as_str().expect("an etag").to_owned();
    let put = |etag: &str| {
        let headers = [
            ("content-type", "application/json"),
            ("if-match", &format!("\"{etag}\"")),
        ];
        let body = json!({"labels": {"of": "home"}}).to_string();
        send(&site, "POST", "/v1/namespaces/team", &headers, &body)
    };
    let answer = put(&etag);
    assert_eq!(answer.status, 200, "{}", answer.body);
    let labels = &answer.body["namespace"]["metadata"]["labels"];
    assert_eq!(*labels, json!({"of": "home"}));
    assert_eq!(put(&etag).status, 412);

    assert_eq!(site.conveyor(&["apply", "-f", "p.yaml"]).status, 0);
    for (kind, all) in [
        ("pipelines", &["p"][..]),
        ("namespaces", &["team"]),
        ("definitions", &[]),
        ("resources", &[]),
    ] {
        assert_eq!(names(&[kind, "list", "--since", "1h"]), all, "{kind}");
        assert!(names(&[kind, "list", "--until", "1h"]).is_empty(), "{kind}");
        let path = format!("/v1/{kind}?created_from_ms=0&created_before_ms=1000");
        let none = get(&site, &path);
        assert_eq!(none.body[kind], json!([]), "{}", none.body);
    }
    let drivers = get(&site, "/v1/drivers?created_from_ms=0");
    assert_eq!(drivers.status, 400, "{}", drivers.body);
}

#[test]
fn revisions_are_listed_and_named_by_a_part_of_their_digest() {
    let mut site = Site::new(&[
        ("old.yaml", &pipeline("p", 1)),
        ("new.yaml", &pipeline("p", 2)),
    ]);
    let _server = site.serve();
    for file in ["old.yaml", "new.yaml"] {
        assert_eq!(site.conveyor(&["apply", "-f", file]).status, 0);
    }
    let revisions = told(&site, &["pipelines", "revisions", "p"]);
    assert_eq!(revisions[0]["revision"], 2, "{revisions:#}");
    assert_eq!(revisions[0]["current"], true);
    let old = revisions[1]["digest"].as_str().expect("a digest");
    let table = site.conveyor(&["pipelines", "revisions", "p"]);
    assert!(table.out.contains(&old[..12]), "{}", table.out);
    let part = &old[..12];
    let shown = told(&site, &["pipelines", "show", "--digest", part]);
    assert_eq!(
        (&shown["name"], &shown["revision"]),
        (&json!("p"), &json!(1))
    );
    assert_eq!(
        told(&site, &["pipelines", "show", "p", "--digest", part]),
        shown
    );
    let run = told(&site, &["start", "p", "--digest", part]);
    let run = site.ended(run["id"].as_str().expect("an id"));
    assert_eq!(run["digest"], old);
    for path in ["/v1/revisions/", "/v1/pipelines/p?digest="] {
        let found = get(&site, &format!("{path}{part}"));
        assert_eq!(
            found.body["pipeline"]["digest"], old,
            "{path}: {}",
            found.body
        );
    }
    let paged = get(&site, "/v1/pipelines/p/revisions?page_size=1");
    assert_eq!(paged.body["revisions"][0]["revision"], 2, "{}", paged.body);
    assert_eq!(paged.body["next_page_token"], "revisions/2");
    refused(
        &site.conveyor(&["pipelines", "show", "--digest", &old[..7]]),
        &["at least 8"],
    );
}

#[test]
fn the_doctor_refuses_what_a_server_would() {
    let dir = files(&[
        ("open.toml", "listen = \"0.0.0.0:7420\"\n"),
        ("half.toml", "[tls]\ncert = \"server.pem\"\n"),
        (
            "other.toml",
            "[tls]\ncert = \"server.pem\"\nkey = \"other.key\"\n",
        ),
        (
            "well.toml",
            "listen = \"127.0.0.1:0\"\n[tls]\ncert = \"server.pem\"\nkey = \"server.key\"\n",
        ),
    ]);
    let authority = Authority::new();
    authority.sign(dir.path(), "server", "localhost");
    authority.sign(dir.path(), "other", "localhost");
    let doctor = |config: &str| {
        conveyor(
            dir.path(),
            &["doctor", "--config", config, "--data-dir", "data"],
        )
    };
    let serve = |config: &str| {
        conveyor(
            dir.path(),
            &["serve", "--config", config, "--data-dir", "data"],
        )
    };
    for (config, words) in [
        ("open.toml", "can be reached from other machines"),
        ("half.toml", "belong together"),
        ("other.toml", "wrong    tls: "),
    ] {
        let looked = doctor(config);
        assert_eq!(looked.status, 1, "{config}: {}", looked.out);
        assert!(looked.out.contains(words), "{config}: {}", looked.out);
        assert_eq!(serve(config).status, 2, "{config}");
    }
    let well = doctor("well.toml");
    assert_eq!(well.status, 0, "{}", well.out);
    assert!(!well.out.contains("environment"), "{}", well.out);
    let misspelt = Command::new(env!("CARGO_BIN_EXE_conveyor"))
        .args(["doctor", "--config", "well.toml", "--data-dir", "data"])
        .current_dir(dir.path())
        .env("CONVEYOR_DRIAN", "10s")
        .output()
        .expect("it starts");
    let told = String::from_utf8_lossy(&misspelt.stdout);
    let words = "warning  environment: CONVEYOR_DRIAN is no setting";
    assert!(told.contains(words), "{told}");
    // One wrong byte in the journal of a directory that nobody holds.
    std::fs::write(dir.path().join("p.yaml"), pipeline("p", 1)).expect("it is writable");
    let ran = conveyor(dir.path(), &["run", "p.yaml", "--data-dir", "data"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let whole = doctor("well.toml");
    assert!(
        whole.out.contains("store: all of its files can be read"),
        "{}",
        whole.out
    );
    let journal = dir.path().join("data/store/0.jnl");
    let mut bytes = std::fs::read(&journal).expect("it is there");
    bytes[100] ^= 1;
    std::fs::write(&journal, &bytes).expect("it is writable");
    let damaged = doctor("well.toml");
    assert_eq!(damaged.status, 1, "{}", damaged.out);
    assert!(damaged.out.contains("0.jnl"), "{}", damaged.out);
    assert_eq!(
        std::fs::read(&journal).expect("it is there"),
        bytes,
        "it only looks"
    );
    assert_eq!(serve("well.toml").status, 2);
}

fn at(dir: &Path, url: &str, args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_conveyor"))
        .args(args)
        .current_dir(dir)
        .env("CONVEYOR_URL", url)
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), said)
}

#[test]
fn a_server_is_named_as_its_drivers_name_it() {
    let mut site = Site::new(&[]);
    let mut server = site.serve();
    let data = site.dir.path().join("data");
    for url in [
        format!("unix:{}", data.display()),
        format!("unix://{}", data.join("control.sock").display()),
    ] {
        let (status, said) = at(site.dir.path(), &url, &["runs", "list"]);
        assert_eq!(status, Some(0), "{url}: {said}");
    }
    let (status, said) = at(site.dir.path(), "ftp://x", &["runs", "list"]);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("unix:PATH"), "{said}");
    server.kill();
    let url = format!("unix:{}", data.display());
    let (status, said) = at(site.dir.path(), &url, &["runs", "list"]);
    assert_eq!(status, Some(3), "{said}");
    // A setting that is none is told of.
    let mut command = Command::new(env!("CARGO_BIN_EXE_conveyor"));
    command
        .args(["serve", "--data-dir", "data", "--listen", "127.0.0.1:0"])
        .current_dir(site.dir.path())
        .env("NO_COLOR", "1")
        .env("CONVEYOR_DRIAN", "10s");
    let mut again = crate::site::Background::start(&mut command);
    again.line(&["CONVEYOR_DRIAN is no setting"]);
    again.line(&["listening"]);
    again.signal(rustix::process::Signal::TERM);
    again.line(&["ended: no run is live"]);
    assert_eq!(again.end(), 0);
}

const CHANGED: &str = "\
apiVersion: conveyor/v1
kind: ResourceDefinition
metadata: {name: application}
schema: {type: object, properties: {image: {type: string}}}
---
apiVersion: conveyor/v1
kind: Pipeline
metadata: {name: deploy}
spec:
  resource: application
  triggers: [{id: changed, resource: {events: [created]}}]
  steps: [{id: a, transform: {x: 1}}]
---
apiVersion: conveyor/v1
kind: Resource
metadata: {name: web}
definition: application
spec: {image: shop}
";

#[test]
fn apply_tells_what_it_started_and_which_object_it_refuses() {
    let wrong = "apiVersion: conveyor/v1\nkind: Resource\nmetadata: {name: web}\ndefinition: \
                 application\nspec: {image: 4}\n";
    let mut site = Site::new(&[
        ("all.yaml", CHANGED),
        ("wrong.yaml", wrong),
        (
            "zork.yaml",
            "apiVersion: conveyor/v1\nkind: Zork\nmetadata: {name: x}\n",
        ),
        (
            "lost.yaml",
            &pipeline("x", 1).replace("name: x", "name: x, namespace: nowhere"),
        ),
        (
            "none.yaml",
            "apiVersion: conveyor/v1\nkind: Pipeline\nmetadata: {name: x}\nspec: {}\n",
        ),
    ]);
    let _server = site.serve();
    // Its definition is not there yet: that it is not checked is not silence.
    let checked = site.conveyor(&["apply", "-f", "all.yaml", "--check"]);
    let [.., last] = checked.out.lines().collect::<Vec<_>>()[..] else {
        panic!("nothing is told: {}", checked.err)
    };
    assert!(
        last.contains("application/web  checked after its definition"),
        "{last}"
    );
    assert!(!checked.out.contains("STARTED"), "{}", checked.out);
    let applied = site.conveyor(&["apply", "-f", "all.yaml"]);
    assert_eq!(applied.status, 0, "{}", applied.err);
    let run = told(&site, &["runs", "list"])[0]["id"].clone();
    let run = run.as_str().expect("it started one");
    assert!(applied.out.contains(run), "{}", applied.out);
    let shown = site.conveyor(&["runs", "show", run]);
    assert!(
        shown.out.contains("application/web version 1"),
        "{}",
        shown.out
    );
    refused(
        &site.conveyor(&["apply", "-f", "wrong.yaml"]),
        &["wrong.yaml: resource default/application/web: /spec/image"],
    );
    refused(
        &site.conveyor(&["apply", "-f", "zork.yaml"]),
        &["zork.yaml:2:", "Pipeline, Resource, ResourceDefinition"],
    );
    refused(
        &site.conveyor(&["apply", "-f", "lost.yaml"]),
        &["lost.yaml: pipeline nowhere/x: there is no namespace `nowhere`"],
    );
    let none = site.conveyor(&["apply", "-f", "none.yaml"]);
    refused(&none, &["it is not stored"]);
    assert!(!none.err.contains("started"), "{}", none.err);
}

#[test]
fn what_cannot_be_read_is_refused_with_what_is_taken() {
    let mut site = Site::new(&[]);
    let _server = site.serve();
    let run = get(&site, "/v1/runs/xxxx");
    assert_eq!(run.status, 400, "{}", run.body);
    assert!(run.body.to_string().contains("hexadecimal"), "{}", run.body);
    let wait = post(&site, "/v1/runs?wait=abc", &json!({}));
    assert_eq!(wait.status, 400, "{}", wait.body);
    assert!(
        wait.body.to_string().contains("at most 60s"),
        "{}",
        wait.body
    );
    let made = site.conveyor(&["tokens", "create", "--scope", "client"]);
    assert_eq!(made.status, 0, "{}", made.err);
    assert!(!made.err.contains(" of token"), "{}", made.err);
}
