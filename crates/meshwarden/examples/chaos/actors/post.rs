//! What was cast and called, what of it arrived where and came back, and what is wrong with that. Pure.
//!
//! A rank that nothing was done to in a round gets each number exactly once, and in order; its calls are answered. Of
//! one whose actor ended, each number has arrived once, or came back, or was not sent. What was on its way to a process
//! that was killed may also have gone down with it.

use std::collections::BTreeMap;
use std::time::Duration;

use meshwarden::mesh_shape::Rank;
use meshwarden::prelude::RankError;

use super::caster::Returned;
use super::victim::Note;

/// What was done to a rank in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Hit {
    /// It was held up, and went on.
    Held,
    /// Its actor ended.
    Actor,
    /// Its process was killed.
    Process,
}

/// What became of a number at a rank, as its sender was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It was not sent there.
    Unsent(String),
    /// A call was answered with this.
    Value(u64),
    /// A call was answered with the end of the rank, or with why it could not be called.
    Failure(String),
    /// A call was not answered.
    None(String),
}

impl Answer {
    pub(crate) const fn is_value(&self) -> bool {
        matches!(self, Self::Value(_))
    }

    pub(crate) fn of(answer: &Result<u64, RankError>) -> Self {
        match answer {
            Ok(n) => Self::Value(*n),
            Err(
                why @ (RankError::Ended(_)
                | RankError::NotRunning(_)
                | RankError::OutOfReach(_)
                | RankError::Undelivered(_)),
            ) => Self::Failure(why.to_string()),
            Err(why) => Self::None(why.to_string()),
        }
    }
}

/// A number that was cast or called with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) number: u64,
    pub(crate) is_call: bool,
    pub(crate) round: usize,
    /// Of a call: of every rank. Of a cast: of those that it was not sent to.
    pub(crate) answers: BTreeMap<Rank, Answer>,
    /// How long it took to cast it, or to have all answers.
    pub(crate) took: Duration,
}

/// All numbers of a run.
#[derive(Debug, Default)]
pub(crate) struct Post {
    pub(crate) n_ranks: usize,
    pub(crate) sent: Vec<Sent>,
    pub(crate) returned: Vec<Returned>,
    /// What was done in each round.
    pub(crate) rounds: Vec<BTreeMap<Rank, Hit>>,
}

/// How often what was found, and what is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Judged {
    pub(crate) n_casts: usize,
    pub(crate) n_calls: usize,
    /// Numbers that were to arrive, each at each rank.
    pub(crate) n_legs: usize,
    pub(crate) arrived: usize,
    pub(crate) returned: usize,
    pub(crate) unsent: usize,
    /// Calls that were answered with the end of the rank.
    pub(crate) failures: usize,
    /// On the way to a process that was killed, and never heard of again.
    pub(crate) went_down: usize,
    /// Arrived at a process that was killed, and came back or failed all the same.
    pub(crate) unsure: usize,
    pub(crate) lost: Vec<String>,
    pub(crate) duplicate: Vec<String>,
    pub(crate) disordered: Vec<String>,
    /// Calls that were not answered, or not with what they were to be.
    pub(crate) unanswered: Vec<String>,
}

impl Judged {
    pub(crate) const fn is_clean(&self) -> bool {
        self.lost.is_empty()
            && self.duplicate.is_empty()
            && self.disordered.is_empty()
            && self.unanswered.is_empty()
    }
}

/// What was noted at each rank, and what came back.
#[derive(Default)]
struct Found<'a> {
    /// The actors that each number has arrived at, at each rank.
    arrived: BTreeMap<(u64, Rank), Vec<&'a str>>,
    /// What came back of it from there.
    returned: BTreeMap<(u64, Rank), Vec<&'a Returned>>,
}

impl Post {
    /// Nothing was sent yet to a mesh of `n_ranks`.
    pub(crate) fn new(n_ranks: usize) -> Self {
        Self { n_ranks, ..Self::default() }
    }

    /// Judges everything, given what each rank has noted.
    pub(crate) fn judge(&self, notes: &[Vec<Option<Note>>]) -> Judged {
        let mut judged = Judged::default();
        let found = self.find(notes, &mut judged);
        for sent in &self.sent {
            if sent.is_call {
                judged.n_calls += 1;
            } else {
                judged.n_casts += 1;
            }
            for rank in (0..self.n_ranks).map(Rank::new) {
                self.judge_leg(sent, rank, &found, &mut judged);
            }
        }
        judged
    }

    /// Finds what arrived and what came back, and what arrived out of order.
    fn find<'a>(&'a self, notes: &'a [Vec<Option<Note>>], judged: &mut Judged) -> Found<'a> {
        let mut found = Found::default();
        let mut ranks = BTreeMap::new();
        for (rank, notes) in notes.iter().enumerate().map(|(rank, it)| (Rank::new(rank), it)) {
            let (mut newest, mut present) = (None, "nobody");
            for note in notes {
                match note {
                    Some(Note::Born(actor)) => {
                        present = actor;
                        ranks.insert(actor.as_str(), rank);
                    }
                    Some(Note::Called(n)) => {
                        found.arrived.entry((*n, rank)).or_default().push(present);
                    }
                    Some(Note::Cast(n)) => {
                        found.arrived.entry((*n, rank)).or_default().push(present);
                        if newest >= Some(*n) {
                            judged.disordered.push(format!("rank {rank}: {n} after {newest:?}"));
                        }
                        newest = newest.max(Some(*n));
                    }
                    Some(Note::Ending(_)) => {}
                    None => judged.lost.push(format!("rank {rank} has noted something else")),
                }
            }
        }
        for back in &self.returned {
            let rank = ranks.get(back.to.to_string().as_str());
            match (back.number, rank) {
                (Some(n), Some(rank)) => found.returned.entry((n, *rank)).or_default().push(back),
                _ => judged.lost.push(format!("what came back has no rank or no number: {back}")),
            }
        }
        found
    }

    fn judge_leg(&self, sent: &Sent, rank: Rank, found: &Found<'_>, judged: &mut Judged) {
        let leg = (sent.number, rank);
        let actors = found.arrived.get(&leg).map_or(&[][..], Vec::as_slice);
        let backs = found.returned.get(&leg).map_or(&[][..], Vec::as_slice);
        let (arrived, returned) = (actors.len(), backs.len());
        let answer = sent.answers.get(&rank);
        let hit = self.rounds.get(sent.round).and_then(|hits| hits.get(&rank)).copied();
        let unsent = usize::from(matches!(answer, Some(Answer::Unsent(_))));
        let failed = usize::from(matches!(answer, Some(Answer::Failure(_))));
        judged.n_legs += 1;
        judged.arrived += arrived;
        judged.returned += returned;
        judged.unsent += unsent;
        judged.failures += failed;
        let what = || {
            let Sent { number, is_call, round, .. } = sent;
            let kind = if *is_call { "call" } else { "cast" };
            let backs: Vec<String> = backs.iter().map(ToString::to_string).collect();
            format!(
                "{kind} {number} of round {round} at rank {rank} ({hit:?}): arrived at {actors:?}, came back \
                 from {backs:?}, {answer:?}"
            )
        };
        // A call that has arrived is answered with a failure, if its actor ended before it replied.
        let known = returned + unsent + if sent.is_call { 0 } else { arrived };
        let is_answered = match (sent.is_call, answer, hit) {
            (true, Some(Answer::Value(n)), _) => *n == sent.number && arrived == 1,
            (true, Some(Answer::Failure(_)), Some(Hit::Actor | Hit::Process)) => true,
            (true, ..) => false,
            (false, ..) => true,
        };
        if !is_answered {
            judged.unanswered.push(what());
        }
        match (hit, sent.is_call) {
            _ if arrived > 1 || returned > 1 => judged.duplicate.push(what()),
            (_, true) => {}
            (None | Some(Hit::Held), false) if arrived != 1 => judged.lost.push(what()),
            (Some(Hit::Actor), false) if known == 0 => judged.lost.push(what()),
            (Some(Hit::Process), false) if known == 0 => judged.went_down += 1,
            (Some(Hit::Process), false) if known > 1 => judged.unsure += 1,
            (_, false) if known > 1 => judged.duplicate.push(what()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
