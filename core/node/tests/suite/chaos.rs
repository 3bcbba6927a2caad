//! A store that fails at random under an owner driven by hand. The simulator goes much further; this
//! is the net below every change of the owner.

use crate::harness::{Harness, chain, pipeline, succeeded};
use conveyor_engine::run::RunState;
use conveyor_engine::time::Duration;
use conveyor_node::NodeError;
use conveyor_node::owner::{Answer, Outcome};
use conveyor_node::storage;
use conveyor_store::Store as _;
use std::collections::BTreeSet;

/// xorshift64*: the same seed gives the same run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % bound
    }
}

#[test]
fn whatever_the_store_does_every_run_ends_and_no_attempt_starts_twice() {
    for seed in 1..=300 {
        chaos(seed);
    }
}

fn chaos(seed: u64) {
    let mut random = Random(seed);
    let mut h = Harness::new(3);
    let fan = pipeline(
        "    - { id: w, wait: { duration: 30s } }\n    - id: fan\n      foreach: { items: \"${{ lists.range(5) }}\" }\n      driver: exec\n",
    );
    let mut runs = Vec::new();
    let mut started = BTreeSet::new();
    for _ in 0..400 {
        match random.below(8) {
            0 if runs.len() < 6 => {
                let yaml = if random.below(2) == 0 {
                    chain(&["a", "b", "c"])
                } else {
                    fan.clone()
                };
                runs.push(h.submit(&yaml));
            }
            1..=3 if !h.tasks.is_empty() => {
                let at = random.below(h.tasks.len() as u64) as usize;
                let task = h.tasks.remove(at);
                let ticket = h.report(&task, succeeded());
                commit(&mut h, &mut random);
                // A driver resends until it is answered.
                if matches!(h.answers.get(&ticket), None | Some(Err(_))) {
                    h.tasks.push(task);
                }
            }
            4 => h.pass(Duration::secs(random.below(20))),
            5 if random.below(10) == 0 => {
                h = h.reopen(true);
            }
            _ => {
                commit(&mut h, &mut random);
                h.owner.turn(h.now);
            }
        }
        // Each task that was handed out is the only start of its attempt.
        for task in &h.tasks {
            started.insert((task.claimed.run, task.claimed.id, task.claimed.nonce));
        }
    }
    let attempts: BTreeSet<_> = started.iter().map(|(run, id, _)| (*run, *id)).collect();
    assert_eq!(
        attempts.len(),
        started.len(),
        "seed {seed}: an attempt started under two nonces"
    );

    for _ in 0..200 {
        h.settle();
        h.pass(Duration::secs(5));
        while let Some(task) = h.tasks.pop() {
            let ticket = h.report(&task, succeeded());
            h.settle();
            assert!(
                matches!(h.answers[&ticket], Ok(Answer::Taken { .. } | Answer::Stale)),
                "seed {seed}"
            );
        }
    }
    for (run, ticket) in runs {
        // One whose start was refused may not exist.
        if h.store
            .get(&conveyor_node::keys::summary(run))
            .unwrap()
            .is_some()
        {
            assert_eq!(
                h.state(run),
                RunState::Succeeded,
                "seed {seed}: {run} is stuck"
            );
        } else {
            assert!(
                !matches!(h.answers.get(&ticket), Some(Ok(_))),
                "seed {seed}: {run} was lost"
            );
        }
    }
    assert_eq!(h.owner.census(), (0, 0), "seed {seed}");
    assert!(h.owner.is_settled(), "seed {seed}");
    assert!(
        storage::quarantines(h.store.as_ref()).unwrap().is_empty(),
        "seed {seed}"
    );
}

fn commit(h: &mut Harness, random: &mut Random) {
    let fate = random.below(6);
    h.commit_as(|store, group| {
        let really = || storage::outcome(group, store.commit(&storage::transaction(group)));
        match fate {
            0 => Outcome::Failed(NodeError::Unavailable("injected".into())),
            1 => Outcome::Unknown,
            2 => {
                really();
                Outcome::Unknown
            }
            _ => really(),
        }
    });
}
