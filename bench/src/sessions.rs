//! A thousand connected sessions: what they cost while nothing happens, and what they do together.

use crate::driver::Process;
use crate::external::{Busy, busy};
use crate::load::Failed;
use crate::remote::apply_chain;
use crate::report::Line;
use crate::server::Server;
use conveyor_sdk::Client;
use std::path::Path;
use std::time::Duration;

/// So many sessions on one server, each over a connection of its own.
pub(crate) async fn lines(
    folder: &Path,
    sessions: u32,
    idle: Duration,
    runs: u32,
) -> Result<Vec<Line>, Failed> {
    let server = Server::start(&folder.join("sessions"))?;
    let client = Client::connect(server.url.clone()).await?;
    let empty = server.resident_kib()?;
    let _drivers = Process::start(&server.url, &client, 4, sessions).await?;
    apply_chain(&client).await?;
    let full = server.resident_kib()?;
    let before = server.cpu()?;
    // What is measured is the time itself: heartbeats and keepalives fall into it.
    tokio::time::sleep(idle).await;
    let spent = server.cpu()? - before;
    let each = (full - empty) / f64::from(sessions);
    let part = spent.as_secs_f64() / idle.as_secs_f64() * 100.0;
    let Busy { rate, cpu_ms } = busy(&server, &client, "chain", (64, runs, 10)).await?;
    let name = format!("{sessions} connected sessions");
    Ok(vec![
        Line::plain(&name, "resident memory each", each, "KiB"),
        Line::plain(&name, "CPU while idle", part, "% of one"),
        Line::plain(&name, "64 chains of 10 at once", rate, "steps/s"),
        Line::plain(&name, "CPU of the server, busy", cpu_ms, "ms/step"),
    ])
}
