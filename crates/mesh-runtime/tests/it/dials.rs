//! dials: several who need a way to the same process at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use mesh_core::{Addr, DialError, Doors, Lane};
use mesh_runtime::{LocalTransport, Network, Proc};
use mesh_testkit::{Gate, Gated};
use tokio::time::{sleep, timeout};

/// Takes its time to open a session, and counts them.
#[derive(Default)]
struct Slow(AtomicUsize);

#[async_trait]
impl Gate for Slow {
    async fn dial(&self, _: &Addr, _: Lane) -> Result<(), DialError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        sleep(Duration::from_secs(1)).await;
        Ok(())
    }
}

async fn two() -> (Network, Network, Doors, Arc<Slow>) {
    let (board, slow) = (LocalTransport::default(), Arc::new(Slow::default()));
    let proc = || Proc::local().expect("there is a runtime");
    let there = Network::new(proc(), Arc::new(board.another()), 0);
    let doors = there.listen(&"local://there".parse().expect("it is one")).await;
    let gated = Gated::new(Arc::new(board), Arc::clone(&slow) as Arc<dyn Gate>);
    (Network::new(proc(), Arc::new(gated), 0), there, doors.expect("nobody listens there"), slow)
}

/// N9: over TCP a second session would end the first, and what is on its way by it would come back as lost.
#[tokio::test(start_paused = true)]
async fn a_process_that_is_dialled_by_many_at_once_is_dialled_once() {
    let (here, there, doors, slow) = two().await;
    let peer = there.proc().peer();
    let (one, other) = tokio::join!(here.dial(peer, &doors), here.dial(peer, &doors));
    assert_eq!((one, other), (Ok(()), Ok(())));
    assert_eq!(slow.0.load(Ordering::Relaxed), 2, "once for each lane");
}

/// Whoever does not wait for the end of it leaves no second one behind.
#[tokio::test(start_paused = true)]
async fn a_dial_that_nobody_waits_for_is_waited_for_by_the_next() {
    let (here, there, doors, slow) = two().await;
    let peer = there.proc().peer();
    let dropped = timeout(Duration::from_millis(100), here.dial(peer, &doors)).await;
    assert!(dropped.is_err(), "it takes longer");
    assert_eq!(here.dial(peer, &doors).await, Ok(()));
    assert_eq!(slow.0.load(Ordering::Relaxed), 2, "once for each lane");
}

/// R1: whoever waits for a session knows whether one may well come.
#[tokio::test(start_paused = true)]
async fn a_session_may_come_while_it_is_dialled_and_for_a_while_after_it_was_lost() {
    let (here, there, doors, _) = two().await;
    let peer = there.proc().peer();
    assert!(!here.may_meet(peer), "nobody dials it");
    let meanwhile = async {
        sleep(Duration::from_millis(100)).await;
        here.may_meet(peer)
    };
    let dialled = tokio::join!(here.dial(peer, &doors), meanwhile);
    assert_eq!(dialled, (Ok(()), true));
    there.leave();
    let mut may_meet = Vec::new();
    for _ in 0..2 {
        sleep(Duration::from_secs(4)).await;
        may_meet.push(here.may_meet(peer));
    }
    assert_eq!(may_meet, [true, false]);
}

/// Who has left is gone, however long somebody keeps a hand on its process or its transport.
#[tokio::test]
async fn a_process_that_has_left_takes_no_session_and_opens_none() {
    let board = LocalTransport::default();
    let network = |transport: LocalTransport| {
        Network::new(Proc::local().expect("there is a runtime"), Arc::new(transport), 0)
    };
    let (here, there) = (network(board.another()), network(board.another()));
    let at = |name: &str| format!("local://{name}").parse().expect("it is one");
    let here_doors = here.listen(&at("here")).await.expect("nobody listens there");
    let there_doors = there.listen(&at("there")).await.expect("nobody listens there");
    let (here_peer, there_peer) = (here.proc().peer(), there.proc().peer());
    assert_eq!(here.dial(there_peer, &there_doors).await, Ok(()));
    there.leave();
    assert!(!here.is_open(there_peer));
    let refused = here.dial(there_peer, &there_doors).await;
    assert!(matches!(refused, Err(DialError::Os { .. })), "{refused:?}");
    _ = there.dial(here_peer, &here_doors).await.is_ok();
    assert!(!here.is_open(there_peer) && !there.is_open(here_peer));
}
