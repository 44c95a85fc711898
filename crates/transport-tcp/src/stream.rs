//! Sockets: TCP on loopback, and Unix sockets of our own user.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mesh_core::{Addr, DialError, Lane, ListenError};
use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream, lookup_host};

/// A connection, of whatever kind.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection to `to`.
pub(crate) async fn connect(
    to: &Addr,
    lane: Lane,
    silence: Duration,
) -> Result<Box<dyn Stream>, DialError> {
    let refused = |error: io::Error| DialError::Os { to: to.clone(), kind: error.kind() };
    match to {
        Addr::Tcp { host, port } => {
            let all: Vec<SocketAddr> =
                lookup_host((host.as_str(), *port)).await.map_err(refused)?.collect();
            if !all.iter().all(|at| at.ip().is_loopback()) {
                return Err(DialError::NotLoopback(to.clone()));
            }
            let stream = TcpStream::connect(&all[..]).await.map_err(refused)?;
            prepare(&stream, lane, silence).map_err(refused)?;
            Ok(Box::new(stream))
        }
        Addr::Unix { path } => {
            let stream = UnixStream::connect(path).await.map_err(refused)?;
            if !is_ours(&stream) {
                return Err(DialError::Unauthenticated(to.clone()));
            }
            Ok(Box::new(stream))
        }
        Addr::Local { .. } => Err(DialError::Scheme(to.clone())),
    }
}

/// Takes connections.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix {
        listener: UnixListener,
        /// Removed when it is dropped.
        _file: SocketFile,
    },
}

/// The file of a socket. It is removed with the listener.
#[derive(Debug)]
pub(crate) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // It may have been removed already.
        _ = fs::remove_file(&self.0).is_ok();
    }
}

/// Listens at a path. A file that a dead process has left there is removed.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    let listener = match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_stale(path) => {
            fs::remove_file(path)?;
            UnixListener::bind(path)?
        }
        bound => bound?,
    };
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Whether nobody listens at the socket any more.
fn is_stale(path: &Path) -> bool {
    let connected = std::os::unix::net::UnixStream::connect(path);
    connected.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

impl Listener {
    /// Listens at `at`. Returns where it really does.
    pub(crate) async fn bind(at: &Addr) -> Result<(Self, Addr), ListenError> {
        let refused = |error: io::Error| ListenError::Os { at: at.clone(), kind: error.kind() };
        match at {
            Addr::Tcp { host, port } => {
                let all: Vec<SocketAddr> =
                    lookup_host((host.as_str(), *port)).await.map_err(refused)?.collect();
                if !all.iter().all(|at| at.ip().is_loopback()) {
                    return Err(ListenError::NotLoopback(at.clone()));
                }
                let listener = TcpListener::bind(&all[..]).await.map_err(refused)?;
                let local = listener.local_addr().map_err(refused)?;
                let really = Addr::Tcp { host: local.ip().to_string(), port: local.port() };
                Ok((Self::Tcp(listener), really))
            }
            Addr::Unix { path } => {
                let listener = bind_unix(path).map_err(refused)?;
                let _file = SocketFile(path.clone());
                Ok((Self::Unix { listener, _file }, at.clone()))
            }
            Addr::Local { .. } => Err(ListenError::Scheme(at.clone())),
        }
    }

    /// The next connection. Its lane is not known yet.
    pub(crate) async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => listener.accept().await.map(|(stream, _)| Accepted::Tcp(stream)),
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

/// A connection that somebody has made to us.
#[derive(Debug)]
pub(crate) enum Accepted {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Accepted {
    /// The connection, as its lane wants it.
    pub(crate) fn prepared(self, lane: Lane, silence: Duration) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Tcp(stream) => {
                prepare(&stream, lane, silence)?;
                Ok(Box::new(stream))
            }
            Self::Unix(stream) => Ok(Box::new(stream)),
        }
    }

    /// The connection as it is, for the handshake.
    pub(crate) fn as_stream(&mut self) -> &mut dyn Stream {
        match self {
            Self::Tcp(stream) => stream,
            Self::Unix(stream) => stream,
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

/// Whether a process of our own user is at the other end.
fn is_ours(stream: &UnixStream) -> bool {
    let us = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == us)
}
