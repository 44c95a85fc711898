//! Who is taken in, and of whom nothing is kept.

use mesh_core::{Credit, Envelope, Identity, Outbound, PeerId};
use tokio::io::{AsyncReadExt, DuplexStream, duplex, split};

use super::*;
use crate::handshake::SessionId;
use crate::parked::Writer;
use crate::secret::Secret;
use crate::stream::Reader;
use crate::wire::Ack;

/// Has nothing to say.
struct Silent;

impl Inbound for Silent {
    fn identity(&self) -> Identity {
        Identity { peer: peer(1), registry: 0 }
    }

    fn joined(&self, _: Lane, _: Arc<dyn Outbound>) {}

    fn deliver(&self, _: PeerId, _: Envelope, _: Credit) {}

    fn lost(&self, _: PeerId, _: Lane, _: Lost, _: Vec<Envelope>) {}
}

impl Stream for DuplexStream {
    fn halves(self: Box<Self>) -> (Reader, Writer) {
        let (reader, writer) = split(*self);
        (Box::new(reader), Box::new(writer))
    }
}

fn peer(number: u128) -> PeerId {
    PeerId { proc: ProcId::from_random(number), life: Incarnation::FIRST }
}

fn known_peer() -> Peer {
    Peer {
        identity: Identity { peer: peer(2), registry: 0 },
        lane: Lane::Data,
        session: SessionId([7; 16]),
        resumes: false,
        ack: Ack { received: 0, granted: 1 << 20 },
    }
}

fn acceptor() -> Acceptor {
    let config = TcpConfig::for_lease(Secret::from_bytes([1; 32]), Duration::from_secs(10));
    Acceptor::new(Arc::new(Silent), Lane::Data, Arc::new(config))
}

/// A peer that has proved itself and then takes no word of ours: its session ends with its time to meet.
#[tokio::test(start_paused = true)]
async fn of_one_that_is_never_connected_no_session_is_kept() {
    let (acceptor, peer) = (acceptor(), known_peer());
    let (mut ours, mut theirs) = duplex(1);
    let meeting = acceptor.take_in(&mut ours, &peer);
    assert!(timeout(acceptor.config.handshake, meeting).await.is_err());
    assert_eq!(acceptor.known().sessions.len(), 0);
    // One that takes it is kept.
    let read = async { theirs.read_exact(&mut [0; 8]).await.map(drop) };
    let (taken, _) = tokio::join!(acceptor.take_in(&mut ours, &peer), read);
    drop(taken.unwrap());
    assert_eq!(acceptor.known().sessions.len(), 1);
}
