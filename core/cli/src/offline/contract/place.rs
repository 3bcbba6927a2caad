//! Where the contract is written, and what must not be written over.

use super::files::{File, MANIFEST, WHAT};
use serde_json::Value;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A directory that is ours, or nobody's.
pub(super) struct Place {
    path: PathBuf,
    /// What an earlier export wrote.
    earlier: Vec<String>,
}

impl Place {
    /// # Errors
    /// A sentence: the directory has something else.
    pub(super) fn open(path: &Path) -> Result<Place, String> {
        let earlier = match fs::read(path.join(MANIFEST)) {
            Ok(text) => earlier(&text).ok_or_else(|| foreign(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => match is_empty(path) {
                Ok(true) => Ok(Vec::new()),
                Ok(false) => Err(foreign(path)),
                Err(error) => Err(failed(path, &error)),
            },
            Err(error) => Err(failed(path, &error)),
        };
        Ok(Place {
            path: path.to_owned(),
            earlier: earlier?,
        })
    }

    /// Writes the files, and removes what an earlier export wrote besides. Whatever stops this, the next one
    /// knows the directory for its own, and does the rest: a new list comes first into an empty directory,
    /// and last where there is an old one.
    pub(super) fn write(&self, files: &[File]) -> Result<(), String> {
        let (list, others): (Vec<_>, Vec<_>) = files.iter().partition(|file| file.name == MANIFEST);
        if self.earlier.is_empty() {
            self.put(&list)?;
        }
        self.put(&others)?;
        let kept = |name: &String| files.iter().any(|file| file.name == *name);
        for name in self.earlier.iter().filter(|name| !kept(name)) {
            let path = self.path.join(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed(&path, &error));
                }
                _ => {}
            }
        }
        self.put(&list)
    }

    /// Writes what is not there as it should be.
    fn put(&self, files: &[&File]) -> Result<(), String> {
        for file in files {
            let path = self.path.join(&file.name);
            if let Some(directory) = path.parent() {
                fs::create_dir_all(directory).map_err(|error| failed(directory, &error))?;
            }
            let same = fs::read(&path).is_ok_and(|there| there == file.bytes);
            if !same {
                fs::write(&path, &file.bytes).map_err(|error| failed(&path, &error))?;
            }
        }
        Ok(())
    }
}

/// The files that a list names; `None` when it is none of ours. A name that leads out of the directory is
/// none that we wrote.
fn earlier(text: &[u8]) -> Option<Vec<String>> {
    let manifest: Value = serde_json::from_slice(text).ok()?;
    if manifest["what"] != WHAT {
        return None;
    }
    let names = manifest["files"].as_array()?.iter();
    let names = names.map(|name| name.as_str().map(str::to_owned));
    let names: Vec<_> = names.collect::<Option<_>>()?;
    let within = |name: &String| {
        let mut parts = Path::new(name).components();
        parts.all(|part| matches!(part, std::path::Component::Normal(_)))
    };
    names.iter().all(within).then_some(names)
}

fn is_empty(path: &Path) -> io::Result<bool> {
    match fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

fn foreign(path: &Path) -> String {
    format!(
        "{} has something that no export wrote: name a directory that is empty, or not there yet",
        path.display()
    )
}

fn failed(path: &Path, error: &io::Error) -> String {
    format!("cannot write {}: {error}", path.display())
}
