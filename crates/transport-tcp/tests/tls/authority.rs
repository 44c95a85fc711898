//! Certificates, good and bad.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevocationReason,
    RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use transport_tcp::{Peers, Tls, TlsPem};

/// An authority.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key.
#[derive(Clone)]
pub(crate) struct Card {
    pub(crate) chain: String,
    pub(crate) key: String,
}

/// What is on a certificate.
pub(crate) struct Face {
    pub(crate) uris: Vec<String>,
    pub(crate) addresses: Vec<&'static str>,
    pub(crate) purposes: Vec<ExtendedKeyUsagePurpose>,
    pub(crate) years: (i32, i32),
    pub(crate) serial: u64,
    /// When it expires instead, in seconds since 1970.
    pub(crate) until: Option<u64>,
}

impl Face {
    /// A good one.
    pub(crate) fn of(name: &str) -> Self {
        Self {
            uris: vec![format!("meshwarden:{name}")],
            addresses: vec!["127.0.0.1", "::1"],
            purposes: vec![
                ExtendedKeyUsagePurpose::ServerAuth,
                ExtendedKeyUsagePurpose::ClientAuth,
            ],
            years: (2020, 2100),
            serial: 7,
            until: None,
        }
    }

    fn params(&self) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.not_before = date_time_ymd(self.years.0, 1, 1);
        params.not_after = match self.until {
            Some(until) => date_time_ymd(1970, 1, 1) + Duration::from_secs(until),
            None => date_time_ymd(self.years.1, 1, 1),
        };
        params.serial_number = Some(SerialNumber::from(self.serial));
        let uris = self
            .uris
            .iter()
            .map(|uri| SanType::URI(uri.as_str().try_into().expect("it can be made")));
        let addresses =
            self.addresses.iter().map(|ip| SanType::IpAddress(ip.parse().expect("it can be made")));
        params.subject_alt_names = uris.chain(addresses).collect();
        params.extended_key_usages = self.purposes.clone();
        params.use_authority_key_identifier_extension = true;
        params
    }

    /// Signed by itself.
    pub(crate) fn self_signed(&self) -> Card {
        let key = KeyPair::generate().expect("it can be made");
        let certificate = self.params().self_signed(&key).expect("it can be made");
        Card { chain: certificate.pem(), key: key.serialize_pem() }
    }
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        Self::lasting(name, (2020, 2100))
    }

    pub(crate) fn lasting(name: &str, years: (i32, i32)) -> Self {
        let mut params = CertificateParams::default();
        params.not_before = date_time_ymd(years.0, 1, 1);
        params.not_after = date_time_ymd(years.1, 1, 1);
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        // It is used as the certificate of somebody, too, who is not to be let in.
        params.subject_alt_names = Face::of("agent/a").params().subject_alt_names;
        Self(
            CertifiedIssuer::self_signed(params, KeyPair::generate().expect("it can be made"))
                .expect("it can be made"),
        )
    }

    pub(crate) fn pem(&self) -> String {
        self.0.as_ref().pem()
    }

    /// Its own certificate, as if it were that of somebody.
    pub(crate) fn itself(&self) -> Card {
        Card { chain: self.pem(), key: self.0.key().serialize_pem() }
    }

    pub(crate) fn sign(&self, face: &Face) -> Card {
        let key = KeyPair::generate().expect("it can be made");
        let certificate = face.params().signed_by(&key, &self.0).expect("it can be made");
        Card { chain: certificate.pem(), key: key.serialize_pem() }
    }

    /// A list on which it takes back the certificate with this number.
    pub(crate) fn revoking(&self, serial: u64) -> String {
        self.revoking_for(serial, (2021, 2100))
    }

    /// The same, made in one year, the next to come in another.
    pub(crate) fn revoking_for(&self, serial: u64, years: (i32, i32)) -> String {
        let revoked = RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: date_time_ymd(2021, 1, 1),
            reason_code: Some(RevocationReason::KeyCompromise),
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(years.0, 1, 1),
            next_update: date_time_ymd(years.1, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.0).expect("it can be made").pem().expect("it can be made")
    }

    /// What somebody with `card` has who trusts this authority, and lets in agents of any host.
    pub(crate) fn tls(&self, card: &Card) -> Tls {
        self.tls_with(card, Peers::with_roles(["agent"]).expect("it can be made"), "")
    }

    pub(crate) fn tls_with(&self, card: &Card, peers: Peers, revoked: &str) -> Tls {
        let authority = self.pem();
        let pem = TlsPem {
            authority: authority.as_bytes(),
            chain: card.chain.as_bytes(),
            key: card.key.as_bytes(),
            revoked: revoked.as_bytes(),
        };
        Tls::from_pem(pem, peers).expect("it is all there").everywhere()
    }
}
