//! `docs/conformance.md`, out of the reports of a directory.

use super::Refused;
use super::args::PageArgs;
use conveyor_conformance::{Status, Summary, page};
use std::fs;
use std::path::Path;

/// `page`.
pub(super) fn run(args: &PageArgs) -> Result<Status, Refused> {
    let mut reports = Vec::new();
    for named in &args.reports {
        let (title, file) = named
            .split_once('=')
            .ok_or_else(|| format!("{named}: it is TITLE=FILE"))?;
        let text = read(Path::new(file))?;
        let summary = serde_json::from_str::<Summary>(&text);
        let mut summary = summary.map_err(|error| format!("{file}: {error}"))?;
        summary.title = title.to_owned();
        reports.push(summary);
    }
    let results = serde_json::to_string_pretty(&reports).map_err(|error| error.to_string())?;
    let write = |file: &Path, text: String| {
        fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))
    };
    write(
        &args.docs.join("results/conformance/all.json"),
        results + "\n",
    )?;
    write(&args.docs.join("conformance.md"), page(&reports))?;
    Ok(Status::AsExpected)
}

fn read(file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))
}
