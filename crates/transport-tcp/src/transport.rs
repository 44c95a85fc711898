//! The transport: [`TcpTransport`].

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use async_trait::async_trait;
use mesh_core::{Addr, DialError, Inbound, Lane, ListenError, Lost, Outbound, ProcId, Transport};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::acceptor::Acceptor;
use crate::config::{ConfigError, TcpConfig};
use crate::dialler::Route;
use crate::link::Link;
use crate::stream::Listener;

/// Sessions over TCP, and over Unix sockets.
///
/// A session outlives its connections: when one breaks, the dialler makes another, and nothing is lost,
/// repeated or reordered. Both sides prove that they know the secret of the mesh before anything else
/// can be said. Where a connection leaves the machine, both show certificates first
/// ([`TcpConfig::tls`]); without, addresses off loopback are refused.
///
/// Dropping it ends its listeners and its sessions.
pub struct TcpTransport {
    config: Arc<TcpConfig>,
    began: Instant,
    open: Mutex<Vec<Open>>,
}

/// Something that ends with the transport.
enum Open {
    Listening(Arc<Acceptor>, AbortHandle),
    Dialled(Weak<Link>),
}

impl TcpTransport {
    /// A transport with these limits and times.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if they cannot hold together.
    pub fn new(config: TcpConfig) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self { config: Arc::new(config), began: Instant::now(), open: Mutex::default() })
    }

    fn keep(&self, new: Open) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that have ended are let go of, so that the list holds no more than what is open.
        open.retain(|open| match open {
            Open::Listening(..) => true,
            Open::Dialled(link) => link.strong_count() > 0,
        });
        open.push(new);
    }
}

#[async_trait]
impl Transport for TcpTransport {
    async fn listen(
        &self,
        at: &Addr,
        lane: Lane,
        into: Arc<dyn Inbound>,
    ) -> Result<Addr, ListenError> {
        let (listener, really) = Listener::bind(at, &self.config).await?;
        let acceptor = Arc::new(Acceptor::new(into, lane, Arc::clone(&self.config)));
        let task = tokio::spawn(Arc::clone(&acceptor).accept(listener)).abort_handle();
        self.keep(Open::Listening(acceptor, task));
        Ok(really)
    }

    async fn dial(
        &self,
        to: &Addr,
        peer: ProcId,
        lane: Lane,
        into: Arc<dyn Inbound>,
    ) -> Result<Arc<dyn Outbound>, DialError> {
        let config = Arc::clone(&self.config);
        let (to, began) = (to.clone(), self.began);
        let (link, keep) = Route { to, peer, lane, into, config, began }.open().await?;
        tokio::spawn(keep);
        self.keep(Open::Dialled(Arc::downgrade(&link)));
        Ok(link)
    }
}

impl Drop for TcpTransport {
    fn drop(&mut self) {
        let open = std::mem::take(self.open.get_mut().unwrap_or_else(PoisonError::into_inner));
        for open in open {
            match open {
                Open::Listening(acceptor, task) => {
                    task.abort();
                    acceptor.end();
                }
                Open::Dialled(link) => {
                    if let Some(link) = link.upgrade() {
                        link.end(Lost::Closed);
                    }
                }
            }
        }
    }
}

impl fmt::Debug for TcpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpTransport").field("config", &self.config).finish_non_exhaustive()
    }
}
