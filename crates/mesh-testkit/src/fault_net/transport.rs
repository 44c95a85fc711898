//! The network as processes see it: [`FaultTransport`].

use std::fmt;
use std::io::ErrorKind;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use mesh_core::{
    Addr, DialError, Envelope, Inbound, Lane, ListenError, Outbound, PeerId, ProcId, Returned,
    Transport, WhyReturned,
};

use super::end::{EndId, TransportId};
use super::shell::Shell;

/// Carries envelopes over a [`FaultNet`](super::FaultNet), for one process.
///
/// Dropping it ends its sessions and its listeners in good order; see
/// [`FaultNet::crash`](super::FaultNet::crash) for the other way.
pub struct FaultTransport {
    shell: Arc<Shell>,
    id: TransportId,
}

impl FaultTransport {
    pub(crate) fn new(shell: Arc<Shell>, site: &str) -> Self {
        let id = shell.change(|net| net.add_transport(site));
        Self { shell, id }
    }
}

#[async_trait]
impl Transport for FaultTransport {
    async fn listen(
        &self,
        at: &Addr,
        lane: Lane,
        into: Arc<dyn Inbound>,
    ) -> Result<Addr, ListenError> {
        let Addr::Local { name } = at else { return Err(ListenError::Scheme(at.clone())) };
        let identity = into.identity();
        self.shell.drive();
        match self.shell.change(|net| net.listen(self.id, (name, lane), identity, into)) {
            Ok(()) => Ok(at.clone()),
            Err(kind) => Err(ListenError::Os { at: at.clone(), kind }),
        }
    }

    /// # Cancellation
    ///
    /// If there is a session by then, it is closed.
    async fn dial(
        &self,
        to: &Addr,
        peer: ProcId,
        lane: Lane,
        into: Arc<dyn Inbound>,
    ) -> Result<Arc<dyn Outbound>, DialError> {
        let Addr::Local { name } = to else { return Err(DialError::Scheme(to.clone())) };
        let identity = into.identity();
        self.shell.drive();
        let os = |kind| DialError::Os { to: to.clone(), kind };
        let to_there = (name.as_str(), lane, peer);
        let dialled = self.shell.dial(|net| net.dial(self.id, to_there, identity, into));
        let (end, told) = dialled.map_err(os)?;
        let mut dial = Dial { shell: &self.shell, end, is_over: false };
        // Not dropped without a word unless the network is.
        let Ok(outcome) = told.await else { return Err(os(ErrorKind::ConnectionAborted)) };
        dial.is_over = true;
        Ok(Arc::new(FaultOutbound::new(Arc::clone(&self.shell), end, outcome?)))
    }
}

impl Drop for FaultTransport {
    fn drop(&mut self) {
        self.shell.change(|net| net.drop_transport(self.id));
    }
}

impl fmt::Debug for FaultTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultTransport").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A dial that may be given up.
struct Dial<'a> {
    shell: &'a Shell,
    end: EndId,
    is_over: bool,
}

impl Drop for Dial<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.shell.abandon(self.end);
        }
    }
}

/// One end of a session, as a sender.
pub(crate) struct FaultOutbound {
    shell: Arc<Shell>,
    end: EndId,
    peer: PeerId,
}

impl FaultOutbound {
    pub(crate) const fn new(shell: Arc<Shell>, end: EndId, peer: PeerId) -> Self {
        Self { shell, end, peer }
    }
}

impl Outbound for FaultOutbound {
    fn peer(&self) -> PeerId {
        self.peer
    }

    fn is_open(&self) -> bool {
        self.shell.ask(|net| net.is_open(self.end))
    }

    fn close(&self) {
        self.shell.change(|net| net.close(self.end));
    }

    fn poll_send(
        &self,
        cx: &mut Context<'_>,
        envelope: &mut Option<Envelope>,
    ) -> Poll<Result<(), Box<Returned>>> {
        let Some(mut taken) = envelope.take() else { return Poll::Ready(Ok(())) };
        if self.shell.is_to_wait(cx, self.end, &taken.head) {
            *envelope = Some(taken);
            return Poll::Pending;
        }
        // Without the lock: how long a message takes to encode is its own affair.
        let max = self.shell.ask(|net| net.config().body_bytes_max);
        let body = match taken.body.bytes() {
            Ok(body) if body.len() <= max => body,
            Ok(body) => {
                return returned(taken, WhyReturned::TooLarge { bytes: body.len(), max });
            }
            Err(error) => return returned(taken, WhyReturned::Encode(error)),
        };
        let sent = self.shell.change(|net| match net.is_open(self.end) {
            true => {
                net.send(self.end, taken.head, body);
                None
            }
            false => Some(taken),
        });
        match sent {
            None => Poll::Ready(Ok(())),
            Some(taken) => returned(taken, WhyReturned::Ended(self.peer)),
        }
    }

    fn n_taken(&self) -> u64 {
        self.shell.ask(|net| net.n_taken(self.end))
    }

    fn poll_acknowledged(&self, cx: &mut Context<'_>, n_taken: u64) -> Poll<()> {
        if self.shell.is_acknowledged(cx, self.end, n_taken) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

fn returned(envelope: Envelope, why: WhyReturned) -> Poll<Result<(), Box<Returned>>> {
    Poll::Ready(Err(Box::new(Returned { envelope, why })))
}
