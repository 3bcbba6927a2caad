//! What is looked for.

use crate::forms::{SHORTEST, forms};
use crate::stream::Masker;
use aho_corasick::{AhoCorasick, AhoCorasickKind};
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// What stands in a secret's place.
pub const HIDDEN: &str = "***";

/// Secrets, ready to be looked for. Clones share them. The default one has none, and finds nothing.
#[derive(Clone, Default)]
pub struct Mask(Option<Arc<Found>>);

struct Found {
    search: AhoCorasick,
    /// Sorted.
    needles: Vec<Vec<u8>>,
    /// Of each needle, its secret's place in `names`.
    of: Vec<usize>,
    names: Vec<String>,
    longest: usize,
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mask(..)")
    }
}

impl Mask {
    /// Secrets by name. Values under [`SHORTEST`] bytes are not masked: [`Mask::is_short`] tells.
    pub fn new<'a>(secrets: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Mask {
        let (mut names, mut all) = (Vec::new(), Vec::new());
        for (name, value) in secrets {
            let place = names.len();
            all.extend(forms(value).into_iter().map(|form| (form, place)));
            names.push(name.to_owned());
        }
        all.sort_unstable();
        all.dedup_by(|one, other| one.0 == other.0);
        let (needles, of): (Vec<_>, Vec<_>) = all.into_iter().unzip();
        let Some(longest) = needles.iter().map(Vec::len).max() else {
            return Mask::default();
        };
        let search = AhoCorasick::builder()
            // Others take more memory, and secrets may be long.
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(&needles);
        // It refuses only what is longer than memory holds.
        let search = search.expect("secrets have a limit far below that of the search");
        Mask(Some(Arc::new(Found {
            search,
            needles,
            of,
            names,
            longest,
        })))
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
        let hit = found.search.find(text)?;
        Some(&found.names[found.of[hit.pattern().as_usize()]])
    }

    /// The text with `***` in place of each secret. Where secrets overlap, one covers them all.
    #[must_use]
    pub fn mask<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        let runs = self.runs(text, 0);
        if runs.is_empty() {
            return Cow::Borrowed(text);
        }
        let (mut masked, mut from) = (Vec::with_capacity(text.len()), 0);
        for run in runs {
            masked.extend_from_slice(&text[from..run.start]);
            masked.extend_from_slice(HIDDEN.as_bytes());
            from = run.end;
        }
        masked.extend_from_slice(&text[from..]);
        Cow::Owned(masked)
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

    /// What is hidden, in order and apart: the first `hidden` bytes, and every needle; what overlaps is
    /// one.
    pub(crate) fn runs(&self, text: &[u8], hidden: usize) -> Vec<Range<usize>> {
        let Some(found) = &self.0 else {
            return Vec::new();
        };
        let hits = found.search.find_overlapping_iter(text);
        let mut hits: Vec<_> = hits.map(|hit| hit.range()).collect();
        if hidden > 0 {
            hits.push(0..hidden);
        }
        hits.sort_unstable_by_key(|hit| (hit.start, hit.end));
        let mut runs: Vec<Range<usize>> = Vec::new();
        for hit in hits {
            match runs.last_mut() {
                Some(run) if hit.start < run.end => run.end = run.end.max(hit.end),
                _ => runs.push(hit),
            }
        }
        runs
    }

    /// How many of the last bytes may be the beginning of a needle.
    pub(crate) fn begun(&self, text: &[u8]) -> usize {
        let Some(found) = &self.0 else { return 0 };
        let most = text.len().min(found.longest - 1);
        let begins = |len: &usize| {
            let end = &text[text.len() - len..];
            let at = found.needles.partition_point(|needle| &**needle <= end);
            // Those that begin with it come right after it.
            let next = found.needles.get(at);
            next.is_some_and(|needle| needle.starts_with(end))
        };
        (1..=most).rev().find(begins).unwrap_or(0)
    }
}
