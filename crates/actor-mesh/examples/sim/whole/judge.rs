//! `judge`: whether what is between hosts, their controllers and those who live there is what was promised.

use std::time::Duration;

use mesh_core::{Reason, Status};

use super::plan::Plan;
use crate::hosts;
use crate::hosts::judge::{DIAL, is_kill};
use crate::hosts::record::{How, Life as ProcLife, Record, Reign};
use crate::judge;
use crate::ledger::{End, Ledger, Life};

/// What there is when all is over.
#[derive(Default)]
pub(crate) struct After {
    pub(crate) hosts: hosts::judge::After,
    pub(crate) actors: judge::After,
    /// When all was still as it should be.
    pub(crate) quiet_at: Duration,
}

/// What is wrong; each sentence begins with the id of what it breaks.
pub(crate) fn judge(
    plan: &Plan,
    (ledger, record): (&Ledger, &Record),
    after: &After,
) -> Vec<String> {
    let mut wrong = hosts::judge::judge(&plan.hosts, record, &after.hosts);
    wrong.extend(judge::judge(&plan.actors, ledger, &after.actors));
    let case = Case { plan, ledger, record, after };
    case.causes(&mut wrong);
    case.orphans(&mut wrong);
    wrong
}

struct Case<'a> {
    plan: &'a Plan,
    ledger: &'a Ledger,
    record: &'a Record,
    after: &'a After,
}

impl<'a> Case<'a> {
    /// What was told of ends before it was all to end: of whom, and what.
    fn told(&self) -> impl Iterator<Item = (usize, &'a End)> {
        let ends = self.ledger.watchers.get("all").into_iter().flat_map(|all| &all.ends);
        let ends = ends.filter(|(_, end)| end.at <= self.after.quiet_at);
        ends.map(|((rank, _), end)| (*rank, end))
    }

    fn lives_of(&self, rank: usize) -> impl Iterator<Item = &'a ProcLife> {
        self.record.lives.iter().filter(move |life| life.rank == rank)
    }

    /// N9, ST2: of whom it is said that it ended with its process, whose process had ended, and so.
    fn causes(&self, wrong: &mut Vec<String>) {
        for (rank, End { status, at, .. }) in self.told() {
            let mut ended = self.lives_of(rank).filter_map(|life| life.ended);
            let mut has_ended =
                |is_it: &dyn Fn(How) -> bool| ended.any(|(ended, how)| ended <= *at && is_it(how));
            let is_so = match status {
                // Or it was let go.
                Status::Stopped if self.plan.actors.is_together() => true,
                Status::Stopped => has_ended(&|how| how == How::Exit(0)),
                Status::Timeout { .. } => {
                    has_ended(&|how| matches!(how, How::HostDied | How::Orphaned))
                        || self.has_died(rank, *at)
                        || self.is_unheard(rank, *at)
                }
                _ => match root(status) {
                    Some(Reason::Exit { code }) => has_ended(&|how| how == How::Exit(*code)),
                    Some(Reason::Orphaned) => has_ended(&|how| how == How::Orphaned),
                    Some(reason) if is_kill(reason) => has_ended(&|how| how == How::Killed),
                    Some(_) => has_ended(&|_| true),
                    // It has ended by itself: how often is counted by the other judge.
                    None => true,
                },
            };
            if !is_so {
                let lives: Vec<_> = self.lives_of(rank).map(|it| (it.begun, it.ended)).collect();
                wrong.push(format!("N9: rank {rank} is {status} at {at:?}, and was {lives:?}"));
            }
        }
    }

    /// N1, K2: whoever ended with its process is told as that, whichever controller has told of it; but who cannot be
    /// given up (H4), and whom nobody has seen.
    fn orphans(&self, wrong: &mut Vec<String>) {
        // Whom it would be told died too, and perhaps before.
        if self.ledger.died_at.is_some() {
            return;
        }
        let is_orphan =
            |life: &&Life| life.has_failed() && !life.is_broken() && !self.ledger.is_unseen(life);
        for life in self.ledger.lives.iter().filter(is_orphan) {
            let is_home = |it: &&ProcLife| it.incarnation == life.actor.life;
            let Some(home) = self.lives_of(life.rank).find(is_home) else { continue };
            let of_last = |reign: &Reign| self.record.is_held_back(reign.epoch, home.of());
            if self.record.reigns.last().is_some_and(of_last) {
                continue;
            }
            // One that ended by itself before is another matter: its process ends when it is all to end.
            let ended = home.ended.filter(|(ended, _)| *ended <= self.after.quiet_at);
            let ended = ended.filter(|(ended, _)| life.ended.is_none_or(|own| own >= *ended));
            let Some((ended, how)) = ended else { continue };
            let has_next = self.record.is_succeeded((life.rank, home.incarnation));
            let is_it = |End { status, at, .. }: &End| match (root(status), how) {
                (Some(Reason::Exit { code }), How::Exit(how)) => *code == how,
                (Some(Reason::Orphaned), How::Orphaned) => true,
                (Some(reason), How::Killed) if is_kill(reason) => true,
                // Its process had another life, or was to have one, before the owner heard of whoever can tell.
                (Some(Reason::LostByAgent), _) => has_next,
                _ => {
                    matches!(status, Status::Timeout { .. })
                        && self.may_be_silent((life.rank, *at), how)
                }
            };
            let told = self.told().filter(|(rank, end)| *rank == life.rank && end.at >= ended);
            let told: Vec<&End> = told.map(|(_, end)| end).collect();
            if !told.iter().any(|end| is_it(end)) {
                let rank = life.rank;
                let told: Vec<&Status> = told.iter().map(|end| &end.status).collect();
                wrong.push(format!(
                    "N1, K2: rank {rank} ended with its process at {ended:?} by {how:?}, and is told as {told:?}"
                ));
            }
        }
    }

    /// Whether its end may be told by arithmetic.
    fn may_be_silent(&self, (rank, at): (usize, Duration), how: How) -> bool {
        self.has_died(rank, at) || how == How::Orphaned || self.is_unheard(rank, at)
    }

    /// Whether its host had died by then, and with it what that knew of the end.
    fn has_died(&self, rank: usize, at: Duration) -> bool {
        let host = rank / self.plan.hosts.per_host;
        self.record.crashes.iter().any(|crash| crash.host == host && crash.at <= at)
    }

    /// Whether, when an end was told, nobody may have been heard who says what becomes of a process, for as long as that
    /// is waited for: there was no controller, or none that heard its host.
    fn is_unheard(&self, rank: usize, at: Duration) -> bool {
        let host = rank / self.plan.hosts.per_host;
        let cuts = self.record.cuts.iter().filter(|(it, ..)| *it == host);
        let cuts = cuts.map(|(_, from, to)| (*from, *to));
        let next = self.record.reigns.iter().skip(1);
        let gaps = self.record.reigns.iter().zip(next).filter_map(|(one, next)| {
            Some((one.to?, next.from + self.plan.hosts.known_after(next.epoch)))
        });
        let (timeout, slack) = (self.plan.hosts.times.timeout, self.plan.hosts.margin() + DIAL);
        cuts.chain(gaps).any(|(from, to)| {
            let told = (from + timeout).saturating_sub(slack)..=to + slack + timeout;
            to.saturating_sub(from) + slack >= timeout && told.contains(&at)
        })
    }
}

/// Why the process ended that a rank has ended with.
fn root(status: &Status) -> Option<&Reason> {
    let Status::Failed(cause) = status else { return None };
    let is_inherited = cause.reason == Reason::Inherited;
    cause.chain.last().map(|link| &link.reason).filter(|_| is_inherited)
}
