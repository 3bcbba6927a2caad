//! How far the tasks of this process are.

use crate::clock::Clock;
use crate::id::RunId;
use crate::session::Progress;
use crate::token::Claimed;
use conveyor_engine::run::Identity;
use conveyor_mask::Mask;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What one task told last.
type Last = Arc<Mutex<Option<Progress>>>;

/// Takes how far a task is: what it told last, until it ends. Clones are the same.
#[derive(Clone)]
pub struct Teller {
    last: Last,
    clock: Arc<dyn Clock>,
    /// The attempt's secrets.
    pub(crate) mask: Mask,
}

/// What the tasks that run in this process told last, by claim. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tellers(Arc<Mutex<BTreeMap<Claimed, Last>>>);

impl Teller {
    /// One that tells nobody: a test's of a driver.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Teller {
        Teller {
            last: Last::default(),
            clock,
            mask: Mask::default(),
        }
    }

    /// Tells how far the task is, in place of what it told before: in thousandths, `None` if unknown, and
    /// in words for people, of which 1 KiB is kept. Neither: nothing is known any more.
    pub fn tell(&self, permille: Option<u32>, message: &str) {
        let told = permille.is_some() || !message.is_empty();
        let progress = told.then(|| Progress::new(permille, message, &self.mask, self.clock.now()));
        *locked(&self.last) = progress;
    }

    /// What was told last.
    #[must_use]
    pub fn last(&self) -> Option<Progress> {
        locked(&self.last).clone()
    }
}

impl Tellers {
    /// That of a task which begins.
    pub(crate) fn begin(&self, claimed: Claimed, clock: Arc<dyn Clock>) -> Teller {
        let teller = Teller::new(clock);
        locked(&self.0).insert(claimed, Arc::clone(&teller.last));
        teller
    }

    /// Forgets a task that has ended: what it tells later is told to nobody.
    pub(crate) fn end(&self, claimed: &Claimed) {
        locked(&self.0).remove(claimed);
    }

    /// How far the tasks of a run are, as far as they told.
    pub(crate) fn of(&self, run: RunId) -> Vec<(Identity, Progress)> {
        let all = locked(&self.0);
        let of_run = all.iter().filter(|(claimed, _)| claimed.run == run);
        of_run
            .filter_map(|(claimed, last)| Some((claimed.id, locked(last).clone()?)))
            .collect()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is left half done under the lock.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Teller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Teller(..)")
    }
}
