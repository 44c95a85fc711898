//! How ours meets itself: over TCP, over TLS, or over a Unix socket.

use std::io::Read;
use std::process;
use std::time::Duration;

use meshwarden::mesh_core::Addr;
use meshwarden::transport_tcp::{Peers, Secret, TcpConfig, TcpTransport, Tls, TlsPem};
use meshwarden_bench_player::Failed;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType,
};

/// What both ends need: a secret, and who signs and is trusted where there is TLS. It goes to the other end
/// through a pipe.
pub(crate) struct Keys {
    secret: [u8; Secret::LEN],
    /// The certificate of an authority, ours, and our key; empty without TLS.
    pem: [String; 3],
}

impl Keys {
    pub(crate) fn new(door: &str) -> Result<Self, Failed> {
        let secret = *Secret::generate()?.to_bytes();
        let pem = if door == "tls" { certificates()? } else { Default::default() };
        Ok(Self { secret, pem })
    }

    /// As they are read by [`read`](Self::read).
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.secret.to_vec();
        for part in &self.pem {
            bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        bytes
    }

    pub(crate) fn read(from: &mut impl Read) -> Result<Self, Failed> {
        let mut keys = Self { secret: [0; Secret::LEN], pem: Default::default() };
        from.read_exact(&mut keys.secret)?;
        for part in &mut keys.pem {
            let mut length = [0; 8];
            from.read_exact(&mut length)?;
            from.take(u64::from_le_bytes(length)).read_to_string(part)?;
        }
        Ok(keys)
    }

    /// A transport of whoever has them.
    pub(crate) fn transport(&self) -> Result<TcpTransport, Failed> {
        let config = TcpConfig::for_lease(Secret::from_bytes(self.secret), Duration::from_secs(10));
        let [authority, chain, key] = self.pem.each_ref().map(String::as_bytes);
        if authority.is_empty() {
            return Ok(TcpTransport::new(config)?);
        }
        let pem = TlsPem { authority, chain, key, revoked: b"" };
        let tls = Tls::from_pem(pem, Peers::with_roles(["agent"])?)?.everywhere();
        Ok(TcpTransport::new(TcpConfig { tls: Some(tls), ..config })?)
    }
}

/// Where the other end is to listen.
pub(crate) fn address(door: &str) -> Addr {
    match door {
        "unix" => {
            let name = format!("meshwarden-bench-{}.sock", process::id());
            Addr::Unix { path: std::env::temp_dir().join(name) }
        }
        _ => Addr::Tcp { host: "127.0.0.1".to_owned(), port: 0 },
    }
}

/// An authority, and a certificate that it has signed, with its key.
fn certificates() -> Result<[String; 3], Failed> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "bench");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![
        SanType::URI("meshwarden:agent/bench".try_into()?),
        SanType::IpAddress([127, 0, 0, 1].into()),
    ];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &authority)?;
    Ok([authority.as_ref().pem(), certificate.pem(), key.serialize_pem()])
}
