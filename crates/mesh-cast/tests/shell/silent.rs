//! silent: processes that answer nobody any more, and those behind them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use mesh_cast::shell::{CasterRef, GetSeats, Table, Tellings, Told};
use mesh_cast::{Kind, Outcome};
use mesh_core::{MeshId, ProcSeat};
use mesh_runtime::{Actor, Context, Handler, Handlers, ReplyTo};
use mesh_shape::Rank;
use mesh_testkit::fault_net::{FaultNet, Faults, SessionConfig};
use tokio::time::Instant;

use crate::world::{Later, World, replies, site};

/// R1: a forwarder has ended and stays away. Those below it hear that a call is open, however long that is, and
/// do not forget it.
#[tokio::test(start_paused = true)]
async fn a_long_call_is_not_forgotten_below_a_forwarder_that_has_ended() {
    let net = FaultNet::new(1, Faults::none());
    let world = World::new(&net, 9, 2).await;
    assert!(world.call(0).await.iter().all(Result::is_ok));
    // One that the caster sends to itself, and one that a forwarder sends to.
    for victim in [4, 2] {
        net.crash(&site(victim));
    }
    let outcomes = world.post(Kind::Call, &Later(700), None).await;
    let replies = replies::<Later>(outcomes, 9, Duration::from_secs(800)).await;
    let answered: Vec<usize> = (0..9).filter(|rank| replies[*rank].is_ok()).collect();
    assert_eq!(answered, [0, 1, 3, 5, 6, 7, 8]);
}

/// R1: the same below one that has forgotten the mesh, since nothing was cast for long, and that the call does not
/// go by.
#[tokio::test(start_paused = true)]
async fn a_long_call_is_not_forgotten_below_a_forwarder_that_has_forgotten_the_mesh() {
    let net = FaultNet::new(1, Faults::none());
    let world = World::new(&net, 7, 2).await;
    assert!(world.call(0).await.iter().all(Result::is_ok));
    tokio::time::sleep(Duration::from_secs(700)).await;
    let asked = world.post(Kind::Call, &Later(700), Some(1..2)).await;
    let replies = replies::<Later>(asked, 1, Duration::from_secs(800)).await;
    assert_eq!(replies, [Ok(())]);
}

/// R1: forwarders are suspended when all below them have a call, and keep what these reply: so they are asked again,
/// without them.
#[tokio::test(start_paused = true)]
async fn a_suspended_forwarder_keeps_nobody_elses_replies() {
    // Sessions with suspended processes are kept: the kernel takes what comes for them.
    let sessions =
        SessionConfig { delivery: Duration::from_secs(3600), ..SessionConfig::default() };
    let net = FaultNet::with_config(1, Faults::none(), sessions);
    let world = World::new(&net, 9, 2).await;
    assert!(world.call(0).await.iter().all(Result::is_ok));
    let (begun, long) = (Instant::now(), Duration::from_secs(20));
    let mut asked = world.post(Kind::Call, &Later(long.as_secs()), None).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    // One that the caster sends to itself, and one that a forwarder sends to.
    let suspended = [4, 2];
    suspended.iter().for_each(|rank| net.pause(&site(*rank)));
    let mut replied = BTreeSet::new();
    while replied.len() < 7 {
        replied.extend(next_replies(&mut asked, Duration::from_secs(60)).await);
    }
    assert_eq!(replied, BTreeSet::from([0, 1, 3, 5, 6, 7, 8]));
    assert!(begun.elapsed() < long + Duration::from_secs(5), "{:?}", begun.elapsed());
    suspended.iter().for_each(|rank| net.resume(&site(*rank)));
    while replied.len() < 9 {
        for rank in next_replies(&mut asked, Duration::from_secs(60)).await {
            assert!(replied.insert(rank), "{rank} has replied before");
        }
    }
}

/// Who has replied.
async fn next_replies(outcomes: &mut Tellings, within: Duration) -> Vec<usize> {
    let news = tokio::time::timeout(within, outcomes.recv()).await;
    let news = news.expect("it does not take that long").expect("some have not replied");
    let Told::Outcomes(news) = news else { panic!("nothing was to be merged: {news:?}") };
    assert!(news.iter().all(|(_, it)| matches!(it, Outcome::Replied(_))), "{news:?}");
    news.iter().map(|(rank, _)| rank.index()).collect()
}

/// Knows where everybody is, and does not say so.
struct Mute;

impl Actor for Mute {
    const NAME: &'static str = "mute";
    type Params = ();

    async fn start((): (), _: &mut Context<Self>) -> Result<Self, mesh_runtime::Failure> {
        Ok(Self)
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<GetSeats>();
    }
}

impl Handler<GetSeats> for Mute {
    async fn handle(
        &mut self,
        _: GetSeats,
        _: &mut Context<Self>,
    ) -> Result<Vec<(Rank, ProcSeat)>, mesh_runtime::Failure> {
        Ok(Vec::new())
    }

    async fn handle_call(
        &mut self,
        _: GetSeats,
        reply: ReplyTo<Vec<(Rank, ProcSeat)>>,
        _: &mut Context<Self>,
    ) -> Result<(), mesh_runtime::Failure> {
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(60)).await;
            drop(reply);
        });
        Ok(())
    }
}

/// R1: a forwarder looks in vain for a process; meanwhile that one has opened a session and asked it something.
/// Its answer waits behind what cannot be sent, and is not dropped with it.
#[tokio::test(start_paused = true)]
async fn an_answer_goes_by_a_session_that_was_opened_meanwhile() {
    let net = FaultNet::new(1, Faults::none());
    let mut world = World::new(&net, 4, 2).await;
    // Two meshes on the same processes, one in the order of the other turned around: the first of one sends to
    // the second, and of the other it gets what the second sends.
    let known = Arc::clone(&world.table);
    let turned = Table {
        mesh: MeshId::from_random(9 << 64),
        region: Arc::new(known.region.flip("r").expect("there is such a dim")),
        seats: (0..4).rev().filter_map(|rank| known.seats.get(Rank::new(rank)).copied()).collect(),
        ..Table::clone(&known)
    };
    let mute = world.caller().spawn::<Mute>(()).id();
    world.table = Arc::new(Table { directory: mute, ..Table::clone(&known) });
    let slow = world.post(Kind::Call, &Later(0), None).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let caster = CasterRef::of(world.caller(), turned.mesh);
    let here = std::mem::replace(&mut world.caster, caster);
    world.table = Arc::new(turned);
    let asked = world.post(Kind::Call, &Later(1), None).await;
    let within = Duration::from_secs(60);
    assert!(replies::<Later>(asked, 4, within).await.iter().all(Result::is_ok), "turned");
    assert!(replies::<Later>(slow, 4, within).await.iter().all(Result::is_ok), "as they are");
    drop(here);
}
