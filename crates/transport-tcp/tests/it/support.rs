//! Who hears what, and a proxy that cuts.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use mesh_core::{
    ActorId, Addr, Body, Credit, Envelope, Head, Identity, Inbound, Incarnation, Lane, Lost,
    Outbound, PeerId, PortId, ProcId, Transport,
};
use transport_tcp::{Secret, TcpConfig, TcpTransport};

/// How long anything may take before it counts as never.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Hears what arrives.
pub(crate) struct Ear {
    identity: Identity,
    heard: Mutex<Heard>,
}

#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) numbers: Vec<u64>,
    pub(crate) lost: Vec<(PeerId, Lost)>,
    pub(crate) came_back: Vec<u64>,
    pub(crate) back: Vec<Arc<dyn Outbound>>,
    /// Kept instead of given back, if anything is.
    pub(crate) credits: Option<Vec<Credit>>,
}

impl Ear {
    pub(crate) fn new(proc: u128, life: u64) -> Arc<Self> {
        let peer = PeerId { proc: ProcId::from_random(proc), life: Incarnation::new(life) };
        Arc::new(Self { identity: Identity { peer, registry: 1 }, heard: Mutex::default() })
    }

    pub(crate) fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn peer(&self) -> PeerId {
        self.identity.peer
    }
}

impl Inbound for Ear {
    fn identity(&self) -> Identity {
        self.identity
    }

    fn joined(&self, _: Lane, back: Arc<dyn Outbound>) {
        self.heard().back.push(back);
    }

    fn deliver(&self, _: PeerId, mut envelope: Envelope, credit: Credit) {
        let mut heard = self.heard();
        heard.numbers.extend(number(&mut envelope));
        if let Some(credits) = &mut heard.credits {
            credits.push(credit);
        }
    }

    fn lost(&self, peer: PeerId, _: Lane, why: Lost, back: Vec<Envelope>) {
        let mut heard = self.heard();
        heard.lost.push((peer, why));
        heard.came_back.extend(back.into_iter().filter_map(|mut envelope| number(&mut envelope)));
    }
}

fn number(envelope: &mut Envelope) -> Option<u64> {
    let body = envelope.body.bytes().ok()?;
    Some(u64::from_le_bytes(*body.first_chunk()?))
}

pub(crate) fn secret() -> Secret {
    Secret::from_bytes([7; 32])
}

pub(crate) fn config() -> TcpConfig {
    TcpConfig::for_lease(secret(), Duration::from_secs(10))
}

pub(crate) fn transport(config: TcpConfig) -> TcpTransport {
    TcpTransport::new(config).expect("the numbers hold together")
}

pub(crate) fn any_port() -> Addr {
    Addr::Tcp { host: "127.0.0.1".to_owned(), port: 0 }
}

pub(crate) fn port(addr: &Addr) -> u16 {
    match addr {
        Addr::Tcp { port, .. } => *port,
        _ => panic!("{addr} has no port"),
    }
}

pub(crate) fn cast(to: PeerId, number: u64, size: usize) -> Envelope {
    let mut body = number.to_le_bytes().to_vec();
    body.resize(size.max(8), 0x5a);
    let to = ActorId { proc: to.proc, life: to.life, index: 1 };
    let head = Head::Cast { to, port: PortId::named("test"), from: None };
    Envelope { head, body: Body::Bytes(Bytes::from(body)) }
}

/// Sends a numbered envelope, and waits for room.
pub(crate) async fn send(out: &dyn Outbound, number: u64, size: usize) {
    let mut envelope = Some(cast(out.peer(), number, size));
    let sent = poll_fn(|cx| out.poll_send(cx, &mut envelope));
    tokio::time::timeout(PATIENCE, sent).await.expect("there is room").expect("it lives");
}

pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// One that listens, and where.
pub(crate) async fn listening(
    ear: &Arc<Ear>,
    lane: Lane,
    config: TcpConfig,
) -> (TcpTransport, Addr) {
    let transport = transport(config);
    let at = transport.listen(&any_port(), lane, ear.clone()).await.expect("a port is free");
    (transport, at)
}
