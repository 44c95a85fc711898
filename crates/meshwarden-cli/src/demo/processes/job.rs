//! The count as a whole: which worker is handed what next, whose answers count, and when to kill.

use std::sync::Arc;

use meshwarden::mesh_core::Incarnation;
use meshwarden::mesh_shape::Rank;

use crate::demo::shard::Shard;
use crate::demo::tally::Tally;

/// A count under way. Pure: what is to be done comes out, and what happened comes in.
#[derive(Debug)]
pub(crate) struct Job {
    shards: Arc<[Shard]>,
    progress: Vec<Progress>,
    victim: Rank,
    /// The life of the victim that was killed.
    killed: Option<Incarnation>,
}

/// How far one rank is.
#[derive(Clone, Debug, Default)]
struct Progress {
    /// The life that works; `None` if none does, or it was killed.
    incarnation: Option<Incarnation>,
    n_done: usize,
    tally: Tally,
}

/// What the driver has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Hand this rank its batch of this number.
    Hand { rank: Rank, batch: usize },
    /// Kill this rank, in mid-run.
    Kill { rank: Rank },
}

impl Job {
    /// The count of these shards, one for each rank, in which `victim` is killed once.
    pub(crate) fn new(shards: Arc<[Shard]>, victim: Rank) -> Self {
        let progress = vec![Progress::default(); shards.len()];
        Self { shards, progress, victim, killed: None }
    }

    /// A life of a rank begins. What the life before it did is lost: the shard is done anew, whole.
    pub(crate) fn on_ready(&mut self, rank: Rank, incarnation: Incarnation) -> Option<Step> {
        let progress = self.progress.get_mut(rank.index())?;
        let is_dead = rank == self.victim && self.killed.is_some_and(|it| incarnation <= it);
        if is_dead || progress.incarnation.is_some_and(|it| incarnation <= it) {
            return None;
        }
        *progress = Progress { incarnation: Some(incarnation), ..Progress::default() };
        self.hand(rank)
    }

    /// A life of a rank has counted a batch. Only the next one of the life that works counts.
    pub(crate) fn on_counted(
        &mut self,
        (rank, incarnation): (Rank, Incarnation),
        batch: usize,
        tally: &Tally,
    ) -> Vec<Step> {
        let Some(progress) = self.progress.get_mut(rank.index()) else { return Vec::new() };
        if progress.incarnation != Some(incarnation) || batch != progress.n_done {
            return Vec::new();
        }
        progress.n_done += 1;
        progress.tally.merge(tally);
        if rank != self.victim || self.killed.is_some() {
            return self.hand(rank).into_iter().collect();
        }
        // If it has more than its last batch left, it dies at work; else between two batches.
        let is_last = progress.n_done + 1 == self.n_batches(rank);
        let hand = self.hand(rank).filter(|_| !is_last);
        self.killed = Some(incarnation);
        self.progress[rank.index()].incarnation = None;
        hand.into_iter().chain([Step::Kill { rank }]).collect()
    }

    /// The shards, in rank order.
    pub(crate) fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// Whether the victim was killed and all is counted.
    pub(crate) fn is_done(&self) -> bool {
        let is_done = |(shard, progress): (&Shard, &Progress)| {
            progress.incarnation.is_some() && progress.n_done == shard.batches.len()
        };
        self.killed.is_some() && self.shards.iter().zip(&self.progress).all(is_done)
    }

    /// The batches that are counted.
    pub(crate) fn n_counted(&self) -> usize {
        self.progress.iter().map(|progress| progress.n_done).sum()
    }

    /// The batches of all ranks.
    pub(crate) fn n_batches_of_all(&self) -> usize {
        self.shards.iter().map(|shard| shard.batches.len()).sum()
    }

    /// The words that each rank has counted.
    pub(crate) fn words(&self) -> impl Iterator<Item = u64> {
        self.progress.iter().map(|progress| progress.tally.words())
    }

    /// All that was counted.
    pub(crate) fn total(&self) -> Tally {
        let mut total = Tally::default();
        for progress in &self.progress {
            total.merge(&progress.tally);
        }
        total
    }

    fn hand(&self, rank: Rank) -> Option<Step> {
        let batch = self.progress.get(rank.index())?.n_done;
        (batch < self.n_batches(rank)).then_some(Step::Hand { rank, batch })
    }

    fn n_batches(&self, rank: Rank) -> usize {
        self.shards.get(rank.index()).map_or(0, |shard| shard.batches.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::shard::Batch;

    const FIRST: Incarnation = Incarnation::FIRST;
    const SECOND: Incarnation = Incarnation::new(1);
    const VICTIM: Rank = Rank::new(0);
    const OTHER: Rank = Rank::new(1);

    fn job(n_batches: [usize; 2]) -> Job {
        let shard = |n| Shard { batches: vec![Batch::default(); n], ..Shard::default() };
        Job::new(n_batches.map(shard).into(), VICTIM)
    }

    fn tally(text: &str) -> Tally {
        let mut tally = Tally::default();
        tally.count(text);
        tally
    }

    const fn hand(rank: Rank, batch: usize) -> Step {
        Step::Hand { rank, batch }
    }

    const KILL: Step = Step::Kill { rank: VICTIM };

    #[test]
    fn the_victim_dies_after_its_first_batch_with_another_in_hand() {
        let mut job = job([3, 0]);
        assert_eq!(job.on_ready(VICTIM, FIRST), Some(hand(VICTIM, 0)));
        let steps = job.on_counted((VICTIM, FIRST), 0, &tally("a"));
        assert_eq!(steps, [hand(VICTIM, 1), KILL]);
    }

    #[test]
    fn a_victim_of_two_batches_dies_before_its_last() {
        let mut job = job([2, 0]);
        assert_eq!(job.on_ready(VICTIM, FIRST), Some(hand(VICTIM, 0)));
        assert_eq!(job.on_counted((VICTIM, FIRST), 0, &tally("a")), [KILL]);
    }

    /// The victim has counted one batch of two in its first life, and was killed.
    fn killed() -> Job {
        let mut job = job([2, 1]);
        for (rank, text) in [(OTHER, "other"), (VICTIM, "one")] {
            assert_eq!(job.on_ready(rank, FIRST), Some(hand(rank, 0)));
            _ = job.on_counted((rank, FIRST), 0, &tally(text));
        }
        job
    }

    #[test]
    fn a_life_that_was_killed_says_no_more() {
        let mut job = killed();
        assert_eq!(job.on_counted((VICTIM, FIRST), 1, &tally("two")), []);
        assert_eq!(job.on_ready(VICTIM, FIRST), None);
    }

    #[test]
    fn what_a_life_counted_dies_with_it_and_its_shard_is_done_whole() {
        let mut job = killed();
        assert_eq!(job.on_ready(VICTIM, SECOND), Some(hand(VICTIM, 0)));
        assert_eq!(job.on_counted((VICTIM, SECOND), 0, &tally("one")), [hand(VICTIM, 1)]);
        assert!(!job.is_done());
        assert_eq!(job.on_counted((VICTIM, SECOND), 0, &tally("one")), [], "counted already");
        assert_eq!(job.on_counted((VICTIM, SECOND), 1, &tally("two")), []);
        assert!(job.is_done());
        assert_eq!(job.total(), tally("one two other"));
        assert_eq!(job.words().collect::<Vec<_>>(), [2, 1]);
        assert_eq!((job.n_counted(), job.n_batches_of_all()), (3, 3));
    }

    #[test]
    fn nothing_is_done_before_every_rank_has_begun() {
        let mut job = job([2, 0]);
        _ = job.on_ready(VICTIM, FIRST);
        _ = job.on_counted((VICTIM, FIRST), 0, &tally("a"));
        _ = job.on_ready(VICTIM, SECOND);
        _ = job.on_counted((VICTIM, SECOND), 0, &tally("a"));
        _ = job.on_counted((VICTIM, SECOND), 1, &tally("b"));
        assert!(!job.is_done());
        assert_eq!(job.on_ready(OTHER, FIRST), None, "it has nothing to do");
        assert!(job.is_done());
    }

    #[test]
    fn ranks_that_do_not_exist_change_nothing() {
        let mut job = job([2, 0]);
        assert_eq!(job.on_ready(Rank::new(9), FIRST), None);
        assert_eq!(job.on_counted((Rank::new(9), FIRST), 0, &tally("a")), []);
    }
}
