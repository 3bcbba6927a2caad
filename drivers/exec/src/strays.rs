//! Processes that left the group of their attempt, as a daemon does. They are known by their
//! environment: the name of the output file, which no other attempt has. Linux alone shows it;
//! elsewhere, and where a process has cleared its environment, nobody is found.

use rustix::process::{Pid, Signal};
use std::path::Path;

/// A process that forks while it is looked for may be missed once.
const ROUNDS: u32 = 10;

/// Kills all of an attempt's processes outside its group, those too that are made meanwhile. Blocks.
pub(crate) fn kill(output: &Path, group: Pid) {
    for _ in 0..ROUNDS {
        if signal(output, group, Signal::KILL) == 0 {
            break;
        }
    }
}

/// Sends a signal to all of an attempt's processes outside its group, and says how many there were.
/// Blocks for the reading of `/proc`.
#[cfg(target_os = "linux")]
pub(crate) fn signal(output: &Path, group: Pid, signal: Signal) -> u32 {
    use rustix::process::{PidfdFlags, getpgid, pidfd_open, pidfd_send_signal};

    let mut wanted = b"CONVEYOR_OUTPUT=".to_vec();
    wanted.extend(output.as_os_str().as_encoded_bytes());
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return 0;
    };
    let mut found = 0;
    for process in processes.flatten() {
        let name = process.file_name();
        let number = name.to_str().and_then(|name| name.parse().ok());
        let Some(pid) = number.and_then(Pid::from_raw) else {
            continue;
        };
        // Opened before it is looked at: whatever the number means later, this is that process.
        let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else {
            continue;
        };
        let environment = std::fs::read(process.path().join("environ")).unwrap_or_default();
        let is_ours = environment
            .split(|byte| *byte == 0)
            .any(|one| one == wanted);
        if !is_ours {
            continue;
        }
        // Asked of our own alone: the group of one that came from outside of this container has the number
        // 0, which rustix does not expect. The group was told already, and a program may take a second
        // signal for another wish.
        let is_told = getpgid(Some(pid)).is_ok_and(|of| of == group);
        if !is_told && pidfd_send_signal(&handle, signal).is_ok() {
            found += 1;
        }
    }
    found
}

/// Nobody can be found.
#[cfg(not(target_os = "linux"))]
pub(crate) fn signal(_output: &Path, _group: Pid, _signal: Signal) -> u32 {
    0
}
