//! Messages that are cut, and put together again or not.

use mesh_core::{Incarnation, MeshId, ProcId};

use super::*;
use crate::wire::{CastId, LegId, Sender, StreamId};

fn actor(number: u128) -> ActorId {
    ActorId { proc: ProcId::from_random(number), life: Incarnation::FIRST, index: 1 }
}

fn port() -> PortId {
    PortId::named("test")
}

fn message(fill: u8, len: usize) -> Bytes {
    vec![fill; len].into()
}

fn cut(from: u128, whole: &Bytes) -> Vec<Piece> {
    cut_by(from, (Queue::Tree, 1), whole)
}

fn cut_by(from: u128, queue: QueueId, whole: &Bytes) -> Vec<Piece> {
    Piece::cut((actor(from), queue, port()), &[], whole).expect("it is not too large").collect()
}

/// What goes back travels beside all that goes down and up.
#[test]
fn the_queues_of_a_sender_do_not_cut_off_each_other() {
    let (one, other) = (message(1, 2 * PIECE_BYTES), message(2, 2 * PIECE_BYTES));
    let ones = cut_by(1, (Queue::Tree, 1), &one).into_iter();
    let others = cut_by(1, (Queue::Backs, 1), &other).into_iter();
    let mut pieces = Pieces::default();
    let each = ones.zip(others).flat_map(|(one, other)| [one, other]);
    let whole: Vec<_> = each.filter_map(|piece| pieces.add(piece)).collect();
    assert_eq!(whole, [(port(), one), (port(), other)]);
}

/// R1: what answers is still sent by the queue of a session that is lost, while the next one begins.
#[test]
fn the_queue_after_one_that_was_lost_is_another_one() {
    let (one, other) = (message(1, 2 * PIECE_BYTES), message(2, 2 * PIECE_BYTES));
    let ones = cut_by(1, (Queue::Tree, 1), &one).into_iter();
    let others = cut_by(1, (Queue::Tree, 2), &other).into_iter();
    let mut pieces = Pieces::default();
    let each = ones.zip(others).flat_map(|(one, other)| [one, other]);
    let whole: Vec<_> = each.filter_map(|piece| pieces.add(piece)).collect();
    assert_eq!(whole, [(port(), one), (port(), other)]);
}

/// R1: whoever begins more than anybody does has the oldest forgotten, and is told which legs that were.
#[test]
fn the_queues_that_somebody_begins_have_a_bound() {
    let (whole, mut pieces) = (message(1, 2 * PIECE_BYTES), Pieces::default());
    let stream = StreamId { caster: actor(1), mesh: MeshId::from_random(1) };
    let leg = |number| (CastId { stream, number }, LegId { sender: Sender::Relay, number });
    for number in 0..100 {
        let of = (actor(1), (Queue::Tree, number), PortId::of::<Down>());
        let mut cut = Piece::cut(of, &[leg(number)], &whole).expect("it is not too large");
        let first = cut.next().expect("there are two");
        let forgotten = number.checked_sub(BEGUN_MAX as u64).map(leg);
        assert_eq!(pieces.make_room(&first), forgotten.into_iter().collect::<Vec<_>>());
        assert_eq!(pieces.add(first), None);
        let second = cut_by(1, (Queue::Tree, number), &whole).remove(1);
        assert_eq!(pieces.make_room(&second), [], "that has its place");
    }
    assert_eq!(pieces.0.len(), BEGUN_MAX);
    assert!(pieces.add(cut_by(1, (Queue::Tree, 99), &whole).remove(1)).is_some());
    assert_eq!(pieces.add(cut_by(1, (Queue::Tree, 0), &whole).remove(1)), None);
}

/// R1: whoever has sent them may have done so after the loss.
#[test]
fn legs_that_a_lost_session_has_cut_off_are_named() {
    let stream = StreamId { caster: actor(1), mesh: MeshId::from_random(1) };
    let legs = [(CastId { stream, number: 1 }, LegId { sender: Sender::Relay, number: 1 })];
    let whole = message(1, 2 * PIECE_BYTES);
    let mut pieces = Pieces::default();
    for (number, port) in [(1, PortId::of::<Down>()), (2, port())] {
        let of = (actor(1), (Queue::Tree, number), port);
        let mut cut = Piece::cut(of, &legs, &whole).expect("it is not too large");
        assert_eq!(pieces.add(cut.next().expect("there are two")), None);
    }
    assert_eq!(pieces.lose(actor(2).peer()), []);
    assert_eq!(pieces.lose(actor(1).peer()), [(actor(1), legs.to_vec())]);
    assert!(pieces.0.is_empty());
}

#[test]
fn what_was_cut_is_put_together_again_also_among_others() {
    let (one, other) = (message(1, 3 * PIECE_BYTES + 1), message(2, 2 * PIECE_BYTES));
    let mut pieces = Pieces::default();
    let (mut ones, mut others) = (cut(1, &one).into_iter(), cut(2, &other).into_iter());
    let mut whole = Vec::new();
    for _ in 0..4 {
        whole.extend(ones.next().and_then(|piece| pieces.add(piece)));
        whole.extend(others.next().and_then(|piece| pieces.add(piece)));
    }
    assert_eq!(whole, [(port(), other), (port(), one)]);
    assert!(pieces.0.is_empty());
}

#[test]
fn what_a_lost_session_has_cut_off_is_dropped() {
    let (cut_off, next) = (message(1, 2 * PIECE_BYTES), message(2, PIECE_BYTES + 1));
    let mut pieces = Pieces::default();
    assert_eq!(pieces.add(cut(1, &cut_off).remove(0)), None);
    let whole: Vec<_> = cut(1, &next).into_iter().filter_map(|it| pieces.add(it)).collect();
    assert_eq!(whole, [(port(), next.clone())]);
    assert_eq!(pieces.add(cut(1, &cut_off).remove(0)), None);
    assert_eq!(pieces.lose(actor(1).peer()), []);
    assert!(pieces.0.is_empty());
    // The end of it, whose beginning was lost.
    assert_eq!(pieces.add(cut(1, &next).remove(1)), None);
    assert!(pieces.0.is_empty());
}

#[test]
fn what_nobody_sends_is_dropped() {
    let piece = cut(1, &message(1, 8)).remove(0);
    let odd = [
        Piece { total: usize::MAX, ..piece.clone() },
        Piece { start: usize::MAX, ..piece.clone() },
        Piece { total: 7, ..piece.clone() },
        Piece { bytes: Bytes::new(), ..piece },
    ];
    let mut pieces = Pieces::default();
    for piece in odd {
        assert_eq!(pieces.add(piece), None);
        assert!(pieces.0.is_empty());
    }
    let one_too_many = message(0, WHOLE_MAX + 1);
    assert!(Piece::cut((actor(1), (Queue::Tree, 1), port()), &[], &one_too_many).is_none());
}

fn answer(replies: &[usize]) -> Answer<Bytes> {
    let stream = StreamId { caster: actor(1), mesh: MeshId::from_random(1) };
    let cast = CastId { stream, number: 1 };
    let leg = LegId { sender: Sender::Relay, number: 1 };
    let replies = replies.iter().enumerate();
    let outcomes = replies.map(|(rank, len)| {
        (mesh_shape::Rank::new(rank), Outcome::Replied(message(rank as u8, *len)))
    });
    let (outcomes, unreached) = (outcomes.collect(), Overlay::new());
    Answer { cast, leg, progress: Progress::Done, outcomes, unreached, merged: None }
}

#[test]
fn a_large_answer_is_cut_between_replies_and_only_its_end_says_that_it_is_one() {
    let small = answer(&[10, 20]);
    assert_eq!(parts(small.clone()), [small]);
    let large = answer(&[ANSWER_BYTES / 2, ANSWER_BYTES / 3, 3 * ANSWER_BYTES, 10]);
    let cut = parts(large.clone());
    let progress: Vec<_> = cut.iter().map(|part| part.progress).collect();
    assert_eq!(progress, [Progress::Open, Progress::Open, Progress::Done]);
    let mut outcomes = Overlay::new();
    cut.into_iter().for_each(|part| outcomes.merge(part.outcomes));
    assert_eq!(outcomes, large.outcomes);
}
