//! Two processes that write down what they hear, and a clock that is paused.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use mesh_core::{
    ActorId, Addr, Body, Credit, DialError, Envelope, Head, Identity, Inbound, Incarnation, Lane,
    Lost, Outbound, PeerId, PortId, ProcId, Returned, Transport,
};
use mesh_testkit::fault_net::{FaultNet, FaultTransport};
use tokio::time::{Instant, sleep};

/// What one process hears.
pub(crate) struct Ear {
    peer: PeerId,
    born: Instant,
    heard: Mutex<Heard>,
}

#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) numbers: Vec<u64>,
    /// When, in milliseconds since it was born.
    pub(crate) lost: Vec<(Lost, u128)>,
    pub(crate) came_back: Vec<u64>,
    /// How many envelopes came after the end.
    pub(crate) n_late: usize,
    pub(crate) back: Option<Arc<dyn Outbound>>,
    pub(crate) credits: Option<Vec<Credit>>,
}

impl Ear {
    pub(crate) fn new(number: u128) -> Arc<Self> {
        let peer = PeerId { proc: ProcId::from_random(number), life: Incarnation::FIRST };
        Arc::new(Self { peer, born: Instant::now(), heard: Mutex::default() })
    }

    pub(crate) fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().expect("nobody panics with it")
    }

    pub(crate) fn id(&self) -> ProcId {
        self.peer.proc
    }

    /// The first end that was told, and when.
    pub(crate) fn lost(&self) -> Option<(Lost, u128)> {
        self.heard().lost.first().copied()
    }
}

impl Inbound for Ear {
    fn identity(&self) -> Identity {
        Identity { peer: self.peer, registry: 0 }
    }

    fn joined(&self, _: Lane, back: Arc<dyn Outbound>) {
        self.heard().back = Some(back);
    }

    fn deliver(&self, _: PeerId, mut envelope: Envelope, credit: Credit) {
        let mut heard = self.heard();
        heard.n_late += usize::from(!heard.lost.is_empty());
        heard.numbers.push(number(&mut envelope));
        if let Some(credits) = &mut heard.credits {
            credits.push(credit);
        }
    }

    fn lost(&self, _: PeerId, _: Lane, why: Lost, back: Vec<Envelope>) {
        let mut heard = self.heard();
        heard.lost.push((why, self.born.elapsed().as_millis()));
        heard.came_back.extend(back.into_iter().map(|mut envelope| number(&mut envelope)));
    }
}

fn number(envelope: &mut Envelope) -> u64 {
    let body = envelope.body.bytes().expect("it is bytes");
    u64::from_le_bytes(*body.first_chunk().expect("a number is sent"))
}

pub(crate) fn cast(to: PeerId, number: u64) -> Envelope {
    let to = ActorId { proc: to.proc, life: to.life, index: 1 };
    let head = Head::Cast { to, port: PortId::named("test"), from: None };
    Envelope { head, body: Body::Bytes(Bytes::copy_from_slice(&number.to_le_bytes())) }
}

/// Sends one, and waits for room.
pub(crate) async fn send(out: &dyn Outbound, number: u64) -> Result<(), Box<Returned>> {
    let mut envelope = Some(cast(out.peer(), number));
    poll_fn(|cx| out.poll_send(cx, &mut envelope)).await
}

/// Sends these one after the other; how many were taken.
pub(crate) async fn send_all(out: &dyn Outbound, numbers: std::ops::Range<u64>) -> usize {
    let mut n = 0;
    for number in numbers {
        match send(out, number).await {
            Ok(()) => n += 1,
            Err(_) => break,
        }
    }
    n
}

/// Waits until something is so, for at most ten minutes.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(600), "never: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Runs it on one thread, on a clock that is paused.
pub(crate) fn paused<T>(run: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true);
    runtime.build().expect("a thread is enough").block_on(run)
}

/// A session between the sites `a` and `b`.
pub(crate) struct Pair {
    pub(crate) net: FaultNet,
    pub(crate) a: Arc<Ear>,
    pub(crate) b: Arc<Ear>,
    pub(crate) at_a: FaultTransport,
    pub(crate) at_b: FaultTransport,
    /// From `a` to `b`.
    pub(crate) out: Arc<dyn Outbound>,
    /// From `b` to `a`.
    pub(crate) back: Arc<dyn Outbound>,
}

pub(crate) fn there() -> Addr {
    Addr::Local { name: "there".to_owned() }
}

impl Pair {
    pub(crate) async fn over(net: FaultNet) -> Self {
        let (a, b) = (Ear::new(1), Ear::new(2));
        let (at_a, at_b) = (net.transport("a"), net.transport("b"));
        at_b.listen(&there(), Lane::Data, b.clone()).await.expect("nobody else listens");
        let out = loop {
            match at_a.dial(&there(), b.id(), Lane::Data, a.clone()).await {
                Ok(out) => break out,
                // On a bad network once is not enough.
                Err(DialError::Deadline { .. }) => (),
                Err(other) => panic!("{other}"),
            }
        };
        until("joining", || b.heard().back.as_ref().is_some_and(|back| back.is_open())).await;
        let back = b.heard().back.clone().expect("it has just been there");
        a.heard().lost.clear();
        b.heard().lost.clear();
        Self { net, a, b, at_a, at_b, out, back }
    }

    /// Why each side has lost the other, and after how long.
    pub(crate) async fn both_lost(&self) -> [(Lost, u128); 2] {
        until("both are told", || self.a.lost().is_some() && self.b.lost().is_some()).await;
        // Whatever could come a second time.
        sleep(Duration::from_secs(60)).await;
        let counts = [&self.a, &self.b].map(|ear| {
            let heard = ear.heard();
            (heard.lost.len(), heard.n_late)
        });
        assert_eq!(counts, [(1, 0); 2], "told once, and nothing after that");
        [&self.a, &self.b].map(|ear| ear.lost().expect("it was there"))
    }
}
