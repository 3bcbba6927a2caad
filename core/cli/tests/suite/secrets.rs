//! Secrets, from their provider to the driver, and nowhere else.

use crate::program::conveyor_with;
use crate::raw::{Raw, talk};
use crate::site::{Background, Site};
use conveyor_proto::v1;
use conveyor_proto::v1::session_request::Message as Tell;
use conveyor_proto::v1::session_response::Message as Told;
use std::path::Path;

/// Neither the value nor a form of it stands in a document of this test.
const VALUE: &str = "s3cr3t value/+&7Q";

/// All that may not be found anywhere.
const FORMS: [&str; 6] = [
    VALUE,
    "czNjcjN0IHZhbHVlLysmN1",
    "s3cr3t%20value%2F%2B%267Q",
    "s3cr3t%20value%2f%2b%267Q",
    "s3cr3t+value%2F%2B%267Q",
    "value/+&7Q",
];

fn pipeline(from: &str, driver: &str, with: &str) -> String {
    format!(
        "\
apiVersion: conveyor/v1
kind: Pipeline
metadata: {{name: secrets}}
spec:
  secrets: [{{name: token, from: '{from}'}}]
  steps:
    - id: use
      driver: {driver}
      secrets: {{TOKEN: token}}
      with: {with}
"
    )
}

/// A site with the secret in a file, and its server.
fn site(pipelines: &[(&str, &str)]) -> (Site, Background) {
    let mut site = Site::new(pipelines);
    let secrets = site.dir.path().join("secrets");
    std::fs::create_dir(&secrets).expect("a directory");
    std::fs::write(secrets.join("token"), format!("{VALUE}\n")).expect("it is writable");
    let server = site.serve_with("data", &["--secrets-dir", "secrets"]);
    (site, server)
}

/// Every file below.
fn each(place: &Path, seen: &mut impl FnMut(&Path, &[u8])) {
    for entry in std::fs::read_dir(place).expect("it can be listed") {
        let entry = entry.expect("it can be listed");
        let kind = entry.file_type().expect("it is there");
        if kind.is_dir() {
            each(&entry.path(), seen);
        } else if kind.is_file() {
            seen(
                &entry.path(),
                &std::fs::read(entry.path()).expect("it is readable"),
            );
        }
    }
}

/// Looks everywhere for the secret, and for `kept`, which is to be there.
fn is_nowhere(site: &Site, run: &str, kept: &str) {
    let has = |bytes: &[u8], what: &str| {
        bytes
            .windows(what.len())
            .any(|part| part == what.as_bytes())
    };
    let mut files = 0;
    each(&site.dir.path().join("data"), &mut |path, bytes| {
        files += usize::from(has(bytes, kept));
        for form in FORMS {
            assert!(!has(bytes, form), "{form:?} is in {}", path.display());
        }
    });
    assert!(
        files > 0,
        "{kept:?} is nowhere: what is kept cannot be searched"
    );
    let backup = site.conveyor(&["backup", "all.backup"]);
    assert_eq!(backup.status, 0, "{}", backup.err);
    let bytes = std::fs::read(site.dir.path().join("all.backup")).expect("it is there");
    assert!(has(&bytes, kept), "the backup cannot be searched");
    for form in FORMS {
        assert!(!has(&bytes, form), "{form:?} is in the backup");
    }
    let events = site.conveyor(&["events", run, "-o", "json"]);
    assert_eq!(events.status, 0, "{}", events.err);
    let told = [site.log(run), site.show(run).to_string(), events.out];
    for text in &told {
        for form in FORMS {
            assert!(!text.contains(form), "{form:?} is in {text}");
        }
    }
}

/// Says its secret in every way, waits, and says it again.
const SAYS: &str = "{run: 'echo \"plain $TOKEN\"; printf %s \"$TOKEN\" | base64; echo s3cr3t%20value%2F%2B%267Q; printf s3cr3t; sleep 0.1; echo \" value/+&7Q!\"; test \"${#TOKEN}\" = 17 && echo full; touch said; while [ ! -e go ]; do sleep 0.02; done; echo \"again $TOKEN\"; echo \"no: $TOKEN\" >&2; touch over; exit 3'}";

#[test]
fn a_secret_that_is_said_in_every_way_is_found_nowhere_though_the_server_was_killed() {
    // The forms that the command itself says stand in its document, so it lies in a file.
    let with = "{run: ./says}";
    let (mut site, mut server) = site(&[("p.yaml", &pipeline("file:token", "exec", with))]);
    let script = SAYS.trim_start_matches("{run: '").trim_end_matches("'}");
    let says = site.dir.path().join("says");
    std::fs::write(&says, format!("#!/bin/sh\n{script}\n")).expect("it is writable");
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(&says, std::fs::Permissions::from_mode(0o755)).expect("its own");
    let mut driver = site.driver();
    let run = site.start("p.yaml");
    site.until(&run, "said", |_| site.dir.path().join("said").exists());

    server.kill();
    // Until the next server finds it again, it keeps nothing of what it could not mask.
    let token = site.dir.path().join("secrets/token");
    std::fs::rename(&token, token.with_extension("away")).expect("it is ours");
    let _server = site.serve_with("data", &["--secrets-dir", "secrets"]);
    driver.line(&["connected"]);
    std::fs::write(site.dir.path().join("go"), "").expect("it is writable");
    let view = site.until(&run, "over", |_| site.dir.path().join("over").exists());
    assert_eq!(view["state"], "running");
    std::fs::rename(token.with_extension("away"), &token).expect("it is ours");
    let ended = site.ended(&run);
    assert_eq!(ended["state"], "failed");
    let failure = ended["steps"][0]["failure"]["message"].to_string();
    let failure = if failure == "null" {
        ended.to_string()
    } else {
        failure
    };
    assert!(failure.contains("no: ***"), "{failure}");
    let log = site.log(&run);
    for line in ["plain ***", "***!", "again ***", "full"] {
        assert!(log.contains(line), "{line}: {log}");
    }
    is_nowhere(&site, &run, "again ***");
    driver.kill();
}

#[test]
fn an_attempt_whose_secret_is_away_holds_up_no_other_of_its_driver() {
    let document = "\
apiVersion: conveyor/v1
kind: Pipeline
metadata: {name: two}
spec:
  secrets: [{name: token, from: 'file:token'}]
  steps:
    - {id: use, needs: [], driver: exec, secrets: {TOKEN: token}, with: {run: 'touch begun; while [ ! -e tick ]; do sleep 0.02; done; echo \"has $TOKEN\"; touch said; while [ ! -e go ]; do sleep 0.02; done'}}
    # Its line comes after the other's.
    - {id: plain, needs: [], driver: exec, with: {run: 'while [ ! -e said ]; do sleep 0.02; done; sleep 0.5; echo heard; while [ ! -e go ]; do sleep 0.02; done'}}
";
    let (mut site, mut server) = site(&[("p.yaml", document)]);
    let mut driver = site.driver();
    let run = site.start("p.yaml");
    site.until(&run, "begun", |_| site.dir.path().join("begun").exists());
    server.kill();
    let token = site.dir.path().join("secrets/token");
    std::fs::rename(&token, token.with_extension("away")).expect("it is ours");
    let _server = site.serve_with("data", &["--secrets-dir", "secrets"]);
    driver.line(&["connected"]);
    std::fs::write(site.dir.path().join("tick"), "").expect("it is writable");
    site.until(&run, "heard", |_| site.log(&run).contains("plain | heard"));
    assert!(!site.log(&run).contains("use |"), "it cannot be masked yet");
    std::fs::rename(token.with_extension("away"), &token).expect("it is ours");
    site.until(&run, "said", |_| site.log(&run).contains("use | has ***"));
    std::fs::write(site.dir.path().join("go"), "").expect("it is writable");
    assert_eq!(site.ended(&run)["state"], "succeeded");
}

#[test]
fn a_driver_that_masks_nothing_is_masked_by_the_server() {
    let (site, _server) = site(&[("p.yaml", &pipeline("file:token", "raw", "{}"))]);
    let run = talk(async {
        let mut raw = Raw::connect(&site.url, "raw", 1).await;
        raw.credits(1);
        let run = site.start("p.yaml");
        let task = raw.task().await;
        assert_eq!(task.secrets["TOKEN"].as_ref(), VALUE.as_bytes());
        raw.accept(&task);
        let line = |text: String| v1::LogLine {
            time_ms: 1,
            stream: v1::LogStream::Stdout.into(),
            text: text.into(),
            ..v1::LogLine::default()
        };
        raw.tell(Tell::Logs(v1::LogBatch {
            token: task.token.clone(),
            first_offset: 0,
            lines: vec![
                line(format!("plain {VALUE}")),
                line(format!("<{}>", FORMS[1])),
            ],
        }));
        // A checkpoint with it is refused, and so is what feeds other steps.
        raw.tell(Tell::Checkpoint(v1::Checkpoint {
            token: task.token.clone(),
            data: format!("at {VALUE}").into(),
        }));
        raw.succeed(&task, &format!("{{\"x\": \"{VALUE}\"}}"));
        let outcome = raw
            .until("an outcome", |told| match told {
                Told::Outcome(outcome) => Some(outcome),
                _ => None,
            })
            .await;
        assert_eq!(outcome.status(), v1::ReportStatus::Invalid);
        assert!(outcome.reason.contains("`token`"), "{}", outcome.reason);
        run
    });
    let ended = site.ended(&run);
    assert!(ended.to_string().contains("secret_in_outputs"), "{ended}");
    let log = site.log(&run);
    assert!(log.contains("plain ***") && log.contains("<***"), "{log}");
    is_nowhere(&site, &run, "plain ***");
}

#[test]
fn outputs_with_a_secret_end_the_attempt_in_error() {
    let with = "{run: 'echo \"x=$TOKEN\" >$CONVEYOR_OUTPUT'}";
    let (site, _server) = site(&[("p.yaml", &pipeline("file:token", "exec", with))]);
    let _driver = site.driver();
    let run = site.start("p.yaml");
    let ended = site.ended(&run).to_string();
    assert!(
        ended.contains("secret_in_outputs") && ended.contains("errored"),
        "{ended}"
    );
    is_nowhere(&site, &run, "secret_in_outputs");
}

#[test]
fn what_a_provider_does_not_give_ends_the_attempt_by_name() {
    let cases = [
        ("env:PATH", "no variable is given"),
        ("file:link", "symbolic link"),
        ("file:folder", "not a regular file"),
        ("file:absent", "no such file"),
    ];
    let documents: Vec<_> = cases
        .iter()
        .map(|(from, _)| {
            let name = format!("{}.yaml", from.replace(':', "-"));
            (name, pipeline(from, "exec", "{run: 'true'}"))
        })
        .collect();
    let files: Vec<_> = documents
        .iter()
        .map(|(name, text)| (&**name, &**text))
        .collect();
    let (site, _server) = site(&files);
    let secrets = site.dir.path().join("secrets");
    std::fs::create_dir(secrets.join("folder")).expect("a directory");
    std::os::unix::fs::symlink("/etc/passwd", secrets.join("link")).expect("a link");
    let _driver = site.driver();
    for ((from, why), (name, _)) in cases.iter().zip(&documents) {
        let run = site.start(name);
        let ended = site.ended(&run).to_string();
        for words in ["secret_unavailable", "errored", "`token`", from, why] {
            assert!(ended.contains(words), "{words}: {ended}");
        }
    }
}

#[test]
fn references_that_cannot_be_are_refused_where_they_stand() {
    for (from, why) in [
        ("vault:a/b", "no provider of secrets `vault`"),
        ("file:../token", "without a directory"),
        ("env:CONVEYOR_TOKEN", "the engine's own"),
        ("hunter22", "does not say where"),
    ] {
        let dir = crate::program::files(&[("p.yaml", &pipeline(from, "exec", "{run: 'true'}"))]);
        let checked = conveyor_with(dir.path(), &["check", "p.yaml"], "");
        assert_eq!(checked.status, 2, "{from}");
        let said = checked.err + &checked.out;
        assert!(
            said.contains(why) && said.contains("/spec/secrets/0/from"),
            "{said}"
        );
    }
    for (secrets, why) in [
        ("{TOKEN: other}", "no secret \"other\""),
        ("{CONVEYOR_X: token}", "the engine's own"),
        ("{'A=B': token}", "neither `=`"),
    ] {
        let text = pipeline("file:token", "exec", "{run: 'true'}");
        let text = text.replace("{TOKEN: token}", secrets);
        let dir = crate::program::files(&[("p.yaml", &text)]);
        let checked = conveyor_with(dir.path(), &["check", "p.yaml"], "");
        assert_eq!(checked.status, 2, "{secrets}");
        let said = checked.err + &checked.out;
        assert!(
            said.contains(why) && said.contains("/spec/steps/0/secrets"),
            "{said}"
        );
    }
}

#[test]
fn a_run_of_this_process_takes_variables_by_their_beginning() {
    let text = pipeline("env:CI_TOKEN", "exec", "{run: 'echo \"<$TOKEN>\"'}");
    let dir = crate::program::files(&[("p.yaml", &text)]);
    let run = |options: &[&str]| {
        std::process::Command::new(env!("CARGO_BIN_EXE_conveyor"))
            .args(["run", "p.yaml", "--data-dir", "data", "--progress", "plain"])
            .args(options)
            .env("CI_TOKEN", VALUE)
            .current_dir(dir.path())
            .output()
            .expect("the program runs")
    };
    let given = run(&["--secrets-env", "CI_"]);
    let said = String::from_utf8_lossy(&given.stderr);
    assert!(given.status.success(), "{said}");
    assert!(said.contains("<***>") && !said.contains(VALUE), "{said}");
    let refused = run(&["--secrets-env", "X_"]);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("only variables that begin with X_"), "{said}");
}

#[test]
fn a_server_gives_variables_by_their_beginning_and_no_others() {
    let set = "[secrets]\nenv_prefix = \"CI_\"\n";
    let documents = [
        (
            "given.yaml",
            &*pipeline("env:CI_TOKEN", "exec", "{run: 'echo \"<$TOKEN>\"'}"),
        ),
        (
            "other.yaml",
            &*pipeline("env:OTHER_TOKEN", "exec", "{run: 'true'}"),
        ),
        ("conveyor.toml", set),
    ];
    let variables = [("CI_TOKEN", VALUE), ("OTHER_TOKEN", "0ther s3cr3t")];
    let ways: [(&str, &[&str]); 3] = [
        ("by the option", &["--secrets-env", "CI_"]),
        ("by the file", &["--config", "conveyor.toml"]),
        ("by none", &[]),
    ];
    let mut site = Site::new(&documents);
    for (way, options) in ways {
        let mut server = site.serve_in("data", options, &variables);
        let mut driver = site.driver();
        let run = site.start("given.yaml");
        let ended = site.ended(&run);
        if options.is_empty() {
            let told = ended.to_string();
            assert!(told.contains("no variable is given"), "{way}: {told}");
        } else {
            assert_eq!(ended["state"], "succeeded", "{way}: {ended:#}");
            site.until(&run, "logged", |_| site.log(&run).contains("<***>"));
            let refused = site.ended(&site.start("other.yaml")).to_string();
            for words in ["secret_unavailable", "only variables that begin with CI_"] {
                assert!(refused.contains(words), "{way}: {words}: {refused}");
            }
            assert!(!refused.contains("0ther"), "{way}: {refused}");
        }
        driver.kill();
        server.signal(rustix::process::Signal::TERM);
        assert_eq!(server.end(), 0, "{way}");
    }
}
