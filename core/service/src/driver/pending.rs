//! What a driver's stream has under way: bounded by what the driver holds, however often it says it.
//!
//! Everything that a driver sends becomes work for the owner, and an owner whose store is slow works it
//! off later. Not reading meanwhile would let heartbeats wait, and a healthy driver lose its tasks (R22).
//! So all is read: of what replaces an earlier message only the newest waits, and the rest is counted
//! against a limit that no driver reaches which keeps the contract (R62).

use conveyor_node::token::Claimed;
use conveyor_proto::v1;
use std::collections::{BTreeSet, HashMap};

/// Messages that may be under way for each place of a session: a task is answered, saved, and reported,
/// and its place offered anew.
const FOR_EACH_PLACE: usize = 4;
/// And so many besides.
const BESIDES: usize = 256;

/// The most messages of a session with this capacity that are not dealt with, the limit
/// `unanswered_messages` (R62).
pub(super) fn most(capacity: u32) -> usize {
    FOR_EACH_PLACE * capacity as usize + BESIDES
}

/// Of what kind something under way is: of each kind, one at once for each claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Report,
    Checkpoint,
    Detach,
}

/// What is under way.
#[derive(Debug)]
pub(super) struct Pending {
    most: usize,
    /// Messages whose doing is not done, by number (R7).
    open: BTreeSet<u64>,
    busy: HashMap<(Kind, Claimed), Waiting>,
    /// A heartbeat is with the owner.
    beating: bool,
    next_beat: Option<v1::SessionHeartbeat>,
    /// Messages that want no answer, since the last [`Pending::barrier`] began, and before it.
    told: usize,
    before: Option<usize>,
}

/// The newest checkpoint of a claim that has one under way.
#[derive(Debug, Default)]
struct Waiting {
    next: Option<Save>,
}

/// A checkpoint that is to be saved.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Save {
    /// The number under which it is done with: that of the first which it replaced.
    pub(super) first: u64,
    /// Its own number.
    pub(super) sequence: u64,
    pub(super) checkpoint: v1::Checkpoint,
}

/// What to do with a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Do it now.
    Now,
    /// One before it is under way, whose end answers it, or is followed by it.
    Later,
}

impl Pending {
    pub(super) fn new(most: usize) -> Pending {
        Pending {
            most,
            open: BTreeSet::new(),
            busy: HashMap::new(),
            beating: false,
            next_beat: None,
            told: 0,
            before: None,
        }
    }

    /// Whether more is under way than a driver may have.
    pub(super) fn is_over(&self) -> bool {
        self.busy.len() + self.told + self.before.unwrap_or(0) > self.most
    }

    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// All messages up to this one are done with (R7), where `received` is the last.
    pub(super) fn acknowledged(&self, received: u64) -> u64 {
        let before = |first: &u64| first.saturating_sub(1);
        self.open.first().map_or(received, before)
    }

    /// A report, or that a task goes on elsewhere. What is said again meanwhile has the same answer.
    pub(super) fn begin(&mut self, kind: Kind, claimed: Claimed, sequence: u64) -> Turn {
        if self.busy.contains_key(&(kind, claimed)) {
            return Turn::Later;
        }
        self.busy.insert((kind, claimed), Waiting::default());
        self.open.insert(sequence);
        Turn::Now
    }

    /// A checkpoint; gives it back where it is to be saved now. One that waits is replaced: its message
    /// is done with when the newer one is.
    pub(super) fn save(
        &mut self,
        claimed: Claimed,
        sequence: u64,
        checkpoint: v1::Checkpoint,
    ) -> Option<Save> {
        let mut save = Save {
            first: sequence,
            sequence,
            checkpoint,
        };
        let Some(waiting) = self.busy.get_mut(&(Kind::Checkpoint, claimed)) else {
            self.begin(Kind::Checkpoint, claimed, sequence);
            return Some(save);
        };
        if let Some(earlier) = &waiting.next {
            save.first = earlier.first;
        }
        self.open.insert(save.first);
        waiting.next = Some(save);
        None
    }

    /// A checkpoint that waited is saved now.
    pub(super) fn save_next(&mut self, claimed: Claimed, save: &Save) {
        self.begin(Kind::Checkpoint, claimed, save.first);
    }

    /// A report, and the checkpoint of its claim that waits, which goes before it: the driver said that
    /// first, and nothing is saved of a claim that is over. With it the number under which both are
    /// done with; `None` where the report is under way already.
    pub(super) fn report(
        &mut self,
        claimed: Claimed,
        sequence: u64,
    ) -> Option<(u64, Option<Save>)> {
        if self.busy.contains_key(&(Kind::Report, claimed)) {
            return None;
        }
        let saving = self.busy.get_mut(&(Kind::Checkpoint, claimed));
        let waiting = saving.and_then(|saving| saving.next.take());
        let first = waiting.as_ref().map_or(sequence, |save| save.first);
        self.begin(Kind::Report, claimed, first);
        Some((first, waiting))
    }

    /// Something that began is done; gives the checkpoint that waited for it.
    pub(super) fn end(&mut self, kind: Kind, claimed: Claimed, sequence: u64) -> Option<Save> {
        self.open.remove(&sequence);
        self.busy.remove(&(kind, claimed))?.next
    }

    /// A heartbeat; gives it back where it is to be told now. It names all that the driver holds, so
    /// that one which waits is replaced.
    pub(super) fn beat(&mut self, heartbeat: v1::SessionHeartbeat) -> Option<v1::SessionHeartbeat> {
        if self.beating {
            self.next_beat = Some(heartbeat);
            return None;
        }
        self.beating = true;
        Some(heartbeat)
    }

    /// A heartbeat is answered; gives the one that waited.
    pub(super) fn beaten(&mut self) -> Option<v1::SessionHeartbeat> {
        self.beating = false;
        self.next_beat.take()
    }

    /// A message was handed over that wants no answer. True where the owner is to be asked whether it
    /// has come so far: [`Pending::passed`] follows.
    pub(super) fn tell(&mut self) -> bool {
        self.told += 1;
        let barrier = self.before.is_none() && self.told > self.most / 4;
        if barrier {
            self.before = Some(std::mem::take(&mut self.told));
        }
        barrier
    }

    /// The owner has come to where it was asked.
    pub(super) fn passed(&mut self) {
        self.before = None;
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Pending, Turn, most};
    use conveyor_engine::run::Identity;
    use conveyor_node::RunId;
    use conveyor_node::token::Claimed;
    use conveyor_proto::v1;

    fn claimed(nonce: u64) -> Claimed {
        Claimed {
            run: RunId([0; 16]),
            id: Identity {
                step: 0,
                instance: 0,
                attempt: 1,
            },
            nonce,
        }
    }

    fn checkpoint(text: &'static str) -> v1::Checkpoint {
        v1::Checkpoint {
            token: "t".into(),
            data: text.into(),
        }
    }

    #[test]
    fn of_many_checkpoints_the_newest_waits_and_the_earlier_are_done_with_it() {
        let mut pending = Pending::new(8);
        assert!(pending.save(claimed(1), 5, checkpoint("a")).is_some());
        for sequence in 6..1000 {
            assert!(
                pending
                    .save(claimed(1), sequence, checkpoint("b"))
                    .is_none()
            );
        }
        assert!(pending.save(claimed(1), 1000, checkpoint("c")).is_none());
        assert!(!pending.is_over());
        assert_eq!(pending.acknowledged(1000), 4);
        let next = pending.end(Kind::Checkpoint, claimed(1), 5).unwrap();
        assert_eq!((next.first, next.sequence), (6, 1000));
        assert_eq!(next.checkpoint, checkpoint("c"));
        // It is under way now, and nothing after 5 is done with.
        assert_eq!(pending.acknowledged(1000), 5);
        pending.save_next(claimed(1), &next);
        // Another waits for it.
        assert!(pending.save(claimed(1), 1001, checkpoint("d")).is_none());
        let last = pending.end(Kind::Checkpoint, claimed(1), 6).unwrap();
        assert_eq!(pending.acknowledged(1001), 1000);
        pending.save_next(claimed(1), &last);
        let end = pending.end(Kind::Checkpoint, claimed(1), last.first);
        assert!(end.is_none());
        assert_eq!(pending.acknowledged(1001), 1001);
    }

    #[test]
    fn a_report_said_again_is_under_way_once() {
        let mut pending = Pending::new(8);
        assert_eq!(pending.begin(Kind::Report, claimed(1), 1), Turn::Now);
        assert_eq!(pending.begin(Kind::Report, claimed(1), 2), Turn::Later);
        assert_eq!(pending.begin(Kind::Detach, claimed(1), 3), Turn::Now);
        assert_eq!(pending.begin(Kind::Report, claimed(2), 4), Turn::Now);
        assert_eq!(pending.acknowledged(4), 0);
        assert!(pending.end(Kind::Report, claimed(1), 1).is_none());
        assert_eq!(pending.acknowledged(4), 2);
        assert_eq!(pending.begin(Kind::Report, claimed(1), 5), Turn::Now);
    }

    #[test]
    fn a_checkpoint_that_waits_goes_with_the_report_after_it() {
        let mut pending = Pending::new(8);
        assert!(pending.save(claimed(1), 1, checkpoint("a")).is_some());
        assert!(pending.save(claimed(1), 2, checkpoint("b")).is_none());
        let (sequence, waiting) = pending.report(claimed(1), 3).unwrap();
        assert_eq!(sequence, 2);
        assert_eq!(waiting.unwrap().checkpoint, checkpoint("b"));
        assert!(pending.report(claimed(1), 4).is_none());
        assert!(pending.end(Kind::Checkpoint, claimed(1), 1).is_none());
        // Neither is done with before the report is.
        assert_eq!(pending.acknowledged(4), 1);
        assert!(pending.end(Kind::Report, claimed(1), sequence).is_none());
        assert_eq!(pending.acknowledged(4), 4);
    }

    #[test]
    fn only_the_newest_heartbeat_waits() {
        let beat = |free| v1::SessionHeartbeat {
            free: Some(free),
            ..v1::SessionHeartbeat::default()
        };
        let mut pending = Pending::new(8);
        assert!(pending.beat(beat(1)).is_some());
        for free in 2..100 {
            assert!(pending.beat(beat(free)).is_none());
        }
        let next = pending.beaten().unwrap();
        assert_eq!(next.free, Some(99));
        assert!(pending.beat(next).is_some());
        assert!(pending.beaten().is_none());
    }

    #[test]
    fn messages_that_the_owner_has_not_come_to_are_counted() {
        let most = most(1);
        let mut pending = Pending::new(most);
        let mut barriers = 0;
        let mut sent = 0;
        while !pending.is_over() {
            barriers += usize::from(pending.tell());
            sent += 1;
        }
        // One question at a time, and no more than the limit before it is answered.
        assert_eq!((barriers, sent), (1, most + 1));
        pending.passed();
        assert!(!pending.is_over());
        // A driver whose owner keeps up says as much as it likes.
        let mut pending = Pending::new(most);
        for _ in 0..100_000 {
            if pending.tell() {
                pending.passed();
            }
            assert!(!pending.is_over());
        }
    }
}
