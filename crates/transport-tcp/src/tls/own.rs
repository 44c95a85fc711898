//! Our own certificate, and its key.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::CertificateDer;
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use super::error::TlsError;
use super::key::private_key;
use super::name::CertName;
use super::trust::all;

/// What is shown to the other side.
pub(super) struct Own {
    pub(super) name: CertName,
    pub(super) shown: Arc<SingleCertAndKey>,
    /// The certificate, and those between it and the authority.
    pub(super) chain: Vec<CertificateDer<'static>>,
}

impl Own {
    pub(super) fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain: Vec<_> = all(chain).ok_or(TlsError::NoCertificate)?;
        let name = CertName::of(chain.first().ok_or(TlsError::NoCertificate)?)?;
        // The only copy of ours that is left is the one that signs.
        let key = private_key(key).ok_or(TlsError::NoKey)?;
        let certified =
            CertifiedKey::new(chain.clone(), any_supported_type(&key).map_err(unusable)?);
        certified.keys_match().map_err(unusable)?;
        Ok(Self { name, shown: Arc::new(certified.into()), chain })
    }
}

fn unusable(error: rustls::Error) -> TlsError {
    TlsError::Unusable(error.to_string())
}
