//! Why there is no `Tls`: [`TlsError`].

use mesh_core::Distrust;

use super::name::{CertName, CertNameError};
use crate::private_file::FileError;

/// Why there is no [`Tls`](super::Tls). Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file was not taken.
    #[error(transparent)]
    File(#[from] FileError),
    /// There is no certificate of an authority, or one of them is of somebody else.
    #[error("what was given as the authority is no certificate of one: take ca.pem")]
    NoAuthority,
    /// Every authority that there is may be used no more, or not yet.
    #[error("the authority is not valid at this time: look at the clock, or make a new one")]
    AuthorityExpired,
    /// There is no revocation list, or one of them is none.
    #[error("what was given as revocation lists is none, or has one that cannot be understood")]
    NoRevocations,
    /// A revocation list was made by somebody else than our authorities, so that it would have no effect.
    #[error(
        "a revocation list is by {issuer:?}, which is none of our authorities: it would have no effect"
    )]
    ForeignRevocations {
        /// The names of whoever has made it.
        issuer: String,
    },
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
    #[error("our certificate does not say whose it is")]
    Name(#[from] CertNameError),
    /// Whoever trusts the same authority would not trust our certificate.
    #[error("nobody would trust our certificate: {0}")]
    Distrusted(Distrust),
    /// What was to renew our certificate is the certificate of another host, or for another role.
    #[error("we are {ours}, and the new certificate is of {found}")]
    OtherName {
        /// Who we are.
        ours: CertName,
        /// Whose the new one is.
        found: CertName,
    },
}
