//! `backup`.

use super::{reading, with_engine};
use crate::args::{BackupArgs, Form, Output};
use crate::client::{Engine, Problem, with_runtime};
use crate::exit::Exit;
use crate::offline::verified;
use crate::render::data;
use crate::terminal;
use conveyor_engine::time::Time;
use conveyor_node::backup::Contents;
use conveyor_proto::v1;
use serde_json::json;
use std::path::{Path, PathBuf};
use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt as _;

/// `conveyor backup`.
pub(crate) fn backup(args: &BackupArgs) -> Exit {
    if args.verify {
        let file = args.file.clone();
        return with_runtime(Some(2), async {
            match verified(file.clone()).await {
                Ok(contents) => say(&file, &contents, args.form, "is whole"),
                Err(problem) => problem.tell(),
            }
        });
    }
    with_engine(reading(&args.place), async |engine| {
        let (file, contents) = write(engine, &args.file).await?;
        Ok(say(&file, &contents, args.form, "written"))
    })
}

fn say(file: &Path, contents: &Contents, form: Form, done: &str) -> Exit {
    let told = json!({
        "file": file.display().to_string(),
        "created_at": Time(contents.created_ms).to_string(),
        "created_by": contents.created_by,
        "entries": contents.entries,
        "runs": contents.runs,
        "bytes": contents.bytes,
    });
    let text = match form.output {
        Output::Json => data::json(&told),
        Output::Yaml => data::yaml(&told),
        Output::Table => Ok(format!(
            "{} {done}: {} runs, {} entries, {} bytes, of {} by conveyor {}\n",
            file.display(),
            contents.runs,
            contents.entries,
            contents.bytes,
            Time(contents.created_ms),
            contents.created_by,
        )),
    };
    match text {
        Ok(text) => {
            terminal::print(&text);
            Exit::Succeeded
        }
        Err(why) => Problem::refused(why).tell(),
    }
}

/// Writes the file aside, checks it, and gives it its name once it is whole.
async fn write(engine: &Engine, target: &Path) -> Result<(PathBuf, Contents), Problem> {
    let target = match target.is_dir() {
        true => {
            let stamp: String = super::now()
                .to_string()
                .chars()
                .filter(char::is_ascii_alphanumeric)
                .collect();
            target.join(format!("conveyor-{stamp}.backup"))
        }
        false => target.to_owned(),
    };
    if target.exists() {
        return Err(Problem::refused(format!(
            "{} is there already: name another file, or move it away",
            target.display()
        )));
    }
    let mut name = target.clone().into_os_string();
    name.push(".part");
    let part = PathBuf::from(name);
    let written = match fill(engine, &part).await {
        Ok(()) => verified(part.clone()).await,
        Err(problem) => Err(problem),
    };
    let contents = match written {
        Ok(contents) => contents,
        Err(problem) => {
            // It is no backup, and nobody is to take it for one.
            let _ = std::fs::remove_file(&part);
            return Err(problem);
        }
    };
    let failed = |error| cannot(&target, &error);
    tokio::fs::rename(&part, &target).await.map_err(failed)?;
    let directory = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let directory = File::open(directory).await.map_err(failed)?;
    directory.sync_all().await.map_err(failed)?;
    Ok((target, contents))
}

async fn fill(engine: &Engine, part: &Path) -> Result<(), Problem> {
    let failed = |error| cannot(part, &error);
    // It has all that users' programs printed.
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut pieces = engine
        .client()
        .backup(v1::BackupRequest {})
        .await
        .map_err(Problem::of_backup)?
        .into_inner();
    let mut file = options.open(part).await.map_err(failed)?;
    while let Some(piece) = pieces.message().await.map_err(Problem::of_backup)? {
        file.write_all(&piece.data).await.map_err(failed)?;
    }
    file.flush().await.map_err(failed)?;
    file.sync_all().await.map_err(failed)
}

fn cannot(path: &Path, error: &std::io::Error) -> Problem {
    Problem::refused(format!("cannot write {}: {error}", path.display()))
}
