//! What is said for too long, at too great a length, or is nothing at all.

use std::time::Duration;

use mesh_core::{Lane, Lost, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use transport_tcp::TcpConfig;

use crate::authority::{Authority, Face};
use crate::counts::{frames_refused, refused};
use crate::inject::Inject;
use crate::proxy::Record;
use crate::runtime;
use crate::support::{Ear, PATIENCE, config, listening, port, transport, until};

pub(crate) fn who_is_too_slow_or_says_too_much_is_counted() {
    runtime().block_on(async {
        let authority = Authority::new("ours");
        let tls = Some(authority.tls(&authority.sign(&Face::of("agent/a"))));
        let brief = TcpConfig { handshake: Duration::from_millis(300), tls, ..config() };
        let there = Ear::new(2, 0);
        let (_listener, at) = listening(&there, Lane::Data, brief).await;
        let mut silent = TcpStream::connect(("127.0.0.1", port(&at))).await.expect("it listens");
        _ = silent.read_to_end(&mut Vec::new()).await.is_ok();
        until("the deadline", || refused("deadline") == 1).await;
        // A hello of TLS of 64 KiB, in records, of which 16 KiB are heard.
        let mut long = Vec::new();
        for number in 0..64_u32 {
            long.extend_from_slice(b"\x16\x03\x01\x04\x00");
            let start: &[u8] = if number == 0 { b"\x01\x00\xff\xff\x03\x03" } else { b"" };
            long.extend_from_slice(start);
            long.resize(long.len() + 1_024 - start.len(), 0);
        }
        let mut loud = TcpStream::connect(("127.0.0.1", port(&at))).await.expect("it listens");
        _ = loud.write_all(&long).await.is_ok();
        until("its being too much", || refused("too_much") == 1).await;
        assert_eq!(there.heard().back.len(), 0);
    });
}

/// Whatever else is refused has a reason of its own, and is counted once.
pub(crate) fn every_other_refusal_is_counted() {
    runtime().block_on(async {
        let (there, here) = (Ear::new(2, 0), Ear::new(1, 1));
        let (_listener, at) = listening(&there, Lane::Data, config()).await;
        let record = Record::new(port(&at)).await;
        let (dialler, peer) = (transport(config()), there.peer().proc);
        let out = dialler.dial(&record.at, peer, Lane::Data, here).await.expect("it listens");
        // What was said is said again; and as if it were of another version.
        let said = record.said();
        is_refused(port(&at), "unauthenticated", &said).await;
        let mut newer = said.clone();
        newer[10] += 1;
        is_refused(port(&at), "version", &newer).await;
        is_refused(port(&at), "garbled", b"\x04\x00abcd").await;
        is_refused(port(&at), "garbled", b"GET / HTTP/1.1\r\n\r\n").await;
        is_refused(port(&at), "tls_on_plain", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
            .await;
        is_refused(port(&at), "broken", &said[..20]).await;
        // Peers that are mistaken.
        let before = refused("lane");
        let dialled = dialler.dial(&at, peer, Lane::Control, Ear::new(3, 0)).await;
        assert!(dialled.is_err());
        until("lane", || refused("lane") == before + 1).await;
        let before = refused("outdated");
        let dialled = dialler.dial(&at, peer, Lane::Data, Ear::new(1, 0)).await;
        assert!(dialled.is_err());
        until("outdated", || refused("outdated") == before + 1).await;
        assert!(out.is_open(), "nobody was disturbed");
        assert_eq!(there.heard().back.len(), 1);
    });
}

/// Says `word`, hangs up, and waits until that was refused for `reason`, once.
async fn is_refused(port: u16, reason: &str, word: &[u8]) {
    let before = refused(reason);
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
    _ = stream.write_all(word).await.is_ok();
    _ = stream.shutdown().await.is_ok();
    let mut said = Vec::new();
    let end = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut said));
    _ = end.await.expect("it is closed").is_ok();
    until(reason, || refused(reason) > before).await;
    assert_eq!(refused(reason), before + 1, "{reason}");
}

pub(crate) fn frames_that_are_none_are_counted() {
    runtime().block_on(async {
        // Longer than one may be; of no known kind; of none at all; an acknowledgement of what was never sent.
        let never = [&17_u32.to_le_bytes()[..], &[2], &[9; 16]].concat();
        let words: [(&str, &[u8]); 5] = [
            ("too_long", b"\x01\x00\x00\x01\x01"),
            ("too_long", b"\xff\xff\xff\xff\x01"),
            ("unknown_kind", b"\x01\x00\x00\x00\x63"),
            ("garbled", &[0; 4]),
            ("violation", &never),
        ];
        for (number, (reason, word)) in words.into_iter().enumerate() {
            let before = frames_refused(reason);
            let (here, there) = (Ear::new(1, 0), Ear::new(2, 0));
            let (_listener, at) = listening(&there, Lane::Data, config()).await;
            let inject = Inject::new(port(&at)).await;
            let dialler = transport(config());
            let dialled = dialler.dial(&inject.at, there.peer().proc, Lane::Data, here).await;
            let _out = dialled.expect("nothing was changed yet");
            until("joining", || !there.heard().back.is_empty()).await;
            inject.say(word);
            until("the end", || !there.heard().lost.is_empty()).await;
            assert_eq!(there.heard().lost[0].1, Lost::Protocol, "{number}");
            assert_eq!(frames_refused(reason), before + 1, "{number}: {reason}");
        }
    });
}
