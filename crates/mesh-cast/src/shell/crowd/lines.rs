//! `Lines`: those that have the same in their way.

use std::collections::{BTreeMap, BTreeSet};

use super::Who;

/// Who waits for the same ranks, calls apart from casts. But for what its sender cast before, which is seen to before, what
/// is in the way of the first of a line is in that of all of it: so they stand behind the first, and nowhere else.
#[derive(Debug)]
pub(super) struct Lines(BTreeMap<Alike, BTreeSet<u64>>);

/// The runs of ranks, and whether they are called.
type Alike = (Vec<(usize, usize)>, bool);

impl Lines {
    pub(super) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// One stands in its line, if it does not yet. Returns who is the first of it.
    pub(super) fn join(&mut self, number: u64, who: &Who) -> u64 {
        let line = self.0.entry(alike(who)).or_default();
        line.insert(number);
        line.first().copied().unwrap_or(number)
    }

    /// One stands there no more, if it did. If it was the first, who is that now is returned.
    pub(super) fn leave(&mut self, number: u64, who: &Who) -> Option<u64> {
        let alike = alike(who);
        let line = self.0.get_mut(&alike)?;
        let was_first = line.first() == Some(&number);
        line.remove(&number);
        let first = line.first().copied();
        if first.is_none() {
            self.0.remove(&alike);
        }
        first.filter(|_| was_first)
    }
}

fn alike(who: &Who) -> Alike {
    (who.ranks.runs().map(|run| (run.start, run.end)).collect(), who.is_call)
}
