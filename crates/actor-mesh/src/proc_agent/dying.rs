//! `Dying`: actors that are to end and that nobody asks for any more; and what is told of a process in which one
//! does not.

use std::collections::BTreeMap;
use std::time::Duration;

use mesh_core::{Incarnation, MeshId, Stall};
use mesh_runtime::{Stalls, Stop};
use mesh_shape::Rank;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until};

use crate::registry::Spawned;

/// How long the actors of a mesh that is closed, or whose keeper is lost, have to end by themselves.
pub(super) const ENDED_WITHIN: Duration = Duration::from_secs(5);

/// How long an actor that was killed may take to come to its next await. What takes longer may keep its thread
/// for ever.
pub(super) const KILLED_WITHIN: Duration = Duration::from_secs(3);

/// One life of one rank.
pub(super) type Life = (MeshId, Rank, Incarnation);

/// Actors that are to end, until they have. Dropped, it still kills those that do not end in time (C2).
pub(super) struct Dying {
    doomed: BTreeMap<Life, Doomed>,
    /// Where it is waited for those that are left.
    runtime: Handle,
}

/// What is told of an actor that has ended.
pub(super) struct Gravestone {
    /// What it is called.
    pub(super) name: String,
    pub(super) born: Instant,
    /// It was ended because there was no way to its keeper.
    pub(super) is_culled: bool,
}

pub(super) struct Doomed {
    stone: Gravestone,
    actor: Box<dyn Spawned>,
    asked: Instant,
    killed: Option<Instant>,
}

impl Doomed {
    /// How long it has lived.
    pub(super) fn lived(&self) -> Duration {
        self.stone.born.elapsed()
    }

    pub(super) const fn is_culled(&self) -> bool {
        self.stone.is_culled
    }
}

impl Dying {
    pub(super) const fn new(runtime: Handle) -> Self {
        Self { doomed: BTreeMap::new(), runtime }
    }

    /// Ends an actor after what it handles; or, if that takes too long, at its next await.
    pub(super) fn end(&mut self, life: Life, stone: Gravestone, actor: Box<dyn Spawned>) {
        actor.stop(Stop::Now);
        let asked = Instant::now();
        self.doomed.insert(life, Doomed { stone, actor, asked, killed: None });
    }

    /// Ends an actor at its next await. It may have been killed before.
    pub(super) fn kill(
        &mut self,
        life: Life,
        stone: Gravestone,
        (actor, killed): (Box<dyn Spawned>, Option<Instant>),
    ) {
        actor.stop(Stop::Kill);
        let now = Instant::now();
        let killed = Some(killed.unwrap_or(now));
        self.doomed.insert(life, Doomed { stone, actor, asked: now, killed });
    }

    /// That one has ended, if it is one of them.
    pub(super) fn ended(&mut self, life: &Life) -> Option<Doomed> {
        self.doomed.remove(life)
    }

    /// Kills those that have not ended in time.
    pub(super) fn look(&mut self) {
        for doomed in self.doomed.values_mut() {
            if doomed.killed.is_none() && doomed.asked.elapsed() >= ENDED_WITHIN {
                tracing::warn!(actor = doomed.stone.name, "it has not ended in time and is killed");
                doomed.actor.stop(Stop::Kill);
                doomed.killed = Some(Instant::now());
            }
        }
    }

    /// Those that were killed: what each is called, and when that was.
    pub(super) fn killed(&self) -> impl Iterator<Item = (&str, Instant)> {
        let each = self.doomed.values();
        each.filter_map(|doomed| Some((doomed.stone.name.as_str(), doomed.killed?)))
    }
}

impl Drop for Dying {
    fn drop(&mut self) {
        let left = std::mem::take(&mut self.doomed).into_values();
        let mut left: Vec<_> = left.filter(|doomed| doomed.killed.is_none()).collect();
        if left.is_empty() {
            return;
        }
        left.sort_by_key(|doomed| doomed.asked);
        // It ends with the runtime, and so do they.
        drop(self.runtime.spawn(async move {
            for Doomed { actor, asked, .. } in left {
                sleep_until(asked + ENDED_WITHIN).await;
                // Most have ended, and hear nothing.
                actor.stop(Stop::Kill);
            }
        }));
    }
}

/// Why nothing more can be spawned in a process.
#[derive(Debug, thiserror::Error)]
#[error(
    "the process is poisoned: {name} was killed {} s ago and has not ended{}; end the process, or let it be started again",
    since.as_secs(), why.as_deref().unwrap_or("")
)]
pub(super) struct Poisoned {
    /// What the actor is called.
    name: String,
    /// How long ago it was killed.
    since: Duration,
    /// What keeps the thread that it would end on, where that is known.
    why: Option<String>,
}

impl Poisoned {
    /// What is told of those that were killed and have not ended, if that takes too long: of the first.
    pub(super) fn by<'a>(
        killed: impl Iterator<Item = (&'a str, Instant)>,
        stalls: &Stalls,
    ) -> Option<Self> {
        let (name, killed) = killed.min_by_key(|(_, killed)| *killed)?;
        let since = killed.elapsed();
        (since >= KILLED_WITHIN).then(|| Self {
            name: name.to_owned(),
            since,
            why: stalls.of_process().map(|why| match why {
                // How long it had run when that was seen first says nothing now.
                Stall::Handler(it) => {
                    format!(
                        ": the handler of {} in actor {} keeps the thread",
                        it.message, it.actor
                    )
                }
                why => format!(": {why}"),
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use mesh_core::{ActorId, ProcId};
    use tokio::time::sleep;

    use super::*;

    /// What an actor was told, and when.
    #[derive(Clone, Default)]
    struct Told(Arc<Mutex<Vec<(Duration, Stop)>>>);

    struct Deaf(Told, Instant);

    impl Spawned for Deaf {
        fn id(&self) -> ActorId {
            ActorId { proc: ProcId::from_random(1), life: Incarnation::FIRST, index: 2 }
        }

        fn stop(&self, how: Stop) {
            let Self(Told(told), begun) = self;
            told.lock().expect("nobody panics").push((begun.elapsed(), how));
        }
    }

    /// C1, C2: whoever was asked to end and does not is killed in time, also if its agent has ended by then.
    #[tokio::test(start_paused = true)]
    async fn what_is_left_when_an_agent_ends_is_killed_in_time() {
        let begun = Instant::now();
        let mut dying = Dying::new(Handle::current());
        let told = [(); 3].map(|()| Told::default());
        for (told, rank) in told.iter().zip([2, 1, 0]) {
            let life = (MeshId::from_random(1), Rank::new(rank), Incarnation::FIRST);
            let stone = Gravestone { name: "deaf".to_owned(), born: begun, is_culled: false };
            dying.end(life, stone, Box::new(Deaf(told.clone(), begun)));
            sleep(Duration::from_secs(1)).await;
        }
        let second = (MeshId::from_random(1), Rank::new(1), Incarnation::FIRST);
        assert!(dying.ended(&second).is_some());
        drop(dying);
        sleep(ENDED_WITHIN * 2).await;
        let told = told.map(|Told(told)| told.lock().expect("nobody panics").clone());
        let at = Duration::from_secs;
        assert_eq!(told[0], [(at(0), Stop::Now), (at(5), Stop::Kill)]);
        assert_eq!(told[1], [(at(1), Stop::Now)], "it has ended");
        assert_eq!(told[2], [(at(2), Stop::Now), (at(7), Stop::Kill)]);
    }
}
