//! `Loads`: what ranks have that they have not taken or not answered, counted as it changes.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use mesh_shape::RankSet;

use super::flight::Flight;

/// What all casts that are on their way amount to, so that nobody counts them to learn whether there is room.
///
/// Run-coded: what is alike for many ranks is kept once.
#[derive(Clone, Debug)]
pub(super) struct Loads {
    /// How many casts and calls are open, but for those that room was kept for.
    pub(super) n: usize,
    /// How many bytes of those are not taken everywhere.
    pub(super) open_bytes: usize,
    /// How many bytes of messages have not arrived everywhere.
    pub(super) kept_bytes: usize,
    pub(super) n_calls: usize,
    /// The casts that have not arrived everywhere.
    pub(super) absent: BTreeSet<u64>,
    /// From each rank on, up to the next that is named. Invariant: no two neighbours are equal.
    by_rank: BTreeMap<usize, Load>,
    news: News,
}

/// What one rank has to take, and to answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) n: usize,
    pub(super) bytes: usize,
    pub(super) n_calls: usize,
}

/// Where there may be more room than before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct News {
    /// The ranks that have taken something, or have answered.
    pub(crate) ranks: RankSet,
    /// Whether something has arrived everywhere.
    pub(crate) has_arrived: bool,
}

/// What of one cast is counted, beside what each rank has of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counted {
    n: usize,
    open_bytes: usize,
    kept_bytes: usize,
    n_calls: usize,
    is_absent: bool,
}

impl Loads {
    pub(super) const fn new() -> Self {
        let news = News { ranks: RankSet::new(), has_arrived: false };
        Self {
            n: 0,
            open_bytes: 0,
            kept_bytes: 0,
            n_calls: 0,
            absent: BTreeSet::new(),
            by_rank: BTreeMap::new(),
            news,
        }
    }

    /// Counts a cast that begins.
    pub(super) fn begin<N, P, R>(&mut self, number: u64, flight: &mut Flight<N, P, R>) {
        self.sum_up(number, flight);
        let bytes = flight.bytes;
        // What room was kept for takes nothing from others.
        for run in flight.untaken.ranks().runs().filter(|_| !flight.is_ahead) {
            self.change(run, |load| (load.n, load.bytes) = (load.n + 1, load.bytes + bytes));
        }
        for run in flight.pending.ranks().runs().filter(|_| flight.kind.wants_reply()) {
            self.change(run, |load| load.n_calls += 1);
        }
    }

    /// Counts a cast as it is now: what ranks have taken and answered since it was counted last.
    pub(super) fn count<N, P, R>(&mut self, number: u64, flight: &mut Flight<N, P, R>) {
        self.sum_up(number, flight);
        let bytes = flight.bytes;
        let (taken, answered) = (flight.untaken.take_paid(), flight.pending.take_paid());
        for run in taken.runs().filter(|_| !flight.is_ahead) {
            self.lessen(run, |load| (load.n, load.bytes) = (load.n - 1, load.bytes - bytes));
        }
        for run in answered.runs().filter(|_| flight.kind.wants_reply()) {
            self.lessen(run, |load| load.n_calls -= 1);
        }
    }

    /// What has changed since this was asked last.
    pub(super) fn take_news(&mut self) -> News {
        std::mem::take(&mut self.news)
    }

    /// What the ranks of a range have, where they have anything.
    pub(super) fn within(
        &self,
        range: Range<usize>,
    ) -> impl Iterator<Item = (Range<usize>, &Load)> {
        let first = self.by_rank.range(..=range.start).next_back().map_or(range.start, |it| *it.0);
        let starts = self.by_rank.range(first..range.end);
        let ends = self.by_rank.range(first..range.end).skip(1).map(|(at, _)| *at);
        let runs = starts.zip(ends.chain([range.end]));
        runs.map(move |((at, load), end)| ((*at).max(range.start)..end, load))
            .filter(|(_, load)| **load != Load::default())
    }

    /// Counts what a cast amounts to in all.
    fn sum_up<N, P, R>(&mut self, number: u64, flight: &mut Flight<N, P, R>) {
        let now = Counted::of(flight);
        let before = std::mem::replace(&mut flight.counted, now);
        let changed = |before: usize, now: usize, sum: usize| sum - before + now;
        self.n = changed(before.n, now.n, self.n);
        self.n_calls = changed(before.n_calls, now.n_calls, self.n_calls);
        self.open_bytes = changed(before.open_bytes, now.open_bytes, self.open_bytes);
        self.kept_bytes = changed(before.kept_bytes, now.kept_bytes, self.kept_bytes);
        if now.is_absent {
            self.absent.insert(number);
        } else if self.absent.remove(&number) {
            self.news.has_arrived = true;
        }
    }

    /// There is less of something at some ranks.
    fn lessen(&mut self, range: Range<usize>, apply: impl Fn(&mut Load)) {
        self.change(range.clone(), apply);
        self.news.ranks.insert_range(range);
    }

    fn change(&mut self, range: Range<usize>, apply: impl Fn(&mut Load)) {
        self.split(range.start);
        self.split(range.end);
        self.by_rank.range_mut(range.clone()).for_each(|(_, load)| apply(load));
        self.join(range.start);
        self.join(range.end);
    }

    /// From that rank on it may be another.
    fn split(&mut self, at: usize) {
        let load = self.by_rank.range(..=at).next_back().map(|(_, load)| *load);
        self.by_rank.entry(at).or_insert_with(|| load.unwrap_or_default());
    }

    /// From that rank on it is another only if it differs.
    fn join(&mut self, at: usize) {
        let before = self.by_rank.range(..at).next_back().map(|(_, load)| *load);
        if self.by_rank.get(&at) == Some(&before.unwrap_or_default()) {
            self.by_rank.remove(&at);
        }
    }
}

impl Counted {
    fn of<N, P, R>(flight: &Flight<N, P, R>) -> Self {
        if flight.untaken.is_empty() && flight.pending.is_empty() {
            return Self::default();
        }
        // What room was kept for takes nothing from others.
        let is_open = !flight.is_ahead && !flight.untaken.is_empty();
        Self {
            n: usize::from(!flight.is_ahead),
            open_bytes: if is_open { flight.bytes } else { 0 },
            kept_bytes: if flight.payload.is_some() { flight.bytes } else { 0 },
            n_calls: usize::from(flight.kind.wants_reply()),
            is_absent: !flight.absent.is_empty(),
        }
    }
}

#[cfg(test)]
mod tests;
