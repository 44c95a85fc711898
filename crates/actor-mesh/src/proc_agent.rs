//! The agent in each process: spawns registered actors by name, and says what becomes of them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mesh_cast::shell::RelayActor;
use mesh_core::{
    ActorId, End, Incarnation, MeshId, Message, Plane, PortRef, ProcSeat, WhyUndelivered,
};
use mesh_runtime::{
    Actor, ActorRef, Context, Failure, Handler, Handlers, Milestone, PeerLost, Port, Proc, ReplyTo,
    Stalls, TryCastError, Undelivered,
};
use mesh_shape::Rank;
use supervise::Clock;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::agent::{GetState, StopStream, StreamState, Streamed, WaitRankStatus};
use crate::metrics;
use crate::registry::{ActorRegistry, Spawned};
use crate::report::{ActorEnd, ActorState, HowActorEnded, how_ended};
use crate::wire::{CloseMesh, EndRank, Said, Spawn};

mod asked;
mod closing;
mod dying;
mod followers;
mod lost;
mod orders;
mod watched;

use asked::{Alarm, Answer};
use dying::{Dying, Gravestone, Poisoned};
use lost::Cull;
use watched::Watched;

/// How often it looks whether the keepers of its meshes can still be reached.
const KEEPERS_EVERY: Duration = Duration::from_secs(1);

/// When a keeper that had no room is told again.
const AGAIN: Duration = Duration::from_millis(20);

/// The agent of a process: spawns its actors on the user's plane, lives itself on the control plane, and says
/// what becomes of them to the keeper of each mesh. When a keeper is gone, so are the actors of its mesh
/// (C2); the meshes of others are left alone. Where it cannot tell whether one is gone, since for a while there
/// is no way to it, it ends the actors too, and says so when there is a way again.
///
/// A process is *poisoned* while an actor in it was killed and does not end, which is one that keeps its thread:
/// then nothing more is spawned there, and whoever wants to is told why.
pub struct ProcAgent {
    user: Proc,
    registry: Arc<ActorRegistry>,
    /// Relays what is cast to meshes that have actors here.
    relay: ActorId,
    /// By mesh, so that one can be closed without a look at the others.
    // In boxes, as its meshes: a map has room for many entries in each of its nodes, and most agents have one.
    held: BTreeMap<(MeshId, Rank), Box<Held>>,
    dying: Dying,
    watched: Watched<ReplyTo<Answer>, ActorId>,
    clock: Clock,
    alarm: Option<Alarm>,
    /// What hangs in the process.
    hangs: Arc<Stalls>,
    milestones: mpsc::UnboundedSender<Box<Lived>>,
    will_say_again: bool,
}

/// One life of one rank.
struct Held {
    incarnation: Incarnation,
    name: String,
    keeper: PortRef<Said>,
    /// `None` if it could not be spawned.
    actor: Option<Box<dyn Spawned>>,
    state: ActorState,
    /// Its keeper has not been told the newest.
    is_unsaid: bool,
    /// It is not known whether its keeper is still there, who is told again to learn that.
    is_doubted: bool,
    /// Since when no way to its keeper is seen.
    lost: Option<Instant>,
    /// It was ended because of that.
    culled: Option<Cull>,
    /// Its rank may be started again when it has ended.
    may_restart: bool,
    /// When it was killed.
    killed: Option<Instant>,
    born: Instant,
}

impl Held {
    /// What is left to say of it.
    fn gravestone(&self) -> Gravestone {
        Gravestone { name: self.name.clone(), born: self.born, is_culled: self.is_culled() }
    }
}

/// What an actor has lived through. At most two for each life.
#[derive(Debug)]
struct Lived {
    mesh: MeshId,
    rank: Rank,
    incarnation: Incarnation,
    milestone: Milestone,
}

impl Message for Lived {
    const NAME: &'static str = "meshwarden.ActorLived";
    type Reply = ();
}

/// It is time to look for keepers that are gone.
struct LookForKeepers;

impl Message for LookForKeepers {
    const NAME: &'static str = "meshwarden.LookForKeepers";
    type Reply = ();
}

/// Something hangs in the process, or goes on again.
struct Hangs(Arc<Stalls>);

impl Message for Hangs {
    const NAME: &'static str = "meshwarden.ActorsHang";
    type Reply = ();
}

/// A wait may be over for lack of time, or somebody who follows is to be told something.
struct Expire;

impl Message for Expire {
    const NAME: &'static str = "meshwarden.WaitIsOver";
    type Reply = ();
}

/// There may be room again.
struct SayAgain;

impl Message for SayAgain {
    const NAME: &'static str = "meshwarden.SayAgain";
    type Reply = ();
}

impl ProcAgent {
    /// Starts the agent of `proc`, which can spawn what is registered.
    #[must_use]
    pub fn start(proc: &Proc, registry: Arc<ActorRegistry>) -> ActorRef<Self> {
        let user = proc.on(Plane::User);
        registry.install_reducers(&user);
        proc.on(Plane::Control).spawn::<Self>((user, registry))
    }

    /// Where the process is, for those who spawn actors in it.
    #[must_use]
    pub fn seat(agent: &ActorRef<Self>, doors: Option<mesh_core::Doors>) -> ProcSeat {
        ProcSeat { peer: agent.proc().peer(), agent: agent.id(), doors }
    }

    /// Says what a rank is: to the keeper of its mesh, and to whoever waits for that or follows it.
    fn say(&mut self, key: (MeshId, Rank), cx: &mut Context<Self>) {
        let Some(held) = self.held.get(&key) else { return };
        let life = (key.0, key.1, held.incarnation);
        let noted = (held.state.clone(), held.may_restart);
        asked::answer(self.watched.note(life, self.clock.now(), noted));
        self.say_to_keeper(key, cx);
        self.tell_followers(cx);
    }

    /// A keeper that does not read holds nobody up: it is told what is newest when it has room.
    fn say_to_keeper(&mut self, key: (MeshId, Rank), cx: &mut Context<Self>) {
        let Some(held) = self.held.get_mut(&key) else { return };
        let said = Said {
            rank: key.1,
            incarnation: held.incarnation,
            state: held.state.clone(),
            actor: held.actor.as_ref().map(|actor| actor.id().index),
            relay: self.relay.index,
        };
        if !cx.proc().has_way_to(held.keeper.actor()) {
            // When it looks for keepers again there may be one, or this one is gone.
            held.is_unsaid = true;
            return;
        }
        let is_full = matches!(held.keeper.try_cast(cx, said), Err(TryCastError::Full { .. }));
        (held.is_unsaid, held.is_doubted) = (is_full, held.is_doubted && is_full);
        if is_full && !self.will_say_again {
            self.will_say_again = true;
            cx.send_after(AGAIN, SayAgain);
        }
    }

    /// Spawns an actor, unless the process is poisoned.
    fn try_spawn(&self, spawn: &Spawn) -> Result<Box<dyn Spawned>, String> {
        let held = self.held.values().filter(|it| !matches!(it.state, ActorState::Ended(_)));
        let held = held.filter_map(|it| Some((it.name.as_str(), it.killed?)));
        if let Some(poisoned) = Poisoned::by(held.chain(self.dying.killed()), &self.hangs) {
            metrics::count_poisoned();
            return Err(poisoned.to_string());
        }
        let (mesh, rank, incarnation) = (spawn.mesh.id(), spawn.rank, spawn.incarnation);
        let milestones = self.milestones.clone();
        let told = move |milestone| {
            // An agent that is gone has ended what it had spawned.
            let lived = Box::new(Lived { mesh, rank, incarnation, milestone });
            _ = milestones.send(lived).is_ok();
        };
        let kind = (spawn.kind.as_str(), spawn.kind_hash, spawn.name.as_str());
        let spawned = self.registry.spawn(&self.user, kind, &spawn.params, Box::new(told));
        spawned.map_err(|fault| fault.to_string())
    }
}

impl Actor for ProcAgent {
    const NAME: &'static str = "proc_agent";
    type Params = (Proc, Arc<ActorRegistry>);

    async fn start(
        (user, registry): (Proc, Arc<ActorRegistry>),
        cx: &mut Context<Self>,
    ) -> Result<Self, Failure> {
        // Bound: two of each actor that is held, that it is there and that it has ended.
        let (milestones, mut lived) = mpsc::unbounded_channel::<Box<Lived>>();
        let (me, deputy) = (cx.me().clone(), cx.deputy());
        cx.attach(async move {
            while let Some(lived) = lived.recv().await {
                if me.cast(&deputy, *lived).await.is_err() {
                    break;
                }
            }
            Ok(())
        });
        if let Some(mut stalls) = user.stalls() {
            let (me, deputy, peer) = (cx.me().clone(), cx.deputy(), user.peer());
            cx.attach(async move {
                let mut last = Stalls::default();
                while stalls.changed().await.is_ok() {
                    // Others that share the watchdog are no concern of this process.
                    let newest = stalls.borrow_and_update().of(peer);
                    if newest == last {
                        continue;
                    }
                    last.clone_from(&newest);
                    if me.cast(&deputy, Hangs(Arc::new(newest))).await.is_err() {
                        break;
                    }
                }
                Ok(())
            });
        }
        cx.send_every(KEEPERS_EVERY, || LookForKeepers);
        cx.proc().watch_peers(cx.port());
        let relay = cx.spawn::<RelayActor>(user.clone()).id();
        Ok(Self {
            user,
            registry,
            relay,
            held: BTreeMap::new(),
            dying: Dying::new(cx.proc().runtime().clone()),
            watched: Watched::default(),
            clock: Clock::start(),
            alarm: None,
            hangs: Arc::default(),
            milestones,
            will_say_again: false,
        })
    }

    async fn on_undelivered(
        &mut self,
        undelivered: Undelivered,
        cx: &mut Context<Self>,
    ) -> Result<(), Failure> {
        if undelivered.name == Streamed::NAME {
            self.came_back(undelivered);
            return Ok(());
        }
        if undelivered.name != Said::NAME {
            return Ok(());
        }
        let keeper = undelivered.to;
        match undelivered.why {
            // It is to be said again, if there is a way again.
            WhyUndelivered::PeerLost | WhyUndelivered::NoRoute => {
                let theirs = self.held.values_mut().filter(|held| held.keeper.actor() == keeper);
                theirs.for_each(|held| held.is_unsaid = true);
            }
            _ => self.close_all_of(keeper, cx),
        }
        Ok(())
    }

    async fn stop(&mut self, cx: &mut Context<Self>) -> Result<(), Failure> {
        self.close(self.held.keys().copied().collect(), cx);
        Ok(())
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<Spawn>().takes::<EndRank>().takes::<CloseMesh>();
        handlers.takes::<GetState>().takes::<WaitRankStatus>();
        handlers.takes::<StreamState>().takes::<StopStream>().takes::<PeerLost>();
    }
}

impl Handler<Lived> for ProcAgent {
    async fn handle(&mut self, lived: Lived, cx: &mut Context<Self>) -> Result<(), Failure> {
        let key = (lived.mesh, lived.rank);
        let life = (lived.mesh, lived.rank, lived.incarnation);
        if let Milestone::Ended(end) = &lived.milestone
            && let Some(doomed) = self.dying.ended(&life)
        {
            let state = ended(end, doomed.lived(), doomed.is_culled());
            asked::answer(self.watched.note_last(life, self.clock.now(), state));
            self.tell_followers(cx);
        }
        let Some(held) = self.held.get_mut(&key) else { return Ok(()) };
        if held.incarnation != lived.incarnation {
            return Ok(());
        }
        held.state = match lived.milestone {
            // Whether it still starts or not, it has been asked to end.
            Milestone::Created if held.state == ActorState::Stopping => return Ok(()),
            Milestone::Created => ActorState::Running,
            Milestone::Ended(end) => ended(&end, held.born.elapsed(), held.is_culled()),
        };
        self.say(key, cx);
        Ok(())
    }
}

/// A handler that runs too long is told of the rank whose actor it is, or whose descendant it belongs to.
impl Handler<Hangs> for ProcAgent {
    async fn handle(
        &mut self,
        Hangs(stalls): Hangs,
        cx: &mut Context<Self>,
    ) -> Result<(), Failure> {
        self.hangs = Arc::clone(&stalls);
        let mut longest = BTreeMap::new();
        for long in stalls.handlers() {
            longest.entry(long.root.get()).or_insert(&long.handler);
        }
        let mut changed = Vec::new();
        for (key, held) in &mut self.held {
            let hangs = held.actor.as_ref().and_then(|actor| longest.get(&actor.id().index));
            // What is being created, or ends, stays what it is.
            let is = match (&held.state, hangs) {
                (ActorState::Running | ActorState::HandlerStalled(_), Some(handler)) => {
                    ActorState::HandlerStalled(Arc::clone(handler))
                }
                (ActorState::HandlerStalled(_), None) => ActorState::Running,
                _ => continue,
            };
            if held.state != is {
                held.state = is;
                changed.push(*key);
            }
        }
        changed.into_iter().for_each(|key| self.say(key, cx));
        Ok(())
    }
}

impl Handler<SayAgain> for ProcAgent {
    async fn handle(&mut self, _: SayAgain, cx: &mut Context<Self>) -> Result<(), Failure> {
        self.will_say_again = false;
        let unsaid = self.held.iter().filter(|(_, held)| held.is_unsaid);
        let unsaid: Vec<_> = unsaid.map(|(key, _)| *key).collect();
        for key in unsaid {
            self.say(key, cx);
        }
        Ok(())
    }
}

/// How an actor has ended that had lived for so long.
fn ended(end: &End, alive: Duration, is_culled: bool) -> ActorState {
    let (how, chain) = match how_ended(end) {
        (HowActorEnded::Stopped | HowActorEnded::Killed, chain) if is_culled => {
            (HowActorEnded::Culled, chain)
        }
        known => known,
    };
    ActorState::Ended(Arc::new(ActorEnd { how, alive, chain }))
}

impl fmt::Debug for ProcAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcAgent").field("n_ranks", &self.held.len()).finish_non_exhaustive()
    }
}
