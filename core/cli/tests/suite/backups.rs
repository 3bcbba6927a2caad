//! Backups and what is restored from them.

use crate::operate::{QUICK, json};
use crate::program::{conveyor, conveyor_with};
use crate::proxy::Proxy;
use crate::serve::GATED;
use crate::site::{PATIENCE, Site};
use crate::tally;
use std::os::unix::fs::PermissionsExt as _;
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn a_backup_that_is_taken_while_runs_go_on_is_restored_and_goes_on() {
    let mut site = Site::new(&[("quick.yaml", QUICK), ("gated.yaml", GATED)]);
    let mut server = site.serve();
    let mut driver = site.driver();
    let ended = site.start("quick.yaml");
    let before = site.ended(&ended);
    let live = site.start("gated.yaml");
    site.until(&live, "running", |_| site.log(&live).contains("begun"));
    let made = site.conveyor(&["backup", "all.backup", "-o", "json"]);
    assert_eq!(made.status, 0, "{}", made.err);
    assert_eq!(json(&made)["runs"], 2);
    let dir = site.dir.path().to_owned();
    let file = dir.join("all.backup");
    let mode = std::fs::metadata(&file)
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = site.conveyor(&["backup", "all.backup"]);
    assert!(
        again.status == 2 && again.err.contains("is there already"),
        "{}",
        again.err
    );
    let into = site.conveyor(&["backup", "."]);
    assert!(
        into.status == 0 && into.out.starts_with("./conveyor-2"),
        "{}{}",
        into.out,
        into.err
    );
    server.kill();
    let restored = conveyor(&dir, &["restore", "all.backup", "--data-dir", "restored"]);
    assert_eq!(restored.status, 0, "{}", restored.err);
    let twice = conveyor(&dir, &["restore", "all.backup", "--data-dir", "restored"]);
    assert!(
        twice.status == 2 && twice.err.contains("is not empty"),
        "{}",
        twice.err
    );
    let _server = site.serve_with("restored", &[]);
    // Its session is none of this server: it says hello anew, and begins the task again.
    driver.line(&["connected"]);
    assert_eq!(site.show(&ended), before);
    assert_eq!(site.log(&ended), "only | quick\n");
    site.until(&live, "begun again", |view| {
        let attempts = view["steps"][0]["instances"][0]["attempts"].as_array();
        attempts.is_some_and(|all| all.len() == 2 && all[0]["state"] == "lost")
    });
    std::fs::write(dir.join("go"), "").expect("it is writable");
    assert_eq!(site.ended(&live)["state"], "succeeded");
    // At rest it is taken by the program itself.
    let rest = conveyor_with(
        &dir,
        &["backup", "rest.backup", "--data-dir", "data", "-o", "json"],
        "",
    );
    assert_eq!(rest.status, 0, "{}", rest.err);
    assert_eq!(json(&rest)["runs"], 2);
}

#[test]
fn a_backup_that_is_damaged_or_newer_is_refused_and_nothing_is_made() {
    let site = Site::new(&[("quick.yaml", QUICK)]);
    let dir = site.dir.path();
    assert_eq!(
        conveyor(dir, &["run", "quick.yaml", "--data-dir", "data"]).status,
        0
    );
    assert_eq!(
        conveyor(dir, &["backup", "good.backup", "--data-dir", "data"]).status,
        0
    );
    let verified = conveyor(dir, &["backup", "--verify", "good.backup"]);
    assert!(
        verified.status == 0 && verified.out.contains("is whole: 1 runs"),
        "{}{}",
        verified.out,
        verified.err
    );
    let good = std::fs::read(dir.join("good.backup")).expect("it is there");
    let refused = |bytes: &[u8], words: &str| {
        std::fs::write(dir.join("bad.backup"), bytes).expect("it is writable");
        for args in [
            &["backup", "--verify", "bad.backup"][..],
            &["restore", "bad.backup", "--data-dir", "made"],
        ] {
            let ended = conveyor(dir, args);
            assert_eq!(ended.status, 2, "{args:?}");
            assert!(ended.err.contains(words), "{words}: {}", ended.err);
        }
        let left: Vec<_> = std::fs::read_dir(dir)
            .expect("a directory")
            .flatten()
            .map(|entry| entry.file_name())
            .collect();
        assert!(
            !left
                .iter()
                .any(|name| name == "made" || name == ".made.restoring"),
            "{left:?}"
        );
    };
    let line = good.iter().position(|byte| *byte == b'\n').expect("a line");
    for at in [line + 1, line + 7, good.len() / 2, good.len() - 1] {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        refused(&bytes, "is damaged at byte");
    }
    refused(&good[..good.len() - 10], "ends early");
    refused(&[&good[..], b"x"].concat(), "something follows");
    refused(b"name: quick\n", "it is no backup");
    let newer = [b"conveyor backup, format 2\n", &good[line + 1..]].concat();
    refused(&newer, "has format 2, and this release reads format 1");
}

#[test]
fn a_server_that_is_killed_while_its_backup_is_read_leaves_no_file_and_the_next_gives_it() {
    let large = "name: large\nsteps:\n  - id: only\n    driver: exec\n    with: {run: head -c 12000000 /dev/urandom | \
                 base64 -w 1000}\n";
    let mut site = Site::new(&[("large.yaml", large)]);
    let mut server = site.serve();
    let _driver = site.driver();
    let run = site.start("large.yaml");
    // To its end: lines may come after the result.
    let log = site.conveyor(&["logs", "-f", &run]).out;
    assert!(log.len() > 16_000_000, "{}", log.len());
    let dir = site.dir.path();
    let proxy = Proxy::new(&site.url);
    proxy.slow(Duration::from_millis(5));
    let url = proxy.url();
    let ended = thread::scope(|scope| {
        let reader =
            scope.spawn(|| conveyor(dir, &["backup", "all.backup", "--server", url.as_str()]));
        let patience = Instant::now() + PATIENCE;
        let part = dir.join("all.backup.part");
        // Some of it is there, and most is not.
        while std::fs::metadata(&part).map_or(0, |part| part.len()) < 1 << 20 {
            assert!(!reader.is_finished(), "it was not slow enough");
            assert!(Instant::now() < patience, "nothing comes");
            thread::sleep(Duration::from_millis(1));
        }
        server.kill();
        proxy.cut();
        reader.join().expect("it ended")
    });
    assert_ne!(ended.status, 0, "{}", ended.out);
    assert!(!ended.err.is_empty(), "it says why");
    for left in ["all.backup", "all.backup.part"] {
        assert!(!dir.join(left).exists(), "{left}");
    }
    let mut server = site.serve_again();
    server.line(&["listening"]);
    let made = site.conveyor(&["backup", "all.backup"]);
    assert_eq!(made.status, 0, "{}", made.err);
    let restored = conveyor(dir, &["restore", "all.backup", "--data-dir", "restored"]);
    assert_eq!(restored.status, 0, "{}", restored.err);
    let again = conveyor(dir, &["logs", &run, "--data-dir", "restored"]);
    assert!(again.out == log, "the log is another");
    tally::held(
        "the server is killed while its backup is read",
        "no file was left, and the next backup had all of the log",
    );
}
