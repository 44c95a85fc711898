//! certs: what `meshwarden certs` makes is what TLS wants, and nothing is overwritten.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use libtest_mimic::Trial;
use meshwarden::transport_tcp::{CertName, Peers, Tls, TlsFiles};

use crate::fixture::{Ended, meshwarden, unique};
use crate::{Outcome, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(certificates_are_made_and_are_what_tls_wants),
        trial(an_authority_is_used_again),
        trial(nothing_is_overwritten_and_of_what_fails_nothing_is_left),
        trial(what_is_no_host_is_refused),
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

    fn tls(&self, stem: &str) -> Result<Tls, Box<dyn std::error::Error>> {
        let files = TlsFiles {
            authority: self.0.join("ca.pem"),
            chain: self.0.join(format!("{stem}.pem")),
            key: self.0.join(format!("{stem}.key")),
            revoked: None,
        };
        Ok(Tls::from_files(&files, Peers::with_roles(["agent"])?)?)
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
    let wrong = dir.certs("node9")?;
    assert_eq!(wrong.status.code(), Some(2));
    assert!(wrong.stderr.contains("are no authority"), "{}", wrong.stderr);
    Ok(())
}

fn what_is_no_host_is_refused() -> Outcome {
    for words in ["", "Node7", "node7 node7", "node7=node8", "--role Agent node7", "--days 0 node7"]
    {
        let dir = Dir::new();
        let ended = dir.certs(words)?;
        assert_eq!(ended.status.code(), Some(2), "{words}: {}", ended.stderr);
        assert!(!dir.0.exists(), "{words}");
    }
    Ok(())
}
