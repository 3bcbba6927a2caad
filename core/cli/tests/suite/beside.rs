//! Several processes over one data directory.

use crate::engine::{GATED, holder_of, shown, start, start_with, text};
use crate::program::{conveyor, files};
use conveyor_proto::v1::GetServerInfoRequest;
use rustix::process::Signal;

#[test]
fn a_second_run_is_executed_by_the_holder() {
    let dir = files(&[("p.yaml", GATED)]);
    let mut holder = start(dir.path(), &["run", "p.yaml", "--data-dir", "data"]);
    let first = holder.run();
    holder.until("second | waiting");
    let mut beside = start(dir.path(), &["run", "p.yaml", "--data-dir", "data"]);
    let second = beside.run();
    beside.until("second | waiting");
    assert_ne!(first, second);
    let list = conveyor(dir.path(), &["runs", "list", "--data-dir", "data"]);
    assert!(
        !list.out.contains("interrupted"),
        "both are moved: {}",
        list.out
    );

    // Ctrl-C in a terminal stops that terminal's run alone, and the holder stays for the other.
    holder.signal(Signal::INT);
    holder.until("stays until 1 run");
    assert_eq!(shown(dir.path(), &first)["state"], "cancelled");
    std::fs::write(dir.path().join("go"), "").expect("it is writable");
    let beside = beside.ended();
    assert_eq!(beside.status, 0, "{}", beside.err);
    let holder = holder.ended();
    assert_eq!(holder.status, 130, "{}", holder.err);
    assert_eq!(shown(dir.path(), &second)["state"], "succeeded");
}

#[test]
fn another_process_cancels_and_reads() {
    let dir = files(&[("p.yaml", GATED)]);
    let mut holder = start(dir.path(), &["run", "p.yaml", "--data-dir", "data"]);
    let run = holder.run();
    holder.until("second | waiting");
    let logs = conveyor(dir.path(), &["logs", &run, "second", "--data-dir", "data"]);
    assert_eq!(logs.out, "waiting\n", "{}", logs.err);
    let reason = "wrong branch";
    let cancel = ["cancel", &run, "--reason", reason, "--data-dir", "data"];
    let cancel = conveyor(dir.path(), &cancel);
    assert_eq!(cancel.status, 0, "{}", cancel.err);
    let ended = holder.ended();
    assert_eq!(ended.status, 130, "{}", ended.err);
    assert!(ended.out.contains(reason), "{}", ended.out);
    assert_eq!(
        text(&dir.path().join("ran")),
        "first\nsecond 1\nbye\n",
        "`finally` runs"
    );
    let again = conveyor(dir.path(), &["cancel", &run, "--data-dir", "data"]);
    assert_eq!(again.status, 0, "{}", again.err);
    assert!(again.out.contains("no effect"), "{}", again.out);
}

#[test]
fn ctrl_c_twice_terminates() {
    let stubborn = GATED.replace("echo waiting", "trap '' TERM; echo waiting");
    let dir = files(&[("p.yaml", &stubborn)]);
    let mut holder = start(dir.path(), &["run", "p.yaml", "--data-dir", "data"]);
    holder.until("second | waiting");
    holder.signal(Signal::INT);
    holder.until("Ctrl-C again terminates");
    holder.signal(Signal::INT);
    let ended = holder.ended();
    assert_eq!(ended.status, 130, "{}", ended.err);
    assert_eq!(
        text(&dir.path().join("ran")),
        "first\nsecond 1\n",
        "no `finally`"
    );
}

#[test]
fn a_run_is_paused_and_goes_on() {
    let dir = files(&[("p.yaml", GATED)]);
    let mut holder = start(dir.path(), &["run", "p.yaml", "--data-dir", "data"]);
    let run = holder.run();
    holder.until("second | waiting");
    let verb = |verb| conveyor(dir.path(), &[verb, run.as_str(), "--data-dir", "data"]);
    let pause = verb("pause");
    assert_eq!(
        (pause.status, pause.out.contains("paused")),
        (0, true),
        "{}",
        pause.err
    );
    std::fs::write(dir.path().join("go"), "").expect("it is writable");
    holder.until("second succeeded");
    let waits = shown(dir.path(), &run)["steps"][2]["waiting_for"].clone();
    let waits = waits.as_str().expect("it waits");
    assert!(waits.starts_with("the end of the pause by "), "{waits}");
    assert_eq!(verb("resume").status, 0);
    assert_eq!(holder.ended().status, 0);
}

#[test]
fn a_reader_follows_to_the_end() {
    let dir = files(&[("p.yaml", GATED)]);
    let mut holder = start(dir.path(), &["run", "p.yaml", "--data-dir", "data"]);
    let run = holder.run();
    holder.until("second | waiting");
    let logs = start(
        dir.path(),
        &["logs", &run, "--follow", "--data-dir", "data"],
    );
    let events = start(
        dir.path(),
        &["events", &run, "--follow", "--data-dir", "data"],
    );
    std::fs::write(dir.path().join("go"), "").expect("it is writable");
    assert_eq!(holder.ended().status, 0);
    assert_eq!(logs.ended().out, "second | waiting\n");
    let events = events.ended();
    assert_eq!(events.status, 0, "{}", events.err);
    assert!(
        events
            .out
            .lines()
            .last()
            .is_some_and(|line| line.contains("succeeded")),
        "{}",
        events.out
    );
}

#[test]
fn whose_holder_is_killed_is_told_how_to_go_on() {
    let dir = files(&[("p.yaml", GATED)]);
    let run = ["run", "p.yaml", "--data-dir", "data"];
    let mut holder = start(dir.path(), &run);
    holder.until("second | waiting");
    let mut beside = start(dir.path(), &run);
    let id = beside.run();
    beside.until("second | waiting");
    holder.kill();
    let beside = beside.ended();
    assert_eq!(beside.status, 3, "{}", beside.err);
    let wanted = format!("`conveyor run --continue {id}` goes on with it");
    assert!(beside.err.contains(&wanted), "{}", beside.err);
    let shows = conveyor(dir.path(), &["runs", "show", &id, "--data-dir", "data"]);
    assert!(
        shows.out.contains("interrupted") && shows.out.contains(&wanted),
        "{}",
        shows.out
    );
    std::fs::write(dir.path().join("go"), "").expect("it is writable");
    let more = conveyor(
        dir.path(),
        &["run", "--continue", &id, "--data-dir", "data"],
    );
    assert_eq!(more.status, 0, "{}", more.err);
}

#[test]
fn the_holder_tells_what_its_steps_get() {
    let dir = files(&[("p.yaml", GATED)]);
    let args = ["run", "p.yaml", "--data-dir", "data", "--capacity", "3"];
    let mut holder = start(dir.path(), &args);
    holder.until("second | waiting");
    let info = holder_of(dir.path(), async |mut client| {
        client.get_server_info(GetServerInfoRequest {}).await
    });
    assert_eq!(info.capacity, 3);
    assert_eq!(info.pid, holder.pid());
    // The program has the environment of this test.
    let own = ["PATH", "HOME", "LANG"].into_iter();
    let own = own.filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?)));
    assert_eq!(info.step_environment, own.collect());
    std::fs::write(dir.path().join("go"), "").expect("it is writable");
    assert_eq!(holder.ended().status, 0);
}

#[test]
fn a_second_run_is_told_whose_capacity_and_environment_it_gets() {
    let dir = files(&[("p.yaml", GATED)]);
    let run = ["run", "p.yaml", "--data-dir", "data", "--capacity"];
    let mut holder = start(dir.path(), &[&run[..], &["3"]].concat());
    holder.until("second | waiting");
    let mut same = start(dir.path(), &[&run[..], &["3"]].concat());
    let line = same.until("holds the data directory");
    let wanted = format!(
        "conveyor: process {} holds the data directory and executes this run: at most 3 tasks at once, \
         of all its runs together, in its environment, not in this one\n",
        holder.pid()
    );
    assert_eq!(line, wanted);
    let other = [("LANG", "x-other"), ("HOME", "/nowhere")];
    let mut other = start_with(dir.path(), &[&run[..], &["5"]].concat(), &other);
    let line = other.until("holds the data directory");
    assert!(
        line.contains("together (not --capacity 5), in its environment"),
        "{line}"
    );
    assert!(line.ends_with("; its HOME, LANG differ\n"), "{line}");
    std::fs::write(dir.path().join("go"), "").expect("it is writable");
    for run in [same, other, holder] {
        let ended = run.ended();
        assert_eq!(ended.status, 0, "{}", ended.err);
    }
}

#[test]
fn the_signal_that_stopped_a_run_is_recorded() {
    for (signal, reason) in [
        (Signal::INT, "interrupted at the terminal"),
        (Signal::TERM, "`conveyor` was told to end (SIGTERM)"),
        (
            Signal::HUP,
            "the terminal of `conveyor` was closed (SIGHUP)",
        ),
    ] {
        let dir = files(&[("p.yaml", GATED)]);
        let mut run = start(dir.path(), &["run", "p.yaml", "--data-dir", "data"]);
        run.until("second | waiting");
        run.signal(signal);
        let ended = run.ended();
        assert_eq!(ended.status, 130, "{}", ended.err);
        let told = shown(dir.path(), "latest")["reason"].to_string();
        assert!(told.contains(reason), "{told}");
        assert_eq!(text(&dir.path().join("ran")), "first\nsecond 1\nbye\n");
    }
}
