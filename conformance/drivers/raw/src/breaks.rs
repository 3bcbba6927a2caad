//! The broken driver.

use crate::connect::Client;

/// A way to violate a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {}

/// All switches.
pub const SWITCHES: &[(Break, &str, &str, &str)] = &[];

/// Which requirement is violated: none, or one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Breaks(Option<Break>);

impl Breaks {
    pub fn named(name: &str) -> Result<Breaks, String> {
        if name.is_empty() {
            return Ok(Breaks(None));
        }
        let found = SWITCHES.iter().find(|(_, switch, _, _)| *switch == name);
        let found = found.ok_or_else(|| format!("`{name}` is no switch: see --list-switches"))?;
        Ok(Breaks(Some(found.0)))
    }

    #[must_use]
    pub fn has(self, one: Break) -> bool {
        self.0 == Some(one)
    }

    pub fn open_other_streams(self, _client: &Client) {}
}
