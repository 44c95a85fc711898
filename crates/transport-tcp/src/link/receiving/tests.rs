//! Casts that arrive together.

use std::sync::{Arc, Mutex};

use mesh_core::{
    ActorId, Arrival, Credit, Envelope, Head, Identity, Inbound, Incarnation, Lane, Lost, Outbound,
    PeerId, PortId, ProcId, Sheaf,
};

use super::super::{Link, lock};
use crate::connection::Side;
use crate::handshake::SessionId;
use crate::session::Violation;
use crate::wire::{Ack, Frame, Run};

/// Keeps what it gets.
#[derive(Default)]
struct Hoard(Mutex<Vec<Arrival>>);

impl Inbound for Hoard {
    fn identity(&self) -> Identity {
        Identity { peer: peer(1), registry: 0 }
    }

    fn joined(&self, _: Lane, _: Arc<dyn Outbound>) {}

    fn deliver(&self, _: PeerId, _: Envelope, _: Credit) {
        unreachable!("all are delivered together");
    }

    fn deliver_all(&self, _: PeerId, arrived: &mut Vec<Arrival>) {
        lock(&self.0).append(arrived);
    }

    fn lost(&self, _: PeerId, _: Lane, _: Lost, _: Vec<Envelope>) {}
}

fn peer(number: u128) -> PeerId {
    PeerId { proc: ProcId::from_random(number), life: Incarnation::FIRST }
}

/// Casts with these numbers, each of which costs 300 bytes.
fn run(numbers: std::ops::Range<u8>) -> Frame {
    let PeerId { proc, life } = peer(2);
    let to = ActorId { proc, life, index: 1 };
    let head = Head::Cast { to, port: PortId::named("test"), from: None };
    let all: Vec<u8> = numbers.clone().flat_map(|number| [number; 44]).collect();
    let parts = (0..numbers.len() as u32).map(|at| 44 * at..44 * (at + 1));
    let bodies = Sheaf::new(all.into(), parts);
    Frame::Casts(Run { seq: numbers.start.into(), head, bodies })
}

struct Ends {
    link: Link,
    hoard: Arc<Hoard>,
    number: u64,
}

impl Ends {
    /// With room for 1,024 bytes together.
    fn new() -> Self {
        let hoard = Arc::new(Hoard::default());
        let names = (SessionId([0; 16]), peer(2), Lane::Data);
        let link = Link::new(names, hoard.clone(), (64 * 1_024, 1 << 20));
        let ack = Ack { received: 0, granted: 1 << 20 };
        let number = link.connected(ack, link.ack()).unwrap();
        Self { link, hoard, number }
    }

    fn receive(&self, frames: impl IntoIterator<Item = Frame>) -> Result<bool, Violation> {
        self.link.receive((self.number, Side::Dialled), &mut frames.into_iter().collect())
    }

    /// What was delivered: the casts that came together, and the room that all of them give back.
    fn delivered(&self) -> Vec<(Vec<u8>, u64)> {
        let given = |arrival| match arrival {
            Arrival::Casts(mut casts) => {
                let bodies = std::iter::from_fn(|| casts.bodies.pop());
                let numbers = bodies.map(|body| body[0]).collect();
                drop(casts);
                (numbers, self.link.freed.take())
            }
            Arrival::One(..) => panic!("they came together"),
        };
        std::mem::take(&mut *lock(&self.hoard.0)).into_iter().map(given).collect()
    }
}

#[test]
fn casts_that_come_together_are_given_room_for_as_others_are() {
    let ends = Ends::new();
    assert_eq!(ends.receive([run(0..7), run(7..9)]), Ok(true));
    let expected = [(vec![0, 1, 2], 900), (vec![3, 4, 5], 900), (vec![6], 0), (vec![7, 8], 900)];
    assert_eq!(ends.delivered(), expected, "those of two runs share as well");
    assert_eq!(ends.link.ack().received, 9);
}

/// R2
#[test]
fn of_casts_that_come_together_again_those_are_delivered_that_are_new() {
    let ends = Ends::new();
    assert_eq!(ends.receive([run(0..2)]), Ok(true));
    assert_eq!(ends.delivered(), [(vec![0, 1], 600)]);
    assert_eq!(ends.receive([run(0..2), run(0..4)]), Ok(true));
    assert_eq!(ends.delivered(), [(vec![2, 3], 600)]);
    let gap = |found| Err(Violation::Gap { expected: 4, found });
    assert_eq!(ends.receive([run(5..8)]), gap(5));
    let Frame::Casts(last) = run(0..1) else { unreachable!("they are casts") };
    assert_eq!(ends.receive([Frame::Casts(Run { seq: u64::MAX, ..last })]), gap(u64::MAX));
    assert_eq!((ends.delivered(), ends.link.ack().received), (Vec::new(), 4));
}

/// What a peer was given room for is delivered, and no more.
#[test]
fn casts_beyond_the_window_are_a_violation_also_where_they_come_together() {
    let ends = Ends::new();
    let window = 64 * 1_024;
    assert_eq!(ends.receive([run(0..200)]), Ok(true));
    assert_eq!(ends.receive([run(200..255)]), Err(Violation::OverWindow { window }));
    let n: usize = lock(&ends.hoard.0)
        .iter()
        .map(|arrival| match arrival {
            Arrival::Casts(casts) => casts.bodies.len(),
            Arrival::One(..) => 1,
        })
        .sum();
    assert_eq!(n as u64, window.div_ceil(300));
}
