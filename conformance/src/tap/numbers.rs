//! Which message of the driver is which of those that the engine got: some do not come there, some come twice.

use std::collections::VecDeque;

/// Numbers of a connection's messages, as the driver gave them and as the engine got them.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    /// The last number that was given to the engine.
    last: u64,
    /// The driver's number, and that of the engine: of those that are not acknowledged. `None`: it came nowhere.
    open: VecDeque<(u64, Option<u64>)>,
    /// The highest number of the driver that was acknowledged.
    acknowledged: u64,
}

impl Numbers {
    /// The driver's message of a number goes to the engine: under which one.
    pub(crate) fn on(&mut self, driver: u64) -> u64 {
        self.last += 1;
        let last = self.last;
        match self.open.iter_mut().find(|(number, _)| *number == driver) {
            // It waited, or comes twice.
            Some((_, engine)) => *engine = Some(last),
            None => self.open.push_back((driver, Some(last))),
        }
        last
    }

    /// The driver's message of a number waits.
    pub(crate) fn waits(&mut self, driver: u64) {
        self.open.push_back((driver, Some(u64::MAX)));
    }

    /// The driver's message of a number comes nowhere.
    pub(crate) fn lost(&mut self, driver: u64) {
        self.open.push_back((driver, None));
    }

    /// The driver's number of what the engine acknowledges: all of it is done with, or came nowhere.
    pub(crate) fn back(&mut self, engine: u64) -> u64 {
        while let Some(&(driver, number)) = self.open.front() {
            if number.is_some_and(|number| number > engine) {
                break;
            }
            self.acknowledged = self.acknowledged.max(driver);
            self.open.pop_front();
        }
        self.acknowledged
    }

    /// The driver's number of one message of the engine's.
    pub(crate) fn one(&self, engine: u64) -> u64 {
        let found = self.open.iter().find(|(_, number)| *number == Some(engine));
        found.map_or(0, |(driver, _)| *driver)
    }
}

#[cfg(test)]
mod tests {
    use super::Numbers;

    #[test]
    fn what_the_engine_never_got_is_acknowledged_with_what_came_behind_it() {
        let mut numbers = Numbers::default();
        assert_eq!(numbers.on(1), 1);
        numbers.lost(2);
        assert_eq!(numbers.on(3), 2);
        assert_eq!(numbers.back(1), 2);
        assert_eq!(numbers.back(2), 3);
    }

    #[test]
    fn what_waits_holds_the_acknowledgement_up() {
        let mut numbers = Numbers::default();
        numbers.on(1);
        numbers.waits(2);
        numbers.on(3);
        assert_eq!(numbers.back(2), 1);
        assert_eq!(numbers.on(2), 3);
        assert_eq!(numbers.back(3), 3);
    }

    #[test]
    fn what_came_twice_is_acknowledged_with_its_second() {
        let mut numbers = Numbers::default();
        numbers.on(1);
        numbers.on(1);
        assert_eq!(numbers.one(2), 1);
        assert_eq!(numbers.back(2), 1);
    }
}
