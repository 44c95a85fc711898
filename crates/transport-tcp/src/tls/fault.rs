//! What an error of a TLS handshake says of the other side.

use std::io;

use mesh_core::Distrust;
use rustls::{AlertDescription, CertificateError, Error};

/// Why the two do not trust each other.
pub(super) fn distrust(error: &io::Error) -> Distrust {
    let fault = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    // Broken off, if there is none.
    fault.map_or(Distrust::NoTls, of_rustls)
}

/// The same, of an error of the library.
pub(super) fn of_rustls(error: &Error) -> Distrust {
    match error {
        Error::InvalidCertificate(fault) => of_certificate(fault),
        Error::NoCertificatesPresented => Distrust::Nameless,
        Error::NoApplicationProtocol
        | Error::AlertReceived(AlertDescription::NoApplicationProtocol) => Distrust::Protocol,
        Error::AlertReceived(_) => Distrust::Ours,
        // It is not TLS, or another version.
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
