//! A value for every rank of `0..size`, as runs of equal values that can be changed in place.
//!
//! Chunks of sorted runs, below a B-tree from the start of each chunk to it: a change of a range costs
//! O(log runs), one chunk, and the runs that it covers, however many ranks they hold (H8). A B-tree of
//! single runs would do the same in twice the memory, since its leaves are half empty.

use std::collections::BTreeMap;
use std::ops::Range;

/// Runs of equal values over `0..size`.
///
/// Invariants: the first run starts at 0 if `size > 0`; starts increase and are below `size`; values
/// of neighbouring runs differ. Every chunk has 1 to `CHUNK` runs, but for the first one of nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RunMap<T> {
    /// The chunk of rank 0. It is not in the tree, which takes no memory while there is no other.
    first: Chunk<T>,
    /// The others, by the start of their first run.
    others: BTreeMap<u32, Chunk<T>>,
    /// No more than ranks.
    n_runs: u32,
    size: u32,
}

/// Runs by their starts, in order. Each ends where the next one starts.
type Chunk<T> = Vec<(u32, T)>;

/// The most runs of one chunk.
const CHUNK: usize = 64;

/// The most ranks of a mesh: a run is four bytes and its value.
pub(crate) const RANKS_MAX: usize = u32::MAX as usize;

impl<T: Copy + PartialEq> RunMap<T> {
    /// `size` is at most [`RANKS_MAX`]; what is more is left out.
    pub(crate) fn uniform(size: usize, value: T) -> Self {
        let size = to_u32(size);
        let first = if size > 0 { vec![(0, value)] } else { Vec::new() };
        Self { n_runs: to_u32(first.len()), first, others: BTreeMap::new(), size }
    }

    /// Sets every rank of `range`, as far as it is inside the size.
    pub(crate) fn set(&mut self, range: Range<usize>, value: T) {
        let (start, end) = (to_u32(range.start), to_u32(range.end).min(self.size));
        if start >= end {
            return;
        }
        let before = start.checked_sub(1).and_then(|rank| self.at(rank));
        let after = (end < self.size).then(|| self.at(end)).flatten();
        self.remove_starts(start, end);
        if before != Some(value) {
            self.insert_start(start, value);
        }
        if let Some(after) = after.filter(|after| *after != value) {
            self.insert_start(end, after);
        }
    }

    /// A run begins at `at`, where none begins.
    fn insert_start(&mut self, at: u32, value: T) {
        self.n_runs += 1;
        let chunk = self.chunk_mut(at);
        let index = chunk.partition_point(|(start, _)| *start < at);
        if chunk.len() < CHUNK {
            chunk.insert(index, (at, value));
            return;
        }
        if index == CHUNK {
            // Runs that come in order fill their chunks.
            self.others.insert(at, vec![(at, value)]);
            return;
        }
        let mut next = chunk.split_off(CHUNK / 2);
        match index.checked_sub(CHUNK / 2) {
            Some(index) => next.insert(index, (at, value)),
            None => chunk.insert(index, (at, value)),
        }
        chunk.shrink_to(CHUNK / 2 + 1);
        self.others.insert(next[0].0, next);
    }

    /// No run begins from `start` up to and with `end`.
    fn remove_starts(&mut self, start: u32, end: u32) {
        let is_kept = |(at, _): &(u32, T)| *at < start || *at > end;
        let mut others: Vec<u32> = self.others.range(start..=end).map(|(key, _)| *key).collect();
        // The chunk before those may reach into the range.
        if let Some((key, _)) = self.others.range(..start).next_back() {
            others.push(*key);
        } else {
            let n_before = self.first.len();
            self.first.retain(is_kept);
            self.n_runs -= to_u32(n_before - self.first.len());
            shrink(&mut self.first);
        }
        for key in others {
            let Some(mut chunk) = self.others.remove(&key) else { continue };
            let n_before = chunk.len();
            chunk.retain(is_kept);
            self.n_runs -= to_u32(n_before - chunk.len());
            if chunk.is_empty() {
                continue;
            }
            shrink(&mut chunk);
            let key = chunk[0].0;
            match self.others.range_mut(..key).next_back() {
                Some((_, left)) if left.len() + chunk.len() <= CHUNK / 2 => left.append(&mut chunk),
                None if self.first.len() + chunk.len() <= CHUNK / 2 => {
                    self.first.append(&mut chunk);
                }
                Some(_) | None => _ = self.others.insert(key, chunk),
            }
        }
    }

    /// The chunk that the run at `rank` is in, or would be.
    fn chunk_mut(&mut self, rank: u32) -> &mut Chunk<T> {
        match self.others.range_mut(..=rank).next_back() {
            Some((_, chunk)) => chunk,
            None => &mut self.first,
        }
    }

    fn at(&self, rank: u32) -> Option<T> {
        let chunk = self.others.range(..=rank).next_back().map_or(&self.first, |(_, chunk)| chunk);
        let next = chunk.partition_point(|(start, _)| *start <= rank);
        Some(chunk.get(next.checked_sub(1)?)?.1)
    }

    pub(crate) fn get(&self, rank: usize) -> Option<T> {
        if rank >= self.size() {
            return None;
        }
        self.at(to_u32(rank))
    }

    /// The runs that meet `range`, cut to it, in order.
    pub(crate) fn runs_in(&self, range: Range<usize>) -> impl Iterator<Item = (Range<usize>, T)> {
        let (start, end) = (to_u32(range.start), to_u32(range.end).min(self.size));
        let (key, chunk) = match self.others.range(..=start).next_back() {
            Some((key, chunk)) => (*key, chunk),
            None => (0, &self.first),
        };
        let skipped = chunk.partition_point(|(at, _)| *at <= start).saturating_sub(1);
        let others = self.others.range(key.saturating_add(1)..).flat_map(|(_, chunk)| chunk);
        let mut runs = chunk[skipped..].iter().chain(others).peekable();
        std::iter::from_fn(move || {
            let (at, value) = *runs.next().filter(|(at, _)| *at < end && start < end)?;
            let until = runs.peek().map_or(end, |(next, _)| *next).min(end);
            Some((at.max(start) as usize..until as usize, value))
        })
    }

    #[cfg(test)]
    pub(crate) fn runs(&self) -> impl Iterator<Item = (Range<usize>, T)> {
        self.runs_in(0..self.size())
    }

    pub(crate) const fn n_runs(&self) -> usize {
        self.n_runs as usize
    }

    pub(crate) const fn size(&self) -> usize {
        self.size as usize
    }
}

/// Gives back what a chunk that has become small does not need.
fn shrink<T>(chunk: &mut Chunk<T>) {
    if chunk.len() < chunk.capacity() / 4 {
        chunk.shrink_to(chunk.len() * 2);
    }
}

/// What is beyond the greatest mesh is its end.
fn to_u32(rank: usize) -> u32 {
    u32::try_from(rank).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn runs_are_what_a_plain_vector_holds(
            size in prop_oneof![0_usize..24, 400_usize..600],
            changes in prop::collection::vec((0_usize..640, 1_usize..12, 0_u8..3), 0..700),
            wide in prop::collection::vec((0_usize..640, 0_usize..640), 0..4),
            window in (0_usize..640, 0_usize..640),
        ) {
            let mut runs = RunMap::uniform(size, 0);
            let mut naive = vec![0; size];
            let wide = wide.into_iter().map(|(start, len)| (start, len, 3));
            let narrow = changes.into_iter().map(|(start, len, value)| (start % (size + 3), len, value));
            for (start, len, value) in narrow.chain(wide) {
                runs.set(start..start + len, value);
                naive[start.min(size)..(start + len).min(size)].fill(value);
            }
            let expanded: Vec<u8> = runs.runs().flat_map(|(range, value)| range.map(move |_| value)).collect();
            prop_assert_eq!(&expanded, &naive);
            let mut pairs = runs.runs().zip(runs.runs().skip(1));
            let is_canonical =
                pairs.all(|((left, a), (right, b))| left.end == right.start && a != b);
            prop_assert!(is_canonical);
            prop_assert_eq!(runs.n_runs(), runs.runs().count());
            prop_assert!(runs.others.values().all(|chunk| (1..=CHUNK).contains(&chunk.len())));
            for rank in 0..size + 2 {
                prop_assert_eq!(runs.get(rank), naive.get(rank).copied());
            }
            let (start, end) = (window.0.min(size), window.1.min(size));
            let cut: Vec<u8> = runs.runs_in(start..end).flat_map(|(range, value)| range.map(move |_| value)).collect();
            prop_assert_eq!(&cut[..], naive.get(start..end).unwrap_or_default());
        }
    }

    /// H8. A run is its start and its value, and little more.
    #[test]
    fn runs_that_come_in_order_fill_their_chunks() {
        let mut runs = RunMap::uniform(20_000, 0_u32);
        (0..10_000).for_each(|n| runs.set(2 * n..2 * n + 1, 1));
        assert_eq!(runs.n_runs(), 20_000);
        let held: usize = runs.others.values().map(Vec::capacity).sum();
        assert!(held + runs.first.capacity() <= 20_000 + 2 * CHUNK, "{held}");
        runs.set(0..20_000, 2);
        assert_eq!((runs.n_runs(), runs.others.len()), (1, 0));
        assert!(runs.first.capacity() <= 4);
    }
}
