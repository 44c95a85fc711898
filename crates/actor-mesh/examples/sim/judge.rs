//! `judge`: whether what has happened is what was promised.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mesh_core::{Change, Incarnation, Reason, Status, WhyUndelivered};

use crate::hosts::judge::is_suspended;
use crate::ledger::{End, Kind, Ledger, Life, Number, OF_CHOSEN, OF_LIVES, Send, Watcher};
use crate::plan::{Ending, Network, Plan};
use crate::teller::WITHIN;

mod lives;

/// What there is when all is over.
#[derive(Default)]
pub(crate) struct After {
    pub(crate) complaints: Vec<String>,
    /// What the controller says of each rank, before the end.
    pub(crate) state: Vec<Status>,
    /// The mesh was stopped, so that subscribers are told of the end.
    pub(crate) is_closed: bool,
    /// Ranks whose processes had ended for good by then.
    pub(crate) homeless: BTreeSet<usize>,
    /// Ranks of whose processes it is said that they are suspended, by a host that has died since. Until their mesh is
    /// stopped, or its owner lets go of it, nobody says that they have ended (H4).
    pub(crate) held_back: BTreeSet<usize>,
    pub(crate) n_alive_before_procs: usize,
    pub(crate) n_alive: usize,
    pub(crate) n_roots_left: usize,
    pub(crate) n_tasks_left: usize,
    pub(crate) n_tasks_for_ever: usize,
}

/// What is wrong; each sentence begins with the id of what it breaks.
pub(crate) fn judge(plan: &Plan, ledger: &Ledger, after: &After) -> Vec<String> {
    let mut wrong = after.complaints.clone();
    if ledger.lives.is_empty() {
        return wrong;
    }
    let case = Case::new(plan, ledger);
    case.calls(&mut wrong);
    case.given_up(&mut wrong);
    case.order(&mut wrong);
    case.casts(&mut wrong);
    case.owner(after, &mut wrong);
    case.watchers(after, &mut wrong);
    case.restarts(after, &mut wrong);
    case.rounds(&mut wrong);
    case.hosts(&mut wrong);
    case.lost(&mut wrong);
    case.orphaned(&mut wrong);
    case.state(after, &mut wrong);
    left(after, &mut wrong);
    left_running(after, &mut wrong);
    wrong
}

struct Case<'a> {
    plan: &'a Plan,
    ledger: &'a Ledger,
    /// The lives of each rank, in order.
    lives: Vec<Vec<&'a Life>>,
    crashed: BTreeSet<usize>,
}

impl<'a> Case<'a> {
    fn new(plan: &'a Plan, ledger: &'a Ledger) -> Self {
        let mut lives = vec![Vec::new(); plan.size];
        ledger.lives.iter().for_each(|life| lives[life.rank].push(life));
        let crashed = ledger.crashed.iter().copied().collect();
        Self { plan, ledger, lives, crashed }
    }

    /// Nothing has ended it.
    fn is_healthy(&self, rank: usize) -> bool {
        let has_ended = |life: &&Life| life.has_failed() || life.is_let_go();
        !self.crashed.contains(&rank) && !self.lives[rank].iter().any(has_ended)
    }

    /// Whether nothing has ended the rank from well before something was sent to it until so long after that was over:
    /// neither ever, nor in the life that it was known to be in.
    fn is_sound(&self, rank: usize, send: &Send, after: Duration) -> bool {
        if self.is_healthy(rank) {
            return true;
        }
        let (Some(over_at), Some(all)) = (send.over_at, self.ledger.watchers.get("all")) else {
            return false;
        };
        let is_given_up =
            |((it, _), end): (&(usize, _), &End)| *it == rank && is_silent(&end.status);
        if all.ends.iter().any(is_given_up) {
            return false;
        }
        let lives_on = |life: &&&Life| {
            let known = all.running.iter().find(|(it, at)| *it == rank && *at >= life.begun);
            let is_known = known.is_some_and(|(_, at)| *at + KNOWN_WITHIN <= send.begun);
            is_known && life.ended.is_none_or(|ended| ended > over_at + after)
        };
        // The last that has begun by then is the one that is meant.
        let there = self.lives[rank].iter().rev().find(|life| life.begun <= send.begun);
        there.as_ref().is_some_and(lives_on)
    }

    /// Whether who has sent it has ended before its time, be it with a process that has ended well; then nobody knows what
    /// has become of it.
    fn is_orphan(&self, (sender, _): Number) -> bool {
        if self.ledger.died_at.is_some() && [0, OF_CHOSEN].contains(&sender) {
            return true;
        }
        let life = sender.checked_sub(OF_LIVES).and_then(|life| self.ledger.lives.get(life));
        // With its owner it ends as it should, and what it has sent is nobody's any more.
        let has_owner = self.ledger.died_at.is_none();
        life.is_some_and(|life| life.is_early() || life.ended.is_some() && !has_owner)
    }

    /// Whether the owner had died before it was over. Then its ranks end as they should, and may not be found.
    fn is_after_death(&self, send: &Send) -> bool {
        let died_at = self.ledger.died_at;
        died_at.is_some_and(|died_at| send.over_at.is_none_or(|over_at| over_at >= died_at))
    }

    /// How long after it takes nothing more a rank may live.
    fn ends_within(&self) -> Duration {
        if self.plan.is_together() { SLACK + GRACE } else { SLACK }
    }

    /// R1: whoever was called is answered for, in time, and nobody healthy is said to be dead (N9).
    fn calls(&self, wrong: &mut Vec<String>) {
        for (number, send) in &self.ledger.sends {
            let Send { kind, took, errors, complaint, .. } = send;
            match took {
                None if self.is_orphan(*number) => (),
                None => wrong.push(format!("R1: {kind} {number:?} is not over")),
                Some(took) if *took > WITHIN + SLACK => {
                    wrong.push(format!("R1: {kind} {number:?} took {took:?}"));
                }
                Some(_) => (),
            }
            let complaint = complaint.iter();
            wrong.extend(complaint.map(|why| format!("R1: {kind} {number:?}: {why}")));
            for (rank, (error, text)) in errors {
                let is_rough = self.plan.network == Network::Rough;
                let may_be_late = self.plan.may_be_late() || is_rough;
                // From elsewhere also who has no way to it for a while says so, as anybody does where a link that was
                // cut goes on to lose so much that its session is lost.
                let may_be_unreached = number.0 >= OF_LIVES || is_rough || self.plan.is_cut;
                let is_excuse = *error == Kind::Late || *error == Kind::Other && may_be_unreached;
                let is_right = !self.is_sound(*rank, send, self.ends_within())
                    || is_excuse && may_be_late
                    || self.is_after_death(send);
                if !is_right {
                    wrong
                        .push(format!("N9: {kind} {number:?}: rank {rank} is healthy, and {text}"));
                }
            }
        }
    }

    /// R2: nothing twice, and what one sender sends in order.
    fn order(&self, wrong: &mut Vec<String>) {
        for (rank, lives) in self.lives.iter().enumerate() {
            let mut last: BTreeMap<usize, u64> = BTreeMap::new();
            for (sender, number) in lives.iter().flat_map(|life| &life.handled) {
                if let Some(before) = last.insert(*sender, *number).filter(|it| it >= number) {
                    let what = format!("rank {rank} has {number} of {sender} after {before}");
                    wrong.push(format!("R2: {what}"));
                }
            }
        }
    }

    /// R2, R3: what was cast is taken, or has come back, or was not sent; and not both.
    fn casts(&self, wrong: &mut Vec<String>) {
        let mut returned: BTreeMap<(Number, usize), Vec<WhyUndelivered>> = BTreeMap::new();
        for (number, actor, why) in &self.ledger.returned {
            match self.ledger.rank_of(*actor) {
                Some(rank) => returned.entry((*number, rank)).or_default().push(*why),
                None => wrong.push(format!("R3: {number:?} comes back from nobody's {actor}")),
            }
        }
        let mut handled: BTreeSet<(Number, usize)> = BTreeSet::new();
        for (rank, lives) in self.lives.iter().enumerate() {
            let numbers = lives.iter().flat_map(|life| &life.handled);
            handled.extend(numbers.map(|number| (*number, rank)));
        }
        let is_cast = |(_, send): &(&Number, &Send)| matches!(send.kind, "cast" | "scatter");
        for (number, send) in self.ledger.sends.iter().filter(is_cast) {
            for rank in &send.to {
                let is_handled = handled.contains(&(*number, *rank));
                let error = send.errors.get(rank);
                let back = returned.get(&(*number, *rank)).map_or(&[][..], Vec::as_slice);
                let may_be_lost = self.crashed.contains(rank)
                    && !self.is_sound(*rank, send, TAKEN_WITHIN)
                    || self.is_orphan(*number)
                    || self.is_after_death(send);
                let what = format!("{} {number:?} to rank {rank}", send.kind);
                match (is_handled, error, back) {
                    (true, None, []) | (false, Some(_), []) | (false, None, [_]) => (),
                    // It may have been handled before.
                    (true, None, [WhyUndelivered::PeerLost]) => (),
                    // It was not, and a session is lost, with nobody knowing what has arrived by it: what has become of it
                    // is said again, by the next one or by way of others.
                    (false, None, [WhyUndelivered::PeerLost, WhyUndelivered::PeerLost]) => {
                        wrong.push(format!("R3: {what}: its process is lost twice"));
                    }
                    (false, None, [one, other])
                        if self.plan.is_cut
                            || self.plan.may_be_late()
                                && [one, other].contains(&&WhyUndelivered::PeerLost) => {}
                    (false, None, []) if may_be_lost => (),
                    (false, None, []) => wrong.push(format!("R2, R3: {what} is lost")),
                    (true, Some((_, error)), _) => {
                        wrong.push(format!(
                            "R3: {what} was taken, and is said not to be sent: {error}"
                        ));
                    }
                    (_, _, back) => {
                        let why = format!("taken {is_handled}, {error:?}, returned {back:?}");
                        wrong.push(format!("R3: {what}: {why}"));
                    }
                }
            }
        }
    }

    /// N1, N9: the owner is told of each life that failed, once, and of no other; but of one that nobody has seen, if the
    /// next has its place. Of one that may have been let go somebody is told what has become of it.
    fn owner(&self, after: &After, wrong: &mut Vec<String>) {
        let mut told: BTreeMap<usize, BTreeSet<Incarnation>> = BTreeMap::new();
        for (rank, incarnation) in &self.ledger.owner {
            if !told.entry(*rank).or_default().insert(*incarnation) {
                wrong.push(format!("N1: rank {rank}, {incarnation} is told twice"));
            }
        }
        for rank in 0..self.plan.size {
            let n_told = told.get(&rank).map_or(0, BTreeSet::len);
            let n_failed = self.lives[rank].iter().filter(|life| life.has_failed()).count();
            let n_crashes = self.ledger.crashed.iter().filter(|it| **it == rank).count();
            let may_fail_unborn = self.plan.restarts || after.homeless.contains(&rank);
            let n_let_go = self.lives[rank].iter().filter(|life| life.is_let_go()).count();
            let n_most = n_failed + n_let_go + if may_fail_unborn { n_crashes } else { 0 };
            let n_held_back = usize::from(after.held_back.contains(&rank));
            let is_unseen = |life: &&&Life| {
                life.has_failed() && (self.ledger.is_unseen(life) || self.ledger.is_unheard(life))
            };
            let n_untold = n_held_back + self.lives[rank].iter().filter(is_unseen).count();
            let all = self.ledger.watchers.get("all").into_iter().flat_map(|all| &all.ends);
            let n_ends = all.filter(|((it, _), _)| *it == rank).count();
            if n_told + n_untold < n_failed && self.ledger.died_at.is_none() {
                wrong.push(format!("N1: rank {rank} failed {n_failed} times, {n_told} are told"));
            } else if n_ends + n_untold < n_failed + n_let_go && self.ledger.died_at.is_none() {
                let n_ended = n_failed + n_let_go;
                wrong.push(format!("N2: rank {rank} ended {n_ended} times, {n_ends} are told"));
            } else if n_told > n_most {
                let what = format!("rank {rank} failed {n_failed} times");
                wrong.push(format!("N1, N9: {what}, {n_told} are told"));
            }
        }
    }

    /// N2, N4, N6: each end once, to those whom it concerns, as to the owner; last that all have ended.
    fn watchers(&self, after: &After, wrong: &mut Vec<String>) {
        let owner: BTreeSet<_> = self.ledger.owner.iter().copied().collect();
        let in_half = self.plan.size / self.plan.sizes[0] * self.plan.sizes[0].div_ceil(2);
        for (name, watcher) in &self.ledger.watchers {
            let Watcher { ends, is_closed, complaints, .. } = watcher;
            wrong.extend(complaints.iter().map(|why| format!("{why} ({name})")));
            let n_ranks = if *name == "half" { in_half } else { self.plan.size };
            let is_owned = self.ledger.died_at.is_none();
            for ((rank, life), End { status, n_told, .. }) in ends {
                if *n_told != 1 {
                    wrong.push(format!("N2: {name} is told {n_told} times of {rank}, {life}"));
                }
                if status.is_failure()
                    && is_owned
                    && !owner.contains(&(*rank, *life))
                    && self.plan.ending != Ending::Procs
                {
                    wrong.push(format!("N2: {name} is told of {rank}, {life}, the owner not"));
                }
            }
            for (rank, life) in owner.iter().filter(|(rank, _)| *rank < n_ranks) {
                if !ends.contains_key(&(*rank, *life)) {
                    wrong.push(format!("N2: {name} is not told of {rank}, {life}"));
                }
            }
            let n_held_back = after.held_back.iter().filter(|rank| **rank < n_ranks).count();
            // The mesh is not over as long as any of its ranks is held back.
            if after.is_closed && !is_closed && after.held_back.is_empty() {
                wrong.push(format!("N4: {name} is not told that all have ended"));
            }
            let ended: BTreeSet<_> = ends.keys().map(|(rank, _)| *rank).collect();
            if after.is_closed && ended.len() + n_held_back < n_ranks {
                wrong.push(format!("N2: {name} is told of {} of {n_ranks} ends", ended.len()));
            }
        }
    }

    /// H6, ST2: of a host that is killed each rank is told, as what it is, and soon.
    fn hosts(&self, wrong: &mut Vec<String>) {
        let Some(all) = self.ledger.watchers.get("all") else { return };
        for (at, ranks) in &self.ledger.hosts_crashed {
            let is_watched = self.ledger.died_at.is_none_or(|died_at| *at + TOLD_WITHIN < died_at);
            for rank in ranks.iter().filter(|_| is_watched) {
                let mut ends = all.ends.iter().filter(|((it, _), _)| it == rank);
                let is_it = |end: &End| (*at..=*at + TOLD_WITHIN).contains(&end.at);
                match ends.find(|(_, end)| is_it(end)) {
                    None => wrong.push(format!("H6: rank {rank} died with its host at {at:?}")),
                    Some((_, end)) if !is_of_crash(&end.status) => {
                        wrong.push(format!(
                            "ST2: rank {rank} died with its host, and is said not to"
                        ));
                    }
                    Some(_) => (),
                }
            }
        }
    }

    /// N10: that the controller is lost is told those who watch from elsewhere.
    fn lost(&self, wrong: &mut Vec<String>) {
        let Some(died_at) = self.ledger.died_at else { return };
        let Some(half) = self.ledger.watchers.get("half") else { return };
        let after = || half.lost_at.iter().filter(|at| **at >= died_at);
        match after().next() {
            _ if half.is_closed => (),
            None => wrong.push("N10: nobody says that the controller is lost".to_owned()),
            Some(at) if *at > died_at + self.lost_within() => {
                wrong.push(format!("N10: that the controller is lost is told after {at:?}"));
            }
            Some(_) if after().count() > 1 => {
                wrong.push("N10: that the controller is lost is told again".to_owned());
            }
            Some(_) => (),
        }
    }

    /// Three periods, and what the last message may have been on its way.
    fn lost_within(&self) -> Duration {
        3 * self.plan.times.check + Duration::from_secs(5)
    }

    /// H7, RS1: what is healthy runs, and what has failed and is to be started again does.
    fn state(&self, after: &After, wrong: &mut Vec<String>) {
        let has_escalated = !self.ledger.escalations.is_empty();
        // Who is held back from an end holds back all that are to begin again with it (H4).
        let waits = self.plan.is_together() && !after.held_back.is_empty();
        for (rank, status) in after.state.iter().enumerate().filter(|_| !waits) {
            let is_right = if after.homeless.contains(&rank) {
                status.is_terminal() || is_suspended(status) && after.held_back.contains(&rank)
            } else if self.is_healthy(rank) || self.plan.restarts && !has_escalated {
                *status == Status::Running
            } else if self.plan.restarts {
                // It may have been one of those whose restart was granted, or have ended for one that was given up.
                let has_ended =
                    status.is_failure() || self.plan.is_together() && status.is_terminal();
                *status == Status::Running || has_ended
            } else {
                status.is_failure()
            };
            if !is_right {
                wrong.push(format!("H7, RS1: rank {rank} is {status}"));
            }
        }
    }
}

/// C2: nothing is left.
fn left(after: &After, wrong: &mut Vec<String>) {
    let mut left = |n: usize, what: &str| {
        if n > 0 {
            wrong.push(format!("C2: {n} {what}"));
        }
    };
    left(after.n_alive_before_procs, "actors outlive their mesh");
    left(after.n_alive, "actors are left");
    left(after.n_roots_left, "actors of the owner's process are left");
}

fn left_running(after: &After, wrong: &mut Vec<String>) {
    if after.n_tasks_left > 0 {
        let (n, n_ever) = (after.n_tasks_left, after.n_tasks_for_ever);
        wrong.push(format!("C2: {n} tasks are left after a minute, {n_ever} for ever"));
    }
}

impl Watcher {
    /// Some ranks have changed. H2: what has ended stays so.
    pub(crate) fn told(&mut self, (at, change): (Duration, &Change), to: &[usize]) {
        for rank in change.ranks.iter() {
            let Some(rank) = to.get(rank.index()) else {
                self.complaints.push(format!("N6: there is no rank {rank} here"));
                continue;
            };
            let life = (*rank, change.incarnation);
            self.lives.entry(life).or_insert(at);
            if change.status == Status::Running {
                self.running.push((*rank, at));
            }
            if change.status.is_terminal() {
                let new = || End { status: change.status.clone(), n_told: 0, at };
                self.ends.entry(life).or_insert_with(new).n_told += 1;
            } else if self.ends.contains_key(&life) {
                self.complaints.push(format!("H2: {life:?} has ended and is {}", change.status));
            }
        }
    }
}

/// Whether a rank was given up, since nobody was heard of it.
const fn is_silent(status: &Status) -> bool {
    matches!(status, Status::Timeout { .. })
}

/// Whether a rank has ended with its process, by a signal.
fn is_of_crash(status: &Status) -> bool {
    let Status::Failed(cause) = status else { return false };
    let root = cause.chain.last().map(|link| &link.reason);
    cause.reason == Reason::Inherited && matches!(root, Some(Reason::Signal { signal: 9, .. }))
}

/// How long one that is asked to end has for it, before it is killed.
const GRACE: Duration = Duration::from_secs(6);

/// When all who send have what was told of a rank.
const KNOWN_WITHIN: Duration = Duration::from_secs(2);

/// Longer than what was cast waits for those who hang.
const TAKEN_WITHIN: Duration = Duration::from_secs(30);

/// What it may take until a death is told: the keeper may be elsewhere, and a network slow.
const TOLD_WITHIN: Duration = Duration::from_secs(2);

/// What a deadline may be late by.
pub(crate) const SLACK: Duration = Duration::from_millis(1_000);

#[cfg(test)]
mod tests;
