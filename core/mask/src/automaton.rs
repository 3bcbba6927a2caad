//! All needles as one automaton, after Aho and Corasick: it reads a text byte by byte, and its state is
//! the longest beginning of a needle that ends where it is.

/// The state of a text that ends with no beginning of a needle.
pub(crate) const NOTHING: u32 = 0;

pub(crate) struct Automaton {
    /// By state. Fields that name a state or a needle are 0 where there is none.
    states: Vec<State>,
    /// The state after each byte from [`NOTHING`].
    first: [u32; 256],
    needles: Vec<Needle>,
}

#[derive(Clone, Copy, Default)]
struct State {
    byte: u8,
    /// In bytes; where nothing longer begins so, of the longest shorter one that goes on.
    depth: u32,
    child: u32,
    sibling: u32,
    /// The longest shorter one that ends with the same bytes.
    shorter: u32,
    /// The place after that of the longest needle that ends here: shorter ones lie within it.
    needle: u32,
}

/// A needle that was found.
#[derive(Clone, Copy)]
pub(crate) struct Needle {
    /// In bytes.
    pub(crate) len: usize,
    /// Its secret's place.
    pub(crate) of: usize,
}

impl Automaton {
    /// `needles`: with their secrets' places, none of them empty, 4 GiB together at most. Of the same ones
    /// the first counts.
    pub(crate) fn new(needles: impl IntoIterator<Item = (Vec<u8>, usize)>) -> Automaton {
        let mut automaton = Automaton {
            states: vec![State::default()],
            first: [NOTHING; 256],
            needles: Vec::new(),
        };
        for (needle, of) in needles {
            automaton.add(&needle, of);
        }
        automaton.link();
        automaton.states.shrink_to_fit();
        automaton
    }

    fn add(&mut self, needle: &[u8], of: usize) {
        let mut state = NOTHING;
        for byte in needle {
            state = match self.child(state, *byte) {
                NOTHING => self.grow(state, *byte),
                child => child,
            };
        }
        let len = needle.len();
        let end = &mut self.states[state as usize].needle;
        if *end == 0 {
            self.needles.push(Needle { len, of });
            *end = self.needles.len() as u32;
        }
    }

    fn grow(&mut self, state: u32, byte: u8) -> u32 {
        let new = self.states.len() as u32;
        let parent = &mut self.states[state as usize];
        let grown = State {
            byte,
            depth: parent.depth + 1,
            sibling: std::mem::replace(&mut parent.child, new),
            ..State::default()
        };
        self.states.push(grown);
        if state == NOTHING {
            self.first[usize::from(byte)] = new;
        }
        new
    }

    fn child(&self, state: u32, byte: u8) -> u32 {
        if state == NOTHING {
            return self.first[usize::from(byte)];
        }
        let mut child = self.states[state as usize].child;
        while child != 0 && self.states[child as usize].byte != byte {
            child = self.states[child as usize].sibling;
        }
        child
    }

    /// Shorter states first, so that those that a state refers to are complete.
    fn link(&mut self) {
        let mut queue = vec![NOTHING];
        let mut at = 0;
        while let Some(parent) = queue.get(at).copied() {
            at += 1;
            let mut child = self.states[parent as usize].child;
            while child != 0 {
                let State { byte, sibling, .. } = self.states[child as usize];
                let shorter = match parent {
                    NOTHING => NOTHING,
                    _ => self.next(self.states[parent as usize].shorter, byte),
                };
                let before = self.states[shorter as usize];
                let state = &mut self.states[child as usize];
                state.shorter = shorter;
                if state.needle == 0 {
                    state.needle = before.needle;
                }
                if state.child == 0 {
                    state.depth = before.depth;
                }
                queue.push(child);
                child = sibling;
            }
        }
    }

    pub(crate) fn next(&self, mut state: u32, byte: u8) -> u32 {
        loop {
            match self.child(state, byte) {
                NOTHING if state != NOTHING => state = self.states[state as usize].shorter,
                next => return next,
            }
        }
    }

    /// How many of the last bytes are the beginning of a longer needle.
    pub(crate) fn depth(&self, state: u32) -> usize {
        self.states[state as usize].depth as usize
    }

    /// The longest needle that ends here.
    pub(crate) fn found(&self, state: u32) -> Option<Needle> {
        let place = self.states[state as usize].needle as usize;
        Some(self.needles[place.checked_sub(1)?])
    }

    /// Whether a needle begins with the byte.
    pub(crate) fn begins(&self, byte: u8) -> bool {
        self.first[usize::from(byte)] != NOTHING
    }
}
