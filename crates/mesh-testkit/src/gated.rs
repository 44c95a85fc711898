//! `Gated`: any transport, with a gate that what goes by it must pass.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use mesh_core::{
    Addr, Arrival, Credit, DialError, Envelope, Head, Identity, Inbound, Lane, ListenError, Lost,
    Outbound, PeerId, ProcId, Returned, Transport, WhyReturned,
};

/// What is let through, and who looks on. Everything, and nobody, if nothing is said.
#[async_trait]
pub trait Gate: Send + Sync + 'static {
    /// Before a session is opened. It may take its time, also for ever, and refuse.
    ///
    /// # Errors
    ///
    /// Why there is no session.
    async fn dial(&self, _to: &Addr, _lane: Lane) -> Result<(), DialError> {
        Ok(())
    }

    /// How many bytes a message may have; a larger one comes back. What is measured is encoded.
    fn most_bytes(&self, _lane: Lane) -> Option<usize> {
        None
    }

    /// Something was sent.
    fn sent(&self, _lane: Lane, _head: &Head) {}
}

/// A transport with a gate before it, for tests of what happens when it is not open.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
///
/// use mesh_core::{Addr, DialError, Lane, Transport};
/// use mesh_runtime::{LocalTransport, Network, Proc};
/// use mesh_testkit::{Gate, Gated};
///
/// struct Closed;
///
/// #[async_trait::async_trait]
/// impl Gate for Closed {
///     async fn dial(&self, to: &Addr, _: Lane) -> Result<(), DialError> {
///         Err(DialError::Os { to: to.clone(), kind: std::io::ErrorKind::ConnectionRefused })
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let board = LocalTransport::default();
/// let there = Network::new(Proc::local()?, Arc::new(board.another()), 0);
/// let doors = there.listen(&"local://there".parse()?).await?;
/// let gated = Gated::new(Arc::new(board), Arc::new(Closed));
/// let here = Network::new(Proc::local()?, Arc::new(gated), 0);
/// assert!(here.dial(there.proc().peer(), &doors).await.is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Gated {
    inner: Arc<dyn Transport>,
    gate: Arc<dyn Gate>,
}

impl Gated {
    /// The transport, with the gate before it.
    #[must_use]
    pub fn new(inner: Arc<dyn Transport>, gate: Arc<dyn Gate>) -> Self {
        Self { inner, gate }
    }
}

#[async_trait]
impl Transport for Gated {
    async fn listen(
        &self,
        at: &Addr,
        lane: Lane,
        into: Arc<dyn Inbound>,
    ) -> Result<Addr, ListenError> {
        let into = Arc::new(GatedIn { inner: into, gate: Arc::clone(&self.gate) });
        self.inner.listen(at, lane, into).await
    }

    async fn dial(
        &self,
        to: &Addr,
        peer: ProcId,
        lane: Lane,
        into: Arc<dyn Inbound>,
    ) -> Result<Arc<dyn Outbound>, DialError> {
        self.gate.dial(to, lane).await?;
        let inner = self.inner.dial(to, peer, lane, into).await?;
        Ok(Arc::new(GatedOut { inner, lane, gate: Arc::clone(&self.gate) }))
    }
}

/// The receiving end: what it sends back by the sessions of others passes the gate, too.
struct GatedIn {
    inner: Arc<dyn Inbound>,
    gate: Arc<dyn Gate>,
}

impl Inbound for GatedIn {
    fn identity(&self) -> Identity {
        self.inner.identity()
    }

    fn joined(&self, lane: Lane, back: Arc<dyn Outbound>) {
        let gate = Arc::clone(&self.gate);
        self.inner.joined(lane, Arc::new(GatedOut { inner: back, lane, gate }));
    }

    fn deliver(&self, from: PeerId, envelope: Envelope, credit: Credit) {
        self.inner.deliver(from, envelope, credit);
    }

    fn deliver_all(&self, from: PeerId, arrived: &mut Vec<Arrival>) {
        self.inner.deliver_all(from, arrived);
    }

    fn lost(&self, peer: PeerId, lane: Lane, why: Lost, back: Vec<Envelope>) {
        self.inner.lost(peer, lane, why, back);
    }
}

struct GatedOut {
    inner: Arc<dyn Outbound>,
    lane: Lane,
    gate: Arc<dyn Gate>,
}

impl GatedOut {
    /// Why an envelope is not let through.
    fn refusal(&self, envelope: &Envelope) -> Option<WhyReturned> {
        let max = self.gate.most_bytes(self.lane)?;
        let bytes = match &envelope.body {
            mesh_core::Body::Bytes(bytes) => bytes.len(),
            mesh_core::Body::Value(value) => match value.encode() {
                Ok(bytes) => bytes.len(),
                Err(error) => return Some(WhyReturned::Encode(error)),
            },
        };
        (bytes > max).then_some(WhyReturned::TooLarge { bytes, max })
    }
}

impl Outbound for GatedOut {
    fn peer(&self) -> PeerId {
        self.inner.peer()
    }

    fn is_open(&self) -> bool {
        self.inner.is_open()
    }

    fn close(&self) {
        self.inner.close();
    }

    fn poll_send(
        &self,
        cx: &mut Context<'_>,
        envelope: &mut Option<Envelope>,
    ) -> Poll<Result<(), Box<Returned>>> {
        let Some(held) = envelope.as_ref() else { return self.inner.poll_send(cx, envelope) };
        let head = held.head.clone();
        if let Some(why) = self.refusal(held)
            && let Some(envelope) = envelope.take()
        {
            return Poll::Ready(Err(Box::new(Returned { envelope, why })));
        }
        let sent = self.inner.poll_send(cx, envelope);
        if matches!(sent, Poll::Ready(Ok(()))) {
            self.gate.sent(self.lane, &head);
        }
        sent
    }

    fn n_taken(&self) -> u64 {
        self.inner.n_taken()
    }

    fn poll_acknowledged(&self, cx: &mut Context<'_>, n_taken: u64) -> Poll<()> {
        self.inner.poll_acknowledged(cx, n_taken)
    }
}

impl fmt::Debug for Gated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gated").finish_non_exhaustive()
    }
}
