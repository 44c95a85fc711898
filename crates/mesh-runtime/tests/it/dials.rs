//! dials: several who need a way to the same process at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use mesh_core::{Addr, DialError, Doors, Inbound, Lane, ListenError, Outbound, ProcId, Transport};
use mesh_runtime::{LocalTransport, Network, Proc};
use tokio::time::timeout;

/// Takes its time to open a session, and counts them.
struct Slow {
    inner: LocalTransport,
    n_dials: Arc<AtomicUsize>,
}

#[async_trait]
impl Transport for Slow {
    async fn listen(
        &self,
        at: &Addr,
        lane: Lane,
        into: Arc<dyn Inbound>,
    ) -> Result<Addr, ListenError> {
        self.inner.listen(at, lane, into).await
    }

    async fn dial(
        &self,
        to: &Addr,
        peer: ProcId,
        lane: Lane,
        into: Arc<dyn Inbound>,
    ) -> Result<Arc<dyn Outbound>, DialError> {
        self.n_dials.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.inner.dial(to, peer, lane, into).await
    }
}

async fn two() -> (Network, Network, Doors, Arc<AtomicUsize>) {
    let (board, n_dials) = (LocalTransport::default(), Arc::new(AtomicUsize::new(0)));
    let proc = || Proc::local().expect("there is a runtime");
    let there = Network::new(proc(), Arc::new(board.another()), 0);
    let doors = there.listen(&"local://there".parse().expect("it is one")).await;
    let slow = Slow { inner: board, n_dials: Arc::clone(&n_dials) };
    (Network::new(proc(), Arc::new(slow), 0), there, doors.expect("nobody listens there"), n_dials)
}

/// N9: over TCP a second session would end the first, and what is on its way by it would come back as lost.
#[tokio::test(start_paused = true)]
async fn a_process_that_is_dialled_by_many_at_once_is_dialled_once() {
    let (here, there, doors, n_dials) = two().await;
    let peer = there.proc().peer();
    let (one, other) = tokio::join!(here.dial(peer, &doors), here.dial(peer, &doors));
    assert_eq!((one, other), (Ok(()), Ok(())));
    assert_eq!(n_dials.load(Ordering::Relaxed), 2, "once for each lane");
}

/// Whoever does not wait for the end of it leaves no second one behind.
#[tokio::test(start_paused = true)]
async fn a_dial_that_nobody_waits_for_is_waited_for_by_the_next() {
    let (here, there, doors, n_dials) = two().await;
    let peer = there.proc().peer();
    let dropped = timeout(Duration::from_millis(100), here.dial(peer, &doors)).await;
    assert!(dropped.is_err(), "it takes longer");
    assert_eq!(here.dial(peer, &doors).await, Ok(()));
    assert_eq!(n_dials.load(Ordering::Relaxed), 2, "once for each lane");
}
