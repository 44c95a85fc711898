//! `Returns`: what goes back to its sender, while there is no session with that one's process.

use std::collections::BTreeMap;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use mesh_core::{Body, Envelope, Head, Incarnation, PeerId, Plane, WhyReturned};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use crate::codec;
use crate::panics::discard;
use crate::proc::{Proc, WeakProc};

/// How long something waits for the process of its sender to be met again: longer than it takes the two to find each
/// other once both of them run and the network carries.
const PATIENCE: Duration = Duration::from_secs(60);

/// No more often is it looked for what has waited too long.
const LOOK: Duration = Duration::from_secs(1);

/// How many bytes may wait in a process.
const BYTES_MAX: usize = 16 << 20;

/// What surrounds the bytes of a message, about.
const HEAD_BYTES: usize = 256;

/// What waits to go back.
#[derive(Default)]
pub(crate) struct Returns(Mutex<Waiting>);

/// Pure: time comes in as an argument.
#[derive(Default)]
struct Waiting {
    /// In the order in which it came, for each peer.
    by_peer: BTreeMap<PeerId, Vec<Kept>>,
    n_bytes: usize,
    /// Who looks for what has waited too long, as long as anything waits.
    sweeper: Option<AbortHandle>,
}

struct Kept {
    head: Head,
    bytes: Bytes,
    until: Instant,
}

impl Returns {
    /// A lock that is poisoned is as good as any: nothing that can panic runs under it.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Returns {
    fn drop(&mut self) {
        if let Some(sweeper) = self.lock().sweeper.take() {
            sweeper.abort();
        }
    }
}

impl Waiting {
    /// Whether there was room for it.
    fn keep(&mut self, peer: PeerId, kept: Kept) -> bool {
        let n_bytes = self.n_bytes + kept.size();
        let fits = n_bytes <= BYTES_MAX;
        if fits {
            self.n_bytes = n_bytes;
            self.by_peer.entry(peer).or_default().push(kept);
        }
        fits
    }

    /// All that waits for a peer.
    fn take(&mut self, peer: PeerId) -> Vec<Kept> {
        let taken = self.by_peer.remove(&peer).unwrap_or_default();
        self.n_bytes -= taken.iter().map(Kept::size).sum::<usize>();
        taken
    }

    /// All that waits for earlier lives of a peer: nobody meets those again.
    fn take_before(&mut self, peer: PeerId) -> Vec<Kept> {
        let first = PeerId { life: Incarnation::FIRST, ..peer };
        let lives: Vec<PeerId> = self.by_peer.range(first..peer).map(|(life, _)| *life).collect();
        lives.into_iter().flat_map(|life| self.take(life)).collect()
    }

    /// All that has waited for too long, and when to look again; `None` if nothing waits.
    fn overdue(&mut self, now: Instant) -> (Vec<Kept>, Option<Instant>) {
        let mut overdue = Vec::new();
        self.by_peer.retain(|_, all| {
            let (over, rest) = mem::take(all).into_iter().partition(|kept| kept.until <= now);
            *all = rest;
            overdue.extend::<Vec<Kept>>(over);
            !all.is_empty()
        });
        self.n_bytes -= overdue.iter().map(Kept::size).sum::<usize>();
        (overdue, self.by_peer.values().flatten().map(|kept| kept.until).min())
    }
}

impl Kept {
    fn size(&self) -> usize {
        self.bytes.len() + HEAD_BYTES
    }
}

impl Proc {
    /// Sends something back by whatever session there is. While there is none it waits: whoever was cut off, or
    /// suspended for longer than its sessions live, is met again (R3). It may arrive twice, as when a session is lost
    /// nobody knows what has arrived by it.
    pub(super) fn return_by_session(&self, head: Head, body: Body) {
        self.return_until(Instant::now() + PATIENCE, head, body);
    }

    fn return_until(&self, until: Instant, head: Head, body: Body) {
        let Err(unsent) = self.offer(Envelope { head, body }) else { return };
        let Envelope { head, body } = unsent.envelope;
        if !matches!(unsent.why, None | Some(WhyReturned::Ended(_))) {
            discard(body);
            return self.lost_with_session(&head, "it cannot be sent to its process");
        }
        let Some(bytes) = codec::encoded(body) else {
            return self.lost_with_session(&head, "it cannot be encoded");
        };
        self.keep_return(Kept { head, bytes, until });
    }

    /// On the control plane whoever sends deals with what does not come back: that does not wait.
    fn keep_return(&self, kept: Kept) {
        let (peer, head) = (kept.head.peer(), kept.head.clone());
        if self.remote().routes.has_left() || plane_of(&head) == Plane::Control {
            return self.lost_with_session(&head, "there is no session with its process");
        }
        let mut waiting = self.remote().returns.lock();
        let fits = waiting.keep(peer, kept);
        if fits && waiting.sweeper.is_none() {
            let sweep = self.runtime().spawn(sweep(self.downgrade()));
            waiting.sweeper = Some(sweep.abort_handle());
        }
        drop(waiting);
        if !fits {
            return self.lost_with_session(&head, "too much waits for sessions already");
        }
        // One may have come just before it was put there.
        if self.remote().routes.for_answers(self.way(&head)).is_some() {
            self.send_returns(peer);
        }
    }

    /// There is a session with a peer: what has waited for it goes there.
    pub(crate) fn send_returns(&self, peer: PeerId) {
        let mut waiting = self.remote().returns.lock();
        let (kept, before) = (waiting.take(peer), waiting.take_before(peer));
        drop(waiting);
        for Kept { head, .. } in before {
            self.lost_with_session(&head, "another life of its process is there now");
        }
        for Kept { head, bytes, until } in kept {
            self.return_until(until, head, Body::Bytes(bytes));
        }
    }

    /// When to look again for what has waited too long; `None` if nothing waits.
    fn sweep_returns(&self) -> Option<Instant> {
        let mut waiting = self.remote().returns.lock();
        let (overdue, next) = waiting.overdue(Instant::now());
        if next.is_none() {
            waiting.sweeper = None;
        }
        drop(waiting);
        for Kept { head, .. } in overdue {
            self.lost_with_session(&head, "its process was not met again in time");
        }
        next
    }
}

/// On which plane whoever sent it lives.
fn plane_of(head: &Head) -> Plane {
    match head {
        Head::Returned { to, .. } => to.plane(),
        _ => Plane::Control,
    }
}

async fn sweep(proc: WeakProc) {
    while let Some(next) = proc.upgrade().and_then(|proc| proc.sweep_returns()) {
        sleep_until(next.max(Instant::now() + LOOK)).await;
    }
}

#[cfg(test)]
mod tests {
    use mesh_core::{ActorId, PortId, ProcId, WhyUndelivered};

    use super::*;

    fn peer(life: u64) -> PeerId {
        PeerId { proc: ProcId::from_random(7), life: Incarnation::new(life) }
    }

    fn kept(size: usize, until: Instant) -> Kept {
        let PeerId { proc, life } = peer(1);
        let actor = ActorId { proc, life, index: 2 };
        let (port, why) = (PortId::named("test"), WhyUndelivered::Ended);
        let head = Head::Returned { to: actor, of: actor, port, why };
        Kept { head, bytes: vec![0; size].into(), until }
    }

    fn sizes(all: &[Kept]) -> Vec<usize> {
        all.iter().map(|kept| kept.bytes.len()).collect()
    }

    /// In the order in which it was kept, and only once.
    #[tokio::test]
    async fn what_waits_for_a_peer_is_taken_in_order() {
        let (mut waiting, later) = (Waiting::default(), Instant::now() + PATIENCE);
        assert!([3, 1, 2].into_iter().all(|size| waiting.keep(peer(1), kept(size, later))));
        assert!(waiting.keep(peer(2), kept(9, later)));
        assert_eq!(sizes(&waiting.take(peer(1))), [3, 1, 2]);
        assert_eq!(sizes(&waiting.take(peer(1))), [0; 0]);
        assert_eq!(waiting.n_bytes, 9 + HEAD_BYTES, "what is taken leaves its room");
    }

    /// Of a process that lives again, only what waits for its earlier lives is given up.
    #[tokio::test]
    async fn what_waits_for_an_earlier_life_is_given_up() {
        let (mut waiting, later) = (Waiting::default(), Instant::now() + PATIENCE);
        let other = PeerId { proc: ProcId::from_random(6), ..peer(1) };
        for (life, size) in [(peer(1), 1), (peer(2), 2), (peer(3), 3), (peer(4), 4), (other, 5)] {
            assert!(waiting.keep(life, kept(size, later)));
        }
        assert_eq!(sizes(&waiting.take_before(peer(3))), [1, 2]);
        let left = [peer(1), peer(2), peer(3), peer(4), other].map(|life| waiting.take(life).len());
        assert_eq!(left, [0, 0, 1, 1, 1]);
        assert_eq!(waiting.n_bytes, 0);
    }

    /// No more is kept than there is room for.
    #[tokio::test]
    async fn what_waits_has_a_bound() {
        let (mut waiting, later) = (Waiting::default(), Instant::now() + PATIENCE);
        let size = BYTES_MAX / 2 - HEAD_BYTES;
        assert!(waiting.keep(peer(1), kept(size, later)));
        assert!(!waiting.keep(peer(2), kept(size + 1, later)));
        assert!(waiting.keep(peer(2), kept(size, later)));
        assert!(!waiting.keep(peer(2), kept(0, later)));
        waiting.take(peer(1));
        assert!(waiting.keep(peer(2), kept(size, later)));
    }

    /// Each by its own deadline.
    #[tokio::test]
    async fn what_has_waited_too_long_is_given_up() {
        let (mut waiting, now) = (Waiting::default(), Instant::now());
        let at = |seconds| now + Duration::from_secs(seconds);
        for (life, seconds) in [(1_u64, 3_u64), (1, 1), (2, 2)] {
            assert!(waiting.keep(peer(life), kept(usize::from(life == 1), at(seconds))));
        }
        let (over, next) = waiting.overdue(at(0));
        assert_eq!((over.len(), next), (0, Some(at(1))));
        let (over, next) = waiting.overdue(at(2));
        assert_eq!((over.len(), next), (2, Some(at(3))));
        let (over, next) = waiting.overdue(at(3));
        assert_eq!((over.len(), next, waiting.n_bytes), (1, None, 0));
    }
}
