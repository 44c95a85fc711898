//! What an authority takes back.

use anyhow::{Context, Result, ensure};
use rcgen::SerialNumber;
use time::OffsetDateTime;
use x509_parser::parse_x509_crl;
use x509_parser::pem::{Pem, parse_x509_pem};

/// The numbers of certificates that are trusted no more, and since when.
#[derive(Default)]
pub(super) struct Revoked {
    /// The number of the list that has them: each is higher than the one before.
    pub(super) number: u64,
    pub(super) certificates: Vec<(SerialNumber, OffsetDateTime)>,
}

impl Revoked {
    /// Those of a list that was made before.
    pub(super) fn known(list: &str) -> Result<Self> {
        let pem = pem(list)?;
        let (_, parsed) = parse_x509_crl(&pem.contents).context("it is no revocation list")?;
        let number = parsed.crl_number().and_then(|number| u64::try_from(number).ok());
        let each = parsed.iter_revoked_certificates().map(|one| {
            let since = one.revocation_date.to_datetime();
            (SerialNumber::from_slice(one.raw_serial()), since)
        });
        Ok(Self { number: number.unwrap_or_default(), certificates: each.collect() })
    }

    /// Takes back the certificate in a file of the authority whose certificate is `authority`. Once is enough.
    pub(super) fn add(
        &mut self,
        certificate: &str,
        authority: &str,
        now: OffsetDateTime,
    ) -> Result<()> {
        let (file, authority) = (pem(certificate)?, pem(authority)?);
        let (parsed, authority) = (file.parse_x509()?, authority.parse_x509()?);
        // Authorities may have the same name.
        let signed = parsed.verify_signature(Some(authority.public_key()));
        ensure!(signed.is_ok(), "another authority has signed it");
        ensure!(!parsed.is_ca(), "it is the authority itself: make a new one in another --dir");
        let number = SerialNumber::from_slice(parsed.raw_serial());
        if self.certificates.iter().all(|(known, _)| known.to_bytes() != number.to_bytes()) {
            self.certificates.push((number, now));
        }
        Ok(())
    }
}

fn pem(text: &str) -> Result<Pem> {
    let (_, pem) = parse_x509_pem(text.as_bytes()).context("it is not PEM")?;
    Ok(pem)
}
