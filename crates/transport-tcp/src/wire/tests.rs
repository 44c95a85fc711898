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

    /// Whatever arrives, it is a frame, or none, or not yet one; nothing panics.
    #[test]
    fn any_bytes_are_answered(bytes in vec(any::<u8>(), 0..300)) {
        let mut buffer = BytesMut::from(&bytes[..]);
        let mut known = KnownHead::default();
        while let Ok(Some(_)) = take_frame(&mut buffer, MAX, &mut known) {}
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
