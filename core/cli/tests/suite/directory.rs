//! Data directories that cannot be used, and one whose path is too long for a socket.

use crate::engine::{GATED, start};
use crate::program::{conveyor, files};
use rustix::fs::{FlockOperation, flock};
use std::fs::File;

#[test]
fn a_long_path_has_its_socket_elsewhere() {
    let dir = files(&[("p.yaml", GATED)]);
    let long = format!("{}/data", "d".repeat(120));
    let mut holder = start(dir.path(), &["run", "p.yaml", "--data-dir", &long]);
    let run = holder.run();
    holder.until("second | waiting");
    let pointer = dir.path().join(&long).join("control.path");
    let socket = std::fs::read_to_string(&pointer).expect("the directory names the socket");
    assert!(
        socket.len() < 108 && std::fs::metadata(&socket).is_ok(),
        "{socket}"
    );
    let list = conveyor(dir.path(), &["runs", "list", "--data-dir", &long]);
    assert!(
        list.out.contains(&run) && list.out.contains("running"),
        "{}{}",
        list.out,
        list.err
    );
    std::fs::write(dir.path().join("go"), "").expect("it is writable");
    assert_eq!(holder.ended().status, 0);
    assert!(
        !pointer.exists() && std::fs::metadata(&socket).is_err(),
        "both go with the holder"
    );
}

#[test]
fn a_stale_socket_is_replaced() {
    let dir = files(&[("p.yaml", GATED)]);
    let mut first = start(dir.path(), &["run", "p.yaml", "--data-dir", "data"]);
    first.until("second | waiting");
    first.kill();
    assert!(
        std::fs::metadata(dir.path().join("data/control.sock")).is_ok(),
        "it was left"
    );
    std::fs::write(dir.path().join("go"), "").expect("it is writable");
    let mut second = start(
        dir.path(),
        &["run", "--continue", "latest", "--data-dir", "data"],
    );
    second.until("run ");
    assert_eq!(second.ended().status, 0);
}

#[test]
fn a_holder_that_does_not_answer_is_named() {
    let dir = files(&[("p.yaml", GATED)]);
    std::fs::create_dir(dir.path().join("data")).expect("it is writable");
    let path = dir.path().join("data/lock");
    std::fs::write(&path, "4711\n").expect("it is writable");
    let lock = File::open(&path).expect("it is there");
    flock(&lock, FlockOperation::NonBlockingLockExclusive).expect("nobody has it");
    let run = conveyor(dir.path(), &["run", "p.yaml", "--data-dir", "data"]);
    assert_eq!(run.status, 2, "{}", run.err);
    let real = dir.path().canonicalize().expect("it is there").join("data");
    let wanted = format!(
        "the data directory {} is held by process 4711, which does not answer on its socket",
        real.display()
    );
    assert!(run.err.contains(&wanted), "{}", run.err);
}

#[test]
fn a_newer_format_is_refused() {
    let dir = files(&[("p.yaml", GATED)]);
    std::fs::create_dir(dir.path().join("data")).expect("it is writable");
    let text = "conveyor data directory, format 99\n";
    std::fs::write(dir.path().join("data/format"), text).expect("it is writable");
    let run = conveyor(dir.path(), &["run", "p.yaml", "--data-dir", "data"]);
    assert_eq!(run.status, 2, "{}", run.err);
    assert!(
        run.err.contains("has format 99") && run.err.contains("newer program"),
        "{}",
        run.err
    );
}

#[test]
fn nothing_is_made_where_nothing_has_run() {
    let dir = files(&[]);
    let list = conveyor(dir.path(), &["runs", "list", "--data-dir", "data"]);
    assert_eq!(list.status, 2);
    assert!(
        list.err.contains("there is no data directory data"),
        "{}",
        list.err
    );
    assert!(!dir.path().join("data").exists());
}
