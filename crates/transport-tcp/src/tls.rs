//! Mutual TLS 1.3, where a connection leaves the machine: [`Tls`].
//!
//! Both sides show a certificate that the mesh's own authority has signed and that says, in its subject
//! alternative names, which role on which host its owner is. The dialler also holds it against the host
//! that it has dialled. The handshake of the mesh follows within, bound to this one connection: its proofs
//! cannot be carried over from another.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use mesh_core::Distrust;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::{ClientConfig, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::budget::is_used_up;
use crate::handshake::Binding;
use crate::meet::NotMet;
use crate::private_file::{read_private, read_public};

mod error;
mod fault;
mod judged;
mod key;
mod list;
mod name;
mod overdue;
mod own;
mod trust;

pub use error::TlsError;
pub use name::{CertName, CertNameError, Peers};

use fault::distrust;
pub(crate) use judged::Judged;
use overdue::Overdue;
use own::Own;
use trust::Trust;

/// What a process needs to speak TLS: who it is, and whom it trusts. Its key is overwritten when the last of
/// its users is dropped, and never shown. Clones are one: what [renews](Self::renew_from_files) one of them
/// renews all.
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
/// use transport_tcp::{Peers, Secret, TcpConfig, TcpTransport, Tls, TlsFiles};
///
/// let files = TlsFiles {
///     authority: "ca.pem".into(),
///     chain: "node7.pem".into(),
///     key: "node7.key".into(),
///     revoked: None,
/// };
/// let tls = Tls::from_files(&files, Peers::with_roles(["agent", "client"])?)?;
/// let secret = Secret::from_file("mesh.secret".as_ref())?;
/// let config = TcpConfig { tls: Some(tls), ..TcpConfig::for_lease(secret, Duration::from_secs(10)) };
/// let transport = TcpTransport::new(config)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Tls {
    name: CertName,
    /// Whom we let in.
    admitted: Arc<Peers>,
    /// Whom we dial.
    dialled: Arc<Peers>,
    sides: watch::Sender<Sides>,
    is_everywhere: bool,
}

/// What a connection is made with, on each of its sides.
#[derive(Clone)]
struct Sides {
    dialler: Arc<ClientConfig>,
    listener: Arc<ServerConfig>,
    /// What whoever listens, and whoever dials, is held against.
    servers: Arc<dyn ServerCertVerifier>,
    clients: Arc<dyn ClientCertVerifier>,
    overdue: Arc<Overdue>,
}

/// Where the parts of a [`Tls`] are: PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate of the authority of the mesh, or several while one replaces the other.
    pub authority: PathBuf,
    /// Our certificate, and those between it and the authority.
    pub chain: PathBuf,
    /// Our private key. It must be ours, and nobody else's to read.
    pub key: PathBuf,
    /// What the authority has taken back: its revocation lists, if it has any.
    pub revoked: Option<PathBuf>,
}

/// The parts of a [`Tls`], as PEM.
#[derive(Clone, Copy)]
pub struct TlsPem<'a> {
    /// See [`TlsFiles::authority`].
    pub authority: &'a [u8],
    /// See [`TlsFiles::chain`].
    pub chain: &'a [u8],
    /// See [`TlsFiles::key`].
    pub key: &'a [u8],
    /// See [`TlsFiles::revoked`]; empty if there is none.
    pub revoked: &'a [u8],
}

impl fmt::Debug for TlsPem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsPem(…)")
    }
}

impl Tls {
    /// From PEM files. Both who is let in and who is dialled must be one of `peers`.
    ///
    /// # Errors
    ///
    /// [`TlsError`]: what cannot be read, and also a certificate of ours that nobody would trust who trusts
    /// the same authority.
    pub fn from_files(files: &TlsFiles, peers: Peers) -> Result<Self, TlsError> {
        files.with_pem(|pem| Self::from_pem(pem, peers))
    }

    /// From what is in PEM files.
    ///
    /// # Errors
    ///
    /// Every [`TlsError`] but those of files.
    pub fn from_pem(pem: TlsPem<'_>, peers: Peers) -> Result<Self, TlsError> {
        let (name, sides) = Sides::from_pem(pem)?;
        let peers = Arc::new(peers);
        Ok(Self {
            name,
            admitted: Arc::clone(&peers),
            dialled: peers,
            sides: watch::Sender::new(sides),
            is_everywhere: false,
        })
    }

    /// The same, with others to dial than those who are let in: an agent lets in clients, and none of them can
    /// then pass for an agent that is dialled.
    #[must_use]
    pub fn dialling(self, peers: Peers) -> Self {
        Self { dialled: Arc::new(peers), ..self }
    }

    /// Reads the files again, for connections that are made from now on: a new certificate before the old one
    /// expires, a new revocation list, another authority beside the first. Connections that are up are judged
    /// again by it, and those are given up whose other side is trusted no more. Nothing changes if this fails.
    ///
    /// # Errors
    ///
    /// As [`from_files`](Self::from_files), and [`TlsError::OtherName`] for the certificate of somebody else.
    pub fn renew_from_files(&self, files: &TlsFiles) -> Result<(), TlsError> {
        files.with_pem(|pem| self.renew_from_pem(pem))
    }

    /// The same, from what is in PEM files.
    ///
    /// # Errors
    ///
    /// Every error of [`renew_from_files`](Self::renew_from_files) but those of files.
    pub fn renew_from_pem(&self, pem: TlsPem<'_>) -> Result<(), TlsError> {
        let (found, sides) = Sides::from_pem(pem)?;
        if found != self.name {
            return Err(TlsError::OtherName { ours: self.name.clone(), found });
        }
        self.sides.send_replace(sides);
        Ok(())
    }

    fn sides(&self) -> Sides {
        let sides = self.sides.borrow().clone();
        sides.overdue.look(UnixTime::now().as_secs());
        sides
    }

    /// The same, also on loopback, where the secret of the mesh is enough otherwise. Both sides must be set up
    /// so.
    #[must_use]
    pub fn everywhere(self) -> Self {
        Self { is_everywhere: true, ..self }
    }

    /// Who we are.
    #[must_use]
    pub const fn name(&self) -> &CertName {
        &self.name
    }

    pub(crate) const fn is_everywhere(&self) -> bool {
        self.is_everywhere
    }

    /// What an error of a connection says of its other side, if it is one of TLS. In TLS 1.3 whoever dials
    /// hears that its certificate was refused only when it reads.
    pub(crate) fn refusal(error: &std::io::Error) -> Option<Distrust> {
        let inner = error.get_ref()?;
        inner.is::<rustls::Error>().then(|| distrust(error))
    }

    /// The dialler's side, to a host that has this name or address.
    pub(crate) async fn connect<S>(
        &self,
        host: &str,
        stream: S,
    ) -> Result<(TlsStream<S>, Binding, Judged), Distrust>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = ServerName::try_from(host.to_owned()).or(Err(Distrust::OtherHost))?;
        let renewed = self.sides.subscribe();
        let connector = TlsConnector::from(self.sides().dialler);
        let connected = connector.connect(name.clone(), stream).await;
        let stream = connected.map_err(|error| distrust(&error))?.into();
        met(stream, &self.dialled, (Some(name), renewed))
    }

    /// The listener's side.
    pub(crate) async fn accept<S>(
        &self,
        stream: S,
    ) -> Result<(TlsStream<S>, Binding, Judged), NotMet>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let renewed = self.sides.subscribe();
        let accepted = TlsAcceptor::from(self.sides().listener).accept(stream).await;
        let stream = accepted.map_err(|error| match error {
            used_up if is_used_up(&used_up) => NotMet::from(used_up),
            error => distrust(&error).into(),
        })?;
        Ok(met(stream.into(), &self.admitted, (None, renewed))?)
    }
}

/// Whether whoever has been met is one of `peers`, what ties the handshake of the mesh to this connection, and
/// what is judged again while it lasts.
fn met<S>(
    stream: TlsStream<S>,
    peers: &Peers,
    (host, renewed): (Option<ServerName<'static>>, watch::Receiver<Sides>),
) -> Result<(TlsStream<S>, Binding, Judged), Distrust> {
    let (_, connection) = stream.get_ref();
    if connection.alpn_protocol() != Some(ALPN) {
        return Err(Distrust::Protocol);
    }
    let chain: Vec<_> = connection.peer_certificates().unwrap_or_default().to_vec();
    let name = chain.first().and_then(|certificate| CertName::of(certificate).ok());
    peers.admit(&name.ok_or(Distrust::Nameless)?)?;
    let empty = [0; 32];
    let exported = match &stream {
        TlsStream::Client(ours) => ours.get_ref().1.export_keying_material(empty, EXPORTER, None),
        TlsStream::Server(ours) => ours.get_ref().1.export_keying_material(empty, EXPORTER, None),
    };
    let binding = Binding::Tls(exported.or(Err(Distrust::NoTls))?);
    Ok((stream, binding, Judged::new(host, chain, renewed)))
}

impl TlsFiles {
    fn with_pem<T>(
        &self,
        then: impl FnOnce(TlsPem<'_>) -> Result<T, TlsError>,
    ) -> Result<T, TlsError> {
        let authority = read_public(&self.authority, PEM_MAX)?;
        let chain = read_public(&self.chain, PEM_MAX)?;
        let key = read_private(&self.key, PEM_MAX)?;
        let revoked = self.revoked.as_ref().map(|path| read_public(path, PEM_MAX)).transpose()?;
        if revoked.as_ref().is_some_and(Vec::is_empty) {
            return Err(TlsError::NoRevocations);
        }
        then(TlsPem {
            authority: &authority,
            chain: &chain,
            key: &key,
            revoked: revoked.as_deref().unwrap_or_default(),
        })
    }
}

impl Sides {
    /// Whose certificate it is, and what connections are made with.
    fn from_pem(pem: TlsPem<'_>) -> Result<(CertName, Self), TlsError> {
        let own = Own::from_pem(pem.chain, pem.key)?;
        let between = own.chain.get(1..).unwrap_or_default();
        let trust = Trust::from_pem(pem.authority, pem.revoked, between)?;
        let (dialler, servers) = trust.dialler(&own)?;
        let (listener, clients) = trust.listener(&own)?;
        let overdue = Arc::new(trust.overdue());
        overdue.look(UnixTime::now().as_secs());
        let (dialler, listener) = (Arc::new(dialler), Arc::new(listener));
        Ok((own.name, Self { dialler, listener, servers, clients, overdue }))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("name", &self.name)
            .field("admitted", &self.admitted)
            .field("dialled", &self.dialled)
            .field("is_everywhere", &self.is_everywhere)
            .finish_non_exhaustive()
    }
}

/// What is spoken within: somebody else's use of the same authority is refused in the handshake.
const ALPN: &[u8] = b"meshwarden/1";

/// The label of what both sides derive from the connection (RFC 8446, section 7.5).
const EXPORTER: &[u8] = b"EXPORTER-meshwarden-binding";

/// How long a PEM file may be: an authority, or a chain, of some dozens of certificates.
const PEM_MAX: u64 = 256 * 1024;
