//! A network in memory that loses, delays, repeats and reorders what it carries, by a seed.
//!
//! It runs on tokio's clock: with a clock that is paused, hours of it take milliseconds. The same seed and
//! the same program give the same [history](FaultNet::history), event for event.
//!
//! ```text
//!  Transport ── session ── packets ──► link ──► packets ── session ── Transport
//!  (site a)     numbers, acks,         loss, delay, copies,            (site b)
//!               resends, credits       reordering, cuts
//! ```
//!
//! A *site* is one end of links, by the name that its transports were made with: what runs there is cut
//! off, paused and killed together. A *link* is one way between two sites. Addresses are `local://name`, and
//! have nothing to do with the names of sites.
//!
//! Envelopes travel encoded, as between machines. Above the links is a plain protocol of automatic repeat
//! requests, so that the contract of [`Transport`](mesh_core::Transport) holds under every fault.
//!
//! # Examples
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use mesh_core::{Addr, Lane, Message, PortRef, Transport};
//! use mesh_runtime::{CallError, Port, Proc};
//! use mesh_testkit::fault_net::{FaultNet, Faults};
//!
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct Ping;
//!
//! impl Message for Ping {
//!     const NAME: &'static str = "example.Ping";
//!     type Reply = ();
//! }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let net = FaultNet::new(42, Faults::moderate());
//! let (here, there) = (Proc::local()?, Proc::local()?);
//! let (at_a, at_b) = (net.transport("a"), net.transport("b"));
//! let at: Addr = "local://there".parse()?;
//! at_b.listen(&at, Lane::Data, there.inbound(0)).await?;
//! let session = at_a.dial(&at, there.id(), Lane::Data, here.inbound(0)).await?;
//! here.connect(Lane::Data, session);
//!
//! // Nobody takes it out, so nobody answers.
//! let queue = there.open_port::<Ping>(1);
//! net.crash_after(Duration::from_secs(2), "b");
//! let answer = queue.port().call(&here, Ping).await;
//! assert!(matches!(answer, Err(CallError::PeerLost { .. })));
//! for event in net.history() {
//!     println!("{event}");
//! }
//! # Ok(())
//! # }
//! ```

mod end;
mod event;
mod faults;
mod link;
mod net;
mod packet;
mod rng;
mod session;
mod shell;
mod transport;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use event::{Event, Fate, News, PacketKind, What};
pub use faults::{Faults, SessionConfig};
pub use rng::SplitMix64;
pub use transport::FaultTransport;

use net::Net;
use shell::Shell;

/// A network that does what its seed says. Cheap to clone.
///
/// Use it on one runtime. For runs that can be repeated that is one of a single thread, with its clock
/// paused. Times count from the first use.
#[derive(Clone)]
pub struct FaultNet {
    shell: Arc<Shell>,
}

impl FaultNet {
    /// A network all of whose links have these faults.
    #[must_use]
    pub fn new(seed: u64, faults: Faults) -> Self {
        Self::with_config(seed, faults, SessionConfig::default())
    }

    /// The same, with limits and times of its own.
    #[must_use]
    pub fn with_config(seed: u64, faults: Faults, config: SessionConfig) -> Self {
        Self { shell: Arc::new(Shell::new(Net::new(seed, faults, config))) }
    }

    /// A transport for one process, at the site with this name. It reaches all others of this network;
    /// several may share a site.
    #[must_use]
    pub fn transport(&self, site: &str) -> FaultTransport {
        FaultTransport::new(Arc::clone(&self.shell), site)
    }

    /// Cuts one way for good: what is sent from now on is lost. What is on its way arrives.
    pub fn cut(&self, from: &str, to: &str) {
        self.shell.change(|net| net.cut(from, to, None));
    }

    /// Cuts one way for so long.
    pub fn cut_for(&self, from: &str, to: &str, lasting: Duration) {
        self.shell.change(|net| net.cut(from, to, Some(lasting)));
    }

    /// Cuts both ways for good.
    pub fn part(&self, one: &str, other: &str) {
        self.cut(one, other);
        self.cut(other, one);
    }

    /// Makes one way whole again.
    pub fn heal(&self, from: &str, to: &str) {
        self.shell.change(|net| net.heal(from, to));
    }

    /// Makes both ways whole again.
    pub fn join(&self, one: &str, other: &str) {
        self.heal(one, other);
        self.heal(other, one);
    }

    /// Gives one way faults of its own.
    pub fn set_faults(&self, from: &str, to: &str, faults: Faults) {
        self.shell.change(|net| net.set_faults(from, to, faults));
    }

    /// Kills what runs at a site: its sessions and listeners are gone at once, and its transports are of
    /// no use any more. The peers are told [`Lost::Gone`](mesh_core::Lost::Gone) as soon as they are
    /// reached. A transport that is made for the site after that is another one.
    ///
    /// Its own side is told the same, since the program of a test lives on.
    pub fn crash(&self, site: &str) {
        self.shell.change(|net| net.crash(site));
    }

    /// The same, after so long. It is forgotten if the runtime ends before.
    ///
    /// # Panics
    ///
    /// If no tokio runtime is entered.
    pub fn crash_after(&self, wait: Duration, site: &str) {
        let (net, site) = (self.clone(), site.to_owned());
        drop(tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            net.crash(&site);
        }));
    }

    /// Suspends what runs at a site: it takes and sends nothing, and its times stand still, until
    /// [`resume`](Self::resume). What its program does meanwhile waits.
    pub fn pause(&self, site: &str) {
        self.shell.change(|net| net.pause(site));
    }

    /// Lets a site go on: all that has come meanwhile is taken now, late.
    pub fn resume(&self, site: &str) {
        self.shell.change(|net| net.resume(site));
    }

    /// What has happened: the newest events, as many as [`SessionConfig::history_max`] says.
    #[must_use]
    pub fn history(&self) -> Vec<Event> {
        self.shell.history()
    }
}

impl fmt::Debug for FaultNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultNet").finish_non_exhaustive()
    }
}
