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
use super::list::RevocationList;
use super::overdue::Overdue;
use super::own::Own;

/// What the other side's certificate is held against.
pub(super) struct Trust {
    roots: Arc<RootCertStore>,
    revoked: Vec<RevocationList>,
    provider: Arc<CryptoProvider>,
}

impl Trust {
    /// `between` is what is between the authority and a certificate of ours.
    pub(super) fn from_pem(
        authority: &[u8],
        revoked: &[u8],
        between: &[CertificateDer<'_>],
    ) -> Result<Self, TlsError> {
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
        let lists: Option<Vec<_>> = lists.into_iter().map(RevocationList::new).collect();
        let mut lists = lists.ok_or(TlsError::NoRevocations)?;
        // Also one that is not valid any more: its list does no harm, and may still be in the file.
        let mut issuers: Vec<Vec<u8>> = Vec::new();
        for certificate in all_authorities.iter().chain(between) {
            let parsed = EndEntityCert::try_from(certificate).or(Err(TlsError::NoAuthority))?;
            issuers.push(parsed.subject().to_vec());
        }
        if let Some(foreign) = lists.iter().find(|list| !issuers.contains(&list.issuer)) {
            return Err(TlsError::ForeignRevocations { issuer: foreign.issuer_text() });
        }
        // Of several by one issuer only the first is looked at.
        lists.sort_by_key(|list| std::cmp::Reverse(list.made));
        Ok(Self { roots: Arc::new(roots), revoked: lists, provider })
    }

    /// When the next of each revocation list was to come that is in use: the newest of each issuer.
    pub(super) fn overdue(&self) -> Overdue {
        let is_newest = |(index, list): &(usize, &RevocationList)| {
            self.revoked[..*index].iter().all(|newer| newer.issuer != list.issuer)
        };
        let newest = self.revoked.iter().enumerate().filter(is_newest);
        Overdue::new(newest.map(|(_, list)| list.next).collect())
    }

    fn revoked(&self) -> impl Iterator<Item = CertificateRevocationListDer<'static>> {
        self.revoked.iter().map(|list| list.der.clone())
    }

    /// The configuration of whoever dials. Without resumption: a session of the mesh resumes by itself, and a
    /// ticket would be another secret to keep.
    pub(super) fn dialler(
        &self,
        own: &Own,
    ) -> Result<(ClientConfig, Arc<WebPkiServerVerifier>), TlsError> {
        let (roots, provider) = (Arc::clone(&self.roots), Arc::clone(&self.provider));
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
            .with_crls(self.revoked())
            .allow_unknown_revocation_status()
            .build()
            .map_err(no_verifier)?;
        is_trusted_listening(own, &*verifier)?;
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(VERSIONS)
            .map_err(|error| TlsError::Unusable(error.to_string()))?
            .with_webpki_verifier(Arc::clone(&verifier))
            .with_client_cert_resolver(Arc::clone(&own.shown) as _);
        config.resumption = Resumption::disabled();
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok((config, verifier))
    }

    /// The configuration of whoever listens: who shows no certificate is not talked to.
    pub(super) fn listener(
        &self,
        own: &Own,
    ) -> Result<(ServerConfig, Arc<dyn ClientCertVerifier>), TlsError> {
        let (roots, provider) = (Arc::clone(&self.roots), Arc::clone(&self.provider));
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider))
            .with_crls(self.revoked())
            .allow_unknown_revocation_status()
            .build()
            .map_err(no_verifier)?;
        is_trusted_dialling(own, &*verifier)?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(VERSIONS)
            .map_err(|error| TlsError::Unusable(error.to_string()))?
            .with_client_cert_verifier(Arc::clone(&verifier))
            .with_cert_resolver(Arc::clone(&own.shown) as _);
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok((config, verifier))
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
