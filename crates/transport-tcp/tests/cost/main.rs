//! cost: a length that is only stated buys no memory. Its own program, since it counts what is allocated.

#[cfg(feature = "tls")]
#[expect(dead_code, reason = "bad certificates are made elsewhere")]
#[path = "../tls/authority.rs"]
mod authority;
mod inject;
#[expect(dead_code, reason = "nothing is sent here")]
#[path = "../it/support.rs"]
mod support;

use std::any::Any;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use mesh_core::{
    ActorId, Body, CallId, Cause, EncodeError, Envelope, Fault, Head, Lane, Lost, Payload, Pieces,
    PortId, Reason, Returned, Transport, WhyReturned,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use transport_tcp::TcpConfig;

use inject::Inject;
use support::{Ear, config, listening, port, transport, until};

/// The most that may be held while something is refused: what is read at once, on each end of a proxy, and
/// what the test itself needs.
const MOST: u64 = 256 * 1024;

/// One thread, so that all that is allocated is counted.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("there is room")
}

/// Says `bytes` in the session of somebody who has proved himself, in his place. Returns why that ended, and
/// how many bytes were held at once meanwhile.
fn said_in_a_session(bytes: &[u8]) -> (Lost, u64) {
    let runtime = runtime();
    let brief = TcpConfig { no_contact: Duration::from_millis(300), ..config() };
    let (here, there) = (Ear::new(1, 0), Ear::new(2, 0));
    let up = async {
        let (listener, at) = listening(&there, Lane::Data, brief.clone()).await;
        let inject = Inject::new(port(&at)).await;
        let dialler = transport(brief);
        let dialled = dialler.dial(&inject.at, there.peer().proc, Lane::Data, here.clone()).await;
        until("joining", || !there.heard().back.is_empty()).await;
        (listener, dialler, dialled.expect("nothing was changed yet"), inject)
    };
    let (_listener, _dialler, _out, inject) = runtime.block_on(up);
    let held = allocation_counter::measure(|| {
        runtime.block_on(async {
            inject.say(bytes);
            until("the end", || !there.heard().lost.is_empty()).await;
        });
    });
    let why = there.heard().lost[0].1;
    (why, held.bytes_max)
}

/// A frame that says that it has so many bytes, and has few.
fn frame_of(length: u32) -> Vec<u8> {
    let mut bytes = length.to_le_bytes().to_vec();
    bytes.extend_from_slice(&[1; 1_000]);
    bytes
}

#[test]
fn a_frame_that_says_it_is_long_buys_no_memory() {
    // As long as one may be: it is waited for, and the connection ends before it has come.
    let (why, held) = said_in_a_session(&frame_of(16 << 20));
    assert_eq!(why, Lost::NoContact(Duration::from_millis(300)));
    assert!(held < MOST, "{held}");
    for length in [(16 << 20) + 1, 1 << 31, u32::MAX] {
        let (why, held) = said_in_a_session(&frame_of(length));
        assert_eq!(why, Lost::Protocol, "{length}");
        assert!(held < MOST, "{length}: {held}");
    }
}

/// Within a frame there are lengths, too: of its head, and of the lists in there.
#[test]
fn neither_does_a_list_that_says_it_is_long() {
    let fault = Fault::Failed(Arc::new(Cause::new(Reason::OutOfMemory)));
    let (to, call) = (Ear::new(2, 0).peer(), CallId::new(1));
    let head = postcard::to_stdvec(&Head::Fault { to, call, fault }).unwrap();
    let [start @ .., 0, 0] = &head[..] else { panic!("it ends with two empty lists") };
    // 2^30 lines of standard error, or none and then 2^30 links of a chain.
    let many = [0x80, 0x80, 0x80, 0x80, 0x04];
    for list in [&many[..], &[&[0], &many[..]].concat()] {
        let head = [start, list].concat();
        let mut frame = (13 + head.len() as u32).to_le_bytes().to_vec();
        frame.push(1);
        frame.extend_from_slice(&0_u64.to_le_bytes());
        frame.extend_from_slice(&(head.len() as u32).to_le_bytes());
        frame.extend_from_slice(&head);
        let (why, held) = said_in_a_session(&frame);
        assert_eq!(why, Lost::Protocol);
        assert!(held < MOST, "{held}");
    }
    let frame = [&13_u32.to_le_bytes()[..], &[1], &[0; 8], &u32::MAX.to_le_bytes()].concat();
    let (why, held) = said_in_a_session(&frame);
    assert_eq!(why, Lost::Protocol);
    assert!(held < MOST, "{held}");
}

/// Says `bytes` as a stranger. Returns how many bytes were held at once until the connection was closed.
fn said_by_a_stranger(config: TcpConfig, bytes: &[u8]) -> u64 {
    let runtime = runtime();
    let there = Ear::new(2, 0);
    let (_listener, at) = runtime.block_on(listening(&there, Lane::Data, config));
    let mut said = Vec::new();
    let held = allocation_counter::measure(|| {
        runtime.block_on(async {
            let mut stream =
                TcpStream::connect(("127.0.0.1", port(&at))).await.expect("it listens");
            _ = stream.write_all(bytes).await.is_ok();
            let end = stream.read_to_end(&mut said);
            _ = tokio::time::timeout(support::PATIENCE, end).await.expect("it is closed").is_ok();
        });
    });
    assert_eq!(there.heard().back.len(), 0);
    held.bytes_max
}

#[test]
fn a_stranger_buys_no_memory() {
    let brief = TcpConfig { handshake: Duration::from_millis(300), ..config() };
    for length in [512_u16, 513, u16::MAX] {
        let held = said_by_a_stranger(brief.clone(), &length.to_le_bytes());
        assert!(held < MOST, "{length}: {held}");
    }
}

#[cfg(feature = "tls")]
mod tls {
    use super::*;
    use crate::authority::{Authority, Face};

    /// A record of TLS has a length, and so have the messages in it: here a hello of 16 MiB in records that are
    /// as long as they may be.
    #[test]
    fn neither_does_one_who_speaks_tls() {
        let authority = Authority::new("ours");
        let tls = authority.tls(&authority.sign(&Face::of("agent/a")));
        let brief = TcpConfig { handshake: Duration::from_millis(300), tls: Some(tls), ..config() };
        let short = b"\x16\x03\x01\x40\x00\x01\xff\xff\xff".to_vec();
        let mut long = Vec::new();
        for number in 0..4_096 {
            long.extend_from_slice(b"\x16\x03\x01\x40\x00");
            long.extend_from_slice(if number == 0 { b"\x01\xff\xff\xff" } else { &[0x41; 4] });
            long.resize(long.len() + 0x3ffc, 0x41);
        }
        for bytes in [short, long] {
            let held = said_by_a_stranger(brief.clone(), &bytes);
            assert!(held < MOST, "{} bytes: {held}", bytes.len());
        }
    }
}

/// A message of so many KiB, which it says as it is encoded.
struct Long(usize);

impl Payload for Long {
    fn encode_into(&self, pieces: &mut Pieces) -> Result<(), EncodeError> {
        (0..self.0).for_each(|_| pieces.extend_from_slice(&[7; 1024]));
        Ok(())
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

/// A message that is too large comes back as it was, with its size, and no more of it was written than may be sent.
#[test]
fn a_message_that_is_too_large_is_not_written() {
    const KIB: usize = 64 << 10;
    let runtime = runtime();
    let (here, there) = (Ear::new(1, 0), Ear::new(2, 0));
    let up = async {
        let (listener, at) = listening(&there, Lane::Control, config()).await;
        let dialler = transport(config());
        let out = dialler.dial(&at, there.peer().proc, Lane::Control, here.clone()).await;
        (listener, dialler, out.expect("it listens"))
    };
    let (_listener, _dialler, out) = runtime.block_on(up);
    let to = ActorId { proc: there.peer().proc, life: there.peer().life, index: 1 };
    let head = || Head::Cast { to, port: PortId::named("long"), from: None };
    let max = config().control_frame_max;
    let mut back = None;
    let held = allocation_counter::measure(|| {
        let mut long = Some(Envelope { head: head(), body: Body::Value(Box::new(Long(KIB))) });
        let sent = runtime.block_on(poll_fn(|cx| out.poll_send(cx, &mut long)));
        back = sent.err();
    });
    let Returned { envelope, why } = *back.expect("it is too large");
    assert_eq!(why, WhyReturned::TooLarge { bytes: KIB * 1024, max });
    assert!(matches!(envelope.body, Body::Value(_)), "{:?}", envelope.body);
    assert!(held.bytes_max <= 2 * max as u64, "{} bytes were held", held.bytes_max);
}
