//! Sockets: TCP, over TLS where it leaves the machine, and Unix sockets of our own user.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::time::Duration;

use mesh_core::{Addr, DialError, Lane, ListenError};
use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream, lookup_host};

use crate::budget::{Budget, Budgeted};
use crate::config::TcpConfig;
use crate::handshake::Binding;
use crate::meet::NotMet;
use crate::metrics::Insecure;
use crate::parked::Writer;
use crate::several::connect_to_any;
use crate::tls::{Judged, Tls};
use crate::unix::{self, SocketFile};

/// A connection, of whatever kind.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {
    /// Both halves of it. Who writes does not wait for who reads, where the kind allows that.
    fn halves(self: Box<Self>) -> (Reader, Writer);
}

/// The reading half of a connection.
pub(crate) type Reader = Box<dyn AsyncRead + Send + Unpin>;

impl Stream for Budgeted<TcpStream> {
    fn halves(self: Box<Self>) -> (Reader, Writer) {
        let (reader, writer) = self.into_inner().into_split();
        (Box::new(reader), Box::new(writer))
    }
}

impl Stream for Budgeted<UnixStream> {
    fn halves(self: Box<Self>) -> (Reader, Writer) {
        let (reader, writer) = self.into_inner().into_split();
        (Box::new(reader), Box::new(writer))
    }
}

#[cfg(feature = "tls")]
impl Stream for tokio_rustls::TlsStream<Budgeted<TcpStream>> {
    fn halves(self: Box<Self>) -> (Reader, Writer) {
        let (reader, writer) = tokio::io::split(*self);
        (Box::new(reader), Box::new(writer))
    }
}

/// A connection that may carry a session.
pub(crate) struct Carrier {
    pub(crate) stream: Box<dyn Stream>,
    /// The certificate of the other side, if it has shown one.
    pub(crate) judged: Option<Judged>,
}

/// A connection on which it is still to be found out who is at the other end.
pub(crate) struct Fresh {
    pub(crate) carrier: Carrier,
    pub(crate) binding: Binding,
    /// What the other end may say until that is known.
    pub(crate) budget: Budget,
}

impl fmt::Debug for Fresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fresh").field("budget", &self.budget).finish_non_exhaustive()
    }
}

/// A connection to `to`.
pub(crate) async fn connect(to: &Addr, lane: Lane, config: &TcpConfig) -> Result<Fresh, DialError> {
    let refused = |error: io::Error| DialError::Os { to: to.clone(), kind: error.kind() };
    match to {
        Addr::Tcp { host, port } => {
            let all = resolve(host, *port).await.map_err(refused)?;
            let guard = Guard::of(to, &all, config);
            let guard = guard.ok_or_else(|| DialError::NotLoopback(to.clone()))?;
            let stream = connect_to_any(&all, config.handshake).await.map_err(refused)?;
            prepare(&stream, lane, config.silence).map_err(refused)?;
            let budget = Budget::new(UNKNOWN_BYTES_MAX);
            let stream = Budgeted::new(stream, budget.clone());
            match guard {
                Guard::Secret => {
                    let carrier = Carrier { stream: Box::new(stream), judged: None };
                    Ok(Fresh { carrier, binding: Binding::Plain, budget })
                }
                Guard::Tls(tls) => {
                    let met = tls.connect(host, stream).await;
                    let untrusted = |why| DialError::Untrusted { to: to.clone(), why };
                    let (stream, binding, judged) = met.map_err(untrusted)?;
                    let carrier = Carrier { stream: Box::new(stream), judged: Some(judged) };
                    Ok(Fresh { carrier, binding, budget })
                }
            }
        }
        Addr::Unix { path } => {
            if unix::is_too_long(path) {
                return Err(DialError::PathTooLong { to: to.clone(), max: unix::PATH_MAX });
            }
            let stream = UnixStream::connect(path).await.map_err(refused)?;
            if !is_ours(&stream) {
                return Err(DialError::Unauthenticated(to.clone()));
            }
            Ok(of_unix(stream))
        }
        Addr::Local { .. } => Err(DialError::Scheme(to.clone())),
    }
}

async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok(lookup_host((host, port)).await?.collect())
}

fn of_unix(stream: UnixStream) -> Fresh {
    let budget = Budget::new(UNKNOWN_BYTES_MAX);
    let stream = Box::new(Budgeted::new(stream, budget.clone()));
    Fresh { carrier: Carrier { stream, judged: None }, binding: Binding::Plain, budget }
}

/// What proves who is at the other end of a TCP connection, and keeps others out of it.
#[derive(Clone, Debug)]
pub(crate) enum Guard {
    /// The secret of the mesh alone.
    Secret,
    /// TLS, and the secret within.
    Tls(Tls),
}

impl Guard {
    /// What `addr` needs, which is all of these. `None` if it leaves the machine and there is nothing.
    fn of(addr: &Addr, all: &[SocketAddr], config: &TcpConfig) -> Option<Self> {
        let is_local = all.iter().all(|at| at.ip().is_loopback());
        match &config.tls {
            Some(tls) if !is_local || tls.is_everywhere() => Some(Self::Tls(tls.clone())),
            _ if is_local => Some(Self::Secret),
            _ if config.insecure.contains(addr) => Some(Self::Secret),
            _ => None,
        }
    }
}

/// Takes connections.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp {
        listener: TcpListener,
        guard: Guard,
        /// It is counted for as long as it is open.
        _insecure: Option<Insecure>,
    },
    Unix {
        listener: UnixListener,
        /// Removed when it is dropped.
        _file: SocketFile,
    },
}

impl Listener {
    /// Listens at `at`. Returns where it really does.
    pub(crate) async fn bind(at: &Addr, config: &TcpConfig) -> Result<(Self, Addr), ListenError> {
        let refused = |error: io::Error| ListenError::Os { at: at.clone(), kind: error.kind() };
        match at {
            Addr::Tcp { host, port } => {
                let all = resolve(host, *port).await.map_err(refused)?;
                let guard = Guard::of(at, &all, config);
                let guard = guard.ok_or_else(|| ListenError::NotLoopback(at.clone()))?;
                let listener = TcpListener::bind(&all[..]).await.map_err(refused)?;
                widen(&listener).map_err(refused)?;
                let local = listener.local_addr().map_err(refused)?;
                let insecure = match guard {
                    Guard::Secret if !local.ip().is_loopback() => Some(Insecure::new(at)),
                    Guard::Secret | Guard::Tls(_) => None,
                };
                let really = Addr::Tcp { host: local.ip().to_string(), port: local.port() };
                Ok((Self::Tcp { listener, guard, _insecure: insecure }, really))
            }
            Addr::Unix { path } => {
                if unix::is_too_long(path) {
                    return Err(ListenError::PathTooLong { at: at.clone(), max: unix::PATH_MAX });
                }
                let (listener, _file) = unix::bind(path).await.map_err(refused)?;
                widen(&listener).map_err(refused)?;
                Ok((Self::Unix { listener, _file }, at.clone()))
            }
            Addr::Local { .. } => Err(ListenError::Scheme(at.clone())),
        }
    }

    /// The next connection.
    pub(crate) async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp { listener, guard, .. } => {
                let (stream, from) = listener.accept().await?;
                // A listener of both versions sees addresses of IPv4 as mapped ones.
                let from = from.ip().to_canonical();
                Ok(Accepted::Tcp { stream, from, guard: guard.clone() })
            }
            Self::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                if !is_ours(&stream) {
                    return Err(io::ErrorKind::PermissionDenied.into());
                }
                Ok(Accepted::Unix(stream))
            }
        }
    }
}

/// A connection that somebody has made to us, of whom nothing is known yet.
#[derive(Debug)]
pub(crate) enum Accepted {
    Tcp { stream: TcpStream, from: IpAddr, guard: Guard },
    Unix(UnixStream),
}

impl Accepted {
    /// The address that it comes from, if it has one.
    pub(crate) const fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp { from, .. } => Some(*from),
            Self::Unix(_) => None,
        }
    }

    /// The address of another machine that it comes from, if it does.
    pub(crate) fn from(&self) -> Option<IpAddr> {
        self.address().filter(|from| !from.is_loopback())
    }

    /// The connection as its lane wants it, when what guards it has let it through.
    pub(crate) async fn guarded(self, lane: Lane, silence: Duration) -> Result<Fresh, NotMet> {
        let (stream, guard) = match self {
            Self::Tcp { stream, guard, .. } => (stream, guard),
            Self::Unix(stream) => return Ok(of_unix(stream)),
        };
        prepare(&stream, lane, silence)?;
        let budget = Budget::new(UNKNOWN_BYTES_MAX);
        let stream = Budgeted::new(stream, budget.clone());
        match guard {
            Guard::Secret => {
                let carrier = Carrier { stream: Box::new(stream), judged: None };
                Ok(Fresh { carrier, binding: Binding::Plain, budget })
            }
            Guard::Tls(tls) => {
                let (stream, binding, judged) = tls.accept(stream).await?;
                let carrier = Carrier { stream: Box::new(stream), judged: Some(judged) };
                Ok(Fresh { carrier, binding, budget })
            }
        }
    }
}

/// On the lanes of control and liveness the kernel gives up what is not acknowledged in time. On the
/// data lane it must not: it would reset a peer that lives and does not read.
fn prepare(stream: &TcpStream, lane: Lane, silence: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    if lane != Lane::Data {
        let millis = u32::try_from(silence.as_millis()).unwrap_or(u32::MAX).max(1);
        set_tcp_user_timeout(stream, millis)?;
    }
    Ok(())
}

/// Lets more wait to be taken than the 128 of a listener that was not asked: thousands of workers may come at
/// once, and whoever finds no room waits for a second.
fn widen(listener: impl AsFd) -> io::Result<()> {
    Ok(rustix::net::listen(listener, BACKLOG)?)
}

/// Whether a process of our own user is at the other end.
fn is_ours(stream: &UnixStream) -> bool {
    let us = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == us)
}

/// How many may wait to be taken; the kernel may have a limit of its own (`net.core.somaxconn`).
const BACKLOG: i32 = 4_096;

/// How many bytes both handshakes may take together until it is known who is there.
const UNKNOWN_BYTES_MAX: u64 = 16 * 1024;
