//! The program itself: its size, how long it takes to be ready, and what it keeps resident.

use crate::load::{Failed, kib};
use crate::report::{Line, percentile};
use object::{Object as _, ObjectSection as _};
use std::io::BufRead as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// A pipeline that does nothing for longer than this takes.
const PARKED: &str = "\
apiVersion: conveyor/v1
kind: Pipeline
metadata: {name: parked}
spec: {steps: [{id: w, wait: {duration: 1h}}]}
";
/// How often the program is started.
const STARTS: usize = 30;

/// Measures the program beside this one.
pub(crate) fn lines(folder: &Path) -> Result<Vec<Line>, Failed> {
    let program = crate::server::program()?;
    let mut versions = Vec::new();
    for _ in 0..STARTS {
        let begun = Instant::now();
        let status = Command::new(&program)
            .arg("--version")
            .stdout(Stdio::null())
            .status()?;
        if !status.success() {
            return Err(format!("{} --version: {status}", program.display()).into());
        }
        versions.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    let (mut starts, mut resident) = (Vec::new(), Vec::new());
    for start in 0..STARTS {
        let holder = Holder::start(&program, &folder.join(format!("holder-{start}")))?;
        starts.push(holder.ready_ms);
        resident.push(holder.resident_kib()? / 1024.0);
    }
    let in_order = starts.clone();
    let name = "conveyor run, a run that waits";
    let mut lines = vec![
        Line::plain(
            "conveyor --version",
            "p50",
            percentile(&mut versions, 0.5),
            "ms",
        ),
        Line::plain(
            name,
            "start to the run accepted, p50",
            percentile(&mut starts, 0.5),
            "ms",
        )
        .at_most(100.0, "")
        .samples(&in_order),
        Line::plain(name, "resident, p50", percentile(&mut resident, 0.5), "MiB").at_most(30.0, ""),
        size(&program)?,
    ];
    if let Some(packaged) = packaged(&program) {
        lines.push(size(&packaged)?);
    }
    Ok(lines)
}

/// What `make dist` has built, where it has and is not what is measured already: it is what packages have.
fn packaged(program: &Path) -> Option<PathBuf> {
    let packaged = program.parent()?.parent()?.join("dist/conveyor");
    (packaged != program && packaged.is_file()).then_some(packaged)
}

/// The size of a program. The budget is for what packages are made with.
fn size(program: &Path) -> Result<Line, Failed> {
    // Cargo names the directory after the profile.
    let profile = program.parent().and_then(Path::file_name);
    let profile = profile.unwrap_or_default().to_string_lossy();
    let name = format!("the program, profile {profile}");
    let megabytes = stripped_bytes(program)? as f64 / 1e6;
    let line = Line::plain(&name, "size, stripped", megabytes, "MB").at_most(25.0, "");
    Ok(match &*profile {
        "dist" => line,
        _ => Line {
            budget: format!("{} in profile dist: make dist", line.budget),
            met: None,
            ..line
        },
    })
}

/// The size of a program without what `strip` takes off: symbols, and what debuggers read.
fn stripped_bytes(program: &Path) -> Result<u64, Failed> {
    let bytes = std::fs::read(program)?;
    let file = object::File::parse(&*bytes)?;
    let taken = file.sections().filter(|section| {
        section
            .name()
            .is_ok_and(|name| [".symtab", ".strtab"].contains(&name) || name.starts_with(".debug_"))
    });
    let taken: u64 = taken
        .filter_map(|section| section.file_range())
        .map(|(_, size)| size)
        .sum();
    Ok(bytes.len() as u64 - taken)
}

/// A process that holds a data directory with one run that waits.
struct Holder {
    process: Child,
    ready_ms: f64,
}

impl Holder {
    fn start(program: &Path, folder: &Path) -> Result<Holder, Failed> {
        std::fs::create_dir_all(folder)?;
        let file = folder.join("parked.yaml");
        std::fs::write(&file, PARKED)?;
        let begun = Instant::now();
        let process = Command::new(program)
            .arg("run")
            .arg(&file)
            .arg("--data-dir")
            .arg(folder.join("data"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut holder = Holder {
            process,
            ready_ms: f64::NAN,
        };
        let stderr = holder.process.stderr.take().ok_or("no standard error")?;
        for line in std::io::BufReader::new(stderr).lines() {
            // Only what is durable is told: the run was accepted, and waits.
            if line?.contains("w waiting") {
                holder.ready_ms = begun.elapsed().as_secs_f64() * 1e3;
                return Ok(holder);
            }
        }
        Err(format!("{} ended before its run waited", program.display()).into())
    }

    fn resident_kib(&self) -> Result<f64, Failed> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        Ok(kib(&status, "VmRSS"))
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_packages_have_is_held_to_the_budget_where_it_was_built() {
        let target = tempfile::tempdir().expect("a directory");
        let place = |profile: &str| target.path().join(profile).join("conveyor");
        let own = std::env::current_exe().expect("there is one");
        std::fs::create_dir(target.path().join("release")).expect("it is writable");
        assert_eq!(packaged(&place("release")), None);
        std::fs::create_dir(target.path().join("dist")).expect("it is writable");
        std::fs::copy(own, place("dist")).expect("it is writable");
        assert_eq!(packaged(&place("release")), Some(place("dist")));
        assert_eq!(packaged(&place("dist")), None, "it is measured once");
        let line = size(&place("dist")).expect("it is a program");
        assert!(line.met.is_some() && !line.budget.contains("make dist"));
    }
}
