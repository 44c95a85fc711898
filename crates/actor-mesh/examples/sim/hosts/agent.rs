//! `HostAgent`: the agent of an attached host. It keeps a lease, and its ranks outlive their controller for as long.

use std::collections::BTreeMap;
use std::time::Duration;

use controller::{Lease, Reporter};
use mesh_core::{
    AgentId, Answer, BeatSeq, Cause, Epoch, Incarnation, Message, Order, PortRef, Reason, Request,
    Stall, Status,
};
use mesh_runtime::{Actor, Context, Failure, Handler, Handlers, Port, TryCastError};
use mesh_shape::{Rank, RankSet};
use serde::{Deserialize, Serialize};
use supervise::{Clock, Local};

use super::record::{self, How};
use crate::ledger;
use crate::whole::{Resident, Street};

/// The agent of a host.
pub(crate) struct HostAgent {
    agent: AgentId,
    reporter: Reporter<Local>,
    lease: Lease,
    clock: Clock,
    /// Who is obeyed, and told.
    controller: Option<PortRef<Told>>,
    beat: BeatSeq,
    /// The newest life of each rank that was ever begun.
    newest: BTreeMap<Rank, Incarnation>,
    alive: BTreeMap<Rank, Alive>,
    street: Option<Street>,
}

/// What a [`HostAgent`] is created from.
pub(crate) struct Keeping {
    pub(crate) agent: usize,
    pub(crate) ranks: RankSet,
    pub(crate) lease: Duration,
    pub(crate) heartbeat: Duration,
    /// Where its ranks live, if they are processes that others live in.
    pub(crate) street: Option<Street>,
}

/// An order of a controller, and where the answers go.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Ordered {
    pub(crate) request: Request,
    pub(crate) to: PortRef<Told>,
}

/// What an agent says.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Told(pub(crate) Answer<Status>);

/// A rank is to exit with a code.
pub(crate) struct Exit(pub(crate) Rank, pub(crate) i32);

/// The process of a rank has been killed, as the kernel tells it.
pub(crate) struct Killed(pub(crate) Rank);

/// The process of a rank is suspended, for so long.
pub(crate) struct Suspended(pub(crate) Rank, pub(crate) Duration);

/// It goes on, if it is still in this life.
struct Resumed(Rank, Incarnation);

struct Beat;

impl Message for Ordered {
    const NAME: &'static str = "sim.Ordered";
    type Reply = ();
}

impl Message for Told {
    const NAME: &'static str = "sim.Told";
    type Reply = ();
}

impl Message for Exit {
    const NAME: &'static str = "sim.Exit";
    type Reply = ();
}

impl Message for Killed {
    const NAME: &'static str = "sim.Killed";
    type Reply = ();
}

impl Message for Suspended {
    const NAME: &'static str = "sim.Suspended";
    type Reply = ();
}

impl Message for Resumed {
    const NAME: &'static str = "sim.Resumed";
    type Reply = ();
}

impl Message for Beat {
    const NAME: &'static str = "sim.Beat";
    type Reply = ();
}

/// A life that goes on until this is dropped.
struct Alive {
    life: usize,
    incarnation: Incarnation,
    how: How,
    /// What ends with it.
    _resident: Option<Resident>,
}

impl Drop for Alive {
    fn drop(&mut self) {
        record::with(|it| it.died(self.life, self.how));
    }
}

impl HostAgent {
    async fn start(&mut self, ranks: &RankSet, incarnation: Incarnation, epoch: Epoch) {
        for rank in ranks.iter() {
            if self.newest.get(&rank).is_some_and(|newest| *newest >= incarnation) {
                continue;
            }
            _ = self.newest.insert(rank, incarnation);
            self.ends(rank, How::Succeeded);
            let life = record::with(|it| it.born(rank.index(), incarnation, epoch.number()));
            let _resident = match &self.street {
                Some(street) => street.moves_in(rank, incarnation).await.ok(),
                None => None,
            };
            let alive = Alive { life, incarnation, how: How::HostDied, _resident };
            _ = self.alive.insert(rank, alive);
            self.report(rank, incarnation, Status::Running);
        }
    }

    fn stop(&mut self, ranks: &RankSet, incarnation: Incarnation) {
        for rank in ranks.iter() {
            if self.alive.get(&rank).is_some_and(|alive| alive.incarnation == incarnation) {
                self.ends(rank, How::Asked);
                self.report(rank, incarnation, Status::Stopped);
            }
        }
    }

    /// The present life of a rank ends like this, if it has one. Returns which it was.
    fn ends(&mut self, rank: Rank, how: How) -> Option<Incarnation> {
        let mut alive = self.alive.remove(&rank)?;
        alive.how = how;
        Some(alive.incarnation)
    }

    /// K2
    fn cull(&mut self) {
        let ranks: Vec<Rank> = self.alive.keys().copied().collect();
        for rank in ranks {
            if let Some(incarnation) = self.ends(rank, How::Orphaned) {
                let orphaned = Status::failed(Cause::new(Reason::Orphaned));
                self.report(rank, incarnation, orphaned);
            }
        }
    }

    fn report(&mut self, rank: Rank, incarnation: Incarnation, status: Status) {
        _ = self.reporter.report(rank, incarnation, self.clock.now(), status);
    }

    fn beats(&mut self, to: PortRef<Told>, cx: &Context<Self>) {
        let (agent, life, beat) = (self.agent, Incarnation::FIRST, self.beat);
        self.beat = beat.next();
        self.lease.beat_sent(self.clock.now(), beat);
        record::with(|it| it.beats(agent, beat));
        say(to, Answer::Heard { agent, life, beat }, cx);
    }

    /// Sends what is new, if there is a way; if not, it is kept.
    fn flush(&mut self, cx: &Context<Self>) {
        let Some(to) = self.controller.filter(|to| cx.proc().has_way_to(to.actor())) else {
            return;
        };
        let reports = self.reporter.take_unsent(self.clock.now());
        if reports.is_empty() {
            return;
        }
        let answer = Answer::Reported { agent: self.agent, life: Incarnation::FIRST, reports };
        if let Err(TryCastError::Full { message, .. }) = to.try_cast(cx, Told(answer))
            && let Told(Answer::Reported { reports, .. }) = message
        {
            self.reporter.keep(&reports);
        }
    }
}

/// Says what need not be kept: it is asked again.
fn say(to: PortRef<Told>, answer: Answer<Status>, cx: &Context<HostAgent>) {
    if cx.proc().has_way_to(to.actor()) {
        _ = to.try_cast(cx, Told(answer)).is_ok();
    }
}

impl Actor for HostAgent {
    const NAME: &'static str = "host_agent";
    type Params = Keeping;

    async fn start(keeping: Keeping, cx: &mut Context<Self>) -> Result<Self, Failure> {
        let Keeping { agent, ranks, lease, heartbeat, street } = keeping;
        let clock = Clock::start();
        _ = cx.send_every(heartbeat, || Beat);
        Ok(Self {
            agent: AgentId::new(agent),
            reporter: Reporter::new(Local, ranks, Status::NotExist),
            lease: Lease::armed(clock.now(), lease, Epoch::FIRST),
            clock,
            controller: None,
            beat: BeatSeq::FIRST,
            newest: BTreeMap::new(),
            alive: BTreeMap::new(),
            street,
        })
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<Ordered>();
    }
}

impl Handler<Ordered> for HostAgent {
    async fn handle(
        &mut self,
        Ordered { request, to }: Ordered,
        cx: &mut Context<Self>,
    ) -> Result<(), Failure> {
        let Request { epoch, order, .. } = request;
        let (agent, now) = (self.agent, self.clock.now());
        let admitted = match &order {
            Order::Renew { echoed } => self.lease.renewed(now, epoch, echoed.beat).map(|()| false),
            Order::Start { echoed, .. } => {
                self.lease.admit(now, epoch, echoed.map(|echoed| echoed.beat))
            }
            // It echoes nothing, and so extends nothing.
            Order::Stop { .. } | Order::Kill { .. } | Order::Poll => {
                self.lease.admit(now, epoch, None)
            }
        };
        let may_begin = match admitted {
            Ok(may_begin) => may_begin,
            Err(refused) => {
                say(to, Answer::Refused { agent, obeyed: refused.obeyed }, cx);
                return Ok(());
            }
        };
        if self.controller.replace(to) != Some(to) {
            self.reporter.resend();
            // What the one before has echoed may end soon: the next beat of its own may be too late.
            self.beats(to, cx);
        }
        match order {
            Order::Start { ranks, incarnation, .. } if may_begin => {
                Self::start(self, &ranks, incarnation, epoch).await;
            }
            Order::Stop { ranks, incarnation } | Order::Kill { ranks, incarnation } => {
                Self::stop(self, &ranks, incarnation);
            }
            Order::Poll => {
                let (life, reports) = (Incarnation::FIRST, self.reporter.poll(now));
                say(to, Answer::Reported { agent, life, reports }, cx);
            }
            Order::Start { .. } | Order::Renew { .. } => (),
        }
        self.flush(cx);
        Ok(())
    }
}

impl Handler<Beat> for HostAgent {
    async fn handle(&mut self, _: Beat, cx: &mut Context<Self>) -> Result<(), Failure> {
        let now = self.clock.now();
        if self.lease.expire(now) {
            self.cull();
        }
        if let Some(to) = self.controller {
            self.beats(to, cx);
            self.flush(cx);
        }
        Ok(())
    }
}

impl Handler<Exit> for HostAgent {
    async fn handle(
        &mut self,
        Exit(rank, code): Exit,
        cx: &mut Context<Self>,
    ) -> Result<(), Failure> {
        if code == 0 && self.alive.contains_key(&rank) {
            ledger::with(|it| _ = it.ended_well.insert(rank.index()));
        }
        if let Some(incarnation) = self.ends(rank, How::Exit(code)) {
            let status = match code {
                0 => Status::Stopped,
                code => Status::failed(Cause::new(Reason::Exit { code })),
            };
            self.report(rank, incarnation, status);
            self.flush(cx);
        }
        Ok(())
    }
}

impl Handler<Killed> for HostAgent {
    async fn handle(
        &mut self,
        Killed(rank): Killed,
        cx: &mut Context<Self>,
    ) -> Result<(), Failure> {
        if let Some(incarnation) = self.ends(rank, How::Killed) {
            let killed = Cause::new(Reason::Signal { signal: 9, core: false });
            self.report(rank, incarnation, Status::failed(killed));
            self.flush(cx);
        }
        Ok(())
    }
}

impl Handler<Suspended> for HostAgent {
    async fn handle(
        &mut self,
        Suspended(rank, lasting): Suspended,
        cx: &mut Context<Self>,
    ) -> Result<(), Failure> {
        if let Some(incarnation) = self.alive.get(&rank).map(|alive| alive.incarnation) {
            self.report(rank, incarnation, Status::Stalled(Stall::Suspended { signal: 19 }));
            self.flush(cx);
            cx.send_after(lasting, Resumed(rank, incarnation));
        }
        Ok(())
    }
}

impl Handler<Resumed> for HostAgent {
    async fn handle(
        &mut self,
        Resumed(rank, incarnation): Resumed,
        cx: &mut Context<Self>,
    ) -> Result<(), Failure> {
        if self.alive.get(&rank).is_some_and(|alive| alive.incarnation == incarnation) {
            self.report(rank, incarnation, Status::Running);
            self.flush(cx);
        }
        Ok(())
    }
}
