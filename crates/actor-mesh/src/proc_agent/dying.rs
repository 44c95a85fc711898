//! `Dying`: actors that are to end and that nobody asks for any more; and what is told of a process in which one
//! does not.

use std::collections::BTreeMap;
use std::time::Duration;

use mesh_core::{Incarnation, MeshId, Stall};
use mesh_runtime::{Stalls, Stop};
use mesh_shape::Rank;
use tokio::time::Instant;

use crate::registry::Spawned;

/// How long the actors of a mesh that is closed have to end by themselves.
const ENDED_WITHIN: Duration = Duration::from_secs(5);

/// How long an actor that was killed may take to come to its next await. What takes longer may keep its thread
/// for ever.
pub(super) const KILLED_WITHIN: Duration = Duration::from_secs(3);

/// One life of one rank.
pub(super) type Life = (MeshId, Rank, Incarnation);

/// Actors that are to end, until they have.
#[derive(Default)]
pub(super) struct Dying(BTreeMap<Life, Doomed>);

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
    /// Ends an actor after what it handles; or, if that takes too long, at its next await.
    pub(super) fn end(&mut self, life: Life, stone: Gravestone, actor: Box<dyn Spawned>) {
        actor.stop(Stop::Now);
        self.0.insert(life, Doomed { stone, actor, asked: Instant::now(), killed: None });
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
        self.0.insert(life, Doomed { stone, actor, asked: now, killed });
    }

    /// That one has ended, if it is one of them.
    pub(super) fn ended(&mut self, life: &Life) -> Option<Doomed> {
        self.0.remove(life)
    }

    /// Kills those that have not ended in time.
    pub(super) fn look(&mut self) {
        for doomed in self.0.values_mut() {
            if doomed.killed.is_none() && doomed.asked.elapsed() >= ENDED_WITHIN {
                tracing::warn!(actor = doomed.stone.name, "it has not ended in time and is killed");
                doomed.actor.stop(Stop::Kill);
                doomed.killed = Some(Instant::now());
            }
        }
    }

    /// Those that were killed: what each is called, and when that was.
    pub(super) fn killed(&self) -> impl Iterator<Item = (&str, Instant)> {
        self.0.values().filter_map(|doomed| Some((doomed.stone.name.as_str(), doomed.killed?)))
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
