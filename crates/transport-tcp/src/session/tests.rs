//! Two sessions and a link between them that cuts, truncates and delays at every byte.

use bytes::Bytes;
use mesh_core::{ActorId, CallId, Incarnation, PortId, ProcId};
use proptest::collection::vec;
use proptest::prelude::*;

use super::world::{Incoming, Side, Step, WINDOW, check, cut, heal, meet, perform, reconnect};
use super::*;
use crate::wire::Frame;

fn step() -> impl Strategy<Value = Step> {
    let side = 0..2_usize;
    prop_oneof![
        6 => (side.clone(), 0..900_usize).prop_map(|(side, size)| Step::Send(side, size)),
        1 => side.clone().prop_map(Step::Answer),
        8 => side.clone().prop_map(Step::Write),
        8 => (side.clone(), 1..1_500_usize).prop_map(|(side, n)| Step::Arrive(side, n)),
        4 => side.prop_map(Step::Take),
        2 => Just(Step::Cut),
        3 => Just(Step::Meet),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 512, failure_persistence: None, ..ProptestConfig::default()
    })]

    /// Whatever the link does: nothing is lost, repeated or reordered, and nobody holds more than the
    /// window. When the link heals, everything arrives.
    #[test]
    fn nothing_is_lost_repeated_or_reordered(steps in vec(step(), 0..300)) {
        let mut sides = [Side::new(), Side::new()];
        reconnect(&mut sides).unwrap();
        for step in steps {
            perform(&mut sides, step).unwrap();
            check(&sides);
        }
        heal(&mut sides);
    }

    /// A side that is given up gives back just what was not acknowledged, in order.
    #[test]
    fn what_was_not_acknowledged_comes_back(steps in vec(step(), 0..200)) {
        let mut sides = [Side::new(), Side::new()];
        reconnect(&mut sides).unwrap();
        for step in steps {
            perform(&mut sides, step).unwrap();
        }
        let first = u32::try_from(sides[0].session.first_unacked()).unwrap();
        let n_sent = sides[0].n_sent;
        let back = sides[0].session.end();
        let numbers: Vec<u32> = back
            .into_iter()
            .map(|mut envelope| {
                let body = envelope.body.bytes().unwrap();
                u32::from_le_bytes(*body.first_chunk().unwrap())
            })
            .collect();
        prop_assert_eq!(numbers, (first..n_sent).collect::<Vec<_>>());
        prop_assert!(sides[1].arrived.len() >= first as usize, "what was acknowledged has arrived");
    }
}

#[test]
fn a_gap_is_no_envelope() {
    let (mut here, mut there) = (Side::new(), Side::new());
    let [here_ack, there_ack] = [here.session.ack(), there.session.ack()];
    there.session.connected(here_ack, there_ack).unwrap();
    here.session.connected(there_ack, here_ack).unwrap();
    there.send(1);
    there.write();
    there.wire.clear();
    there.send(1);
    there.write();
    let bytes = std::mem::take(&mut there.wire);
    assert_eq!(here.arrive(&bytes), Err(Violation::Gap { expected: 0, found: 1 }));
}

#[test]
fn what_was_never_sent_cannot_be_acknowledged() {
    let mut session = Session::new(WINDOW);
    let ack = Ack { received: 1, granted: WINDOW };
    let violation = Violation::NeverSent { acknowledged: 1, sent: 0 };
    assert_eq!(session.connected(ack, session.ack()), Err(violation));
}

#[test]
fn a_peer_that_takes_more_than_it_was_given_is_found_out() {
    let (mut here, mut there) = (Side::new(), Side::new());
    let told = there.session.ack();
    there.session.connected(Ack { received: 0, granted: u64::MAX }, told).unwrap();
    let outcome = (0..20).try_for_each(|_| {
        there.send(500);
        there.write();
        let bytes = std::mem::take(&mut there.wire);
        here.arrive(&bytes)
    });
    assert_eq!(outcome, Err(Violation::OverWindow { window: WINDOW }));
}

/// What is taken between saying how far one is and going on is told on the new connection: otherwise the
/// sender would wait for ever.
#[test]
fn what_is_taken_while_two_meet_is_told() {
    let mut sides = [Side::new(), Side::new()];
    reconnect(&mut sides).unwrap();
    while sides[0].session.has_room() {
        sides[0].send(500);
        sides[0].write();
    }
    perform(&mut sides, Step::Arrive(0, usize::MAX)).unwrap();
    cut(&mut sides);
    while !sides[1].held.is_empty() {
        sides[1].take();
    }
    meet(&mut sides).unwrap();
    assert!(!sides[0].session.has_room());
    sides[1].write();
    perform(&mut sides, Step::Arrive(1, usize::MAX)).unwrap();
    assert!(sides[0].session.has_room());
}

/// At the beginning somebody may wait for it: what is said next goes by another session, and must not overtake (R2).
/// Later it waits for longer, so that many who are called in turn are not woken for it.
#[test]
fn an_acknowledgement_waits_longer_once_a_session_is_in_use() {
    let mut sides = [Side::new(), Side::new()];
    reconnect(&mut sides).unwrap();
    for _ in 0..YOUNG {
        assert_eq!(sides[1].session.ack_within(), ACK_SOON);
        sides[0].answer();
        sides[0].write();
        perform(&mut sides, Step::Arrive(0, usize::MAX)).unwrap();
    }
    assert_eq!(sides[1].session.ack_within(), ACK_WITHIN);
    assert_eq!(sides[0].session.ack_within(), ACK_SOON, "nothing has come to it");
}

/// One that is larger than the window goes through alone.
#[test]
fn an_envelope_larger_than_the_window_is_sent() {
    let mut sides = [Side::new(), Side::new()];
    reconnect(&mut sides).unwrap();
    sides[0].send(3 * WINDOW as usize);
    assert!(!sides[0].session.has_room());
    for step in [Step::Write(0), Step::Arrive(0, usize::MAX), Step::Take(1), Step::Write(1)] {
        perform(&mut sides, step).unwrap();
    }
    perform(&mut sides, Step::Arrive(1, usize::MAX)).unwrap();
    assert_eq!((&sides[1].arrived[..], sides[0].session.has_room()), (&[0][..], true));
}

fn to() -> ActorId {
    ActorId { proc: ProcId::from_random(1), life: Incarnation::FIRST, index: 1 }
}

/// Asks as often as it may, and is answered with so many bytes each. Returns how often it may.
fn ask(session: &mut Session, size: usize, spent: &mut u64) -> u32 {
    let (mut granted, mut n_asked) = (session.ack().granted, 0);
    while *spent < granted && n_asked < 10_000 {
        let head = Head::Call {
            to: to(),
            port: PortId::named("test"),
            from: to().peer(),
            call: CallId::new(7),
        };
        let frame = Frame::Data { seq: session.ack().received, head, body: Bytes::new() };
        let Ok(Incoming::Envelope(_, cost)) = session.receive(frame) else { panic!("it may ask") };
        *spent += cost;
        n_asked += 1;
        session.release(cost);
        session.handed_over(session.n_received());
        let answer = Head::Answer { to: to().peer(), call: CallId::new(7) };
        let mut encoded = Encoded::new(&answer, vec![0; size].into()).unwrap();
        session.send(&answer, &mut encoded);
        granted = session.take_ack().map_or(granted, |ack| ack.granted);
        session.write(&mut Chunks::default(), usize::MAX);
    }
    n_asked
}

/// Answers never wait: so whoever asks, and reads what it is told, and never says that it has, is not let ask
/// for ever. Once it says so, it is.
#[test]
fn a_peer_that_acknowledges_no_answer_may_ask_no_more() {
    let mut session = Session::new(WINDOW);
    let (ack, mut spent) = (session.ack(), 0);
    session.connected(Ack { received: 0, granted: WINDOW }, ack).unwrap();
    let n_asked = ask(&mut session, 1_000, &mut spent);
    assert!(n_asked < 40, "{n_asked} of 1 kB each, and 8 windows of 2 kB");
    let received = session.next_to_write();
    session.receive(Frame::Ack(Ack { received, granted: WINDOW })).unwrap();
    assert!(session.owes_ack(), "it is told that it may");
    assert!(ask(&mut session, 1_000, &mut spent) > 5);
}

/// What a peer grants costs no more memory than we have for it.
#[test]
fn a_peer_that_grants_all_there_is_and_acknowledges_nothing_is_not_believed() {
    let mut session = Session::new(WINDOW);
    let ack = session.ack();
    session.connected(Ack { received: 0, granted: u64::MAX }, ack).unwrap();
    let head = Head::Cast { to: to(), port: PortId::named("test"), from: None };
    let mut n_sent = 0;
    while session.has_room() && n_sent < 10_000 {
        let mut encoded = Encoded::new(&head, vec![0; 1_000].into()).unwrap();
        session.send(&head, &mut encoded);
        n_sent += 1;
    }
    assert!(n_sent < 40, "{n_sent}");
    let is_room = |session: &mut Session, received| {
        let ack = Ack { received, granted: u64::MAX };
        matches!(session.receive(Frame::Ack(ack)), Ok(Incoming::Room))
    };
    assert!(is_room(&mut session, 10) && session.has_room(), "whoever waits is told");
}
