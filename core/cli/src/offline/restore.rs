//! `restore`, and whether a backup is whole.

use crate::args::{Output, RestoreArgs};
use crate::client::{Problem, with_runtime};
use crate::exit::Exit;
use crate::render::{data, human};
use crate::terminal;
use conveyor_engine::time::Time;
use conveyor_node::backup::{self, Contents, Tokens};
use conveyor_store::{Access, DataDir, Embedded};
use serde_json::json;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// `conveyor restore`.
pub(crate) fn restore(args: &RestoreArgs) -> Exit {
    with_runtime(Some(1), async {
        let (file, target) = (args.file.clone(), args.data_dir.clone());
        let tokens = match args.keep_tokens {
            true => Tokens::Kept,
            false => Tokens::LeftOut,
        };
        match on_a_thread(move || make(&file, &target, tokens)).await {
            Ok(contents) => say(args, &contents),
            Err(problem) => problem.tell(),
        }
    })
}

fn say(args: &RestoreArgs, contents: &Contents) -> Exit {
    let directory = args.data_dir.display().to_string();
    let told = json!({
        "data_directory": directory,
        "entries": contents.entries,
        "runs": contents.runs,
        "created_at": Time(contents.created_ms).to_string(),
        "tokens": contents.tokens,
        "tokens_kept": args.keep_tokens,
    });
    let text = match args.form.output {
        Output::Json => data::json(&told),
        Output::Yaml => data::yaml(&told),
        Output::Table => Ok(format!(
            "{directory} restored: {} runs, {} entries; `conveyor serve --data-dir {directory}` goes on with them\n{}",
            contents.runs,
            contents.entries,
            about_tokens(args, contents.tokens)
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

/// What whoever restores has to do about access tokens; nothing where the backup has none.
fn about_tokens(args: &RestoreArgs, tokens: u64) -> String {
    let directory = args.data_dir.display();
    let count = human::count(
        usize::try_from(tokens).unwrap_or(usize::MAX),
        "access token",
    );
    match (tokens, args.keep_tokens) {
        (0, _) => String::new(),
        (_, true) => format!(
            "{count} as of the backup; revoke again what was revoked since: \
             `conveyor tokens list --data-dir {directory}`\n"
        ),
        (_, false) => format!(
            "{count} left out, since they may have been revoked after the backup: make new ones with \
             `conveyor tokens create --data-dir {directory}`, or restore with --keep-tokens\n"
        ),
    }
}

/// Reads a backup to its last byte.
///
/// # Errors
/// When it is none, is damaged, or cannot be read.
pub(crate) async fn verified(file: PathBuf) -> Result<Contents, Problem> {
    on_a_thread(move || verify(&file)).await
}

async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Problem::refused(format!("reading the backup: {error}"))))
}

fn open(file: &Path) -> Result<BufReader<File>, Problem> {
    let opened = File::open(file).map_err(|error| cannot("read", file, &error))?;
    Ok(BufReader::with_capacity(1 << 20, opened))
}

fn verify(file: &Path) -> Result<Contents, Problem> {
    let refused = |error| Problem::refused(format!("{}: {error}", file.display()));
    backup::verify(open(file)?).map_err(refused)
}

/// Makes the directory aside and gives it its name once it is whole. Stopped in between, `target` is as it
/// was.
fn make(file: &Path, target: &Path, tokens: Tokens) -> Result<Contents, Problem> {
    let empty = match fs::read_dir(target) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
        Err(error) => return Err(cannot("read", target, &error)),
    };
    if !empty {
        return Err(Problem::refused(format!(
            "{} is not empty: a backup is restored into a new data directory",
            target.display()
        )));
    }
    let expected = verify(file)?;
    let absolute = std::path::absolute(target).map_err(|error| cannot("make", target, &error))?;
    let (Some(parent), Some(name)) = (absolute.parent(), absolute.file_name()) else {
        return Err(Problem::refused(format!(
            "{} is no directory that can be made",
            target.display()
        )));
    };
    let aside = parent.join(format!(".{}.restoring", name.to_string_lossy()));
    if aside.exists() {
        return Err(Problem::refused(format!(
            "{} was left by a restore that was stopped, or another one makes it now: remove it if none does",
            aside.display()
        )));
    }
    let made = fill(file, &aside, &expected, tokens).and_then(|()| {
        fs::rename(&aside, &absolute).map_err(|error| cannot("make", target, &error))
    });
    if let Err(problem) = made {
        // It is this call's own, and of no use.
        let _ = fs::remove_dir_all(&aside);
        return Err(problem);
    }
    let synced = File::open(parent).and_then(|parent| parent.sync_all());
    synced.map_err(|error| cannot("make", target, &error))?;
    Ok(expected)
}

fn fill(file: &Path, aside: &Path, expected: &Contents, tokens: Tokens) -> Result<(), Problem> {
    let refused = |error: &dyn std::fmt::Display| {
        Problem::refused(format!("cannot make {}: {error}", aside.display()))
    };
    let directory = DataDir::open(aside, Access::Create).map_err(|error| refused(&error))?;
    let store = Embedded::open(directory).map_err(|error| refused(&error))?;
    let restored = backup::restore(open(file)?, &store, tokens).map_err(|error| refused(&error))?;
    if restored != *expected {
        return Err(Problem::refused(format!(
            "{} changed while it was restored",
            file.display()
        )));
    }
    Ok(())
}

fn cannot(verb: &str, path: &Path, error: &std::io::Error) -> Problem {
    Problem::refused(format!("cannot {verb} {}: {error}", path.display()))
}
