//! This program again as a child process, preloaded with the killpoint library, committing to an
//! embedded store and saying what it was told.

use crate::backends::open;
use crate::killpoint::library;
use conveyor_store::{CommitError, Embedded, Expected, Store, Transaction};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const DIRECTORY: &str = "CONVEYOR_STORE_CHILD_DIRECTORY";
const COMMITS: &str = "CONVEYOR_STORE_CHILD_COMMITS";

/// By how much a child's records are larger than the engine's, so that few commits fill the store's
/// memory tables and journals.
pub(crate) const LARGER: &str = "CONVEYOR_STORE_CHILD_LARGER";

/// What a child said before it ended.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) committed: BTreeSet<u64>,
    pub(crate) failed: BTreeSet<u64>,
    pub(crate) unknown: BTreeSet<u64>,
    pub(crate) recoveries: u64,
    pub(crate) ended: bool,
}

/// Runs a child that makes `commits` commits, with `environment` for the killpoint library.
pub(crate) fn run(directory: &Path, commits: u64, environment: &[(&str, &str)]) -> Said {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "child::commit_and_tell",
            "--ignored",
            "--nocapture",
        ])
        .env("LD_PRELOAD", library())
        .env(DIRECTORY, directory)
        .env(COMMITS, commits.to_string())
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let said = parse(&output);
    assert!(
        said.ended || std::os::unix::process::ExitStatusExt::signal(&output.status) == Some(9),
        "the child neither ended nor was killed: {output:?}"
    );
    said
}

fn parse(output: &Output) -> Said {
    let mut said = Said::default();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let mut words = line.split(' ');
        let number = |word: Option<&str>| word.and_then(|word| word.parse::<u64>().ok());
        match (words.next(), number(words.next())) {
            (Some("committed"), Some(number)) => _ = said.committed.insert(number),
            (Some("failed"), Some(number)) => _ = said.failed.insert(number),
            (Some("unknown"), Some(number)) => _ = said.unknown.insert(number),
            (Some("recovered"), Some(times)) => said.recoveries = times,
            (Some("ended"), _) => said.ended = true,
            _ => {}
        }
    }
    said
}

/// Runs an ignored test of this program in a process of its own, and wants it to pass. SIGXFSZ, which
/// would end it at a file size limit, is ignored there.
pub(crate) fn pass(test: &str, directory: &Path) {
    let output = Command::new("sh")
        .args(["-c", r#"trap "" XFSZ; exec "$0" "$@""#])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env(DIRECTORY, directory)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The directory that a child is given.
pub(crate) fn directory() -> PathBuf {
    PathBuf::from(std::env::var_os(DIRECTORY).unwrap())
}

/// The child's part; the tests of `faults` run it.
#[test]
#[ignore = "a part of other tests, which run it in a process of its own"]
fn commit_and_tell() {
    let directory = directory();
    let commits: u64 = std::env::var(COMMITS).unwrap().parse().unwrap();
    let store = open(&directory);
    // The test harness leaves a line unfinished.
    say("\nstarted");
    let mut last = last(&store);
    let first = last.unwrap_or(0) + 1;
    for number in first..first + commits {
        let outcome = store.commit(&transaction(last, number));
        match outcome {
            Ok(()) => {
                last = Some(number);
                say(&format!("committed {number}"));
            }
            Err(CommitError::Failed(_)) => say(&format!("failed {number}")),
            Err(CommitError::Unknown(_)) => {
                say(&format!("unknown {number}"));
                last = settled(&store);
            }
            Err(CommitError::Conflict(conflict)) => panic!("{conflict:?}"),
        }
    }
    // The last calls may be those that fail.
    settled(&store);
    say(&format!("recovered {}", store.stats().unwrap().recoveries));
    say("ended");
}

/// What is there once the store can be read again. Each try lets the store try to open its files.
fn settled(store: &Embedded) -> Option<u64> {
    for _ in 0..1000 {
        if let Ok(found) = store.get(b"commit") {
            return found.map(|bytes| parse_number(&bytes));
        }
    }
    panic!("the store does not recover");
}

/// What `commit_and_tell` writes for `number`: some records like a journal's, an index row that is
/// rewritten, and one of the commit before that is deleted.
pub(crate) fn transaction(last: Option<u64>, number: u64) -> Transaction {
    let larger = std::env::var(LARGER).map_or(1, |larger| larger.parse().unwrap());
    let mut transaction = Transaction::new();
    let expected = last.map_or(Expected::Absent, |last| {
        Expected::Value(last.to_be_bytes().to_vec().into())
    });
    transaction.compare("commit", expected);
    transaction.put("commit", number.to_be_bytes().to_vec());
    for part in 0..4 {
        transaction.put(
            record_key(number, part),
            vec![number as u8; 300 * larger * (part as usize + 1)],
        );
    }
    transaction.put("index", number.to_be_bytes().to_vec());
    transaction.put(live_key(number), "");
    if let Some(last) = last {
        transaction.delete(live_key(last));
    }
    transaction
}

fn record_key(number: u64, part: u8) -> Vec<u8> {
    [b"r".as_ref(), &number.to_be_bytes(), &[part]].concat()
}

fn live_key(number: u64) -> Vec<u8> {
    [b"v".as_ref(), &number.to_be_bytes()].concat()
}

/// The number of the last commit, after checking that each commit up to `highest` is there whole or
/// not at all.
pub(crate) fn inspect(store: &Embedded, highest: u64) -> BTreeSet<u64> {
    let mut present = BTreeSet::new();
    for number in 1..=highest {
        let parts: Vec<_> = (0..4)
            .filter_map(|part| store.get(&record_key(number, part)).unwrap())
            .collect();
        assert!(
            parts.is_empty() || parts.len() == 4,
            "commit {number} is there in part"
        );
        if parts.len() == 4 {
            assert!(
                parts
                    .iter()
                    .all(|part| part.iter().all(|byte| *byte == number as u8))
            );
            present.insert(number);
        }
    }
    assert_eq!(last(store), present.last().copied());
    assert_eq!(
        store
            .get(b"index")
            .unwrap()
            .map(|bytes| parse_number(&bytes)),
        present.last().copied()
    );
    for number in &present {
        let live = store.get(&live_key(*number)).unwrap().is_some();
        assert_eq!(live, Some(number) == present.last(), "live row of {number}");
    }
    present
}

fn last(store: &Embedded) -> Option<u64> {
    store
        .get(b"commit")
        .unwrap()
        .map(|bytes| parse_number(&bytes))
}

fn parse_number(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes.try_into().unwrap())
}

/// Says a line at once: what was said before a SIGKILL counts.
pub(crate) fn say(line: &str) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}
