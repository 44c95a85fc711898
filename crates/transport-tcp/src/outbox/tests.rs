//! What goes out, whatever is written, acknowledged and written again.

use bytes::BytesMut;
use mesh_core::{ActorId, Body, Head, Incarnation, PortId, ProcId};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::wire::{Frame, KnownHead, take_frame};

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Takes an envelope with a body of so many bytes.
    Push(usize),
    /// Writes about so many bytes.
    Write(usize),
    /// So many more of those that were taken have arrived, if there are as many.
    Acknowledge(u64),
    /// Another connection.
    Rewind,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..300_usize).prop_map(Step::Push),
        1 => (COPIED_MAX - 1..3 * COPIED_MAX).prop_map(Step::Push),
        4 => (1..5_000_usize).prop_map(Step::Write),
        4 => (0..9_u64).prop_map(Step::Acknowledge),
        1 => Just(Step::Rewind),
    ]
}

fn encoded(number: u64, size: usize) -> Encoded {
    let to = ActorId { proc: ProcId::from_random(1), life: Incarnation::FIRST, index: number };
    let head = Head::Cast { to, port: PortId::named("test"), from: None };
    Encoded::new(&head, vec![number as u8; size].into()).expect("the head is short")
}

/// The numbers and sizes of the frames in what was written.
fn frames(mut chunks: Chunks) -> Vec<(u64, usize)> {
    let mut bytes = BytesMut::from(&chunks.copy_to_bytes(chunks.remaining())[..]);
    let (mut found, mut known) = (Vec::new(), KnownHead::default());
    while let Some(frame) = take_frame(&mut bytes, 1 << 20, &mut known).unwrap() {
        let Frame::Data { seq, body, .. } = frame else { panic!("only envelopes were sent") };
        assert!(body.iter().all(|byte| *byte == seq as u8), "the body of another");
        found.push((seq, body.len()));
    }
    assert!(bytes.is_empty(), "whole frames");
    found
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Each is written in its turn, once on each connection, until it is acknowledged; what is left comes
    /// back.
    #[test]
    fn everything_goes_out_in_order_until_it_is_acknowledged(steps in vec(step(), 0..120)) {
        let (mut outbox, mut sizes) = (Outbox::default(), Vec::new());
        let mut next_to_write = 0;
        for step in steps {
            match step {
                Step::Push(size) => {
                    outbox.push(&mut encoded(sizes.len() as u64, size));
                    sizes.push(size);
                }
                Step::Write(max) => {
                    let mut chunks = Chunks::default();
                    let n = outbox.write(&mut chunks, max);
                    let found = frames(chunks);
                    prop_assert_eq!(found.len() as u64, n);
                    let expected = (next_to_write..).zip(&sizes[next_to_write as usize..]);
                    let expected: Vec<_> =
                        expected.take(found.len()).map(|(seq, size)| (seq, *size)).collect();
                    prop_assert_eq!(found, expected);
                    next_to_write += n;
                    prop_assert_eq!(n == 0, !outbox.has_unwritten() && n == 0);
                }
                Step::Acknowledge(n) => {
                    let received = (outbox.first() + n).min(sizes.len() as u64);
                    outbox.acknowledge(received);
                    next_to_write = next_to_write.max(received);
                }
                Step::Rewind => {
                    prop_assert_eq!(outbox.rewind(), next_to_write - outbox.first());
                    next_to_write = outbox.first();
                }
            }
            prop_assert_eq!(outbox.next_to_write(), next_to_write);
            prop_assert_eq!(outbox.next(), sizes.len() as u64);
            prop_assert_eq!(outbox.n_bytes() == 0, outbox.n_envelopes() == 0);
        }
        let first = outbox.first() as usize;
        let back: Vec<usize> = outbox
            .take_all()
            .into_iter()
            .map(|envelope| match envelope.body {
                Body::Bytes(bytes) => bytes.len(),
                Body::Value(_) => panic!("it was encoded"),
            })
            .collect();
        prop_assert_eq!(&back[..], &sizes[first..]);
        prop_assert_eq!(outbox.n_envelopes(), 0);
    }
}

#[test]
fn a_long_body_is_not_copied_and_short_ones_go_out_together() {
    let mut outbox = Outbox::default();
    let mut long = encoded(2, 0);
    let body = Bytes::from(vec![2; COPIED_MAX + 1]);
    long.body.extend_from_slice(b"it begins");
    long.body.share(body.clone());
    outbox.push(&mut encoded(0, 64));
    outbox.push(&mut encoded(1, 64));
    outbox.push(&mut long);
    let mut chunks = Chunks::default();
    assert_eq!(outbox.write(&mut chunks, usize::MAX), 3);
    let mut slices = [std::io::IoSlice::new(&[]); 8];
    assert_eq!(chunks.chunks_vectored(&mut slices), 3, "the short ones, and the long one in two");
    assert_eq!(slices[2].as_ptr(), body.as_ptr());
}

/// Memory of a burst is given back when all of it is acknowledged; and one after another take one piece.
#[test]
fn memory_grows_with_what_is_not_acknowledged_and_shrinks_with_it() {
    let mut outbox = Outbox::default();
    for number in 0..10_000 {
        outbox.push(&mut encoded(number, 64));
        outbox.write(&mut Chunks::default(), usize::MAX);
        outbox.acknowledge(number + 1);
    }
    assert!(outbox.open.capacity() <= ROOM_MIN, "{}", outbox.open.capacity());
    for number in 10_000..20_000 {
        outbox.push(&mut encoded(number, 64));
    }
    assert_eq!(outbox.room, ROOM_MAX);
    outbox.acknowledge(20_000);
    assert_eq!((outbox.open.capacity(), outbox.pieces.len(), outbox.n_bytes()), (0, 0, 0));
}
