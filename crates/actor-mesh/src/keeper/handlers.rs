//! `handlers`: what a keeper does with what it is told and asked.

use std::sync::Arc;

use mesh_cast::shell::GetSeats;
use mesh_core::{ActorId, Answer, Change, Incarnation, News, Order, ProcSeat, Withdrawal};
use mesh_runtime::{Context, Failure, Handler};
use mesh_shape::{Rank, RankSet};

use super::hearing::says_nothing_more;
use super::{Beat, Flush, Keeper, Kept, Making, Perform, ProcsSaid, TryAgain, Unheard, Untold};
use crate::report::ActorState;
use crate::wire::{GetMembers, GetMoves, Home, Member, Members, Moved, Moves, Said};

/// How many runs of members are told of at once, or how many ranks that have moved. Each has less than 64 bytes, and
/// frames of the control lane may be as small as 64 KiB.
const MEMBERS_AT_ONCE: usize = 512;

impl Kept {
    /// The actor that is the rank, in the life that was ordered last.
    fn member(&self) -> Option<Member> {
        let (incarnation, actor) = (self.incarnation?, self.actor?);
        Some(Member { incarnation, life: actor.life, index: actor.index })
    }
}

impl Handler<Perform> for Keeper {
    async fn handle(&mut self, perform: Perform, cx: &mut Context<Self>) -> Result<(), Failure> {
        let Perform { request, answers } = perform;
        self.answers = Some(answers);
        match request.order {
            Order::Start { ranks, incarnation, .. } => {
                for rank in ranks.iter() {
                    let Some(kept) = self.ranks.get_mut(rank.index()) else { continue };
                    if kept.incarnation >= Some(incarnation) {
                        continue;
                    }
                    kept.incarnation = Some(incarnation);
                    kept.state = ActorState::Creating;
                    (kept.agent, kept.actor) = (None, None);
                    self.untold.remove(&rank);
                    (kept.is_doubted, kept.is_to_end) = (false, false);
                    kept.making = Making::NotYet;
                    self.moving.note(rank);
                    kept.is_over = false;
                    self.begin(rank, cx);
                }
            }
            Order::Stop { ranks, incarnation } => {
                ranks.iter().for_each(|rank| self.end(rank, incarnation, false, cx));
            }
            Order::Kill { ranks, incarnation } => {
                ranks.iter().for_each(|rank| self.end(rank, incarnation, true, cx));
            }
            Order::Poll if self.is_blind => (),
            Order::Poll => {
                let reports = self.reporter.poll(self.clock.now());
                let life = Incarnation::FIRST;
                self.say(Answer::Reported { agent: Self::AGENT, life, reports });
            }
            Order::Renew { .. } => (),
        }
        self.flush_soon(cx);
        self.wait_for_room(cx);
        Ok(())
    }
}

impl Handler<Said> for Keeper {
    async fn handle(&mut self, said: Said, cx: &mut Context<Self>) -> Result<(), Failure> {
        let Some(kept) = self.ranks.get_mut(said.rank.index()) else { return Ok(()) };
        let Some(agent) = kept.agent.filter(|agent| cx.sender() == Some(*agent)) else {
            // An agent of a life that is over, or of another rank (N9).
            tracing::debug!(rank = %said.rank, from = ?cx.sender(), "a report of a stranger is dropped");
            return Ok(());
        };
        if kept.incarnation == Some(said.incarnation) {
            // An actor lives where its agent does.
            let actor = said.actor.map(|index| ActorId { index, ..agent });
            let since = Home::since(kept.home, agent.life, self.moving.version() + 1);
            let home = Home { life: agent.life, agent: agent.index, relay: said.relay, since };
            let home = Some(home);
            if (kept.actor, kept.home) != (actor, home) {
                self.moving.note(said.rank);
            }
            (kept.state, kept.making) = (said.state, Making::NotYet);
            (kept.actor, kept.home) = (actor, home);
            kept.is_doubted = false;
            // It knows of it, and need not be asked again.
            if self.untold.get(&said.rank) == Some(&Untold::Spawn) {
                self.untold.remove(&said.rank);
            }
            self.report(said.rank);
            self.flush_soon(cx);
        }
        Ok(())
    }
}

impl Handler<ProcsSaid> for Keeper {
    async fn handle(
        &mut self,
        ProcsSaid(event): ProcsSaid,
        cx: &mut Context<Self>,
    ) -> Result<(), Failure> {
        self.epoch = event.reporter;
        self.is_blind = says_nothing_more(&event.news);
        let changes: Vec<Change> = match event.news {
            News::Snapshot(all) => [all.failed, all.stopped, all.alive].concat(),
            News::Changed(changes) => changes.to_vec(),
            News::Escalated(escalation) => {
                self.none_starts_but(&escalation.starting, Some(event.reporter));
                Vec::new()
            }
            News::Recalled { ranks, .. } => {
                self.start_again(&ranks, event.reporter);
                Vec::new()
            }
            News::Withdrawn(withdrawn) => {
                for Withdrawal { ranks, .. } in withdrawn.iter() {
                    self.none_starts_of(ranks, event.reporter);
                }
                Vec::new()
            }
            News::Stopping { .. } => {
                self.none_starts_but(&RankSet::new(), None);
                Vec::new()
            }
            News::Heartbeat { .. } | News::Trouble(_) | News::Closed => Vec::new(),
        };
        for change in &changes {
            change.ranks.iter().for_each(|rank| self.proc_changed(rank, change, cx));
        }
        self.flush_soon(cx);
        self.wait_for_room(cx);
        Ok(())
    }
}

impl Handler<Unheard> for Keeper {
    async fn handle(&mut self, _: Unheard, _: &mut Context<Self>) -> Result<(), Failure> {
        self.is_blind = true;
        Ok(())
    }
}

impl Handler<Beat> for Keeper {
    async fn handle(&mut self, _: Beat, cx: &mut Context<Self>) -> Result<(), Failure> {
        let home = self.procs.home();
        _ = self.home.send_if_modified(|known| std::mem::replace(known, home) != home);
        // After the last of the processes there is nothing to be told any more.
        let is_over = self.ranks.iter().all(|kept| kept.is_over);
        if !is_over && !cx.proc().has_way_to(home.actor()) {
            self.is_blind = true;
        }
        if self.is_blind {
            return Ok(());
        }
        let (agent, life) = (Self::AGENT, Incarnation::FIRST);
        self.say(Answer::Heard { agent, life, beat: self.beat });
        self.beat = self.beat.next();
        self.flush();
        Ok(())
    }
}

impl Handler<TryAgain> for Keeper {
    async fn handle(&mut self, _: TryAgain, cx: &mut Context<Self>) -> Result<(), Failure> {
        self.will_try_again = false;
        let has_way = |seat: ProcSeat| cx.proc().has_way_to(seat.agent);
        let is_reachable = |rank: &Rank| self.procs.seat(*rank).is_none_or(has_way);
        // Those alone that wait for it: there may be far more ranks (H8).
        let reachable: Vec<_> = self.untold.keys().copied().filter(is_reachable).collect();
        for rank in reachable {
            let life = self.ranks.get(rank.index()).and_then(|kept| kept.incarnation);
            match (self.untold.remove(&rank), life) {
                (Some(Untold::Spawn), _) => self.begin(rank, cx),
                (Some(Untold::Stop), Some(life)) => self.end(rank, life, false, cx),
                (Some(Untold::Kill), Some(life)) => self.end(rank, life, true, cx),
                (None, _) | (Some(_), None) => (),
            }
        }
        self.flush_soon(cx);
        self.wait_for_room(cx);
        Ok(())
    }
}

impl Handler<Flush> for Keeper {
    async fn handle(&mut self, _: Flush, _: &mut Context<Self>) -> Result<(), Failure> {
        self.will_flush = false;
        self.flush();
        Ok(())
    }
}

impl Handler<GetMembers> for Keeper {
    async fn handle(
        &mut self,
        GetMembers { start }: GetMembers,
        _: &mut Context<Self>,
    ) -> Result<Members, Failure> {
        let kept = self.ranks.get(start.index()..).unwrap_or_default();
        let kept = kept.get(..n_together(kept)).unwrap_or(kept);
        Ok(Members {
            procs: self.procs.label().id(),
            region: Arc::clone(self.procs.region()),
            ranks: kept.iter().map(Kept::member).collect(),
            homes: kept.iter().map(|kept| kept.home).collect(),
            version: self.moving.version(),
            fan_out: self.fan_out,
        })
    }
}

impl Handler<GetMoves> for Keeper {
    async fn handle(
        &mut self,
        GetMoves { since }: GetMoves,
        _: &mut Context<Self>,
    ) -> Result<Moves, Failure> {
        let (ranks, version) = self.moving.since(since, MEMBERS_AT_ONCE);
        let moved = ranks.into_iter().filter_map(|rank| {
            let kept = self.ranks.get(rank.index())?;
            Some(Moved { rank, member: kept.member(), home: kept.home })
        });
        let is_all = version == self.moving.version();
        Ok(Moves { moved: moved.collect(), version, is_all })
    }
}

/// How many of them are told of at once: where they are alike, they are as one.
fn n_together(kept: &[Kept]) -> usize {
    let place = |kept: &Kept| (kept.member(), kept.home);
    let mut n_runs = 0;
    let more = |pair: &[Kept]| {
        n_runs += usize::from(place(&pair[0]) != place(&pair[1]));
        n_runs >= MEMBERS_AT_ONCE
    };
    kept.windows(2).position(more).map_or(kept.len(), |last| last + 1)
}

impl Handler<GetSeats> for Keeper {
    async fn handle(
        &mut self,
        GetSeats { ranks }: GetSeats,
        _: &mut Context<Self>,
    ) -> Result<Vec<(Rank, ProcSeat)>, Failure> {
        let known = ranks.iter().take(self.ranks.len());
        Ok(known.filter_map(|rank| Some((rank, self.procs.seat(rank)?))).collect())
    }
}
