//! `Gather`: the answers to one cast that one node waits for, merged, and who takes over when a child is
//! lost.
//!
//! A gather is an *obligation* for ranges of positions: each is with one child until that child says
//! that it is done. When a child is lost before that, its own position is named as unreached, and the
//! rest of its range is cut anew and sent to other nodes: its children are adopted. Ranges only get
//! smaller, so this ends; and no position leaves the obligation without a word about it. A child that says nothing
//! for some ticks is taken for lost where others wait below it, and is trusted with nobody else until it speaks.
//!
//! What is merged is what has changed since [`Gather::take`]: equal values of neighbours are one run, so
//! a merged answer costs its runs.

use std::collections::BTreeSet;
use std::ops::Range;

use mesh_shape::{Overlay, RankSet};

use crate::plan::Plan;
use crate::wire::{Answer, Kind, Outcome, Part, Progress, Unreached};

/// The answers that one node waits for.
#[derive(Clone, Debug)]
pub(crate) struct Gather<N, R> {
    open: Vec<Open<N>>,
    outcomes: Overlay<Outcome<R>>,
    unreached: Overlay<Unreached>,
    /// Whether replies are to be merged.
    is_merging: bool,
    /// What was replied, if it is. Of no rank there are two: each branch brings its own once.
    parts: Vec<Part<R>>,
    /// The positions that were named as unreached: whoever is above sees to them, and nobody else.
    named: RankSet,
}

/// A part of the obligation, and with whom it is.
#[derive(Clone, Debug)]
struct Open<N> {
    number: u64,
    to: N,
    range: Range<usize>,
    is_delivered: bool,
    way: Way,
    /// For how many ticks the child has said nothing.
    n_silent: u8,
}

/// After how many ticks without a word a child is slow that has an open leg which has not arrived everywhere: then it
/// says something at each.
const SLOW_TICKS: u8 = 3;

/// After how many ticks it says something when its leg has arrived everywhere, if it has any below it whose words it
/// may keep. What runs for hours costs no more than this.
pub(crate) const WORD_TICKS: u8 = 2;

impl<N> Open<N> {
    /// Whether the child says now and then that it is there: it may keep what others say.
    fn owes_a_word(&self) -> bool {
        !self.is_delivered || self.range.len() > 1 || self.way == Way::Around
    }

    /// For how many ticks it may say nothing.
    const fn silent_max(&self) -> u8 {
        if self.is_delivered { SLOW_TICKS * WORD_TICKS } else { SLOW_TICKS }
    }
}

/// How a part was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Down the tree, to the first of its positions.
    Tree,
    /// Again, to that one position.
    Direct,
    /// Again, for that one position, through another node.
    Around,
}

/// Where gathers are: what those of one machine share.
#[derive(Clone, Debug)]
pub(crate) struct At<N> {
    /// The number of the last leg that was sent.
    pub(crate) last_leg: u64,
    /// Who says nothing.
    pub(crate) slow: BTreeSet<N>,
}

impl<N> At<N> {
    pub(crate) const fn new() -> Self {
        Self { last_leg: 0, slow: BTreeSet::new() }
    }
}

/// A part of the obligation that is to be sent now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Branch<N> {
    pub(crate) to: N,
    pub(crate) number: u64,
    pub(crate) range: Range<usize>,
}

impl<N: Copy + Ord, R: Clone + PartialEq> Gather<N, R> {
    pub(crate) const fn new(kind: Kind) -> Self {
        Self {
            open: Vec::new(),
            outcomes: Overlay::new(),
            unreached: Overlay::new(),
            is_merging: matches!(kind, Kind::Reduce(_)),
            parts: Vec::new(),
            named: RankSet::new(),
        }
    }

    /// Takes on a range: its live nodes by the branches that are returned, its dead ones by naming them.
    pub(crate) fn spread(
        &mut self,
        plan: &Plan<N>,
        range: Range<usize>,
        at: &mut At<N>,
    ) -> Vec<Branch<N>> {
        let split = plan.split(range);
        for dead in split.dead.runs() {
            self.name(dead, Unreached::Gone);
        }
        let mut branches = Vec::with_capacity(split.children.len());
        for range in split.children {
            let Some(to) = plan.members().node(range.start) else { continue };
            if range.len() > 1 && at.slow.contains(&to) {
                // Nobody waits for others behind it.
                let own = range.start..range.start + 1;
                branches.push(self.branch((to, Way::Tree), own, at));
                branches.extend(self.spread(plan, range.start + 1..range.end, at));
            } else {
                branches.push(self.branch((to, Way::Tree), range, at));
            }
        }
        branches
    }

    /// Takes on one position again, by that way.
    pub(crate) fn retry(
        &mut self,
        (to, way): (N, Way),
        position: usize,
        at: &mut At<N>,
    ) -> Branch<N> {
        self.branch((to, way), position..position + 1, at)
    }

    fn branch(&mut self, (to, way): (N, Way), range: Range<usize>, at: &mut At<N>) -> Branch<N> {
        at.last_leg += 1;
        let number = at.last_leg;
        let (is_delivered, n_silent) = (false, 0);
        self.open.push(Open { number, to, range: range.clone(), is_delivered, way, n_silent });
        Branch { to, number, range }
    }

    /// Whether the branch of that number is with a child.
    pub(crate) fn has(&self, number: u64) -> bool {
        self.open.iter().any(|open| open.number == number)
    }

    /// Whether a branch is with that node.
    pub(crate) fn is_with(&self, node: N) -> bool {
        self.open.iter().any(|open| open.to == node)
    }

    /// Merges what a child says. What was not asked for, or not of that child, changes nothing.
    pub(crate) fn on_answer(
        &mut self,
        (from, answer): (N, Answer<R>),
        plan: &Plan<N>,
        at: &mut At<N>,
    ) -> Vec<Branch<N>> {
        let asked = (answer.leg.number, from);
        let Some(place) = self.open.iter().position(|open| (open.number, open.to) == asked) else {
            return Vec::new();
        };
        self.take_in(answer.outcomes, answer.merged);
        for (run, why) in answer.unreached.into_runs() {
            self.name(run, why);
        }
        match answer.progress {
            Progress::Open => {
                self.open[place].n_silent = 0;
                Vec::new()
            }
            Progress::Delivered => {
                (self.open[place].is_delivered, self.open[place].n_silent) = (true, 0);
                Vec::new()
            }
            Progress::Done => {
                self.open.swap_remove(place);
                Vec::new()
            }
            Progress::Refused => self.take_over(place, Unreached::Refused, plan, at),
            Progress::Dropped => self.take_over(place, Unreached::Lost, plan, at),
        }
    }

    /// The child that has the branch of that number cannot be reached.
    pub(crate) fn on_failed(
        &mut self,
        (number, why): (u64, Unreached),
        plan: &Plan<N>,
        at: &mut At<N>,
    ) -> Vec<Branch<N>> {
        match self.open.iter().position(|open| open.number == number) {
            Some(place) => self.take_over(place, why, plan, at),
            None => Vec::new(),
        }
    }

    /// The session with that node was lost, and whatever it had to say.
    pub(crate) fn on_lost(
        &mut self,
        (node, why): (N, Unreached),
        plan: &Plan<N>,
        at: &mut At<N>,
    ) -> Vec<Branch<N>> {
        let lost = self.open.iter().filter(|open| open.to == node).map(|open| open.number);
        let mut branches = Vec::new();
        for number in lost.collect::<Vec<_>>() {
            branches.extend(self.on_failed((number, why), plan, at));
        }
        branches
    }

    /// Time passes. A child that has said nothing for too long is slow: where others are below it they are adopted.
    pub(crate) fn on_tick(&mut self, plan: &Plan<N>, at: &mut At<N>) -> Vec<Branch<N>> {
        let mut slow = Vec::new();
        for open in self.open.iter_mut().filter(|open| open.owes_a_word()) {
            open.n_silent = open.n_silent.saturating_add(1);
            if open.n_silent >= open.silent_max() {
                at.slow.insert(open.to);
                let is_in_the_way = open.range.len() > 1 || open.way == Way::Around;
                slow.extend(is_in_the_way.then_some(open.number));
            }
        }
        let mut branches = Vec::new();
        for number in slow {
            branches.extend(self.on_failed((number, Unreached::Lost), plan, at));
        }
        branches
    }

    /// Adoption: the child is named, and the rest of its range goes to others.
    fn take_over(
        &mut self,
        place: usize,
        why: Unreached,
        plan: &Plan<N>,
        at: &mut At<N>,
    ) -> Vec<Branch<N>> {
        let lost = self.open.swap_remove(place);
        // The end of one who was to help is no evidence about whom it was to reach.
        let why = if lost.way == Way::Around { Unreached::Lost } else { why };
        let rest = lost.range.start + 1..lost.range.end;
        self.name(lost.range.start..rest.start, why);
        // Those that it has named are seen to by somebody else by now.
        let rest = RankSet::from(rest).difference(&self.named);
        let runs: Vec<Range<usize>> = rest.runs().collect();
        runs.into_iter().flat_map(|run| self.spread(plan, run, at)).collect()
    }

    fn name(&mut self, positions: Range<usize>, why: Unreached) {
        self.named.insert_range(positions.clone());
        self.unreached.insert(positions, why);
    }

    /// Merges what is known here.
    pub(crate) fn add(&mut self, outcomes: Overlay<Outcome<R>>) {
        self.take_in(outcomes, None);
    }

    fn take_in(&mut self, outcomes: Overlay<Outcome<R>>, merged: Option<R>) {
        if !self.is_merging {
            return self.outcomes.merge(outcomes);
        }
        let mut ranks = RankSet::new();
        for (run, outcome) in outcomes.into_runs() {
            match outcome {
                Outcome::Merged => ranks.insert_range(run),
                Outcome::Replied(value) => self.parts.extend(
                    run.map(|rank| Part { ranks: (rank..rank + 1).into(), value: value.clone() }),
                ),
                Outcome::Arrived | Outcome::Taken | Outcome::Failed(_) => {
                    self.outcomes.insert(run, outcome);
                }
            }
        }
        // Of those that are said to be merged into nothing, nothing is known.
        if let Some(value) = merged.filter(|_| !ranks.is_empty()) {
            self.parts.push(Part { ranks, value });
        }
    }

    /// Takes what was merged elsewhere.
    pub(crate) fn add_part(&mut self, part: Part<R>) {
        self.parts.push(part);
    }

    /// How many parts are to be merged.
    pub(crate) const fn n_parts(&self) -> usize {
        self.parts.len()
    }

    /// What was replied, in the order of its first ranks.
    pub(crate) fn take_parts(&mut self) -> Vec<Part<R>> {
        let mut parts = std::mem::take(&mut self.parts);
        parts.sort_by_key(|part| part.ranks.first());
        parts
    }

    /// Names a position that could not be reached.
    pub(crate) fn add_unreached(&mut self, position: usize, why: Unreached) {
        self.name(position..position + 1, why);
    }

    /// Whether every branch has taken the message.
    pub(crate) fn is_delivered(&self) -> bool {
        self.open.iter().all(|open| open.is_delivered)
    }

    /// Whether nothing more will come.
    pub(crate) fn is_done(&self) -> bool {
        self.open.is_empty()
    }

    /// The positions that are being tried again.
    pub(crate) fn retries(&self) -> impl Iterator<Item = usize> {
        self.open.iter().filter(|open| open.way != Way::Tree).map(|open| open.range.start)
    }

    /// How many positions are being tried again by nodes that speak.
    pub(crate) fn n_retries(&self, at: &At<N>) -> usize {
        let retries = self.open.iter().filter(|open| open.way != Way::Tree);
        retries.filter(|open| !at.slow.contains(&open.to)).count()
    }

    /// Whether there is anything to take.
    pub(crate) fn has_news(&self) -> bool {
        !self.outcomes.is_empty() || !self.unreached.is_empty()
    }

    /// What is new since the last time.
    pub(crate) fn take(&mut self) -> (Overlay<Outcome<R>>, Overlay<Unreached>) {
        (std::mem::take(&mut self.outcomes), std::mem::take(&mut self.unreached))
    }
}
