//! `World`: a caller, and processes with a relay and an actor each.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mesh_cast::shell::{Cast, CasterRef, GetSeats, Outcomes, Payload, RelayActor, Seat, Table};
use mesh_cast::{Failure, Kind, Outcome};
use mesh_core::{ActorId, Addr, Incarnation, MeshId, Message, PortId, ProcId, ProcSeat};
use mesh_runtime::{Actor, Context, Handler, Handlers, Network, Proc, ProcConfig, codec};
use mesh_shape::{Extent, Rank, RankSet, Region};
use mesh_testkit::fault_net::FaultNet;
use serde::{Deserialize, Serialize};

/// Remembers what it was told, and answers with all of it.
struct Tally(Vec<u64>);

#[derive(Serialize, Deserialize)]
struct Tell(u64);

impl Message for Tell {
    const NAME: &'static str = "test.Tell";
    type Reply = Vec<u64>;
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
        handlers.takes::<Tell>();
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
        GetSeats { ranks }: GetSeats,
        _: &mut Context<Self>,
    ) -> Result<Vec<(Rank, ProcSeat)>, mesh_runtime::Failure> {
        Ok(self.0.iter().filter(|(rank, _)| ranks.contains(*rank)).cloned().collect())
    }
}

/// Where a process is.
pub(crate) fn site(rank: u64) -> String {
    format!("site-{rank}")
}

pub(crate) struct World {
    caster: CasterRef,
    table: Arc<Table>,
    /// They live as long as the world.
    _networks: Vec<Network>,
}

impl World {
    pub(crate) async fn new(net: &FaultNet, size: usize, fan_out: usize) -> Self {
        let (procs, mesh) = (MeshId::from_random(7 << 64), MeshId::from_random(8 << 64));
        let transport = Arc::new(net.transport("caller"));
        let caller = Network::new(Proc::local().expect("there is a runtime"), transport, 0);
        let (mut networks, mut seats, mut places) = (Vec::new(), Vec::new(), Vec::new());
        for rank in 0..size {
            let id = ProcId::of_rank(procs, Rank::new(rank));
            let config = ProcConfig { id, ..ProcConfig::local() };
            let proc = Proc::start(config, tokio::runtime::Handle::current());
            let transport = Arc::new(net.transport(&site(rank as u64)));
            let network = Network::new(proc.clone(), transport, 0);
            let at = Addr::Local { name: format!("home-{rank}") };
            let doors = network.listen(&at).await.expect("nobody listens there");
            caller.dial(proc.peer(), &doors).await.expect("it listens");
            let (relay, actor) = (RelayActor::start(&proc), proc.spawn::<Tally>(()));
            let (relay, actor) = (relay.id(), actor.id());
            let (life, peer) = (Incarnation::FIRST, proc.peer());
            seats.push(Seat { life, relay: Some(relay.index), actor: Some(actor.index) });
            let seat = ProcSeat { peer, agent: relay, doors: Some(doors) };
            places.push((Rank::new(rank), seat));
            networks.push(network);
        }
        let directory = caller.proc().spawn::<Directory>(places).id();
        let caster = CasterRef::of(caller.proc(), mesh);
        networks.push(caller);
        let region = Arc::new(Region::all(Extent::new([("r", size)]).expect("it is small")));
        let seats = seats.into_iter().collect();
        let table = Arc::new(Table { mesh, version: 1, fan_out, procs, region, seats, directory });
        Self { caster, table, _networks: networks }
    }

    pub(crate) async fn send(&self, kind: Kind, number: u64, from: Option<ActorId>) -> Outcomes {
        let bytes: Bytes = codec::encode(Tell::NAME, &Tell(number)).expect("it can be");
        let (port, except) = (PortId::of::<Tell>(), RankSet::new());
        let payload = Payload { port, from, except, bytes };
        let (table, name) = (Arc::clone(&self.table), Tell::NAME);
        let cast = Cast { table, region: None, kind, name, payload };
        let sent = tokio::time::timeout(Duration::from_secs(60), self.caster.cast(cast)).await;
        sent.expect("there is room at last").expect("the caster lives")
    }

    /// What each rank replies.
    pub(crate) async fn call(&self, number: u64) -> Vec<Result<Vec<u64>, Failure>> {
        let mut outcomes = self.send(Kind::Call, number, None).await;
        let mut replies = std::collections::BTreeMap::new();
        let size = self.table.seats.size();
        while replies.len() < size {
            let news = tokio::time::timeout(Duration::from_secs(60), outcomes.recv()).await;
            let news = news.expect("it does not take that long").expect("each rank has one");
            for (rank, outcome) in news.iter() {
                let reply = match outcome.clone() {
                    Outcome::Replied(bytes) => Ok(codec::decode(&bytes).expect("it is a reply")),
                    Outcome::Failed(failure) => Err(failure),
                    Outcome::Taken => panic!("no last word: {rank}"),
                };
                assert!(replies.insert(rank, reply).is_none(), "{rank} has two outcomes");
            }
        }
        replies.into_values().collect()
    }
}
