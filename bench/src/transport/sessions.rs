//! Sessions of ours by themselves: envelopes to and from whoever implements `Inbound`, without actors.

use std::any::Any;
use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Waker};

use bytes::Bytes;
use meshwarden::mesh_core::{
    ActorId, Arrival, Body, CallId, Casts, Credit, EncodeError, Envelope, Head, Identity, Inbound,
    Incarnation, Lane, Lost, Outbound, Payload, PeerId, Pieces, PortId, ProcId, Transport,
};
use meshwarden_bench_player::{Failed, Other, Player, end_with_it, say};
use tokio::sync::oneshot;

use super::door::{Keys, address};
use super::seat::opposite;

/// Who hears what comes, on either end.
struct Ear {
    us: PeerId,
    heard: Mutex<Heard>,
    back: OnceLock<Arc<dyn Outbound>>,
}

#[derive(Default)]
struct Heard {
    n_casts: u64,
    answer: Option<oneshot::Sender<Bytes>>,
    lost: Option<oneshot::Sender<()>>,
}

impl Ear {
    fn new(number: u128) -> Arc<Self> {
        let us = PeerId { proc: ProcId::from_random(number), life: Incarnation::FIRST };
        Arc::new(Self { us, heard: Mutex::default(), back: OnceLock::new() })
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inbound for Ear {
    fn identity(&self) -> Identity {
        Identity { peer: self.us, registry: 0 }
    }

    fn joined(&self, _: Lane, back: Arc<dyn Outbound>) {
        _ = self.back.set(back).is_ok();
    }

    fn deliver(&self, _: PeerId, Envelope { head, mut body }: Envelope, _: Credit) {
        match head {
            Head::Cast { .. } => self.heard().n_casts += 1,
            Head::Call { from, port, call, .. } => {
                if port == PortId::named(HANDLED) {
                    let n = self.heard().n_casts;
                    body = Body::Bytes(n.to_le_bytes().to_vec().into());
                }
                let mut answer = Some(Envelope { head: Head::Answer { to: from, call }, body });
                let mut cx = Context::from_waker(Waker::noop());
                if let Some(back) = self.back.get() {
                    _ = back.poll_send(&mut cx, &mut answer).is_ready();
                }
            }
            Head::Answer { .. } => {
                if let (Some(answer), Ok(bytes)) = (self.heard().answer.take(), body.bytes()) {
                    _ = answer.send(bytes).is_ok();
                }
            }
            Head::Fault { .. } | Head::Withdrawn { .. } | Head::Returned { .. } => (),
        }
    }

    /// Casts that come together are looked at one by one and counted together, as actors take them.
    fn deliver_all(&self, from: PeerId, arrived: &mut Vec<Arrival>) {
        for arrival in arrived.drain(..) {
            match arrival {
                Arrival::One(envelope, credit) => self.deliver(from, envelope, credit),
                Arrival::Casts(Casts { mut bodies, .. }) => {
                    self.heard().n_casts += bodies.len() as u64;
                    while !bodies.is_empty() {
                        std::hint::black_box(bodies.first());
                        bodies.skip();
                    }
                }
            }
        }
    }

    fn lost(&self, _: PeerId, _: Lane, _: Lost, _: Vec<Envelope>) {
        if let Some(lost) = self.heard().lost.take() {
            _ = lost.send(()).is_ok();
        }
    }
}

pub(crate) async fn serve(door: &str) -> Result<(), Failed> {
    let transport = Keys::read(&mut io::stdin().lock())?.transport()?;
    end_with_it();
    let at = transport.listen(&address(door), Lane::Data, Ear::new(2)).await?;
    say(&at.to_string())?;
    std::future::pending().await
}

struct Sessions {
    out: Arc<dyn Outbound>,
    ear: Arc<Ear>,
    lost: oneshot::Receiver<()>,
    other: Other,
    body: Bytes,
}

pub(crate) async fn play(door: &str) -> Result<(), Failed> {
    let keys = Keys::new(door)?;
    let (other, at) = opposite(&["serve", &format!("sessions-{door}")], &keys.to_bytes())?;
    let (ear, transport) = (Ear::new(1), keys.transport()?);
    let there = ProcId::from_random(2);
    let out = transport.dial(&at.parse()?, there, Lane::Data, ear.clone()).await?;
    let (told, lost) = oneshot::channel();
    ear.heard().lost = Some(told);
    let sessions = Sessions { out, ear, lost, other, body: Bytes::new() };
    meshwarden_bench_player::play(sessions).await
}

impl Sessions {
    fn to(&self) -> ActorId {
        let PeerId { proc, life } = self.out.peer();
        ActorId { proc, life, index: 1 }
    }

    async fn send(&self, head: Head, body: Bytes) -> Result<(), Failed> {
        let mut envelope = Some(Envelope { head, body: Body::Bytes(body) });
        let sent = poll_fn(|cx| self.out.poll_send(cx, &mut envelope)).await;
        sent.map_err(|returned| returned.why.into())
    }

    async fn ask(&self, port: &'static str, body: &'static [u8]) -> Result<Bytes, Failed> {
        let (answer, answered) = oneshot::channel();
        self.ear.heard().answer = Some(answer);
        let (to, from, call) = (self.to(), self.ear.us, CallId::new(1));
        let head = Head::Call { to, port: PortId::named(port), from, call };
        self.send(head, Bytes::from_static(body)).await?;
        Ok(answered.await?)
    }
}

impl Player for Sessions {
    async fn call(&mut self) -> Result<(), Failed> {
        let answer = self.ask("ping", &[7; 64]).await?;
        (answer.len() == 64).then_some(()).ok_or_else(|| "it is sent back".into())
    }

    async fn cast(&mut self, bytes: usize, n: usize) -> Result<(), Failed> {
        if self.body.len() != bytes {
            self.body = vec![7; bytes].into();
        }
        let head = Head::Cast { to: self.to(), port: PortId::named("cast"), from: None };
        let bits = Bits(self.body.clone());
        for _ in 0..n {
            // As actors do: what is short is encoded where it is to be, if there is room for it.
            if bytes > SHORT || !self.out.send_now(&head, &bits) {
                self.send(head.clone(), self.body.clone()).await?;
            }
        }
        Ok(())
    }

    async fn handled(&mut self) -> Result<u64, Failed> {
        let answer = self.ask(HANDLED, &[]).await?;
        Ok(u64::from_le_bytes(answer[..].try_into()?))
    }

    async fn lost(&mut self) -> Result<(), Failed> {
        Ok((&mut self.lost).await?)
    }

    fn other(&mut self) -> &mut Other {
        &mut self.other
    }
}

/// A message that is these bytes.
struct Bits(Bytes);

impl Payload for Bits {
    fn encode_into(&self, pieces: &mut Pieces) -> Result<(), EncodeError> {
        pieces.extend_from_slice(&self.0);
        Ok(())
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

const HANDLED: &str = "handled";

/// Longer messages are not copied.
const SHORT: usize = 64;
