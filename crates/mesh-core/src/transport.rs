//! The seam between the runtime and whatever carries envelopes: [`Transport`].

use std::any::Any;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::address::ProcId;
use crate::arrival::Arrival;
use crate::envelope::{Envelope, Head, Payload, PeerId};
use crate::ids::Incarnation;

mod far_end;

pub use far_end::{FarEnd, Lasting, SessionEnd};

/// Opens sessions between processes. It spawns its tasks on the runtime that it is called from.
///
/// # Contract
///
/// - Envelopes of one session arrive in the order in which they were sent, each at most once.
/// - An envelope that was taken arrives, or comes back through [`Inbound::lost`], or both: of one that was
///   on its way to a peer that is lost nobody can know. Nothing is gone without a word.
/// - A peer that is lost is told once. Nothing of it arrives after that.
/// - Of what has been acknowledged ([`Outbound::poll_acknowledged`]) nothing is overtaken, whatever way is taken
///   from then on.
/// - Dropping the transport ends its sessions and its listeners.
///
/// `mesh_testkit::transport_suite` checks it.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Takes sessions at `at`. Returns where it really listens: a port 0 becomes a real one.
    ///
    /// # Errors
    ///
    /// [`ListenError`]; then nothing listens.
    async fn listen(
        &self,
        at: &Addr,
        lane: Lane,
        into: Arc<dyn Inbound>,
    ) -> Result<Addr, ListenError>;

    /// Opens a session to `peer`, which listens at `to`.
    ///
    /// # Errors
    ///
    /// [`DialError`]; then there is no session.
    async fn dial(
        &self,
        to: &Addr,
        peer: ProcId,
        lane: Lane,
        into: Arc<dyn Inbound>,
    ) -> Result<Arc<dyn Outbound>, DialError>;
}

/// The sending end of a session.
pub trait Outbound: Send + Sync {
    /// Who is at the other end.
    fn peer(&self) -> PeerId;

    /// Whether the session has not ended.
    fn is_open(&self) -> bool;

    /// Ends the session: both sides are told, and what was not acknowledged comes back. Dropping this end
    /// does not end it.
    fn close(&self);

    /// Takes the envelope out of `envelope` if there is room for it. Otherwise it stays there, and the
    /// task is woken when there is.
    ///
    /// An answer ([`Head::is_answer`](crate::Head::is_answer)) is always taken.
    ///
    /// # Errors
    ///
    /// [`Returned`] gives it back if the session has ended, or if it can never be sent.
    fn poll_send(
        &self,
        cx: &mut Context<'_>,
        envelope: &mut Option<Envelope>,
    ) -> Poll<Result<(), Box<Returned>>>;

    /// Encodes the value and takes it, if that can be done at once and there is room for it: the same as
    /// [`poll_send`](Self::poll_send), for less. `false` if not, for whatever reason; then nothing was done, and
    /// `poll_send` is to be asked. So it is for a transport that knows no such way.
    fn send_now(&self, _head: &Head, _value: &dyn Payload) -> bool {
        false
    }

    /// How many envelopes the session has taken, answers among them: what
    /// [`poll_acknowledged`](Self::poll_acknowledged) is to be asked for.
    ///
    /// As it is, it is right for a transport that hands an envelope to its receiver before
    /// [`poll_send`](Self::poll_send) returns.
    fn n_taken(&self) -> u64 {
        0
    }

    /// Whether the peer has acknowledged the first `n_taken` of them: each was handed to its receiver, or will be
    /// before anything that is sent from now on, by any session. Also when the session has ended: then no more is
    /// to come, and what was not acknowledged comes back. Otherwise the task is woken when it is so, or when the
    /// session ends.
    ///
    /// So whoever goes over to another session loses no order. As it is, it is right for a transport that hands
    /// an envelope to its receiver before [`poll_send`](Self::poll_send) returns.
    fn poll_acknowledged(&self, _cx: &mut Context<'_>, _n_taken: u64) -> Poll<()> {
        Poll::Ready(())
    }

    /// The other end itself, if it is in this program and a value gets there as it is: then whoever knows what is
    /// there may give it something past the session, as long as that lasts. `None` where anything is in between.
    fn far_end(&self) -> Option<FarEnd<'_>> {
        None
    }
}

/// The receiving end of all sessions of a process.
pub trait Inbound: Send + Sync {
    /// Who we are.
    fn identity(&self) -> Identity;

    /// This, to be looked at by the runtime that it may belong to ([`Outbound::far_end`]). `None` if it belongs to
    /// none, or is to be passed by nobody.
    fn as_any(&self) -> Option<&dyn Any> {
        None
    }

    /// A peer has opened a session: this is the way back to it.
    fn joined(&self, lane: Lane, back: Arc<dyn Outbound>);

    /// An envelope has arrived from a peer: that is who sent it, whatever it says itself. Must not block,
    /// nor end the session. `credit` is to be kept as long as the envelope waits for room: dropping it
    /// lets the peer send more.
    fn deliver(&self, from: PeerId, envelope: Envelope, credit: Credit);

    /// Envelopes have arrived from a peer, in this order. The same as [`deliver`](Self::deliver) for each of
    /// them, for less where many are for one receiver. None is left in `arrived`.
    fn deliver_all(&self, from: PeerId, arrived: &mut Vec<Arrival>) {
        for arrival in arrived.drain(..) {
            match arrival {
                Arrival::One(envelope, credit) => self.deliver(from, envelope, credit),
                Arrival::Casts(casts) => casts
                    .into_envelopes()
                    .for_each(|(envelope, credit)| self.deliver(from, envelope, credit)),
            }
        }
    }

    /// A session with a peer has ended, and is not open any more; there may be another one. `back` is what
    /// was not acknowledged on it.
    fn lost(&self, peer: PeerId, lane: Lane, why: Lost, back: Vec<Envelope>);
}

/// Who a process is, as it tells its peers first of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// Which life of which process.
    pub peer: PeerId,
    /// A hash of the names and versions of all messages that it knows: processes of different programs
    /// refuse each other. 0 if it is not to be compared.
    pub registry: u64,
}

/// What connections are for. Each has its own, so that much data never delays a heartbeat; only the
/// deaths of the first two are evidence of anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Lane {
    /// Orders, reports and questions.
    Control,
    /// Heartbeats.
    Liveness,
    /// What programs send.
    Data,
}

impl Lane {
    /// The value of the `lane` label of metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Liveness => "liveness",
            Self::Data => "data",
        }
    }
}

/// Where a process takes sessions: one address for each lane.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Doors {
    /// For [`Lane::Control`].
    pub control: Addr,
    /// For [`Lane::Data`].
    pub data: Addr,
}

/// Room that the receiver has given its peer for one envelope, in bytes. Given back when it is dropped.
pub struct Credit(Room);

/// How the room is given back.
enum Room {
    Nothing,
    Call(Box<dyn FnOnce() + Send>),
    Shared(Arc<dyn GiveBack>, u64),
}

/// Where room is given back.
pub trait GiveBack: Send + Sync {
    /// So many bytes may be sent again. Must not block.
    fn give_back(&self, bytes: u64);
}

impl Credit {
    /// Room that counts nothing: for envelopes that never wait.
    pub const NONE: Self = Self(Room::Nothing);

    /// Room that is given back by calling `give_back`, once.
    #[must_use]
    pub fn new(give_back: impl FnOnce() + Send + 'static) -> Self {
        Self(Room::Call(Box::new(give_back)))
    }

    /// Room of so many bytes that is given back to `to`, which many have. Costs no memory of its own.
    #[must_use]
    pub const fn shared(to: Arc<dyn GiveBack>, bytes: u64) -> Self {
        Self(Room::Shared(to, bytes))
    }
}

impl Drop for Credit {
    fn drop(&mut self) {
        match std::mem::replace(&mut self.0, Room::Nothing) {
            Room::Nothing => (),
            Room::Call(give_back) => give_back(),
            Room::Shared(to, bytes) => to.give_back(bytes),
        }
    }
}

impl fmt::Debug for Credit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Credit").field(&!matches!(self.0, Room::Nothing)).finish()
    }
}

/// An envelope that cannot be sent. It comes back.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub struct Returned {
    /// The envelope.
    pub envelope: Envelope,
    /// Why.
    pub why: WhyReturned,
}

/// Why an envelope cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WhyReturned {
    /// The session has ended.
    #[error("the session with {0} has ended")]
    Ended(PeerId),
    /// It is larger than an envelope may be.
    #[error(
        "it has {bytes} bytes, and {max} are allowed: send less, or raise the limit on both sides"
    )]
    TooLarge {
        /// How large it is.
        bytes: usize,
        /// What is allowed.
        max: usize,
    },
    /// It cannot be encoded.
    #[error(transparent)]
    Encode(#[from] crate::envelope::EncodeError),
}

/// Why the session with a peer has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Lost {
    /// One side has closed it, as it was to be.
    #[error("closed")]
    Closed,
    /// No connection could be made for so long.
    #[error("no contact for {0:?}")]
    NoContact(Duration),
    /// Another life of the process is there now.
    #[error("another life of it, {0}, is there now")]
    Replaced(Incarnation),
    /// Nobody listens any more where it did: its process is gone.
    #[error("nobody listens any more where it did")]
    Gone,
    /// It has sent what no peer may send.
    #[error("it does not keep to the protocol")]
    Protocol,
}

/// Why nothing listens.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The transport does not know such addresses.
    #[error("{0} is no address of this transport")]
    Scheme(Addr),
    /// The address is not loopback, and nothing proves who connects.
    #[error("{0} can be reached from other machines: set up TLS, or bind to 127.0.0.1")]
    NotLoopback(Addr),
    /// The path is longer than the address of a socket can be.
    #[error("{at} is too long: its path may have {max} bytes")]
    PathTooLong {
        /// Where.
        at: Addr,
        /// What is allowed.
        max: usize,
    },
    /// The system refuses.
    #[error("cannot listen at {at}: {kind}")]
    Os {
        /// Where.
        at: Addr,
        /// What it said.
        kind: std::io::ErrorKind,
    },
}

/// Why there is no session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// The transport does not know such addresses.
    #[error("{0} is no address of this transport")]
    Scheme(Addr),
    /// The address is not loopback, and nothing proves who is there.
    #[error("{0} is on another machine: set up TLS")]
    NotLoopback(Addr),
    /// Whoever is there speaks TLS, and we do not there.
    #[error("{0} speaks TLS: set up both sides alike")]
    TlsThere(Addr),
    /// The two do not trust each other's certificates.
    #[error("{to} is not trusted: {why}")]
    Untrusted {
        /// Where.
        to: Addr,
        /// Why.
        why: Distrust,
    },
    /// The path is longer than the address of a socket can be.
    #[error("{to} is too long: its path may have {max} bytes")]
    PathTooLong {
        /// Where.
        to: Addr,
        /// What is allowed.
        max: usize,
    },
    /// Nobody answers there.
    #[error("cannot connect to {to}: {kind}")]
    Os {
        /// Where.
        to: Addr,
        /// What the system said.
        kind: std::io::ErrorKind,
    },
    /// Somebody is there who is not the one that was asked for.
    #[error("{to} is not {wanted}, but {found}")]
    Stranger {
        /// Where.
        to: Addr,
        /// Who was asked for.
        wanted: ProcId,
        /// Who is there.
        found: ProcId,
    },
    /// Whoever is there does not know the secret of the mesh.
    #[error("{0} does not know the secret of this mesh")]
    Unauthenticated(Addr),
    /// The two programs differ.
    #[error("{0} runs another program or version: its messages are not ours")]
    OtherProgram(Addr),
    /// Nothing was heard in time.
    #[error("{to} did not answer within {within:?}")]
    Deadline {
        /// Where.
        to: Addr,
        /// How long it was given.
        within: Duration,
    },
}

/// Why one side of a connection does not trust the certificate of the other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Distrust {
    /// There is none: somebody speaks TLS without, or does not speak TLS 1.3 at all.
    #[error("it does not speak TLS 1.3: is the other side set up for it?")]
    NoTls,
    /// It is not valid any more.
    #[error("its certificate has expired: make a new one")]
    Expired,
    /// It is not valid yet.
    #[error("its certificate is not valid yet: look at the clocks of both machines")]
    NotYetValid,
    /// Somebody else has signed it.
    #[error("its certificate was not signed by the authority of this mesh")]
    UnknownIssuer,
    /// Its authority has taken it back.
    #[error("its certificate was revoked")]
    Revoked,
    /// It is for another host than the one that was dialled.
    #[error("its certificate is for another host than the one that was asked for")]
    OtherHost,
    /// It may not be used on its side of a connection.
    #[error("its certificate is not for this: it needs the usages serverAuth and clientAuth")]
    Purpose,
    /// It does not say, once, whose it is.
    #[error("its certificate does not say whose it is: make it with `meshwarden certs`")]
    Nameless,
    /// It is of a role that has no business here.
    #[error("it is {0:?}, and that role is not let in here")]
    Role(String),
    /// It is of a host that has no business here.
    #[error("it is {0:?}, and that host is not let in here")]
    Host(String),
    /// It is no certificate, or one of a kind that is not known.
    #[error("its certificate cannot be understood")]
    Malformed,
    /// Ours was not trusted.
    #[error("it does not trust our certificate: its log says why")]
    Ours,
    /// It speaks TLS, and not Meshwarden within.
    #[error(
        "it speaks TLS, and something else than Meshwarden within: is it another program's port?"
    )]
    Protocol,
}

/// Where a process listens.
///
/// # Examples
///
/// ```
/// use mesh_core::Addr;
///
/// let addr: Addr = "tcp://127.0.0.1:7070".parse()?;
/// assert_eq!(addr, Addr::Tcp { host: "127.0.0.1".to_owned(), port: 7070 });
/// assert_eq!("tcp://[::1]:0".parse::<Addr>()?.to_string(), "tcp://[::1]:0");
/// assert!("7070".parse::<Addr>().is_err());
/// # Ok::<(), mesh_core::AddrError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Addr {
    /// `tcp://host:port`: a host name or an IP address, in brackets if it is of version 6.
    Tcp {
        /// The host, without brackets.
        host: String,
        /// The port; 0 to listen at any that is free.
        port: u16,
    },
    /// `unix:///path`: a socket in the file system.
    Unix {
        /// Its path, which is absolute.
        path: PathBuf,
    },
    /// `local://name`: within this process.
    Local {
        /// Its name.
        name: String,
    },
}

/// A text that is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no address: write tcp://host:port, unix:///path or local://name")]
pub struct AddrError(pub String);

impl FromStr for Addr {
    type Err = AddrError;

    fn from_str(text: &str) -> Result<Self, AddrError> {
        let parsed = match text.split_once("://") {
            Some(("tcp", rest)) => tcp(rest),
            Some(("unix", path)) if path.starts_with('/') => {
                Some(Self::Unix { path: PathBuf::from(path) })
            }
            Some(("local", name)) if !name.is_empty() => {
                Some(Self::Local { name: name.to_owned() })
            }
            _ => None,
        };
        parsed.ok_or_else(|| AddrError(text.to_owned()))
    }
}

fn tcp(rest: &str) -> Option<Addr> {
    let (host, port) = rest.rsplit_once(':')?;
    let port = port.parse().ok()?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_plain = !host.is_empty() && !host.contains([':', '[', ']', '/', '@']);
    let host = match bare {
        Some(bare) if bare.parse::<std::net::Ipv6Addr>().is_ok() => bare,
        None if is_plain => host,
        _ => return None,
    };
    Some(Addr::Tcp { host: host.to_owned(), port })
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "tcp://[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "tcp://{host}:{port}"),
            Self::Unix { path } => write!(f, "unix://{}", path.display()),
            Self::Local { name } => write!(f, "local://{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_written() {
        for text in [
            "tcp://127.0.0.1:0",
            "tcp://localhost:65535",
            "tcp://[::1]:7070",
            "unix:///run/mesh.sock",
            "local://a",
        ] {
            assert_eq!(text.parse::<Addr>().map(|addr| addr.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "tcp",
            "tcp://",
            "tcp://host",
            "tcp://:7070",
            "tcp://host:65536",
            "tcp://::1:7070",
            "tcp://[host]:1",
            "tcp://user@host:1",
            "unix://relative",
            "local://",
            "http://host:1",
        ] {
            assert_eq!(text.parse::<Addr>(), Err(AddrError(text.to_owned())));
        }
    }
}
