//! What nodes say to each other: a leg down, an answer up, and word of what is settled.
//!
//! Subtrees are ranges of positions, and what differs from node to node is run-coded: where ranks are
//! alike, the size of a message does not depend on how many there are.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use mesh_core::{ActorId, Fault, MeshId};
use mesh_shape::{Overlay, RankSet, Region};
use serde::{Deserialize, Serialize};

use crate::plan::Plan;

/// The casts of one sender to one mesh and its slices: among these there is an order (R2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StreamId {
    /// Who casts.
    pub caster: ActorId,
    /// To which mesh.
    pub mesh: MeshId,
}

/// One cast of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CastId {
    /// Whose casts to which mesh.
    pub stream: StreamId,
    /// Which of them, counted from 1, over all slices of the mesh.
    pub number: u64,
}

impl fmt::Display for CastId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cast {} of {} to mesh {}", self.number, self.stream.caster, self.stream.mesh)
    }
}

/// What is wanted of each rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// That it takes the message.
    Cast,
    /// That it answers.
    Call,
    /// That it answers, and that the answers come merged by that reducer.
    Reduce(ReducerId),
}

impl Kind {
    /// Whether ranks are to answer.
    #[must_use]
    pub const fn wants_reply(self) -> bool {
        !matches!(self, Self::Cast)
    }
}

/// How replies are merged: what that means is known to the shells of the processes on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReducerId(pub u64);

/// What some ranks replied, merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part<R> {
    /// The ranks, at least one.
    pub ranks: RankSet,
    /// What they replied: each of them counts once.
    pub value: R,
}

/// One sending of a cast to one node: what the answer names.
///
/// A process that casts is often a node too; so the number is one of the machine that sent the leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LegId {
    /// To which machine of the sender the answer goes.
    pub sender: Sender,
    /// A number that it uses once.
    pub number: u64,
}

/// The machine of a process that sent a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Sender {
    /// The [`Caster`](crate::Caster) of the stream.
    Caster,
    /// The [`Relay`](crate::Relay) of the process.
    Relay,
}

/// What a node must have had of a stream before a cast.
///
/// Numbers count all casts of a stream, and a slice reaches some nodes only; so each cast says which one
/// was before it at each node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expect {
    /// The cast of this number. 0: nothing.
    After(u64),
    /// Nothing: whatever was sent up to this number and has not arrived was given up, and must not be
    /// delivered any more.
    From(u64),
}

/// Which casts of a stream the caster is done with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// Every cast up to this one has arrived at all its processes, or was given up for those where it has not.
    pub through: u64,
    /// Those among them that some rank has not taken, and the calls that still wait for replies, in order. No
    /// more than [`Limits::open`](crate::Limits::open) and two for each rank.
    pub waiting: Arc<[u64]>,
}

impl Settled {
    /// Whether the caster is done with that cast: nothing about it need be kept or answered.
    #[must_use]
    pub fn is_over(&self, number: u64) -> bool {
        number <= self.through && self.waiting.binary_search(&number).is_err()
    }
}

/// Down: a cast for every node in a range of positions.
///
/// It goes to the first of them, which passes the rest on; or, if that one cannot be reached from the
/// sender, to any other node, which tries in its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Leg<P> {
    /// Which cast.
    pub cast: CastId,
    /// What the answer names.
    pub id: LegId,
    /// What is wanted of each rank.
    pub kind: Kind,
    /// The version of the table of members that the positions are of. The receiver's shell hands over a
    /// [`Plan`](crate::Plan) of a table that is not older.
    pub table: u64,
    /// The region that is cast to, in ranks of the mesh as it was created; `None` is all of it.
    pub region: Option<Arc<Region>>,
    /// The positions.
    pub range: Range<usize>,
    /// What each of them must have had before; where nothing is said, nothing.
    pub expects: Overlay<Expect>,
    /// What the caster is done with.
    pub settled: Settled,
    /// The message. `None` if only replies are asked for again: then all of the range has it.
    pub payload: Option<P>,
}

/// Up: what is new in a subtree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound(deserialize = "R: Deserialize<'de> + PartialEq"))]
pub struct Answer<R> {
    /// To which cast.
    pub cast: CastId,
    /// To which leg of it.
    pub leg: LegId,
    /// How far the leg is.
    pub progress: Progress,
    /// What ranks have said since the last answer to this leg.
    pub outcomes: Overlay<Outcome<R>>,
    /// The positions that could not be reached, since the last answer to this leg.
    pub unreached: Overlay<Unreached>,
    /// What those replied that are [`Outcome::Merged`] here, merged: in the last answer to a leg of a
    /// [`Kind::Reduce`], and in no other.
    pub merged: Option<R>,
}

/// How far a leg is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Progress {
    /// Some of the range does not have the message yet, or it is only a part of an answer.
    Open,
    /// All of the range has it or is named as unreached, and there is more to come: nobody needs the message any
    /// more.
    Delivered,
    /// Nothing more will come.
    Done,
    /// The receiver has no room for the leg, and has done nothing with it.
    Refused,
    /// The receiver has lost a session with the sender, perhaps not the one that the leg came by, and does
    /// nothing more for it.
    Dropped,
}

/// Down: word of what the caster is done with, when there is no cast that could say so.
///
/// Nobody answers it, and it does no harm if it is lost: it only lets nodes forget earlier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settlement {
    /// Of which stream.
    pub stream: StreamId,
    /// As of a leg.
    pub table: u64,
    /// As of a leg.
    pub range: Range<usize>,
    /// What the caster is done with.
    pub settled: Settled,
    /// Whether it is a farewell: the caster has ended, nothing of the stream is wanted any more, and nobody need
    /// remember more of it than that.
    pub is_last: bool,
}

impl Settlement {
    /// To whom it is passed on, for some of those that it is for. Who is slow gets what is for itself: nobody waits for
    /// others behind it.
    pub(crate) fn passed_on<N: Copy + Ord>(
        &self,
        plan: &Plan<N>,
        range: Range<usize>,
        slow: &BTreeSet<N>,
    ) -> Vec<(N, Self)> {
        let mut words = Vec::new();
        for range in plan.split(range).children {
            let Some(to) = plan.members().node(range.start) else { continue };
            let is_in_the_way = range.len() > 1 && slow.contains(&to);
            let end = if is_in_the_way { range.start + 1 } else { range.end };
            words.push((to, Self { range: range.start..end, ..self.clone() }));
            if is_in_the_way {
                words.extend(self.passed_on(plan, end..range.end, slow));
            }
        }
        words
    }
}

/// What came of a cast at one rank.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome<R> {
    /// The message has arrived at its process, which hands it over in order. It is still to be taken.
    Arrived,
    /// It took the message. The last word about a cast; a call is still to be answered.
    Taken,
    /// It answered.
    Replied(R),
    /// It answered, and that is part of what is merged.
    Merged,
    /// It did neither, and will not.
    Failed(Failure),
}

/// Why a rank did not take a cast, or did not answer a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// Its process says so, or its supervision.
    Fault(Fault),
    /// Its process could not be reached. It may have handled the message before that.
    Unreached(Unreached),
    /// The caller does not wait any longer.
    Withdrawn,
    /// It answered, and that could not be merged with what others did. Why, as text.
    NotMerged(Arc<str>),
}

/// Why a node could not be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
pub enum Unreached {
    /// That life of its process is known to have ended.
    #[error("its process is gone")]
    Gone,
    /// There is no way to it, or the session with it was lost: from there, and it may be alive.
    #[error("its process cannot be reached")]
    Lost,
    /// It has no room for one more sender.
    #[error("its process has no room for another sender")]
    Refused,
}
