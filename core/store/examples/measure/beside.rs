//! Both backends and a plain file in turn, commit by commit: whatever the disk does meanwhile, it does
//! to all three.

use super::{Load, append, megabytes};
use conveyor_store::{Store, Transaction};
use std::fs::{self, File};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Rounds, of which medians are given.
const ROUNDS: usize = 7;

/// A backend, where it lies, and how it is opened.
pub(super) struct Side<'a> {
    pub(super) name: &'static str,
    pub(super) place: &'a Path,
    pub(super) open: &'a dyn Fn(&Path) -> Box<dyn Store>,
}

/// p50 and p99 of one round, over the p50 of the plain file in that round.
#[derive(Default)]
struct Ratios {
    half: Vec<f64>,
    most: Vec<f64>,
}

impl Ratios {
    fn add(&mut self, times: &mut [Duration], plain: f64) {
        times.sort_unstable();
        let at = |part: usize| times[(times.len() - 1) * part / 100].as_secs_f64();
        self.half.push(at(50) / plain);
        self.most.push(at(99) / plain);
    }

    fn tell(&mut self, name: &str, what: &str) {
        println!(
            "{name:6} {what:24} p50 {:5.2} F  p99 {:5.2} F",
            median(&mut self.half),
            median(&mut self.most)
        );
    }
}

fn median(of: &mut [f64]) -> f64 {
    of.sort_unstable_by(f64::total_cmp);
    of[of.len() / 2]
}

pub(super) fn measure(directory: &Path, sides: &[Side<'_>]) {
    let mut file = File::create(directory.join("plain")).unwrap();
    let stores: Vec<_> = sides.iter().map(|side| (side.open)(side.place)).collect();
    let mut loads: Vec<_> = sides.iter().map(|_| Load::default()).collect();
    let mut plain_halves = Vec::new();
    for (group, commits) in [(1, 400), (64, 100), (1000, 20)] {
        let mut ratios: Vec<_> = sides.iter().map(|_| Ratios::default()).collect();
        for _ in 0..ROUNDS {
            let mut times: Vec<_> = sides.iter().map(|_| Vec::new()).collect();
            let mut plain = Vec::new();
            for _ in 0..commits {
                plain.push(timed(|| append(&mut file)));
                for (index, store) in stores.iter().enumerate() {
                    times[index].push(timed(|| loads[index].commit(store.as_ref(), group)));
                }
            }
            let half = half(&mut plain);
            plain_halves.push(half * 1e3);
            for (ratios, times) in ratios.iter_mut().zip(&mut times) {
                ratios.add(times, half);
            }
        }
        for (side, ratios) in sides.iter().zip(&mut ratios) {
            ratios.tell(side.name, &format!("commit of {group}"));
        }
    }
    writers(&mut file, sides, &stores);
    let f = median(&mut plain_halves);
    println!("file   append 512 B, fdatasync: p50 {f:.3} ms (median of rounds)");
    for (index, side) in sides.iter().enumerate() {
        killed(directory, side, loads[index].written);
    }
}

/// 64 threads that commit on their own, as if nothing grouped them: time to an answer.
fn writers(file: &mut File, sides: &[Side<'_>], stores: &[Box<dyn Store>]) {
    let mut ratios: Vec<_> = sides.iter().map(|_| Ratios::default()).collect();
    let number = AtomicU64::new(0);
    for _ in 0..ROUNDS {
        let mut plain: Vec<_> = (0..100).map(|_| timed(|| append(file))).collect();
        let half = half(&mut plain);
        for (store, ratios) in stores.iter().zip(&mut ratios) {
            let mut times = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..64)
                    .map(|_| scope.spawn(|| each(store.as_ref(), &number)))
                    .collect();
                let times = threads.into_iter().map(|thread| thread.join().unwrap());
                times.flatten().collect::<Vec<_>>()
            });
            ratios.add(&mut times, half);
        }
    }
    for (side, ratios) in sides.iter().zip(&mut ratios) {
        ratios.tell(side.name, "64 writers, commit of 1");
    }
}

fn each(store: &dyn Store, number: &AtomicU64) -> Vec<Duration> {
    let commit = |_| {
        let number = number.fetch_add(1, Ordering::Relaxed);
        let mut transaction = Transaction::new();
        transaction.put(
            [b"w/".as_ref(), &number.to_be_bytes()].concat(),
            [7; 300].to_vec(),
        );
        timed(|| store.commit(&transaction).unwrap())
    };
    (0..5).map(commit).collect()
}

/// Opens what a kill would leave: a copy of the files of a store that is open.
fn killed(directory: &Path, side: &Side<'_>, records: u64) {
    let mut opened = Vec::new();
    for round in 0..ROUNDS {
        let copy = directory.join(format!("{}-killed-{round}", side.name));
        copy_tree(side.place, &copy);
        let mut store = None;
        opened.push(timed(|| store = Some((side.open)(&copy))).as_secs_f64() * 1e3);
        drop(store);
        fs::remove_dir_all(copy).unwrap();
    }
    println!(
        "{:6} opened after a kill in {:.1} ms; {} MB on disk for {records} records and {} of writers",
        side.name,
        median(&mut opened),
        megabytes(side.place),
        64 * 5 * ROUNDS
    );
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn half(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64()
}

fn timed(work: impl FnOnce()) -> Duration {
    let started = Instant::now();
    work();
    started.elapsed()
}
