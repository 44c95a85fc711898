//! `killing`: which processes of a mesh were killed, for whoever watches that they end.

use mesh_core::Answer;
use mesh_shape::{Rank, RankSet};
use tokio::time::Instant;

use super::{Hosted, signal};
use crate::guard::wire::ProcKey;
use crate::guard_link::GuardLink;
use crate::host_agent::killed::{Concern, Victim};
use crate::host_agent::seat::{Seat, State};
use crate::report::HowEnded;
use crate::unkillable::WhyUnkillable;

impl Hosted {
    /// Signals a process that was ordered, and notes if it is killed by that.
    pub(super) fn signal(&mut self, guard: Option<&mut GuardLink>, key: ProcKey, is_kill: bool) {
        if is_kill {
            let victim = self.victim(key.rank, Instant::now());
            self.killed.extend(victim);
        }
        signal(guard, key, is_kill);
    }

    /// Nobody wants them any more: they are killed, and those who were not being stopped tell why. None begins again.
    pub(crate) fn let_go(&mut self, mut guard: Option<&mut GuardLink>) {
        self.close(HowEnded::LetGo);
        let live = self.seats.iter().filter(|(_, seat)| seat.is_live());
        let live: Vec<_> = live.map(|(rank, seat)| self.key(*rank, seat.incarnation)).collect();
        for key in live {
            match self.live_seat(key) {
                Some(Seat { state: State::Queued, .. }) => self.end_unbegun(key, HowEnded::LetGo),
                Some(seat) => {
                    _ = seat.verdict.get_or_insert(HowEnded::LetGo);
                    self.signal(guard.as_deref_mut(), key, true);
                }
                None => (),
            }
        }
    }

    /// Its controller need not wait for a process that was killed and does not end. One that takes nothing at
    /// this moment waits as long as it would.
    pub(crate) fn tell_resisting(&self, key: ProcKey, why: &WhyUnkillable) {
        let (agent, ranks, why) = (self.agent(), RankSet::from_iter([key.rank]), why.to_string());
        let resist = Answer::Resist { agent, ranks, incarnation: key.incarnation, why };
        _ = self.answers().send(resist).is_ok();
    }

    /// Takes who was killed since this was last asked.
    pub(crate) fn take_killed(&mut self) -> Vec<Victim> {
        std::mem::take(&mut self.killed)
    }

    /// The mesh is closed, which kills all that it still runs.
    pub(crate) fn into_victims(self) -> Vec<Victim> {
        let now = Instant::now();
        self.seats.keys().filter_map(|rank| self.victim(*rank, now)).collect()
    }

    /// The process of a rank, as one that is being killed now; `None` if it is not up.
    pub(super) fn victim(&self, rank: Rank, killed_at: Instant) -> Option<Victim> {
        let seat = self.seats.get(&rank)?;
        let concern = Concern {
            mesh: self.opening.label.clone(),
            lease: self.opening.lease,
            owner: self.opening.unkillable.clone(),
        };
        let (key, pid) = (self.key(rank, seat.incarnation), seat.process()?.pid);
        Some(Victim { key, pid, killed_at, concern })
    }
}
