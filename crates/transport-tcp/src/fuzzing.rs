//! What must hold of any bytes, whoever says them: for the fuzz targets, and for the tests that replay what
//! those start from. No part of the interface.

use bytes::BytesMut;
use mesh_core::{Identity, Incarnation, Lane, PeerId, ProcId};

use crate::handshake::{Binding, Dialling, Greeted, MESSAGE_MAX, SessionId};
use crate::inlet::TOGETHER;
use crate::secret::Secret;
use crate::session::world::{Side, Step, check, heal, perform, reconnect};
use crate::wire::{Ack, Encoded, Frame, KnownHead, Malformed, take_alike, take_frame};

/// Frames are the same however the bytes are cut on their way, none is longer than it may be, and what was
/// understood is understood the same when it is said again.
///
/// # Panics
///
/// If it is not so.
pub fn frames(bytes: &[u8]) {
    let mut whole = BytesMut::from(bytes);
    let at_once = all(&mut whole);
    let mut buffer = BytesMut::new();
    let mut one_by_one = (Vec::new(), None);
    for &byte in bytes {
        buffer.extend_from_slice(&[byte]);
        let (frames, fault) = all(&mut buffer);
        one_by_one.0.extend(frames);
        if fault.is_some() {
            one_by_one.1 = fault;
            break;
        }
    }
    assert_eq!(at_once, one_by_one, "it depends on how the bytes were cut");
    for frame in at_once.0 {
        let mut again = written(&frame);
        assert_eq!(
            take_frame(&mut again, usize::MAX, &mut KnownHead::default()),
            Ok(Some(frame)),
            "it is another one"
        );
        assert!(again.is_empty(), "something is left");
    }
}

/// All frames there are, and what comes after them if it is none.
fn all(buffer: &mut BytesMut) -> (Vec<Frame>, Option<Malformed>) {
    let (mut frames, mut known) = (Vec::new(), KnownHead::default());
    loop {
        let left = buffer.len();
        if let Some(run) = take_alike(buffer, (FRAME_MAX, TOGETHER), &known) {
            frames.extend(Frame::Casts(run).apart());
            continue;
        }
        match take_frame(buffer, FRAME_MAX, &mut known) {
            Ok(Some(frame)) => {
                assert!(left - buffer.len() <= FRAME_MAX + 4, "it is longer than it may be");
                frames.push(frame);
            }
            Ok(None) => return (frames, None),
            Err(fault) => return (frames, Some(fault)),
        }
    }
}

fn written(frame: &Frame) -> BytesMut {
    let mut buffer = BytesMut::new();
    match frame {
        Frame::Data { seq, head, body } => {
            let encoded = Encoded::new(head, body.clone()).expect("it was short enough");
            encoded.put(*seq, &mut buffer);
        }
        Frame::Casts(_) => unreachable!("they are taken apart"),
        Frame::Ack(ack) => ack.put(&mut buffer),
        Frame::Ping => crate::wire::put_ping(&mut buffer),
        Frame::Close => crate::wire::put_close(&mut buffer),
    }
    buffer
}

/// Whoever does not know the secret becomes nobody's peer, whatever is said: as a hello, as a challenge, as an
/// answer.
///
/// # Panics
///
/// If somebody does.
pub fn hello(bytes: &[u8]) {
    let who = |proc| Identity {
        peer: PeerId { proc: ProcId::from_random(proc), life: Incarnation::FIRST },
        registry: 1,
    };
    let (us, secret) = (who(2), Secret::from_bytes([0x5e; 32]));
    let fresh = ([3; 32], Binding::Plain);
    // A hello, and after its length an answer to our challenge.
    let (first, rest) =
        bytes.split_at(bytes.first().map_or(0, |n| usize::from(*n)).min(bytes.len()));
    for hello in [bytes, first, rest] {
        if let Ok((greeted, challenge)) = Greeted::new(hello, us, fresh, &secret) {
            assert!(challenge.len() <= MESSAGE_MAX, "it is longer than the other side hears");
            assert!(greeted.answered(rest, us, &secret).is_err(), "a stranger is a peer");
        }
    }
    let of = (Lane::Control, SessionId([4; 16]));
    let dialling = Dialling::new(who(1), us.peer.proc, of, fresh);
    let ack = Ack { received: 0, granted: 0 };
    assert!(dialling.challenged(bytes, &secret, (ack, false)).is_err(), "a stranger is a listener");
    _ = Dialling::welcomed(bytes).is_ok();
    let (greeted, _) = Greeted::new(dialling.hello(), us, fresh, &secret).expect("it is a hello");
    assert!(greeted.answered(bytes, us, &secret).is_err(), "a stranger is a peer");
}

/// Two sessions lose, repeat and reorder nothing, whatever the link between them does; and one that hears any
/// frames at all gives back no more than it has sent.
///
/// # Panics
///
/// If they do.
pub fn session(bytes: &[u8]) {
    let mut sides = [Side::new(), Side::new()];
    reconnect(&mut sides).expect("both are honest");
    for word in bytes.chunks_exact(3) {
        let (side, n) =
            (usize::from(word[0] >> 7), usize::from(u16::from_le_bytes([word[1], word[2]])));
        let step = match word[0] & 7 {
            0 | 1 => Step::Send(side, n % 900),
            2 => Step::Answer(side),
            3 => Step::Write(side),
            4 => Step::Arrive(side, n % 1_500),
            5 => Step::Take(side),
            6 => Step::Cut,
            _ => Step::Meet,
        };
        perform(&mut sides, step).expect("both are honest");
        check(&sides);
    }
    heal(&mut sides);
    let [mut side, _] = sides;
    for size in 0..3 {
        side.send(size);
        side.write();
    }
    let mut said = BytesMut::from(bytes);
    let (frames, _) = all(&mut said);
    for frame in frames {
        if side.session.receive(frame).is_err() {
            break;
        }
    }
    assert!(side.session.end().len() <= 3, "more comes back than was not acknowledged");
}

const FRAME_MAX: usize = 128 * 1024;
