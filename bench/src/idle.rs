//! A server that does nothing: how long until it answers, and what it keeps resident.

use crate::load::Failed;
use crate::report::{Line, percentile};
use crate::server::Server;
use std::path::Path;

/// How often the server is started.
const STARTS: u32 = 20;

/// Starts it on new data directories, one after the other.
pub(crate) fn lines(folder: &Path) -> Result<Vec<Line>, Failed> {
    let (mut ready, mut resident) = (Vec::new(), Vec::new());
    for start in 0..STARTS {
        let server = Server::start(&folder.join(format!("idle-{start}")))?;
        ready.push(server.ready.as_secs_f64() * 1e3);
        resident.push(server.resident_kib()? / 1024.0);
    }
    let all = ready.clone();
    let name = "conveyor serve, idle";
    Ok(vec![
        Line::plain(
            name,
            "start to ready, p50",
            percentile(&mut ready, 0.5),
            "ms",
        )
        .at_most(100.0, "")
        .samples(&all),
        Line::plain(name, "resident, p50", percentile(&mut resident, 0.5), "MiB").at_most(30.0, ""),
    ])
}
