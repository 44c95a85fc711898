//! refs: addresses of meshes that travel in messages.

use std::time::Duration;

use actor_mesh::ActorMeshRef;
use controller::Config;
use mesh_core::{ActorId, MeshRequest, News, Progress, Reply, Trouble};
use mesh_runtime::{ControlThread, LocalTransport, Network, Proc, ProcConfig, codec};
use mesh_shape::Rank;
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::support::{
    Add, AskOthers, Hang, Panic, SOON, Tool, Where, World, all, on_failure, sent, soon, tens,
    world, world_and_guest,
};

/// Longer than any test.
const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_ref_that_was_sent_to_an_actor_is_called_from_there() {
    let world = world("procs=3").await;
    let (askers, others) = (world.spawn(tens("askers")).await, world.spawn(tens("others")).await);
    let half = others.slice("procs", 1..).expect("there are two");
    let ask = AskOthers(half, 1);
    let one = askers.slice("procs", 2).expect("there is one");
    let answers = soon(one.call(&world.proc, ask)).await;
    assert_eq!(all(&answers), [vec![Some(11), Some(21)]]);
}

/// However many refs of a mesh come in messages, a process follows it once.
#[tokio::test]
async fn refs_that_come_in_messages_share_what_is_known() {
    let world = world("procs=2").await;
    let (askers, others) = (world.spawn(tens("askers")).await, world.spawn(tens("others")).await);
    let one = askers.slice("procs", 1..).expect("there is one");
    for n in 1..=20 {
        let answers = soon(one.call(&world.proc, AskOthers(others.mesh_ref().clone(), 1))).await;
        assert_eq!(all(&answers), [vec![Some(n), Some(10 + n)]]);
    }
    let asked = others.controller().ask(MeshRequest::GetSubscriberCount).await;
    assert_eq!(asked, Ok(Reply::Subscribers(1)), "the process of the asker");
}

#[tokio::test]
async fn a_ref_costs_the_same_for_few_ranks_and_for_many() {
    let (few, many) = (world("procs=2").await, world("procs=64").await);
    let (few, many) = (few.tools().await, many.tools().await);
    let size = |mesh: &ActorMeshRef<Tool>| codec::encode("ref", mesh).expect("it can be").len();
    assert_eq!(size(&few), size(&many));
    assert!(size(&many) < 256, "{}", size(&many));
}

/// C2, N10, R1: who follows a mesh by a ref is told at once that its owner has let go of it, here and elsewhere; so is
/// who waits for an answer, however long he would wait.
#[tokio::test(start_paused = true)]
async fn that_an_owner_lets_go_is_told_to_who_has_a_ref() {
    let board = LocalTransport::default();
    let (world, network, _doors) = world_and_guest("procs=2", &board).await;
    let (mesh, guest) = (world.tools().await, network.proc().clone());
    let tools = sent(mesh.mesh_ref());
    let mut followed = Vec::new();
    for proc in [&world.proc, &guest] {
        assert_eq!(all(&soon(tools.call(proc, Add(0))).await), [0, 10]);
        followed.push(soon(tools.events(proc)).await.expect("it is taken"));
    }
    let calls = [&world.proc, &guest].map(|proc| {
        let (tools, proc) = (tools.clone(), proc.clone());
        tokio::spawn(async move { tools.call(&proc, Hang).within(HOUR).await })
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let dropped = Instant::now();
    drop(mesh);
    for mut events in followed {
        let mut last = None;
        while let Some(event) = soon(events.next()).await {
            last = Some(event.news);
        }
        assert_eq!(last, Some(News::Trouble(Trouble::Abandoned)));
    }
    for call in calls {
        let answers = soon(call).await.expect("it does not panic");
        assert!(answers.iter().all(Result::is_err), "{answers:?}");
    }
    assert!(dropped.elapsed() < Duration::from_secs(1), "{:?}", dropped.elapsed());
}

/// N10, N9: that the controller is silent is told to all who wait on a ref, once for each silence, and no rank
/// is taken for failed.
#[tokio::test(start_paused = true)]
async fn the_silence_of_a_controller_is_told_to_whoever_waits_on_a_ref() {
    let board = LocalTransport::default();
    let (world, network, doors) = world_and_guest("procs=2", &board).await;
    let (mesh, guest, config) = (world.tools().await, network.proc().clone(), Config::local());
    let owner = Network::of(&world.proc).expect("it has one");
    let tools = sent(mesh.mesh_ref());
    assert_eq!(all(&soon(tools.call(&guest, Add(1))).await), [1, 11]);

    let lost = || tokio::spawn(tools.controller_lost(&guest));
    let waiting = [lost(), lost()];
    board.cut(guest.id());
    let since = Instant::now();
    for waits in waiting {
        let told = soon(waits).await.expect("it does not panic").expect("it is told");
        assert_eq!(told.news, News::Trouble(Trouble::ControllerLost));
        assert_eq!(told.mesh.id(), tools.label().id());
    }
    let silent = since.elapsed();
    let periods = config.times.check * 2..config.times.check * 4;
    assert!(periods.contains(&silent), "{silent:?}");
    // Also who comes later; and the ranks are there, once there is a way to them.
    assert!(soon(lost()).await.expect("it does not panic").is_some());
    for rank in 0..2 {
        let seat = world.procs.procs().seat(Rank::new(rank)).expect("it is there");
        network.dial(seat.peer, &seat.doors.expect("it has some")).await.expect("it listens");
    }
    assert_eq!(all(&soon(tools.call(&guest, Add(1))).await), [2, 12]);

    // The next word of the controller ends it.
    owner.dial(guest.peer(), &doors).await.expect("it listens");
    tokio::time::sleep(config.times.check * 12).await;
    let is_told = tokio::time::timeout(config.times.check * 12, lost()).await;
    assert!(is_told.is_err(), "it is heard again: {is_told:?}");
    // And whoever waits is let go of with the mesh.
    let waits = lost();
    mesh.stop(config.times.check).await.expect("it is answered");
    assert!(soon(waits).await.expect("it does not panic").is_none());
}

/// L7, RS1: whoever has waited until all run calls all of them, in the lives that were waited for; also where the process
/// that asks hears of those a little later than who answers.
#[tokio::test]
async fn who_has_waited_for_the_next_life_reaches_it() {
    // What supervises has a thread of its own, as in a program.
    let control = ControlThread::start("control").expect("it starts");
    let config = ProcConfig { control: Some(control.handle().clone()), ..ProcConfig::local() };
    let world = World::on(Proc::start(config, Handle::current()), "procs=3").await;
    for _ in 0..4 {
        let tools = world.spawn(tens("tools").restart(on_failure())).await;
        for _ in 0..8 {
            let failed = soon(tools.call(&world.proc, Panic(10))).await;
            assert_eq!(failed.iter().filter(|it| it.is_err()).count(), 1, "{failed:?}");
            let wait = tools.wait(&world.proc, Progress::Running, SOON);
            soon(wait).await.expect("it is answered").complete().expect("all run");
            let answers = soon(tools.call(&world.proc, Add(0))).await;
            assert!(answers.iter().all(Result::is_ok), "{answers:?}");
        }
    }
}

/// L7: a wait has an answer where nobody says any more what becomes of the ranks, and none of them can be asked.
#[tokio::test(start_paused = true)]
async fn a_wait_for_what_nobody_tells_of_ends() {
    let board = LocalTransport::default();
    let (world, network, _doors) = world_and_guest("procs=2", &board).await;
    let (mesh, guest) = (world.tools().await, network.proc().clone());
    let tools = sent(mesh.mesh_ref());
    assert_eq!(all(&soon(tools.call(&guest, Add(0))).await), [0, 10]);
    let waits = tokio::spawn(async move { tools.wait(&guest, Progress::Ended, HOUR).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let begun = Instant::now();
    (0..2).for_each(|rank| world.procs.crash(Rank::new(rank)));
    drop(mesh);
    let missing = soon(waits).await.expect("it does not panic");
    assert!(missing.expect("it is known where they were").len() <= 2);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

/// R3: what comes back names its rank.
#[tokio::test]
async fn an_actor_is_named_by_its_rank() {
    let world = world("procs=3").await;
    let tools = world.tools().await;
    let actors = all(&soon(tools.call(&world.proc, Where)).await);
    let upper = tools.slice("procs", 1..).expect("there are two");
    let ranks = |mesh: &ActorMeshRef<Tool>| {
        let each = actors.iter().map(|actor| mesh.rank_of(&world.proc, *actor));
        each.map(|rank| rank.map(Rank::index)).collect::<Vec<_>>()
    };
    assert_eq!(ranks(&tools), [Some(0), Some(1), Some(2)]);
    assert_eq!(ranks(&upper), [None, Some(0), Some(1)]);
    let stranger = ActorId { index: 1 << 40, ..actors[0] };
    assert_eq!(tools.rank_of(&world.proc, stranger), None);
}

/// R3: also when it has ended, and the next ones have begun.
#[tokio::test(start_paused = true)]
async fn an_actor_of_a_life_that_is_over_is_named_by_its_rank() {
    let world = world("procs=3").await;
    let (tools, others) =
        (world.spawn(tens("tools").restart(on_failure())).await, world.spawn(tens("others")).await);
    let mut lives = Vec::new();
    for _ in 0..4 {
        let actors = soon(async {
            loop {
                let actors = tools.call(&world.proc, Where).await;
                if actors.iter().all(Result::is_ok) {
                    break all(&actors);
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        lives.push(actors.await[1]);
        assert!(soon(tools.cast(&world.proc, Panic(10))).await.is_empty());
    }
    lives.dedup();
    assert_eq!(lives.len(), 4);
    let ranks = lives.iter().map(|actor| tools.rank_of(&world.proc, *actor));
    assert_eq!(ranks.collect::<Vec<_>>(), [Some(Rank::new(1)); 4]);
    let strangers = all(&soon(others.call(&world.proc, Where)).await);
    let ranks = strangers.iter().map(|actor| tools.rank_of(&world.proc, *actor));
    assert_eq!(ranks.collect::<Vec<_>>(), [None; 3], "they live in the same processes");
}
