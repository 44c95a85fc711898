//! Certificates for both ends of a cable, in files as programs have them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType,
};
use transport_tcp::{Peers, Tls, TlsFiles};

use crate::Fault;
use crate::cable::End;

/// A directory for each end, gone when it is dropped.
#[derive(Debug)]
pub(crate) struct Cards(PathBuf);

impl Cards {
    /// For two ends that have these addresses.
    pub(crate) fn new(addresses: [&str; 2]) -> Result<Self, Fault> {
        // Tests of both versions of IP may run at once in one process.
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("cards-{}-{number}", std::process::id());
        let cards = Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "nets");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        for (end, address) in [End::Here, End::There].into_iter().zip(addresses) {
            let dir = PathBuf::from(cards.dir(end));
            fs::create_dir_all(&dir)?;
            let key = KeyPair::generate()?;
            let mut params = CertificateParams::default();
            params.subject_alt_names = vec![
                SanType::URI(format!("meshwarden:agent/{end:?}").to_lowercase().try_into()?),
                SanType::IpAddress(address.parse()?),
            ];
            params.extended_key_usages =
                vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
            fs::write(dir.join("chain"), params.signed_by(&key, &authority)?.pem())?;
            fs::write(dir.join("authority"), authority.as_ref().pem())?;
            fs::write(dir.join("key"), key.serialize_pem())?;
            fs::set_permissions(dir.join("key"), fs::Permissions::from_mode(0o600))?;
        }
        Ok(cards)
    }

    /// Where those of one end are.
    pub(crate) fn dir(&self, end: End) -> String {
        self.0.join(format!("{end:?}")).to_string_lossy().into_owned()
    }
}

impl Drop for Cards {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0).is_ok();
    }
}

/// What an end has whose certificates are in `dir`.
pub(crate) fn tls(dir: &str) -> Result<Tls, Fault> {
    let file = |name| Path::new(dir).join(name);
    let files = TlsFiles {
        authority: file("authority"),
        chain: file("chain"),
        key: file("key"),
        revoked: None,
    };
    Ok(Tls::from_files(&files, Peers::with_roles(["agent"])?)?)
}
