//! What the keeper of a mesh of actors and the agents in its processes say to each other, and what a ref
//! asks the keeper.

use bytes::Bytes;
use mesh_cast::FanOut;
use mesh_core::{Incarnation, MeshId, MeshLabel, Message, PortRef};
use mesh_shape::{Rank, Region, ValueMesh};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use crate::report::ActorState;

/// Spawn the actor of a rank. Again, for the same life: what became of it is said again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Spawn {
    pub(crate) mesh: MeshLabel,
    pub(crate) rank: Rank,
    pub(crate) incarnation: Incarnation,
    /// The name of its type.
    pub(crate) kind: String,
    /// A hash of that, and of what it takes.
    pub(crate) kind_hash: u64,
    /// What it is called.
    pub(crate) name: String,
    pub(crate) params: Bytes,
    /// Whether another life of the rank may follow this one.
    pub(crate) may_restart: bool,
    /// Who is told what becomes of it. When that is gone, so is the actor (C2).
    pub(crate) keeper: PortRef<Said>,
}

/// End the actor of a rank; where there is none, there never is one in this life. What has become of it is said.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct EndRank {
    pub(crate) mesh: MeshId,
    pub(crate) rank: Rank,
    pub(crate) incarnation: Incarnation,
    /// Now, without waiting for anything.
    pub(crate) is_kill: bool,
    /// Whether another life of the rank may follow this one.
    pub(crate) may_restart: bool,
    /// Who is told.
    pub(crate) keeper: PortRef<Said>,
}

/// The mesh is over: end what is left of it, and forget it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CloseMesh {
    pub(crate) mesh: MeshId,
}

/// What became of an actor. Whose agent says so is known by who has sent it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Said {
    pub(crate) rank: Rank,
    pub(crate) incarnation: Incarnation,
    pub(crate) state: ActorState,
    /// Which actor of its process it is, once there is one.
    pub(crate) actor: Option<u64>,
    /// Which actor of the process relays.
    pub(crate) relay: u64,
}

/// Which actors are the ranks of the mesh, from this one on?
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct GetMembers {
    pub(crate) start: Rank,
}

/// The actors of a mesh, run-coded: one run, where all processes have spawned the same in the same order. As an
/// answer to [`GetMembers`], so many of them as fit a frame of the control lane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Members {
    /// The mesh of processes that they live on.
    pub(crate) procs: MeshId,
    /// The ranks of it, in the order of the ranks of the actors.
    pub(crate) region: Arc<Region>,
    pub(crate) ranks: ValueMesh<Option<Member>>,
    /// What is in the process of each rank, in the life of it that was heard of last.
    pub(crate) homes: ValueMesh<Option<Home>>,
    /// Higher than that of all that was answered before and differs.
    pub(crate) version: u64,
    /// How many processes each one sends to.
    pub(crate) fan_out: FanOut,
}

/// Which ranks are not where they were in that version of the members?
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct GetMoves {
    pub(crate) since: u64,
}

/// Where ranks are now that have moved since a version of the members, the first of them first, so many of them as fit a
/// frame of the control lane: put into those members they make those of another version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Moves {
    pub(crate) moved: Vec<Moved>,
    /// Which version that is; or below it, where these are not all.
    pub(crate) version: u64,
    pub(crate) is_all: bool,
}

/// Where a rank is that has moved.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Moved {
    pub(crate) rank: Rank,
    pub(crate) member: Option<Member>,
    pub(crate) home: Option<Home>,
}

/// The actor of one rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Member {
    /// Which life of the rank.
    pub(crate) incarnation: Incarnation,
    /// Which life of its process.
    pub(crate) life: Incarnation,
    /// Which actor of the process.
    pub(crate) index: u64,
}

/// What is in the process of a rank beside its actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Home {
    /// Which life of the process.
    pub(crate) life: Incarnation,
    /// Which of its actors is the agent.
    pub(crate) agent: u64,
    /// Which of its actors relays.
    pub(crate) relay: u64,
    /// The first version of the members with this life, if there was another one before; else 0.
    pub(crate) since: u64,
}

impl Home {
    /// Since which version a life of the process of a rank is there, if `next` is the next one and `before` is what was
    /// there.
    pub(crate) fn since(before: Option<Self>, life: Incarnation, next: u64) -> u64 {
        match before {
            None => 0,
            Some(home) if home.life == life => home.since,
            Some(_) => next,
        }
    }
}

macro_rules! message {
    ($name:ident, $text:literal, $reply:ty) => {
        impl Message for $name {
            const NAME: &'static str = concat!("meshwarden.", $text);
            type Reply = $reply;
        }
    };
}

message!(Spawn, "SpawnActor", ());
message!(EndRank, "EndActor", ());
message!(CloseMesh, "CloseActors", ());
message!(Said, "ActorSaid", ());
message!(GetMembers, "GetMembers", Members);
message!(GetMoves, "GetMoves", Moves);

#[cfg(test)]
mod tests {
    use super::*;

    /// R2: only a process that has followed another one is younger than tables before it.
    #[test]
    fn a_life_is_there_since_the_version_that_another_one_was_not_in_any_more() {
        let (first, second) = (Incarnation::FIRST, Incarnation::new(2));
        let home = |life, since| Some(Home { life, agent: 1, relay: 2, since });
        assert_eq!(Home::since(None, second, 7), 0, "nothing was cast to anybody before it");
        assert_eq!(Home::since(home(first, 0), first, 7), 0);
        assert_eq!(Home::since(home(first, 0), second, 7), 7);
        assert_eq!(Home::since(home(second, 7), second, 9), 7);
    }
}
