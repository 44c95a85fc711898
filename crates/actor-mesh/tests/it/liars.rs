//! liars: a process of the mesh that says what is not so.

use std::sync::Arc;
use std::time::Duration;

use actor_mesh::{
    ActorEnd, ActorMesh, ActorMeshRef, ActorRegistry, ActorSpec, ActorState, HowActorEnded,
};
use controller::Config;
use mesh_core::{
    ActorId, Incarnation, MeshId, MeshLabel, MeshRequest, Message, PortRef, ProcSeat, Transport,
};
use mesh_runtime::{
    Actor, Context, Failure, Handler, Handlers, LocalTransport, Network, Port, codec,
};
use mesh_shape::{Rank, Region};
use serde::{Deserialize, Serialize};

use crate::support::{Add, Panic, Tool, World, all, next_failures, soon, tens, world};

/// A report of an agent, as it travels.
#[derive(Serialize, Deserialize)]
struct Said {
    rank: Rank,
    incarnation: Incarnation,
    state: ActorState,
    actor: Option<u64>,
    relay: u64,
}

impl Message for Said {
    const NAME: &'static str = "meshwarden.ActorSaid";
    type Reply = ();
}

/// An order to end all that an agent has of a mesh.
#[derive(Serialize, Deserialize)]
struct Close {
    mesh: MeshId,
}

impl Message for Close {
    const NAME: &'static str = "meshwarden.CloseActors";
    type Reply = ();
}

/// Says of the actor of another rank that it has failed.
struct Liar;

/// To whom, and of whom; and the agent of that one.
#[derive(Clone, Serialize, Deserialize)]
struct Lie {
    keeper: ActorId,
    mesh: MeshId,
    rank: Rank,
    seat: ProcSeat,
}

impl Message for Lie {
    const NAME: &'static str = "test.Lie";
    type Reply = ();
}

impl Actor for Liar {
    const NAME: &'static str = "liar";
    type Params = ();

    async fn start((): (), _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self)
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<Lie>();
    }
}

impl Handler<Lie> for Liar {
    async fn handle(
        &mut self,
        Lie { keeper, mesh, rank, seat }: Lie,
        cx: &mut Context<Self>,
    ) -> Result<(), Failure> {
        let how = HowActorEnded::Errored { message: "a lie".to_owned() };
        let end = ActorEnd { how, alive: Duration::ZERO, chain: Vec::new() };
        let said = || Said {
            rank,
            incarnation: Incarnation::FIRST,
            state: ActorState::Ended(Arc::new(end.clone())),
            actor: None,
            relay: 0,
        };
        // As itself, and as if it were the program.
        PortRef::<Said>::of(keeper).cast(cx, said()).await;
        PortRef::<Said>::of(keeper).cast(cx.proc(), said()).await;
        let network = Network::of(cx.proc()).expect("it has one");
        network.dial(seat.peer, seat.doors.as_ref().expect("it has some")).await?;
        PortRef::<Close>::of(seat.agent).cast(cx, Close { mesh }).await;
        PortRef::<Close>::of(seat.agent).cast(cx.proc(), Close { mesh }).await;
        Ok(())
    }
}

/// What travels of the ref of a mesh: its name, its ranks, its controller, who knows where they are, and more.
type Ref = (MeshLabel, Region, PortRef<MeshRequest>, PortRef<Said>, usize);

/// N9, C2: of the actor of a rank only the agent in its process is believed, and that one only obeys the keeper.
#[tokio::test]
async fn a_process_that_reports_for_the_rank_of_another_is_not_believed() {
    let board = LocalTransport::encoding();
    let another = move || Arc::new(board.another()) as Arc<dyn Transport>;
    let world = World::of("procs=3", Config::local(), another, |registry: &mut ActorRegistry| {
        registry.actor::<Liar>();
    });
    let world = world.await;
    let mut tools: ActorMesh<Tool> = world.spawn(tens("tools")).await;
    let spec = ActorSpec::<Liar>::new("liars", &());
    let procs = world.procs.procs();
    let liars = soon(ActorMesh::spawn(&world.proc, &procs, spec)).await.expect("they start");
    let bytes = codec::encode("ref", tools.mesh_ref()).expect("it can be");
    let (label, .., keeper, _) = codec::decode::<Ref>(&bytes).expect("it is one");

    let rank = Rank::new(0);
    let seat = world.procs.procs().seat(rank).expect("it is there");
    let lie = Lie { keeper: keeper.actor(), mesh: label.id(), rank, seat };
    let liar = liars.slice("procs", 1..2).expect("there is one");
    all(&soon(liar.call(&world.proc, lie)).await);
    // What is true is told.
    let two = tools.slice("procs", 2..).expect("there is one");
    two.cast(&world.proc, Panic(20)).await.complete().expect("it is sent");
    let failures = next_failures(&mut tools).await;
    assert_eq!(failures.iter().map(|(rank, _)| *rank).collect::<Vec<_>>(), [2], "{failures:?}");
    let others = tools.slice("procs", ..2).expect("there are two");
    assert_eq!(all(&soon(others.call(&world.proc, Add(1))).await), [1, 11]);
}

/// N8: a ref whose label would make lines of its own in reports is none, whoever sends it.
#[tokio::test]
async fn a_ref_with_a_label_that_no_mesh_has_is_refused() {
    let world = world("procs=2").await;
    let tools = world.tools().await;
    let bytes = codec::encode("ref", tools.mesh_ref()).expect("it can be");
    let (label, region, home, keeper, fan_out) = codec::decode::<Ref>(&bytes).expect("it is one");
    let is_taken = |name: &str, kind: &str| {
        let label = MeshLabel::new(label.id(), name, kind);
        let forged = (label, &region, &home, &keeper, fan_out);
        let bytes = codec::encode("ref", &forged).expect("it can be");
        codec::decode::<ActorMeshRef<Tool>>(&bytes).is_ok()
    };
    assert!(is_taken(label.name(), label.kind()), "this one is true");
    let forged = [("tools\nrank 1 failed", "actor"), ("", "actor"), ("tools", "\u{1b}[2J")];
    for (name, kind) in forged {
        assert!(!is_taken(name, kind), "{name:?}, {kind:?}");
    }
}
