//! backs: what a process of the mesh has cast down the tree to others, that it has no session with, and they have
//! taken and not handled, comes back to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actor_mesh::{ActorMesh, ActorMeshRef, ActorSpec};
use controller::Config;
use mesh_core::{
    ActorId, Head, Lane, MeshLabel, MeshRequest, Message, PeerId, PortId, PortRef, ProcSeat,
    Transport, WhyUndelivered,
};
use mesh_runtime::{
    Actor, Context, Failure, Handler, Handlers, LocalTransport, Network, NoWayBack, Port,
    PortReceiver, Undelivered, codec,
};
use mesh_shape::{Rank, Region};
use mesh_testkit::{Gate, Gated};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use crate::support::{Add, Began, Crate, HangBefore, Tool, World, all, begun, soon};

/// Casts from a process of the mesh, and says what comes back. Also says what is not so.
struct Courier(PortRef<CameBack>);

#[derive(Clone, Serialize, Deserialize)]
struct CameBack {
    of: ActorId,
    name: String,
    why: WhyUndelivered,
    n_bytes: usize,
}

/// Casts to a mesh, and lets go of it. Answered with who has cast, and how many it was not sent to.
#[derive(Clone, Serialize, Deserialize)]
struct Deliver(ActorMeshRef<Tool>);

/// Tells a relay that something comes back.
#[derive(Clone, Serialize, Deserialize)]
struct Lie {
    relay: ActorId,
    seat: ProcSeat,
    back: Back,
}

/// What relays say to each other of what comes back, as it travels.
#[derive(Clone, Serialize, Deserialize)]
struct Back {
    back: NoWayBack,
    id: u64,
    n_hops: u8,
    number: u64,
}

macro_rules! message {
    ($name:ident, $text:literal, $reply:ty) => {
        impl Message for $name {
            const NAME: &'static str = $text;
            type Reply = $reply;
        }
    };
}

message!(CameBack, "test.CameBack", ());
message!(Deliver, "test.Deliver", (ActorId, usize));
message!(Lie, "test.LieOfBacks", ());
message!(Back, "meshwarden.CastBack", ());

impl Actor for Courier {
    const NAME: &'static str = "courier";
    type Params = PortRef<CameBack>;

    async fn start(tell: PortRef<CameBack>, _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self(tell))
    }

    async fn on_undelivered(
        &mut self,
        undelivered: Undelivered,
        cx: &mut Context<Self>,
    ) -> Result<(), Failure> {
        if undelivered.name == Back::NAME {
            return Ok(());
        }
        let (of, name, why) = (undelivered.to, undelivered.name.to_owned(), undelivered.why);
        let n_bytes = undelivered.decode::<Crate>().map_or(0, |Crate(bytes)| bytes.len());
        self.0.cast(cx, CameBack { of, name, why, n_bytes }).await;
        Ok(())
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<Deliver>().takes::<Lie>();
    }
}

impl Handler<Deliver> for Courier {
    async fn handle(
        &mut self,
        Deliver(mesh): Deliver,
        cx: &mut Context<Self>,
    ) -> Result<(ActorId, usize), Failure> {
        // Larger than a frame of the control lane may be.
        let not_sent = mesh.cast(cx, Crate(vec![7; LARGE])).await;
        Ok((cx.id(), not_sent.len()))
    }
}

impl Handler<Lie> for Courier {
    async fn handle(
        &mut self,
        Lie { relay, seat, back }: Lie,
        cx: &mut Context<Self>,
    ) -> Result<(), Failure> {
        let network = Network::of(cx.proc()).expect("it has one");
        network.dial(seat.peer, seat.doors.as_ref().expect("it has some")).await?;
        // As itself, and as if it were the program.
        PortRef::<Back>::of(relay).cast(cx, back.clone()).await;
        PortRef::<Back>::of(relay).cast(cx.proc(), back).await;
        Ok(())
    }
}

const LARGE: usize = 1 << 20;

/// To so many the last one casts.
const OTHERS: usize = 12;

/// Knows the relays that legs go to.
#[derive(Default)]
struct Relays(Mutex<BTreeMap<PeerId, ActorId>>);

impl Gate for Relays {
    fn sent(&self, _: Lane, head: &Head) {
        if let Head::Cast { to, port, .. } = head
            && *port == PortId::named("meshwarden.CastLeg")
        {
            self.0.lock().expect("nobody panics").insert(to.peer(), *to);
        }
    }
}

/// The last process has cast to all others; there the message waits behind one that is never done.
struct Scene {
    world: World,
    tools: ActorMesh<Tool>,
    couriers: ActorMesh<Courier>,
    relays: Arc<Relays>,
    /// Who has cast.
    sender: ActorId,
    returned: PortReceiver<CameBack>,
}

impl Scene {
    async fn set() -> Self {
        let (board, relays) = (LocalTransport::encoding(), Arc::new(Relays::default()));
        let gate = Arc::clone(&relays);
        let transports = move || {
            let gate = Arc::clone(&gate) as Arc<dyn Gate>;
            Arc::new(Gated::new(Arc::new(board.another()), gate)) as Arc<dyn Transport>
        };
        let world = World::of("procs=13", Config::local(), transports, |registry| {
            registry.actor::<Courier>();
        })
        .await;
        let tools = world.tools().await;
        let returned = world.proc.open_port::<CameBack>(4 * OTHERS);
        let spec = ActorSpec::<Courier>::new("couriers", &returned.port());
        let procs = world.procs.procs();
        let couriers = soon(ActorMesh::spawn(&world.proc, &procs, spec)).await.expect("they start");
        all(&soon(tools.call(&world.proc, Add(0))).await);
        let last = couriers.slice("procs", 12).expect("it is there");
        let others = tools.slice("procs", ..12).expect("they are there");
        let mut began = world.proc.open_port::<Began>(2 * OTHERS);
        assert!(soon(others.cast(&world.proc, HangBefore(began.port()))).await.is_empty());
        begun(&mut began, OTHERS).await;
        let sent = all(&soon(last.call(&world.proc, Deliver(others))).await);
        let [(sender, 0)] = sent[..] else { panic!("{sent:?}") };
        // It waits at each of them, and nobody looks for it any more, which takes the time of the clock.
        begun(&mut began, OTHERS).await;
        tokio::time::pause();
        Self { world, tools, couriers, relays, sender, returned }
    }

    /// All that comes back when the actors end: of whom.
    async fn end(mut self, n_returned: usize) -> BTreeSet<ActorId> {
        self.tools.stop(Duration::ZERO).await.expect("it is answered");
        let mut of = BTreeSet::new();
        for n in 0..n_returned {
            let back = tokio::time::timeout(crate::support::SOON, self.returned.recv()).await;
            let back = back.unwrap_or_else(|_| panic!("{n} of {n_returned} came back: {of:?}"));
            assert_eq!((&*back.name, back.why), (Crate::NAME, WhyUndelivered::Ended));
            assert_eq!(back.n_bytes, LARGE, "all of it");
            assert!(of.insert(back.of), "{} is told twice", back.of);
        }
        sleep(Duration::from_secs(1)).await;
        assert!(self.returned.try_recv().is_none(), "each once");
        of
    }

    fn seat(&self, rank: usize) -> ProcSeat {
        self.world.procs.procs().seat(Rank::new(rank)).expect("it is there")
    }
}

/// R3: what a worker has cast down the tree to others, and they have taken and not handled, comes back, though most
/// of them have no session with it.
#[tokio::test]
async fn a_cast_of_a_worker_comes_back_up_the_tree() {
    Scene::set().await.end(OTHERS).await;
}

/// R3: also when who sent it has let go of the mesh so long ago that its caster has ended.
#[tokio::test]
async fn a_cast_comes_back_when_its_caster_has_ended() {
    let scene = Scene::set().await;
    sleep(Duration::from_secs(30)).await;
    scene.end(OTHERS).await;
}

/// R3: also past a process that passed it on and has ended since.
#[tokio::test]
async fn a_cast_comes_back_past_a_process_that_has_ended() {
    let scene = Scene::set().await;
    // All is settled then, and nobody casts again.
    sleep(Duration::from_secs(2)).await;
    let first = scene.seat(0).peer;
    scene.world.procs.crash(Rank::new(0));
    sleep(Duration::from_secs(2)).await;
    let of = scene.end(OTHERS - 1).await;
    assert!(of.iter().all(|of| of.peer() != first), "{of:?}");
}

/// What travels of the ref of a mesh: its name, its ranks, its controller, who knows where they are, and more.
type Ref = (MeshLabel, Region, PortRef<MeshRequest>, PortRef<Back>, usize);

/// R3, N9: what comes back is believed of the relays of the mesh alone.
#[tokio::test]
async fn who_is_no_relay_of_the_mesh_gives_nothing_back() {
    let scene = Scene::set().await;
    let bytes = codec::encode("ref", scene.tools.mesh_ref()).expect("it can be");
    let (label, ..) = codec::decode::<Ref>(&bytes).expect("it is one");
    let one = scene.tools.slice("procs", 12).expect("it is there");
    let tool = all(&soon(one.call(&scene.world.proc, crate::support::Where)).await)[0];
    let seat = scene.seat(OTHERS);
    let relay = scene.relays.0.lock().expect("nobody panics")[&seat.peer];
    let bytes = codec::encode("crate", &Crate(vec![7; LARGE])).expect("it can be");
    let (to, port, why) = (scene.sender, PortId::of::<Crate>(), WhyUndelivered::Ended);
    let back = NoWayBack { to, of: tool, mesh: label.id(), port, why, bytes };
    let back = Back { back, id: 7, n_hops: 0, number: 1 };
    let liar = scene.couriers.slice("procs", 3).expect("it is there");
    all(&soon(liar.call(&scene.world.proc, Lie { relay, seat, back })).await);
    sleep(Duration::from_secs(1)).await;
    let of = scene.end(OTHERS).await;
    assert!(!of.contains(&tool), "it was sent nothing");
}
