//! The actor: counts the words of its shard, a batch in each round, and of what others have lost.

use std::sync::Arc;

use meshwarden::mesh_core::PortRef;
use meshwarden::mesh_runtime::Port;
use meshwarden::prelude::{Actor, Context, Failure, Handler, Handlers, Message, Rank, Region};
use serde::{Deserialize, Serialize};

use crate::demo::shard::{Batch, Unread};
use crate::demo::tally::Tally;

/// Counts words.
pub(crate) struct Counter {
    share: Share,
}

/// What a counter is created from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Share {
    /// Which rank it is.
    pub(crate) rank: Rank,
    /// What it counts, a batch in each round.
    pub(crate) batches: Vec<Batch>,
}

/// Count your batch of this number: the round.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Count {
    pub(crate) batch: usize,
    /// Whom to ask, with the answer in hand, whether it may be given.
    pub(crate) ask: Option<PortRef<AtWork>>,
}

/// Count what another rank has lost: each of `among` the batch of its place.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CountLost {
    pub(crate) among: Arc<Region>,
    pub(crate) batches: Vec<Batch>,
}

/// In which process are you?
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct WhichProcess;

/// Panic.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Panic;

/// A counter handles a call, and asks whether it may answer.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct AtWork {
    pub(crate) rank: Rank,
}

macro_rules! message {
    ($name:ident, $reply:ty) => {
        impl Message for $name {
            const NAME: &'static str = concat!("meshwarden.demo.", stringify!($name));
            type Reply = $reply;
        }
    };
}

message!(Count, Result<Tally, Unread>);
message!(CountLost, Result<Tally, Unread>);
message!(WhichProcess, u32);
message!(Panic, ());
message!(AtWork, ());

/// What a counter panics with.
pub(crate) const BUG: &str = "a bug in the code of an actor";

impl Actor for Counter {
    const NAME: &'static str = "word-counter";
    type Params = Share;

    async fn start(share: Share, _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self { share })
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<Count>().takes::<CountLost>().takes::<WhichProcess>().takes::<Panic>();
    }
}

impl Handler<Count> for Counter {
    async fn handle(
        &mut self,
        count: Count,
        cx: &mut Context<Self>,
    ) -> Result<Result<Tally, Unread>, Failure> {
        let batch = self.share.batches.get(count.batch);
        let counted = batch.map_or_else(|| Ok(Tally::default()), Batch::count);
        if let Some(ask) = count.ask {
            ask.call(cx, AtWork { rank: self.share.rank }).await?;
        }
        Ok(counted)
    }
}

impl Handler<CountLost> for Counter {
    async fn handle(
        &mut self,
        lost: CountLost,
        _: &mut Context<Self>,
    ) -> Result<Result<Tally, Unread>, Failure> {
        let place = lost.among.rank_of_base(self.share.rank);
        let batch = place.and_then(|place| lost.batches.get(place.index()));
        Ok(batch.map_or_else(|| Ok(Tally::default()), Batch::count))
    }
}

impl Handler<WhichProcess> for Counter {
    async fn handle(&mut self, _: WhichProcess, _: &mut Context<Self>) -> Result<u32, Failure> {
        Ok(std::process::id())
    }
}

impl Handler<Panic> for Counter {
    async fn handle(&mut self, _: Panic, _: &mut Context<Self>) -> Result<(), Failure> {
        panic!("{BUG}")
    }
}
