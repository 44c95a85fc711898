//! Frames: their bytes, however they are cut, and what is none.

use mesh_core::{ActorId, Incarnation, PortId, ProcId};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const MAX: usize = 1 << 20;

fn head(index: u64) -> Head {
    let to = ActorId { proc: ProcId::from_random(1), life: Incarnation::FIRST, index };
    Head::Cast { to, port: PortId::named("test"), from: Some(to) }
}

fn bytes_of(frame: &Frame) -> BytesMut {
    let mut buffer = BytesMut::new();
    match frame {
        Frame::Data { seq, head, body } => {
            let encoded = Encoded::new(head, body.clone()).expect("it is small");
            encoded.put(*seq, &mut buffer);
            assert_eq!((buffer.len(), frame_len(&buffer)), (encoded.len(), buffer.len()));
        }
        Frame::Casts(_) => frame.clone().apart().iter().for_each(|frame| {
            buffer.extend_from_slice(&bytes_of(frame));
        }),
        Frame::Ack(ack) => ack.put(&mut buffer),
        Frame::Ping => put_ping(&mut buffer),
        Frame::Close => put_close(&mut buffer),
    }
    buffer
}

fn frame() -> impl Strategy<Value = Frame> {
    prop_oneof![
        (any::<u64>(), any::<u64>(), vec(any::<u8>(), 0..200)).prop_map(|(seq, index, body)| {
            Frame::Data { seq, head: head(index), body: body.into() }
        }),
        (any::<u64>(), any::<u64>())
            .prop_map(|(received, granted)| Frame::Ack(Ack { received, granted })),
        Just(Frame::Ping),
        Just(Frame::Close),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// However the stream is cut into pieces, the same frames come out.
    #[test]
    fn frames_survive_a_stream_that_is_cut_anywhere(
        frames in vec(frame(), 0..8),
        cuts in vec(1..40_usize, 1..80),
    ) {
        let stream: Vec<u8> = frames.iter().flat_map(bytes_of).collect();
        let (mut buffer, mut found, mut rest) = (BytesMut::new(), Vec::new(), &stream[..]);
        let mut known = KnownHead::default();
        for cut in cuts.into_iter().chain([stream.len()]) {
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            buffer.extend_from_slice(piece);
            rest = after;
            while let Some(frame) = take_frame(&mut buffer, MAX, &mut known).unwrap() {
                found.push(frame);
            }
        }
        prop_assert_eq!(found, frames);
        prop_assert!(buffer.is_empty());
    }

    /// Those that are taken together are the same as one by one, and nothing else is.
    #[test]
    fn what_is_taken_together_is_as_it_was_sent(
        steps in vec((0..3_u64, 0..20_u8, 0..100_usize), 0..60),
        n_max in 2..40_usize,
    ) {
        let mut seq = 0;
        let frames: Vec<Frame> = steps.into_iter().map(|(index, kind, size)| {
            if kind == 0 {
                return Frame::Ack(Ack::default());
            }
            // Now and then a number is left out, or a body is long.
            seq += if kind == 1 { 2 } else { 1 };
            let body = vec![seq as u8; if kind == 2 { 5_000 } else { size }].into();
            Frame::Data { seq, head: head(index / 2), body }
        }).collect();
        let mut buffer: BytesMut = frames.iter().flat_map(bytes_of).collect();
        let (mut known, mut found) = (KnownHead::default(), Vec::new());
        loop {
            if let Some(run) = take_alike(&mut buffer, (MAX, n_max), &known) {
                prop_assert!((2..=n_max).contains(&run.bodies.len()));
                found.extend(Frame::Casts(run).apart());
            } else if let Some(frame) = take_frame(&mut buffer, MAX, &mut known).unwrap() {
                found.push(frame);
            } else {
                break;
            }
        }
        prop_assert_eq!(found, frames);
        prop_assert!(buffer.is_empty());
    }

    /// Whatever arrives, it is a frame, or none, or not yet one; nothing panics.
    #[test]
    fn any_bytes_are_answered(bytes in vec(any::<u8>(), 0..300)) {
        let mut buffer = BytesMut::from(&bytes[..]);
        let mut known = KnownHead::default();
        while let Ok(Some(_)) = take_frame(&mut buffer, MAX, &mut known) {
            _ = take_alike(&mut buffer, (MAX, 9), &known).is_some();
        }
    }

    /// One bit that is wrong makes another frame, or none, and never one that is longer than it says.
    #[test]
    fn a_flipped_bit_is_answered(frame in frame(), at in any::<prop::sample::Index>()) {
        let mut buffer = bytes_of(&frame);
        let bit = at.index(buffer.len() * 8);
        buffer[bit / 8] ^= 1 << (bit % 8);
        let mut known = KnownHead::default();
        while let Ok(Some(_)) = take_frame(&mut buffer, MAX, &mut known) {}
    }
}

/// A cast alone, what is no cast, and what has not arrived yet are not taken together with anything.
#[test]
fn only_casts_that_follow_each_other_are_taken_together() {
    let frame = |seq| Frame::Data { seq, head: head(1), body: Bytes::from_static(b"hi") };
    let mut known = KnownHead::default();
    let mut buffer = bytes_of(&frame(1));
    buffer.extend_from_slice(&bytes_of(&frame(2)));
    assert_eq!(take_alike(&mut buffer, (MAX, 9), &known), None, "no head is known");
    assert_eq!(take_frame(&mut buffer, MAX, &mut known), Ok(Some(frame(1))));
    assert_eq!(take_alike(&mut buffer, (MAX, 9), &known), None, "it is alone");
    buffer.extend_from_slice(&bytes_of(&frame(3))[..60]);
    assert_eq!(take_alike(&mut buffer, (MAX, 9), &known), None, "not all of the second is here");
    buffer.extend_from_slice(&bytes_of(&frame(3))[60..]);
    assert_eq!(take_alike(&mut buffer, (10, 9), &known), None, "they are too long");
    let run = take_alike(&mut buffer, (MAX, 9), &known).expect("both are here");
    assert_eq!(Frame::Casts(run).apart(), [frame(2), frame(3)]);
    assert!(buffer.is_empty());
    // There is no number after the greatest.
    let mut buffer: BytesMut =
        [u64::MAX - 1, u64::MAX, 0].map(frame).iter().flat_map(bytes_of).collect();
    let run = take_alike(&mut buffer, (MAX, 9), &known).expect("two of them");
    assert_eq!(Frame::Casts(run).apart(), [frame(u64::MAX - 1), frame(u64::MAX)]);
    assert_eq!(take_alike(&mut buffer, (MAX, 9), &known), None);
}

#[test]
fn a_length_over_the_limit_is_refused_before_anything_has_arrived() {
    let mut buffer = BytesMut::from(&u32::MAX.to_le_bytes()[..]);
    let error = Malformed::TooLong { bytes: u32::MAX as usize, max: MAX };
    assert_eq!(take_frame(&mut buffer, MAX, &mut KnownHead::default()), Err(error));
    assert!(buffer.capacity() < 1024, "the length bought no memory");
}

/// The bytes of version 1. A change here is a change of the protocol, and of its version.
#[test]
fn the_bytes_of_a_frame_are_these() {
    let golden = |frame: &Frame| {
        bytes_of(frame).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join("")
    };
    let to = ActorId { proc: ProcId::from_random(1), life: Incarnation::new(2), index: 3 };
    let head = Head::Cast { to, port: PortId::named("a"), from: None };
    let body = Bytes::from_static(b"hi");
    assert_eq!(
        golden(&Frame::Data { seq: 7, head, body }),
        "2e0000000107000000000000001f00000000100000000000004000800000000000000102038cd987b0c889f7b1af01006869"
    );
    assert_eq!(
        golden(&Frame::Ack(Ack { received: 8, granted: 4_096 })),
        "110000000208000000000000000010000000000000"
    );
    assert_eq!(golden(&Frame::Ping), "0100000003");
    assert_eq!(golden(&Frame::Close), "0100000004");
}
