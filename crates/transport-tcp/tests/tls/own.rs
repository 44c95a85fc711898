//! own: what we are given ourselves must be good, and is refused before anybody is dialled.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use mesh_core::Distrust;
use rcgen::ExtendedKeyUsagePurpose;
use transport_tcp::{FileError, Peers, Tls, TlsError, TlsFiles, TlsPem};

use crate::authority::{Authority, Card, Face};

fn agents() -> Peers {
    Peers::with_roles(["agent"]).expect("it is a role")
}

fn made(authority: &str, card: &Card, revoked: &str) -> Result<(), TlsError> {
    let pem = TlsPem {
        authority: authority.as_bytes(),
        chain: card.chain.as_bytes(),
        key: card.key.as_bytes(),
        revoked: revoked.as_bytes(),
    };
    Tls::from_pem(pem, agents()).map(drop)
}

#[test]
fn what_is_no_authority_is_not_trusted_as_one() {
    let (authority, other) = (Authority::new("ours"), Authority::new("others"));
    let card = authority.sign(&Face::of("agent/a"));
    assert_eq!(made(&authority.pem(), &card, ""), Ok(()));
    assert_eq!(
        made(&(other.pem() + &authority.pem()), &card, ""),
        Ok(()),
        "one replaces the other"
    );
    for none in ["", "words", &card.key, &card.chain, &(authority.pem() + &card.chain)] {
        assert_eq!(made(none, &card, ""), Err(TlsError::NoAuthority), "{none}");
    }
    let broken = authority.pem().replacen('M', "N", 2);
    assert_eq!(made(&broken, &card, ""), Err(TlsError::NoAuthority));
}

/// TLS libraries trust an authority for ever.
#[test]
fn an_authority_that_has_expired_is_not_trusted() {
    let (authority, old) = (Authority::new("ours"), Authority::lasting("ours", (2010, 2020)));
    let (card, dated) = (authority.sign(&Face::of("agent/a")), old.sign(&Face::of("agent/a")));
    assert_eq!(made(&old.pem(), &dated, ""), Err(TlsError::AuthorityExpired));
    let early = Authority::lasting("ours", (2099, 2100)).pem();
    assert_eq!(made(&early, &card, ""), Err(TlsError::AuthorityExpired));
    // It may still be in the file when another has replaced it.
    let both = old.pem() + &authority.pem();
    assert_eq!(made(&both, &card, ""), Ok(()));
    let issuer = TlsError::Distrusted(Distrust::UnknownIssuer);
    assert_eq!(made(&both, &dated, ""), Err(issuer));
}

#[test]
fn a_certificate_that_nobody_would_trust_is_not_shown() {
    let authority = Authority::new("ours");
    let faces = [
        (Face { years: (2020, 2021), ..Face::of("agent/a") }, Distrust::Expired),
        (Face { years: (2099, 2100), ..Face::of("agent/a") }, Distrust::NotYetValid),
        (Face { serial: 99, ..Face::of("agent/a") }, Distrust::Revoked),
        (only(ExtendedKeyUsagePurpose::ClientAuth), Distrust::Purpose),
        (only(ExtendedKeyUsagePurpose::ServerAuth), Distrust::Purpose),
    ];
    for (face, why) in faces {
        let made = made(&authority.pem(), &authority.sign(&face), &authority.revoking(99));
        assert_eq!(made, Err(TlsError::Distrusted(why)));
    }
    let other = Authority::new("ours").sign(&Face::of("agent/a"));
    let issuer = TlsError::Distrusted(Distrust::UnknownIssuer);
    assert_eq!(made(&authority.pem(), &other, ""), Err(issuer));
    let (one, two) = (authority.sign(&Face::of("agent/a")), authority.sign(&Face::of("agent/a")));
    let mixed = Card { chain: one.chain, key: two.key };
    assert!(matches!(made(&authority.pem(), &mixed, ""), Err(TlsError::Unusable(_))));
}

fn only(purpose: ExtendedKeyUsagePurpose) -> Face {
    Face { purposes: vec![purpose], ..Face::of("agent/a") }
}

/// Somebody who names a list means that there is one.
#[test]
fn a_revocation_list_that_is_none_is_refused() {
    let authority = Authority::new("ours");
    let card = authority.sign(&Face::of("agent/a"));
    assert_eq!(made(&authority.pem(), &card, &authority.revoking(99)), Ok(()));
    for none in [" ", "words", &card.chain] {
        assert_eq!(made(&authority.pem(), &card, none), Err(TlsError::NoRevocations), "{none}");
    }
}

/// A directory that is removed.
struct Dir(PathBuf);

impl Drop for Dir {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0).is_ok();
    }
}

#[test]
fn files_are_what_they_are_taken_for_and_the_key_is_nobody_elses_to_read() {
    let dir = Dir(std::env::temp_dir().join(format!("mesh-tls-own-{}", std::process::id())));
    fs::create_dir(&dir.0).unwrap();
    let authority = Authority::new("ours");
    let card = authority.sign(&Face::of("agent/a"));
    let write = |name: &str, text: &str| {
        let path = dir.0.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    };
    let files = TlsFiles {
        authority: write("ca.pem", &authority.pem()),
        chain: write("a.pem", &card.chain),
        key: write("a.key", &card.key),
        revoked: Some(write("revoked.pem", &authority.revoking(99))),
    };
    let read = || Tls::from_files(&files, agents()).map(|tls| tls.name().to_string());
    assert_eq!(read(), Ok("agent/a".to_owned()));
    write("revoked.pem", "");
    assert_eq!(read(), Err(TlsError::NoRevocations), "it was truncated");
    write("revoked.pem", &authority.revoking(99));
    fs::set_permissions(&files.key, fs::Permissions::from_mode(0o640)).unwrap();
    let open = FileError::TooOpen { path: files.key.clone(), mode: 0o640 };
    assert_eq!(read(), Err(TlsError::File(open)));
}
