//! `Seen`: what has come back to a process lately. What is passed on again, since nobody knew whether it had arrived,
//! comes back once.

use std::collections::{BTreeSet, VecDeque};

/// How many of those that came last are known: as many as one relay may keep by
/// [`back_bytes`](crate::Limits::back_bytes), and so may pass on again in a row.
const SEEN: usize = 1 << 18;

/// The ids of those that came last, the newest last.
#[derive(Debug, Default)]
pub(super) struct Seen {
    order: VecDeque<u64>,
    ids: BTreeSet<u64>,
}

impl Seen {
    /// Whether one of that id has not come yet. From now on it has.
    pub(super) fn is_first(&mut self, id: u64) -> bool {
        if !self.ids.insert(id) {
            return false;
        }
        self.order.push_back(id);
        if self.order.len() > SEEN
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R3: each once, and what is known of them takes no more room however many there are.
    #[test]
    fn what_comes_again_is_known_for_long_and_not_for_ever() {
        let mut seen = Seen::default();
        assert!(seen.is_first(0) && !seen.is_first(0));
        let n = SEEN as u64;
        assert!((1..n).all(|id| seen.is_first(id)));
        assert!(!seen.is_first(0) && !seen.is_first(n - 1));
        assert!(seen.is_first(n), "one more than are known");
        assert!(seen.is_first(0), "it was the oldest");
        assert_eq!((seen.order.len(), seen.ids.len()), (SEEN, SEEN));
    }
}
