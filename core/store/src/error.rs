use bytes::Bytes;
use std::fmt;
use std::io;

/// What went wrong in a store: kind, status, operation and context.
///
/// `Display` is one line; `Debug` has one line for each part. A message names keys by their length
/// and first bytes and never shows a value.
pub struct Error {
    kind: ErrorKind,
    operation: &'static str,
    context: Vec<(&'static str, String)>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What a program decides by.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Another process, or another handle in this one, holds the data directory.
    Locked {
        /// The holder's process id, where it could be read.
        pid: Option<u32>,
    },
    /// The directory's format is newer than this program knows.
    NewerFormat {
        /// The directory's format.
        found: u32,
        /// The newest format that this program knows.
        known: u32,
    },
    /// The directory exists and is not a data directory.
    NotADataDirectory,
    /// The directory does not exist and was not to be created.
    NotFound,
    /// The transaction is not well formed; for example, it names a key twice.
    Invalid,
    /// A limit is exceeded.
    TooLarge {
        /// The limit's name, a field of [`crate::Limits`].
        limit: &'static str,
        /// What was asked for.
        value: u64,
        /// What is allowed.
        maximum: u64,
    },
    /// No space is left on the device, or a quota or file size limit is reached.
    DiskFull,
    /// Any other failure of reading or writing.
    Io,
    /// Stored data does not read as what was written.
    Corrupt,
}

/// Whether trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The same call fails again until someone changes the request or the data.
    Permanent,
    /// The same call may succeed later.
    Temporary,
}

impl Error {
    /// A new error of `operation` (a verb of this crate, such as `commit`).
    #[must_use]
    pub fn new(kind: ErrorKind, operation: &'static str) -> Self {
        Self {
            kind,
            operation,
            context: Vec::new(),
            source: None,
        }
    }

    /// From an I/O error, whose own kind decides between [`ErrorKind::DiskFull`] and
    /// [`ErrorKind::Io`].
    #[must_use]
    pub fn from_io(error: io::Error, operation: &'static str) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => ErrorKind::DiskFull,
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => ErrorKind::Corrupt,
            _ => ErrorKind::Io,
        };
        Self::new(kind, operation).caused_by(error)
    }

    /// Adds a name and a value to what the error says.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.context.push((name, value.to_string()));
        self
    }

    /// Adds the error beneath.
    #[must_use]
    pub fn caused_by(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What a program decides by.
    #[must_use]
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// The verb that failed.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.operation
    }

    /// What was added under `name`.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let mut found = self.context.iter().filter(|(each, _)| *each == name);
        found.next().map(|(_, value)| value.as_str())
    }

    /// Whether trying again can help.
    #[must_use]
    pub fn status(&self) -> Status {
        match self.kind {
            ErrorKind::Locked { .. } | ErrorKind::DiskFull | ErrorKind::Io => Status::Temporary,
            _ => Status::Permanent,
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked { pid: Some(pid) } => {
                write!(f, "the data directory is held by process {pid}")
            }
            Self::Locked { pid: None } => {
                f.write_str("the data directory is held by another process")
            }
            Self::NewerFormat { found, known } => write!(
                f,
                "the data directory has format {found}, this program knows formats up to {known}: \
                 use the newer program"
            ),
            Self::NotADataDirectory => f.write_str(
                "the directory is not empty and not a data directory: name an empty or a new one",
            ),
            Self::NotFound => f.write_str("there is no data directory"),
            Self::Invalid => f.write_str("the transaction is not well formed"),
            Self::TooLarge {
                limit,
                value,
                maximum,
            } => {
                write!(f, "{limit} is {value}, the limit is {maximum}")
            }
            Self::DiskFull => f.write_str(
                "no space is left for the store: the disk is full, or a quota or a limit is reached; \
                 make space",
            ),
            Self::Io => f.write_str("reading or writing failed"),
            Self::Corrupt => f.write_str(
                "stored data is damaged: restore the directory from a backup, or move it away to \
                 begin anew",
            ),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.operation, self.kind)?;
        for (index, (name, value)) in self.context.iter().enumerate() {
            f.write_str(if index == 0 { " (" } else { ", " })?;
            write!(f, "{name}: {value}")?;
        }
        if !self.context.is_empty() {
            f.write_str(")")?;
        }
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.kind)?;
        writeln!(f, "  kind: {:?}", self.kind)?;
        writeln!(f, "  status: {:?}", self.status())?;
        write!(f, "  operation: {}", self.operation)?;
        for (name, value) in &self.context {
            write!(f, "\n  {name}: {value}")?;
        }
        match &self.source {
            Some(source) => write!(f, "\n  source: {source:?}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// A compare that did not hold.
#[derive(Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The first key, in the order of the transaction's compares, that was not as expected.
    pub key: Bytes,
    /// What was there.
    pub found: Option<Bytes>,
}

/// What is known of a commit that did not succeed.
#[derive(Debug)]
pub enum CommitError {
    /// A compare did not hold. Nothing was written.
    Conflict(Conflict),
    /// It certainly did not happen, and will not.
    Failed(Error),
    /// It may have happened. Read a key that it writes.
    Unknown(Error),
}

impl CommitError {
    /// The error, where it is not a conflict.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        match self {
            Self::Conflict(_) => None,
            Self::Failed(error) | Self::Unknown(error) => Some(error),
        }
    }
}

impl fmt::Debug for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values may hold a user's data, which never belongs into a log.
        f.debug_struct("Conflict")
            .field("key", &self.key)
            .field("found_bytes", &self.found.as_ref().map(Bytes::len))
            .finish()
    }
}

impl fmt::Display for CommitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict(Conflict {
                key,
                found: Some(_),
            }) => {
                write!(
                    f,
                    "commit: key {} holds another value than expected",
                    key.escape_ascii()
                )
            }
            Self::Conflict(Conflict { key, found: None }) => {
                write!(
                    f,
                    "commit: key {} is absent and was expected",
                    key.escape_ascii()
                )
            }
            Self::Failed(error) => write!(f, "{error}"),
            Self::Unknown(error) => write!(f, "{error}; the transaction may have been committed"),
        }
    }
}

impl std::error::Error for CommitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error().map(|error| error as _)
    }
}
