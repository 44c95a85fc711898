//! Two sessions and a link between them that cuts, truncates and delays at every byte.

use bytes::BytesMut;
use mesh_core::{ActorId, CallId, Incarnation, PortId, ProcId};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::wire::take_frame;

const WINDOW: u64 = 2_000;

/// One side: its session, what it has sent and received, and what is on its way from it.
struct Side {
    session: Session,
    n_sent: u32,
    /// The numbers of the envelopes that have arrived here.
    arrived: Vec<u32>,
    /// Costs of what has arrived and was not taken.
    held: Vec<u64>,
    /// Written on this connection and not arrived yet.
    wire: Vec<u8>,
    /// Arrived on this connection and not a whole frame yet.
    partial: BytesMut,
    /// What it has said on a connection on which the two have not met yet.
    said: Option<Ack>,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Sends an envelope with a body of so many bytes, if there is room.
    Send(usize, usize),
    /// Sends an answer, which never waits.
    Answer(usize),
    /// Writes the next frame, if there is one.
    Write(usize),
    /// So many bytes arrive at the other side.
    Arrive(usize, usize),
    /// Takes the oldest envelope that is held.
    Take(usize),
    /// The connection breaks: what is on its way is lost, also in the middle of a frame. Nothing is
    /// connected until the next [`Step::Meet`].
    Cut,
    /// Both have said on a new connection how far they were at the cut, and go on.
    Meet,
}

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

impl Side {
    fn new() -> Self {
        Self {
            session: Session::new(WINDOW),
            n_sent: 0,
            arrived: Vec::new(),
            held: Vec::new(),
            wire: Vec::new(),
            partial: BytesMut::new(),
            said: None,
        }
    }

    fn send(&mut self, size: usize) {
        if self.session.has_room() {
            let to = ActorId { proc: ProcId::from_random(1), life: Incarnation::FIRST, index: 1 };
            self.offer(Head::Cast { to, port: PortId::named("test"), from: None }, size);
        }
    }

    fn answer(&mut self) {
        let to = ActorId { proc: ProcId::from_random(1), life: Incarnation::FIRST, index: 1 };
        self.offer(Head::Answer { to: to.peer(), call: CallId::new(7) }, 0);
    }

    /// The body begins with the number of the envelope.
    fn offer(&mut self, head: Head, size: usize) {
        let mut body = self.n_sent.to_le_bytes().to_vec();
        body.resize(4 + size, 0xab);
        let encoded = Encoded::new(&head, body.into()).expect("the head is short");
        self.session.send(head, encoded);
        self.n_sent += 1;
    }

    fn write(&mut self) {
        let mut buffer = BytesMut::new();
        match self.session.next_outgoing() {
            Some(Outgoing::Ack(ack)) => ack.put(&mut buffer),
            Some(Outgoing::Data { seq, encoded }) => {
                encoded.put_head(seq, &mut buffer);
                buffer.extend_from_slice(&encoded.body);
            }
            None => (),
        }
        self.wire.extend_from_slice(&buffer);
    }

    fn arrive(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        self.partial.extend_from_slice(bytes);
        while let Some(frame) = take_frame(&mut self.partial, 1 << 20).expect("we wrote it") {
            if let Incoming::Envelope(envelope, cost) = self.session.receive(frame)? {
                let Body::Bytes(body) = envelope.body else { panic!("it came over a wire") };
                let number = body.first_chunk().expect("every body has its number");
                self.arrived.push(u32::from_le_bytes(*number));
                self.held.push(cost);
            }
        }
        Ok(())
    }

    fn take(&mut self) {
        if !self.held.is_empty() {
            let cost = self.held.remove(0);
            self.session.release(cost);
        }
    }
}

fn perform(sides: &mut [Side; 2], step: Step) -> Result<(), Violation> {
    let is_cut = sides[0].said.is_some();
    match step {
        Step::Write(_) | Step::Arrive(..) if is_cut => (),
        Step::Send(side, size) => sides[side].send(size),
        Step::Answer(side) => sides[side].answer(),
        Step::Write(side) => sides[side].write(),
        Step::Take(side) => sides[side].take(),
        Step::Arrive(from, n) => {
            let n = n.min(sides[from].wire.len());
            let bytes: Vec<u8> = sides[from].wire.drain(..n).collect();
            sides[1 - from].arrive(&bytes)?;
        }
        Step::Cut if !is_cut => cut(sides),
        Step::Meet if is_cut => meet(sides)?,
        Step::Cut | Step::Meet => (),
    }
    Ok(())
}

/// The connection breaks, and each side says how far it is on the next one. Until they meet on it, what
/// has arrived may be taken, and more be sent.
fn cut(sides: &mut [Side; 2]) {
    for side in sides {
        side.wire.clear();
        side.partial.clear();
        side.said = Some(side.session.ack());
    }
}

fn meet(sides: &mut [Side; 2]) -> Result<(), Violation> {
    let [a, b] = [0, 1].map(|side| sides[side].said.take().expect("both have said it"));
    sides[0].session.connected(b, a)?;
    sides[1].session.connected(a, b)
}

fn reconnect(sides: &mut [Side; 2]) -> Result<(), Violation> {
    if sides[0].said.is_none() {
        cut(sides);
    }
    meet(sides)
}

/// What must hold after every step.
fn check(sides: &[Side; 2]) -> Result<(), TestCaseError> {
    for (here, there) in [(&sides[0], &sides[1]), (&sides[1], &sides[0])] {
        let expected: Vec<u32> = (0..).take(here.arrived.len()).collect();
        prop_assert_eq!(&here.arrived, &expected, "each once, in order");
        prop_assert!(here.arrived.len() <= there.n_sent as usize);
        let held: u64 = here.held.iter().sum();
        prop_assert!(held < WINDOW + 900 + 4 + ENVELOPE as u64, "{held} bytes are held");
        let unacked: usize = there.session.unacked.iter().map(|sent| sent.encoded.body.len()).sum();
        prop_assert!(unacked < 2 * (WINDOW as usize + 904), "{unacked} bytes are kept");
    }
    Ok(())
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
            check(&sides)?;
        }
        // The link heals: a bounded number of rounds is enough.
        reconnect(&mut sides).unwrap();
        for _ in 0..1_000 {
            for side in 0..2 {
                for step in [Step::Write(side), Step::Arrive(side, usize::MAX), Step::Take(side)] {
                    perform(&mut sides, step).unwrap();
                }
            }
        }
        check(&sides)?;
        for (here, there) in [(0, 1), (1, 0)] {
            prop_assert_eq!(sides[here].arrived.len(), sides[there].n_sent as usize);
            let session = &sides[here].session;
            prop_assert!(!session.owes_ack() && session.unacked.is_empty());
        }
    }

    /// A side that is given up gives back just what was not acknowledged, in order.
    #[test]
    fn what_was_not_acknowledged_comes_back(steps in vec(step(), 0..200)) {
        let mut sides = [Side::new(), Side::new()];
        reconnect(&mut sides).unwrap();
        for step in steps {
            perform(&mut sides, step).unwrap();
        }
        let first = u32::try_from(sides[0].session.first_unacked).unwrap();
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
    there.send(1);
    let first = there.session.next_outgoing();
    assert!(matches!(first, Some(Outgoing::Data { seq: 0, .. })), "{first:?}");
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
