//! certs: what `meshwarden certs` makes is what TLS wants, and nothing is overwritten.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use libtest_mimic::Trial;
use meshwarden::mesh_core::Distrust;
use meshwarden::transport_tcp::{CertName, Peers, Tls, TlsError, TlsFiles};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use time::OffsetDateTime;

use crate::fixture::{Ended, meshwarden, unique};
use crate::{Outcome, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(certificates_are_made_and_are_what_tls_wants),
        trial(an_authority_is_used_again),
        trial(nothing_is_overwritten_and_of_what_fails_nothing_is_left),
        trial(what_is_no_host_is_refused),
        trial(a_key_of_an_authority_that_others_can_read_is_not_used),
        trial(an_authority_that_would_not_be_trusted_signs_nothing),
        trial(no_host_outlives_its_authority),
        trial(a_host_is_dialled_by_every_name_that_it_has),
        trial(what_is_taken_back_is_trusted_no_more),
    ]
}

/// A directory that is not there yet, and is removed.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("mesh-certs-{}", unique())))
    }

    fn certs(&self, words: &str) -> Result<Ended, Box<dyn std::error::Error>> {
        let dir = self.0.to_str().ok_or("the directory has no name")?;
        let words = ["certs", "--dir", dir].into_iter().chain(words.split_ascii_whitespace());
        meshwarden(words).finish()
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
        let mut names: Vec<_> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    fn tls_files(&self, stem: &str) -> TlsFiles {
        TlsFiles {
            authority: self.0.join("ca.pem"),
            chain: self.0.join(format!("{stem}.pem")),
            key: self.0.join(format!("{stem}.key")),
            revoked: None,
        }
    }

    fn tls(&self, stem: &str) -> Result<Tls, Box<dyn std::error::Error>> {
        Ok(Tls::from_files(&self.tls_files(stem), Peers::with_roles(["agent"])?)?)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0).is_ok();
    }
}

fn mode(path: &Path) -> Result<u32, std::io::Error> {
    Ok(fs::metadata(path)?.permissions().mode() & 0o777)
}

fn certificates_are_made_and_are_what_tls_wants() -> Outcome {
    let dir = Dir::new();
    let ended = dir.certs("node7.example=10.0.0.7,fd00::7 10.0.0.8")?;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let names = [
        "agent-10.0.0.8.key",
        "agent-10.0.0.8.pem",
        "agent-node7.example.key",
        "agent-node7.example.pem",
        "ca.key",
        "ca.pem",
    ];
    assert_eq!(dir.files(), names);
    assert_eq!(ended.stdout.lines().count(), names.len(), "{}", ended.stdout);
    for name in names {
        let expected = if name.ends_with(".key") { 0o600 } else { 0o644 };
        assert_eq!(mode(&dir.0.join(name))?, expected, "{name}");
    }
    let name: CertName = "agent/node7.example".parse()?;
    assert_eq!(dir.tls("agent-node7.example")?.name(), &name);
    assert_eq!(dir.tls("agent-10.0.0.8")?.name().host(), "10.0.0.8");
    Ok(())
}

fn an_authority_is_used_again() -> Outcome {
    let dir = Dir::new();
    assert_eq!(dir.certs("node7")?.status.code(), Some(0));
    let before = fs::read_to_string(dir.0.join("ca.pem"))?;
    let ended = dir.certs("--role client node7")?;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert_eq!(fs::read_to_string(dir.0.join("ca.pem"))?, before);
    assert_eq!(ended.stdout.lines().count(), 2, "{}", ended.stdout);
    assert_eq!(dir.tls("client-node7")?.name().role(), "client");
    Ok(())
}

fn nothing_is_overwritten_and_of_what_fails_nothing_is_left() -> Outcome {
    let dir = Dir::new();
    assert_eq!(dir.certs("node7")?.status.code(), Some(0));
    let (key, files) = (fs::read(dir.0.join("agent-node7.key"))?, dir.files());
    let again = dir.certs("node8 node7")?;
    assert_eq!(again.status.code(), Some(2));
    assert!(again.stderr.contains("is there already"), "{}", again.stderr);
    assert_eq!((fs::read(dir.0.join("agent-node7.key"))?, dir.files()), (key, files));
    fs::remove_file(dir.0.join("ca.key"))?;
    let half = dir.certs("node9")?;
    assert!(half.stderr.contains("no ca.key"), "{}", half.stderr);
    fs::write(dir.0.join("ca.key"), "not a key")?;
    fs::set_permissions(dir.0.join("ca.key"), fs::Permissions::from_mode(0o600))?;
    let wrong = dir.certs("node9")?;
    assert_eq!(wrong.status.code(), Some(2));
    assert!(wrong.stderr.contains("are no authority"), "{}", wrong.stderr);
    Ok(())
}

fn a_key_of_an_authority_that_others_can_read_is_not_used() -> Outcome {
    let dir = Dir::new();
    assert_eq!(dir.certs("node7")?.status.code(), Some(0));
    let (key, files) = (dir.0.join("ca.key"), dir.files());
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640))?;
    let ended = dir.certs("node8")?;
    assert_eq!((ended.status.code(), dir.files()), (Some(2), files), "{}", ended.stderr);
    assert!(ended.stderr.contains("can be read by others"), "{}", ended.stderr);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
    assert_eq!(dir.certs("node8")?.status.code(), Some(0));
    Ok(())
}

/// The certificate and the key of two authorities, and the certificate of a host in the place of one.
fn an_authority_that_would_not_be_trusted_signs_nothing() -> Outcome {
    let (dir, other) = (Dir::new(), Dir::new());
    assert_eq!(dir.certs("node7")?.status.code(), Some(0));
    assert_eq!(other.certs("node7")?.status.code(), Some(0));
    let [pem, key] = ["ca.pem", "ca.key"].map(|name| dir.0.join(name));
    fs::copy(other.0.join("ca.key"), &key)?;
    let files = dir.files();
    let ended = dir.certs("node8")?;
    assert_eq!((ended.status.code(), dir.files()), (Some(2), files.clone()), "{}", ended.stderr);
    assert!(ended.stderr.contains("do not belong together"), "{}", ended.stderr);
    fs::copy(dir.0.join("agent-node7.pem"), &pem)?;
    fs::copy(dir.0.join("agent-node7.key"), &key)?;
    let ended = dir.certs("node8")?;
    assert_eq!((ended.status.code(), dir.files()), (Some(2), files), "{}", ended.stderr);
    assert!(ended.stderr.contains("are no authority"), "{}", ended.stderr);
    Ok(())
}

/// An authority that is good until then, in the directory.
fn authority_until(dir: &Dir, until: OffsetDateTime) -> Outcome {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_after = until;
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    fs::create_dir(&dir.0)?;
    fs::write(dir.0.join("ca.pem"), certificate.pem())?;
    fs::write(dir.0.join("ca.key"), key.serialize_pem())?;
    Ok(fs::set_permissions(dir.0.join("ca.key"), fs::Permissions::from_mode(0o600))?)
}

/// Until when, in seconds of Unix, and by which names.
fn read(path: &Path) -> Result<(i64, String), Box<dyn std::error::Error>> {
    let text = fs::read(path)?;
    let (_, pem) = x509_parser::pem::parse_x509_pem(&text)?;
    let parsed = pem.parse_x509()?;
    let names = parsed.subject_alternative_name()?.ok_or("it has no names")?;
    let names: Vec<_> = names.value.general_names.iter().map(ToString::to_string).collect();
    Ok((parsed.validity().not_after.timestamp(), names.join(" ")))
}

fn no_host_outlives_its_authority() -> Outcome {
    let (dir, old) = (Dir::new(), Dir::new());
    let now = OffsetDateTime::now_utc();
    let until = now + time::Duration::days(30);
    authority_until(&dir, until)?;
    let ended = dir.certs("node7")?;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("good for 30 days"), "{}", ended.stderr);
    assert_eq!(read(&dir.0.join("agent-node7.pem"))?.0, until.unix_timestamp());
    let brief = dir.certs("--days 7 node8")?;
    assert_eq!((brief.status.code(), &*brief.stderr), (Some(0), ""));
    authority_until(&old, now - time::Duration::days(1))?;
    let ended = old.certs("node7")?;
    assert_eq!((ended.status.code(), old.files().len()), (Some(2), 2), "{}", ended.stderr);
    assert!(ended.stderr.contains("not valid at this time"), "{}", ended.stderr);
    Ok(())
}

fn a_host_is_dialled_by_every_name_that_it_has() -> Outcome {
    let dir = Dir::new();
    let ended = dir.certs("node7=node7.example,10.0.0.7,fd00::7")?;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let (_, names) = read(&dir.0.join("agent-node7.pem"))?;
    for name in ["agent/node7)", "DNSName(node7)", "DNSName(node7.example)"] {
        assert!(names.contains(name), "{names}");
    }
    Ok(())
}

fn what_is_taken_back_is_trusted_no_more() -> Outcome {
    let (dir, other) = (Dir::new(), Dir::new());
    assert_eq!(dir.certs("node7 node8 node9")?.status.code(), Some(0));
    assert_eq!(other.certs("node7")?.status.code(), Some(0));
    let good = |stem: &str| -> Result<bool, Box<dyn std::error::Error>> {
        let files = TlsFiles { revoked: Some(dir.0.join("revoked.pem")), ..dir.tls_files(stem) };
        match Tls::from_files(&files, Peers::with_roles(["agent"])?) {
            Ok(_) => Ok(true),
            Err(TlsError::Distrusted(Distrust::Revoked)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    };
    let revoke = |stem: &str| dir.certs(&format!("--revoke {}/{stem}.pem", dir.0.display()));
    let mut taken_back = Vec::new();
    // The second is added to the first, and once more makes no difference.
    for stem in ["agent-node7", "agent-node8", "agent-node8"] {
        let ended = revoke(stem)?;
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
        assert_eq!(ended.stdout.trim(), dir.0.join("revoked.pem").display().to_string());
        taken_back.push(stem);
        for other in ["agent-node7", "agent-node8", "agent-node9"] {
            assert_eq!(good(other)?, !taken_back.contains(&other), "{other}");
        }
    }
    let list = fs::read(dir.0.join("revoked.pem"))?;
    let (_, pem) = x509_parser::pem::parse_x509_pem(&list)?;
    let (_, parsed) = x509_parser::parse_x509_crl(&pem.contents)?;
    assert_eq!(parsed.iter_revoked_certificates().count(), 2);
    assert_eq!(parsed.crl_number().map(ToString::to_string), Some("3".to_owned()));
    // What is not ours is not ours to take back, and the authority itself is no host; nothing changes.
    let files = dir.files();
    let foreign = other.0.join("agent-node7.pem").display().to_string();
    for (what, why) in [
        (foreign.as_str(), "another authority"),
        (&dir.0.join("ca.pem").display().to_string(), "authority itself"),
        (&dir.0.join("ca.key").display().to_string(), "take"),
        ("/nowhere", "cannot read"),
    ] {
        let ended = dir.certs(&format!("--revoke {what}"))?;
        assert_eq!((ended.status.code(), &dir.files()), (Some(2), &files), "{}", ended.stderr);
        assert!(ended.stderr.contains(why), "{}", ended.stderr);
        assert_eq!(fs::read(dir.0.join("revoked.pem"))?, list);
    }
    let empty = Dir::new().certs(&format!("--revoke {foreign}"))?;
    assert!(empty.stderr.contains("no authority"), "{}", empty.stderr);
    Ok(())
}

fn what_is_no_host_is_refused() -> Outcome {
    for words in [
        "",
        "Node7",
        "node7 node7",
        "node7=Node8",
        "node7=node8,,node9",
        "7",
        "10.0.07",
        "node7-",
        "--role Agent node7",
        "--days 0 node7",
    ] {
        let dir = Dir::new();
        let ended = dir.certs(words)?;
        assert_eq!(ended.status.code(), Some(2), "{words}: {}", ended.stderr);
        assert!(!dir.0.exists(), "{words}");
    }
    Ok(())
}
