//! ports: whoever is set up otherwise is told so, and disturbs nobody.

use std::time::Duration;

use mesh_core::{DialError, Distrust, Lane, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use transport_tcp::TcpConfig;

use crate::authority::{Authority, Face};
use crate::flood::is_dammed;
use crate::sessions::secured;
use crate::support::{Ear, config, listening, port, send, transport, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_speaks_plainly_at_a_tls_port_is_told_to_set_up_both_sides_alike() {
    let authority = Authority::new("ours");
    let tls = authority.tls(&authority.sign(&Face::of("agent/a")));
    let there = Ear::new(2, 0);
    let (_listener, at) = listening(&there, Lane::Control, secured(tls)).await;
    let dialler = transport(config());
    let dialled = dialler.dial(&at, there.peer().proc, Lane::Control, Ear::new(1, 0)).await;
    assert_eq!(dialled.err(), Some(DialError::TlsThere(at)));
    assert_eq!(there.heard().back.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_speaks_tls_at_a_plain_port_is_told_that_there_is_none() {
    let authority = Authority::new("ours");
    let tls = authority.tls(&authority.sign(&Face::of("agent/a")));
    let there = Ear::new(2, 0);
    let (_listener, at) = listening(&there, Lane::Control, config()).await;
    let dialler = transport(secured(tls));
    let dialled = dialler.dial(&at, there.peer().proc, Lane::Control, Ear::new(1, 0)).await;
    let none = DialError::Untrusted { to: at, why: Distrust::NoTls };
    assert_eq!(dialled.err(), Some(none));
    assert_eq!(there.heard().back.len(), 0);
}

/// Whatever is said at a TLS port, the connection is closed, nothing of ours is said, and peers get in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_tls_is_shown_the_door() {
    let authority = Authority::new("ours");
    let tls = authority.tls(&authority.sign(&Face::of("agent/a")));
    let there = Ear::new(2, 0);
    let brief = TcpConfig { handshake: Duration::from_secs(2), ..secured(tls.clone()) };
    let (_listener, at) = listening(&there, Lane::Data, brief).await;
    // A record that says it is as long as one may be, and goes on for longer than a handshake may.
    let mut long = b"\x16\x03\x01\x3f\xff\x01\x00\xff\xff".to_vec();
    long.resize(64 << 10, 0x41);
    let words: [&[u8]; 4] = [b"GET / HTTP/1.1\r\n\r\n", &[0xff; 64], &long, b""];
    for word in words {
        let mut stream = TcpStream::connect(("127.0.0.1", port(&at))).await.unwrap();
        _ = stream.write_all(word).await.is_ok();
        let mut said = Vec::new();
        let closed = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut said));
        _ = closed.await.expect("it is closed").is_ok();
        // An alert at most: its record has seven bytes.
        assert!(said.len() <= 7, "{said:?}");
    }
    is_dammed(port(&at)).await;
    let dialler = transport(secured(tls));
    let out = dialler.dial(&at, there.peer().proc, Lane::Data, Ear::new(1, 0)).await.unwrap();
    send(&*out, 7, 64).await;
    until("arriving", || there.heard().numbers == [7]).await;
    assert_eq!(there.heard().back.len(), 1);
}
