//! Tests of a session: two ends, and a hand that carries packets between them.

use mesh_core::{ActorId, CallId, Incarnation, PeerId, PortId, ProcId};

use super::*;

fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn session() -> Session {
    Session::new(at(0), SessionConfig { window: 4, ..SessionConfig::default() })
}

fn cast() -> Head {
    let (proc, life) = (ProcId::from_random(1), Incarnation::FIRST);
    Head::Cast { to: ActorId { proc, life, index: 1 }, port: PortId::named("test"), from: None }
}

fn answer() -> Head {
    let peer = PeerId { proc: ProcId::from_random(1), life: Incarnation::FIRST };
    Head::Answer { to: peer, call: CallId::new(1) }
}

fn body(number: u8) -> Bytes {
    Bytes::copy_from_slice(&[number])
}

/// All that an end has to say now.
fn said(session: &mut Session, now: Duration) -> Vec<(Packet, Bytes)> {
    std::iter::from_fn(|| session.next_outgoing(now)).collect()
}

/// The numbers of the envelopes that it sends now.
fn sent(session: &mut Session, now: Duration) -> Vec<u64> {
    let packets = said(session, now).into_iter();
    packets
        .filter_map(|(packet, _)| match packet {
            Packet::Data { seq, .. } => Some(seq),
            _ => None,
        })
        .collect()
}

/// The numbers of the envelopes whose turn it is when this one has arrived.
fn arrived(session: &mut Session, seq: u64) -> Vec<u64> {
    session.receive(seq, cast(), body(0)).iter().map(|arrived| arrived.seq).collect()
}

#[test]
fn what_arrives_early_waits_and_what_arrives_again_is_dropped() {
    let mut session = session();
    assert_eq!(arrived(&mut session, 1), [0; 0]);
    assert_eq!(arrived(&mut session, 2), [0; 0]);
    assert_eq!(arrived(&mut session, 1), [0; 0]);
    assert_eq!(arrived(&mut session, 0), [0, 1, 2]);
    assert_eq!(arrived(&mut session, 0), [0; 0]);
    assert_eq!(arrived(&mut session, 2), [0; 0]);
}

#[test]
fn what_is_further_ahead_than_anybody_may_be_is_dropped() {
    let mut session = session();
    assert_eq!(arrived(&mut session, IN_FLIGHT_MAX), [0; 0]);
    assert_eq!(session.early.len(), 0);
    assert_eq!(arrived(&mut session, u64::MAX), [0; 0]);
}

#[test]
fn an_envelope_is_sent_again_ever_more_seldom_until_it_is_acknowledged() {
    let mut session = session();
    session.send(cast(), body(0));
    let mut times = Vec::new();
    let mut now = at(0);
    while now < at(4_000) {
        if !sent(&mut session, now).is_empty() {
            times.push(now.as_millis());
        }
        now = session.next_deadline();
    }
    assert_eq!(times, [0, 100, 300, 700, 1_500, 2_500, 3_500]);
    session.acknowledged(now, Ack { received: 1, granted: 5 });
    assert_eq!(sent(&mut session, now + at(60_000)), [0; 0]);
}

#[test]
fn while_nothing_gets_through_only_the_first_is_sent_again() {
    let mut session = session();
    (0..3).for_each(|number| session.send(cast(), body(number)));
    let mut all = Vec::new();
    while session.next_deadline() < at(4_000) {
        let now = session.next_deadline();
        let now = if all.is_empty() { at(0) } else { now };
        all.push(sent(&mut session, now));
    }
    assert_eq!(all[..3], vec![vec![0, 1, 2]; 3]);
    assert!(all[3..].iter().all(|sent| sent == &[0] || sent.is_empty()), "{all:?}");
    session.acknowledged(at(4_000), Ack { received: 1, granted: 4 });
    assert_eq!(sent(&mut session, at(4_000)), [1], "and the next, as soon as it is the first");
}

#[test]
fn who_has_been_granted_nothing_more_waits_and_answers_do_not() {
    let mut session = session();
    (0..4).for_each(|number| session.send(cast(), body(number)));
    assert!(!session.has_room());
    session.send(answer(), body(4));
    assert_eq!(sent(&mut session, at(0)), [0, 1, 2, 3, 4]);
    assert!(!session.acknowledged(at(1), Ack { received: 5, granted: 4 }));
    assert!(!session.has_room());
    assert!(session.acknowledged(at(1), Ack { received: 5, granted: 5 }));
    assert!(session.has_room());
}

#[test]
fn an_old_acknowledgement_takes_nothing_back() {
    let mut session = session();
    (0..3).for_each(|number| session.send(cast(), body(number)));
    assert_eq!(sent(&mut session, at(0)), [0, 1, 2]);
    session.acknowledged(at(1), Ack { received: 2, granted: 9 });
    session.acknowledged(at(2), Ack { received: 1, granted: 4 });
    assert_eq!((session.first_unacked, session.granted), (2, 9));
}

/// What was never sent cannot have arrived.
#[test]
fn what_is_acknowledged_was_sent() {
    let mut session = session();
    session.send(cast(), body(0));
    session.acknowledged(at(1), Ack { received: 7, granted: 4 });
    assert_eq!(session.end().len(), 1);
}

#[test]
fn what_is_taken_is_granted_again_and_soon_told() {
    let mut session = session();
    assert_eq!(arrived(&mut session, 0), [0]);
    let told = |session: &mut Session, now| match said(session, now).as_slice() {
        [(Packet::Ack(ack), _)] => Some(*ack),
        _ => None,
    };
    assert_eq!(told(&mut session, at(1)), Some(Ack { received: 1, granted: 4 }));
    assert_eq!(told(&mut session, at(1)), None);
    session.release();
    assert_eq!(told(&mut session, at(1)), Some(Ack { received: 1, granted: 5 }));
}

#[test]
fn who_has_nothing_to_say_says_so_from_time_to_time() {
    let mut session = session();
    assert_eq!(session.next_deadline(), at(1_000));
    assert_eq!(said(&mut session, at(999)).len(), 0);
    assert_eq!(said(&mut session, at(1_000)).len(), 1);
    assert_eq!(session.next_deadline(), at(2_000));
}

#[test]
fn a_silent_peer_is_given_up_and_what_it_did_not_acknowledge_comes_back() {
    let mut session = session();
    (0..3).for_each(|number| session.send(cast(), body(number)));
    assert_eq!(sent(&mut session, at(0)), [0, 1, 2]);
    session.acknowledged(at(5), Ack { received: 1, granted: 4 });
    assert!(!session.is_overdue(at(10_004)));
    assert!(session.is_overdue(at(10_005)));
    let back = session.end().into_iter().map(|mut envelope| envelope.body.bytes().unwrap());
    assert_eq!(back.collect::<Vec<_>>(), [body(1), body(2)]);
}

/// As when only the way there is cut.
#[test]
fn a_peer_that_is_heard_and_takes_nothing_is_given_up_too() {
    let mut session = session();
    session.acknowledged(at(8_000), Ack { received: 0, granted: 4 });
    session.send(cast(), body(0));
    assert_eq!(sent(&mut session, at(9_000)), [0]);
    for second in 9..19 {
        session.acknowledged(at(second * 1_000), Ack { received: 0, granted: 4 });
    }
    assert!(!session.is_overdue(at(18_999)));
    assert!(session.is_overdue(at(19_000)));
}

#[test]
fn a_pause_of_its_own_is_blamed_on_nobody() {
    let mut session = session();
    session.forgive(at(3_600_000));
    assert!(!session.is_overdue(at(3_609_999)));
    assert!(session.is_overdue(at(3_610_000)));
}
