//! What relays and casters of different processes say to each other.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use mesh_core::{ActorId, MeshId, Message, PortId, ProcSeat};
use mesh_runtime::NoWayBack;
use mesh_shape::{Overlay, Rank, RankSet};
use serde::{Deserialize, Serialize};

use super::pieces::Piece;
use super::table::Table;
use crate::wire::{Answer, CastId, Leg, LegId, Progress, Settlement};

/// A message on its way to actors that nobody on the way knows the type of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Payload {
    /// For which port of each of them.
    pub port: PortId,
    /// Who sent it, if an actor did: there it goes back to if it is taken and not handled (R3).
    pub from: Option<ActorId>,
    /// The ranks that it is not for, since they were not there when it was sent.
    pub except: RankSet,
    /// Its bytes.
    pub body: Body,
}

/// The bytes of a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Body {
    /// The same for all.
    Same(Bytes),
    /// To each rank its own, in the order of the ranks. Each process is sent what is for those below it.
    Each(Arc<[(Rank, Bytes)]>),
}

impl Body {
    /// Nothing.
    pub(super) const EMPTY: Self = Self::Same(Bytes::new());

    /// What is for one rank.
    pub(super) fn of(&self, rank: Rank) -> Option<Bytes> {
        match self {
            Self::Same(bytes) => Some(bytes.clone()),
            Self::Each(each) => {
                let place = each.binary_search_by_key(&rank, |(rank, _)| *rank).ok()?;
                each.get(place).map(|(_, bytes)| bytes.clone())
            }
        }
    }

    /// How many bytes it has.
    #[must_use]
    pub fn n_bytes(&self) -> usize {
        match self {
            Self::Same(bytes) => bytes.len(),
            Self::Each(each) => each.iter().map(|(_, bytes)| bytes.len()).sum(),
        }
    }

    /// What of it is for some ranks.
    fn part(&self, ranks: &Range<usize>) -> Self {
        match self {
            Self::Same(bytes) => Self::Same(bytes.clone()),
            Self::Each(each) => {
                let place = |rank| each.partition_point(|(at, _)| at.index() < rank);
                Self::Each(each[place(ranks.start)..place(ranks.end)].into())
            }
        }
    }
}

impl Leg<Payload> {
    /// The leg with what of its message is for its range.
    pub(super) fn trimmed(mut self) -> Self {
        if let Some(payload) = &mut self.payload {
            // Positions are ranks.
            payload.body = payload.body.part(&self.range);
        }
        self
    }

    /// What names it when it comes back.
    pub(super) const fn name(&self) -> LegName {
        (self.cast, self.id)
    }
}

/// What names a leg among those of its sender.
pub(super) type LegName = (CastId, LegId);

/// Where are the processes of these ranks? Asked of the directory of a mesh.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GetSeats {
    /// The ranks.
    pub ranks: RankSet,
}

/// Legs, in their order, and which relay or caster sent them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Down {
    pub(super) from: ActorId,
    pub(super) legs: Vec<Leg<Payload>>,
}

/// Answers, in the order in which they were given. Who gives them is known by who has sent them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Up {
    pub(super) answers: Vec<Answer<Bytes>>,
}

impl Up {
    /// Which legs they answer.
    pub(super) fn legs(&self) -> Vec<LegName> {
        self.answers.iter().map(|answer| (answer.cast, answer.leg)).collect()
    }

    /// That nothing more is done for these legs, with this or by what was said of them: whoever waits for them asks again.
    pub(super) fn dropped(legs: Vec<LegName>) -> Self {
        let dropped = |(cast, leg)| {
            let (outcomes, unreached) = (Overlay::new(), Overlay::new());
            let progress = Progress::Dropped;
            Answer { cast, leg, progress, outcomes, unreached, merged: None }
        };
        Self { answers: legs.into_iter().map(dropped).collect() }
    }
}

/// Word of what is settled, and which relay or caster passes it on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Word {
    pub(super) from: ActorId,
    pub(super) settlement: Settlement,
}

/// Whoever says this does not know the table of a mesh that it has heard word of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Forgot {
    pub(super) mesh: MeshId,
}

/// What was taken in a process and not handled, on its way to who sent it: the processes of the two may have no
/// session with each other.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Back {
    pub(super) back: NoWayBack,
    /// No other has this.
    pub(super) id: u64,
    /// How often it was passed on, this time included.
    pub(super) n_hops: u8,
    /// What whoever passes it on is told when it is over.
    pub(super) number: u64,
}

/// Something that was passed on has come back to who sent it, or was given up, which was counted and logged: it need not
/// be kept any more. Or it is stuck, and whoever has passed it on has it still.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct BackIsOver {
    pub(super) number: u64,
    /// Nobody is left there who could pass it on, and nothing was counted.
    pub(super) is_stuck: bool,
}

macro_rules! message {
    ($name:ident, $text:literal, $reply:ty) => {
        impl Message for $name {
            const NAME: &'static str = concat!("meshwarden.", $text);
            type Reply = $reply;
        }
    };
}

message!(Table, "CastTable", ());
message!(Down, "CastLeg", ());
message!(Up, "CastAnswer", ());
message!(Word, "CastSettled", ());
message!(Forgot, "CastForgotten", ());
message!(Piece, "CastPiece", ());
message!(Back, "CastBack", ());
message!(BackIsOver, "CastBackIsOver", ());
message!(GetSeats, "GetSeats", Vec<(Rank, ProcSeat)>);
