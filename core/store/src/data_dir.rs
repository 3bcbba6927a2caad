use crate::{Error, ErrorKind};
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The format of data directories that this program writes, and the newest that it reads.
///
/// It is raised by every change after which an older program would read the directory wrongly.
pub const FORMAT: u32 = 1;

const FORMAT_PREFIX: &str = "conveyor data directory, format ";
const FORMAT_FILE: &str = "format";
const FORMAT_DRAFT: &str = "format.new";
const LOCK_FILE: &str = "lock";

/// Whether a data directory may come into being.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// A directory that does not exist is created, with its parents.
    Create,
    /// A directory that does not exist is an error.
    Existing,
}

/// A data directory, held exclusively until this is dropped or the process ends.
///
/// The lock is taken before anything else is opened, and belongs to the process: the kernel releases
/// it however the process ends. The directory is created with mode 0700, since journals and logs
/// hold what users' programs print.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// Open as long as the lock is to be held.
    _lock: File,
}

impl DataDir {
    /// Opens and locks the directory at `path`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Locked`], [`ErrorKind::NewerFormat`], [`ErrorKind::NotADataDirectory`],
    /// [`ErrorKind::NotFound`], [`ErrorKind::Corrupt`] for an unreadable format file, and those of
    /// I/O. A directory that is refused for what it holds is left as it was.
    pub fn open(path: impl AsRef<Path>, access: Access) -> Result<Self, Error> {
        let path = path.as_ref();
        Self::open_inner(path, access).map_err(|error| {
            let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
            error.with("directory", real.display())
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn open_inner(path: &Path, access: Access) -> Result<Self, Error> {
        match access {
            Access::Create => {
                DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(path)
                    .map_err(io_error)?;
            }
            Access::Existing if !path.is_dir() => {
                return Err(Error::new(ErrorKind::NotFound, "open"));
            }
            Access::Existing => {}
        }
        // Absolute, so that a later change of the working directory moves nothing.
        let path = fs::canonicalize(path).map_err(io_error)?;
        if !path.join(FORMAT_FILE).exists() && holds_other_things(&path).map_err(io_error)? {
            return Err(Error::new(ErrorKind::NotADataDirectory, "open"));
        }
        let lock = lock(&path.join(LOCK_FILE))?;
        match read_format(&path.join(FORMAT_FILE))? {
            Some(found) if found > FORMAT => {
                return Err(Error::new(
                    ErrorKind::NewerFormat {
                        found,
                        known: FORMAT,
                    },
                    "open",
                ));
            }
            Some(_) => {}
            None => write_format(&path).map_err(io_error)?,
        }
        Ok(Self { path, _lock: lock })
    }
}

/// Whether a directory without a format file holds anything but what an interrupted first opening
/// leaves.
fn holds_other_things(path: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        if name != LOCK_FILE && name != FORMAT_DRAFT {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Takes the lock and writes our process id into it, for whoever is refused.
fn lock(path: &Path) -> Result<File, Error> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(io_error)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut holder = String::new();
            // Best effort: between its lock and its write the holder's id is not there yet.
            let pid = file
                .read_to_string(&mut holder)
                .ok()
                .and_then(|_| holder.trim().parse().ok());
            return Err(Error::new(ErrorKind::Locked { pid }, "open"));
        }
        Err(error) => return Err(io_error(error.into())),
    }
    // The id is a help for people; a full disk must not keep a directory from being opened.
    let _ = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(file)
}

fn read_format(path: &Path) -> Result<Option<u32>, Error> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error(error)),
    };
    let number = std::str::from_utf8(&text)
        .ok()
        .and_then(|text| text.strip_prefix(FORMAT_PREFIX))
        .and_then(|text| text.trim_end().parse().ok());
    match number {
        Some(number) => Ok(Some(number)),
        None => Err(Error::new(ErrorKind::Corrupt, "open")
            .with("file", FORMAT_FILE)
            .with("expected", format!("`{FORMAT_PREFIX}` and a number"))),
    }
}

/// Written aside and renamed, so that the file is whole or absent; the directory's own mode is set
/// first, because an existing empty directory may be open to others.
fn write_format(directory: &Path) -> io::Result<()> {
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700))?;
    let draft = directory.join(FORMAT_DRAFT);
    let mut file = File::create(&draft)?;
    writeln!(file, "{FORMAT_PREFIX}{FORMAT}")?;
    file.sync_all()?;
    fs::rename(&draft, directory.join(FORMAT_FILE))?;
    File::open(directory)?.sync_all()
}

fn io_error(error: io::Error) -> Error {
    Error::from_io(error, "open")
}
