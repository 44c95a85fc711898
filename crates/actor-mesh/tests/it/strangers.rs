//! strangers: processes that have a ref of a mesh, and no session with the process of its controller.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use actor_mesh::{Choice, NoController, OneError, RankError, Sum};
use async_trait::async_trait;
use mesh_core::{Addr, DialError, Doors, Lane, News, Status, Trouble};
use mesh_runtime::{LocalTransport, Network, Proc};
use mesh_testkit::{Gate, Gated};
use tokio::time::{Instant, sleep, timeout};

use crate::support::{Add, World, all, sent, soon, world_and_guest};

/// Longer than anybody here waits.
const LONG: Duration = Duration::from_secs(60);

/// A process beside the world on its board, which has no session with anybody.
fn stranger(board: &LocalTransport) -> Network {
    let proc = Proc::local().expect("there is a runtime");
    Network::new(proc, Arc::new(board.another()), 0)
}

async fn listening(network: &Network, at: &str) -> Doors {
    let at = at.parse().expect("it is an address");
    network.listen(&at).await.expect("nobody else is there")
}

fn owner(world: &World) -> Network {
    Network::of(&world.proc).expect("it has one")
}

/// R1: what cannot be sent since nobody can be asked where the ranks are is told as that, and nobody waits for it; as soon
/// as there is a session, it is sent.
#[tokio::test(start_paused = true)]
async fn who_has_no_way_to_the_controller_is_told_so() {
    let board = LocalTransport::default();
    let (world, _guest, _) = world_and_guest("procs=3", &board).await;
    let (mesh, network) = (world.tools().await, stranger(&board));
    let (tools, proc) = (sent(mesh.mesh_ref()), network.proc());
    let why = RankError::NoController(NoController::NoSession);
    let begun = Instant::now();
    let answers = tools.call(proc, Add(1)).within(LONG).await;
    assert!(answers.iter().all(|it| *it == Err(why.clone())), "{answers:?}");
    // The first to ask gives one who is about to be met a moment.
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());

    let begun = Instant::now();
    let not_sent = tools.cast(proc, Add(1)).within(LONG).await;
    assert!(not_sent.len() == 3 && not_sent.iter().all(|(_, it)| *it == why), "{not_sent:?}");
    let sum = tools.reduce(proc, Add(1), Sum).within(LONG).await;
    assert!(sum.failed.len() == 3 && sum.failed.iter().all(|(_, it)| *it == why), "{sum:?}");
    let one = tools.choose(Choice::Random).within(LONG);
    let no_session = OneError::NoController(NoController::NoSession);
    assert_eq!(one.call(proc, Add(1)).await, Err(no_session.clone()));
    assert_eq!(one.cast(proc, Add(1)).await, Err(no_session));
    assert_eq!(begun.elapsed(), Duration::ZERO, "all of that is known by now");

    let doors = listening(&network, "local://stranger").await;
    owner(&world).dial(proc.peer(), &doors).await.expect("it listens");
    assert_eq!(all(&soon(tools.call(proc, Add(1))).await), [1, 11, 21], "nothing was sent before");
}

/// N10: so is who waits for word that the controller is lost, each of them; until there is a session.
#[tokio::test(start_paused = true)]
async fn who_has_no_way_to_the_controller_is_told_that_it_is_lost() {
    let board = LocalTransport::default();
    let (world, _guest, _) = world_and_guest("procs=2", &board).await;
    let (mesh, network) = (world.tools().await, stranger(&board));
    let (tools, proc) = (sent(mesh.mesh_ref()), network.proc());
    let begun = Instant::now();
    for told in [tools.controller_lost(proc), tools.controller_lost(proc)] {
        let told = soon(told).await.expect("it is told");
        assert_eq!(told.news, News::Trouble(Trouble::ControllerLost));
        assert_eq!(&told.mesh, tools.label());
    }
    // The first to ask gives one who is about to be met a moment.
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());

    let doors = listening(&network, "local://stranger").await;
    owner(&world).dial(proc.peer(), &doors).await.expect("it listens");
    let is_told = timeout(LONG, tools.controller_lost(proc)).await;
    assert!(is_told.is_err(), "it is heard: {is_told:?}");
}

/// N9, N10: who is met a moment after he was given a ref is not told so.
#[tokio::test(start_paused = true)]
async fn who_is_met_in_a_moment_is_not_told_that_the_controller_is_lost() {
    let board = LocalTransport::default();
    let (world, _guest, _) = world_and_guest("procs=2", &board).await;
    let (mesh, network) = (world.tools().await, stranger(&board));
    let doors = listening(&network, "local://stranger").await;
    let (tools, proc) = (sent(mesh.mesh_ref()), network.proc().clone());
    let lost = tokio::spawn(tools.controller_lost(&proc));
    sleep(Duration::from_millis(500)).await;
    owner(&world).dial(proc.peer(), &doors).await.expect("it listens");
    let is_told = timeout(LONG, lost).await;
    assert!(is_told.is_err(), "it was never lost: {is_told:?}");
}

/// R1: a process that is met a moment after it was given a ref sends what it was asked to before.
#[tokio::test(start_paused = true)]
async fn who_is_met_in_a_moment_is_not_told_that_there_is_no_way() {
    let board = LocalTransport::default();
    let (world, _guest, _) = world_and_guest("procs=2", &board).await;
    let (mesh, network) = (world.tools().await, stranger(&board));
    let doors = listening(&network, "local://stranger").await;
    let (tools, proc) = (sent(mesh.mesh_ref()), network.proc().clone());
    let peer = proc.peer();
    let call = tokio::spawn(async move { tools.call(&proc, Add(1)).await });
    sleep(Duration::from_millis(700)).await;
    owner(&world).dial(peer, &doors).await.expect("it listens");
    assert_eq!(all(&soon(call).await.expect("it does not panic")), [1, 11]);
}

/// Takes its time to open a session with the owner, or for ever.
struct Slow(Option<Duration>);

#[async_trait]
impl Gate for Slow {
    async fn dial(&self, to: &Addr, _: Lane) -> Result<(), DialError> {
        match self.0 {
            _ if !to.to_string().contains("owner") => (),
            Some(time) => sleep(time).await,
            None => pending().await,
        }
        Ok(())
    }
}

/// R1: a session that is being opened from here is waited for, and for no longer than the call may take.
#[tokio::test(start_paused = true)]
async fn a_session_that_is_being_opened_is_waited_for() {
    for time in [Some(Duration::from_secs(4)), None] {
        let board = LocalTransport::default();
        let (world, _guest, _) = world_and_guest("procs=2", &board).await;
        let doors = listening(&owner(&world), "local://owner").await;
        let (mesh, proc) = (world.tools().await, Proc::local().expect("there is a runtime"));
        let slow = Gated::new(Arc::new(board.another()), Arc::new(Slow(time)));
        let network = Network::new(proc.clone(), Arc::new(slow), 0);
        // Also if there was none for long enough to be told so.
        let answers = sent(mesh.mesh_ref()).call(&proc, Add(0)).await;
        let none = Err(RankError::NoController(NoController::NoSession));
        assert!(answers.iter().all(|it| *it == none), "{answers:?}");
        let peer = world.proc.peer();
        drop(tokio::spawn(async move { network.dial(peer, &doors).await.is_ok() }));
        sleep(Duration::from_millis(10)).await;
        let (begun, within) = (Instant::now(), Duration::from_secs(12));
        let answers = sent(mesh.mesh_ref()).call(&proc, Add(1)).within(within).await;
        let silent = Err(RankError::NoController(NoController::Silent { within }));
        match time {
            Some(_) => assert_eq!(all(&answers), [1, 11]),
            None => assert!(answers.iter().all(|it| *it == silent), "{answers:?}"),
        }
        assert!(begun.elapsed() <= within, "{:?}", begun.elapsed());
    }
}

/// R1, N9: a session that was lost is opened again, as a rule, by whoever watches the process: so that is waited for, and
/// not for ever.
#[tokio::test(start_paused = true)]
async fn a_session_that_was_just_lost_is_waited_for() {
    for is_met_again in [true, false] {
        let board = LocalTransport::default();
        let (world, guest, doors) = world_and_guest("procs=2", &board).await;
        let (mesh, proc) = (world.tools().await, guest.proc().clone());
        board.cut(proc.id());
        let (tools, begun) = (sent(mesh.mesh_ref()), Instant::now());
        let caller = proc.clone();
        let call = tokio::spawn(async move { tools.call(&caller, Add(1)).within(LONG).await });
        sleep(Duration::from_secs(3)).await;
        if is_met_again {
            owner(&world).dial(proc.peer(), &doors).await.expect("it listens");
            assert_eq!(all(&soon(call).await.expect("it does not panic")), [1, 11]);
        } else {
            let answers = soon(call).await.expect("it does not panic");
            let why = Err(RankError::NoController(NoController::NoSession));
            assert!(answers.iter().all(|it| *it == why), "{answers:?}");
            assert!(begun.elapsed() < Duration::from_secs(7), "{:?}", begun.elapsed());
            let state = soon(mesh.mesh_ref().state(&world.proc)).await.expect("it is answered");
            assert!(state.ranks.iter().all(|it| it.status == Status::Running), "{state:?}");
        }
    }
}
