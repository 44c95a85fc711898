//! beats: what is said on the lane of liveness arrives in time, whatever goes on beside it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use mesh_core::{
    Credit, Envelope, Identity, Inbound, Lane, Lost, Outbound, PeerId, ProcId, Transport,
};
use tokio::runtime::Builder;
use transport_tcp::TcpConfig;

use crate::proxy::Proxy;
use crate::support::{Ear, any_port, config, listening, port, secret, send, transport, until};

/// 64 MiB, in pieces that are copied and in those that are not.
const BULK: usize = 64 << 20;

/// The period of beats of the shortest lease that there is a preset for, 4 s. On a machine whose two processors
/// were busy with other things too most were not seen to take more than 40 ms.
const PERIOD: Duration = Duration::from_millis(200);

/// Beats, twenty of them in a period, on a thread of their own, as processes have one for what supervises.
struct Beats {
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<Beaten>,
}

/// What came of beats.
#[derive(Debug)]
struct Beaten {
    n: usize,
    /// How long one was on its way at most.
    delay: Duration,
    /// How long none arrived at most.
    gap: Duration,
    /// How late a thread was at most that did nothing but sleep meanwhile: so much is the machine's.
    lateness: Duration,
    n_lost: usize,
}

impl Beats {
    fn begin() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let sleeper = thread::spawn({
            let stop = Arc::clone(&stop);
            move || sleep_until(&stop)
        });
        let thread = thread::spawn({
            let stop = Arc::clone(&stop);
            move || {
                let runtime = Builder::new_current_thread().enable_all().build();
                let runtime = runtime.expect("a runtime can be made");
                let beaten = runtime.block_on(beat(&stop));
                Beaten { lateness: sleeper.join().expect("it sleeps"), ..beaten }
            }
        });
        Self { stop, thread }
    }

    fn end(self) -> Beaten {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().expect("beats arrive")
    }
}

/// How late it is at most that a sleep ends.
fn sleep_until(stop: &AtomicBool) -> Duration {
    let (nap, mut latest) = (Duration::from_millis(5), Duration::ZERO);
    while !stop.load(Ordering::SeqCst) {
        let begun = Instant::now();
        thread::sleep(nap);
        latest = latest.max(begun.elapsed().saturating_sub(nap));
    }
    latest
}

async fn beat(stop: &AtomicBool) -> Beaten {
    let config = TcpConfig::for_lease(secret(), PERIOD * 20);
    let (here, there) = (Clock::new(3), Clock::new(4));
    let listener = transport(config.clone());
    let at =
        listener.listen(&any_port(), Lane::Liveness, there.clone()).await.expect("a port is free");
    let dialler = transport(config);
    let peer = there.ear.peer().proc;
    let out = dialler.dial(&at, peer, Lane::Liveness, here.clone()).await.expect("it is there");
    let begun = Instant::now();
    let mut sent = Vec::new();
    let mut ticks = tokio::time::interval(PERIOD / 20);
    while !stop.load(Ordering::SeqCst) {
        ticks.tick().await;
        sent.push(Instant::now());
        send(&*out, sent.len() as u64 - 1, 64).await;
    }
    until("the last beat", || there.ear.heard().numbers.len() == sent.len()).await;
    let arrived = there.arrived.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert_eq!(there.ear.heard().numbers, (0..sent.len() as u64).collect::<Vec<_>>());
    let delay = sent.iter().zip(&arrived).map(|(sent, arrived)| *arrived - *sent).max();
    let gap = std::iter::once(&begun).chain(&arrived).zip(&arrived).map(|(a, b)| *b - *a).max();
    Beaten {
        n: sent.len(),
        delay: delay.unwrap_or_default(),
        gap: gap.unwrap_or_default(),
        lateness: Duration::ZERO,
        n_lost: here.ear.heard().lost.len() + there.ear.heard().lost.len(),
    }
}

/// Hears what arrives, and when.
struct Clock {
    ear: Arc<Ear>,
    arrived: Mutex<Vec<Instant>>,
}

impl Clock {
    fn new(proc: u128) -> Arc<Self> {
        Arc::new(Self { ear: Ear::new(proc, 0), arrived: Mutex::default() })
    }
}

impl Inbound for Clock {
    fn identity(&self) -> Identity {
        self.ear.identity()
    }

    fn joined(&self, lane: Lane, back: Arc<dyn Outbound>) {
        self.ear.joined(lane, back);
    }

    fn deliver(&self, from: PeerId, envelope: Envelope, credit: Credit) {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
        self.ear.deliver(from, envelope, credit);
    }

    fn lost(&self, peer: PeerId, lane: Lane, why: Lost, back: Vec<Envelope>) {
        self.ear.lost(peer, lane, why, back);
    }
}

/// Stops in the middle of what arrives, as nobody may, so that its socket is not read at all.
struct Stuck {
    ear: Arc<Ear>,
    may_go_on: Mutex<bool>,
    goes_on: Condvar,
}

impl Inbound for Stuck {
    fn identity(&self) -> Identity {
        self.ear.identity()
    }

    fn joined(&self, lane: Lane, back: Arc<dyn Outbound>) {
        self.ear.joined(lane, back);
    }

    fn deliver(&self, from: PeerId, envelope: Envelope, credit: Credit) {
        let may_go_on = self.may_go_on.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.goes_on.wait_while(may_go_on, |may| !*may));
        self.ear.deliver(from, envelope, credit);
    }

    fn lost(&self, peer: PeerId, lane: Lane, why: Lost, back: Vec<Envelope>) {
        self.ear.lost(peer, lane, why, back);
    }
}

/// F1: beats have a connection of their own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bulk_delays_no_beat_past_its_period() {
    let (here, there) = (Ear::new(1, 0), Ear::new(2, 0));
    let (_listener, at) = listening(&there, Lane::Data, config()).await;
    let dialler = transport(config());
    let out = dialler.dial(&at, there.peer().proc, Lane::Data, here).await.unwrap();
    for size in [8 << 20, 256 << 10, 4 << 10] {
        let (n, before) = (BULK / size, there.heard().numbers.len());
        let beats = Beats::begin();
        for number in 0..n as u64 {
            send(&*out, number, size).await;
        }
        until("the bulk", || there.heard().numbers.len() == before + n).await;
        // Long enough to have been measured, also where the bulk is quick.
        tokio::time::sleep(PERIOD).await;
        in_time(&beats.end());
    }
    assert_eq!(there.heard().lost, []);
}

/// Nor does bulk that nobody takes: its sender waits for room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bulk_that_nobody_takes_delays_no_beat_past_its_period() {
    let (here, there) = (Ear::new(1, 0), Ear::new(2, 0));
    there.heard().credits = Some(Vec::new());
    let (_listener, at) = listening(&there, Lane::Data, config()).await;
    let dialler = transport(config());
    let proc: ProcId = there.peer().proc;
    let out = dialler.dial(&at, proc, Lane::Data, here.clone()).await.unwrap();
    let beats = Beats::begin();
    let sending = tokio::spawn(async move {
        for number in 0..64 {
            send(&*out, number, BULK / 64).await;
        }
    });
    until("a window of it", || there.heard().numbers.len() >= 4).await;
    // And no more, while beats go on.
    tokio::time::sleep(PERIOD * 5).await;
    let n_arrived = there.heard().numbers.len();
    assert!((4..=6).contains(&n_arrived), "{n_arrived} of 1 MiB each, in a window of 4 MiB");
    in_time(&beats.end());
    drop(there.heard().credits.take());
    sending.await.unwrap();
    until("the bulk", || there.heard().numbers.len() == 64).await;
}

/// Nor does one that does not even read; and that is evidence of nothing: long after the deadlines of the
/// other lanes its connection is what it was, and all arrives when it goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_receiver_that_does_not_read_delays_no_beat_and_is_not_given_up() {
    let lease = Duration::from_millis(500);
    let brief = TcpConfig { window: BULK as u64, ..TcpConfig::for_lease(secret(), lease) };
    let (here, ear) = (Ear::new(1, 0), Ear::new(2, 0));
    let (may_go_on, goes_on) = (Mutex::default(), Condvar::new());
    let stuck = Arc::new(Stuck { ear: ear.clone(), may_go_on, goes_on });
    let listener = transport(brief.clone());
    let at = listener.listen(&any_port(), Lane::Data, stuck.clone()).await.unwrap();
    let proxy = Proxy::new(port(&at), |_| usize::MAX).await;
    let dialler = transport(brief);
    let proc = ear.peer().proc;
    let out = dialler.dial(&proxy.at, proc, Lane::Data, here.clone()).await.unwrap();
    let beats = Beats::begin();
    // More than all the kernels on the way have room for.
    for number in 0..32 {
        send(&*out, number, 1 << 20).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    in_time(&beats.end());
    assert_eq!((ear.heard().numbers.len(), here.heard().lost.len()), (0, 0));
    *stuck.may_go_on.lock().unwrap() = true;
    stuck.goes_on.notify_all();
    until("the bulk", || ear.heard().numbers.len() == 32).await;
    assert_eq!(proxy.n_connections.load(Ordering::SeqCst), 1);
    assert_eq!((here.heard().lost.len(), ear.heard().lost.len()), (0, 0));
}

/// Whether no beat was later than a period, and what the machine takes to run a thread that is due: once for
/// who sends, for who receives, and for who is told.
fn in_time(beaten: &Beaten) {
    let slack = beaten.lateness * 3;
    let is_so = beaten.delay <= PERIOD + slack && beaten.gap <= PERIOD * 2 + slack;
    assert!(is_so && beaten.n >= 10 && beaten.n_lost == 0, "{beaten:?}");
}
