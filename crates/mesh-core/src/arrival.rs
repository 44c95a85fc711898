//! What a transport hands to whoever receives: [`Arrival`].

use crate::address::{ActorId, PortId};
use crate::envelope::{Body, Envelope, Head};
use crate::sheaf::Sheaf;
use crate::transport::Credit;

/// What has arrived from a peer, with the room that the peer was given for it.
#[derive(Debug)]
pub enum Arrival {
    /// One envelope.
    One(Envelope, Credit),
    /// Casts that are alike but for their bodies, and have come one after the other.
    Casts(Casts),
}

/// Casts by one sender to one port, in order.
///
/// # Examples
///
/// ```
/// use mesh_core::{ActorId, Casts, Credit, Incarnation, PortId, ProcId, Sheaf};
///
/// let to = ActorId { proc: ProcId::from_random(1), life: Incarnation::FIRST, index: 1 };
/// let (port, bodies) = (PortId::named("words.Count"), Sheaf::new("ab".into(), [0..1, 1..2]));
/// let casts = Casts { to, port, from: None, bodies, credit: Credit::NONE };
/// assert_eq!(casts.into_envelopes().count(), 2);
/// ```
#[derive(Debug)]
pub struct Casts {
    /// Whose port it is.
    pub to: ActorId,
    /// Which port.
    pub port: PortId,
    /// Who sent them, if an actor did.
    pub from: Option<ActorId>,
    /// The messages.
    pub bodies: Sheaf,
    /// The room for all of them: to be kept until the last one finds room.
    pub credit: Credit,
}

impl Casts {
    /// The casts one by one, of which the last one has the room of all.
    pub fn into_envelopes(self) -> impl Iterator<Item = (Envelope, Credit)> {
        let Self { to, port, from, mut bodies, credit } = self;
        let mut credit = Some(credit);
        std::iter::from_fn(move || {
            let body = Body::Bytes(bodies.pop()?);
            let credit = credit.take_if(|_| bodies.is_empty()).unwrap_or(Credit::NONE);
            Some((Envelope { head: Head::Cast { to, port, from }, body }, credit))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::address::ProcId;
    use crate::ids::Incarnation;

    #[test]
    fn the_last_cast_has_the_room_of_all() {
        let to = ActorId { proc: ProcId::from_random(1), life: Incarnation::FIRST, index: 1 };
        let (port, bodies) = (PortId::named("test"), Sheaf::new("abc".into(), [0..1, 1..2, 2..3]));
        let (given, taken) = mpsc::channel();
        let credit = Credit::new(move || _ = given.send(()).is_ok());
        let mut found = Vec::new();
        for (Envelope { head, mut body }, credit) in
            (Casts { to, port, from: None, bodies, credit }).into_envelopes()
        {
            assert_eq!(head, Head::Cast { to, port, from: None });
            assert!(taken.try_recv().is_err(), "the others have none");
            found.push(body.bytes().unwrap());
            drop(credit);
        }
        assert_eq!(found, ["a", "b", "c"]);
        assert!(taken.try_recv().is_ok());
    }
}
