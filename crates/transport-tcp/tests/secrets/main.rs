//! secrets: neither the secret of the mesh nor a key is in anything that is logged, at the level of trace, or shown
//! for debugging. Its own program, since whoever listens to the log does so for the whole process.

#[path = "../tls/authority.rs"]
#[expect(dead_code, reason = "bad certificates are made elsewhere")]
mod authority;
mod memory;
#[path = "../it/support.rs"]
mod support;

use std::fmt::Write;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mesh_core::{Lane, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use transport_tcp::{Peers, Secret, TcpConfig, TlsPem};

use authority::{Authority, Card, Face};
use support::{Ear, PATIENCE, config, listening, port, send, transport, until};

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panics").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Every way in which some bytes may be written: as they are, in digits of both cases, in base64, and as lists.
fn spellings(bytes: &[u8]) -> Vec<Vec<u8>> {
    // A part of them is enough to know them by.
    let part = &bytes[bytes.len() / 2 - 6..bytes.len() / 2 + 6];
    let digits = part.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("there is room");
        text
    });
    let list = format!("{part:?}");
    let list = list.trim_matches(['[', ']']).to_owned();
    // Base64 has three shapes, by where the part begins.
    let base64 = (0..3).map(|shift| base64(&part[shift..shift + 9]));
    let texts = [digits.to_uppercase(), digits, list].into_iter().chain(base64);
    texts.map(String::into_bytes).chain([part.to_vec()]).collect()
}

/// Base64 of three bytes, or six, or nine.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (groups, _) = bytes.as_chunks::<3>();
    let bits = groups.iter().map(|[a, b, c]| u32::from_be_bytes([0, *a, *b, *c]));
    let values = bits.flat_map(|bits| [18, 12, 6, 0].map(|shift| bits >> shift & 0x3f));
    values.map(|value| DIGITS[value as usize] as char).collect()
}

/// Fails if one of the secrets is in there.
fn is_clean(what: &str, said: &[u8], secrets: &[Vec<u8>]) {
    let text = String::from_utf8_lossy(said);
    for (number, secret) in secrets.iter().enumerate() {
        let is_there = said.windows(secret.len()).any(|part| part == &secret[..]);
        assert!(!is_there, "{what} has spelling {number} of a secret: {text}");
    }
}

fn spellings_of(secret: &Secret, card: &Card) -> Vec<Vec<u8>> {
    let lines = card.key.lines().filter(|line| !line.starts_with("-----"));
    let mut all = spellings(&*secret.to_bytes());
    all.extend(lines.map(|line| line.as_bytes()[..line.len().min(24)].to_vec()));
    all
}

/// What is found here would be found above.
#[test]
fn a_secret_that_is_written_is_found() {
    let secret = Secret::generate().unwrap();
    let card = Authority::new("ours").sign(&Face::of("agent/a"));
    let secrets = spellings_of(&secret, &card);
    let bytes = secret.to_bytes();
    let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let shifts = (0..3).map(|shift| base64(&bytes[shift..shift + 27]));
    let texts = [hex.to_uppercase(), hex, format!("{:?}", &bytes[..]), card.key]
        .into_iter()
        .chain(shifts)
        .map(String::into_bytes)
        .chain([bytes.to_vec()]);
    for text in texts {
        let text = [b"ERROR it is ", &text[..]].concat();
        let found = std::panic::catch_unwind(|| is_clean("a log", &text, &secrets));
        assert!(found.is_err(), "{}", String::from_utf8_lossy(&text));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_is_logged_or_shown_has_a_secret_in_it() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    tracing::trace!("it is heard");
    let secret = Secret::generate().unwrap();
    let authority = Authority::new("ours");
    let card = authority.sign(&Face::of("agent/a"));
    let (ca, secrets) = (authority.pem(), spellings_of(&secret, &card));
    let pem = TlsPem {
        authority: ca.as_bytes(),
        chain: card.chain.as_bytes(),
        key: card.key.as_bytes(),
        revoked: b"",
    };
    let brief = Duration::from_millis(300);
    let plain = TcpConfig { secret, handshake: brief, ..config() };
    let tls = authority.tls(&card);
    let secured = TcpConfig { tls: Some(tls.clone()), handshake: PATIENCE, ..plain.clone() };
    for config in [plain.clone(), secured.clone()] {
        session(&config).await;
        refusals(&config).await;
    }
    let role = Peers::with_roles(["client"]).unwrap();
    let turned_away = TcpConfig { tls: Some(tls.clone().dialling(role)), ..secured.clone() };
    let there = Ear::new(2, 0);
    let (listener, at) = listening(&there, Lane::Data, secured.clone()).await;
    let dialler = transport(turned_away);
    let dialled = dialler.dial(&at, there.peer().proc, Lane::Data, Ear::new(1, 0));
    let error = dialled.await.err().expect("it is an agent");
    // What is wrong with a key does not show it either.
    let other = authority.sign(&Face::of("agent/b"));
    let mixed = TlsPem { chain: other.chain.as_bytes(), ..pem };
    let unusable = transport_tcp::Tls::from_pem(mixed, Peers::with_roles(["agent"]).unwrap());
    let shown = format!(
        "{listener:?} {plain:?} {secured:#?} {tls:?} {pem:?} {error:?} {error} {:?}",
        unusable.err()
    );
    is_clean("what is shown", shown.as_bytes(), &secrets);
    let logged = log.0.lock().unwrap();
    let text = String::from_utf8_lossy(&logged);
    for word in ["it is heard", "a connection was refused"] {
        assert!(text.contains(word), "the log is not heard: {text}");
    }
    is_clean("the log", &logged, &secrets);
}

/// A session begins, says something, and ends.
async fn session(config: &TcpConfig) {
    let (here, there) = (Ear::new(1, 0), Ear::new(2, 0));
    let (_listener, at) = listening(&there, Lane::Control, config.clone()).await;
    let dialler = transport(config.clone());
    let out = dialler.dial(&at, there.peer().proc, Lane::Control, here.clone()).await;
    let out = out.expect("it listens");
    send(&*out, 1, 64).await;
    until("arriving", || there.heard().numbers == [1]).await;
    out.close();
    until("the end", || !there.heard().lost.is_empty()).await;
}

/// Others come, and are turned away.
async fn refusals(config: &TcpConfig) {
    let there = Ear::new(2, 0);
    let brief = TcpConfig { handshake: Duration::from_millis(300), ..config.clone() };
    let (_listener, at) = listening(&there, Lane::Control, brief).await;
    let wrong = TcpConfig { secret: Secret::from_bytes([9; 32]), ..config.clone() };
    let dialler = transport(wrong);
    let dialled = dialler.dial(&at, there.peer().proc, Lane::Control, Ear::new(1, 0)).await;
    assert!(dialled.is_err(), "it has another secret");
    for word in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 64], b""] {
        let mut stream = TcpStream::connect(("127.0.0.1", port(&at))).await.expect("it listens");
        _ = stream.write_all(word).await.is_ok();
        let mut said = Vec::new();
        let end = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut said));
        _ = end.await.expect("it is closed").is_ok();
    }
}
