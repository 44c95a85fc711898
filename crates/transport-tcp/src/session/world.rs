//! Two sessions and a link between them that cuts, truncates and delays at every byte: what tests and fuzz
//! targets drive.

use bytes::{Buf, BytesMut};
use mesh_core::{ActorId, Body, CallId, Envelope, Head, Incarnation, PortId, ProcId};

use super::{ENVELOPE, Session, Violation};
use crate::chunks::Chunks;
use crate::wire::{Ack, Encoded, Frame, KnownHead, take_frame};

pub(crate) const WINDOW: u64 = 2_000;

/// More than an answer is on the wire.
const ANSWER: usize = 96;

/// One side: its session, what it has sent and received, and what is on its way from it.
pub(crate) struct Side {
    pub(crate) session: Session,
    pub(crate) n_sent: u32,
    /// Which of them were answers: those take no room of the window.
    answers: Vec<u32>,
    /// The numbers of the envelopes that have arrived here.
    pub(crate) arrived: Vec<u32>,
    /// Costs of what has arrived and was not taken.
    pub(crate) held: Vec<u64>,
    /// Written on this connection and not arrived yet.
    pub(crate) wire: Vec<u8>,
    /// Arrived on this connection and not a whole frame yet.
    pub(crate) partial: BytesMut,
    /// What it has said on a connection on which the two have not met yet.
    pub(crate) said: Option<Ack>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
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

impl Side {
    pub(crate) fn new() -> Self {
        Self {
            session: Session::new(WINDOW),
            n_sent: 0,
            answers: Vec::new(),
            arrived: Vec::new(),
            held: Vec::new(),
            wire: Vec::new(),
            partial: BytesMut::new(),
            said: None,
        }
    }

    pub(crate) fn send(&mut self, size: usize) {
        if self.session.has_room() {
            let to = ActorId { proc: ProcId::from_random(1), life: Incarnation::FIRST, index: 1 };
            self.offer(Head::Cast { to, port: PortId::named("test"), from: None }, size);
        }
    }

    pub(crate) fn answer(&mut self) {
        self.answers.push(self.n_sent);
        let to = ActorId { proc: ProcId::from_random(1), life: Incarnation::FIRST, index: 1 };
        self.offer(Head::Answer { to: to.peer(), call: CallId::new(7) }, 0);
    }

    /// The body begins with the number of the envelope.
    fn offer(&mut self, head: Head, size: usize) {
        let mut body = self.n_sent.to_le_bytes().to_vec();
        body.resize(4 + size, 0xab);
        let mut encoded = Encoded::new(&head, body.into()).expect("the head is short");
        self.session.send(&head, &mut encoded);
        self.n_sent += 1;
    }

    pub(crate) fn write(&mut self) {
        if let Some(ack) = self.session.take_ack() {
            let mut buffer = BytesMut::new();
            ack.put(&mut buffer);
            self.wire.extend_from_slice(&buffer);
            return;
        }
        let mut chunks = Chunks::default();
        self.session.write(&mut chunks, 1);
        while chunks.has_remaining() {
            self.wire.extend_from_slice(chunks.chunk());
            chunks.advance(chunks.chunk().len());
        }
    }

    pub(crate) fn arrive(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        self.partial.extend_from_slice(bytes);
        while let Some(frame) =
            take_frame(&mut self.partial, 1 << 20, &mut KnownHead::default()).expect("we wrote it")
        {
            if let Incoming::Envelope(envelope, cost) = self.session.receive(frame)? {
                let Body::Bytes(body) = envelope.body else { panic!("it came over a wire") };
                let number = body.first_chunk().expect("every body has its number");
                self.arrived.push(u32::from_le_bytes(*number));
                self.held.push(cost);
                self.session.handed_over(self.session.n_received());
            }
        }
        Ok(())
    }

    /// Whether these bytes may have been written by a peer that keeps to the protocol, after what has arrived.
    #[cfg(test)]
    pub(crate) fn try_arrive(&mut self, bytes: &[u8]) -> bool {
        let mut rest = self.partial.split();
        rest.extend_from_slice(bytes);
        // As far as there are frames, one by one.
        loop {
            let before = rest.clone();
            match take_frame(&mut rest, 1 << 20, &mut KnownHead::default()) {
                Ok(Some(_)) => {
                    let length = before.len() - rest.len();
                    if self.arrive(&before[..length]).is_err() {
                        return false;
                    }
                }
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }

    pub(crate) fn take(&mut self) {
        if !self.held.is_empty() {
            let cost = self.held.remove(0);
            self.session.release(cost);
        }
    }
}

pub(crate) fn perform(sides: &mut [Side; 2], step: Step) -> Result<(), Violation> {
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
pub(crate) fn cut(sides: &mut [Side; 2]) {
    for side in sides {
        side.wire.clear();
        side.partial.clear();
        side.said = Some(side.session.ack());
    }
}

pub(crate) fn meet(sides: &mut [Side; 2]) -> Result<(), Violation> {
    let [a, b] = [0, 1].map(|side| sides[side].said.take().expect("both have said it"));
    sides[0].session.connected(b, a)?;
    sides[1].session.connected(a, b)?;
    Ok(())
}

pub(crate) fn reconnect(sides: &mut [Side; 2]) -> Result<(), Violation> {
    if sides[0].said.is_none() {
        cut(sides);
    }
    meet(sides)
}

/// What must hold after every step.
///
/// # Panics
///
/// If it does not.
pub(crate) fn check(sides: &[Side; 2]) {
    for (here, there) in [(&sides[0], &sides[1]), (&sides[1], &sides[0])] {
        let expected: Vec<u32> = (0..).take(here.arrived.len()).collect();
        assert_eq!(here.arrived, expected, "each once, in order");
        assert!(here.arrived.len() <= there.n_sent as usize, "what was never sent");
        let held: u64 = here.held.iter().sum();
        assert!(held < WINDOW + 900 + 4 + ENVELOPE as u64, "{held} bytes are held");
        let (unacked, first) = (there.session.unacked_bytes(), there.session.first_unacked());
        let answers = there.answers.iter().filter(|number| u64::from(**number) >= first).count();
        let most = 2 * (WINDOW as usize + 904 + ENVELOPE) + answers * ANSWER;
        assert!(unacked < most, "{unacked} bytes are kept, {answers} answers among them");
    }
}

/// The link heals: a bounded number of rounds is enough until everything has arrived.
///
/// # Panics
///
/// If it has not.
pub(crate) fn heal(sides: &mut [Side; 2]) {
    reconnect(sides).expect("both are honest");
    for _ in 0..1_000 {
        for side in 0..2 {
            for step in [Step::Write(side), Step::Arrive(side, usize::MAX), Step::Take(side)] {
                perform(sides, step).expect("both are honest");
            }
        }
    }
    check(sides);
    for (here, there) in [(0, 1), (1, 0)] {
        assert_eq!(sides[here].arrived.len(), sides[there].n_sent as usize, "all has arrived");
        let session = &sides[here].session;
        assert!(!session.owes_ack() && session.unacked_bytes() == 0, "all is acknowledged");
    }
}

/// What a frame comes to.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// Nothing for anybody.
    Nothing,
    /// An envelope, which counts so many bytes until [`Session::release`].
    Envelope(Envelope, u64),
    /// There may be room that was not there before.
    Room,
    /// The peer ends the session.
    Closed,
}

impl Session {
    /// A frame has arrived.
    pub(crate) fn receive(&mut self, frame: Frame) -> Result<Incoming, Violation> {
        match frame {
            Frame::Data { seq, head, body } => {
                let cost = self.arrived(seq, &head, body.len())?;
                let envelope = Envelope { head, body: Body::Bytes(body) };
                Ok(cost.map_or(Incoming::Nothing, |cost| Incoming::Envelope(envelope, cost)))
            }
            Frame::Casts(_) => unreachable!("frames are taken one by one"),
            Frame::Ack(ack) => {
                Ok(if self.heard(ack)? { Incoming::Room } else { Incoming::Nothing })
            }
            Frame::Ping => Ok(Incoming::Nothing),
            Frame::Close => Ok(Incoming::Closed),
        }
    }
}
