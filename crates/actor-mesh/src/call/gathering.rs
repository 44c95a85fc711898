//! `Gathering`: who is still waited for in a call of many, and what each rank is answered with.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use mesh_core::{Fault, Incarnation, Stall, Status, WhyUndelivered};
use mesh_runtime::Placed;
use mesh_shape::{Rank, RankSet};
use tokio::time::Instant;

use crate::no_controller::NoController;
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
    settled: Settled<R>,
    /// What the actors are called, and the message.
    names: (&'static str, &'static str),
    /// Who was asked, in the order of the ranks.
    asked: Vec<Asked>,
    /// How many of them are waited for.
    n_pending: usize,
    /// What some of them will be answered with, and when, unless something better is known by then.
    given_up: BTreeMap<Rank, (Instant, RankError)>,
    /// No later than the first of those: found anew when it has come, so that not all are looked at for each.
    first: Option<Instant>,
    /// Lives of ranks of the mesh that have ended, as answers say that were not looked at yet.
    ends: Vec<(Rank, Incarnation)>,
}

/// The answers that were not told yet.
pub(super) enum Settled<R> {
    /// In the order in which they were settled. Each rank is here once.
    InTurn(VecDeque<(Rank, Result<R, RankError>)>),
    /// By the ranks, all told together: there is a place for each.
    Together(Vec<Option<Result<R, RankError>>>),
}

impl<R> Settled<R> {
    fn put(&mut self, rank: Rank, answer: Result<R, RankError>) {
        match self {
            Self::InTurn(settled) => settled.push_back((rank, answer)),
            Self::Together(all) => {
                if let Some(place) = all.get_mut(rank.index()) {
                    *place = Some(answer);
                }
            }
        }
    }
}

/// A rank that was asked.
struct Asked {
    rank: Rank,
    /// The rank of the mesh, and which life of it was called.
    of: (Rank, Incarnation),
    is_pending: bool,
}

impl<R> Gathering<R> {
    pub(super) const fn new(settled: Settled<R>, names: (&'static str, &'static str)) -> Self {
        Self {
            settled,
            names,
            asked: Vec::new(),
            n_pending: 0,
            given_up: BTreeMap::new(),
            first: None,
            ends: Vec::new(),
        }
    }

    /// Waits for these ranks, too, which come after all others: for that life of that rank of the mesh.
    pub(super) fn expect(
        &mut self,
        ranks: impl ExactSizeIterator<Item = (Rank, (Rank, Incarnation))>,
    ) {
        let before = self.asked.len();
        self.asked.reserve_exact(ranks.len());
        self.asked.extend(ranks.map(|(rank, of)| Asked { rank, of, is_pending: true }));
        self.n_pending += self.asked.len() - before;
    }

    /// The next that is answered for, if they are told one by one.
    pub(super) fn pop(&mut self) -> Option<(Rank, Result<R, RankError>)> {
        match &mut self.settled {
            Settled::InTurn(settled) => settled.pop_front(),
            Settled::Together(_) => None,
        }
    }

    /// What all ranks are answered with, if that is told together; `None` of those that nothing is known of.
    pub(super) fn into_all(self) -> Vec<Option<Result<R, RankError>>> {
        match self.settled {
            Settled::InTurn(_) => Vec::new(),
            Settled::Together(all) => all,
        }
    }

    /// Whether every rank is answered for.
    pub(super) fn is_complete(&self) -> bool {
        self.n_pending == 0
    }

    /// What these ranks replied is known, merged.
    pub(super) fn merged(&mut self, ranks: &RankSet) {
        for rank in ranks.iter() {
            self.forget(rank);
        }
    }

    /// A rank has answered, or will not.
    pub(super) fn answered(&mut self, rank: Rank, outcome: Result<R, Fault>) {
        if !self.is_pending(rank) {
            return;
        }
        match outcome.map_err(judge) {
            Ok(reply) => self.settle(rank, Ok(reply)),
            Err((error, Certainty::Known)) => {
                self.note_end(rank, &error);
                let error = error.naming(self.names);
                self.settle(rank, Err(error));
            }
            // Its end may be known by now, and says more; or it will be.
            Err((error, Certainty::Symptom)) => match self.given_up.remove(&rank) {
                Some((_, ended)) => self.settle(rank, Err(ended)),
                None => {
                    let within = match error {
                        RankError::Unanswered => KILLED_WITHIN,
                        _ => EXPLAINED_WITHIN,
                    };
                    self.give_up_at(Instant::now() + within, rank, error);
                }
            },
        }
    }

    /// What answers have said of ends since this was asked last.
    pub(super) fn take_ends(&mut self) -> Vec<(Rank, Incarnation)> {
        std::mem::take(&mut self.ends)
    }

    /// A rank was not asked, and will not be.
    pub(super) fn not_sent(&mut self, rank: Rank, error: RankError) {
        if self.is_pending(rank) {
            self.settle(rank, Err(error));
        }
    }

    /// Nobody is asked any more, and of some nothing was said.
    pub(super) fn nothing_more(&mut self) {
        let given_up = &self.given_up;
        let unsaid = self.pending().map(|it| it.rank).filter(|rank| !given_up.contains_key(rank));
        for rank in unsaid.collect::<Vec<_>>() {
            self.answered(rank, Err(Fault::Undelivered(WhyUndelivered::PeerLost)));
        }
    }

    /// Looks which of the ranks that are waited for have ended.
    pub(super) fn look(&mut self, known: &Known) {
        let (mut explained, mut ends) = (Vec::new(), Vec::new());
        for Asked { rank, of: (base, life), .. } in self.asked.iter().filter(|it| it.is_pending) {
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
                None => ends.push((*rank, ended)),
            }
        }
        let at = Instant::now() + LAST_WORDS;
        for (rank, ended) in ends {
            self.give_up_at(at, rank, ended);
        }
        for (rank, ended) in explained {
            self.settle(rank, Err(ended));
        }
    }

    /// Nobody says any more what becomes of the ranks: only answers that are on their way still come.
    pub(super) fn give_up(&mut self) {
        let at = Instant::now() + EXPLAINED_WITHIN;
        let given_up = &self.given_up;
        let others = self.pending().map(|it| it.rank).filter(|rank| !given_up.contains_key(rank));
        for rank in others.collect::<Vec<_>>() {
            self.give_up_at(at, rank, RankError::NoController(NoController::Ended));
        }
    }

    /// A rank is answered with this then, unless something better is known.
    fn give_up_at(&mut self, at: Instant, rank: Rank, error: RankError) {
        self.given_up.insert(rank, (at, error));
        self.first = [self.first, Some(at)].into_iter().flatten().min();
    }

    /// When somebody may be given up: not later than it is so.
    pub(super) const fn next_deadline(&self) -> Option<Instant> {
        self.first
    }

    /// Answers for those that were waited for long enough.
    pub(super) fn expire(&mut self, now: Instant, known: Option<&Known>) {
        if self.first.is_none_or(|first| first > now) {
            return;
        }
        let over = self.given_up.iter().filter(|(_, (at, _))| *at <= now);
        let over: Vec<_> = over.map(|(rank, (_, error))| (*rank, error.clone())).collect();
        for (rank, error) in over {
            self.note_end(rank, &error);
            let error = self.out_of_reach((rank, &error), known).unwrap_or(error);
            self.settle(rank, Err(error));
        }
        self.first = self.given_up.values().map(|(at, _)| *at).min();
    }

    /// Why there is no way to a rank that has not ended, if that is known: it is suspended, or silent.
    fn out_of_reach(
        &self,
        (rank, error): (Rank, &RankError),
        known: Option<&Known>,
    ) -> Option<RankError> {
        let is_lost = *error == RankError::Undelivered(WhyUndelivered::PeerLost);
        let status = self.status_of(rank, known?).filter(|_| is_lost)?;
        let is_why = matches!(
            status,
            Status::Stalled(Stall::Suspended { .. }) | Status::Suspect | Status::Unreachable
        );
        is_why.then(|| RankError::OutOfReach(status.clone()))
    }

    /// Whoever asks for it is told of an end that its controller may hear of only later.
    fn note_end(&mut self, rank: Rank, error: &RankError) {
        let asked = self.place_of(rank).and_then(|place| self.asked.get(place));
        if matches!(error, RankError::Ended(_)) {
            self.ends.extend(asked.map(|asked| asked.of));
        }
    }

    /// The deadline has passed, and this is said of those of which nothing better is known.
    pub(super) fn end(&mut self, late: &RankError, known: Option<&Known>) {
        for rank in self.pending().map(|it| it.rank).collect::<Vec<_>>() {
            let given_up = self.given_up.remove(&rank).map(|(_, error)| error);
            let better = given_up.as_ref().and_then(|it| self.out_of_reach((rank, it), known));
            let error = better.or(given_up).or_else(|| self.stalled((rank, late), known));
            self.settle(rank, Err(error.unwrap_or_else(|| late.clone())));
        }
    }

    /// Why a rank has not answered in time, if that is known.
    fn stalled(
        &self,
        (rank, late): (Rank, &RankError),
        known: Option<&Known>,
    ) -> Option<RankError> {
        let RankError::Deadline { within } = *late else { return None };
        let status = self.status_of(rank, known?)?;
        let is_why = matches!(status, Status::Stalled(_));
        is_why.then(|| RankError::Stalled { within, status: status.clone() })
    }

    /// What the rank is, in the life that was called.
    fn status_of<'a>(&self, rank: Rank, known: &'a Known) -> Option<&'a Status> {
        let (base, life) = self.asked.get(self.place_of(rank)?)?.of;
        let seen = known.seen(base).filter(|seen| seen.incarnation() == life)?;
        Some(&seen.status)
    }

    pub(super) fn settle(&mut self, rank: Rank, answer: Result<R, RankError>) {
        self.forget(rank);
        self.settled.put(rank, answer);
    }

    /// The ranks that were asked in these places have answered, or will not.
    pub(super) fn answered_in(&mut self, outcomes: Placed<R>) {
        for (place, outcome) in outcomes {
            let Some(asked) = self.asked.get_mut(place as usize) else { continue };
            match outcome {
                // As a rule: nothing else is known of any.
                Ok(reply) if asked.is_pending && self.given_up.is_empty() => {
                    asked.is_pending = false;
                    self.n_pending -= 1;
                    self.settled.put(asked.rank, Ok(reply));
                }
                outcome => {
                    let rank = asked.rank;
                    self.answered(rank, outcome);
                }
            }
        }
    }

    /// Those that are waited for.
    fn pending(&self) -> impl Iterator<Item = &Asked> {
        self.asked.iter().filter(|it| it.is_pending)
    }

    fn is_pending(&self, rank: Rank) -> bool {
        self.place_of(rank).and_then(|place| self.asked.get(place)).is_some_and(|it| it.is_pending)
    }

    /// The rank is not waited for any more.
    fn forget(&mut self, rank: Rank) {
        let place = self.place_of(rank);
        if let Some(asked) = place.and_then(|place| self.asked.get_mut(place))
            && std::mem::replace(&mut asked.is_pending, false)
        {
            self.n_pending -= 1;
        }
        if !self.given_up.is_empty() {
            self.given_up.remove(&rank);
        }
    }

    /// The place of a rank among those that were asked: most often that of its number.
    fn place_of(&self, rank: Rank) -> Option<usize> {
        let guess = Some(rank.index())
            .filter(|place| self.asked.get(*place).is_some_and(|asked| asked.rank == rank));
        guess.or_else(|| self.asked.binary_search_by_key(&rank, |asked| asked.rank).ok())
    }
}
