//! Many answers in one place, without actors.

use std::sync::atomic::AtomicUsize;
use std::task::Wake;

use mesh_core::{Incarnation, ProcId};

use super::*;

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Count {
    fn new() -> (Arc<Self>, Waker) {
        let count = Arc::new(Self::default());
        (Arc::clone(&count), Waker::from(count))
    }

    fn n(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

fn peer(n: u128) -> PeerId {
    PeerId { proc: ProcId::from_random(n), life: Incarnation::FIRST }
}

fn lost() -> Fault {
    Fault::Undelivered(WhyUndelivered::PeerLost)
}

#[test]
fn who_waits_for_all_is_woken_by_the_last_answer_and_by_each_fault() {
    let (count, waker) = Count::new();
    let gather = Gather::<u8>::of(4);
    assert!(gather.poll_some(&waker).is_pending());
    gather.slot(2).settle(Ok(2)).unwrap();
    assert_eq!(count.n(), 0);
    gather.slot(0).settle(Err(lost())).unwrap();
    assert_eq!(count.n(), 1);
    assert_eq!(gather.poll_some(&waker), Poll::Ready(Some(vec![(2, Ok(2)), (0, Err(lost()))])));
    assert!(gather.poll_some(&waker).is_pending());
    gather.slot(1).settle(Ok(1)).unwrap();
    assert_eq!(count.n(), 1);
    gather.slot(3).settle(Ok(3)).unwrap();
    assert_eq!(count.n(), 2);
    assert_eq!(gather.poll_some(&waker), Poll::Ready(Some(vec![(1, Ok(1)), (3, Ok(3))])));
    assert_eq!(gather.poll_some(&waker), Poll::Ready(None));
}

#[test]
fn who_waits_for_each_is_woken_by_each_once_it_has_looked() {
    let (count, waker) = Count::new();
    let gather = Gather::<u8>::from_peers(3, Vec::new(), Wakes::ForEach);
    assert!(gather.poll_some(&waker).is_pending());
    gather.slot(2).settle(Ok(2)).unwrap();
    gather.slot(0).settle(Ok(0)).unwrap();
    assert_eq!(count.n(), 1);
    assert_eq!(gather.poll_some(&waker), Poll::Ready(Some(vec![(2, Ok(2)), (0, Ok(0))])));
    assert!(gather.poll_some(&waker).is_pending());
    gather.slot(1).settle(Ok(1)).unwrap();
    assert_eq!(count.n(), 2);
}

/// R1. What a peer that was lost says later is not heard.
#[test]
fn a_lost_peer_settles_what_it_has_not_answered_and_nothing_else() {
    let (count, waker) = Count::new();
    let peers = vec![Some(peer(1)), Some(peer(2)), Some(peer(1)), None];
    let gather = Gather::<u8>::from_peers(4, peers, Wakes::AtTheEnd);
    assert!(gather.poll_some(&waker).is_pending());
    gather.slot(2).settle(Ok(2)).unwrap();
    gather.lost(peer(1));
    assert_eq!(count.n(), 1);
    assert_eq!(gather.poll_some(&waker), Poll::Ready(Some(vec![(2, Ok(2)), (0, Err(lost()))])));
    assert_eq!(gather.slot(0).settle(Ok(0)), Err(Ok(0)));
    let abandoned = [0, 1, 2, 3].map(|index| gather.slot(index).is_abandoned());
    assert_eq!(abandoned, [true, false, true, false]);
    gather.lost(peer(1));
    assert!(gather.poll_some(&waker).is_pending());
}
