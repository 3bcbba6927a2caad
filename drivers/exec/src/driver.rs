//! One task from `with` to outcome.

use crate::environment;
use crate::failure::{failure, of_status};
use crate::logs::Log;
use crate::outputs;
use crate::process::{Group, Launch, Pipes, wait_for_exit};
use crate::strays;
use crate::watchdog::Watchdog;
use crate::with::{With, schema};
use conveyor_sdk::{Action, Driver, Failure, Stream, Task};
use rustix::process::{Pid, Signal};
use serde_json::Value as Json;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::pipe;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

/// The label of a run that says which directory a relative `dir` starts at: an absolute path.
/// `conveyor run` sets it to the directory that it was started in. Without it, the engine's own.
pub const WORKDIR_LABEL: &str = "conveyor/workdir";

/// How long before the end of the grace SIGKILL comes, at most: the result has to reach the engine
/// inside it. Of a grace under two seconds, half.
const MARGIN: Duration = Duration::from_secs(1);

/// The driver `exec`: runs a command or a shell script in a process group of its own. Its tasks need a
/// tokio runtime with I/O and time.
///
/// ```
/// assert_eq!(conveyor_driver_exec::driver().name(), "exec");
/// ```
#[must_use]
pub fn driver() -> Driver {
    let watchdog = Arc::new(Watchdog::default());
    let run = Action::new("run")
        .description("Runs a command or a shell script.")
        .inputs(schema())
        .outputs(outputs::schema());
    Driver::new("exec")
        .version(env!("CARGO_PKG_VERSION"))
        .action(run, move |task| attempt(Arc::clone(&watchdog), task))
}

async fn attempt(watchdog: Arc<Watchdog>, task: Task) -> Result<Json, Failure> {
    let mut with = With::read(&task.inputs)?;
    if task.is_cancelled() {
        return Err(Failure::cancelled());
    }
    let margin = MARGIN.min(task.grace / 2);
    let stdin = with.stdin.take();
    let started = start(watchdog, task.clone(), with, stdin.is_some()).await;
    let (mut group, pipes, mut exited) = started?;

    let log = Arc::new(Log::new(task.log.clone()));
    let (ended, ending) = watch::channel(false);
    let mut streams = JoinSet::new();
    copy(
        &mut streams,
        &log,
        pipes.stdout.map(OwnedFd::from),
        Stream::Stdout,
        &ending,
    )?;
    copy(
        &mut streams,
        &log,
        pipes.stderr.map(OwnedFd::from),
        Stream::Stderr,
        &ending,
    )?;
    // Dropped at the end: a command need not read all it is given.
    let mut feed = JoinSet::new();
    if let (Some(pipe), Some(text)) = (pipes.stdin, stdin) {
        let mut pipe = pipe::Sender::from_owned_fd(pipe.into()).map_err(|error| no_pipe(&error))?;
        feed.spawn(async move { pipe.write_all(text.as_bytes()).await });
    }

    let mut stopped = false;
    tokio::select! {
        _ = &mut exited => {}
        _ = task.cancelled() => {
            stopped = true;
            group.signal(Signal::TERM);
            strays(&group, |output, group| {
                strays::signal(output, group, Signal::TERM);
            })
            .await;
            // The leader may be a shell that is gone at once while what it started still cleans up:
            // that has the grace too, as long as it holds the output.
            let gone = async {
                let _ = (&mut exited).await;
                while streams.join_next().await.is_some() {}
            };
            if tokio::time::timeout(task.grace - margin, gone).await.is_err() {
                group.signal(Signal::KILL);
                if !exited.is_terminated() {
                    let _ = (&mut exited).await;
                }
            }
        }
    }
    let status = group.end().map_err(|error| {
        failure(
            "lost_status",
            format!("the command's exit status is lost: {error}"),
        )
    })?;
    if stopped {
        strays(&group, strays::kill).await;
    }
    let _ = ended.send(true);
    let drained = async {
        while streams.join_next().await.is_some() {}
        log.close().await;
    };
    tokio::select! {
        () = drained => {}
        // Whoever takes the log may have stopped taking; that must not outlive the lease.
        () = async {
            if !stopped {
                task.cancelled().await;
            }
            tokio::time::sleep(margin / 2).await;
        } => {}
    }

    if stopped && !status.success() {
        return Err(Failure::cancelled());
    }
    let of_status = || of_status(status, log.last_error().as_deref());
    let output = group.scratch().output();
    let outputs = tokio::task::spawn_blocking(move || outputs::read(&output))
        .await
        .unwrap_or_else(|error| {
            Err(failure(
                "invalid_output",
                format!("reading the outputs: {error}"),
            ))
        });
    match (status.success(), outputs) {
        (true, Ok(outputs)) => Ok(Json::Object(outputs)),
        (true, Err(unread)) => Err(unread.into_error()),
        (false, Ok(outputs)) if outputs.is_empty() => Err(of_status()),
        (false, Ok(outputs)) => Err(of_status().outputs(Json::Object(outputs))),
        (false, Err(unread)) => {
            log.say(format!("the outputs are not kept: {}", unread.message))
                .await;
            Err(of_status())
        }
    }
}

/// Does something to those who left the group.
async fn strays(group: &Group, act: impl FnOnce(&Path, Pid) + Send + 'static) {
    let (output, group) = (group.scratch().output(), group.pid());
    // It ends, or it panicked and has done what it could.
    let _ = tokio::task::spawn_blocking(move || act(&output, group)).await;
}

type Started = (Group, Pipes, oneshot::Receiver<()>);

/// Starts the process on a thread of its own, which looks for the program, waits until it is loaded
/// and then for its exit, so that no thread of the runtime blocks.
async fn start(
    watchdog: Arc<Watchdog>,
    task: Task,
    with: With,
    reads: bool,
) -> Result<Started, Failure> {
    let (tell, told) = oneshot::channel();
    let (exit, exited) = oneshot::channel();
    std::thread::Builder::new()
        .name("exec".into())
        .spawn(move || match launch(watchdog, &task, with, reads) {
            Ok((group, pipes)) => {
                let pid = group.pid();
                // If nobody waits any more, the group is dropped, and so killed.
                let _ = tell.send(Ok((group, pipes)));
                wait_for_exit(pid);
                let _ = exit.send(());
            }
            Err(failure) => drop(tell.send(Err(failure))),
        })
        .map_err(|error| {
            failure(
                "spawn_failed",
                format!("cannot start a thread to wait for the command: {error}"),
            )
        })?;
    let (group, pipes) = told.await.unwrap_or_else(|_| {
        Err(failure(
            "spawn_failed",
            "the thread that starts the command ended",
        ))
    })?;
    Ok((group, pipes, exited))
}

fn launch(
    watchdog: Arc<Watchdog>,
    task: &Task,
    with: With,
    reads: bool,
) -> Result<(Group, Pipes), Failure> {
    let dir = directory(task, with.dir.as_deref())?;
    let scratch = watchdog.starting().map_err(|error| {
        failure(
            "spawn_failed",
            format!("cannot prepare to start the command: {error}"),
        )
    })?;
    let variables = environment::variables(&with, task, &scratch.output())
        .inspect_err(|_| watchdog.refused(&scratch))?;
    let program = environment::program(&with.argv[0], &dir, &variables)
        .inspect_err(|_| watchdog.refused(&scratch))?;
    Group::start(
        &Launch {
            program,
            argv: with.argv,
            dir,
            variables,
            reads,
        },
        scratch,
        watchdog,
    )
}

/// The directory to run in.
fn directory(task: &Task, dir: Option<&str>) -> Result<PathBuf, Failure> {
    let base = match task.labels.get(WORKDIR_LABEL) {
        Some(base) => PathBuf::from(base),
        None => std::env::current_dir().map_err(|error| {
            failure(
                "bad_dir",
                format!("the engine's own directory is gone: {error}"),
            )
        })?,
    };
    let path = dir.map_or_else(|| base.clone(), |dir| base.join(dir));
    let bad = |problem: &str| {
        failure(
            "bad_dir",
            format!("cannot run in `{}`: {problem}", path.display()),
        )
    };
    match path.metadata() {
        Ok(found) if found.is_dir() => Ok(path),
        Ok(_) => Err(bad("it is not a directory")),
        Err(error) => Err(bad(&error.to_string())),
    }
}

fn copy(
    streams: &mut JoinSet<()>,
    log: &Arc<Log>,
    pipe: Option<OwnedFd>,
    stream: Stream,
    ending: &watch::Receiver<bool>,
) -> Result<(), Failure> {
    let Some(pipe) = pipe else { return Ok(()) };
    let pipe = pipe::Receiver::from_owned_fd(pipe).map_err(|error| no_pipe(&error))?;
    let (log, ending) = (Arc::clone(log), ending.clone());
    streams.spawn(async move { log.copy(pipe, stream, ending).await });
    Ok(())
}

fn no_pipe(error: &std::io::Error) -> Failure {
    failure(
        "spawn_failed",
        format!("cannot use a pipe to the command: {error}"),
    )
}
