//! `Flight`: one cast of a caster, until every rank of its region has an outcome.

use std::collections::BTreeMap;
use std::sync::Arc;

use mesh_shape::{Overlay, Rank, RankSet};

use super::loads::Counted;
use super::owing::Owing;
use crate::gather::{At, Branch, Gather, Way};
use crate::plan::Plan;
use crate::wire::{Answer, Expect, Failure, Kind, Outcome, Unreached};

/// One cast that is on its way.
#[derive(Clone, Debug)]
pub(super) struct Flight<N, P, R> {
    pub(super) kind: Kind,
    pub(super) plan: Arc<Plan<N>>,
    pub(super) expects: Overlay<Expect>,
    /// The message, as long as it has not arrived everywhere.
    pub(super) payload: Option<P>,
    /// How large it is.
    pub(super) bytes: usize,
    /// Whether room was kept for it.
    pub(super) is_ahead: bool,
    /// The ranks at whose processes it has not arrived. Invariant: all of them are among `untaken`.
    pub(super) absent: RankSet,
    /// The ranks that have not taken it, and are not given up.
    pub(super) untaken: Owing,
    /// The ranks that have no outcome.
    pub(super) pending: Owing,
    /// The ranks whose replies have come, merged.
    merged: RankSet,
    pub(super) gather: Gather<N, R>,
    /// The positions that are to be tried again when there is room.
    todo: RankSet,
    /// How often each has been tried again.
    tries: BTreeMap<usize, u32>,
    /// What of it was counted last.
    pub(super) counted: Counted,
}

/// A position that cannot be reached, for good.
pub(super) type GivenUp = (usize, Unreached);

impl<N: Copy + Ord, P: Clone, R: Clone + PartialEq> Flight<N, P, R> {
    pub(super) fn new(kind: Kind, plan: Arc<Plan<N>>, (payload, bytes): (P, usize)) -> Self {
        let ranks = plan.all_ranks().clone();
        Self {
            kind,
            plan,
            expects: Overlay::new(),
            payload: Some(payload),
            bytes,
            is_ahead: false,
            absent: ranks.clone(),
            untaken: Owing::new(ranks.clone()),
            pending: Owing::new(ranks),
            merged: RankSet::new(),
            gather: Gather::new(kind),
            todo: RankSet::new(),
            tries: BTreeMap::new(),
            counted: Counted::default(),
        }
    }

    /// Room was kept for it.
    pub(super) const fn ahead(mut self) -> Self {
        self.is_ahead = true;
        self
    }

    /// Whether nothing more is to be done about it.
    pub(super) fn is_over(&self) -> bool {
        self.untaken.is_empty() && self.pending.is_empty()
    }

    /// Takes what ranks have said. Returns what of it is an outcome that they did not have.
    pub(super) fn resolve(&mut self, outcomes: Overlay<Outcome<R>>) -> Overlay<Outcome<R>> {
        let mut news = Overlay::new();
        for (range, outcome) in outcomes.into_runs() {
            self.absent.remove_range(range.clone());
            if outcome == Outcome::Arrived {
                continue;
            }
            self.untaken.pay_range(range.clone());
            if self.kind.wants_reply() && outcome == Outcome::Taken {
                continue;
            }
            for run in self.pending.pay_range(range) {
                news.insert(run, outcome.clone());
            }
        }
        news
    }

    /// What ranks replied has come, merged. `false` if some of them are in another part: then it counts for nothing.
    pub(super) fn resolve_merged(&mut self, ranks: &RankSet) -> bool {
        if self.merged.intersects(ranks) {
            return false;
        }
        self.merged = self.merged.union(ranks);
        self.absent = self.absent.difference(ranks);
        for owing in [&mut self.untaken, &mut self.pending] {
            owing.pay(ranks);
        }
        true
    }

    /// Gives ranks an outcome, whether or not they take the message.
    pub(super) fn resolve_only(
        &mut self,
        ranks: &RankSet,
        failure: &Failure,
    ) -> Overlay<Outcome<R>> {
        let mut news = Overlay::new();
        for run in self.pending.pay(ranks).runs() {
            news.insert(run, Outcome::Failed(failure.clone()));
        }
        news
    }

    /// Gives up the node at a position.
    pub(super) fn give_up(&mut self, (position, why): GivenUp) -> Overlay<Outcome<R>> {
        self.todo.remove_range(position..position + 1);
        let failed = Outcome::Failed(Failure::Unreached(why));
        let mut outcomes = Overlay::new();
        for run in self.plan.ranks(position).runs() {
            outcomes.insert(run, failed.clone());
        }
        self.resolve(outcomes)
    }

    /// Whether the node at a position has it.
    pub(super) fn has_arrived_at(&self, position: usize) -> bool {
        !self.plan.ranks(position).intersects(&self.absent)
    }

    /// Whether the node at a position has ranks from which something is to come.
    pub(super) fn is_wanted(&self, position: usize) -> bool {
        let ranks = self.plan.ranks(position);
        ranks.intersects(self.untaken.ranks()) || ranks.intersects(self.pending.ranks())
    }

    /// Takes what could not be reached: to be tried again, or, as is returned, given up.
    pub(super) fn on_unreached(
        &mut self,
        unreached: &Overlay<Unreached>,
        tries_max: u32,
    ) -> Vec<GivenUp> {
        let mut given_up = Vec::new();
        let targets = self.plan.targets();
        let runs = unreached.runs().map(|(range, why)| (targets.runs_within(range), *why));
        for (position, why) in runs.flat_map(|(runs, why)| runs.flatten().map(move |at| (at, why)))
        {
            let is_tried = self.gather.retries().any(|tried| tried == position);
            if is_tried || !self.is_wanted(position) {
                continue;
            }
            let tries = self.tries.get(&position).copied().unwrap_or(0);
            if why == Unreached::Gone || tries >= tries_max {
                given_up.push((position, why));
            } else {
                self.todo.insert_range(position..position + 1);
            }
        }
        given_up
    }

    /// Nobody is asked any more, and there are ranks from which nothing has come: their nodes count as not
    /// reached.
    pub(super) fn left_over(&self) -> Overlay<Unreached> {
        let mut left = Overlay::new();
        if self.gather.is_done() && self.todo.is_empty() && !self.is_over() {
            for position in self.plan.targets().iter().map(|position| position.index()) {
                if self.is_wanted(position) {
                    left.insert(position..position + 1, Unreached::Lost);
                }
            }
        }
        left
    }

    /// The next position to be tried again, if there is one and there is room.
    pub(super) fn next_retry(&mut self, at: &mut At<N>) -> Option<Branch<N>> {
        // Those that say nothing take no turn of others.
        if self.gather.n_retries(at) >= self.plan.fan_out().get() {
            return None;
        }
        let position = self.next_todo()?;
        let tries = self.tries.entry(position).or_insert(0);
        *tries += 1;
        let turn = *tries as usize;
        let way = self.way_to(position, turn, at)?;
        Some(self.gather.retry(way, position, at))
    }

    fn next_todo(&mut self) -> Option<usize> {
        while let Some(position) = self.todo.first() {
            self.todo.remove(position);
            if self.is_wanted(position.index()) {
                return Some(position.index());
            }
        }
        None
    }

    /// In turn directly and through another node, each time the next one.
    fn way_to(&self, position: usize, turn: usize, at: &At<N>) -> Option<(N, Way)> {
        let members = self.plan.members();
        let direct = members.node(position).map(|node| (node, Way::Direct));
        if turn % 2 == 1 {
            return direct;
        }
        let (after, before) = (position + 1..members.len(), 0..position);
        let live = self.plan.live();
        let near = live.runs_within(after).chain(live.runs_within(before)).flatten();
        // Of those that have no rank in the region it is not known whether they live; but there may be no others.
        let is_far = |at: &usize| *at != position && !live.contains(Rank::new(*at));
        let far = (0..members.len()).filter(is_far);
        let n_others = members.len().saturating_sub(1).max(1);
        let all = near.chain(far).filter_map(|helper| members.node(helper));
        let helper = all.filter(|it| !at.slow.contains(it)).nth((turn / 2 - 1) % n_others);
        helper.map(|node| (node, Way::Around)).or(direct)
    }

    /// Merges an answer, and returns what is to be sent now.
    pub(super) fn on_answer(&mut self, answer: (N, Answer<R>), at: &mut At<N>) -> Vec<Branch<N>> {
        self.gather.on_answer(answer, &self.plan, at)
    }
}
