//! liars: who says what is not so, and belongs to no mesh.

use std::time::Duration;

use mesh_cast::shell::Table;
use mesh_cast::{Kind, Settled, Settlement, StreamId};
use mesh_core::{ActorId, Message, PortRef};
use mesh_runtime::{Actor, ActorRef, Context, Failure, Handler, Port};
use mesh_shape::Rank;
use mesh_testkit::fault_net::{FaultNet, Faults};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use crate::world::World;

/// Says what it is told to say.
struct Liar;

/// Says all relays of a table that so much is settled of the casts of somebody to it.
struct Settle {
    table: Table,
    caster: ActorId,
    through: u64,
}

/// What relays say to each other of what is settled, as it travels.
#[derive(Clone, Serialize, Deserialize)]
struct Word {
    from: ActorId,
    settlement: Settlement,
}

impl Message for Settle {
    const NAME: &'static str = "test.Settle";
    type Reply = ();
}

impl Message for Word {
    const NAME: &'static str = "meshwarden.CastSettled";
    type Reply = ();
}

impl Actor for Liar {
    const NAME: &'static str = "liar";
    type Params = ();

    async fn start((): (), _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self)
    }
}

impl Handler<Settle> for Liar {
    async fn handle(&mut self, settle: Settle, cx: &mut Context<Self>) -> Result<(), Failure> {
        let Settle { table, caster, through } = settle;
        let stream = StreamId { caster, mesh: table.mesh };
        for rank in 0..table.seats.size() {
            let relay = table.relay(Rank::new(rank)).expect("it is there");
            let settled = Settled { through, waiting: [].into() };
            let (range, table) = (rank..rank + 1, table.version);
            let is_last = false;
            let settlement = Settlement { stream, table, range, settled, is_last };
            PortRef::<Word>::of(relay).cast(cx, Word { from: cx.id(), settlement }).await;
        }
        Ok(())
    }
}

/// R2: that casts are settled, so that they need not be delivered any more, is believed of their caster, and of relays.
#[tokio::test(start_paused = true)]
async fn who_is_neither_caster_nor_relay_settles_nothing() {
    let net = FaultNet::new(1, Faults::none());
    let world = World::new(&net, 5, 2).await;
    world.send(Kind::Cast, 0).await;
    sleep(Duration::from_secs(3)).await;
    let liar: ActorRef<Liar> = world.caller().spawn(());
    // One of the first actors of its process casts.
    for index in 1..64 {
        let (table, caster) = (Table::clone(&world.table), ActorId { index, ..liar.id() });
        let settle = Settle { table, caster, through: 1000 };
        liar.call(world.caller(), settle).await.expect("it is told");
    }
    sleep(Duration::from_secs(3)).await;
    world.send(Kind::Cast, 1).await;
    let replies = world.call(2).await;
    assert!(replies.iter().all(|reply| *reply == Ok(vec![0, 1, 2])), "{replies:?}");
}
