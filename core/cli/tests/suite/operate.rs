//! Operating a server: configuration, a stop, retention, a look at what is wrong.

use crate::program::{Ended, conveyor};
use crate::serve::GATED;
use crate::site::{PATIENCE, Site};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

pub(crate) const QUICK: &str = "\
name: quick
steps:
  - {id: only, driver: exec, with: {run: echo quick}}
";

pub(crate) fn json(ended: &Ended) -> Value {
    serde_json::from_str(&ended.out).unwrap_or_else(|_| panic!("{}{}", ended.out, ended.err))
}

/// The program with a variable of the environment.
fn with_variable(dir: &Path, args: &[&str], name: &str, value: &str) -> Ended {
    let output = Command::new(env!("CARGO_BIN_EXE_conveyor"))
        .args(args)
        .current_dir(dir)
        .env(name, value)
        .output()
        .expect("it starts");
    Ended {
        status: output.status.code().expect("no signal ended it"),
        out: String::from_utf8(output.stdout).expect("UTF-8"),
        err: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

#[test]
fn a_server_is_configured_by_its_file_and_says_what_is_wrong_with_it() {
    let text = "drain = \"7s\"\n[retention]\nfailed = \"90d\"\n[exec]\ncapacity = 2\n";
    let mut site = Site::new(&[
        ("conveyor.toml", text),
        ("wrong.toml", "drian = \"7s\"\n"),
        ("quick.yaml", QUICK),
    ]);
    let shown = conveyor(
        site.dir.path(),
        &[
            "serve",
            "--config",
            "conveyor.toml",
            "--drain",
            "8",
            "--print-config",
        ],
    );
    assert_eq!(shown.status, 0, "{}", shown.err);
    for line in [
        "drain = \"8s\"  # --drain\n",
        "failed = \"90d\"  # conveyor.toml:3:10\n",
        "succeeded = \"never\"  # default\n",
    ] {
        assert!(shown.out.contains(line), "{line}\n{}", shown.out);
    }
    let of = with_variable(
        site.dir.path(),
        &["serve", "--print-config"],
        "CONVEYOR_CONFIG",
        "conveyor.toml",
    );
    assert!(
        of.out.contains("drain = \"7s\"  # conveyor.toml:1:9\n"),
        "{}{}",
        of.out,
        of.err
    );
    let wrong = conveyor(
        site.dir.path(),
        &["serve", "--config", "wrong.toml", "--data-dir", "never"],
    );
    assert_eq!(wrong.status, 2);
    assert!(
        wrong.err.contains("wrong.toml:1:1: ") && wrong.err.contains("`drain`"),
        "{}",
        wrong.err
    );
    assert!(
        !site.dir.path().join("never").exists(),
        "it touched nothing"
    );
    // `exec.capacity` of the file is what it runs with.
    let _server = site.serve_with("data", &["--config", "conveyor.toml"]);
    let run = site.start("quick.yaml");
    assert_eq!(site.ended(&run)["state"], "succeeded");
}

#[test]
fn what_help_says_of_default_paths_is_where_things_are() {
    let site = Site::new(&[("quick.yaml", QUICK)]);
    let dir = site.dir.path();
    let help = conveyor(dir, &["serve", "--help"]).out;
    let unwrapped = help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        unwrapped.contains("`$XDG_STATE_HOME/conveyor`, else `~/.local/state/conveyor`"),
        "{help}"
    );
    let shown = conveyor(dir, &["serve", "--print-config"]).out;
    assert!(
        help.contains("127.0.0.1:7420") && shown.contains("listen = \"127.0.0.1:7420\"  # default"),
        "{shown}"
    );
    for (state, path) in [(true, "state/conveyor"), (false, ".local/state/conveyor")] {
        let mut run = Command::new(env!("CARGO_BIN_EXE_conveyor"));
        run.args(["run", "quick.yaml"])
            .current_dir(dir)
            .env("HOME", dir);
        match state {
            true => run.env("XDG_STATE_HOME", dir.join("state")),
            false => run.env_remove("XDG_STATE_HOME"),
        };
        assert!(run.output().expect("it starts").status.success());
        assert!(dir.join(path).join("format").exists(), "{path}");
    }
}

#[test]
fn two_servers_on_one_machine_share_nothing() {
    let mut one = Site::new(&[("quick.yaml", QUICK)]);
    let mut two = Site::new(&[("quick.yaml", QUICK)]);
    let _first = one.serve_with("data", &["--exec", "1"]);
    let _second = two.serve_with("data", &["--exec", "1"]);
    assert_ne!(one.url, two.url);
    let run = one.start("quick.yaml");
    assert_eq!(one.ended(&run)["state"], "succeeded");
    let unknown = two.conveyor(&["runs", "show", &run]);
    assert_eq!(unknown.status, 2, "{}", unknown.err);
    let listed = two.conveyor(&["runs", "list", "-o", "json"]);
    assert_eq!(json(&listed).as_array().map(Vec::len), Some(0));
}

#[test]
fn a_stop_waits_for_tasks_of_the_process_until_its_deadline_and_a_second_signal_ends_it_at_once() {
    let mut site = Site::new(&[("gated.yaml", GATED)]);
    let mut server = site.serve_with("data", &["--exec", "1", "--drain", "1"]);
    let run = site.start("gated.yaml");
    site.until(&run, "running", |_| site.log(&run).contains("begun"));
    server.signal(rustix::process::Signal::TERM);
    server.line(&["told to end", "drain_s=1"]);
    server.line(&["cut off"]);
    server.line(&["ended", "live_runs=1"]);
    assert_eq!(server.end(), 0);
    let mut server = site.serve_with("data", &["--exec", "1", "--drain", "600"]);
    site.until(&run, "begun again", |_| {
        site.log(&run).matches("begun").count() == 2
    });
    server.signal(rustix::process::Signal::TERM);
    server.line(&["told to end"]);
    let began = Instant::now();
    server.signal(rustix::process::Signal::TERM);
    server.line(&["told again"]);
    assert_eq!(server.end(), 0);
    assert!(
        began.elapsed() < PATIENCE,
        "it did not wait for its deadline"
    );
    let _server = site.serve_with("data", &["--exec", "1"]);
    std::fs::write(site.dir.path().join("go"), "").expect("it is writable");
    assert_eq!(site.ended(&run)["state"], "succeeded");
}

#[test]
fn a_run_is_deleted_by_its_id_and_by_its_age() {
    let text = "[retention]\nfailed = \"1s\"\ninterval = \"1s\"\n";
    let bad = "name: bad\nsteps:\n  - {id: only, driver: exec, with: {run: exit 3}}\n";
    let mut site = Site::new(&[
        ("conveyor.toml", text),
        ("quick.yaml", QUICK),
        ("gated.yaml", GATED),
        ("bad.yaml", bad),
    ]);
    let _server = site.serve_with("data", &["--exec", "4", "--config", "conveyor.toml"]);
    let (quick, bad, gated) = (
        site.start("quick.yaml"),
        site.start("bad.yaml"),
        site.start("gated.yaml"),
    );
    assert_eq!(site.ended(&quick)["state"], "succeeded");
    let refused = site.conveyor(&["runs", "delete", &gated]);
    assert_eq!(refused.status, 2);
    assert!(
        refused.err.contains(&gated) && refused.err.contains("conveyor terminate"),
        "{}",
        refused.err
    );
    // Nothing is done where one of them is not there, or has not ended.
    for other in ["00001111", &gated] {
        let none = site.conveyor(&["runs", "delete", &quick, other]);
        assert!(
            none.status == 2 && none.out.is_empty(),
            "{}{}",
            none.out,
            none.err
        );
        assert_eq!(site.show(&quick)["state"], "succeeded");
    }
    let deleted = site.conveyor(&["runs", "delete", &quick]);
    assert_eq!(
        (deleted.status, deleted.out),
        (0, format!("run {quick} deleted\n")),
        "{}",
        deleted.err
    );
    for verb in ["show", "delete"] {
        let gone = site.conveyor(&["runs", verb, &quick]);
        assert!(
            gone.status == 2 && gone.err.contains("there is no run"),
            "{}",
            gone.err
        );
    }
    assert_eq!(site.ended(&bad)["state"], "failed");
    let rest = crate::rest::http(&site.url, "DELETE", &format!("/v1/runs/{gated}"), "", "");
    assert_eq!(rest.status, 409, "{}", rest.body);
    std::fs::write(site.dir.path().join("go"), "").expect("it is writable");
    site.ended(&gated);
    let rest = crate::rest::http(&site.url, "DELETE", &format!("/v1/runs/{gated}"), "", "");
    assert_eq!(rest.status, 200, "{}", rest.body);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let listed = json(&site.conveyor(&["runs", "list", "-o", "json"]));
        if listed.as_array().is_some_and(Vec::is_empty) {
            break;
        }
        assert!(
            Instant::now() < deadline,
            "it is of age and still there: {listed:#}"
        );
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
}

/// The findings of a check, and the exit status.
fn findings(ended: &Ended, check: &str) -> Vec<Value> {
    let report = json(ended);
    assert_eq!(report["ok"], ended.status == 0, "{report:#}");
    let all = report["findings"].as_array().expect("a list").clone();
    all.into_iter()
        .filter(|finding| finding["check"] == check)
        .collect()
}

#[test]
fn the_doctor_finds_nothing_wrong_with_a_server_and_its_driver_and_names_what_is_missing() {
    let other = "name: other\nsteps:\n  - {id: only, driver: mainframe, with: {}}\n";
    let mut site = Site::new(&[("quick.yaml", QUICK), ("other.yaml", other)]);
    let _server = site.serve();
    let _driver = site.driver();
    assert_eq!(site.conveyor(&["apply", "-f", "quick.yaml"]).status, 0);
    let well = site.conveyor(&["doctor"]);
    assert_eq!(well.status, 0, "{}{}", well.out, well.err);
    assert!(well.out.contains("ok       drivers: "), "{}", well.out);
    assert_eq!(site.conveyor(&["apply", "-f", "other.yaml"]).status, 0);
    let ill = conveyor(
        site.dir.path(),
        &["doctor", "--data-dir", "data", "-o", "json"],
    );
    assert_eq!(ill.status, 1, "{}{}", ill.out, ill.err);
    let missing = findings(&ill, "drivers");
    assert_eq!(missing.len(), 1);
    let said = missing[0]["found"].as_str().unwrap_or_default();
    assert!(
        said.contains("`mainframe`") && said.contains("default/other"),
        "{said}"
    );
    let held = findings(&ill, "data directory");
    assert!(
        held[0]["found"]
            .as_str()
            .unwrap_or_default()
            .contains("held by process"),
        "{held:?}"
    );
    assert_eq!(findings(&ill, "sync").len(), 1);
    let away = site.conveyor(&["doctor", "-o", "json"]);
    assert_eq!(
        findings(&away, "data directory").len(),
        0,
        "a server elsewhere has its own"
    );
}

#[test]
fn the_doctor_says_what_is_wrong_before_a_server_is_started() {
    let site = Site::new(&[("quick.yaml", QUICK)]);
    let dir = site.dir.path();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it has one").to_string();
    let text = format!("listen = \"{address}\"\n[secrets]\ndirectory = \"nowhere\"\n");
    std::fs::write(dir.join("conveyor.toml"), text).expect("it is writable");
    assert_eq!(
        conveyor(dir, &["run", "quick.yaml", "--data-dir", "data"]).status,
        0
    );
    std::fs::set_permissions(dir.join("data"), std::fs::Permissions::from_mode(0o755))
        .expect("it is ours");
    let args = [
        "doctor",
        "--data-dir",
        "data",
        "--config",
        "conveyor.toml",
        "-o",
        "json",
    ];
    let ill = conveyor(dir, &args);
    assert_eq!(ill.status, 1, "{}{}", ill.out, ill.err);
    for (check, words, advice) in [
        ("mode", "755", "chmod 700"),
        ("port", address.as_str(), "`listen`"),
        ("secrets.directory", "nowhere", "correct the path"),
    ] {
        let found = findings(&ill, check);
        assert_eq!(found.len(), 1, "{check}");
        assert_eq!(found[0]["state"], "wrong", "{found:?}");
        assert!(
            found[0]["found"]
                .as_str()
                .unwrap_or_default()
                .contains(words),
            "{found:?}"
        );
        assert!(
            found[0]["advice"]
                .as_str()
                .unwrap_or_default()
                .contains(advice),
            "{found:?}"
        );
    }
    std::fs::write(dir.join("conveyor.toml"), "[log]\nlevle = \"info\"\n").expect("it is writable");
    let wrong = findings(&conveyor(dir, &args), "configuration");
    assert!(
        wrong[0]["found"]
            .as_str()
            .unwrap_or_default()
            .contains("conveyor.toml:2:1"),
        "{wrong:?}"
    );
    std::fs::create_dir(dir.join("others")).expect("it is writable");
    std::fs::write(dir.join("others/things"), "").expect("it is writable");
    let other = conveyor(dir, &["doctor", "--data-dir", "others", "-o", "json"]);
    assert_eq!(findings(&other, "data directory")[0]["state"], "wrong");
    assert_eq!(
        std::fs::read_dir(dir.join("others"))
            .expect("it is there")
            .count(),
        1,
        "nothing was made there"
    );
    let nobody = conveyor(
        dir,
        &[
            "doctor",
            "--server",
            &format!("http://{address}"),
            "-o",
            "json",
        ],
    );
    drop(taken);
    assert_eq!(nobody.status, 1);
    assert_eq!(findings(&nobody, "server")[0]["state"], "wrong");
}
