//! What this disk does: the median of `fdatasync` after a small append, as every commit does one.

use crate::report::{Line, percentile};
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

/// F and its lines.
pub(crate) struct Calibration {
    /// The median in milliseconds.
    pub(crate) f_ms: f64,
    pub(crate) lines: Vec<Line>,
}

/// Appends 512 bytes and syncs, so many times.
pub(crate) fn fdatasync(folder: &Path, times: usize) -> std::io::Result<Calibration> {
    let mut file = File::create(folder.join("calibration"))?;
    let mut samples = Vec::with_capacity(times);
    for _ in 0..times {
        file.write_all(&[7; 512])?;
        let start = Instant::now();
        file.sync_data()?;
        samples.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let unsorted = samples.clone();
    let (p50, p99) = (
        percentile(&mut samples, 0.5),
        percentile(&mut samples, 0.99),
    );
    let name = "fdatasync after a 512-byte append";
    Ok(Calibration {
        f_ms: p50,
        lines: vec![
            Line::plain(name, "p50 (F)", p50, "ms").samples(&unsorted),
            Line::plain(name, "p99", p99, "ms"),
        ],
    })
}
