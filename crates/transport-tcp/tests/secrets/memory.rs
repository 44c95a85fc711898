//! memory: when the last user of a key or of a secret has gone, it is nowhere in the memory of the process.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use mesh_core::{Lane, Transport};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use tokio::runtime::Builder;
use transport_tcp::{Peers, Secret, TcpConfig, Tls, TlsFiles};

use crate::authority::{Authority, Face};
use crate::support::{Ear, config, listening, transport};

const DIR: &str = "MESHWARDEN_TEST_SECRETS_IN";

/// What is looked for is kept like this, so that it is not found where it is kept.
const MASK: u8 = 0xa5;

/// Which of them is the secret.
const SECRET: usize = 2;

/// How long each thing is that is looked for.
const LENGTH: usize = 24;

/// A directory with a key and a secret, which another process has made: this one has never seen them.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        let dir = std::env::temp_dir().join(format!("mesh-memory-{}", std::process::id()));
        fs::create_dir(&dir).expect("it is new");
        let program = std::env::current_exe().expect("it is known");
        let arguments = ["--exact", "memory::another_process_makes_what_is_secret"];
        let made = Command::new(program).args(arguments).env(DIR, &dir).output();
        assert!(made.expect("it can be run").status.success(), "it makes them");
        Self(dir)
    }

    fn files(&self) -> TlsFiles {
        TlsFiles {
            authority: self.0.join("ca.pem"),
            chain: self.0.join("a.pem"),
            key: self.0.join("a.key"),
            revoked: None,
        }
    }

    /// What is looked for, masked. The secret is also looked for as HMAC has it inside (RFC 2104).
    fn needles(&self) -> Vec<Vec<u8>> {
        let bytes = fs::read(self.0.join("needles")).expect("it was made");
        let mut needles: Vec<_> = bytes.chunks(LENGTH).map(<[u8]>::to_vec).collect();
        for pad in [0x36, 0x5c] {
            needles.push(needles[SECRET].iter().map(|byte| byte ^ pad).collect());
        }
        needles
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0).is_ok();
    }
}

/// The other process.
#[test]
fn another_process_makes_what_is_secret() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let dir = Path::new(&dir);
    let write = |name: &str, bytes: &[u8]| {
        let mut options = File::options();
        let created = options.write(true).create_new(true).mode(0o600).open(dir.join(name));
        created.and_then(|mut file| file.write_all(bytes)).expect("it is new");
    };
    let authority = Authority::new("ours");
    let card = authority.sign(&Face::of("agent/a"));
    let secret = Secret::generate().expect("there are random bytes");
    let digits: String = secret.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let der = PrivateKeyDer::from_pem_slice(card.key.as_bytes()).expect("it is one");
    let line = card.key.lines().nth(2).expect("it has some");
    // The private number of a key of P-256 begins with its 37th byte (RFC 5915, in RFC 5958).
    let needles: [&[u8]; 4] =
        [&der.secret_der()[38..], line.as_bytes(), &*secret.to_bytes(), digits.as_bytes()];
    let masked = needles.iter().flat_map(|needle| needle[..LENGTH].iter().map(|byte| byte ^ MASK));
    write("ca.pem", authority.pem().as_bytes());
    write("a.pem", card.chain.as_bytes());
    write("a.key", card.key.as_bytes());
    write("secret", digits.as_bytes());
    write("needles", &masked.collect::<Vec<_>>());
}

/// Which of these are in the memory of this process.
fn found(needles: &[Vec<u8>]) -> Vec<usize> {
    let maps = fs::read_to_string("/proc/self/maps").expect("there is /proc");
    let mut memory = File::open("/proc/self/mem").expect("it is ours");
    let (mut found, mut buffer) = (Vec::new(), vec![0; 1 << 20]);
    for map in maps.lines().filter(|map| map.contains(" rw")) {
        let range = map.split(' ').next().and_then(|range| range.split_once('-'));
        let (from, to) = range.expect("a range comes first");
        let at = |digits| u64::from_str_radix(digits, 16).expect("they are digits");
        let (mut from, to) = (at(from), at(to));
        while from < to {
            let most = usize::try_from(to - from).unwrap_or(usize::MAX).min(buffer.len());
            let part = &mut buffer[..most];
            // Some of it may have been given back meanwhile.
            if memory.seek(SeekFrom::Start(from)).is_err() || memory.read_exact(part).is_err() {
                break;
            }
            for (number, needle) in needles.iter().enumerate() {
                let is_here = |part: &[u8]| part.iter().zip(needle).all(|(a, b)| *a == *b ^ MASK);
                if part.windows(LENGTH).any(is_here) {
                    found.push(number);
                }
            }
            // Of two parts the one may have the beginning, and the other the end.
            from += most.saturating_sub(LENGTH).max(1) as u64;
            if most <= LENGTH {
                break;
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

#[test]
fn a_key_and_a_secret_are_nowhere_when_their_last_users_have_gone() {
    let dir = Dir::new();
    let needles = dir.needles();
    assert_eq!(needles.len(), 6);
    let secret = Secret::from_file(&dir.0.join("secret")).expect("it was made");
    // It is there for as long as it is used, and the search finds it.
    assert!(found(&needles).contains(&SECRET), "the secret that is used is not found");
    let tls = Tls::from_files(&dir.files(), Peers::with_roles(["agent"]).expect("it is a role"));
    let tls = tls.expect("they were made");
    // What signs has the key in another form, and all that was made of it on the way has been overwritten.
    assert!(!found(&needles).iter().any(|one| [0, 1].contains(one)), "the file of the key is left");
    let users = TcpConfig { secret, tls: Some(tls.everywhere()), ..config() };
    let runtime = Builder::new_current_thread().enable_all().build().expect("there is room");
    runtime.block_on(async {
        let (here, there) = (Ear::new(1, 0), Ear::new(2, 0));
        let (_listener, at) = listening(&there, Lane::Data, users.clone()).await;
        let dialler = transport(users);
        let dialled = dialler.dial(&at, there.peer().proc, Lane::Data, here).await;
        assert!(dialled.is_ok(), "{:?}", dialled.err());
    });
    // With its tasks.
    drop(runtime);
    let what = "0 the key, 1 its text, 2 the secret, 3 its digits, 4 and 5 the secret within HMAC";
    assert_eq!(found(&needles), [0; 0], "{what}");
}
