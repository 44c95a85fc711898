//! An authority, and what it signs.

use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use meshwarden::transport_tcp::CertName;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateRevocationListParams,
    CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, PublicKeyData, RevokedCertParams, SanType, SerialNumber,
};
use time::{Duration, OffsetDateTime};
use x509_parser::pem::parse_x509_pem;
use zeroize::Zeroizing;

use super::revocation::Revoked;

/// For how long an authority is good.
const AUTHORITY_DAYS: i64 = 3650;

/// Clocks of hosts differ: a certificate is good from a little before it was made.
const BEFORE: Duration = Duration::hours(1);

/// An authority of one mesh, or of many.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
    until: OffsetDateTime,
}

/// A certificate and its key, as PEM.
pub(super) struct Signed {
    pub(super) certificate: String,
    pub(super) key: Zeroizing<String>,
}

/// From when until when a certificate is good.
#[derive(Clone, Copy, Debug)]
pub(super) struct Validity {
    from: OffsetDateTime,
    until: OffsetDateTime,
}

impl Validity {
    pub(super) fn of_authority() -> Result<Self> {
        Self::starting_now(AUTHORITY_DAYS)
    }

    pub(super) fn days(days: u32) -> Result<Self> {
        Self::starting_now(days.into())
    }

    fn starting_now(days: i64) -> Result<Self> {
        let now = now();
        let from = now.checked_sub(BEFORE).context("the clock is before all time")?;
        let until = now.checked_add(Duration::days(days)).context("the clock is after all time")?;
        Ok(Self { from, until })
    }

    /// The same, but not for longer than `until`.
    pub(super) fn within(self, until: OffsetDateTime) -> Self {
        Self { until: self.until.min(until), ..self }
    }

    /// How many days it is good from now on.
    pub(super) fn n_days(self) -> i64 {
        (self.until - self.from).whole_days()
    }

    fn put(self, params: &mut CertificateParams) {
        params.not_before = self.from;
        params.not_after = self.until;
    }
}

impl Authority {
    /// A new one.
    pub(super) fn new(validity: Validity) -> Result<Self> {
        let mut params = CertificateParams::default();
        validity.put(&mut params);
        params.distinguished_name.push(DnType::CommonName, "meshwarden authority");
        // It signs hosts, and no other authorities.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let made = CertifiedIssuer::self_signed(params.clone(), KeyPair::generate()?)?;
        let certificate = made.as_ref().pem();
        let key = KeyPair::from_pem(&Zeroizing::new(made.key().serialize_pem()))?;
        Ok(Self { issuer: Issuer::new(params, key), certificate, until: validity.until })
    }

    /// One that was made before.
    pub(super) fn known(certificate: &str, key: &str) -> Result<Self> {
        let key = KeyPair::from_pem(key)?;
        let (_, pem) = parse_x509_pem(certificate.as_bytes())?;
        let parsed = pem.parse_x509()?;
        ensure!(parsed.is_ca(), "the certificate is that of a host");
        let is_its_key = parsed.public_key().raw == key.subject_public_key_info();
        ensure!(is_its_key, "the certificate and the key do not belong together");
        ensure!(
            parsed.validity().is_valid(),
            "it is not valid at this time: {}",
            parsed.validity().not_after
        );
        let until = parsed.validity().not_after.to_datetime();
        let issuer = Issuer::from_ca_cert_pem(certificate, key)?;
        Ok(Self { issuer, certificate: certificate.to_owned(), until })
    }

    /// Until when it is good: what it signs is not good for longer.
    pub(super) const fn until(&self) -> OffsetDateTime {
        self.until
    }

    pub(super) fn certificate(&self) -> &str {
        &self.certificate
    }

    pub(super) fn key(&self) -> Zeroizing<String> {
        Zeroizing::new(self.issuer.key().serialize_pem())
    }

    /// The list of what is trusted no more, as PEM. It is good for as long as the authority.
    pub(super) fn list(&self, revoked: &Revoked, now: OffsetDateTime) -> Result<String> {
        let each = revoked.certificates.iter().map(|(number, since)| RevokedCertParams {
            serial_number: number.clone(),
            revocation_time: *since,
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: now,
            next_update: self.until,
            crl_number: SerialNumber::from(revoked.number + 1),
            issuing_distribution_point: None,
            revoked_certs: each.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(list.signed_by(&self.issuer)?.pem()?)
    }

    /// A certificate for a role on a host, by whatever name it is dialled.
    pub(super) fn sign(
        &self,
        name: &CertName,
        others: &[String],
        validity: Validity,
    ) -> Result<Signed> {
        let mut params = CertificateParams::default();
        validity.put(&mut params);
        params.distinguished_name.push(DnType::CommonName, name.to_string());
        params.subject_alt_names = names(name, others)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        // Of two hosts each may dial the other.
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate: Certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Signed { certificate: certificate.pem(), key: Zeroizing::new(key.serialize_pem()) })
    }
}

/// What a certificate says is of the wall clock, and whoever checks it looks there.
#[expect(clippy::disallowed_methods, reason = "certificates are dated; nothing is decided")]
pub(super) fn now() -> OffsetDateTime {
    SystemTime::now().into()
}

fn names(name: &CertName, others: &[String]) -> Result<Vec<SanType>> {
    let mut names = vec![SanType::URI(name.uri().as_str().try_into()?)];
    for host in [name.host()].into_iter().chain(others.iter().map(String::as_str)) {
        names.push(match host.parse() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(host.try_into()?),
        });
    }
    Ok(names)
}
