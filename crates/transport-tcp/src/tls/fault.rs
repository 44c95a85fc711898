//! What an error of a TLS handshake says of the other side.

use std::io;

use mesh_core::Distrust;
use rustls::{CertificateError, Error};

/// Why the two do not trust each other.
pub(super) fn distrust(error: &io::Error) -> Distrust {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::InvalidCertificate(fault)) => of_certificate(fault),
        Some(Error::NoCertificatesPresented) => Distrust::Nameless,
        Some(Error::AlertReceived(_)) => Distrust::Ours,
        // Broken off, or not TLS.
        _ => Distrust::NoTls,
    }
}

fn of_certificate(fault: &CertificateError) -> Distrust {
    match fault {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => Distrust::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Distrust::NotYetValid
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => Distrust::UnknownIssuer,
        CertificateError::Revoked => Distrust::Revoked,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Distrust::OtherHost
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            Distrust::Purpose
        }
        _ => Distrust::Malformed,
    }
}
