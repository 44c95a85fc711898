//! `Kept`: what goes back, as long as it is here: it takes room, and is not dropped without a word.

use std::sync::Arc;

use mesh_runtime::{NoWayBack, Proc};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What surrounds the bytes of a message, about.
const HEAD_BYTES: usize = 256;

/// Something on its way back, and the room that it takes here. Dropped before it is [`done`](Self::done), it is lost,
/// counted and logged; unless somebody else keeps it, too.
pub(super) struct Kept {
    pub(super) back: NoWayBack,
    proc: Proc,
    /// Why it is lost if it is dropped.
    lost: Option<&'static str>,
    _room: OwnedSemaphorePermit,
}

/// How much there is room for.
#[derive(Clone)]
pub(super) struct Room(Arc<Semaphore>);

impl Kept {
    /// Whatever becomes of this is seen to here.
    pub(super) fn new(back: NoWayBack, proc: &Proc, room: &Room) -> Option<Self> {
        Self::with(back, Some(ENDED), (proc, room))
    }

    /// Whoever has passed it on keeps it until it hears what became of it.
    pub(super) fn for_others(back: NoWayBack, proc: &Proc, room: &Room) -> Option<Self> {
        Self::with(back, None, (proc, room))
    }

    /// `None` if there is no room; then it is lost, counted and logged.
    fn with(
        back: NoWayBack,
        lost: Option<&'static str>,
        (proc, room): (&Proc, &Room),
    ) -> Option<Self> {
        match room.take(&back) {
            Some(room) => Some(Self { back, proc: proc.clone(), lost, _room: room }),
            None => {
                proc.lost_on_the_way_back(&back, "there is no room for it");
                None
            }
        }
    }

    /// Nobody else keeps it any more.
    pub(super) const fn own(&mut self) {
        self.lost = Some(ENDED);
    }

    /// It is where it was to go, or others have seen to it.
    pub(super) fn done(mut self) {
        self.lost = None;
    }

    pub(super) fn lose(mut self, reason: &'static str) {
        self.lost = Some(reason);
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(reason) = self.lost {
            self.proc.lost_on_the_way_back(&self.back, reason);
        }
    }
}

impl Room {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes_max.min(Semaphore::MAX_PERMITS))))
    }

    /// Room for one, until that is dropped.
    fn take(&self, back: &NoWayBack) -> Option<OwnedSemaphorePermit> {
        let n_bytes = u32::try_from(back.bytes.len() + HEAD_BYTES).ok()?;
        Arc::clone(&self.0).try_acquire_many_owned(n_bytes).ok()
    }
}

/// Of what others have been sent it is not known whether it has arrived.
pub(super) const ENDED: &str =
    "whoever was to pass it on has ended before it was known to have arrived";

#[cfg(test)]
mod tests {
    use mesh_core::{ActorId, Incarnation, MeshId, PortId, ProcId, WhyUndelivered};
    use metrics_util::debugging::{DebugValue, DebuggingRecorder};
    use tokio::runtime::Builder;
    use tokio::sync::mpsc;

    use super::super::unread::Unread;
    use super::*;

    /// A message of that size.
    fn back(size: usize) -> NoWayBack {
        let actor = ActorId { proc: ProcId::from_random(9), life: Incarnation::FIRST, index: 4 };
        let (port, why) = (PortId::named("test"), WhyUndelivered::Ended);
        let mesh = MeshId::from_random(7);
        NoWayBack { to: actor, of: actor, mesh, port, why, bytes: vec![0; size].into() }
    }

    /// How many are counted as lost in a process.
    fn n_lost(work: impl FnOnce(&Proc, &Room)) -> u64 {
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        metrics::with_local_recorder(&recorder, || {
            let runtime = Builder::new_current_thread().enable_time().build();
            runtime.expect("it needs nothing").block_on(async {
                let proc = Proc::local().expect("there is a runtime");
                work(&proc, &Room::new(HEAD_BYTES + 10));
            });
        });
        let all = snapshotter.snapshot().into_vec().into_iter();
        let lost = all.filter_map(|(key, .., value)| match value {
            DebugValue::Counter(n) if key.key().name() == "meshwarden_lost_returns_total" => {
                Some(n)
            }
            DebugValue::Gauge(_) | DebugValue::Histogram(_) | DebugValue::Counter(_) => None,
        });
        lost.sum()
    }

    /// No more is kept than there is room for, and the room comes back.
    #[test]
    fn what_goes_back_takes_no_more_room_than_there_is() {
        let room = Room::new(1_000 + 2 * HEAD_BYTES);
        let first = room.take(&back(600)).expect("there is room");
        assert!(room.take(&back(401)).is_none(), "a byte too much");
        let second = room.take(&back(400)).expect("there is room");
        assert!(room.take(&back(0)).is_none());
        drop(first);
        assert!(room.take(&back(600)).is_some());
        drop(second);
    }

    /// R3: what is not passed on is counted, whatever becomes of whoever was to do it; and only by one of those that
    /// keep it.
    #[test]
    fn what_is_dropped_on_its_way_back_is_counted() {
        let ours =
            |proc: &Proc, room: &Room| Kept::new(back(1), proc, room).expect("there is room");
        let theirs = |proc: &Proc, room: &Room| {
            Kept::for_others(back(1), proc, room).expect("there is room")
        };
        assert_eq!(n_lost(|proc, room| drop(ours(proc, room))), 1);
        assert_eq!(n_lost(|proc, room| ours(proc, room).done()), 0);
        assert_eq!(n_lost(|proc, room| ours(proc, room).lose("of this")), 1);
        assert_eq!(n_lost(|proc, room| drop(theirs(proc, room))), 0);
        assert_eq!(n_lost(|proc, room| theirs(proc, room).lose("of this")), 1);
        let left = |proc: &Proc, room: &Room| {
            let mut kept = theirs(proc, room);
            kept.own();
        };
        assert_eq!(n_lost(left), 1);
        assert_eq!(n_lost(|proc, room| assert!(Kept::new(back(11), proc, room).is_none())), 1);
    }

    /// R3: also what nobody has read.
    #[test]
    fn what_waits_for_a_relay_that_ends_is_counted() {
        let waits = |proc: &Proc, _: &Room| {
            let (watcher, unhandled) = mpsc::unbounded_channel();
            assert!((0..3).all(|_| watcher.send(Box::new(back(1))).is_ok()));
            drop(Unread::new(unhandled, proc));
            assert!(watcher.send(Box::new(back(1))).is_err(), "whoever sends it counts it");
        };
        assert_eq!(n_lost(waits), 3);
    }
}
