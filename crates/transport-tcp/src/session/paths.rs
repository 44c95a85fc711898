//! Two sessions and all the connections between them, which overlap: what was written on one that the dialler
//! has given up may arrive late, after the next one is made, or never; an attempt that was given up may be met
//! all the same; each byte may be the last one that arrives.
//!
//! It is what [`Link`](crate::link::Link) makes of connections: the newest that two have met on carries the
//! session, and what arrives by another is not looked at.

use bytes::BytesMut;
use proptest::collection::vec;
use proptest::prelude::*;

use super::world::{Side, check};
use super::{Session, Violation};
use crate::wire::{Ack, KnownHead, take_frame};

/// The one that dials, and the one that listens.
const DIALLER: usize = 0;
const LISTENER: usize = 1;

/// A connection, as the network has it.
#[derive(Debug)]
struct Path {
    /// What the dialler has said of itself on it.
    said: Ack,
    /// What the listener has answered, once it has heard that.
    welcome: Option<Ack>,
    /// The listener has gone on to it. Until then it reads on where it did, and so hears what it does not know
    /// yet that it has said.
    is_met: bool,
    /// What is on its way from each side.
    wires: [Vec<u8>; 2],
}

struct Paths {
    sides: [Side; 2],
    paths: Vec<Path>,
    /// The connection that carries the session, of each side.
    carrying: [Option<usize>; 2],
    /// The attempt of the dialler that it has not given up.
    attempt: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
enum Move {
    Send(usize, usize),
    Answer(usize),
    Take(usize),
    /// Writes the next frame on the connection that carries the session.
    Write(usize),
    /// So many bytes arrive, by this connection, counted from the newest.
    Arrive(usize, usize, usize),
    /// The dialler gives its connection up, or its attempt.
    Break,
    /// The dialler makes another one.
    Dial,
    /// The listener hears on it who is there, and answers; also late, of one that was given up.
    Answered(usize),
    /// The listener goes on to it.
    Met(usize),
    /// The dialler hears the answer, and goes on.
    Welcomed,
    /// A connection ends for both, with all that is on its way.
    Cut(usize),
}

impl Paths {
    fn new() -> Self {
        let sides = [Side::new(), Side::new()];
        Self { sides, paths: Vec::new(), carrying: [None; 2], attempt: None }
    }

    fn perform(&mut self, it: Move) -> Result<(), Violation> {
        match it {
            Move::Send(side, size) => self.sides[side].send(size),
            Move::Answer(side) => self.sides[side].answer(),
            Move::Take(side) => self.sides[side].take(),
            Move::Write(side) => self.write(side),
            Move::Arrive(from, back, n) => {
                if let Some(path) = self.counted_back(back) {
                    self.arrive(from, path, n)?;
                }
            }
            Move::Break => (self.carrying[DIALLER], self.attempt) = (None, None),
            Move::Dial if self.carrying[DIALLER].is_none() => self.dial(),
            Move::Dial => (),
            Move::Answered(back) => {
                if let Some(path) = self.counted_back(back) {
                    let ack = self.sides[LISTENER].session.ack();
                    self.paths[path].welcome.get_or_insert(ack);
                }
            }
            Move::Met(back) => {
                if let Some(path) = self.counted_back(back) {
                    self.meet(path)?;
                }
            }
            Move::Welcomed => self.welcomed()?,
            Move::Cut(back) => self.cut(back),
        }
        Ok(())
    }

    fn counted_back(&self, back: usize) -> Option<usize> {
        self.paths.len().checked_sub(1 + back)
    }

    fn write(&mut self, side: usize) {
        if let Some(path) = self.carrying[side] {
            self.sides[side].write();
            let written = std::mem::take(&mut self.sides[side].wire);
            self.paths[path].wires[side].extend(written);
        }
    }

    fn arrive(&mut self, from: usize, path: usize, n: usize) -> Result<(), Violation> {
        let (to, it) = (1 - from, &mut self.paths[path]);
        // Nobody reads before it has gone on to it.
        if from == LISTENER && self.attempt == Some(path) || from == DIALLER && !it.is_met {
            return Ok(());
        }
        let wire = &mut it.wires[from];
        let bytes: Vec<u8> = wire.drain(..n.min(wire.len())).collect();
        if self.carrying[to] == Some(path) {
            self.sides[to].arrive(&bytes)?;
        }
        Ok(())
    }

    fn dial(&mut self) {
        let said = self.sides[DIALLER].session.ack();
        let wires = [Vec::new(), Vec::new()];
        self.paths.push(Path { said, welcome: None, is_met: false, wires });
        self.attempt = Some(self.paths.len() - 1);
    }

    fn meet(&mut self, path: usize) -> Result<(), Violation> {
        let Path { said, welcome: Some(told), is_met: false, .. } = self.paths[path] else {
            return Ok(());
        };
        let side = &mut self.sides[LISTENER];
        side.session.connected(said, told)?;
        side.partial = BytesMut::new();
        self.paths[path].is_met = true;
        self.carrying[LISTENER] = Some(path);
        Ok(())
    }

    fn welcomed(&mut self) -> Result<(), Violation> {
        let Some(path) = self.attempt else { return Ok(()) };
        let Path { said, welcome: Some(welcome), .. } = self.paths[path] else { return Ok(()) };
        let side = &mut self.sides[DIALLER];
        side.session.connected(welcome, said)?;
        side.partial = BytesMut::new();
        (self.carrying[DIALLER], self.attempt) = (Some(path), None);
        Ok(())
    }

    fn cut(&mut self, back: usize) {
        let Some(path) = self.counted_back(back) else { return };
        // Nobody goes on to it any more.
        self.paths[path].is_met = true;
        self.paths[path].wires = [Vec::new(), Vec::new()];
        for carrying in self.carrying.iter_mut().chain([&mut self.attempt]) {
            carrying.take_if(|carrying| *carrying == path);
        }
    }

    /// A connection is made, and nothing happens to it for so many rounds.
    fn heal(&mut self, n_rounds: usize) {
        let mut all =
            vec![Move::Break, Move::Dial, Move::Answered(0), Move::Met(0), Move::Welcomed];
        for _ in 0..n_rounds {
            for side in 0..2 {
                all.extend([
                    Move::Write(side),
                    Move::Arrive(side, 0, usize::MAX),
                    Move::Take(side),
                ]);
            }
        }
        all.into_iter().try_for_each(|it| self.perform(it)).expect("both are honest");
        check(&self.sides);
        for (here, there) in [(0, 1), (1, 0)] {
            assert_eq!(self.sides[here].arrived.len(), self.sides[there].n_sent as usize);
            let session: &Session = &self.sides[here].session;
            assert!(!session.owes_ack() && session.unacked_bytes() == 0, "all is acknowledged");
        }
    }
}

fn any_move() -> impl Strategy<Value = Move> {
    let (side, back) = (0..2_usize, 0..3_usize);
    prop_oneof![
        6 => (side.clone(), 0..900_usize).prop_map(|(side, size)| Move::Send(side, size)),
        1 => side.clone().prop_map(Move::Answer),
        4 => side.clone().prop_map(Move::Take),
        8 => side.clone().prop_map(Move::Write),
        8 => (side, back.clone(), 1..1_500_usize).prop_map(|(side, back, n)| Move::Arrive(side, back, n)),
        2 => Just(Move::Break),
        5 => Just(Move::Dial),
        5 => back.clone().prop_map(Move::Answered),
        5 => back.clone().prop_map(Move::Met),
        5 => Just(Move::Welcomed),
        1 => back.prop_map(Move::Cut),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 512, failure_persistence: None, ..ProptestConfig::default()
    })]

    /// R2: connections that overlap, and what arrives late by those that were given up, lose nothing, repeat
    /// nothing and let nothing overtake.
    #[test]
    fn connections_that_overlap_lose_nothing(moves in vec(any_move(), 0..300)) {
        let mut paths = Paths::new();
        for it in moves {
            paths.perform(it).unwrap();
            check(&paths.sides);
        }
        paths.heal(200);
    }
}

/// Some of everything, both ways, on a connection that two have met on. Returns how many bytes each has written.
fn talk() -> (Paths, [usize; 2]) {
    let mut paths = Paths::new();
    let meet = [Move::Dial, Move::Answered(0), Move::Met(0), Move::Welcomed];
    let say = [DIALLER, LISTENER].map(|side| {
        [Move::Send(side, 40), Move::Send(side, 0), Move::Answer(side)]
            .into_iter()
            .chain([Move::Write(side); 4])
    });
    let arrive = [Move::Arrive(DIALLER, 0, 100), Move::Take(LISTENER), Move::Write(LISTENER)];
    let all = meet.into_iter().chain(say.into_iter().flatten()).chain(arrive);
    all.for_each(|it| paths.perform(it).expect("both are honest"));
    let lengths = [0, 1].map(|side| paths.paths[0].wires[side].len());
    (paths, lengths)
}

/// R2: whichever byte is the last one to arrive before a connection breaks, each way, and whether the rest is
/// lost, or comes late by the connection that was given up, some of it before the listener has heard of the
/// next one and some after that.
#[test]
fn a_connection_may_break_at_every_byte() {
    let (_, [there, back]) = talk();
    assert!(there > 80 && back > 80, "{there}, {back}");
    let some = |length: usize| [0, length / 2, length];
    let places = (0..=there).flat_map(|at| some(back).map(|other| (at, other)));
    let and_back = (0..=back).flat_map(|at| some(there).map(|other| (other, at)));
    for (there, back) in places.chain(and_back) {
        let cut = vec![Move::Cut(0)];
        let late = vec![
            Move::Break,
            Move::Dial,
            Move::Arrive(DIALLER, 1, 70),
            Move::Answered(0),
            Move::Arrive(DIALLER, 1, 30),
            Move::Welcomed,
            Move::Write(DIALLER),
            Move::Arrive(DIALLER, 1, 30),
            Move::Met(0),
            Move::Arrive(DIALLER, 0, usize::MAX),
            Move::Arrive(DIALLER, 1, usize::MAX),
            Move::Arrive(LISTENER, 1, usize::MAX),
        ];
        for after in [cut, late] {
            let (mut paths, _) = talk();
            let begun = [Move::Arrive(DIALLER, 0, there), Move::Arrive(LISTENER, 0, back)];
            for it in begun.into_iter().chain(after) {
                paths.perform(it).unwrap();
                check(&paths.sides);
            }
            paths.heal(20);
        }
    }
}

/// What no connection does: bytes that come twice, or before those that were written before them. Of whole
/// frames nothing comes twice or too early, or the session is found out to be broken. Of parts of frames, which
/// make other bytes of what was said, no more comes than was said; what keeps those together is TCP, and TLS.
#[test]
fn frames_and_bytes_that_come_twice_or_too_early_are_found_out_or_harmless() {
    let frames = frames();
    let length = frames.last().copied().unwrap_or_default();
    let (mut n_found, mut n_tried) = (0, 0);
    for (from, to) in (0..length).flat_map(|from| (from + 1..=length).map(move |to| (from, to))) {
        for is_twice in [true, false] {
            let mut paths = said();
            let bytes =
                mangle(std::mem::take(&mut paths.paths[0].wires[DIALLER]), (from, to), is_twice);
            n_tried += 1;
            n_found += usize::from(!paths.sides[LISTENER].try_arrive(&bytes));
            let arrived = &paths.sides[LISTENER].arrived;
            assert!(arrived.len() <= 3, "{from}..{to}");
            if frames.contains(&from) && frames.contains(&to) {
                assert_eq!(*arrived, (0..).take(arrived.len()).collect::<Vec<_>>(), "{from}..{to}");
            }
        }
    }
    assert!(n_found > n_tried / 2, "{n_found} of {n_tried}");
}

/// Three frames on a connection that two have met on.
fn said() -> Paths {
    let mut paths = Paths::new();
    let meet = [Move::Dial, Move::Answered(0), Move::Met(0), Move::Welcomed];
    let say = [Move::Send(DIALLER, 9), Move::Answer(DIALLER), Move::Send(DIALLER, 0)];
    let all = meet.into_iter().chain(say).chain([Move::Write(DIALLER); 3]);
    all.for_each(|it| paths.perform(it).expect("both are honest"));
    paths
}

/// Where the frames of [`said`] begin and end.
fn frames() -> Vec<usize> {
    let mut rest = BytesMut::from(&said().paths[0].wires[DIALLER][..]);
    let (length, mut at) = (rest.len(), vec![0]);
    while let Ok(Some(_)) = take_frame(&mut rest, 1 << 20, &mut KnownHead::default()) {
        at.push(length - rest.len());
    }
    at
}

/// These bytes with a piece of them twice, or at the end.
fn mangle(mut bytes: Vec<u8>, (from, to): (usize, usize), is_twice: bool) -> Vec<u8> {
    let piece = bytes[from..to].to_vec();
    if is_twice {
        bytes.splice(to..to, piece);
    } else {
        bytes.drain(from..to);
        bytes.extend(piece);
    }
    bytes
}
