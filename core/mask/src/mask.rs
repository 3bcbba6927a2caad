//! What is looked for.

use crate::automaton::Automaton;
use crate::forms::{SHORTEST, forms};
use crate::runs::Runs;
use crate::scan::Scan;
use crate::stream::{CutLines, Masker};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// What stands in a secret's place.
pub const HIDDEN: &str = "***";

/// Secrets, ready to be looked for. Clones share them. The default one has none, and finds nothing.
#[derive(Clone, Default)]
pub struct Mask(Option<Arc<Found>>);

struct Found {
    automaton: Automaton,
    names: Vec<String>,
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mask(..)")
    }
}

impl Mask {
    /// Secrets by name. Values under [`SHORTEST`] bytes are not masked: [`Mask::is_short`] tells.
    pub fn new<'a>(secrets: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Mask {
        let (mut names, mut needles) = (Vec::new(), Vec::new());
        for (name, value) in secrets {
            let place = names.len();
            needles.extend(forms(value).into_iter().map(|form| (form, place)));
            names.push(name.to_owned());
        }
        if needles.is_empty() {
            return Mask::default();
        }
        let automaton = Automaton::new(needles);
        Mask(Some(Arc::new(Found { automaton, names })))
    }

    /// Whether a value is too short to be masked.
    #[must_use]
    pub fn is_short(value: &[u8]) -> bool {
        value.len() < SHORTEST
    }

    /// Whether it looks for nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The name of a secret that is in the text.
    #[must_use]
    pub fn find(&self, text: &[u8]) -> Option<&str> {
        let found = self.0.as_ref()?;
        let mut first = None;
        Scan::default().read(&found.automaton, text, false, |_, of| {
            first.get_or_insert(of);
        });
        Some(&found.names[first?])
    }

    /// The text with `***` in place of each secret. Where secrets overlap, one covers them all.
    #[must_use]
    pub fn mask<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        let Some(automaton) = self.automaton() else {
            return Cow::Borrowed(text);
        };
        let mut runs = Runs::default();
        Scan::default().read(automaton, text, false, |run, _| runs.add(run));
        if runs.is_empty() {
            return Cow::Borrowed(text);
        }
        Cow::Owned(runs.hide(0, text))
    }

    /// [`Mask::mask`] of a text. A letter of which a part was a secret is shown as U+FFFD.
    #[must_use]
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match self.mask(text.as_bytes()) {
            Cow::Borrowed(_) => Cow::Borrowed(text),
            Cow::Owned(masked) => Cow::Owned(String::from_utf8_lossy(&masked).into_owned()),
        }
    }

    /// Masks a stream.
    #[must_use]
    pub fn stream(&self) -> Masker {
        Masker::new(self.clone())
    }

    /// Masks lines of which some go on in the next one.
    #[must_use]
    pub fn cut_lines(&self) -> CutLines {
        CutLines::new(self.clone())
    }

    pub(crate) fn automaton(&self) -> Option<&Automaton> {
        self.0.as_ref().map(|found| &found.automaton)
    }
}
