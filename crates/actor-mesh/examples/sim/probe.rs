//! `Probe`: the actor at each rank. It writes down what it takes, and breaks when it is told to.

use std::time::Duration;

use actor_mesh::{ActorMeshRef, ActorRegistry};
use mesh_core::Message;
use mesh_runtime::{Actor, Context, Failure, Handler, Handlers, Undelivered};
use serde::{Deserialize, Serialize};

use crate::ledger::{self, Doing, Number, OF_LIVES};
use crate::teller;

pub(crate) struct Probe {
    rank: usize,
    life: usize,
    n_told: u64,
}

/// Is written down.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Say(pub(crate) Number);

/// Is written down, and answered with what the rank is worth.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Ask(pub(crate) Number);

/// What is to go wrong in it.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Break {
    Panic,
    Fail,
    Hang(Duration),
    HangAndPanic(Duration),
}

/// It is to cast to the mesh.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Tell(pub(crate) ActorMeshRef<Probe>);

impl Message for Say {
    const NAME: &'static str = "sim.Say";
    type Reply = ();
}

impl Message for Ask {
    const NAME: &'static str = "sim.Ask";
    type Reply = u64;
}

impl Message for Tell {
    const NAME: &'static str = "sim.Tell";
    type Reply = ();
}

impl Message for Break {
    const NAME: &'static str = "sim.Break";
    type Reply = ();
}

/// What a rank is worth: no sum of some is that of others.
pub(crate) const fn worth(rank: usize) -> u64 {
    let number = (rank as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (number ^ (number >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 16
}

pub(crate) fn registry() -> ActorRegistry {
    let mut registry = ActorRegistry::new();
    registry.actor::<Probe>();
    registry
}

impl Actor for Probe {
    const NAME: &'static str = "probe";
    type Params = usize;

    async fn start(rank: usize, cx: &mut Context<Self>) -> Result<Self, Failure> {
        let actor = cx.me().id();
        Ok(Self { rank, life: ledger::with(|it| it.born(rank, actor)), n_told: 0 })
    }

    /// R3
    async fn on_undelivered(
        &mut self,
        undelivered: Undelivered,
        _: &mut Context<Self>,
    ) -> Result<(), Failure> {
        teller::came_back(undelivered)
    }

    async fn stop(&mut self, _: &mut Context<Self>) -> Result<(), Failure> {
        ledger::with(|it| it.does(self.life, Doing::Asked));
        Ok(())
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<Say>().takes::<Ask>().takes::<Break>().takes::<Tell>();
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        ledger::with(|it| it.died(self.life));
    }
}

impl Handler<Say> for Probe {
    async fn handle(&mut self, Say(number): Say, _: &mut Context<Self>) -> Result<(), Failure> {
        ledger::with(|it| it.handled(self.life, number));
        Ok(())
    }
}

impl Handler<Ask> for Probe {
    async fn handle(&mut self, Ask(number): Ask, _: &mut Context<Self>) -> Result<u64, Failure> {
        ledger::with(|it| it.handled(self.life, number));
        Ok(worth(self.rank))
    }
}

impl Handler<Break> for Probe {
    async fn handle(&mut self, how: Break, _: &mut Context<Self>) -> Result<(), Failure> {
        let rank = self.rank;
        if let Break::Hang(lasting) | Break::HangAndPanic(lasting) = how {
            ledger::note(format_args!("rank {rank} hangs for {lasting:?}"));
            ledger::with(|it| it.does(self.life, Doing::Busy));
            tokio::time::sleep(lasting).await;
            ledger::with(|it| it.does(self.life, Doing::Well));
        }
        if !matches!(how, Break::Hang(_)) {
            ledger::with(|it| it.does(self.life, Doing::Broken));
        }
        match how {
            Break::Hang(_) => {
                ledger::note(format_args!("rank {rank} goes on"));
                Ok(())
            }
            Break::Fail => {
                ledger::note(format_args!("rank {rank} fails"));
                Err(Failure::new("as planned"))
            }
            Break::Panic | Break::HangAndPanic(_) => {
                ledger::note(format_args!("rank {rank} panics"));
                panic!("as planned");
            }
        }
    }
}

impl Handler<Tell> for Probe {
    async fn handle(&mut self, Tell(mesh): Tell, cx: &mut Context<Self>) -> Result<(), Failure> {
        let number = (OF_LIVES + self.life, self.n_told);
        self.n_told += 1;
        // It may wait for those who begin again when it has ended.
        ledger::with(|it| it.does(self.life, Doing::Busy));
        teller::sends(&mesh, ("cast", number), cx).await;
        ledger::with(|it| it.does(self.life, Doing::Well));
        Ok(())
    }
}
