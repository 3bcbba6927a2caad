//! A library that tests preload (`LD_PRELOAD`) into a program to end or fail it at an exact point of
//! its dealings with the disk. It is no part of the product.
//!
//! It stands in front of `fdatasync`, `fsync`, `write`, `writev`, `pwrite64` and `ftruncate64`, and
//! calls the kernel itself. It is told what to do by the environment:
//!
//! | variable | effect |
//! | --- | --- |
//! | `CONVEYOR_KILLPOINT=before:17` | SIGKILLs the process just before its 17th sync |
//! | `CONVEYOR_KILLPOINT=after:17` | SIGKILLs the process just after its 17th sync |
//! | `CONVEYOR_FAILPOINT=fdatasync:EIO:10-20` | the 10th to the 20th sync fail and do nothing |
//! | `CONVEYOR_FAILPOINT=write:ENOSPC:10-20` | the same for writes (and growing) of regular files |
//! | `CONVEYOR_KILLPOINT_COUNT=path` | keeps `syncs=N writes=M` in that file, rewritten at each call |
//!
//! A sync is an `fdatasync` or an `fsync`; both count in one sequence from 1, as do writes. Several
//! failpoints are separated by commas. A setting that does not parse ends the process with status
//! 97, so that a misspelt test cannot pass.

#![allow(
    unsafe_code,
    reason = "to stand in front of the C library's functions is to define them, with their raw \
              arguments; nothing but this test tool does so"
)]

mod settings;

use libc::{c_int, c_long, c_void, iovec, off_t, size_t, ssize_t};
use settings::{Call, Moment, Settings};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

static SETTINGS: OnceLock<Settings> = OnceLock::new();
static SYNCS: AtomicU64 = AtomicU64::new(0);
static WRITES: AtomicU64 = AtomicU64::new(0);

fn settings() -> &'static Settings {
    SETTINGS.get_or_init(|| {
        Settings::from_environment().unwrap_or_else(|problem| {
            let line = format!("killpoint: {problem}\n");
            raw_write(2, line.as_bytes());
            // SAFETY: ends the process at once; nothing of ours needs to unwind.
            unsafe { libc::_exit(97) }
        })
    })
}

/// `fdatasync(2)`, counted.
#[unsafe(no_mangle)]
pub extern "C" fn fdatasync(fd: c_int) -> c_int {
    sync(libc::SYS_fdatasync, fd)
}

/// `fsync(2)`, counted in the same sequence.
#[unsafe(no_mangle)]
pub extern "C" fn fsync(fd: c_int) -> c_int {
    sync(libc::SYS_fsync, fd)
}

fn sync(number: c_long, fd: c_int) -> c_int {
    let settings = settings();
    let count = SYNCS.fetch_add(1, Ordering::SeqCst) + 1;
    report(settings);
    kill_if(settings, Moment::Before, count);
    if let Some(errno) = settings.failure(Call::Sync, count) {
        return fail(errno);
    }
    // SAFETY: passes on the caller's own argument.
    let result = unsafe { libc::syscall(number, fd) };
    kill_if(settings, Moment::After, count);
    result as c_int
}

/// `write(2)`, counted for regular files.
///
/// # Safety
///
/// As the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn write(fd: c_int, buffer: *const c_void, count: size_t) -> ssize_t {
    if let Some(errno) = write_failure(fd) {
        return fail(errno) as ssize_t;
    }
    // SAFETY: passes on the caller's own arguments.
    unsafe { libc::syscall(libc::SYS_write, fd, buffer, count) as ssize_t }
}

/// `writev(2)`, counted as a write.
///
/// # Safety
///
/// As the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn writev(fd: c_int, parts: *const iovec, count: c_int) -> ssize_t {
    if let Some(errno) = write_failure(fd) {
        return fail(errno) as ssize_t;
    }
    // SAFETY: passes on the caller's own arguments.
    unsafe { libc::syscall(libc::SYS_writev, fd, parts, count) as ssize_t }
}

/// `pwrite(2)`, counted as a write.
///
/// # Safety
///
/// As the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwrite64(
    fd: c_int,
    buffer: *const c_void,
    count: size_t,
    offset: off_t,
) -> ssize_t {
    if let Some(errno) = write_failure(fd) {
        return fail(errno) as ssize_t;
    }
    // SAFETY: passes on the caller's own arguments.
    unsafe { libc::syscall(libc::SYS_pwrite64, fd, buffer, count, offset) as ssize_t }
}

/// `ftruncate(2)`, counted as a write where it could need space.
#[unsafe(no_mangle)]
pub extern "C" fn ftruncate64(fd: c_int, length: off_t) -> c_int {
    if grows(fd, length)
        && let Some(errno) = write_failure(fd)
    {
        return fail(errno);
    }
    // SAFETY: passes on the caller's own arguments.
    unsafe { libc::syscall(libc::SYS_ftruncate, fd, length) as c_int }
}

/// Whether a file would become longer: only then a full disk is in the way.
fn grows(fd: c_int, length: off_t) -> bool {
    // SAFETY: all zeroes is a valid `stat`, and `fstat` writes nothing else.
    unsafe {
        let mut status: libc::stat = std::mem::zeroed();
        libc::fstat(fd, &mut status) == 0 && status.st_size < length
    }
}

/// Counts a write of a regular file and says whether it is to fail. Pipes and terminals are left
/// alone: a test reads its child's words through them.
fn write_failure(fd: c_int) -> Option<c_int> {
    // SAFETY: all zeroes is a valid `stat`, and `fstat` writes nothing else.
    let regular = unsafe {
        let mut status: libc::stat = std::mem::zeroed();
        libc::fstat(fd, &mut status) == 0 && status.st_mode & libc::S_IFMT == libc::S_IFREG
    };
    if !regular {
        return None;
    }
    let settings = settings();
    let count = WRITES.fetch_add(1, Ordering::SeqCst) + 1;
    report(settings);
    settings.failure(Call::Write, count)
}

fn kill_if(settings: &Settings, moment: Moment, count: u64) {
    if settings.kill == Some((moment, count)) {
        // By the kernel's number, so that no handler and no exit hook runs.
        // SAFETY: signals this process only.
        unsafe { libc::syscall(libc::SYS_kill, libc::getpid(), libc::SIGKILL) };
    }
}

fn fail(errno: c_int) -> c_int {
    // SAFETY: the C library gives each thread its own errno.
    unsafe { *libc::__errno_location() = errno };
    -1
}

/// Rewrites the count's file. At each call, because a killed process has no exit.
fn report(settings: &Settings) {
    let Some(path) = &settings.count else { return };
    let (syncs, writes) = (SYNCS.load(Ordering::SeqCst), WRITES.load(Ordering::SeqCst));
    let line = format!("syncs={syncs:<12} writes={writes:<12}\n");
    // SAFETY: the path ends with a zero byte and outlives the call.
    let fd = unsafe {
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_CLOEXEC;
        libc::syscall(
            libc::SYS_openat,
            libc::AT_FDCWD,
            path.as_ptr(),
            flags,
            0o600,
        ) as c_int
    };
    if fd >= 0 {
        raw_write(fd, line.as_bytes());
        // SAFETY: closes what was opened above.
        unsafe { libc::syscall(libc::SYS_close, fd) };
    }
}

fn raw_write(fd: c_int, bytes: &[u8]) {
    // SAFETY: the pointer and the length are those of one slice.
    unsafe { libc::syscall(libc::SYS_write, fd, bytes.as_ptr(), bytes.len()) };
}
