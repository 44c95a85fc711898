//! What is read, however it comes, and how much memory that takes.

use mesh_core::{ActorId, Head, Incarnation, PortId, ProcId};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::wire::Encoded;

const MAX: usize = 4 << 20;

/// A frame with a body of so many bytes, all of which are its number.
fn frame(seq: u64, size: usize) -> BytesMut {
    let to = ActorId { proc: ProcId::from_random(1), life: Incarnation::FIRST, index: 1 };
    let head = Head::Cast { to, port: PortId::named("test"), from: None };
    let body = Bytes::from(vec![seq as u8; size]);
    let encoded = Encoded::new(&head, body).expect("the head is short");
    let mut buffer = BytesMut::new();
    encoded.put(seq, &mut buffer);
    buffer
}

/// Lets all of `bytes` arrive, as much at once as there is room for, but no more than `most`.
fn arrive(inlet: &mut Inlet, mut bytes: &[u8], most: usize) -> Vec<Bytes> {
    let (mut frames, mut bodies) = (Vec::new(), Vec::new());
    while !bytes.is_empty() {
        let room = inlet.room();
        let n = bytes.len().min(most).min(room.capacity() - room.len());
        assert!(n > 0, "there is room for something");
        room.extend_from_slice(&bytes[..n]);
        inlet.has_read(n);
        bytes = &bytes[n..];
        loop {
            inlet.take_frames(&mut frames, MAX).expect("they are frames");
            if frames.is_empty() {
                break;
            }
            bodies.extend(frames.drain(..).flat_map(Frame::apart).map(|frame| match frame {
                Frame::Data { seq, body, .. } => {
                    assert!(body.iter().all(|byte| *byte == seq as u8), "the body of another");
                    body
                }
                other => panic!("only envelopes were sent: {other:?}"),
            }));
        }
    }
    bodies
}

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![6 => 0..200_usize, 2 => 200..20_000_usize, 1 => 20_000..400_000_usize]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64, failure_persistence: None, ..ProptestConfig::default()
    })]

    /// However much comes at once, and whoever keeps what: the same frames come out.
    #[test]
    fn frames_come_out_however_they_come_and_whatever_is_kept(
        sizes in vec((size(), any::<bool>()), 0..60),
        most in prop_oneof![1..100_usize, 1_000..300_000_usize],
    ) {
        let (mut inlet, mut kept, mut n_found) = (Inlet::default(), Vec::new(), 0);
        for (seq, (size, keeps)) in (0..).zip(&sizes) {
            let bodies = arrive(&mut inlet, &frame(seq, *size), most);
            prop_assert_eq!(bodies.iter().map(Bytes::len).collect::<Vec<_>>(), vec![*size]);
            n_found += bodies.len();
            if *keeps {
                kept.push((seq, bodies));
            }
        }
        prop_assert_eq!(n_found, sizes.len());
        // Nobody has written into what was kept.
        for (seq, bodies) in kept {
            prop_assert!(bodies[0].iter().all(|byte| *byte == seq as u8));
        }
    }
}

/// One message of each buffer that somebody keeps does not keep all of the buffers.
#[test]
fn who_keeps_a_little_of_everything_keeps_a_bounded_number_of_buffers() {
    let (mut inlet, mut kept) = (Inlet::default(), Vec::new());
    let burst: BytesMut = (0..2_000).flat_map(|seq| frame(seq, 64)).collect();
    for _ in 0..200 {
        let mut bodies = arrive(&mut inlet, &burst, usize::MAX);
        kept.push(bodies.swap_remove(7));
    }
    assert!(inlet.copies && inlet.kept.len() <= KEPT_MAX);
    // Each is copied by itself, and is not in a buffer.
    let is_alone = |body: Bytes| body.try_into_mut().is_ok();
    let n_alone = kept.into_iter().map(is_alone).filter(|is_alone| *is_alone).count();
    assert!(n_alone >= 200 - 2 * KEPT_MAX - 2, "{n_alone}");
    // When nobody keeps anything any more, they are used again, and nothing is copied.
    for _ in 0..3 {
        arrive(&mut inlet, &burst, usize::MAX);
    }
    assert!(!inlet.copies);
}

#[test]
fn a_buffer_is_used_again_when_nobody_keeps_anything_of_it() {
    let mut inlet = Inlet::default();
    let short = frame(1, 64);
    for _ in 0..1_000 {
        arrive(&mut inlet, &short, usize::MAX);
    }
    let first = inlet.room().as_ptr();
    for _ in 0..10_000 {
        arrive(&mut inlet, &short, usize::MAX);
    }
    let again = inlet.room().as_ptr();
    assert!(again.addr().abs_diff(first.addr()) < inlet.capacity && inlet.kept.is_empty());
}

#[test]
fn it_grows_with_what_arrives_and_shrinks_when_little_does() {
    let mut inlet = Inlet::default();
    arrive(&mut inlet, &frame(1, 8), usize::MAX);
    assert_eq!(inlet.capacity, SIZE_MIN);
    let bodies = arrive(&mut inlet, &frame(2, 3 << 20), usize::MAX);
    assert_eq!(bodies.len(), 1);
    drop(bodies);
    for seq in 0..500 {
        arrive(&mut inlet, &frame(seq, 8), usize::MAX);
    }
    assert!(!inlet.is_large(), "{}", inlet.capacity);
    arrive(&mut inlet, &frame(3, 1 << 20), usize::MAX);
    assert!(inlet.is_large());
    inlet.rest();
    assert_eq!((inlet.capacity, inlet.kept.len()), (SIZE_MIN, 0));
}

/// What a frame says of its length buys no memory.
#[test]
fn a_length_alone_takes_no_memory() {
    let mut inlet = Inlet::default();
    let long = frame(1, 3 << 20);
    for n in [16, 1_000, 20_000] {
        arrive(&mut inlet, &long[..n], usize::MAX);
        let before = inlet.buffer.len();
        assert!(inlet.room().capacity() <= (4 * before).max(2 * SIZE_MIN) + SIZE_MAX / 8);
        inlet = Inlet::default();
    }
}

/// Frames as long as others that have come are read into one piece of memory of their size, until nothing comes.
#[test]
fn what_has_come_once_buys_memory_for_as_much() {
    let mut inlet = Inlet::default();
    let long = frame(1, 1 << 20);
    arrive(&mut inlet, &long, usize::MAX);
    arrive(&mut inlet, &long[..1_000], usize::MAX);
    let room = inlet.room();
    assert!(room.capacity() >= long.len(), "{}", room.capacity());
    inlet.rest();
    let room = inlet.room();
    assert!(room.capacity() <= 2 * SIZE_MIN, "{}", room.capacity());
}
