//! wire: what is sent can be read, and does not grow with the ranks where these are alike.

use std::sync::Arc;

use mesh_cast::caster::Effect;
use mesh_cast::{
    Answer, Caster, Failure, FanOut, FanOutError, Kind, Leg, Limits, Member, Members, Outcome,
    Plan, Progress, StreamId, Unreached,
};
use mesh_core::{ActorId, Incarnation, MeshId, ProcId};
use mesh_shape::Overlay;

/// The legs of a cast to that many nodes.
fn legs(n_nodes: usize) -> Vec<Leg<u8>> {
    let member =
        |node: usize| Member { node, host: node / 8, ranks: (node * 2..node * 2 + 2).into() };
    let members = Members::new(1, (0..n_nodes).map(member).collect()).expect("nodes differ");
    let plan = Arc::new(Plan::new(Arc::new(members), FanOut::new(8).expect("at least two")));
    let caster = ActorId { proc: ProcId::from_random(1), life: Incarnation::FIRST, index: 0 };
    let stream = StreamId { caster, mesh: MeshId::from_random(1) };
    let mut caster = Caster::<usize, u8, u8>::new(stream, Limits::default());
    let _ = caster.cast(Arc::clone(&plan), Kind::Cast, 1, 1).expect("there is room");
    let (_, effects) = caster.cast(plan, Kind::Call, 2, 1).expect("there is room");
    let legs = effects.into_iter().filter_map(|effect| match effect {
        Effect::Forward { leg, .. } => Some(leg),
        Effect::PassOn { .. }
        | Effect::Resolved { .. }
        | Effect::Merged { .. }
        | Effect::Finished { .. }
        | Effect::Room => None,
    });
    legs.collect()
}

#[test]
fn a_leg_to_many_is_as_large_as_one_to_few() {
    let size = |n_nodes| {
        let legs = legs(n_nodes);
        let bytes = postcard::to_stdvec(&legs[0]).expect("it can be sent");
        let back: Leg<u8> = postcard::from_bytes(&bytes).expect("it can be read");
        assert_eq!(back, legs[0]);
        bytes.len()
    };
    // Numbers of variable length: a few bytes more for a range of a hundred thousand.
    assert!(size(100_000) <= size(16) + 8);
}

/// A tree that would be a chain, or nothing, cannot be made here, and what says that it is one cannot be read.
#[test]
fn a_fan_out_of_less_than_two_is_refused_to_who_makes_it_and_to_who_sends_it() {
    for number in [0, 1] {
        assert_eq!(FanOut::new(number), Err(FanOutError(number)));
        let bytes = postcard::to_stdvec(&number).expect("it can be sent");
        assert!(postcard::from_bytes::<FanOut>(&bytes).is_err(), "{number}");
    }
    for fan_out in [FanOut::new(2).expect("at least two"), FanOut::ALL] {
        let bytes = postcard::to_stdvec(&fan_out).expect("it can be sent");
        assert_eq!(postcard::from_bytes(&bytes), Ok(fan_out));
    }
}

#[test]
fn an_answer_costs_its_runs() {
    let mut outcomes = Overlay::from_range(0..1_000_000, Outcome::Replied(7_u8));
    outcomes.insert(5..6, Outcome::Failed(Failure::Unreached(Unreached::Gone)));
    let leg = &legs(2)[0];
    let answer = Answer {
        cast: leg.cast,
        leg: leg.id,
        progress: Progress::Done,
        outcomes,
        unreached: Overlay::new(),
        merged: Some(3),
    };
    let bytes = postcard::to_stdvec(&answer).expect("it can be sent");
    assert_eq!(postcard::from_bytes::<Answer<u8>>(&bytes), Ok(answer));
    assert!(bytes.len() < 100, "{} bytes", bytes.len());
}
