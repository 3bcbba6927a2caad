//! Measures the embedded backends under the engine's own workload, beside a plain file.
//!
//! `cargo run --release -p conveyor-store --example measure -- DIRECTORY [records]`, or `-- DIRECTORY
//! beside` for both in turn; the numbers of docs/decisions/0010-embedded-store.md come from it.
#![allow(clippy::print_stdout, reason = "its output is what it is for")]

mod beside;
mod redb_store;

use conveyor_store::{
    Access, DataDir, Direction, Embedded, Expected, KeyRange, Store, Transaction,
};
use redb_store::Redb;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// Bytes of a journal record: what a result and the next claim come to.
const RECORD: usize = 300;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments
        .next()
        .expect("usage: measure DIRECTORY [records]");
    let directory = Path::new(&directory);
    std::fs::create_dir_all(directory).expect("the directory can be made");
    let records = arguments.next();
    if records.as_deref() == Some("beside") {
        return beside(directory);
    }
    let records = records.map_or(1_000_000, |number| number.parse().expect("a number"));

    let fjall = directory.join("fjall");
    let open = || Embedded::open(DataDir::open(&fjall, Access::Create).unwrap()).unwrap();
    measure("fjall", &fjall, records, &open);
    let redb = directory.join("redb");
    std::fs::create_dir_all(&redb).unwrap();
    measure("redb", &redb, records, &|| {
        Redb::open(&redb.join("store.redb"))
    });
}

fn beside(directory: &Path) {
    let (fjall, redb) = (directory.join("fjall"), directory.join("redb"));
    std::fs::create_dir_all(&redb).unwrap();
    let sides = [
        beside::Side {
            name: "fjall",
            place: &fjall,
            open: &|path| {
                let directory = DataDir::open(path, Access::Create).unwrap();
                Box::new(Embedded::open(directory).unwrap())
            },
        },
        beside::Side {
            name: "redb",
            place: &redb,
            open: &|path| Box::new(Redb::open(&path.join("store.redb"))),
        },
    ];
    beside::measure(directory, &sides);
}

/// Times `commit`, and after each one an append of 512 bytes with `fdatasync` to a plain file: the
/// machine's disk is not the same from one minute to the next.
fn commits(name: &str, what: &str, rounds: usize, group: usize, mut commit: impl FnMut()) {
    let path = Path::new(".").join(format!("calibration-{}", std::process::id()));
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .unwrap();
    let mut plain = Vec::with_capacity(rounds);
    let mut times = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        times.extend(self::times(1, |_| commit()));
        plain.extend(self::times(1, |_| append(&mut file)));
    }
    std::fs::remove_file(path).unwrap();
    times.sort_unstable();
    plain.sort_unstable();
    report(name, what, &times, group);
    report("file", "  append 512 B, fdatasync", &plain, 1);
    let half = |times: &[Duration]| times[times.len() / 2].as_secs_f64();
    println!("       {what}: p50 {:.2} F", half(&times) / half(&plain));
}

fn append(file: &mut File) {
    file.write_all(&[7; 512]).unwrap();
    file.sync_data().unwrap();
}

fn measure<S: Store>(name: &str, directory: &Path, records: u64, open: &dyn Fn() -> S) {
    let store = open();
    let mut load = Load::default();
    for (group, rounds) in [(1, 2000), (64, 500), (1000, 100)] {
        let what = format!("commit of {group}");
        commits(name, &what, rounds, group, || load.commit(&store, group));
    }
    while load.written < records {
        load.commit(&store, 1000);
    }
    println!(
        "{name:6} {} records: {} MB on disk, {} MB resident",
        load.written,
        megabytes(directory),
        resident()
    );
    commits(name, "commit of 1, full", 2000, 1, || {
        load.commit(&store, 1);
    });
    let journal = times(200, |round| {
        let range = KeyRange::prefix(run_key(round as u64 * 7 % load.runs()));
        assert!(
            !store
                .scan(&range, Direction::Forward, 1000)
                .unwrap()
                .entries
                .is_empty()
        );
    });
    report(name, "scan one run's journal", &journal, 1);
    drop(store);
    let started = Instant::now();
    let store = open();
    println!(
        "{name:6} opened again in {:?}, {} MB resident",
        started.elapsed(),
        resident()
    );
    let started = Instant::now();
    let all = KeyRange::all();
    while let Some(entries) =
        Some(store.scan(&all, Direction::Forward, 5000).unwrap().entries).filter(|e| !e.is_empty())
    {
        let mut transaction = Transaction::new();
        transaction.deletes = entries.into_iter().map(|(key, _)| key).collect();
        store.commit(&transaction).unwrap();
    }
    println!(
        "{name:6} deleted everything in {:?}: {} MB on disk",
        started.elapsed(),
        megabytes(directory)
    );
    load = Load::default();
    commits(name, "commit of 1, emptied", 1000, 1, || {
        load.commit(&store, 1);
    });
    drop(store);
    drop(open());
    println!(
        "{name:6} opened and closed: {} MB on disk",
        megabytes(directory)
    );
}

/// Group commits as the engine makes them: the commit key, a record for each of many runs, now and
/// then an index row, and a live row that goes when its run has ended.
#[derive(Default)]
struct Load {
    commits: u64,
    written: u64,
}

impl Load {
    /// Runs of twenty records each, sixty-four side by side.
    fn runs(&self) -> u64 {
        (self.written / 20).max(1)
    }

    fn commit(&mut self, store: &dyn Store, group: usize) {
        let mut transaction = Transaction::new();
        let expected = match self.commits {
            0 => Expected::Absent,
            number => Expected::Value(number.to_be_bytes().to_vec().into()),
        };
        self.commits += 1;
        transaction
            .compare("c/0", expected)
            .put("c/0", self.commits.to_be_bytes().to_vec());
        for _ in 0..group {
            let (block, within) = (self.written / 1280, self.written % 1280);
            let (run, sequence) = (block * 64 + within % 64, within / 64);
            let mut key = run_key(run);
            key.extend_from_slice(&sequence.to_be_bytes());
            transaction.put(key, record(self.written));
            let live = [b"r/".as_ref(), &run.to_be_bytes()].concat();
            match sequence {
                0 => _ = transaction.put(live, vec![1; 60]),
                19 => _ = transaction.delete(live),
                _ => {}
            }
            self.written += 1;
        }
        store.commit(&transaction).unwrap();
    }
}

fn run_key(run: u64) -> Vec<u8> {
    // As UUIDv7 keys lie: by time first.
    [
        b"j/".as_ref(),
        &run.to_be_bytes(),
        &run.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes(),
    ]
    .concat()
}

/// Bytes that do not compress to nothing.
fn record(seed: u64) -> Vec<u8> {
    let mut state = seed;
    (0..RECORD + (seed % 100) as usize)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 56) as u8
        })
        .collect()
}

fn times(rounds: usize, mut each: impl FnMut(usize)) -> Vec<Duration> {
    let mut times: Vec<_> = (0..rounds)
        .map(|round| {
            let started = Instant::now();
            each(round);
            started.elapsed()
        })
        .collect();
    times.sort_unstable();
    times
}

fn report(name: &str, what: &str, times: &[Duration], group: usize) {
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
    let total: Duration = times.iter().sum();
    println!(
        "{name:6} {what:26} p50 {:>8.0?} p99 {:>8.0?} max {:>8.0?}  {:>8.0} records/s",
        at(0.5),
        at(0.99),
        at(1.0),
        (times.len() * group) as f64 / total.as_secs_f64()
    );
}

/// Blocks in use, not lengths: files may be sparse.
fn megabytes(path: &Path) -> u64 {
    fn blocks(path: &Path) -> u64 {
        use std::os::unix::fs::MetadataExt;
        let Ok(status) = std::fs::symlink_metadata(path) else {
            return 0;
        };
        let inside = std::fs::read_dir(path).into_iter().flatten().flatten();
        status.blocks() + inside.map(|entry| blocks(&entry.path())).sum::<u64>()
    }
    blocks(path) * 512 / 1_000_000
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok())
        .unwrap_or(0)
        / 1000
}
