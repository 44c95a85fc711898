//! The keeper of a mesh of actors: stands between its controller and the agents in its processes, and puts
//! together what both say (ST3).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use controller::{Controlled, Reporter};
use mesh_cast::FanOut;
use mesh_cast::shell::GetSeats;
use mesh_core::{
    ActorId, AgentId, Answer, Answers, BeatSeq, Cause, Change, Epoch, Incarnation, MeshEvent,
    MeshLabel, MeshRequest, Message, Place, PortRef, ProcSeat, Procs, Progress, Reason, Request,
    Status, Timestamp, Undelivered,
};
use mesh_runtime::{Actor, Context, Deputy, Failure, Handlers, Port, TryCastError};
use mesh_shape::{Rank, RankSet};
use supervise::{Clock, MeshEvents};
use tokio::sync::watch;

use crate::report::{ActorKind, ActorReport, ActorState, HowActorEnded};
use crate::wire::{EndRank, GetMembers, GetMoves, Home, Said, Spawn};

mod agents;
mod handlers;
mod hearing;
mod keeping;
mod leaving;
mod making;
mod moving;
mod proc_state;
mod returned;

pub(crate) use agents::ActorAgents;
pub(crate) use hearing::EVENTS;
use hearing::Hearing;
pub(crate) use keeping::{Breed, Keeping};
use making::Making;
pub(crate) use making::ParamsOf;
use moving::Moving;
use proc_state::ProcState;

/// When an agent that had no room is told again.
const AGAIN: Duration = Duration::from_millis(20);

/// The agent of a mesh of actors, as its controller sees it: one, and in the same process. It follows the
/// events of the processes, from whichever controller has them (K3), and does not query them again.
pub(crate) struct Keeper {
    label: MeshLabel,
    procs: Arc<dyn Procs>,
    breed: Breed,
    params: ParamsOf,
    clock: Clock,
    ranks: Vec<Kept>,
    /// What agents are to be told as soon as there is a way to them, and room.
    untold: BTreeMap<Rank, Untold>,
    /// Sends in the keeper's name when that has ended: [`CloseMesh`], as it is dropped.
    deputy: Deputy,
    /// Which ranks have moved, and when.
    moving: Moving,
    fan_out: FanOut,
    reporter: Reporter<ActorKind>,
    /// Where its controller listens, once that has said something.
    answers: Option<Answers<ActorReport>>,
    beat: BeatSeq,
    /// Nobody says any more what becomes of the processes. Then it is silent too: its own silence is judged
    /// as any agent's is, and it invents nothing (N9).
    is_blind: bool,
    /// The highest of the controllers of the processes that was heard: what a lower one says is not told (K3).
    epoch: Epoch,
    /// Who the controller of the processes is, for what hears it.
    home: watch::Sender<PortRef<MeshRequest>>,
    will_try_again: bool,
    /// [`Flush`] is on its way.
    will_flush: bool,
}

/// One rank.
struct Kept {
    proc: ProcState,
    /// The life of the actor that was ordered last.
    incarnation: Option<Incarnation>,
    /// What its agent said of it last.
    state: ActorState,
    /// The agent that was asked to spawn it, in the life of its process that it lives in; `None` while it waits
    /// for one. Of the rank nobody else is believed.
    agent: Option<ActorId>,
    /// That came back, and the agent has said nothing of the rank since: whether it has arrived is not known.
    is_doubted: bool,
    /// The life that was ordered last was asked to end, whether its agent has heard of that or not.
    is_to_end: bool,
    actor: Option<ActorId>,
    /// What is in the process, in the life of it that was heard of last.
    home: Option<Home>,
    making: Making,
    /// Its end was reported.
    is_over: bool,
}

/// What an agent is to be told as soon as it has room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Untold {
    Spawn,
    Stop,
    Kill,
}

/// An order of the controller, and where the answers go.
pub(crate) struct Perform {
    pub(crate) request: Request,
    pub(crate) answers: Answers<ActorReport>,
}

/// Something happened to the processes.
struct ProcsSaid(MeshEvent);

/// For now nobody says what becomes of the processes.
struct Unheard;

/// It is time to say that the keeper lives.
struct Beat;

/// There may be room again.
struct TryAgain;

/// What has changed in a moment is to be sent.
struct Flush;

macro_rules! internal {
    ($name:ident) => {
        impl Message for $name {
            const NAME: &'static str = concat!("meshwarden.keeper.", stringify!($name));
            type Reply = ();
        }
    };
}

internal!(Perform);
internal!(ProcsSaid);
internal!(Unheard);
internal!(Beat);
internal!(TryAgain);
internal!(Flush);

impl Kept {
    /// What its agent said of it last; of one that was asked to end, and has not, that it is stopping, whether its agent has
    /// heard of that or not (ST4).
    fn said(&self) -> ActorState {
        match &self.state {
            ended @ ActorState::Ended(_) => ended.clone(),
            _ if self.is_to_end => ActorState::Stopping,
            said => said.clone(),
        }
    }
}

impl Keeper {
    const AGENT: AgentId = AgentId::new(0);

    /// Spawns the actor of a rank, if its process is there; if not, that is reported, and it is spawned as
    /// soon as it is. One that was asked to end meanwhile never begins.
    fn begin(&mut self, rank: Rank, cx: &mut Context<Self>) {
        let Some(kept) = self.ranks.get(rank.index()) else { return };
        let Some(incarnation) = kept.incarnation else { return };
        if kept.is_to_end {
            return match kept.agent {
                None => self.ended_here(rank, HowActorEnded::Cancelled),
                // Whether it is there, that is asked with the order to end it.
                Some(_) => self.report(rank),
            };
        }
        let is_there = kept.proc.status.has_reached(Progress::Running)
            && !kept.proc.status.is_terminal()
            && kept.proc.status != Status::Stopping;
        let life = kept.proc.incarnation;
        let seat = self.procs.seat(rank).filter(|seat| is_there && seat.peer.life == life);
        let Some(seat) = seat else {
            self.report(rank);
            return;
        };
        let params = match self.params(rank, incarnation, cx) {
            Ok(Some(params)) => params,
            Ok(None) => return self.report(rank),
            Err(how) => return self.ended_here(rank, how),
        };
        let spawn = Spawn {
            mesh: self.label.clone(),
            rank,
            incarnation,
            kind: self.breed.kind.to_owned(),
            kind_hash: self.breed.kind_hash,
            name: format!("{}[{rank}]", self.label.name()),
            params,
            may_restart: self.breed.may_restart,
            keeper: cx.port::<Said>(),
        };
        let is_told = try_tell(&seat, spawn, cx);
        if !is_told {
            self.untold.insert(rank, Untold::Spawn);
        } else if let Some(kept) = self.ranks.get_mut(rank.index()) {
            kept.agent = Some(seat.agent);
            self.untold.remove(&rank);
        }
        self.report(rank);
    }

    /// Asks the agent of a rank to end it.
    fn end(&mut self, rank: Rank, incarnation: Incarnation, is_kill: bool, cx: &Context<Self>) {
        let Some(kept) = self.ranks.get_mut(rank.index()) else { return };
        if kept.incarnation != Some(incarnation) || kept.is_over {
            return;
        }
        kept.is_to_end = true;
        let Some(agent) = kept.agent else {
            return self.ended_here(rank, HowActorEnded::Cancelled);
        };
        // One whose process has ended has ended with it.
        let Some(seat) = self.procs.seat(rank).filter(|seat| seat.agent == agent) else {
            if kept.is_doubted {
                self.ended_here(rank, HowActorEnded::Cancelled);
            }
            return;
        };
        let end = EndRank {
            mesh: self.label.id(),
            rank,
            incarnation,
            is_kill,
            may_restart: self.breed.may_restart,
            keeper: cx.port::<Said>(),
        };
        if try_tell(&seat, end, cx) {
            self.untold.remove(&rank);
        } else {
            self.tell_later(rank, if is_kill { Untold::Kill } else { Untold::Stop });
        }
    }

    /// Says what a rank is: what its agent said last, in what its process is (ST3).
    fn report(&mut self, rank: Rank) {
        let Some(kept) = self.ranks.get(rank.index()) else { return };
        let Some(incarnation) = kept.incarnation else { return };
        // It is named in the mesh that the processes were made in: its label stands for that, and not for a slice (H5).
        let Some(base) = self.procs.region().base_rank(rank) else { return };
        if kept.has_missed_its_process() {
            let message = format!(
                "rank {base} of {}, its process, has stopped, and it was not there yet",
                self.procs.label()
            );
            return self.ended_here(rank, HowActorEnded::Errored { message });
        }
        let place = |status: &Status| Place::new(status, self.procs.label(), base);
        let place = match (&kept.agent, &kept.proc) {
            // Its process has a later life. The end of the one that it lived in was told, unless we lagged.
            (Some(agent), proc) if agent.life < proc.incarnation => {
                if kept.is_over {
                    return self.has_a_home_again(rank, incarnation);
                }
                place(&Status::failed(Cause::new(Reason::LostByAgent)))
            }
            // It waits for the next life of its process.
            (None, proc) if proc.will_restart => place(&Status::Initializing),
            (_, proc) => place(&proc.status),
        };
        let is_homeless = kept.proc.has_ended_for_good();
        let report = ActorReport::new(kept.said(), place);
        let report = if is_homeless { report.homeless() } else { report };
        let is_over = ActorKind.status(&report).is_terminal();
        if let Some(kept) = self.ranks.get_mut(rank.index()) {
            kept.is_over = is_over;
        }
        if is_over {
            // It may have ended with its process, whom nobody can tell anything.
            self.untold.remove(&rank);
        }
        // Nobody waits at a keeper: its controller answers waits itself.
        self.reporter.report(rank, incarnation, self.clock.now(), report);
    }

    /// The process of a rank that has ended has a later life: how it has ended stays (H2), but it can be started again.
    fn has_a_home_again(&mut self, rank: Rank, incarnation: Incarnation) {
        let now = self.clock.now();
        if let Some(told) = self.reporter.newest(rank, now) {
            // What there is to report is as old as it was.
            let seen = Timestamp::from_start(now.since_start().saturating_sub(told.age));
            self.reporter.report(rank, incarnation, seen, told.report.with_a_home());
        }
    }

    /// These processes, which have ended, begin again after all.
    fn start_again(&mut self, ranks: &RankSet, by: Epoch) {
        for rank in ranks.iter() {
            let Some(kept) = self.ranks.get_mut(rank.index()) else { break };
            let life = kept.incarnation.filter(|_| kept.is_over);
            match (kept.proc.promise(by), life) {
                (false, _) => (),
                (true, Some(life)) => self.has_a_home_again(rank, life),
                (true, None) => self.report(rank),
            }
        }
    }

    /// Of the processes that have ended only these begin again, whatever was promised `by` this controller, or by any. Of one
    /// whose end it has not heard of itself a successor breaks no promise (K3).
    fn none_starts_but(&mut self, starting: &RankSet, by: Option<Epoch>) {
        let mut broken = Vec::new();
        for (rank, kept) in self.ranks.iter_mut().enumerate() {
            let rank = Rank::new(rank);
            if !starting.contains(rank) && kept.proc.break_promise(by) {
                broken.push(rank);
            }
        }
        broken.into_iter().for_each(|rank| self.report(rank));
    }

    /// These processes do not begin again, as this controller says that has promised it.
    fn none_starts_of(&mut self, ranks: &RankSet, by: Epoch) {
        for rank in ranks.iter() {
            let Some(kept) = self.ranks.get_mut(rank.index()) else { break };
            if kept.proc.break_promise(Some(by)) {
                self.report(rank);
            }
        }
    }

    /// A process has changed.
    fn proc_changed(&mut self, rank: Rank, change: &Change, cx: &mut Context<Self>) {
        let Some(kept) = self.ranks.get_mut(rank.index()) else { return };
        if !kept.proc.take(change, self.epoch) {
            return;
        }
        kept.forget_the_doubted();
        // One that came back is asked for again here too: there may have been a way before its process was heard of.
        let waits = (kept.agent.is_none() || kept.is_doubted)
            && kept.incarnation.is_some()
            && !matches!(kept.state, ActorState::Ended(_));
        if waits {
            self.begin(rank, cx);
        } else {
            self.report(rank);
        }
    }

    /// Sends what the controller has not had: at once, or with what else changes in the next moment if
    /// something was sent just now. Of many ranks that end at once it hears together then, and so does
    /// everybody whom it tells (H6).
    fn flush_soon(&mut self, cx: &mut Context<Self>) {
        let Some(due) = self.reporter.send_due() else { return };
        let now = self.clock.now();
        if due <= now {
            self.flush();
        } else if !self.will_flush {
            self.will_flush = true;
            cx.send_after(due.since(now), Flush);
        }
    }

    /// Sends what the controller has not had. What it has no room for is kept for a while.
    fn flush(&mut self) {
        let Some(answers) = &self.answers else { return };
        let reports = self.reporter.take_unsent(self.clock.now());
        if reports.is_empty() {
            return;
        }
        let answer = Answer::Reported { agent: Self::AGENT, life: Incarnation::FIRST, reports };
        if let Err(Undelivered::Full(Answer::Reported { reports, .. })) = answers.send(answer) {
            self.reporter.keep(&reports);
        }
    }

    fn say(&self, answer: Answer<ActorReport>) {
        if let Some(answers) = &self.answers {
            // It is said again with the next poll or beat; a controller that is gone drops the keeper.
            _ = answers.send(answer).is_ok();
        }
    }

    /// An agent is to be told this, if it is to be told nothing that matters more.
    fn tell_later(&mut self, rank: Rank, what: Untold) {
        let untold = self.untold.entry(rank).or_insert(what);
        *untold = what.max(*untold);
    }

    /// Tries once more to tell what could not be told.
    fn wait_for_room(&mut self, cx: &mut Context<Self>) {
        if !self.untold.is_empty() && !self.will_try_again {
            self.will_try_again = true;
            cx.send_after(AGAIN, TryAgain);
        }
    }
}

/// Tells an agent; `false` if it has no room now, or if there is no way to it. If it is gone, the events of its
/// process tell.
fn try_tell<M>(seat: &ProcSeat, message: M, cx: &Context<Keeper>) -> bool
where
    M: Message<Reply = ()> + serde::Serialize + serde::de::DeserializeOwned,
{
    let port = PortRef::<M>::of(seat.agent);
    cx.proc().has_way_to(seat.agent)
        && !matches!(port.try_cast(cx, message), Err(TryCastError::Full { .. }))
}

impl Actor for Keeper {
    const NAME: &'static str = "keeper";
    /// Each process has two or three things to say when its actor ends and is created again, and all may do so
    /// at once; an order of the controller is not to wait for a poll because of that.
    const MAILBOX: usize = 8_192;
    type Params = Keeping;

    async fn start(keeping: Keeping, cx: &mut Context<Self>) -> Result<Self, Failure> {
        let Keeping { label, procs, heard, events, breed, params, clock, heartbeat, fan_out } =
            keeping;
        let (keeper, deputy) = (cx.me().clone(), cx.deputy());
        let home = watch::Sender::new(heard);
        let (of, homes) = (Arc::clone(&procs), home.subscribe());
        let epoch = Epoch::FIRST;
        let hearing = Hearing { procs: of, homes, heard, epoch, clock, keeper, deputy };
        let events = MeshEvents::of_port(events, clock);
        cx.attach(async move {
            hearing.run(events).await;
            Ok(())
        });
        cx.send_every(heartbeat, || Beat);
        let unknown = || Kept {
            proc: ProcState::UNHEARD,
            incarnation: None,
            state: ActorState::Creating,
            agent: None,
            is_doubted: false,
            is_to_end: false,
            actor: None,
            home: None,
            making: Making::NotYet,
            is_over: false,
        };
        let size = procs.region().size();
        let absent = ActorReport::new(ActorState::Absent, Place::HEALTHY);
        Ok(Self {
            label,
            breed,
            params,
            clock,
            ranks: (0..size).map(|_| unknown()).collect(),
            untold: BTreeMap::new(),
            moving: Moving::new(size),
            fan_out,
            reporter: Reporter::new(ActorKind, RankSet::from(0..size), absent),
            procs,
            deputy: cx.deputy(),
            answers: None,
            beat: BeatSeq::FIRST,
            is_blind: false,
            epoch,
            home,
            will_try_again: false,
            will_flush: false,
        })
    }

    /// What an agent was to be told does not reach it.
    async fn on_undelivered(
        &mut self,
        undelivered: mesh_runtime::Undelivered,
        cx: &mut Context<Self>,
    ) -> Result<(), Failure> {
        let (agent, why) = (undelivered.to, undelivered.why);
        if undelivered.name == EndRank::NAME {
            if let Ok(end) = undelivered.decode::<EndRank>() {
                self.end_came_back(&end, agent, cx);
            }
        } else if undelivered.name == Spawn::NAME
            && let Ok(spawn) = undelivered.decode::<Spawn>()
        {
            self.spawn_came_back(&spawn, (agent, why), cx);
        }
        Ok(())
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<Said>().takes::<GetMembers>().takes::<GetMoves>().takes::<GetSeats>();
    }
}
