//! Why a rank of a mesh has not answered.

use std::sync::Arc;
use std::time::Duration;

use mesh_cast::shell::NotCast;
use mesh_core::{Cause, End, Fault, Reason, Refusal, Status, WhyUndelivered};
use mesh_shape::{RankSet, Region};

use crate::no_controller::NoController;

/// Why a rank has not answered a call, or was not sent a cast.
///
/// Where the rank has failed, that is what is told (R1), and not what was noticed of it first. It looks the same whether the
/// rank begins again or is gone for good: [`events`](crate::ActorMeshRef::events) say which, with when
/// ([`Change::restart_in`](mesh_core::Change::restart_in)), and [`wait`](crate::ActorMeshRef::wait) until it runs waits for
/// one that is to begin again.
///
/// That nothing was sent is said of each error that means so. After any other one the message may have been handled, or may
/// still be: also where the call was given up, and by a tree by those that it had reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RankError {
    /// It has ended, so. It may have handled the message before that.
    #[error("the rank has {0}")]
    Ended(Ended),
    /// It is not there, or not yet again. Nothing was sent.
    #[error("the rank is {0}: wait until it runs")]
    NotRunning(Status),
    /// The deadline of a call has passed. The message may have been handled, or may still be.
    #[error("no answer within {within:?}")]
    Deadline {
        /// How long the call was given.
        within: Duration,
    },
    /// The deadline has passed, and the rank is stalled, so: a handler of it runs for too long, or its process is suspended.
    /// The message may have been handled, or may still be.
    #[error("no answer within {within:?}: what was told of the rank last is that it is {status}")]
    Stalled {
        /// How long the call was given.
        within: Duration,
        /// In what way, as it was told last.
        status: Status,
    },
    /// The deadline of a reduction by a tree has passed before a reply of the rank has come up it: what the processes below
    /// one reply goes up together, when all of them have answered. So the rank may have answered in time, and another one
    /// below the same process has not; which one is not known here.
    #[error("no reply within {within:?} of it, or of others whose replies come merged with its")]
    Withheld {
        /// How long the reduction was given.
        within: Duration,
    },
    /// The deadline has passed while it waited for room: of a cast directly, in the mailbox of the rank, or on the way there;
    /// of a call directly, behind what the same sender has cast to the rank before; or down a tree, where a cast or a call
    /// goes to all or to nobody. Nothing was sent.
    #[error("not sent within {within:?}: {} not taken what was cast before", have(ranks))]
    NoRoom {
        /// Those that have not taken what was cast to them before, for all that is known here, in the ranks of the mesh or
        /// slice that was sent to. Down a tree it is known by word that comes up it: while a process on the way that passes
        /// casts on is suspended, or cut off, and is not given up, these are all ranks below it, and not its own alone,
        /// though the others may be healthy. None if it waited behind casts of its sender for ranks that are not of that
        /// mesh or slice.
        ranks: RankSet,
        /// How long the cast, or the call, was given.
        within: Duration,
    },
    /// The deadline has passed before it had its turn: behind what the same sender has cast to the mesh before, or since the
    /// process that sends is busy. Nothing was sent.
    #[error("not sent within {within:?}: it has had no turn behind what was sent before it")]
    NoTurn {
        /// How long the cast, or the call, was given.
        within: Duration,
    },
    /// As much of this sender as may wait down a tree waits for room already (`mesh_cast::Limits::waiting`). Nothing was sent: send
    /// less, or wait for one cast before the next.
    #[error("not sent: too many wait for room at {}", room_at(ranks))]
    TooManyWait {
        /// As above. None if it waited behind others of its sender, for ranks that are not of that mesh or slice.
        ranks: RankSet,
    },
    /// As much as all senders of this process may have waiting down a tree waits for room already
    /// (`mesh_cast::Limits::waiting_in_all`), or as much of this sender as it may have of what is left for others. Nothing
    /// was sent: try again later.
    #[error("not sent: too many of all senders wait for room at {}", room_at(ranks))]
    TooManyWaitTogether {
        /// As above.
        ranks: RankSet,
    },
    /// The actor has let go of the call and has not answered it.
    #[error("the actor has let go of the call and has not answered it")]
    Unanswered,
    /// The message, or the answer to it, could not be delivered.
    #[error("not delivered: {0}")]
    Undelivered(WhyUndelivered),
    /// The way to its process was lost while it was asked, and the rank is this, as one that is suspended is; it has not
    /// ended, as far as is known. It may have handled the message, or may still.
    #[error(
        "the way to its process is lost, and the rank is {0}: it may have handled the message, or may still"
    )]
    OutOfReach(Status),
    /// The actor handles such messages, and does not take them by address, which is how a mesh sends all.
    #[error(
        "actor {actor} does not take {message} by address: name it in its `Actor::handlers`, as in `handlers.takes::<…>()`"
    )]
    NotTaken {
        /// The name of the type of actor.
        actor: &'static str,
        /// The name of the message.
        message: &'static str,
    },
    /// It has answered, and that could not be merged with what others did, on the way or here.
    #[error("it has answered, but that was not merged: {why}")]
    NotMerged {
        /// Why not.
        why: Arc<str>,
    },
    /// Nobody says where the ranks are, or any more what becomes of them, for this reason. Where the controller has ended
    /// meanwhile the message may have been handled; otherwise nothing was sent.
    #[error(transparent)]
    NoController(NoController),
    /// Nobody says where the ranks are: the controller of the mesh refuses to tell this process, since more follow it than
    /// may. Nothing was sent; it is asked again, more and more seldom.
    #[error("the controller of the mesh refuses to say what its ranks are: {0}")]
    Refused(Refusal),
}

impl RankError {
    /// Names actor and message, where both are to blame.
    pub(crate) fn naming(self, (actor, message): (&'static str, &'static str)) -> Self {
        match self {
            Self::Undelivered(WhyUndelivered::NoPort) => Self::NotTaken { actor, message },
            error => error,
        }
    }

    /// Why something was not cast down the tree to a region within some time; `None` if its caster has ended.
    pub(crate) fn of_cast(error: &NotCast, region: &Region, within: Duration) -> Option<Self> {
        let here = |ranks: &RankSet| -> RankSet {
            ranks.iter().filter_map(|base| region.rank_of_base(base)).collect()
        };
        match error {
            NotCast::TooMany { ranks } => Some(Self::TooManyWait { ranks: here(ranks) }),
            NotCast::TooManyTogether { ranks } => {
                Some(Self::TooManyWaitTogether { ranks: here(ranks) })
            }
            // The caster has not come to look at it.
            NotCast::Late { ranks } if ranks.is_empty() => Some(Self::NoTurn { within }),
            NotCast::Late { ranks } => Some(Self::NoRoom { ranks: here(ranks), within }),
            _ => None,
        }
    }
}

/// Where there is no room.
fn room_at(ranks: &RankSet) -> String {
    match ranks.is_empty() {
        true => "ranks that are not of this slice".to_owned(),
        false => ranks.in_words(),
    }
}

/// Who has not taken something.
fn have(ranks: &RankSet) -> String {
    format!("{} {}", room_at(ranks), if ranks.len() == 1 { "has" } else { "have" })
}

/// How a rank has ended: a status that is terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended(Status);

impl Ended {
    /// The status, if it is terminal.
    pub(crate) fn of(status: &Status) -> Option<Self> {
        status.is_terminal().then(|| Self(status.clone()))
    }

    fn failed(cause: Arc<Cause>) -> Self {
        Self(Status::Failed(cause))
    }

    /// Stopped, failed, or timed out.
    #[must_use]
    pub const fn status(&self) -> &Status {
        &self.0
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Status::Timeout { .. } => write!(f, "ended: {}", self.0),
            status => status.fmt(f),
        }
    }
}

/// What the side that was called, or the way there, says of a call; and whether what is known of the rank
/// may say it better.
pub(crate) fn judge(fault: Fault) -> (RankError, Certainty) {
    match fault {
        Fault::Failed(cause) | Fault::NotTaken(End::Failed(cause)) => {
            (RankError::Ended(Ended::failed(cause)), Certainty::Known)
        }
        Fault::NotTaken(End::Stopped) => {
            (RankError::Ended(Ended(Status::Stopped)), Certainty::Known)
        }
        Fault::NotTaken(End::Killed | End::Lost) => (gone(), Certainty::Symptom),
        Fault::Unanswered(Some(End::Failed(cause))) => {
            (RankError::Ended(Ended::failed(cause)), Certainty::Known)
        }
        Fault::Unanswered(Some(_)) => (gone(), Certainty::Symptom),
        // It may be that the actor was killed, and it may be that it chose not to answer.
        Fault::Unanswered(None) => (RankError::Unanswered, Certainty::Symptom),
        Fault::Undelivered(
            why @ (WhyUndelivered::PeerLost
            | WhyUndelivered::NoActor
            | WhyUndelivered::NoRoute
            | WhyUndelivered::Ended),
        ) => (RankError::Undelivered(why), Certainty::Symptom),
        Fault::Undelivered(why) => (RankError::Undelivered(why), Certainty::Known),
    }
}

/// What is told of a rank that is gone, if nobody says why in time.
fn gone() -> RankError {
    RankError::Ended(Ended::failed(Arc::new(Cause::new(Reason::LostByAgent))))
}

/// Whether what a fault says is all that there is to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Certainty {
    /// It is.
    Known,
    /// It may be how an end shows that somebody else knows more of.
    Symptom,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R1: what waited behind a cast to others of the mesh was not sent either, and does not say that there was no answer.
    #[test]
    fn what_has_found_no_room_says_which_ranks_have_none() {
        let all = Region::all(mesh_shape::Extent::new([("r", 8)]).unwrap());
        let half = all.slice("r", ..4).unwrap();
        let within = Duration::from_secs(1);
        let of = |ranks| RankError::of_cast(&NotCast::Late { ranks }, &half, within);
        let no_room = |ranks| Some(RankError::NoRoom { ranks, within });
        assert_eq!(of((2..6).into()), no_room((2..4).into()));
        assert_eq!(of((5..6).into()), no_room(RankSet::new()));
        assert_eq!(of(RankSet::new()), Some(RankError::NoTurn { within }));
        let text = |ranks| RankError::NoRoom { ranks, within }.to_string();
        let told = "not sent within 1s: ranks 2..4 have not taken what was cast before";
        assert_eq!(text((2..4).into()), told);
        let told = "not sent within 1s: rank 3 has not taken what was cast before";
        assert_eq!(text((3..4).into()), told);
    }

    #[test]
    fn too_many_that_wait_for_ranks_of_no_slice_say_so() {
        let text = |ranks| RankError::TooManyWait { ranks }.to_string();
        assert_eq!(text((3..5).into()), "not sent: too many wait for room at ranks 3..5");
        let elsewhere = "not sent: too many wait for room at ranks that are not of this slice";
        assert_eq!(text(RankSet::new()), elsewhere);
    }

    /// Each bound is told as what it is: of one the sender can do something about it, of the other nobody alone.
    #[test]
    fn the_bound_of_one_sender_is_told_apart_from_that_of_all() {
        let region = Region::all(mesh_shape::Extent::new([("r", 8)]).unwrap());
        let of = |error| RankError::of_cast(&error, &region, Duration::ZERO);
        let ranks: RankSet = (3..4).into();
        let own = of(NotCast::TooMany { ranks: ranks.clone() });
        assert_eq!(own, Some(RankError::TooManyWait { ranks: ranks.clone() }));
        let shared = of(NotCast::TooManyTogether { ranks: ranks.clone() });
        assert_eq!(shared, Some(RankError::TooManyWaitTogether { ranks }));
    }
}
