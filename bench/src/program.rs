//! The program itself: its size, and how long it takes to start.

use crate::load::Failed;
use crate::report::{Line, percentile};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Measures the program beside this one.
pub(crate) fn lines() -> Result<Vec<Line>, Failed> {
    let program = std::env::current_exe()?.with_file_name("conveyor");
    let Ok(metadata) = std::fs::metadata(&program) else {
        return Err(format!("{} is not there: cargo build --release", program.display()).into());
    };
    let mut samples = Vec::new();
    for _ in 0..50 {
        let begun = Instant::now();
        let status = Command::new(&program)
            .arg("--version")
            .stdout(Stdio::null())
            .status()?;
        if !status.success() {
            return Err(format!("{} --version: {status}", program.display()).into());
        }
        samples.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    let size = metadata.len() as f64 / f64::from(1 << 20);
    Ok(vec![
        Line::plain(
            "conveyor --version",
            "p50",
            percentile(&mut samples, 0.5),
            "ms",
        ),
        Line::plain(
            "the program, without debug information",
            "size",
            size,
            "MiB",
        )
        .at_most(25.0, ""),
    ])
}
