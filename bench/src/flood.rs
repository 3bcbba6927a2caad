//! The driver `f` in a process of its own, whose tasks do nothing but log.

use crate::load::{Failed, runtime};
use conveyor_sdk::{Driver, Failure, Stop, Stream, Task};
use std::collections::BTreeMap;
use std::io::BufRead as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What follows a line's number: a hundred bytes with it, as builds and tests write them.
const REST: &str =
    " the quick brown fox jumps over the lazy dog, and over the next one, and so on to the end";
/// How often a task that keeps to a rate goes on.
const BEAT: Duration = Duration::from_millis(10);

/// The line with that number.
pub(crate) fn line(number: u64) -> String {
    format!("{number:012}{REST}")
}

/// The process: its tasks log, all together `rate` lines a second, 0 for as many as are taken, until there
/// is a line on its standard input. Then they succeed, and once the server has acknowledged all that they
/// said, it is told how many lines that was of each step.
pub(crate) fn driver(url: &str, tasks: &str, rate: &str) -> Result<(), Failed> {
    let (tasks, rate): (u32, u32) = (tasks.parse()?, rate.parse()?);
    let enough = Arc::new(AtomicBool::new(false));
    let written: Arc<Mutex<BTreeMap<String, u64>>> = Arc::default();
    let a_beat = u64::from(rate / tasks / 100);
    let (done, noted) = (Arc::clone(&enough), Arc::clone(&written));
    let run = move |task: Task| {
        let (done, noted) = (Arc::clone(&done), Arc::clone(&noted));
        async move {
            let lines = flood(&task, &done, a_beat).await;
            let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
            noted.insert(task.step, lines);
            Ok::<(), Failure>(())
        }
    };
    let driver = Driver::new("f")
        .version("1.0.0")
        .action("run", run)
        .capacity(tasks)
        .options(|options| options.url = Some(url.to_owned()));
    let (runtime, stop) = (runtime()?, Stop::new());
    let working = runtime.spawn(driver.run_until(stop.clone()));
    std::io::stdin().lock().read_line(&mut String::new())?;
    enough.store(true, Ordering::Relaxed);
    // It ends once it holds nothing: a task whose lines are not acknowledged is held.
    stop.drain();
    runtime.block_on(working)??;
    let written = written.lock().unwrap_or_else(PoisonError::into_inner);
    crate::print(&(serde_json::to_string(&*written)? + "\n"));
    Ok(())
}

/// Logs until it is enough, so many lines a beat; 0 for as fast as there is room.
async fn flood(task: &Task, enough: &AtomicBool, a_beat: u64) -> u64 {
    let mut beat = tokio::time::interval(BEAT);
    let mut lines = 0;
    while !enough.load(Ordering::Relaxed) {
        if a_beat > 0 && lines % a_beat == 0 {
            beat.tick().await;
        }
        task.log.line(Stream::Stdout, line(lines)).await;
        lines += 1;
    }
    lines
}
