//! Many answers in one place, without actors.

use std::future::poll_fn;
use std::sync::atomic::AtomicUsize;
use std::task::Wake;
use std::time::Duration;

use mesh_core::{Incarnation, ProcId, SessionEnd};
use tokio::runtime::Builder;
use tokio::time::timeout;

use super::*;
use crate::actor::Actor;
use crate::broadcast::Near;
use crate::context::Context;
use crate::failure::Failure;

struct Nobody;

impl Actor for Nobody {
    const NAME: &'static str = "nobody";
    type Params = ();

    async fn start((): (), _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self)
    }
}

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
    gather.slot(2).unwrap().settle(Ok(2)).unwrap();
    assert_eq!(count.n(), 0);
    gather.slot(0).unwrap().settle(Err(lost())).unwrap();
    assert_eq!(count.n(), 1);
    assert_eq!(gather.poll_some(&waker), Poll::Ready(Some(vec![(2, Ok(2)), (0, Err(lost()))])));
    assert!(gather.poll_some(&waker).is_pending());
    gather.slot(1).unwrap().settle(Ok(1)).unwrap();
    assert_eq!(count.n(), 1);
    gather.slot(3).unwrap().settle(Ok(3)).unwrap();
    assert_eq!(count.n(), 2);
    assert_eq!(gather.poll_some(&waker), Poll::Ready(Some(vec![(1, Ok(1)), (3, Ok(3))])));
    assert_eq!(gather.poll_some(&waker), Poll::Ready(None));
}

#[test]
fn who_waits_for_each_is_woken_by_each_once_it_has_looked() {
    let (count, waker) = Count::new();
    let gather = Gather::<u8>::of_callees(Arc::new(vec![None, None, None]), Wakes::ForEach);
    assert!(gather.poll_some(&waker).is_pending());
    gather.slot(2).unwrap().settle(Ok(2)).unwrap();
    gather.slot(0).unwrap().settle(Ok(0)).unwrap();
    assert_eq!(count.n(), 1);
    assert_eq!(gather.poll_some(&waker), Poll::Ready(Some(vec![(2, Ok(2)), (0, Ok(0))])));
    assert!(gather.poll_some(&waker).is_pending());
    gather.slot(1).unwrap().settle(Ok(1)).unwrap();
    assert_eq!(count.n(), 2);
}

/// Some who are near, by the sessions with their peers, which last until they are told to end.
fn near(peers: [Option<u128>; 4]) -> (Arc<dyn Callees>, [SessionEnd; 4]) {
    let of_transport = SessionEnd::default();
    let sessions = [(); 4].map(|()| of_transport.another());
    let near = peers.iter().zip(&sessions).map(|(number, session)| {
        number.map(|number| Near::of_nobody::<Nobody>(peer(number), session))
    });
    (Arc::new(near.collect::<Vec<_>>()), sessions)
}

/// R1. What a peer that was lost says later is not heard.
#[test]
fn a_lost_peer_settles_what_it_has_not_answered_and_nothing_else() {
    let (count, waker) = Count::new();
    let (callees, sessions) = near([Some(1), Some(2), Some(1), None]);
    let gather = Gather::<u8>::of_callees(callees, Wakes::AtTheEnd);
    assert!(gather.poll_some(&waker).is_pending());
    gather.slot(2).unwrap().settle(Ok(2)).unwrap();
    gather.lost(peer(1));
    assert_eq!(count.n(), 0, "another session with it has ended");
    assert!([0, 2].iter().all(|place| sessions[*place].end()));
    gather.lost(peer(1));
    assert_eq!(count.n(), 1);
    assert_eq!(gather.poll_some(&waker), Poll::Ready(Some(vec![(2, Ok(2)), (0, Err(lost()))])));
    assert_eq!(gather.slot(0).unwrap().settle(Ok(0)), Err(Ok(0)));
    let abandoned = [0, 1, 2, 3].map(|index| gather.slot(index).unwrap().is_abandoned());
    assert_eq!(abandoned, [true, false, true, false]);
    gather.lost(peer(1));
    assert!(gather.poll_some(&waker).is_pending());
}

/// R1, H2: whoever is told of the loss is told after the session has ended, and perhaps before this place hears of it.
#[test]
fn what_is_said_past_a_session_that_has_ended_is_not_heard_before_the_loss_is_told_either() {
    let (count, waker) = Count::new();
    let (callees, sessions) = near([Some(1), Some(2), Some(3), None]);
    let gather = Gather::<u8>::of_callees(callees, Wakes::AtTheEnd);
    assert!(gather.poll_some(&waker).is_pending());
    assert!(sessions.iter().all(SessionEnd::end));
    gather.slot(2).unwrap().goes_by_session();
    assert_eq!(gather.slot(0).unwrap().settle(Ok(0)), Err(Ok(0)));
    assert_eq!(count.n(), 1);
    assert_eq!(
        gather.slot(1).unwrap().settle(Err(Fault::Unanswered(None))),
        Err(Err(Fault::Unanswered(None)))
    );
    gather.slot(2).unwrap().settle(Ok(2)).unwrap();
    gather.slot(3).unwrap().settle(Ok(3)).unwrap();
    gather.lost(peer(3));
    let all = vec![(0, Err(lost())), (1, Err(lost())), (2, Ok(2)), (3, Ok(3))];
    assert_eq!(gather.poll_some(&waker), Poll::Ready(Some(all)));
    assert_eq!(gather.poll_some(&waker), Poll::Ready(None));
}

/// R1: whoever waits no longer, at a deadline, has all that was answered in time.
#[test]
fn what_has_come_is_there_at_any_time_and_once() {
    for wakes in [Wakes::AtTheEnd, Wakes::ForEach] {
        let n = 3 * BLOCK + 5;
        let callees = (0..n).map(|_| None).collect::<Vec<Option<Near>>>();
        let gather = Gather::<u32>::of_callees(Arc::new(callees), wakes);
        assert!(gather.poll_some(Waker::noop()).is_pending());
        let some = [0, 1, BLOCK, n - 1];
        some.iter().for_each(|place| gather.slot(*place).unwrap().settle(Ok(*place)).unwrap());
        let Poll::Ready(Some(taken)) = gather.poll_some(Waker::noop()) else {
            panic!("{wakes:?}: they have come");
        };
        assert_eq!(taken, some.map(|place| (place, Ok(place))));
        assert!(gather.poll_some(Waker::noop()).is_pending());
        assert!(gather.slot(n).is_none());
        let all = gather.abandon();
        assert_eq!((all.len(), all.iter().flatten().count()), (n as usize, 0));
    }
}

/// R1: each answer is taken, and whoever sleeps is woken for it, whichever threads they come from.
#[test]
fn what_comes_from_many_threads_is_all_taken() {
    const ROUNDS: usize = 200;
    const N: u32 = 4 * BLOCK + 7;
    let runtime = Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap();
    for wakes in [Wakes::AtTheEnd, Wakes::ForEach].repeat(ROUNDS) {
        let callees = (0..N).map(|_| None).collect::<Vec<Option<Near>>>();
        let gather = Gather::<u32>::of_callees(Arc::new(callees), wakes);
        for first in 0..3 {
            let places = (first..N).step_by(3);
            let slots = places.map(|place| gather.slot(place).unwrap()).collect::<Vec<_>>();
            drop(runtime.spawn(async move {
                for slot in slots {
                    _ = slot.settle(Ok(slot.index));
                }
            }));
        }
        let mut gathered = runtime.block_on(async {
            let mut places = Vec::new();
            let all = async {
                while let Some(some) = poll_fn(|cx| gather.poll_some(cx.waker())).await {
                    places.extend(some.into_iter().map(|(place, _)| place));
                }
            };
            timeout(Duration::from_secs(30), all).await.expect("nobody waits for what has come");
            places
        });
        gathered.sort_unstable();
        assert!(gathered.into_iter().eq(0..N), "{wakes:?}: each once");
    }
}
