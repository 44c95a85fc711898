//! `Returns`: what goes back to its sender, while there is no session with that one's process.

use std::collections::BTreeMap;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use mesh_core::{ActorId, Body, Envelope, Head, Incarnation, MeshId, PeerId, Plane, WhyReturned};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use super::WhyUnsent;
use crate::codec;
use crate::panics::discard;
use crate::proc::{Proc, WeakProc};

/// How long something waits for the process of its sender to be met again: longer than it takes the two to find each
/// other once both of them run and the network carries.
const PATIENCE: Duration = Duration::from_secs(60);

/// The same where it can go by way of others.
const DETOUR_AFTER: Duration = Duration::from_secs(10);

/// So often it is looked for what has waited too long, while anything waits.
const LOOK: Duration = Duration::from_secs(1);

/// How many bytes may wait in a process.
const BYTES_MAX: usize = 16 << 20;

/// How many may wait for one peer: one that never comes takes no room from those that do.
const BYTES_EACH: usize = BYTES_MAX / 4;

/// Of how many pairs of a sender and an actor it is known that the one was passed something on of the other: where there
/// are more, of those that it was noted of last.
const DETOURS_MAX: usize = 4_096;

/// What surrounds the bytes of a message, about.
const HEAD_BYTES: usize = 256;

/// What waits to go back.
#[derive(Default)]
pub(crate) struct Returns(Mutex<Store>);

#[derive(Default)]
struct Store {
    waiting: Waiting,
    detours: Detours,
    /// Who looks for what has waited too long, as long as anything waits.
    sweeper: Option<AbortHandle>,
}

/// By way of which mesh something has come that was not handled, by who has sent it and whom it was for; and when that was
/// noted last. It is asked as soon as a session is lost.
#[derive(Default)]
struct Detours(BTreeMap<(ActorId, ActorId), (MeshId, Instant)>);

/// Pure: time comes in as an argument.
#[derive(Default)]
struct Waiting {
    by_peer: BTreeMap<PeerId, Share>,
    n_bytes: usize,
}

/// What waits for one peer.
#[derive(Default)]
struct Share {
    /// In the order in which it came.
    all: Vec<Kept>,
    n_bytes: usize,
}

struct Kept {
    head: Head,
    /// A copy of its own: it may have come in a buffer that is much larger.
    bytes: Bytes,
    until: Instant,
    /// By way of which mesh it can go if no session comes.
    mesh: Option<MeshId>,
}

impl Returns {
    /// A lock that is poisoned is as good as any: nothing that can panic runs under it.
    fn lock(&self) -> MutexGuard<'_, Store> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What goes back to `to` by a session, which had sent it to `of`, came by way of others, and can go back by them too.
    pub(crate) fn note_detour(&self, (to, of): (ActorId, ActorId), mesh: MeshId) {
        self.lock().detours.note((to, of), mesh, Instant::now());
    }

    /// All that waits, which does so in vain.
    pub(crate) fn take_all(&self) -> Vec<Head> {
        let all = mem::take(&mut self.lock().waiting);
        all.by_peer.into_values().flat_map(|share| share.all).map(|kept| kept.head).collect()
    }
}

impl Store {
    /// Whether there was room for it.
    fn keep(&mut self, peer: PeerId, mut kept: Kept, may_detour: bool) -> bool {
        if may_detour && kept.mesh.is_none() {
            kept.mesh = self.detours.mesh(&kept.head);
            let until = kept.mesh.map(|_| Instant::now() + DETOUR_AFTER);
            kept.until = until.map_or(kept.until, |until| until.min(kept.until));
        }
        self.waiting.keep(peer, kept)
    }
}

impl Drop for Returns {
    fn drop(&mut self) {
        if let Some(sweeper) = self.lock().sweeper.take() {
            sweeper.abort();
        }
    }
}

impl Detours {
    fn note(&mut self, pair: (ActorId, ActorId), mesh: MeshId, now: Instant) {
        if self.0.len() >= DETOURS_MAX && !self.0.contains_key(&pair) {
            self.0.retain(|_, (_, noted)| now.duration_since(*noted) < PATIENCE);
            let oldest = self.0.iter().min_by_key(|(_, (_, noted))| *noted).map(|(pair, _)| *pair);
            if let Some(oldest) = oldest.filter(|_| self.0.len() >= DETOURS_MAX) {
                self.0.remove(&oldest);
            }
        }
        self.0.insert(pair, (mesh, now));
    }

    fn mesh(&self, head: &Head) -> Option<MeshId> {
        let Head::Returned { to, of, .. } = head else { return None };
        self.0.get(&(*to, *of)).map(|(mesh, _)| *mesh)
    }

    /// What goes back is about to go by way of others: what comes back from another session after that goes by none.
    fn forget(&mut self, head: &Head) {
        if let Head::Returned { to, of, .. } = head {
            self.0.remove(&(*to, *of));
        }
    }
}

impl Waiting {
    /// Whether there was room for it.
    fn keep(&mut self, peer: PeerId, kept: Kept) -> bool {
        let n_before = self.by_peer.get(&peer).map_or(0, |share| share.n_bytes);
        let (n_each, n_bytes) = (n_before + kept.size(), self.n_bytes + kept.size());
        let fits = n_each <= BYTES_EACH && n_bytes <= BYTES_MAX;
        if fits {
            self.n_bytes = n_bytes;
            let share = self.by_peer.entry(peer).or_default();
            share.n_bytes = n_each;
            share.all.push(kept);
        }
        fits
    }

    /// All that waits for a peer.
    fn take(&mut self, peer: PeerId) -> Vec<Kept> {
        let Share { all, n_bytes } = self.by_peer.remove(&peer).unwrap_or_default();
        self.n_bytes -= n_bytes;
        all
    }

    /// All that waits for earlier lives of a peer: nobody meets those again.
    fn take_before(&mut self, peer: PeerId) -> Vec<Kept> {
        let first = PeerId { life: Incarnation::FIRST, ..peer };
        let lives: Vec<PeerId> = self.by_peer.range(first..peer).map(|(life, _)| *life).collect();
        lives.into_iter().flat_map(|life| self.take(life)).collect()
    }

    /// All that has waited for too long.
    fn overdue(&mut self, now: Instant) -> Vec<Kept> {
        let mut overdue = Vec::new();
        self.by_peer.retain(|_, Share { all, n_bytes }| {
            let before = overdue.len();
            overdue.extend(all.extract_if(.., |kept| kept.until <= now));
            let over = overdue.get(before..).into_iter().flatten();
            let n_over = over.map(Kept::size).sum::<usize>();
            *n_bytes -= n_over;
            self.n_bytes -= n_over;
            !all.is_empty()
        });
        overdue
    }

    /// This process was paused for so long: that is not taken from anybody's time.
    fn put_off(&mut self, pause: Duration) {
        let all = self.by_peer.values_mut().flat_map(|share| &mut share.all);
        all.for_each(|kept| kept.until += pause);
    }
}

impl Kept {
    fn size(&self) -> usize {
        self.bytes.len() + HEAD_BYTES
    }
}

impl Proc {
    /// Sends something back by whatever session there is. While there is none it waits: whoever was cut off, or suspended
    /// for longer than its sessions live, is met again (R3). It may arrive twice, as when a session is lost nobody knows
    /// what has arrived by it. What can go by way of others does so after a while.
    pub(crate) fn return_by_session(&self, head: Head, body: Body) {
        let peer = head.peer();
        let is_kept = self.return_until((Instant::now() + PATIENCE, None), head, body);
        // A session may have come just before it was put there.
        if is_kept && self.remote().routes.is_reached(peer) {
            self.send_returns(peer);
        }
    }

    /// Whether it waits now.
    fn return_until(
        &self,
        (until, mesh): (Instant, Option<MeshId>),
        head: Head,
        body: Body,
    ) -> bool {
        let Err(unsent) = self.offer(Envelope { head, body }) else { return false };
        let Envelope { head, body } = unsent.envelope;
        let lost = match unsent.why {
            WhyUnsent::NoSession | WhyUnsent::Returned(WhyReturned::Ended(_)) => None,
            WhyUnsent::NoRoom | WhyUnsent::Returned(_) => Some("it cannot be sent to its process"),
        };
        // On the control plane whoever sends deals with what does not come back.
        let is_to_wait = !self.remote().routes.has_left() && plane_of(&head) == Plane::User;
        let lost = lost.or_else(|| (!is_to_wait).then_some(NO_SESSION));
        if let Some(reason) = lost {
            discard(body);
            self.lost_with_session(&head, reason);
            return false;
        }
        let Some(bytes) = codec::encoded(body) else {
            self.lost_with_session(&head, "it cannot be encoded");
            return false;
        };
        let bytes = Bytes::copy_from_slice(&bytes);
        self.keep_return(Kept { head, bytes, until, mesh })
    }

    fn keep_return(&self, kept: Kept) -> bool {
        let (peer, head) = (kept.head.peer(), kept.head.clone());
        let may_detour = self.detours();
        let mut store = self.remote().returns.lock();
        // Under the lock: who leaves takes all that is here by then, and whoever comes later sees that it has left.
        let lost = if self.remote().routes.has_left() {
            Some(NO_SESSION)
        } else if !store.keep(peer, kept, may_detour) {
            Some("there is no room for it to wait for a session with its process")
        } else {
            None
        };
        if lost.is_none() && store.sweeper.is_none() {
            let sweep = self.on(Plane::Control).runtime().spawn(sweep(self.downgrade()));
            store.sweeper = Some(sweep.abort_handle());
        }
        drop(store);
        if let Some(reason) = lost {
            self.lost_with_session(&head, reason);
        }
        lost.is_none()
    }

    /// There is a session with a peer: what has waited for it goes there.
    pub(crate) fn send_returns(&self, peer: PeerId) {
        let mut store = self.remote().returns.lock();
        let (kept, before) = (store.waiting.take(peer), store.waiting.take_before(peer));
        drop(store);
        for Kept { head, .. } in before {
            self.lost_with_session(&head, "another life of its process is there now");
        }
        for Kept { head, bytes, until, mesh } in kept {
            self.return_until((until, mesh), head, Body::Bytes(bytes));
        }
    }

    /// A peer is known to have ended: nothing comes back to it.
    pub(crate) fn lose_returns_to(&self, peer: PeerId) {
        let kept = self.remote().returns.lock().waiting.take(peer);
        for Kept { head, .. } in kept {
            self.lost_with_session(&head, "its process has ended");
        }
    }

    /// This process has left: it meets nobody again.
    pub(crate) fn lose_returns(&self) {
        for head in self.remote().returns.take_all() {
            self.lost_with_session(&head, NO_SESSION);
        }
    }

    /// Lets go of what has waited too long. Returns whether anything waits still.
    fn sweep_returns(&self, paused: Duration) -> bool {
        let mut store = self.remote().returns.lock();
        if paused >= LOOK {
            store.waiting.put_off(paused);
        }
        let overdue = store.waiting.overdue(Instant::now());
        let waits = !store.waiting.by_peer.is_empty();
        let detours = overdue.iter().filter(|kept| kept.mesh.is_some());
        detours.for_each(|kept| store.detours.forget(&kept.head));
        if !waits {
            store.sweeper = None;
        }
        drop(store);
        for Kept { head, bytes, mesh, .. } in overdue {
            let left = match mesh {
                Some(mesh) => self.detour_by(mesh, head, bytes),
                None => Some((head, bytes)),
            };
            if let Some((head, _)) = left {
                self.lost_with_session(&head, "its process was not met again in time");
            }
        }
        waits
    }
}

/// Why something is lost at once.
const NO_SESSION: &str = "there is no session with its process";

/// On which plane whoever sent it lives.
fn plane_of(head: &Head) -> Plane {
    match head {
        Head::Returned { to, .. } => to.plane(),
        _ => Plane::Control,
    }
}

async fn sweep(proc: WeakProc) {
    let mut paused = Duration::ZERO;
    while proc.upgrade().is_some_and(|proc| proc.sweep_returns(paused)) {
        // What comes next may have less time than what is here.
        let next = Instant::now() + LOOK;
        sleep_until(next).await;
        // Who wakes much later was suspended, and so was what was to open the sessions.
        paused = next.elapsed();
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
        Kept { head, bytes: vec![0; size].into(), until, mesh: None }
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

    /// Of those that it was noted of last, and of each sender by itself.
    #[tokio::test(start_paused = true)]
    async fn what_came_by_way_of_others_is_known_of_so_many() {
        let actor = |index| {
            let PeerId { proc, life } = peer(1);
            ActorId { proc, life, index }
        };
        let (mesh, max) = (MeshId::from_random(3), DETOURS_MAX as u64);
        let (port, why) = (PortId::named("test"), WhyUndelivered::Ended);
        let head = |to, of| Head::Returned { to: actor(to), of: actor(of), port, why };
        let mut detours = Detours::default();
        for of in (0..max).chain([0, 0]) {
            detours.note((actor(1), actor(of)), mesh, Instant::now());
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert!((0..max).all(|of| detours.mesh(&head(1, of)) == Some(mesh)));
        assert_eq!(detours.mesh(&head(2, 0)), None, "of another sender");
        detours.note((actor(1), actor(max)), mesh, Instant::now());
        assert_eq!(detours.mesh(&head(1, 1)), None, "the one that was noted first");
        assert_eq!(detours.mesh(&head(1, 0)), Some(mesh));
        assert_eq!((detours.mesh(&head(1, max + 1)), detours.0.len()), (None, DETOURS_MAX));
        tokio::time::advance(PATIENCE).await;
        detours.note((actor(1), actor(1)), mesh, Instant::now());
        assert_eq!(detours.0.len(), 1, "of the others no session is lost any more");
    }

    /// No more is kept than there is room for.
    #[tokio::test]
    async fn what_waits_has_a_bound() {
        let (mut waiting, later) = (Waiting::default(), Instant::now() + PATIENCE);
        let size = BYTES_EACH - HEAD_BYTES;
        assert!(!waiting.keep(peer(0), kept(size + 1, later)));
        assert!((0..4).all(|life| waiting.keep(peer(life), kept(size, later))));
        assert!(!waiting.keep(peer(3), kept(0, later)), "it has its share");
        assert!(!waiting.keep(peer(4), kept(0, later)), "all have theirs");
        waiting.take(peer(1));
        assert!(waiting.keep(peer(4), kept(0, later)));
        assert!(!waiting.keep(peer(3), kept(0, later)));
    }

    /// Each by its own deadline.
    #[tokio::test]
    async fn what_has_waited_too_long_is_given_up() {
        let (mut waiting, now) = (Waiting::default(), Instant::now());
        let at = |seconds| now + Duration::from_secs(seconds);
        for (life, seconds) in [(1_u64, 3_u64), (1, 1), (2, 2)] {
            assert!(waiting.keep(peer(life), kept(usize::from(life == 1), at(seconds))));
        }
        assert_eq!(waiting.overdue(at(0)).len(), 0);
        assert_eq!(waiting.overdue(at(2)).len(), 2);
        waiting.put_off(Duration::from_secs(1));
        assert_eq!(waiting.overdue(at(3)).len(), 0);
        assert_eq!(waiting.overdue(at(4)).len(), 1);
        assert_eq!((waiting.by_peer.len(), waiting.n_bytes), (0, 0));
    }
}
