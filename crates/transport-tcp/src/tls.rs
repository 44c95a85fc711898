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
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, ServerName};
use rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig, version};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::handshake::Binding;
use crate::private_file::{FileError, read_private, read_public};

mod fault;
mod name;

pub use name::{CertName, CertNameError, Peers};

use fault::distrust;

/// What a process needs to speak TLS: who it is, and whom it trusts. Its key is overwritten when the last of
/// its users is dropped, and never shown.
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
    peers: Arc<Peers>,
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    is_everywhere: bool,
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

/// Why there is no [`Tls`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file was not taken.
    #[error(transparent)]
    File(#[from] FileError),
    /// There is no certificate of an authority that can be used.
    #[error("there is no certificate of an authority in what was given as one")]
    NoAuthority,
    /// A revocation list is none.
    #[error("a revocation list cannot be understood")]
    NoRevocations,
    /// There is no certificate of ours.
    #[error("there is no certificate in what was given as our own")]
    NoCertificate,
    /// There is no key.
    #[error("there is no private key in what was given as one")]
    NoKey,
    /// Our certificate and our key do not belong together, or are of a kind that is not known.
    #[error("our certificate and our key cannot be used together: {0}")]
    Unusable(String),
    /// Our certificate does not say whose it is.
    #[error("our certificate does not say whose it is: {0}")]
    Name(#[from] CertNameError),
}

impl Tls {
    /// From PEM files.
    ///
    /// # Errors
    ///
    /// [`TlsError`]
    pub fn from_files(files: &TlsFiles, peers: Peers) -> Result<Self, TlsError> {
        let authority = read_public(&files.authority, PEM_MAX)?;
        let chain = read_public(&files.chain, PEM_MAX)?;
        let key = read_private(&files.key, PEM_MAX)?;
        let revoked = files.revoked.as_ref().map(|path| read_public(path, PEM_MAX)).transpose()?;
        let pem = TlsPem {
            authority: &authority,
            chain: &chain,
            key: &key,
            revoked: revoked.as_deref().unwrap_or_default(),
        };
        Self::from_pem(pem, peers)
    }

    /// From what is in PEM files.
    ///
    /// # Errors
    ///
    /// Every [`TlsError`] but those of files.
    pub fn from_pem(pem: TlsPem<'_>, peers: Peers) -> Result<Self, TlsError> {
        let chain: Vec<_> = all(pem.chain).ok_or(TlsError::NoCertificate)?;
        let name = CertName::of(chain.first().ok_or(TlsError::NoCertificate)?)?;
        let ours =
            Ours { chain, key: PrivateKeyDer::from_pem_slice(pem.key).or(Err(TlsError::NoKey))? };
        let trust = Trust::new(pem.authority, pem.revoked)?;
        Ok(Self {
            name,
            peers: Arc::new(peers),
            client: Arc::new(trust.dialler(&ours)?),
            server: Arc::new(trust.listener(ours)?),
            is_everywhere: false,
        })
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
    ) -> Result<(TlsStream<S>, Binding), Distrust>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = ServerName::try_from(host.to_owned()).or(Err(Distrust::OtherHost))?;
        let connected = TlsConnector::from(Arc::clone(&self.client)).connect(name, stream).await;
        self.met(connected.map_err(|error| distrust(&error))?.into())
    }

    /// The listener's side.
    pub(crate) async fn accept<S>(&self, stream: S) -> Result<(TlsStream<S>, Binding), Distrust>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let accepted = TlsAcceptor::from(Arc::clone(&self.server)).accept(stream).await;
        self.met(accepted.map_err(|error| distrust(&error))?.into())
    }

    /// Whether whoever has been met has business here, and what ties the handshake of the mesh to this
    /// connection.
    fn met<S>(&self, stream: TlsStream<S>) -> Result<(TlsStream<S>, Binding), Distrust> {
        let (_, connection) = stream.get_ref();
        let shown = connection.peer_certificates().and_then(<[_]>::first);
        let name = shown.and_then(|certificate| CertName::of(certificate).ok());
        self.peers.admit(&name.ok_or(Distrust::Nameless)?)?;
        let empty = [0; 32];
        let exported = match &stream {
            TlsStream::Client(ours) => {
                ours.get_ref().1.export_keying_material(empty, EXPORTER, None)
            }
            TlsStream::Server(ours) => {
                ours.get_ref().1.export_keying_material(empty, EXPORTER, None)
            }
        };
        let binding = Binding::Tls(exported.or(Err(Distrust::NoTls))?);
        Ok((stream, binding))
    }
}

/// What is shown to the other side.
struct Ours {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

/// What the other side's certificate is held against.
struct Trust {
    roots: Arc<RootCertStore>,
    revoked: Vec<CertificateRevocationListDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl Trust {
    fn new(authority: &[u8], revoked: &[u8]) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in all(authority).ok_or(TlsError::NoAuthority)? {
            roots.add(certificate).or(Err(TlsError::NoAuthority))?;
        }
        if roots.is_empty() {
            return Err(TlsError::NoAuthority);
        }
        let revoked = all(revoked).ok_or(TlsError::NoRevocations)?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        Ok(Self { roots: Arc::new(roots), revoked, provider })
    }

    /// The configuration of whoever dials. Without resumption: a session of the mesh resumes by itself, and a
    /// ticket would be another secret to keep.
    fn dialler(&self, ours: &Ours) -> Result<ClientConfig, TlsError> {
        let (roots, provider) = (Arc::clone(&self.roots), Arc::clone(&self.provider));
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
            .with_crls(self.revoked.clone())
            .allow_unknown_revocation_status();
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(VERSIONS)
            .map_err(unusable)?
            .with_webpki_verifier(verifier.build().map_err(no_verifier)?)
            .with_client_auth_cert(ours.chain.clone(), ours.key.clone_key())
            .map_err(unusable)?;
        config.resumption = Resumption::disabled();
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(config)
    }

    /// The configuration of whoever listens: who shows no certificate is not talked to.
    fn listener(&self, ours: Ours) -> Result<ServerConfig, TlsError> {
        let (roots, provider) = (Arc::clone(&self.roots), Arc::clone(&self.provider));
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider))
            .with_crls(self.revoked.clone())
            .allow_unknown_revocation_status();
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(VERSIONS)
            .map_err(unusable)?
            .with_client_cert_verifier(verifier.build().map_err(no_verifier)?)
            .with_single_cert(ours.chain, ours.key)
            .map_err(unusable)?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(config)
    }
}

fn no_verifier(error: VerifierBuilderError) -> TlsError {
    match error {
        VerifierBuilderError::InvalidCrl(_) => TlsError::NoRevocations,
        _ => TlsError::NoAuthority,
    }
}

fn unusable(error: rustls::Error) -> TlsError {
    TlsError::Unusable(error.to_string())
}

/// All of a kind that a PEM file has; `None` if one of them is none.
fn all<T: PemObject>(pem: &[u8]) -> Option<Vec<T>> {
    T::pem_slice_iter(pem).collect::<Result<_, _>>().ok()
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("name", &self.name)
            .field("peers", &self.peers)
            .field("is_everywhere", &self.is_everywhere)
            .finish_non_exhaustive()
    }
}

/// There is no older version to fall back to.
const VERSIONS: &[&rustls::SupportedProtocolVersion] = &[&version::TLS13];

/// What is spoken within: somebody else's use of the same authority is refused in the handshake.
const ALPN: &[u8] = b"meshwarden/1";

/// The label of what both sides derive from the connection (RFC 8446, section 7.5).
const EXPORTER: &[u8] = b"EXPORTER-meshwarden-binding";

/// How long a PEM file may be: an authority, or a chain, of some dozens of certificates.
const PEM_MAX: u64 = 256 * 1024;
