//! `Gathering`: who is still waited for in a call of many, and what each rank is answered with.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use mesh_core::{Fault, Incarnation, WhyUndelivered};
use mesh_shape::{Rank, RankSet};
use tokio::time::Instant;

use crate::rank_error::{Certainty, RankError, judge};
use crate::view::Known;

/// How long what was noticed of a rank waits to be explained by its end.
const EXPLAINED_WITHIN: Duration = Duration::from_millis(500);

/// How long a call that was let go of waits for word that its actor was killed.
const KILLED_WITHIN: Duration = Duration::from_millis(50);

/// How long the answer of a rank that has ended may still be on its way.
const LAST_WORDS: Duration = Duration::from_millis(50);

/// The ranks that are still waited for, and the answers that were not told yet.
pub(super) struct Gathering<R> {
    /// Each rank is here once.
    settled: VecDeque<(Rank, Result<R, RankError>)>,
    /// By rank: the rank of the mesh, and which life of it was called.
    pending: BTreeMap<Rank, (Rank, Incarnation)>,
    /// What some of them will be answered with, and when, unless something better is known by then.
    given_up: BTreeMap<Rank, (Instant, RankError)>,
}

impl<R> Gathering<R> {
    pub(super) const fn new() -> Self {
        Self { settled: VecDeque::new(), pending: BTreeMap::new(), given_up: BTreeMap::new() }
    }

    /// Waits for a rank, too: for that life of that rank of the mesh.
    pub(super) fn expect(&mut self, rank: Rank, of: (Rank, Incarnation)) {
        self.pending.insert(rank, of);
    }

    /// The next that is answered for.
    pub(super) fn pop(&mut self) -> Option<(Rank, Result<R, RankError>)> {
        self.settled.pop_front()
    }

    /// Whether every rank is answered for.
    pub(super) fn is_complete(&self) -> bool {
        self.pending.is_empty()
    }

    /// What these ranks replied is known, merged.
    pub(super) fn merged(&mut self, ranks: &RankSet) {
        for rank in ranks.iter() {
            self.pending.remove(&rank);
            self.given_up.remove(&rank);
        }
    }

    /// A rank has answered, or will not.
    pub(super) fn answered(&mut self, rank: Rank, outcome: Result<R, Fault>) {
        if !self.pending.contains_key(&rank) {
            return;
        }
        match outcome.map_err(judge) {
            Ok(reply) => self.settle(rank, Ok(reply)),
            Err((error, Certainty::Known)) => self.settle(rank, Err(error)),
            // Its end may be known by now, and says more; or it will be.
            Err((error, Certainty::Symptom)) => match self.given_up.remove(&rank) {
                Some((_, ended)) => self.settle(rank, Err(ended)),
                None => {
                    let within = match error {
                        RankError::Unanswered => KILLED_WITHIN,
                        _ => EXPLAINED_WITHIN,
                    };
                    self.given_up.insert(rank, (Instant::now() + within, error));
                }
            },
        }
    }

    /// Nobody is asked any more, and of some nothing was said.
    pub(super) fn nothing_more(&mut self) {
        let given_up = &self.given_up;
        let unsaid = self.pending.keys().filter(|rank| !given_up.contains_key(rank));
        for rank in unsaid.copied().collect::<Vec<_>>() {
            self.answered(rank, Err(Fault::Undelivered(WhyUndelivered::PeerLost)));
        }
    }

    /// Looks which of the ranks that are waited for have ended.
    pub(super) fn look(&mut self, known: &Known) {
        let mut explained = Vec::new();
        for (rank, (base, life)) in &self.pending {
            let Some(seen) = known.seen(*base) else { continue };
            let ended = match seen.end_of(*life) {
                Some(ended) => RankError::Ended(ended),
                // Another life of it has begun: the one that was called is over, and nobody has seen how.
                None if seen.incarnation() > *life => RankError::Undelivered(WhyUndelivered::Ended),
                None => continue,
            };
            match self.given_up.get(rank) {
                Some((_, RankError::Ended(_))) => (),
                // There will be no answer: this is why.
                Some(_) => explained.push((*rank, ended)),
                None => {
                    self.given_up.insert(*rank, (Instant::now() + LAST_WORDS, ended));
                }
            }
        }
        for (rank, ended) in explained {
            self.settle(rank, Err(ended));
        }
    }

    /// Nobody says any more what becomes of the ranks: only answers that are on their way still come.
    pub(super) fn give_up(&mut self) {
        let at = Instant::now() + EXPLAINED_WITHIN;
        for rank in self.pending.keys() {
            self.given_up.entry(*rank).or_insert((at, RankError::NoController));
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.given_up.values().map(|(at, _)| *at).min()
    }

    /// Answers for those that were waited for long enough.
    pub(super) fn expire(&mut self, now: Instant) {
        let over = self.given_up.iter().filter(|(_, (at, _))| *at <= now);
        let over: Vec<_> = over.map(|(rank, (_, error))| (*rank, error.clone())).collect();
        for (rank, error) in over {
            self.settle(rank, Err(error));
        }
    }

    /// The deadline has passed.
    pub(super) fn end(&mut self, within: Duration) {
        for rank in self.pending.keys().copied().collect::<Vec<_>>() {
            let given_up = self.given_up.remove(&rank).map(|(_, error)| error);
            self.settle(rank, Err(given_up.unwrap_or(RankError::Deadline { within })));
        }
    }

    pub(super) fn settle(&mut self, rank: Rank, answer: Result<R, RankError>) {
        self.pending.remove(&rank);
        self.given_up.remove(&rank);
        self.settled.push_back((rank, answer));
    }
}
