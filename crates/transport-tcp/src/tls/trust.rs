//! What certificates are held against: the authority of the mesh, and what it has taken back.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use mesh_core::Distrust;
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{
    CertificateDer, CertificateRevocationListDer, ServerName, SignatureVerificationAlgorithm,
    UnixTime,
};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig, version};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::ALPN;
use super::error::TlsError;
use super::fault::of_rustls;
use super::own::Own;

/// What the other side's certificate is held against.
pub(super) struct Trust {
    roots: Arc<RootCertStore>,
    revoked: Vec<CertificateRevocationListDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl Trust {
    pub(super) fn from_pem(authority: &[u8], revoked: &[u8]) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let all_authorities: Vec<_> = all(authority).ok_or(TlsError::NoAuthority)?;
        let mut roots = RootCertStore::empty();
        for certificate in &all_authorities {
            if is_valid_authority(certificate, &provider)? {
                roots.add(certificate.clone()).or(Err(TlsError::NoAuthority))?;
            } else {
                // One that has been replaced may still be in the file.
                tracing::warn!("an authority is not valid at this time: it is not trusted");
            }
        }
        if all_authorities.is_empty() {
            return Err(TlsError::NoAuthority);
        }
        if roots.is_empty() {
            return Err(TlsError::AuthorityExpired);
        }
        let lists: Vec<_> = all(revoked).ok_or(TlsError::NoRevocations)?;
        if lists.is_empty() && !revoked.is_empty() {
            return Err(TlsError::NoRevocations);
        }
        Ok(Self { roots: Arc::new(roots), revoked: lists, provider })
    }

    /// The configuration of whoever dials. Without resumption: a session of the mesh resumes by itself, and a
    /// ticket would be another secret to keep.
    pub(super) fn dialler(&self, own: &Own) -> Result<ClientConfig, TlsError> {
        let (roots, provider) = (Arc::clone(&self.roots), Arc::clone(&self.provider));
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
            .with_crls(self.revoked.clone())
            .allow_unknown_revocation_status()
            .build()
            .map_err(no_verifier)?;
        is_trusted_listening(own, &*verifier)?;
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(VERSIONS)
            .map_err(|error| TlsError::Unusable(error.to_string()))?
            .with_webpki_verifier(verifier)
            .with_client_cert_resolver(Arc::clone(&own.shown) as _);
        config.resumption = Resumption::disabled();
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(config)
    }

    /// The configuration of whoever listens: who shows no certificate is not talked to.
    pub(super) fn listener(&self, own: &Own) -> Result<ServerConfig, TlsError> {
        let (roots, provider) = (Arc::clone(&self.roots), Arc::clone(&self.provider));
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider))
            .with_crls(self.revoked.clone())
            .allow_unknown_revocation_status()
            .build()
            .map_err(no_verifier)?;
        is_trusted_dialling(own, &*verifier)?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(VERSIONS)
            .map_err(|error| TlsError::Unusable(error.to_string()))?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::clone(&own.shown) as _);
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(config)
    }
}

/// Whether an authority may be used at this time. Nobody else looks: what is trusted is trusted for ever, and
/// whatever it is, with the rules of TLS libraries.
fn is_valid_authority(
    certificate: &CertificateDer<'_>,
    provider: &CryptoProvider,
) -> Result<bool, TlsError> {
    let anchors = [anchor_from_trusted_cert(certificate).or(Err(TlsError::NoAuthority))?];
    let parsed = EndEntityCert::try_from(certificate).or(Err(TlsError::NoAuthority))?;
    let algorithms: &[&dyn SignatureVerificationAlgorithm] =
        provider.signature_verification_algorithms.all;
    // As if it were the certificate of somebody: first it must be valid, and then an authority is refused as
    // being one.
    let judged = parsed.verify_for_usage(
        algorithms,
        &anchors,
        &[],
        UnixTime::now(),
        KeyUsage::client_auth(),
        None,
        None,
    );
    match judged.err() {
        Some(webpki::Error::CaUsedAsEndEntity) => Ok(true),
        Some(webpki::Error::CertExpired { .. } | webpki::Error::CertNotValidYet { .. }) => {
            Ok(false)
        }
        _ => Err(TlsError::NoAuthority),
    }
}

/// Whether those who dial us would trust us.
fn is_trusted_listening(own: &Own, verifier: &dyn ServerCertVerifier) -> Result<(), TlsError> {
    // By which name we are dialled is not known here, and is judged last.
    let nowhere = ServerName::from(IpAddr::from(Ipv6Addr::UNSPECIFIED));
    let [first, between @ ..] = &own.chain[..] else { return Err(TlsError::NoCertificate) };
    let judged = verifier.verify_server_cert(first, between, &nowhere, &[], UnixTime::now());
    match judged.map_err(|error| of_rustls(&error)) {
        Ok(_) | Err(Distrust::OtherHost) => Ok(()),
        Err(why) => Err(TlsError::Distrusted(why)),
    }
}

/// Whether those whom we dial would trust us.
fn is_trusted_dialling(own: &Own, verifier: &dyn ClientCertVerifier) -> Result<(), TlsError> {
    let [first, between @ ..] = &own.chain[..] else { return Err(TlsError::NoCertificate) };
    let judged = verifier.verify_client_cert(first, between, UnixTime::now());
    judged.map(drop).map_err(|error| TlsError::Distrusted(of_rustls(&error)))
}

fn no_verifier(error: VerifierBuilderError) -> TlsError {
    match error {
        VerifierBuilderError::InvalidCrl(_) => TlsError::NoRevocations,
        _ => TlsError::NoAuthority,
    }
}

/// All of a kind that a PEM file has; `None` if one of them is none.
pub(super) fn all<T: PemObject>(pem: &[u8]) -> Option<Vec<T>> {
    T::pem_slice_iter(pem).collect::<Result<_, _>>().ok()
}

/// There is no older version to fall back to.
const VERSIONS: &[&rustls::SupportedProtocolVersion] = &[&version::TLS13];
