//! What travels over links: packets, as bytes.

use bytes::Bytes;
use mesh_core::{Head, Identity, Lane, ProcId};
use serde::{Deserialize, Serialize};

use super::event::PacketKind;

/// One packet, without the body of its envelope, which follows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Packet {
    /// Opens a session with whoever listens there.
    Open { at: String, lane: Lane, wanted: ProcId, by: Identity },
    /// The session is open.
    Opened { by: Identity },
    /// There will be no session.
    Refused(Refusal),
    /// An envelope.
    Data { seq: u64, head: Head, ack: Ack },
    /// How far the sender of this is; that it lives.
    Ack(Ack),
    /// There is no such session any more.
    Ended(Ended),
}

/// Cumulative, so that an old one, or the same twice, does no harm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ack {
    /// The number of the next envelope that is expected: all before it have arrived.
    pub(crate) received: u64,
    /// How many envelopes may be sent in the whole session, besides answers.
    pub(crate) granted: u64,
}

/// Why a session is not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Refusal {
    /// Nobody listens there.
    Nobody,
    /// Somebody else does.
    Stranger(ProcId),
    /// Whoever does runs another program.
    OtherProgram,
}

/// How a session has ended, as the other side is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ended {
    /// It was closed, or given up.
    Closed,
    /// Its process is gone.
    Gone,
}

impl Packet {
    /// Its bytes, with those of the body. `None` if its head cannot be encoded.
    pub(crate) fn encode(&self, body: &[u8]) -> Option<Bytes> {
        let mut bytes = postcard::to_stdvec(self).ok()?;
        bytes.extend_from_slice(body);
        Some(bytes.into())
    }

    /// The packet, and the body. `None` if that is no packet.
    pub(crate) fn decode(bytes: &Bytes) -> Option<(Self, Bytes)> {
        let (packet, body) = postcard::take_from_bytes(bytes).ok()?;
        Some((packet, bytes.slice_ref(body)))
    }

    /// What it is called in a history.
    pub(crate) const fn kind(&self) -> PacketKind {
        match self {
            Self::Open { .. } => PacketKind::Open,
            Self::Opened { .. } => PacketKind::Opened,
            Self::Refused(_) => PacketKind::Refused,
            Self::Data { seq, .. } => PacketKind::Data(*seq),
            Self::Ack(ack) => PacketKind::Ack(ack.received),
            Self::Ended(_) => PacketKind::Ended,
        }
    }
}

#[cfg(test)]
mod tests {
    use mesh_core::{CallId, Incarnation, PeerId};

    use super::*;

    #[test]
    fn a_packet_is_decoded_as_it_was_encoded() {
        let peer = PeerId { proc: ProcId::from_random(1), life: Incarnation::FIRST };
        let by = Identity { peer, registry: 7 };
        let (at, lane, wanted) = ("there".to_owned(), Lane::Data, ProcId::from_random(2));
        let head = Head::Answer { to: peer, call: CallId::new(3) };
        let ack = Ack { received: 4, granted: 5 };
        for packet in [
            Packet::Open { at, lane, wanted, by },
            Packet::Opened { by },
            Packet::Refused(Refusal::Stranger(wanted)),
            Packet::Data { seq: 6, head, ack },
            Packet::Ack(ack),
            Packet::Ended(Ended::Gone),
        ] {
            let bytes = packet.encode(b"body").unwrap();
            assert_eq!(Packet::decode(&bytes), Some((packet, Bytes::from_static(b"body"))));
        }
        assert_eq!(Packet::decode(&Bytes::from_static(&[99])), None);
    }
}
