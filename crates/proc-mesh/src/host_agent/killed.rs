//! `Killed`: the processes that were sent `SIGKILL` and of whose end the guard has not told yet.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mesh_core::MeshLabel;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::warn;

use crate::guard::wire::ProcKey;
use crate::metrics;
use crate::unkillable::{Unkillable, WhyUnkillable};

/// How long a killed process may take to end before somebody is told. Freeing much memory takes the
/// kernel a while; two seconds are some ten gigabytes.
const PATIENCE: Duration = Duration::from_secs(2);

/// Who is killed and not known to have ended: at most one for each process that the guard has started.
#[derive(Debug, Default)]
pub(super) struct Killed {
    victims: BTreeMap<ProcKey, Victim>,
    /// The same, in the order in which they are looked at.
    due: BTreeSet<(Instant, ProcKey)>,
}

/// A process that was killed.
#[derive(Clone, Debug)]
pub(super) struct Victim {
    pub(super) key: ProcKey,
    pub(super) pid: u32,
    /// When its guard was told to kill it.
    pub(super) killed_at: Instant,
    pub(super) concern: Concern,
}

/// Who wants to know if processes of a mesh do not end, and by when.
#[derive(Clone, Debug)]
pub(super) struct Concern {
    pub(super) mesh: MeshLabel,
    /// The longest that its ranks live without their controller.
    pub(super) lease: Duration,
    pub(super) owner: mpsc::Sender<Unkillable>,
}

impl Victim {
    /// Before a stop gives up, one lease after it has killed: whoever is told that ranks still live has
    /// been told why.
    fn due_at(&self) -> Instant {
        self.killed_at + PATIENCE.min(self.concern.lease / 2)
    }
}

impl Killed {
    /// Takes over who was killed just now. Who is killed again is not newly killed.
    pub(super) fn extend(&mut self, victims: impl IntoIterator<Item = Victim>) {
        for victim in victims {
            if !self.victims.contains_key(&victim.key) {
                self.due.insert((victim.due_at(), victim.key));
                self.victims.insert(victim.key, victim);
            }
        }
    }

    /// It has ended, as it should.
    pub(super) fn ended(&mut self, key: &ProcKey) {
        if let Some(victim) = self.victims.remove(key) {
            self.due.remove(&(victim.due_at(), victim.key));
        }
    }

    /// There is no guard to tell of ends.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Tells of those who should have ended by now, each once, and gives them back. `look` says why a process
    /// is still there, if it is.
    pub(super) fn on_due(
        &mut self,
        now: Instant,
        look: impl Fn(u32) -> Option<WhyUnkillable>,
    ) -> Vec<(ProcKey, WhyUnkillable)> {
        let mut resisting = Vec::new();
        while let Some((at, key)) = self.due.first().copied()
            && at <= now
        {
            self.due.remove(&(at, key));
            // It stays known as killed, so that a second kill tells nothing again.
            if let Some(victim) = self.victims.get(&key)
                && let Some(why) = look(victim.pid)
            {
                victim.tell(now, why.clone());
                resisting.push((key, why));
            }
        }
        resisting
    }

    /// When somebody is to be looked at.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }
}

impl Victim {
    fn tell(&self, now: Instant, why: WhyUnkillable) {
        metrics::unkillable(&why);
        let after = now.duration_since(self.killed_at);
        let (rank, incarnation, pid) = (self.key.rank, self.key.incarnation, self.pid);
        let left = Unkillable { rank, incarnation, pid, after, why };
        // An owner that does not read, or has gone, has the log.
        if let Err(untold) = self.concern.owner.try_send(left) {
            warn!(mesh = %self.concern.mesh, "{}", untold.into_inner());
        }
    }
}

#[cfg(test)]
mod tests {
    use mesh_core::{Incarnation, MeshId};
    use mesh_shape::Rank;

    use super::*;

    type Told = mpsc::Sender<Unkillable>;

    const LEASE: Duration = Duration::from_secs(1);

    fn victim((rank, pid): (usize, u32), killed_at: Instant, owner: &Told) -> Victim {
        let mesh = MeshId::from_random(1);
        let key = ProcKey { mesh, rank: Rank::new(rank), incarnation: Incarnation::FIRST };
        let label = MeshLabel::new(mesh, "m", "proc");
        let concern = Concern { mesh: label, lease: LEASE, owner: owner.clone() };
        Victim { key, pid, killed_at, concern }
    }

    /// A process that has 9 in its number does not end.
    fn look(pid: u32) -> Option<WhyUnkillable> {
        pid.to_string().contains('9').then_some(WhyUnkillable::Unknown)
    }

    #[test]
    fn who_does_not_end_in_time_is_told_once() {
        let (owner, mut told) = mpsc::channel(8);
        let mut killed = Killed::default();
        let (pid, now) = (19, Instant::now());
        let all = [(0, pid), (1, pid), (2, 20)].map(|whose| victim(whose, now, &owner));
        killed.extend(all.clone());
        killed.ended(&all[1].key);
        let due = killed.next_deadline().unwrap();
        assert_eq!(due, now + LEASE / 2);

        assert_eq!(killed.on_due(due - Duration::from_millis(1), look), [], "it still has time");
        assert_eq!(killed.on_due(due, look), [(all[0].key, WhyUnkillable::Unknown)]);
        let left = told.try_recv().unwrap();
        assert_eq!((left.rank, left.pid, left.after), (Rank::new(0), pid, LEASE / 2));
        killed.extend(all);
        assert_eq!(killed.on_due(due + LEASE, look).len(), 1);
        assert_eq!(told.try_recv().map(|left| left.rank.index()), Ok(1), "rank 0 was told before");
        assert!(told.try_recv().is_err());
        assert_eq!(killed.next_deadline(), None);
    }
}
