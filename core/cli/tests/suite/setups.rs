//! Set-ups that are wrong: what `serve`, `doctor` and verbs say of each.

use crate::auth::with_tls;
use crate::program::{Ended, conveyor, files};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output};

const QUICK: &str = "\
name: quick
steps:
  - {id: only, driver: exec, with: {run: echo quick}}
";

fn ended(output: Output) -> Ended {
    Ended {
        status: output.status.code().expect("no signal ended it"),
        out: String::from_utf8(output.stdout).expect("UTF-8"),
        err: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

/// The program with variables of the environment.
fn with(dir: &Path, args: &[&str], variables: &[(&str, &str)]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conveyor"));
    command.args(args).current_dir(dir);
    command.envs(variables.iter().copied());
    ended(command.output().expect("it starts"))
}

/// The finding of a check: its state, and what was found and is advised.
fn finding(ended: &Ended, check: &str) -> (String, String) {
    let report: Value =
        serde_json::from_str(&ended.out).unwrap_or_else(|_| panic!("{}{}", ended.out, ended.err));
    let all = report["findings"].as_array().expect("a list");
    let found = all.iter().find(|finding| finding["check"] == check);
    let found = found.unwrap_or_else(|| panic!("no {check}: {report:#}"));
    let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    (
        text("state"),
        format!("{}; {}", text("found"), text("advice")),
    )
}

#[test]
fn a_level_that_is_none_is_refused_and_the_doctor_says_so() {
    let dir = files(&[("warning.toml", "[log]\nlevel = \"warning\"\n")]);
    let serve = ["serve", "--data-dir", "data", "--listen", "127.0.0.1:0"];
    let file = [&serve[..], &["--config", "warning.toml"]].concat();
    for (args, variables, place) in [
        (
            &file[..],
            &[][..],
            "warning.toml:2:9: `log.level` is \"warning\"",
        ),
        (
            &serve[..],
            &[("CONVEYOR_LOG_LEVEL", "blah")][..],
            "CONVEYOR_LOG_LEVEL: `log.level` is `blah`",
        ),
    ] {
        let refused = with(dir.path(), args, variables);
        assert_eq!(refused.status, 2, "{}", refused.err);
        for words in [place, "error, warn, info, debug, trace or off"] {
            assert!(refused.err.contains(words), "{words}: {}", refused.err);
        }
    }
    let doctor = ["doctor", "--config", "warning.toml", "-o", "json"];
    let ill = conveyor(dir.path(), &doctor);
    let (state, said) = finding(&ill, "configuration");
    assert_eq!((ill.status, state.as_str()), (1, "wrong"), "{said}");
    assert!(said.contains("`log.level`"), "{said}");
}

#[test]
fn every_verb_finds_the_directory_that_the_environment_names() {
    let dir = files(&[("quick.yaml", QUICK)]);
    let variables = [("CONVEYOR_DATA_DIR", "named"), ("CONVEYOR_URL", "")];
    let run = with(dir.path(), &["run", "quick.yaml"], &variables);
    assert_eq!(run.status, 0, "{}", run.err);
    assert!(dir.path().join("named/format").exists());
    let listed = |args: &[&str], variables: &[(&str, &str)]| {
        with(dir.path(), &[&["runs", "list"], args].concat(), variables)
    };
    assert!(listed(&[], &variables).out.contains("quick"));
    let backup = with(dir.path(), &["backup", "all.backup"], &variables);
    assert_eq!(backup.status, 0, "{}", backup.err);
    let doctor = with(dir.path(), &["doctor", "-o", "json"], &variables);
    let (_, said) = finding(&doctor, "data directory");
    assert!(said.contains("named"), "{said}");
    // The command line goes first, then the address, then the directory.
    let other = listed(&["--data-dir", "other"], &variables);
    assert!(
        other.err.contains("there is no data directory other"),
        "{}",
        other.err
    );
    let closed = "http://127.0.0.1:1";
    let server = listed(&["--server", closed], &variables);
    assert_eq!(server.status, 3, "{}", server.err);
    let both = [("CONVEYOR_DATA_DIR", "named"), ("CONVEYOR_URL", closed)];
    assert_eq!(listed(&[], &both).status, 3);
    assert_eq!(listed(&["--data-dir", "named"], &both).status, 0);
}

#[test]
fn a_certificate_that_has_ended_is_told_by_doctor_and_server() {
    let (mut site, server, authority) = with_tls(&[]);
    drop(server);
    let folder = site.dir.path().to_owned();
    let text = "[tls]\ncert = \"server.pem\"\nkey = \"server.key\"\n";
    std::fs::write(folder.join("conveyor.toml"), text).expect("it is writable");
    let args = [
        "doctor",
        "--config",
        "conveyor.toml",
        "--data-dir",
        "data",
        "-o",
        "json",
    ];
    let well = finding(&conveyor(&folder, &args), "tls");
    assert_eq!(well.0, "ok", "{}", well.1);
    authority.sign_until(&folder, "server", "localhost", 2001);
    let ill = conveyor(&folder, &args);
    let (state, said) = finding(&ill, "tls");
    assert_eq!((ill.status, state.as_str()), (1, "wrong"), "{said}");
    assert!(
        said.contains("ended at 2001-01-01") && said.contains("renew"),
        "{said}"
    );
    site.url = String::new();
    let tls = ["--tls-cert", "server.pem", "--tls-key", "server.key"];
    let mut server = site.serve_with("data", &tls);
    // It was said before the line by which the address is known.
    server.kill();
    let said = server.rest();
    assert!(
        said.contains("WARN") && said.contains("the certificate ended at 2001-01-01"),
        "{said}"
    );
}

/// The program as a user who owns nothing here.
fn as_other(dir: &Path, args: &[&str]) -> Ended {
    // Where it was built others may not come.
    let program = dir.join("conveyor");
    if !program.exists() {
        std::fs::copy(env!("CARGO_BIN_EXE_conveyor"), &program).expect("it is writable");
    }
    let mut command = Command::new(program);
    command.args(args).current_dir(dir);
    if rustix::process::geteuid().is_root() {
        command.uid(65534).gid(65534);
    }
    ended(command.output().expect("it starts"))
}

#[test]
fn a_directory_that_cannot_be_made_or_read_is_called_so() {
    let dir = files(&[]);
    let dir = dir.path();
    let mode = |path: &Path, mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(path, mode).expect("it is ours");
    };
    mode(dir, 0o755);
    for (name, bits) in [("fixed", 0o555), ("closed", 0o300)] {
        std::fs::create_dir(dir.join(name)).expect("it is writable");
        mode(&dir.join(name), bits);
    }
    for (place, words) in [
        ("fixed/new", "cannot be made in fixed: Permission denied"),
        ("closed", "closed cannot be read: Permission denied"),
    ] {
        let ill = as_other(dir, &["doctor", "--data-dir", place, "-o", "json"]);
        let (state, said) = finding(&ill, "data directory");
        assert_eq!((ill.status, state.as_str()), (1, "wrong"), "{said}");
        assert!(said.contains(words), "{said}");
    }
    let args = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        "fixed/new",
    ];
    let refused = as_other(dir, &args);
    assert_eq!(refused.status, 2, "{}", refused.err);
    assert!(
        refused.err.contains("let this user make") && !refused.err.contains("end that process"),
        "{}",
        refused.err
    );
    mode(&dir.join("closed"), 0o700);
}

#[test]
fn a_server_says_what_to_do_about_its_directory_and_the_doctor_about_a_token() {
    let format = "conveyor data directory, format 99\n";
    let dir = files(&[]);
    for (place, file, text) in [("newer", "format", format), ("other", "things", "")] {
        std::fs::create_dir(dir.path().join(place)).expect("it is writable");
        std::fs::write(dir.path().join(place).join(file), text).expect("it is writable");
    }
    for (place, advice) in [
        ("newer", "use the release that wrote it"),
        ("other", "use another --data-dir"),
    ] {
        let args = ["serve", "--listen", "127.0.0.1:0", "--data-dir", place];
        let refused = conveyor(dir.path(), &args);
        assert_eq!(refused.status, 2, "{}", refused.err);
        assert!(
            refused.err.contains(advice) && !refused.err.contains("end that process"),
            "{}",
            refused.err
        );
    }
    let mut site = crate::site::Site::new(&[]);
    let _server = site.serve_with("data", &["--auth-required"]);
    let nobody = site.conveyor(&["doctor", "-o", "json"]);
    let (state, said) = finding(&nobody, "server");
    assert_eq!(state, "wrong");
    assert!(
        said.contains("--token-file") && !said.contains("start `conveyor serve`"),
        "{said}"
    );
}

#[test]
fn a_server_that_wants_a_certificate_or_is_silent_is_told_from_one_that_is_not_there() {
    let (site, server, _authority) = with_tls(&["--tls-client-ca", "ca.pem"]);
    let folder = site.dir.path();
    let args = ["runs", "list", "--server", &site.url, "--ca", "ca.pem"];
    let refused = conveyor(folder, &args);
    assert_eq!(refused.status, 3, "{}", refused.err);
    assert!(
        refused.err.contains("CONVEYOR_CLIENT_CERT") && !refused.err.contains("start one"),
        "{}",
        refused.err
    );
    let args = [
        "doctor", "--server", &site.url, "--ca", "ca.pem", "-o", "json",
    ];
    let (state, said) = finding(&conveyor(folder, &args), "server");
    assert_eq!(state, "wrong");
    assert!(
        said.contains("CONVEYOR_CLIENT_CERT") && !said.contains("start `conveyor serve`"),
        "{said}"
    );
    drop(server);
    // Connections wait to be accepted, and nobody answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = silent.local_addr().expect("it has one");
    let url = format!("http://{address}");
    let silence = conveyor(folder, &["runs", "list", "--server", &url]);
    assert_eq!(silence.status, 3, "{}", silence.err);
    assert!(
        silence.err.contains("does not answer within 10 s") && !silence.err.contains("TLS"),
        "{}",
        silence.err
    );
}

#[test]
fn only_a_document_makes_a_directory_for_start_and_instants_are_written_as_such() {
    let dir = files(&[("quick.yaml", QUICK)]);
    let nope = conveyor(dir.path(), &["start", "nope", "--data-dir", "new"]);
    assert_eq!(nope.status, 2, "{}", nope.err);
    assert!(!dir.path().join("new").exists(), "{}", nope.err);
    let start = ["start", "-f", "quick.yaml", "--data-dir", "new"];
    assert_eq!(conveyor(dir.path(), &start).status, 0);
    let told = |args: &[&str]| {
        let done = conveyor(dir.path(), &[args, &["-o", "json"]].concat());
        assert_eq!(done.status, 0, "{}", done.err);
        let value: Value = serde_json::from_str(&done.out).expect("JSON");
        match value {
            Value::Array(mut all) => all.remove(0),
            one => one,
        }
    };
    for args in [
        &["backup", "all.backup", "--data-dir", "new"][..],
        &["restore", "all.backup", "--data-dir", "again"],
    ] {
        let at = told(args)["created_at"].clone();
        assert!(
            at.as_str().is_some_and(|at| at.ends_with('Z')),
            "{args:?}: {at}"
        );
    }
    let create = ["tokens", "create", "--scope", "client", "--data-dir", "new"];
    assert_eq!(conveyor(dir.path(), &create).status, 0);
    let token = told(&["tokens", "list", "--data-dir", "new"]);
    assert!(
        token["created_at"].is_string() && token.get("created_ms").is_none(),
        "{token}"
    );
}
