//! large: meshes of which more is to be told than a message may have.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actor_mesh::{ActorMeshRef, ActorSpec, RankError};
use controller::Config;
use mesh_core::{MeshPhase, Message, News, Part, Progress, RankState, Reason, Status, Transport};
use mesh_runtime::{Actor, Context, Failure, Handler, Handlers, Network, Proc};
use mesh_shape::{Rank, RankSet};
use mesh_testkit::fault_net::{FaultNet, Faults, SessionConfig};
use serde::{Deserialize, Serialize};
use supervise::MeshEvents;

use crate::support::{World, soon};

/// What one message may have: the causes of a third of the ranks.
const BYTES_MAX: usize = 96 << 10;

const RANKS: usize = 300;

/// Ends with many words of its own.
struct Brittle(usize);

#[derive(Clone, Serialize, Deserialize)]
struct Break;

#[derive(Clone, Serialize, Deserialize)]
struct Answer;

impl Message for Break {
    const NAME: &'static str = "test.Break";
    type Reply = ();
}

impl Message for Answer {
    const NAME: &'static str = "test.Answer";
    type Reply = usize;
}

impl Actor for Brittle {
    const NAME: &'static str = "brittle";
    type Params = usize;

    async fn start(number: usize, _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self(number))
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<Break>().takes::<Answer>();
    }
}

impl Handler<Break> for Brittle {
    async fn handle(&mut self, _: Break, _: &mut Context<Self>) -> Result<(), Failure> {
        Err(Failure::new(words_of(self.0)))
    }
}

impl Handler<Answer> for Brittle {
    async fn handle(&mut self, _: Answer, _: &mut Context<Self>) -> Result<usize, Failure> {
        Ok(self.0)
    }
}

/// As many as a cause may have.
fn words_of(rank: usize) -> String {
    format!("{rank:0width$}", width = Reason::WORDS_MAX)
}

/// A program beside that of the mesh.
async fn beside(world: &World, net: &FaultNet, site: &str) -> Proc {
    let proc = Proc::local().expect("there is a runtime");
    let network = Network::new(proc.clone(), Arc::new(net.transport(site)), 0);
    let at = format!("local://{site}").parse().expect("it is an address");
    let doors = network.listen(&at).await.expect("nobody else is there");
    let owner = Network::of(&world.proc).expect("it has one");
    owner.dial(proc.peer(), &doors).await.expect("it listens");
    proc
}

/// How each rank has ended, by the changes that are told until so many have.
async fn ends(events: &mut MeshEvents, n: usize) -> BTreeMap<usize, String> {
    let mut ends = BTreeMap::new();
    while ends.len() < n {
        let event = soon(events.next()).await.expect("it goes on");
        let changes = match &event.news {
            News::Snapshot(all) => &all.failed[..],
            News::Changed(changes) => changes,
            _ => continue,
        };
        for change in changes.iter().filter(|change| change.status.is_failure()) {
            for rank in change.ranks.iter() {
                let before = ends.insert(rank.index(), change.status.to_string());
                assert_eq!(before, None, "{rank} ends once");
            }
        }
    }
    ends
}

/// N2, N5, H6, H7, R1: what all together have died of need not fit into a message: whoever follows the mesh in another process
/// is told of each end, and whoever comes later as well; and who is well answers both.
#[tokio::test]
async fn a_mesh_is_followed_whatever_its_ranks_have_died_of() {
    let config = SessionConfig { body_bytes_max: BYTES_MAX, ..SessionConfig::default() };
    let net = FaultNet::with_config(1, Faults::none(), config);
    let (sites, made) = (net.clone(), AtomicUsize::new(0));
    let transports = move || {
        let site = format!("site-{}", made.fetch_add(1, Ordering::Relaxed));
        Arc::new(sites.transport(&site)) as Arc<dyn Transport>
    };
    let extent = format!("procs={RANKS}");
    let more = |registry: &mut actor_mesh::ActorRegistry| _ = registry.actor::<Brittle>();
    let world = World::of(&extent, Config::local(), transports, more).await;
    let spec = ActorSpec::<Brittle>::per_rank("brittle", |point| point.rank().index());
    let procs = world.procs.procs();
    let mesh = soon(actor_mesh::ActorMesh::spawn(&world.proc, &procs, spec)).await;
    let mesh = mesh.expect("they start");

    let [early, late] = [beside(&world, &net, "early").await, beside(&world, &net, "late").await];
    let mut told = soon(mesh.events(&early)).await.expect("it is told");
    let sick = mesh.slice("procs", 1..).expect("there are many");
    let not_sent = soon(sick.cast(&world.proc, Break)).await;
    assert!(not_sent.is_empty(), "{not_sent:?}");

    let is_right = |(rank, end): (&usize, &String)| end.contains(&words_of(*rank));
    let all = soon(ends(&mut told, RANKS - 1)).await;
    assert!(all.iter().all(is_right), "each with its words");
    let mut told = soon(mesh.events(&late)).await.expect("it is told");
    let first = soon(told.next()).await.expect("it begins");
    let News::Snapshot(all) = &first.news else { panic!("{first:?}") };
    assert_eq!((all.failed.len(), all.alive.len(), first.part), (RANKS - 1, 1, Part::WHOLE));
    for proc in [&early, &late] {
        answers(&mesh, proc).await;
    }
    states(&mesh, &late).await;
}

/// L7, C1: nor need what all are fit into an answer, to whoever asks, waits, or stops the mesh.
async fn states(mesh: &ActorMeshRef<Brittle>, proc: &Proc) {
    let by = |progress| mesh.wait(proc, progress, Duration::from_millis(200));
    let missing = soon(by(Progress::Running)).await.expect("it is answered");
    assert_eq!(missing.complete(), Ok(()), "all have been so far");
    let missing = soon(by(Progress::Ended)).await.expect("it is answered");
    assert_eq!(*missing, RankSet::from(0..1), "one has not ended");
    let state = soon(mesh.state(proc)).await.expect("it is told");
    let one = state.ranks.get(Rank::new(0)).map(|rank| rank.status.clone());
    assert_eq!((state.phase, one), (MeshPhase::Failed, Some(Status::Running)));
    let state = soon(mesh.stop(proc, Duration::from_secs(1))).await.expect("it is told");
    for (rank, RankState { status, .. }) in state.ranks.iter().enumerate() {
        let is_right = match rank {
            0 => *status == Status::Stopped,
            _ => status.to_string().contains(&words_of(rank)),
        };
        assert!(is_right, "{rank}: {status}");
    }
}

/// What all answer: one that it is well, and the others what they have died of.
async fn answers(mesh: &ActorMeshRef<Brittle>, proc: &Proc) {
    let answers = soon(mesh.call(proc, Answer).within(Duration::from_secs(15))).await;
    assert_eq!(answers.get(Rank::new(0)), Some(&Ok(0)));
    for (rank, answer) in answers.iter().enumerate().skip(1) {
        let Err(RankError::Ended(end)) = answer else { panic!("{rank}: {answer:?}") };
        assert!(end.to_string().contains(&words_of(rank)), "{rank}: {end}");
    }
}
