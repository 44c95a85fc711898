//! `told`: whether each end was told once to all whose controllers could know of it, and nothing else was (N1, N2, N9).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mesh_core::{Incarnation, Reason, Status};

use super::{Case, FOR_EVER, LATE};
use crate::hosts::record::{Crash, How, Life, Of, Reign, Told};

impl Case<'_> {
    /// N1, N2: once, failures to the owner too, and all are told the same; N9: and what is told is so.
    pub(super) fn told(&self, wrong: &mut Vec<String>) {
        let owners = once(&self.record.owners, "N1", wrong);
        let subscribers = once(&self.record.subscribers, "N2", wrong);
        for (of, told) in &owners {
            let what = named(told);
            match subscribers.get(of) {
                _ if !told.status.is_failure() => {
                    wrong.push(format!("N1: {what} is told the owner as {}", told.status));
                }
                None => wrong.push(format!("N2: {what} is told the owner alone")),
                Some(other) if other.status != told.status => wrong.push(format!(
                    "N2: {what} is {} to the owner, and {}",
                    told.status, other.status
                )),
                Some(_) => (),
            }
        }
        for (of, told) in &subscribers {
            if told.status.is_failure() && !owners.contains_key(of) {
                wrong.push(format!("N1: {} is told a subscriber alone", named(told)));
            }
            if !self.is_so(told) {
                let life = self.life(told.of()).map(|life| (life.begun, life.ended));
                let (what, Told { at, status, .. }) = (named(told), told);
                wrong.push(format!(
                    "N9, K1: {what} is told as {status} at {at:?}, and was {life:?}"
                ));
            }
        }
    }

    /// Whether this is the truth, or as much of it as its controller can know.
    fn is_so(&self, told: &Told) -> bool {
        let life = self.life(told.of()).filter(|life| life.begun <= told.at);
        let ended = life.and_then(|life| life.ended).filter(|(ended, _)| *ended <= told.at);
        match (&told.status, ended.map(|(_, how)| how)) {
            (Status::Stopped, Some(How::Exit(0) | How::Asked)) => true,
            (Status::Failed(cause), Some(How::Exit(code))) => {
                code != 0 && cause.reason == Reason::Exit { code }
            }
            (Status::Failed(cause), Some(How::Killed)) => is_kill(&cause.reason),
            (Status::Failed(cause), Some(How::Orphaned)) => cause.reason == Reason::Orphaned,
            (Status::Failed(cause), None) => {
                cause.reason == Reason::LostByAgent && self.is_unknown_to_agent(told)
            }
            (Status::Timeout { .. }, ended) => {
                // One that is not in charge any more cannot know of what its successor keeps alive.
                let is_over = ended.is_some() || life.is_none() || self.is_deposed(told);
                is_over && self.is_silent(told) && self.is_known(told)
            }
            _ => false,
        }
    }

    /// ST4: whoever adopts a mesh is told by an agent that it does not know a rank. Which life it was in nobody can say.
    fn is_unknown_to_agent(&self, told: &Told) -> bool {
        let is_first = self.record.reigns.first().is_some_and(|first| first.epoch == told.epoch);
        let has_begun = |life: &Life| life.rank == told.rank && life.begun <= told.at;
        !is_first && !self.record.lives.iter().any(has_begun)
    }

    /// Whether who tells it was not in charge any more.
    fn is_deposed(&self, told: &Told) -> bool {
        self.record.reigns.iter().any(|it| it.epoch == told.epoch && it.is_over(told.at))
    }

    /// H4: only of an agent that was not heard for so long anything is told by arithmetic.
    fn is_silent(&self, told: &Told) -> bool {
        let is_long = |at: Duration| at + self.plan.times.timeout <= told.at;
        let reign = self.record.reigns.iter().find(|it| it.epoch == told.epoch);
        let mut heard = self.heard(told.epoch, told.rank).filter(|(_, at)| *at < told.at);
        reign.is_some_and(|reign| is_long(reign.from)) && heard.all(|(_, at)| is_long(at))
    }

    /// Whether it is of a life that its controller has heard of, has ordered or has announced; or of the first one, if
    /// nobody has said in which life the rank is.
    fn is_known(&self, told: &Told) -> bool {
        let lives = self.record.known.get(&(told.epoch, told.rank));
        let since = lives.into_iter().flatten().filter(|(_, since)| **since <= told.at);
        let mut known = since.map(|(life, _)| *life).peekable();
        match known.peek() {
            None => told.incarnation == Incarnation::FIRST,
            Some(_) => known.any(|life| life == told.incarnation),
        }
    }

    /// N2, O2: each end is told by every controller that is in charge when it can know of it; and by one at least, where
    /// anybody can.
    pub(super) fn ends(&self, wrong: &mut Vec<String>) {
        for life in &self.record.lives {
            let of @ (rank, incarnation) = life.of();
            let Some((at, how)) = life.ended else { continue };
            let what = format!("rank {rank}, {incarnation}, which ended at {at:?} by {how:?},");
            let is_told = |reign: &&Reign| self.told.contains(&(reign.epoch, of));
            let is_due =
                |reign: &&Reign| self.due(reign, life).is_some_and(|due| reign.outlasts(due));
            let (told, untold): (Vec<_>, Vec<_>) = self.record.reigns.iter().partition(is_told);
            let silent: Vec<u64> =
                untold.iter().filter(|it| is_due(it)).map(|it| it.epoch).collect();
            if !silent.is_empty() {
                wrong.push(format!("N2: {what} is not told by {silent:?}"));
            } else if told.is_empty() && self.can_be_known(life) {
                wrong.push(format!("O2: {what} is lost"));
            }
        }
    }

    /// Until when a controller must have told of an end: a while after it has heard what its host has sent since; or
    /// when it has given up the host, if that has died, and the controller knew of the life, and not that it is suspended
    /// (H4).
    fn due(&self, reign: &Reign, life: &Life) -> Option<Duration> {
        let (ended, _) = life.ended?;
        let is_next = |it: &&Life| it.rank == life.rank && it.incarnation > life.incarnation;
        let next = self.record.lives.iter().find(is_next).map_or(FOR_EVER, |next| next.begun);
        let mut heard = self.heard(reign.epoch, life.rank);
        let heard = heard.find(|(sent, _)| ended < *sent && *sent < next);
        let heard = heard.map(|(_, at)| at + self.told_within());
        let crash = self.crash_of(life.rank).filter(|_| next == FOR_EVER);
        let crash = crash.filter(|_| self.is_known_to(reign.epoch, life.of()));
        let crash = crash.filter(|_| !self.record.is_held_back(reign.epoch, life.of()));
        let given_up = crash.map(|crash| self.given_up_by(reign, crash));
        heard.into_iter().chain(given_up).min()
    }

    /// Whether somebody can tell of an end, now or later. Nobody can if there is no controller any more. Nor if its host
    /// has died since, unless a controller has heard of it before: what was culled while there was none is lost with its
    /// host if the successor comes too late to find it. That it ends, it tells: with the life that it knows, or the first.
    /// Nor if the last controller has given up all that it had before it heard of it: then it listens no more (L6).
    fn can_be_known(&self, life: &Life) -> bool {
        let ended = life.ended.map(|(at, _)| at);
        let last = self.record.reigns.last();
        let is_after_all = last.is_some_and(|last| ended.is_some_and(|at| last.is_over(at)));
        let is_closed = last.is_some_and(|last| {
            let mut heard = self.heard(last.epoch, life.rank);
            let mut is_heard = |closed| heard.any(|(sent, at)| Some(sent) > ended && at <= closed);
            last.closed.is_some_and(|closed| !is_heard(closed))
        });
        !is_after_all && !is_closed && self.crash_of(life.rank).is_none()
    }

    /// H6: all that died with their host are told in one message, by every controller that is in charge for long enough;
    /// but those that it knows to be suspended (H4).
    pub(super) fn hosts(&self, wrong: &mut Vec<String>) {
        for crash in self.record.crashes.iter().filter(|crash| !crash.lives.is_empty()) {
            let is_in_charge = |it: &&Reign| it.outlasts(self.given_up_by(it, crash));
            for Reign { epoch, .. } in self.record.reigns.iter().filter(is_in_charge) {
                let Crash { host, at, lives, .. } = crash;
                let is_held_back = |of: &&Of| self.record.is_held_back(*epoch, **of);
                let is_it = |told: &&Told| {
                    (told.epoch, self.host_of(told.rank)) == (*epoch, *host)
                        && told.at >= *at
                        && matches!(told.status, Status::Timeout { .. })
                };
                let mut steps: BTreeMap<usize, BTreeSet<Of>> = BTreeMap::new();
                for told in self.record.owners.iter().filter(is_it) {
                    _ = steps.entry(told.step).or_default().insert(told.of());
                }
                let due = || lives.iter().filter(|of| !is_held_back(of));
                let is_whole = |told: &BTreeSet<Of>| {
                    due().all(|of| told.contains(&self.as_known_to(*epoch, *of)))
                };
                if due().next().is_some() && !steps.values().any(is_whole) {
                    wrong.push(format!(
                        "H6: host {host} died at {at:?} with {lives:?}, and {epoch} tells of {steps:?}"
                    ));
                }
            }
        }
    }

    fn life(&self, of: Of) -> Option<&Life> {
        self.record.lives.iter().find(|life| life.of() == of)
    }

    /// When each beat of the host of a rank was sent that a controller has heard, and when it was heard.
    fn heard(&self, epoch: u64, rank: usize) -> impl Iterator<Item = (Duration, Duration)> {
        self.record.heard.get(&(epoch, self.host_of(rank))).into_iter().flatten().copied()
    }

    fn is_known_to(&self, epoch: u64, (rank, incarnation): Of) -> bool {
        let lives = self.record.known.get(&(epoch, rank));
        lives.is_some_and(|lives| lives.contains_key(&incarnation))
    }

    /// The life that a rank of a host that is silent is in, by what a controller knows.
    fn as_known_to(&self, epoch: u64, of: Of) -> Of {
        if self.is_known_to(epoch, of) { of } else { (of.0, Incarnation::FIRST) }
    }

    /// What is lost with a session, the next poll finds.
    fn told_within(&self) -> Duration {
        2 * self.plan.times.check + self.plan.times.poll_deadline
    }

    /// When a controller has given up a host that has died, also if it has taken itself for cut off.
    fn given_up_by(&self, reign: &Reign, crash: &Crash) -> Duration {
        reign.from.max(crash.at) + self.plan.times.timeout + self.plan.times.lease + LATE
    }
}

/// What was told, by its controller and life; each once.
fn once<'a>(all: &'a [Told], id: &str, wrong: &mut Vec<String>) -> BTreeMap<(u64, Of), &'a Told> {
    let mut by_life = BTreeMap::new();
    for told in all {
        if by_life.insert((told.epoch, told.of()), told).is_some() {
            wrong.push(format!("{id}: {} is told again as {}", named(told), told.status));
        }
    }
    by_life
}

/// Whether somebody has killed it.
pub(crate) const fn is_kill(reason: &Reason) -> bool {
    matches!(reason, Reason::Signal { signal: 9, .. })
}

fn named(Told { epoch, rank, incarnation, .. }: &Told) -> String {
    format!("rank {rank}, {incarnation}, of {epoch}")
}
