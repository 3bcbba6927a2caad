//! Very many followers of one run: what each costs the server, and when the last one knows.

use crate::crowd::Seen;
use crate::driver::Process;
use crate::load::Failed;
use crate::remote::apply;
use crate::report::{Line, percentile};
use crate::server::Server;
use conveyor_sdk::{Client, Run, Start};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use std::path::Path;

/// Steps that do nothing for a while, one after the other: each tells the followers twice.
const WAITS: u32 = 5;
/// What a follower may cost the server, in KiB: about twice what it does. A connection and its buffers are a few
/// pages; events that wait for a follower are not among them, since it is told from what all share.
const EACH_KIB: f64 = 64.0;
/// What a server may have resident without any, in MiB: its budget when idle (DESIGN's §11), and the run.
const EMPTY_MIB: f64 = 64.0;
/// Files that a process has open besides its connections.
const BESIDES: u64 = 300;

/// So many followers, by server-sent events, of a run whose steps take so long each.
pub(crate) async fn lines(
    folder: &Path,
    followers: u32,
    wait_ms: u32,
) -> Result<Vec<Line>, Failed> {
    room(u64::from(followers) + BESIDES)?;
    let limit = (followers + 100).to_string();
    let settings = [("CONVEYOR_CONNECTIONS_LIMIT", &*limit)];
    let server = Server::start_with(&folder.join("followers"), &settings)?;
    let client = Client::connect(server.url.clone()).await?;
    // The first step waits for its driver, until all are there.
    let waits = (0..WAITS)
        .map(|n| json!({"id": format!("w{n}"), "wait": {"duration": format!("{wait_ms}ms")}}));
    let gate = json!({"id": "gate", "driver": "d"});
    let steps: Vec<_> = std::iter::once(gate).chain(waits).collect();
    apply(&client, "waits", &steps).await?;
    let run = client.start(Start::pipeline("waits")).await?;
    let empty = server.resident_kib()?;
    let words = ["followers", &server.url, run.id(), &followers.to_string()];
    let mut crowd = Process::spawn(&words)?;
    let before: usize = crowd.answer()?;
    let (full, cpu) = (server.resident_kib()?, server.cpu()?);
    let _driver = Process::start(&server.url, &client, 1, 1).await?;
    let seen: Seen = crowd.answer()?;
    let spent = server.cpu()? - cpu;
    let ids = events(&run).await?;
    whole(&seen, &ids, followers)?;
    // Those events that came while all were there.
    let new = &seen.events[before..];
    let mut late: Vec<f64> = new
        .iter()
        .map(|told| told.last_ms - told.time_ms as f64)
        .collect();
    let in_order = late.clone();
    let each = (full - empty) / f64::from(followers);
    let told = f64::from(followers) * new.len() as f64;
    let name = format!("{followers} followers of one run, server-sent events");
    let last = percentile(&mut late, 0.5);
    let peak = EMPTY_MIB + EACH_KIB * f64::from(followers) / 1024.0;
    Ok(vec![
        Line::plain(&name, "resident memory each", each, "KiB").at_most(EACH_KIB, ""),
        // While all are told, too.
        Line::plain(&name, "resident, peak", server.peak_kib()? / 1024.0, "MiB").at_most(peak, ""),
        Line::plain(&name, "event until the last has it, p50", last, "ms").samples(&in_order),
        Line::plain(
            &name,
            "event until the last has it, longest",
            percentile(&mut late, 1.0),
            "ms",
        ),
        Line::plain(
            &name,
            "CPU of the server for an event of one",
            spent.as_secs_f64() * 1e3 / told,
            "ms",
        ),
    ])
}

/// The ids of the events of a run that has ended.
async fn events(run: &Run) -> Result<Vec<String>, Failed> {
    let (mut events, mut ids) = (run.events(), Vec::new());
    while let Some(event) = events.next().await.transpose()? {
        ids.push(event.id);
    }
    Ok(ids)
}

/// Whether each follower saw each event of the run, in order and once, and the end.
fn whole(seen: &Seen, ids: &[String], followers: u32) -> Result<(), Failed> {
    let all: Vec<&String> = seen.events.iter().map(|told| &told.id).collect();
    if all != ids.iter().collect::<Vec<_>>() {
        return Err(format!("the run's events are {ids:?}, its followers saw {all:?}").into());
    }
    let short = seen.events.iter().find(|told| told.readers != followers);
    if let Some(told) = short {
        let (readers, id) = (told.readers, &told.id);
        return Err(format!("{readers} of {followers} followers saw the event {id}").into());
    }
    match seen.ends == followers {
        true => Ok(()),
        false => Err(format!("{} of {followers} followers saw the end", seen.ends).into()),
    }
}

/// Lets this process and those that it starts open so many files.
fn room(files: u64) -> Result<(), Failed> {
    let limit = getrlimit(Resource::Nofile);
    let (now, most) = (
        limit.current.unwrap_or(u64::MAX),
        limit.maximum.unwrap_or(u64::MAX),
    );
    if now >= files {
        return Ok(());
    }
    if most < files {
        let why = format!(
            "the hard limit of open files (`ulimit -Hn`) is {most}; followers in one process and their \
             server take {files} each"
        );
        return Err(why.into());
    }
    let current = Some(files);
    Ok(setrlimit(Resource::Nofile, Rlimit { current, ..limit })?)
}
