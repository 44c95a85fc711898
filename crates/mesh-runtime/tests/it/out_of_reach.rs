//! out of reach: whoever is lost on the lanes that are evidence is lost on all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use mesh_core::{Envelope, Incarnation, Lane, Lost, Outbound, PeerId, ProcId, Returned};
use mesh_runtime::Proc;

/// A session that is open until it is closed.
struct Session(AtomicBool);

const PEER: PeerId = PeerId { proc: ProcId::from_random(7), life: Incarnation::FIRST };

const SILENT: Lost = Lost::NoContact(Duration::from_secs(10));

impl Outbound for Session {
    fn peer(&self) -> PeerId {
        PEER
    }

    fn is_open(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    fn close(&self) {
        self.0.store(false, Ordering::SeqCst);
    }

    fn poll_send(
        &self,
        _: &mut Context<'_>,
        _: &mut Option<Envelope>,
    ) -> Poll<Result<(), Box<Returned>>> {
        Poll::Pending
    }
}

/// A process with sessions on these lanes, of which the first ends for this reason. Returns which of them are
/// open then.
fn open_after<const N: usize>(lanes: [Lane; N], why: Lost) -> [bool; N] {
    let proc = Proc::local().expect("there is a runtime");
    let sessions = lanes.map(|lane| {
        let session = Arc::new(Session(AtomicBool::new(true)));
        proc.connect(lane, session.clone());
        session
    });
    sessions[0].close();
    proc.inbound(0).lost(PEER, lanes[0], why, Vec::new());
    sessions.map(|session| session.is_open())
}

/// R1: a data connection into a black hole may stay as it is for ever, with all that waits for an answer by it.
#[tokio::test]
async fn a_peer_that_is_out_of_reach_of_supervision_is_out_of_reach_for_data() {
    for why in [SILENT, Lost::Gone, Lost::Protocol] {
        assert_eq!(open_after([Lane::Control, Lane::Data], why), [false, false], "{why}");
        assert_eq!(open_after([Lane::Liveness, Lane::Data], why), [false, false], "{why}");
    }
}

/// The loss of a data session is evidence of nothing; nor is an end that was to be; nor that of one session of
/// two.
#[tokio::test]
async fn what_is_no_evidence_ends_no_other_session() {
    assert_eq!(open_after([Lane::Data, Lane::Control], SILENT), [false, true]);
    assert_eq!(open_after([Lane::Control, Lane::Data], Lost::Closed), [false, true]);
    let two = [Lane::Control, Lane::Control, Lane::Data];
    assert_eq!(open_after(two, SILENT), [false, true, true]);
}
