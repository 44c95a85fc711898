//! What waits, and what does not.

use mesh_core::{Incarnation, MeshId, ProcId};
use mesh_shape::Overlay;

use super::*;
use crate::wire::{CastId, LegId, Sender, StreamId, Unreached};

fn parent(number: u128) -> ActorId {
    let (proc, life) = (ProcId::from_random(number), Incarnation::FIRST);
    ActorId { proc, life, index: 1 }
}

fn answer(number: u64, progress: Progress, outcome: Outcome<Bytes>) -> Answer<Bytes> {
    let stream = StreamId { caster: parent(9), mesh: MeshId::from_random(1) };
    let leg = LegId { sender: Sender::Relay, number };
    let (cast, outcomes) = (CastId { stream, number }, Overlay::from_range(0..4, outcome));
    Answer { cast, leg, progress, outcomes, unreached: Overlay::new(), merged: None }
}

/// The numbers of the casts that messages answer.
fn numbers(ups: &[Up]) -> Vec<Vec<u64>> {
    let each = |up: &Up| up.answers.iter().map(|answer| answer.cast.number).collect();
    ups.iter().map(each).collect()
}

#[test]
fn what_was_taken_waits_for_more_and_goes_up_together() {
    let mut ups = Ups::default();
    for number in 1..=3 {
        assert_eq!(ups.add(parent(1), answer(number, Progress::Done, Outcome::Taken)).len(), 0);
    }
    assert_eq!(ups.add(parent(2), answer(1, Progress::Open, Outcome::Arrived)).len(), 0);
    let all: Vec<_> = ups.take().map(|(to, up)| (to, numbers(&[up]))).collect();
    let mut expected = [(parent(1), vec![vec![1, 2, 3]]), (parent(2), vec![vec![1]])];
    expected.sort_by_key(|(to, _)| *to);
    assert_eq!(all, expected);
    assert!(ups.is_empty());
}

/// R1: a reply or a failure waits for nothing, and overtakes nothing.
#[test]
fn what_somebody_waits_for_goes_at_once_behind_what_waited() {
    let fault = Outcome::Failed(crate::wire::Failure::Unreached(Unreached::Lost));
    for urgent in [Outcome::Replied(Bytes::from_static(b"it")), fault] {
        let mut ups = Ups::default();
        assert_eq!(ups.add(parent(1), answer(1, Progress::Open, Outcome::Taken)).len(), 0);
        let now = ups.add(parent(1), answer(2, Progress::Open, urgent));
        assert_eq!(numbers(&now), [vec![1], vec![2]]);
        assert!(ups.is_empty());
    }
}

#[test]
fn a_leg_that_is_refused_or_dropped_or_could_not_be_reached_does_not_wait() {
    let mut ups = Ups::default();
    for progress in [Progress::Refused, Progress::Dropped] {
        assert_eq!(ups.add(parent(1), answer(1, progress, Outcome::Taken)).len(), 1);
    }
    let mut unreached = answer(1, Progress::Done, Outcome::Taken);
    unreached.unreached = Overlay::from_range(1..2, Unreached::Gone);
    assert_eq!(ups.add(parent(1), unreached).len(), 1);
}

#[test]
fn no_more_wait_than_a_caster_has_open() {
    let mut ups = Ups::default();
    let sent: Vec<Up> = (1..=TOGETHER as u64 + 1)
        .flat_map(|number| ups.add(parent(1), answer(number, Progress::Done, Outcome::Taken)))
        .collect();
    assert_eq!(numbers(&sent), [(1..=TOGETHER as u64).collect::<Vec<_>>()]);
    assert_eq!(ups.take().count(), 1);
}

#[test]
fn an_answer_of_many_runs_does_not_wait() {
    let mut ups = Ups::default();
    let mut many = answer(1, Progress::Done, Outcome::Taken);
    for rank in 0..RUNS {
        let outcome = if rank % 2 == 0 { Outcome::Taken } else { Outcome::Arrived };
        many.outcomes.insert(rank..rank + 1, outcome);
    }
    assert_eq!(ups.add(parent(1), many.clone()).len(), 0);
    many.outcomes.insert(RUNS..RUNS + 1, Outcome::Taken);
    assert_eq!(numbers(&ups.add(parent(1), many)), [[1], [1]]);
}
