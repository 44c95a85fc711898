//! Somebody who speaks TLS and checks nothing: to show certificates that our own side would not.

use std::sync::Arc;

use mesh_core::Addr;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, ServerConfig, SignatureScheme,
    SupportedProtocolVersion,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::authority::Card;

/// What a stranger speaks.
#[derive(Clone, Copy)]
pub(crate) struct Speech {
    versions: &'static [&'static SupportedProtocolVersion],
    /// What he says that he speaks within TLS.
    within: &'static [&'static [u8]],
}

impl Speech {
    /// The same as we.
    pub(crate) const OURS: Self = Self { versions: &[&TLS13], within: &[b"meshwarden/1"] };
    /// An older version of TLS.
    pub(crate) const OLD: Self = Self { versions: &[&TLS12], ..Self::OURS };
    /// TLS, and within something that is not said.
    pub(crate) const UNSAID: Self = Self { within: &[], ..Self::OURS };
    /// TLS, and something else within.
    pub(crate) const WEB: Self = Self { within: &[b"h2", b"http/1.1"], ..Self::OURS };

    fn within(self) -> Vec<Vec<u8>> {
        self.within.iter().map(|name| name.to_vec()).collect()
    }
}

/// Trusts whoever is there.
#[derive(Debug)]
struct Credulous;

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}

fn parts(card: &Card) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = CertificateDer::pem_slice_iter(card.chain.as_bytes())
        .map(|one| one.expect("it is PEM"))
        .collect();
    (chain, PrivateKeyDer::from_pem_slice(card.key.as_bytes()).expect("it can be made"))
}

/// Dials `port` with `card`, or without any, says something, and returns what is said to it: nothing, if it is
/// not let in.
pub(crate) async fn dials(port: u16, card: Option<&Card>, speech: Speech) -> Vec<u8> {
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(speech.versions)
        .expect("it can be made")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Credulous));
    let mut config = match card.map(parts) {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).expect("it can be made"),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = speech.within();
    let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("it can be made");
    let name = ServerName::try_from("127.0.0.1").expect("it can be made");
    let mut said = Vec::new();
    if let Ok(mut stream) = TlsConnector::from(Arc::new(config)).connect(name, stream).await {
        // In TLS 1.3 it may think that it is in until it reads.
        _ = stream.write_all(&[0, 4, 1, 2, 3, 4]).await.is_ok();
        _ = stream.read_to_end(&mut said).await.is_ok();
    }
    said
}

/// Dials `port` twice with `card`, ready to resume, and returns whether the second time was no resumption.
pub(crate) async fn starts_anew(port: u16, card: &Card) -> bool {
    let (chain, key) = parts(card);
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&TLS13])
        .expect("it can be made")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Credulous))
        .with_client_auth_cert(chain, key)
        .expect("it can be made");
    config.alpn_protocols = Speech::OURS.within();
    let connector = TlsConnector::from(Arc::new(config));
    let mut is_anew = true;
    for _ in 0..2 {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("it can be made");
        let name = ServerName::try_from("127.0.0.1").expect("it can be made");
        let mut stream = connector.connect(name, stream).await.expect("its card is good");
        // Tickets come after the handshake, if any do.
        _ = stream.write_all(&[0xff; 4]).await.is_ok();
        _ = stream.read_to_end(&mut Vec::new()).await.is_ok();
        let (_, session) = stream.get_ref();
        is_anew &= session.handshake_kind() == Some(rustls::HandshakeKind::Full)
            && session.tls13_tickets_received() == 0;
    }
    is_anew
}

/// Listens with `card`, lets in whoever comes, and says nothing.
pub(crate) async fn listens(card: &Card, speech: Speech) -> Addr {
    let (chain, key) = parts(card);
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(speech.versions)
        .expect("it can be made")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("it can be made");
    config.alpn_protocols = speech.within();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("it can be made");
    let port = listener.local_addr().expect("it can be made").port();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                _ = stream.read_to_end(&mut Vec::new()).await.is_ok();
            }
        }
    });
    Addr::Tcp { host: "127.0.0.1".to_owned(), port }
}
