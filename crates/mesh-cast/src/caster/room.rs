//! Whether there is room for one more cast.

use mesh_shape::RankSet;

use super::Caster;
use super::loads::News;
use crate::plan::Plan;
use crate::wire::Kind;

/// There is no room for a cast. The message comes back; nothing was done.
/// [`Effect::Room`](super::Effect::Room) says when to try [`Caster::cast`] again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no room: wait until some of what was cast before is taken or answered")]
pub struct Full<P> {
    /// The message.
    pub message: P,
    /// What there is no room for.
    pub busy: Busy,
    /// What else than an answer may make room.
    pub until: Until,
}

/// What there is no room for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Busy {
    /// Anything, as long as messages have not arrived at the processes of these ranks.
    All(RankSet),
    /// One more call of these ranks: they have not answered those before.
    Calls(RankSet),
    /// More for these ranks: they have not taken what they were sent.
    Ranks(RankSet),
}

impl Busy {
    /// The ranks that have no room.
    #[must_use]
    pub const fn ranks(&self) -> &RankSet {
        match self {
            Self::All(ranks) | Self::Calls(ranks) | Self::Ranks(ranks) => ranks,
        }
    }
}

/// How much one rank may have now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// How many casts and calls that it has not taken.
    pub n: usize,
    /// How many bytes of them.
    pub bytes: usize,
    /// How many calls that it has not answered.
    pub n_calls: usize,
}

/// How much a rank would have to be allowed for there to be room at the first of those that have none, if nothing is
/// taken or answered meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Until {
    /// More casts and calls than this.
    pub n: Option<usize>,
    /// At least so many bytes.
    pub bytes: Option<usize>,
    /// More calls than this.
    pub n_calls: Option<usize>,
}

impl<N: Copy + Ord, P: Clone, R: Clone + PartialEq> Caster<N, P, R> {
    /// How much one rank may have now, of what all ranks share: no more than a part of what is left for others.
    #[must_use]
    pub fn share(&self) -> Share {
        let (limits, loads) = (&self.limits, &self.loads);
        let left = limits.open.saturating_sub(self.kept).saturating_sub(loads.n);
        let n_max = limits.rank.saturating_sub(self.kept).max(1);
        Share {
            n: (left / OPEN_PARTS).clamp(1, n_max),
            bytes: limits.open_bytes.saturating_sub(loads.open_bytes).min(limits.window_bytes),
            n_calls: limits.calls.saturating_sub(loads.n_calls).max(1),
        }
    }

    /// Whether there is room for a cast of so many bytes to the region of a plan.
    ///
    /// What all ranks share is shared by one rule: a rank may have no more than a part of what is left for others,
    /// and a rank that has nothing is never refused. So the more ranks take nothing, the less each of them can
    /// have, and one that takes what it is sent is held up by no other. What all wait for is asked last: who waits for
    /// a rank holds up nobody else.
    pub(super) fn room(
        &self,
        (kind, bytes): (Kind, usize),
        plan: &Plan<N>,
    ) -> Result<(), (Busy, Until)> {
        let (full, until) = self.full_ranks(plan.all_ranks(), bytes);
        if !full.is_empty() {
            return Err((Busy::Ranks(full), until));
        }
        if kind.wants_reply() {
            let (silent, until) = self.silent_ranks(plan.all_ranks());
            if !silent.is_empty() {
                return Err((Busy::Calls(silent), until));
            }
        }
        let (limits, kept) = (&self.limits, self.loads.kept_bytes);
        let has_bytes = kept == 0 || kept.saturating_add(bytes) <= limits.window_bytes;
        let window = limits.window.saturating_sub(self.kept as u64).max(1);
        if self.last - self.through() >= window || !has_bytes {
            let first = self.loads.absent.first().and_then(|number| self.flights.get(number));
            let absent = first.map(|flight| flight.absent.clone());
            return Err((Busy::All(absent.unwrap_or_default()), Until::default()));
        }
        Ok(())
    }

    /// Which of some ranks have so much to take that there is no room for so many bytes more.
    fn full_ranks(&self, ranks: &RankSet, bytes: usize) -> (RankSet, Until) {
        let (share, mut full, mut until) = (self.share(), RankSet::new(), Until::default());
        for (run, load) in ranks.runs().flat_map(|run| self.loads.within(run)) {
            let sum = load.bytes.saturating_add(bytes);
            if load.n >= share.n {
                until.n = least(until.n, load.n);
            } else if load.bytes > 0 && sum > share.bytes {
                until.bytes = least(until.bytes, sum);
            } else {
                continue;
            }
            full.insert_range(run);
        }
        (full, until)
    }

    /// Which of some ranks have so many calls to answer that there is no room for one more.
    fn silent_ranks(&self, ranks: &RankSet) -> (RankSet, Until) {
        let (share, mut silent, mut until) = (self.share(), RankSet::new(), Until::default());
        for (run, load) in ranks.runs().flat_map(|run| self.loads.within(run)) {
            if load.n_calls >= share.n_calls {
                until.n_calls = least(until.n_calls, load.n_calls);
                silent.insert_range(run);
            }
        }
        (silent, until)
    }

    /// What else may make room for so many bytes at ranks that have too much to take, if none of them has room now.
    pub(crate) fn still_full(&self, ranks: &RankSet, bytes: usize) -> Option<Until> {
        let (full, until) = self.full_ranks(ranks, bytes);
        (full == *ranks).then_some(until)
    }

    /// The same of ranks that have too many calls to answer.
    pub(crate) fn still_silent(&self, ranks: &RankSet) -> Option<Until> {
        let (silent, until) = self.silent_ranks(ranks);
        (silent == *ranks).then_some(until)
    }

    /// Where there may be more room since this was asked last, beside what [`share`](Self::share) says.
    pub(crate) fn take_news(&mut self) -> News {
        self.loads.take_news()
    }
}

fn least(one: Option<usize>, other: usize) -> Option<usize> {
    Some(one.map_or(other, |one| one.min(other)))
}

/// Which part of the casts and calls that may still be open one rank may have: a small one, so that a few that
/// take nothing leave the others more than one each.
const OPEN_PARTS: usize = 8;
