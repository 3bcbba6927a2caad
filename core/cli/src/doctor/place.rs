//! The data directory, its disk, and what the process may use.

use super::Finding;
use crate::config::Config;
use crate::serve;
use conveyor_api::{Standing, Validity};
use conveyor_store::{Access, DataDir, Embedded, ErrorKind};
use rustix::fs::{MetadataExt as _, StatVfs};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// Free space below which a store soon cannot write, and below which it is time to look: a merge of files may
/// for a while need as much as the store has.
const NO_SPACE: u64 = 256 << 20;
const LITTLE_SPACE: u64 = 2 << 30;

/// Appends that are measured, and the median above which a disk is slow: a step waits for two of them.
const SYNCS: usize = 21;
const SLOW: Duration = Duration::from_millis(20);

/// Open files besides connections: the store's, sockets, and what tasks of this process open.
const OTHER_FILES: u64 = 256;

/// 2025-01-01T00:00:00Z, in seconds: no release is older.
const RELEASED: u64 = 1_735_689_600;

/// Whether somebody holds the directory.
pub(super) enum Holder {
    Nobody,
    Somebody,
}

/// The directory, and whether somebody holds it.
pub(super) fn directory(path: &Path) -> (Vec<Finding>, Holder) {
    const CHECK: &str = "data directory";
    let shown = path.display();
    let found = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let parents = path
                .ancestors()
                .skip(1)
                .map(|parent| match parent.as_os_str() {
                    // Of a relative path.
                    name if name.is_empty() => Path::new("."),
                    _ => parent,
                });
            let there = parents.into_iter().find(|parent| parent.exists());
            let mut findings = vec![makeable(path, there)];
            findings.extend(there.filter(|there| there.is_dir()).map(disk));
            return (findings, Holder::Nobody);
        }
        Err(error) => {
            let advice = "name one that this user can reach, with --data-dir";
            return (
                vec![Finding::wrong(CHECK, format!("{shown}: {error}"), advice)],
                Holder::Nobody,
            );
        }
        Ok(found) => found,
    };
    let mut findings = Vec::new();
    let user = rustix::process::geteuid().as_raw();
    if found.uid() != user {
        findings.push(Finding::wrong(
            "owner",
            format!(
                "{shown} belongs to user {}, and this is user {user}",
                found.uid()
            ),
            "run as its owner, or `chown -R` it",
        ));
    }
    let mode = found.mode() & 0o777;
    if mode & 0o077 != 0 {
        findings.push(Finding::wrong(
            "mode",
            format!("{shown} has mode {mode:o}: other users may read what runs print"),
            format!("chmod 700 {shown}"),
        ));
    }
    // Without its format it is nobody's yet, and opening it would make it one.
    if !path.join("format").exists() {
        findings.push(match fs::read_dir(path).map(|mut entries| entries.next()) {
            Ok(None) => Finding::good(
                CHECK,
                format!("{shown} is empty: `conveyor serve` makes it one"),
            ),
            Ok(Some(_)) => Finding::wrong(
                CHECK,
                format!("{shown} is no data directory, and holds other things"),
                "name another with --data-dir",
            ),
            Err(error) => Finding::wrong(
                CHECK,
                format!("{shown} cannot be read: {error}"),
                "run as its owner, or name another with --data-dir",
            ),
        });
        findings.push(disk(path));
        return (findings, Holder::Nobody);
    }
    let holder = match DataDir::open(path, Access::Existing) {
        Ok(directory) => {
            findings.push(Finding::good(CHECK, format!("{shown}, held by nobody")));
            findings.push(store(&directory));
            Holder::Nobody
        }
        Err(error) => match error.kind() {
            ErrorKind::Locked { pid } => {
                let who = pid.map_or("another process".to_owned(), |pid| format!("process {pid}"));
                findings.push(Finding::good(CHECK, format!("{shown}, held by {who}")));
                Holder::Somebody
            }
            ErrorKind::NewerFormat { .. } => {
                findings.push(Finding::wrong(
                    CHECK,
                    error.to_string(),
                    "use the release that wrote it, or a later one",
                ));
                Holder::Nobody
            }
            _ => {
                findings.push(Finding::wrong(
                    CHECK,
                    error.to_string(),
                    "restore a backup into a new directory",
                ));
                Holder::Nobody
            }
        },
    };
    findings.push(disk(path));
    findings.extend(syncs(path));
    (findings, holder)
}

/// A directory that is not there, of which `there` is the nearest that is.
fn makeable(path: &Path, there: Option<&Path>) -> Finding {
    use rustix::fs::{Access, AtFlags, CWD, accessat};
    const CHECK: &str = "data directory";
    let shown = path.display();
    let parent = there.unwrap_or(Path::new("."));
    let asked = Access::WRITE_OK | Access::EXEC_OK;
    // As the one whom the process acts for, and without making anything.
    let may = match parent.is_dir() {
        true => accessat(CWD, parent, asked, AtFlags::EACCESS).map_err(io::Error::from),
        false => Err(io::ErrorKind::NotADirectory.into()),
    };
    match may {
        Ok(()) => Finding::good(
            CHECK,
            format!("{shown} is not there yet: `conveyor serve` makes it"),
        ),
        Err(error) => Finding::wrong(
            CHECK,
            format!(
                "{shown} is not there, and cannot be made in {}: {error}",
                parent.display()
            ),
            "make it and give it to this user, or name another with --data-dir",
        ),
    }
}

/// The store of a directory that nobody holds: all of it is read, and none changed.
fn store(directory: &DataDir) -> Finding {
    const CHECK: &str = "store";
    match Embedded::check(directory) {
        Ok(None) => Finding::good(CHECK, "all of its files can be read"),
        Ok(Some(cut)) => Finding::doubtful(
            CHECK,
            format!(
                "{}: an unfinished commit of {} bytes at offset {} ({})",
                cut.journal.display(),
                cut.bytes,
                cut.offset,
                cut.problem
            ),
            "nothing to do: it was never acknowledged, and is cut off when the store is opened",
        ),
        Err(error) => Finding::wrong(
            CHECK,
            error.to_string(),
            "the server does not start with it: restore a backup into a new directory",
        ),
    }
}

/// What `conveyor serve` refuses to start with, of where and how it listens.
pub(super) fn door(config: &Config) -> Vec<Finding> {
    let advice = "correct it; the server does not start with it";
    let at = config.listen;
    let mut findings = vec![match (serve::safe(config), serve::safe_without(config)) {
        (Err(why), _) => Finding::wrong("listen", why, advice),
        (Ok(()), Some(why)) => Finding::doubtful(
            "listen",
            format!("{at} can be reached from other machines, and {why}"),
            "--insecure allows it: be sure that nobody else reaches the address",
        ),
        (Ok(()), None) if at.ip().is_loopback() => {
            Finding::good("listen", format!("only this machine reaches {at}"))
        }
        (Ok(()), None) => Finding::good(
            "listen",
            format!("{at} speaks TLS, and asks everybody who they are"),
        ),
    }];
    match serve::tls(config) {
        Ok(None) => {}
        Ok(Some(tls)) => findings.push(certificate(tls.validity())),
        Err(why) => findings.push(Finding::wrong("tls", why, advice)),
    }
    findings
}

/// A certificate that its key belongs to.
fn certificate(validity: Option<Validity>) -> Finding {
    const CHECK: &str = "tls";
    let belongs = "the certificate and its key belong together";
    let Some(found) = validity else {
        let said = format!("{belongs}, and until when it holds cannot be read");
        return Finding::doubtful(CHECK, said, "look at it with `openssl x509 -noout -dates`");
    };
    let renew = "renew it: the server reads the files again when they change";
    match found.standing() {
        Standing::Good => Finding::good(CHECK, format!("{belongs}; {found}")),
        Standing::Ends => Finding::doubtful(CHECK, found.to_string(), renew),
        Standing::Ended => Finding::wrong(CHECK, found.to_string(), renew),
        Standing::NotYet => Finding::doubtful(
            CHECK,
            found.to_string(),
            "clients refuse it until then: set the clock, or use another",
        ),
    }
}

/// Free space, and the kind of the file system.
fn disk(path: &Path) -> Finding {
    const CHECK: &str = "disk";
    let (space, kind) = match (rustix::fs::statvfs(path), rustix::fs::statfs(path)) {
        (Ok(space), Ok(kind)) => (space, kind.f_type as u64 & 0xffff_ffff),
        (Err(error), _) | (_, Err(error)) => {
            let advice = "see whether its file system is there";
            return Finding::wrong(CHECK, format!("{}: {error}", path.display()), advice);
        }
    };
    let free = free(&space);
    let (name, risk) = kind_of(kind);
    let said = format!(
        "{} of {} free on {name}",
        bytes(free),
        bytes(space.f_blocks * space.f_frsize)
    );
    if free < NO_SPACE {
        return Finding::wrong(
            CHECK,
            said,
            "make room, or set `retention`: the store stops where it cannot write",
        );
    }
    if let Some(risk) = risk {
        return Finding::doubtful(CHECK, said, risk);
    }
    match free < LITTLE_SPACE {
        true => Finding::doubtful(CHECK, said, "make room, or set `retention`"),
        false => Finding::good(CHECK, said),
    }
}

fn free(space: &StatVfs) -> u64 {
    space.f_bavail * space.f_frsize
}

/// A file system by its magic number, and why not to keep a store there.
fn kind_of(magic: u64) -> (String, Option<&'static str>) {
    const AWAY: &str =
        "keep the store on a disk of this machine: locks and syncs of others are not always kept";
    let (name, risk) = match magic {
        0xef53 => ("ext4", None),
        0x5846_5342 => ("xfs", None),
        0x9123_683e => ("btrfs", None),
        0x2fc1_2fc1 => ("zfs", None),
        0xf2f5_2010 => ("f2fs", None),
        0x794c_7630 => (
            "overlayfs",
            Some("a container's own layer goes with it: mount a volume"),
        ),
        0x0102_1994 => (
            "tmpfs",
            Some("it is memory: all of it is gone after a restart of the machine"),
        ),
        0x6969 => ("NFS", Some(AWAY)),
        0xff53_4d42 | 0xfe53_4d42 => ("SMB", Some(AWAY)),
        0x6573_5546 => ("FUSE", Some(AWAY)),
        0x0102_1997 => ("9p", Some(AWAY)),
        _ => return (format!("a file system of kind {magic:#x}"), None),
    };
    (name.to_owned(), risk)
}

fn bytes(count: u64) -> String {
    match count {
        0..0x4000_0000 => format!("{} MiB", count >> 20),
        _ => format!("{:.1} GiB", count as f64 / f64::from(1 << 30)),
    }
}

/// How long an append takes to be on the disk.
fn syncs(path: &Path) -> Option<Finding> {
    const CHECK: &str = "sync";
    let file = path.join(format!("doctor.{}", std::process::id()));
    let measured = measure(&file);
    // Whatever came of it, nothing stays.
    let _ = fs::remove_file(&file);
    Some(match measured {
        Ok(median) if median > SLOW => Finding::doubtful(
            CHECK,
            format!(
                "{:.1} ms until an append is on the disk",
                median.as_secs_f64() * 1e3
            ),
            "a step waits for two of these: use a faster disk for the data directory",
        ),
        Ok(median) => Finding::good(
            CHECK,
            format!(
                "{:.2} ms until an append is on the disk",
                median.as_secs_f64() * 1e3
            ),
        ),
        Err(error) => Finding::wrong(
            CHECK,
            format!("nothing can be written in {}: {error}", path.display()),
            "run as its owner, and see that the disk is not full and not read-only",
        ),
    })
}

fn measure(path: &Path) -> io::Result<Duration> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    let mut times = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let began = Instant::now();
        file.write_all(&[0; 512])?;
        file.sync_data()?;
        times.push(began.elapsed());
    }
    times.sort();
    Ok(times[SYNCS / 2])
}

/// The system's time.
pub(super) fn clock() -> Finding {
    const CHECK: &str = "clock";
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let seconds = now.map_or(0, |now| now.as_secs());
    let said = conveyor_engine::time::Time(seconds * 1000).to_string();
    match seconds < RELEASED {
        true => Finding::wrong(CHECK, said, "set the clock: timers and retention go by it"),
        false => Finding::good(CHECK, said),
    }
}

/// How many files and connections this process may have open.
pub(super) fn open_files(config: &Config) -> Finding {
    const CHECK: &str = "open files";
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let wanted = config.connections + OTHER_FILES;
    match limit {
        Some(limit) if limit < 1024 => Finding::wrong(
            CHECK,
            format!("at most {limit}"),
            "raise the limit to 65536: `ulimit -n`, or LimitNOFILE of the unit",
        ),
        Some(limit) if limit < wanted => Finding::doubtful(
            CHECK,
            format!(
                "at most {limit}, and `connections.limit` is {}",
                config.connections
            ),
            "raise the limit to 65536 (`ulimit -n`, LimitNOFILE), or lower the setting",
        ),
        Some(limit) => Finding::good(CHECK, format!("at most {limit}")),
        None => Finding::good(CHECK, "no limit"),
    }
}

/// Files and directories that the configuration names, beside the data directory.
pub(super) fn named_paths(config: &Config) -> Vec<Finding> {
    let named: [(&'static str, &Option<PathBuf>); 4] = [
        ("secrets.directory", &config.secrets_directory),
        ("tls.cert", &config.tls_cert),
        ("tls.key", &config.tls_key),
        ("tls.client_ca", &config.tls_client_ca),
    ];
    let paths = named
        .into_iter()
        .filter_map(|(name, path)| Some((name, path.as_ref()?)));
    paths.map(|(name, path)| readable(name, path)).collect()
}

fn readable(name: &'static str, path: &Path) -> Finding {
    let read = match path.is_dir() {
        true => fs::read_dir(path).map(drop),
        false => File::open(path).map(drop),
    };
    match read {
        Ok(()) => Finding::good(name, format!("{} can be read", path.display())),
        Err(error) => Finding::wrong(
            name,
            format!("{}: {error}", path.display()),
            "correct the path, or let this user read it",
        ),
    }
}

/// Whether the address can be listened on.
pub(super) async fn port(listen: SocketAddr) -> Finding {
    const CHECK: &str = "port";
    match tokio::net::TcpListener::bind(listen).await {
        Ok(_) => Finding::good(CHECK, format!("{listen} is free")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Finding::wrong(
            CHECK,
            format!("another process listens on {listen}"),
            "end it, or set `listen`",
        ),
        Err(error) => Finding::wrong(
            CHECK,
            format!("{listen}: {error}"),
            "set `listen` to an address of this machine and a port above 1023",
        ),
    }
}
