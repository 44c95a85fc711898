//! farewell: what a caster says that nobody uses any more.

use std::sync::Arc;
use std::time::Duration;

use mesh_cast::shell::{Seat, Table};
use mesh_cast::{Kind, Settlement};
use mesh_core::{ActorId, Incarnation, Message, Plane};
use mesh_runtime::{Actor, Context, Failure, Handler, Handlers};
use mesh_testkit::fault_net::{FaultNet, Faults};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::world::World;

/// As relays hear it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Word {
    from: ActorId,
    settlement: Settlement,
}

impl Message for Word {
    const NAME: &'static str = "meshwarden.CastSettled";
    type Reply = ();
}

/// Is where a relay should be, and takes words only.
struct Ear(mpsc::UnboundedSender<Word>);

impl Actor for Ear {
    const NAME: &'static str = "ear";
    type Params = mpsc::UnboundedSender<Word>;

    async fn start(heard: Self::Params, _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self(heard))
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<Word>();
    }
}

impl Handler<Word> for Ear {
    async fn handle(&mut self, word: Word, _: &mut Context<Self>) -> Result<(), Failure> {
        self.0.send(word)?;
        Ok(())
    }
}

/// N9: relays must not be full of casters that are not there any more.
#[tokio::test(start_paused = true)]
async fn a_caster_that_nobody_uses_says_farewell_once() {
    let net = FaultNet::new(1, Faults::none());
    let mut world = World::new(&net, 1, 2).await;
    let (tell, mut heard) = mpsc::unbounded_channel();
    let ear = world.networks[0].proc().on(Plane::Control).spawn::<Ear>(tell).id();
    let seat = Seat { life: Incarnation::FIRST, relay: Some(ear.index), actor: Some(1), since: 0 };
    let seats = [seat].into_iter().collect();
    world.table = Arc::new(Table { seats, ..Table::clone(&world.table) });
    // Its legs come back, again and again, and are given up.
    world.send(Kind::Cast, 0).await;
    let World { caster, networks, .. } = world;
    assert!(timeout(Duration::from_secs(30), until_last(&mut heard)).await.is_err(), "it is used");
    drop(caster);
    let within = Duration::from_secs(1);
    let last = timeout(within, until_last(&mut heard)).await.expect("it says so soon");
    assert_eq!((last.settlement.settled.through, last.from), (1, last.settlement.stream.caster));
    assert!(timeout(Duration::from_secs(30), heard.recv()).await.is_err(), "and nothing more");
    drop(networks);
}

async fn until_last(heard: &mut mpsc::UnboundedReceiver<Word>) -> Word {
    loop {
        let word = heard.recv().await.expect("the ear lives");
        if word.settlement.is_last {
            return word;
        }
    }
}
