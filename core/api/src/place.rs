//! Where the socket of a data directory lies.

use rustix::process::getuid;
use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// The socket's name in the data directory.
pub const SOCKET_FILE: &str = "control.sock";
/// The file that names the socket where it lies elsewhere: its absolute path, nothing else.
pub const POINTER_FILE: &str = "control.path";

/// The longest path that Linux and macOS both take: macOS has 104 bytes with the final zero.
const MAX_PATH: usize = 103;

/// Whether a path fits into a socket address.
fn fits(path: &Path) -> bool {
    path.as_os_str().len() <= MAX_PATH
}

/// Where the holder of `data_dir`, an absolute path, is to listen. Where the path in the directory
/// is too long, a place in the run-time directory is made, and the directory names it.
///
/// # Errors
/// When the directory of sockets cannot be made, or belongs to somebody else.
pub(crate) fn choose(data_dir: &Path) -> io::Result<PathBuf> {
    let pointer = data_dir.join(POINTER_FILE);
    let inside = data_dir.join(SOCKET_FILE);
    if fits(&inside) {
        // Left by a holder that knew the directory under a longer path.
        remove(&pointer)?;
        return Ok(inside);
    }
    let directory = runtime_directory()?;
    // The process id is enough: a process holds a directory once, and the pointer names the file.
    let name = format!(
        "{}-{:x}.sock",
        std::process::id(),
        fs::metadata(data_dir)?.ino()
    );
    let outside = directory.join(name);
    if !fits(&outside) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "the socket `{}` would have {} bytes in its path; a socket address takes {MAX_PATH}: \
                 set XDG_RUNTIME_DIR to a shorter one",
                outside.display(),
                outside.as_os_str().len()
            ),
        ));
    }
    let draft = data_dir.join(format!("{POINTER_FILE}.new"));
    fs::write(&draft, outside.as_os_str().as_bytes())?;
    fs::rename(&draft, &pointer)?;
    Ok(outside)
}

/// Where the holder of `data_dir` listens, as far as the directory says.
pub(crate) fn find(data_dir: &Path) -> PathBuf {
    match fs::read(data_dir.join(POINTER_FILE)) {
        Ok(path) if !path.is_empty() => PathBuf::from(OsString::from_vec(path)),
        _ => data_dir.join(SOCKET_FILE),
    }
}

/// Takes away what [`choose`] left.
pub(crate) fn forget(data_dir: &Path, socket: &Path) {
    // Best effort: whoever comes next replaces both.
    let _ = remove(socket);
    if !socket.starts_with(data_dir) {
        let _ = remove(&data_dir.join(POINTER_FILE));
    }
}

pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A directory for sockets that nobody else can reach: in `$XDG_RUNTIME_DIR`, else under the
/// directory for temporary files.
fn runtime_directory() -> io::Result<PathBuf> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let directory = match runtime.filter(|path| path.is_absolute() && path.is_dir()) {
        Some(runtime) => runtime.join("conveyor"),
        None => std::env::temp_dir().join(format!("conveyor-{}", getuid().as_raw())),
    };
    match DirBuilder::new().mode(0o700).create(&directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // Not through a link, and not one that somebody else put there first.
    let found = fs::symlink_metadata(&directory)?;
    if !found.is_dir() || found.uid() != getuid().as_raw() || found.mode() & 0o077 != 0 {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!(
                "`{}` has to be a directory of the user alone (mode 0700)",
                directory.display()
            ),
        ));
    }
    Ok(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_path_holds_its_socket() {
        let dir = tempfile::tempdir().expect("a directory");
        let socket = choose(dir.path()).expect("a place");
        assert_eq!(socket, dir.path().join(SOCKET_FILE));
        assert_eq!(find(dir.path()), socket);
    }

    #[test]
    fn a_long_path_names_a_socket_elsewhere() {
        let dir = tempfile::tempdir().expect("a directory");
        let long = dir.path().join("x".repeat(120));
        fs::create_dir(&long).expect("a directory");
        let socket = choose(&long).expect("a place");
        assert!(
            fits(&socket) && !socket.starts_with(&long),
            "{}",
            socket.display()
        );
        assert_eq!(find(&long), socket);
        forget(&long, &socket);
        assert_eq!(find(&long), long.join(SOCKET_FILE));
    }
}
