//! `World`: a caller, and processes with a relay and an actor each.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mesh_cast::shell::{
    Body, Cast, CasterRef, GetSeats, NotCast, Payload, RelayActor, Seat, Table, Tellings, Told,
};
use mesh_cast::{Failure, FanOut, Kind, Outcome};
use mesh_core::{ActorId, Addr, Doors, Incarnation, MeshId, Message, PortId, ProcId, ProcSeat};
use mesh_runtime::{
    Actor, ActorRef, Context, Handler, Handlers, Network, Proc, ProcConfig, ReplyTo, codec,
};
use mesh_shape::{Extent, Rank, RankSet, Region};
use mesh_testkit::fault_net::FaultNet;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// Remembers what it was told, and answers with all of it.
pub(crate) struct Tally(Vec<u64>);

#[derive(Serialize, Deserialize)]
pub(crate) struct Tell(pub(crate) u64);

impl Message for Tell {
    const NAME: &'static str = "test.Tell";
    type Reply = Vec<u64>;
}

/// Answers with as many bytes as it is told to.
#[derive(Serialize, Deserialize)]
pub(crate) struct Fill(pub(crate) Bytes, pub(crate) usize);

impl Message for Fill {
    const NAME: &'static str = "test.Fill";
    type Reply = Bytes;
}

/// Is answered after so many seconds.
#[derive(Serialize, Deserialize)]
pub(crate) struct Later(pub(crate) u64);

impl Message for Later {
    const NAME: &'static str = "test.Later";
    type Reply = ();
}

/// Is answered after so many seconds; meanwhile others are.
#[derive(Serialize, Deserialize)]
pub(crate) struct Promise(pub(crate) u64);

impl Message for Promise {
    const NAME: &'static str = "test.Promise";
    type Reply = ();
}

impl Actor for Tally {
    const NAME: &'static str = "tally";
    /// So few that forwarders wait for it.
    const MAILBOX: usize = 2;
    type Params = ();

    async fn start((): (), _: &mut Context<Self>) -> Result<Self, mesh_runtime::Failure> {
        Ok(Self(Vec::new()))
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<Tell>().takes::<Fill>().takes::<Later>().takes::<Promise>();
    }
}

impl Handler<Fill> for Tally {
    async fn handle(
        &mut self,
        Fill(_, len): Fill,
        _: &mut Context<Self>,
    ) -> Result<Bytes, mesh_runtime::Failure> {
        // Of each actor another one, so that no two are alike.
        Ok(vec![self.0.len() as u8; len].into())
    }
}

impl Handler<Later> for Tally {
    async fn handle(
        &mut self,
        Later(seconds): Later,
        _: &mut Context<Self>,
    ) -> Result<(), mesh_runtime::Failure> {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        Ok(())
    }
}

impl Handler<Tell> for Tally {
    async fn handle(
        &mut self,
        Tell(number): Tell,
        _: &mut Context<Self>,
    ) -> Result<Vec<u64>, mesh_runtime::Failure> {
        self.0.push(number);
        Ok(self.0.clone())
    }
}

impl Handler<Promise> for Tally {
    async fn handle(
        &mut self,
        _: Promise,
        _: &mut Context<Self>,
    ) -> Result<(), mesh_runtime::Failure> {
        Ok(())
    }

    async fn handle_call(
        &mut self,
        Promise(seconds): Promise,
        reply: ReplyTo<()>,
        _: &mut Context<Self>,
    ) -> Result<(), mesh_runtime::Failure> {
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            reply.send(()).is_ok()
        });
        Ok(())
    }
}

/// Knows where everybody is.
struct Directory(Vec<(Rank, ProcSeat)>);

impl Actor for Directory {
    const NAME: &'static str = "directory";
    type Params = Vec<(Rank, ProcSeat)>;

    async fn start(
        seats: Self::Params,
        _: &mut Context<Self>,
    ) -> Result<Self, mesh_runtime::Failure> {
        Ok(Self(seats))
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<GetSeats>();
    }
}

impl Handler<GetSeats> for Directory {
    async fn handle(
        &mut self,
        _: GetSeats,
        _: &mut Context<Self>,
    ) -> Result<Vec<(Rank, ProcSeat)>, mesh_runtime::Failure> {
        // More than was asked for: whoever asks looks for the process.
        Ok(self.0.clone())
    }
}

/// Where a process is.
pub(crate) fn site(rank: u64) -> String {
    format!("site-{rank}")
}

pub(crate) struct World {
    pub(crate) caster: CasterRef,
    pub(crate) table: Arc<Table>,
    /// Who casts, if it is an actor.
    pub(crate) from: Option<ActorId>,
    /// Those of the ranks, and that of the caller; they live as long as the world.
    pub(crate) networks: Vec<Network>,
    /// Where the ranks listen.
    doors: Vec<Doors>,
    /// The actors of the ranks.
    pub(crate) tallies: Vec<ActorRef<Tally>>,
}

impl World {
    pub(crate) async fn new(net: &FaultNet, size: usize, fan_out: usize) -> Self {
        let (procs, mesh) = (MeshId::from_random(7 << 64), MeshId::from_random(8 << 64));
        let transport = Arc::new(net.transport("caller"));
        let caller = Network::new(Proc::local().expect("there is a runtime"), transport, 0);
        let (mut networks, mut seats, mut places) = (Vec::new(), Vec::new(), Vec::new());
        let (mut tallies, mut all_doors) = (Vec::new(), Vec::new());
        for rank in 0..size {
            let id = ProcId::of_rank(procs, Rank::new(rank));
            let config = ProcConfig { id, ..ProcConfig::local() };
            let proc = Proc::start(config, tokio::runtime::Handle::current());
            let transport = Arc::new(net.transport(&site(rank as u64)));
            let network = Network::new(proc.clone(), transport, 0);
            let at = Addr::Local { name: format!("home-{rank}") };
            let doors = network.listen(&at).await.expect("nobody listens there");
            caller.dial(proc.peer(), &doors).await.expect("it listens");
            all_doors.push(doors.clone());
            let (relay, actor) = (RelayActor::start(&proc), proc.spawn::<Tally>(()));
            tallies.push(actor.clone());
            let (relay, actor) = (relay.id(), actor.id());
            let (life, peer) = (Incarnation::FIRST, proc.peer());
            seats.push(Seat { life, relay: Some(relay.index), actor: Some(actor.index), since: 0 });
            let seat = ProcSeat { peer, agent: relay, doors: Some(doors) };
            places.push((Rank::new(rank), seat));
            networks.push(network);
        }
        let directory = caller.proc().spawn::<Directory>(places).id();
        let caster = CasterRef::of(caller.proc(), mesh);
        networks.push(caller);
        let region = Arc::new(Region::all(Extent::new([("r", size)]).expect("it is small")));
        let seats = seats.into_iter().collect();
        let fan_out = FanOut::new(fan_out).expect("at least two");
        let table = Arc::new(Table { mesh, version: 1, fan_out, procs, region, seats, directory });
        Self { caster, table, from: None, networks, doors: all_doors, tallies }
    }

    /// The caller opens a session with the process of a rank.
    pub(crate) async fn meet_again(&self, rank: usize) {
        let caller = self.networks.last().expect("it is the last");
        let peer = self.networks[rank].proc().peer();
        caller.dial(peer, &self.doors[rank]).await.expect("it listens");
    }

    /// The process that casts.
    pub(crate) fn caller(&self) -> &Proc {
        self.networks.last().expect("it is the last").proc()
    }

    /// Casts to all, or to the ranks of a range.
    pub(crate) async fn post<M: Message + Serialize>(
        &self,
        kind: Kind,
        message: &M,
        ranks: Option<Range<usize>>,
    ) -> Tellings {
        let sent = self.post_within(Duration::from_secs(7200), (kind, message), ranks).await;
        sent.expect("there is room at last")
    }

    /// The same, where there may be no room in time.
    pub(crate) async fn post_within<M: Message + Serialize>(
        &self,
        within: Duration,
        (kind, message): (Kind, &M),
        ranks: Option<Range<usize>>,
    ) -> Result<Tellings, NotCast> {
        let cast = self.cast(kind, message, ranks);
        self.caster.cast_until(cast, Instant::now() + within).await
    }

    /// A cast to all, or to the ranks of a range.
    pub(crate) fn cast<M: Message + Serialize>(
        &self,
        kind: Kind,
        message: &M,
        ranks: Option<Range<usize>>,
    ) -> Cast {
        let bytes: Bytes = codec::encode(M::NAME, message).expect("it can be");
        let (port, from, except) = (PortId::of::<M>(), self.from, RankSet::new());
        let payload = Payload { port, from, except, body: Body::Same(bytes) };
        let (table, name) = (Arc::clone(&self.table), M::NAME);
        let all = || Region::all(Extent::new([("r", table.seats.size())]).expect("it is small"));
        let region = ranks.map(|ranks| {
            let slice = (ranks.start as isize)..(ranks.end as isize);
            Arc::new(all().slice("r", slice).expect("they are there"))
        });
        let (table, range) = (Arc::clone(&table), None);
        let gone = RankSet::new();
        Cast { table, region, range, kind, name, payload, gone }
    }

    pub(crate) async fn send(&self, kind: Kind, number: u64) -> Tellings {
        self.post(kind, &Tell(number), None).await
    }

    /// What each rank replies.
    pub(crate) async fn call(&self, number: u64) -> Vec<Result<Vec<u64>, Failure>> {
        let outcomes = self.send(Kind::Call, number).await;
        replies::<Tell>(outcomes, self.table.seats.size(), Duration::from_secs(60)).await
    }
}

/// What so many ranks reply, in their order, each within some time of the one before it.
pub(crate) async fn replies<M: Message<Reply: DeserializeOwned>>(
    mut outcomes: Tellings,
    size: usize,
    within: Duration,
) -> Vec<Result<M::Reply, Failure>> {
    let mut replies = BTreeMap::new();
    while replies.len() < size {
        let news = tokio::time::timeout(within, outcomes.recv()).await;
        let news = news.expect("it does not take that long").expect("each rank has one");
        let Told::Outcomes(news) = news else { panic!("nothing was to be merged: {news:?}") };
        for (rank, outcome) in news.iter() {
            let reply = match outcome.clone() {
                Outcome::Replied(bytes) => Ok(codec::decode(&bytes).expect("it is a reply")),
                Outcome::Failed(failure) => Err(failure),
                Outcome::Arrived | Outcome::Taken | Outcome::Merged => {
                    panic!("no last word: {rank}")
                }
            };
            assert!(replies.insert(rank, reply).is_none(), "{rank} has two outcomes");
        }
    }
    replies.into_values().collect()
}
