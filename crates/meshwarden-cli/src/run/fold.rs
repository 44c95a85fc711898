//! `Fold`: the same line of many ranks, once. Pure: what time it is is told.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use meshwarden::mesh_shape::Rank;

/// How long a line waits for other ranks that say the same.
const WINDOW: Duration = Duration::from_millis(200);

/// How many different lines may wait, and how many bytes; then the oldest waits no longer.
const LINES_MAX: usize = 4096;
const BYTES_MAX: usize = 1 << 20;

/// Lines of many ranks, of which those that are equal become one.
///
/// A line joins an equal one that waits, unless that would put it before another one of its rank: so each
/// rank's lines keep their order. Lines come out in the order in which each was said first.
#[derive(Debug)]
pub(crate) struct Fold {
    n_ranks: usize,
    held: VecDeque<Held>,
    n_bytes: usize,
    /// How many lines have come out: the number of the first that waits.
    n_out: u64,
    /// The newest line that waits with this text.
    by_text: HashMap<Bytes, u64>,
    /// The line that each rank has said last.
    last: BTreeMap<Rank, u64>,
}

#[derive(Debug)]
struct Held {
    since: Instant,
    line: Folded,
}

/// A line, and how many ranks have said it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Folded {
    pub(crate) text: Bytes,
    /// Who said it first.
    pub(crate) rank: Rank,
    /// How many have, each once.
    pub(crate) n_ranks: usize,
}

impl Fold {
    /// For the lines of so many ranks.
    pub(crate) fn new(n_ranks: usize) -> Self {
        Self {
            n_ranks,
            held: VecDeque::new(),
            n_bytes: 0,
            n_out: 0,
            by_text: HashMap::new(),
            last: BTreeMap::new(),
        }
    }

    /// A rank has said a line.
    pub(crate) fn push(&mut self, now: Instant, rank: Rank, text: Bytes) {
        let said_last = self.last.get(&rank).copied();
        let equal = self.by_text.get(&text).copied();
        let number = match equal.filter(|equal| said_last.is_none_or(|last| last < *equal)) {
            Some(number) => {
                if let Some(held) = self.get_mut(number) {
                    held.line.n_ranks += 1;
                }
                number
            }
            None => {
                let number = self.n_out + self.held.len() as u64;
                self.n_bytes += text.len();
                self.by_text.insert(text.clone(), number);
                let line = Folded { text, rank, n_ranks: 1 };
                self.held.push_back(Held { since: now, line });
                number
            }
        };
        self.last.insert(rank, number);
    }

    /// The next line that waits no longer.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Folded> {
        let Held { since, line } = self.held.front()?;
        let is_due = now >= *since + WINDOW
            || line.n_ranks >= self.n_ranks
            || self.held.len() > LINES_MAX
            || self.n_bytes > BYTES_MAX;
        if is_due { self.pop_any() } else { None }
    }

    /// The next line, however long it has waited: nobody else will say anything.
    pub(crate) fn pop_any(&mut self) -> Option<Folded> {
        let Held { line, .. } = self.held.pop_front()?;
        if self.by_text.get(&line.text) == Some(&self.n_out) {
            self.by_text.remove(&line.text);
        }
        self.n_out += 1;
        self.n_bytes -= line.text.len();
        Some(line)
    }

    /// When a line will have waited for long enough; `None` if none waits.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.held.front().map(|held| held.since + WINDOW)
    }

    fn get_mut(&mut self, number: u64) -> Option<&mut Held> {
        let index = usize::try_from(number.checked_sub(self.n_out)?).ok()?;
        self.held.get_mut(index)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(fold: &mut Fold) -> Vec<(String, usize)> {
        let lines = std::iter::from_fn(|| fold.pop_any());
        lines.map(|it| (String::from_utf8_lossy(&it.text).into_owned(), it.n_ranks)).collect()
    }

    fn lines<'a>(said: impl IntoIterator<Item = (usize, &'a str)>) -> Vec<(String, usize)> {
        let (mut fold, now) = (Fold::new(9), Instant::now());
        for (rank, text) in said {
            fold.push(now, Rank::new(rank), Bytes::copy_from_slice(text.as_bytes()));
        }
        all(&mut fold)
    }

    #[test]
    fn what_many_say_is_one_line_and_what_one_says_stays_where_it_was() {
        let said = [(0, "loading"), (1, "loading"), (1, "odd"), (2, "loading"), (0, "ready")];
        let expected = [("loading", 3), ("odd", 1), ("ready", 1)];
        assert_eq!(lines(said), expected.map(|(text, n)| (text.to_owned(), n)));
    }

    #[test]
    fn what_one_says_twice_is_two_lines_which_others_join_in_turn() {
        let said = [(0, "x"), (0, "x"), (1, "x"), (1, "x")];
        // The newest is the one that is joined: the second of rank 1 can join none.
        let expected = [("x", 1), ("x", 2), ("x", 1)];
        assert_eq!(lines(said), expected.map(|(text, n)| (text.to_owned(), n)));
    }

    #[test]
    fn a_line_waits_for_others_until_all_have_said_it_or_its_time_is_over() {
        let (mut fold, now) = (Fold::new(2), Instant::now());
        let text = Bytes::from_static(b"x");
        fold.push(now, Rank::new(0), text.clone());
        assert_eq!((fold.pop(now), fold.next_deadline()), (None, Some(now + WINDOW)));
        fold.push(now, Rank::new(1), text.clone());
        let both = Folded { text: text.clone(), rank: Rank::new(0), n_ranks: 2 };
        assert_eq!((fold.pop(now), fold.next_deadline()), (Some(both), None));

        fold.push(now, Rank::new(1), text.clone());
        let one = Folded { text, rank: Rank::new(1), n_ranks: 1 };
        assert_eq!(fold.pop(now + WINDOW), Some(one));
    }

    #[test]
    fn no_more_waits_than_the_bounds_say() {
        let (mut fold, now) = (Fold::new(2), Instant::now());
        for number in 0..2 * LINES_MAX {
            fold.push(now, Rank::new(0), number.to_string().into());
            while fold.pop(now).is_some() {}
            assert!(fold.held.len() <= LINES_MAX);
        }
        for number in 0..100 {
            fold.push(now, Rank::new(1), vec![number; BYTES_MAX / 10].into());
            while fold.pop(now).is_some() {}
            assert!(fold.n_bytes <= BYTES_MAX);
        }
    }

    proptest! {
        /// Each line of each rank is in one line that comes out, in the order of its rank.
        #[test]
        fn nothing_is_lost_and_each_rank_keeps_its_order(
            said in prop::collection::vec((0_usize..4, 0_u8..3, 0_u64..150), 0..80),
        ) {
            let (mut fold, mut now) = (Fold::new(4), Instant::now());
            let mut out = Vec::new();
            for (rank, text, wait) in &said {
                now += Duration::from_millis(*wait);
                while let Some(line) = fold.pop(now) {
                    out.push(line);
                }
                fold.push(now, Rank::new(*rank), vec![*text].into());
            }
            while let Some(line) = fold.pop_any() {
                out.push(line);
            }
            prop_assert_eq!(out.iter().map(|line| line.n_ranks).sum::<usize>(), said.len());
            prop_assert!(out.iter().all(|line| (1..=4).contains(&line.n_ranks)));
            for rank in 0..4 {
                // Its lines are a subsequence of what came out.
                let mut left = out.iter();
                for (_, text, _) in said.iter().filter(|(it, ..)| *it == rank) {
                    prop_assert!(left.any(|line| line.text[..] == [*text]));
                }
            }
            prop_assert!(fold.by_text.is_empty() && fold.n_bytes == 0);
        }
    }
}
