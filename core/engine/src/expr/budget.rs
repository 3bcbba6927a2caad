use super::error::Failure;
use super::limits::Limits;
use regex::Regex;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

/// What one evaluation may still do.
pub(crate) struct Budget {
    limits: Limits,
    work: Cell<u64>,
    memory: Cell<u64>,
    /// Compiled once for an evaluation, however often a loop asks for it.
    regexes: RefCell<BTreeMap<String, Regex>>,
}

impl Budget {
    pub(crate) fn new(limits: Limits) -> Budget {
        Budget {
            limits,
            work: Cell::new(0),
            memory: Cell::new(0),
            regexes: RefCell::default(),
        }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Counts so many units of work before they are done.
    pub(crate) fn work(&self, units: u64) -> Result<(), Failure> {
        let spent = self.work.get().saturating_add(units);
        self.work.set(spent);
        if spent > self.limits.work {
            return Err(Failure::Limit(format!(
                "the expression needs more than {} units of work (limit `work`); range over less, or split it",
                self.limits.work
            )));
        }
        Ok(())
    }

    /// Counts the reading of so many bytes.
    pub(crate) fn text(&self, bytes: usize) -> Result<(), Failure> {
        self.work(bytes as u64 / 16)
    }

    /// Counts so many bytes before they are claimed. Freed ones do not come back: what an
    /// expression holds at once is never more than what it claimed.
    pub(crate) fn memory(&self, bytes: usize) -> Result<(), Failure> {
        self.text(bytes)?;
        let claimed = self.memory.get().saturating_add(bytes as u64);
        self.memory.set(claimed);
        if claimed > self.limits.memory {
            return Err(Failure::Limit(format!(
                "the expression needs more than {} bytes of memory (limit `memory`)",
                self.limits.memory
            )));
        }
        Ok(())
    }

    /// Checks the length of a list, or of what is ranged over, before it is made or walked.
    pub(crate) fn range(&self, items: u64) -> Result<(), Failure> {
        if items > self.limits.range {
            return Err(Failure::Limit(format!(
                "{items} items are more than the {} that an expression may range over (limit `range`)",
                self.limits.range
            )));
        }
        Ok(())
    }

    /// Hands the compiled `pattern` to `use_it`.
    pub(crate) fn regex<T>(
        &self,
        pattern: &str,
        use_it: impl FnOnce(&Regex) -> T,
    ) -> Result<T, Failure> {
        self.text(pattern.len())?;
        if let Some(regex) = self.regexes.borrow().get(pattern) {
            return Ok(use_it(regex));
        }
        if pattern.len() > self.limits.regex_bytes {
            return Err(Failure::Limit(format!(
                "a regular expression of {} bytes is longer than {} (limit `regex_bytes`)",
                pattern.len(),
                self.limits.regex_bytes
            )));
        }
        // Milliseconds at worst, for a pattern that fills its size.
        self.work(20_000)?;
        self.memory(self.limits.regex_size / 4)?;
        match regex::RegexBuilder::new(pattern)
            .size_limit(self.limits.regex_size)
            .nest_limit(50)
            .build()
        {
            Ok(regex) => {
                let found = use_it(&regex);
                self.regexes.borrow_mut().insert(pattern.to_owned(), regex);
                Ok(found)
            }
            Err(regex::Error::CompiledTooBig(size)) => Err(Failure::Limit(format!(
                "a regular expression needs more than {size} bytes when it is compiled (limit `regex_size`)"
            ))),
            Err(problem) => {
                let problem = problem.to_string();
                let last = problem.lines().last().unwrap_or("not a regular expression");
                super::error::error(format!("{pattern:?}: {last}"))
            }
        }
    }
}
