use crate::support::{PATIENCE, alive, eventually, exec, submit, task, texts};
use conveyor_node::driver::{LogStream, Outcome};
use serde_json::json;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

#[tokio::test]
async fn what_a_command_leaves_behind_ends_with_it() {
    let script = "sleep 60 & echo $!; exit 0";
    let (outcome, lines) = submit(&*exec(), task(json!({"run": script}))).end().await;
    assert_eq!(outcome, Outcome::Succeeded(json!({})));
    let pid = &texts(&lines, LogStream::Stdout)[0];
    eventually("the background process is gone", || !alive(pid));
}

/// A process outside the group that holds the output: `setsid` where there is one.
#[tokio::test]
async fn who_left_the_group_with_the_output_holds_up_nobody() {
    let Some(setsid) = ["/usr/bin/setsid", "/bin/setsid"]
        .into_iter()
        .find(|file| Path::new(file).exists())
    else {
        return;
    };
    let start = Instant::now();
    // The leader goes only once the other has left its group.
    let script = format!(
        "{setsid} sh -c 'echo $$; : >$CONVEYOR_OUTPUT.left; exec sleep 60' & while ! [ -e $CONVEYOR_OUTPUT.left ]; do sleep 0.01; done"
    );
    let with = json!({ "run": script });
    let (outcome, lines) = submit(&*exec(), task(with)).end().await;
    assert_eq!(outcome, Outcome::Succeeded(json!({})));
    assert!(start.elapsed() < PATIENCE);
    let escaped = &texts(&lines, LogStream::Stdout)[0];
    assert!(
        alive(escaped),
        "a process that makes its own session is left alone"
    );
    assert!(
        Command::new("kill")
            .arg(escaped)
            .status()
            .expect("kill")
            .success()
    );
}

/// A script whose background process has a session of its own, whose number is its first line.
/// `trap` is what that process does with SIGTERM.
#[cfg(target_os = "linux")]
fn with_daemon(trap: &str) -> String {
    format!(
        "setsid sh -c \"trap '{trap}' TERM; echo \\$\\$; while :; do sleep 0.01; done\" & sleep 60"
    )
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_cancelled_command_takes_with_it_who_left_its_group() {
    let driver = exec();
    for trap in ["exit 0", ""] {
        let mut task = task(json!({"run": with_daemon(trap)}));
        task.grace = conveyor_engine::time::Duration::secs(1);
        let mut running = submit(&*driver, task);
        let daemon = running.line().await;
        assert!(alive(&daemon));
        running.cancel();
        let (outcome, _) = running.end().await;
        assert_eq!(outcome, Outcome::Cancelled);
        eventually("the daemon is gone", || !alive(&daemon));
    }
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_terminated_command_takes_with_it_who_left_its_group() {
    let driver = exec();
    let mut running = submit(&*driver, task(json!({"run": with_daemon("")})));
    let daemon = running.line().await;
    running.outcome.abort();
    assert!(
        running
            .outcome
            .await
            .is_err_and(|error| error.is_cancelled())
    );
    eventually("the daemon is gone", || !alive(&daemon));
}

const ENGINE: &str = "CONVEYOR_TEST_ENGINE";

/// Not a test of its own: the engine that the next one kills.
#[tokio::test]
#[ignore = "started by an_engine_that_is_killed_leaves_no_process"]
async fn engine() {
    if std::env::var_os(ENGINE).is_none() {
        return;
    }
    let driver = exec();
    let script =
        "trap '' TERM HUP; sleep 600 & echo pid $$; echo pid $!; echo file $CONVEYOR_OUTPUT
         if command -v setsid >/dev/null; then setsid sh -c 'echo pid $$; exec sleep 600' & else echo pid 0; fi; wait";
    let mut tasks: Vec<_> = (0..3)
        .map(|_| submit(&*driver, task(json!({"run": script}))))
        .collect();
    for running in &mut tasks {
        for _ in 0..4 {
            writeln!(std::io::stdout(), "\n{}", running.line().await).expect("a reader");
        }
    }
    writeln!(std::io::stdout(), "\nready").expect("a reader");
    std::future::pending::<()>().await;
}

#[test]
fn an_engine_that_is_killed_leaves_no_process() {
    let mut engine = Command::new(std::env::current_exe().expect("this program"))
        .args(["--ignored", "--exact", "--nocapture", "orphans::engine"])
        .env(ENGINE, "1")
        .stdout(Stdio::piped())
        .spawn()
        .expect("the engine");
    let (mut pids, mut files) = (Vec::new(), Vec::new());
    for line in BufReader::new(engine.stdout.take().expect("its output")).lines() {
        let line = line.expect("a line");
        match line.split_once(' ') {
            Some(("pid", pid)) => pids.push(pid.to_owned()),
            Some(("file", file)) => files.push(file.to_owned()),
            _ if line == "ready" => break,
            _ => {}
        }
    }
    pids.retain(|pid| pid != "0");
    assert!(pids.len() >= 6 && files.len() == 3);
    assert!(pids.iter().all(|pid| alive(pid)));
    engine.kill().expect("SIGKILL");
    engine.wait().expect("its end");
    eventually("every process of its commands is gone", || {
        !pids.iter().any(|pid| alive(pid))
    });
    eventually("and its directories", || {
        !files.iter().any(|file| Path::new(file).exists())
    });
}

/// The window between a process's start and the watchdog's hearing of its group, held open: the
/// shell is told `starting`, never `started`.
#[test]
#[cfg(target_os = "linux")]
fn a_process_whose_start_was_not_confirmed_is_found_by_its_environment() {
    use std::os::unix::process::CommandExt as _;

    let scratch = tempfile::tempdir().expect("a directory");
    let scratch = scratch.path().join("all");
    std::fs::create_dir(&scratch).expect("a directory");
    let sleeper = |id: u32| {
        let output = scratch.join(id.to_string()).join("output");
        Command::new("sleep")
            .arg("600")
            .env("CONVEYOR_OUTPUT", output)
            .process_group(0)
            .spawn()
            .expect("sleep")
    };
    let (mut unconfirmed, mut refused) = (sleeper(1), sleeper(12));
    let mut watchdog = Command::new("/bin/sh")
        .args(["-c", include_str!("../../src/watchdog.sh"), "watchdog"])
        .arg(&scratch)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("a shell");
    let mut pipe = watchdog.stdin.take().expect("its input");
    pipe.write_all(b"starting 1\nstarting 12\nrefused 12\n")
        .expect("told");
    drop(pipe);
    assert!(watchdog.wait().expect("its end").success());
    unconfirmed.wait().expect("killed");
    assert!(
        refused.try_wait().expect("its state").is_none(),
        "another attempt's process was killed"
    );
    refused.kill().expect("SIGKILL");
    refused.wait().expect("its end");
    assert!(!scratch.exists());
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_watchdog_that_was_killed_is_replaced() {
    let driver = exec();
    let mut first = submit(&*driver, task(json!({"run": "echo $$; exec sleep 600"})));
    let pid = first.line().await;
    let own = std::process::id().to_string();
    let mut first_scratch = submit(&*driver, task(json!({"run": "echo $CONVEYOR_OUTPUT"})));
    let file = first_scratch.line().await;
    let all = Path::new(&file)
        .ancestors()
        .nth(2)
        .expect("the directory of all attempts")
        .display()
        .to_string();
    let watchdogs = || -> Vec<String> {
        let entries = std::fs::read_dir("/proc").expect("/proc").flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names
            .filter(|name| {
                let read = |what: &str| {
                    std::fs::read_to_string(format!("/proc/{name}/{what}")).unwrap_or_default()
                };
                read("cmdline").ends_with(&format!("conveyor-exec-watchdog\0{all}\0"))
                    && read("stat")
                        .rsplit(')')
                        .next()
                        .is_some_and(|rest| rest.split_whitespace().nth(1) == Some(&own))
            })
            .collect()
    };
    let old = watchdogs();
    assert_eq!(old.len(), 1);
    assert!(
        Command::new("kill")
            .args(["-s", "KILL", &old[0]])
            .status()
            .expect("kill")
            .success()
    );
    eventually("the old watchdog is gone", || !alive(&old[0]));
    let (outcome, _) = submit(&*driver, task(json!({"run": "true"}))).end().await;
    assert_eq!(outcome, Outcome::Succeeded(json!({})));
    assert!(alive(&pid), "a new watchdog ends nothing");
    let new = watchdogs();
    assert!(new.len() == 1 && new != old);
    first.cancel();
    first.end().await;
}
