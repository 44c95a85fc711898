//! What a rank is, given what it lives in: an actor in its process, a process on its host (ST3).
//!
//! One order says it all: [`Health`]. What a rank says of itself holds unless what it lives in is
//! less healthy; then that holds. Rows: what the rank says. Columns: what its place is. Entries:
//! what the rank is; `=` where it is what it says.
//!
//! ```text
//!                run  hand init core susp unre froz none stng stop fail time
//! running         =   hand init core susp unre froz none stng stop FAIL time
//! stalled: hand   =    =   init core susp unre froz none stng stop FAIL time
//! initializing    =    =    =   core susp unre froz none stng stop FAIL time
//! stalled: core   =    =    =    =   susp unre froz none stng stop FAIL time
//! suspect         =    =    =    =    =   unre froz none stng stop FAIL time
//! unreachable     =    =    =    =    =    =   froz none stng stop FAIL time
//! stalled: froz   =    =    =    =    =    =    =   none stng stop FAIL time
//! not_exist       =    =    =    =    =    =    =    =   stng stop FAIL time
//! stopping        =    =    =    =    =    =    =    =    =   stop FAIL time
//! stopped         =    =    =    =    =    =    =    =    =    =    =    =
//! failed          =    =    =    =    =    =    =    =    =    =    =    =
//! timeout         =    =    =    =    =    =    =    =    =    =    =    =
//! ```
//!
//! (`hand`: a handler runs too long, or something in it is silent. `core`: dumping core. `froz`: suspended. `stng`: stopping.)
//!
//! - An end is final (H2): nothing that happens to its place afterwards changes it.
//! - **In a place that has ended nothing lives**, whatever was said of it last. `FAIL` is
//!   [`Failed`](Status::Failed) with the reason [`Inherited`](Reason::Inherited), and the place with
//!   its own reason at the head of the chain (ST2).
//! - In a place that ended well, what had not ended is **stopped**, also if nobody had asked it to
//!   stop: whoever asks a place to end asks all that is in it, and what was in a process that exited
//!   with code 0 ended by that exit. A failure here would tell the owner of actors of each clean stop
//!   of their processes (N1, N9).
//! - In a place that timed out it has **timed out** too, after the same silence: there is no exit
//!   evidence of it (H4). There is no chain either until a late report explains the end of the
//!   place; then that explanation is handed on. This also ends what was suspended: a lease that has
//!   run out kills what is suspended too (K2).
//! - A rank that is stopping stays so until its place has ended (H3). Where somebody has closed what the place ran on
//!   ([`Reason::Closed`]) it has **stopped** then: it is ended by whoever has a right to, as was asked (ST4). In a place that
//!   has failed in any other way it has failed, too: that nobody has asked for.
//! - A suspension explains a silence, not the other way round (H4): what is known to be suspended, or
//!   to live in what is suspended, is neither suspect nor unreachable.
//! - What is not there yet stays so in a place whose handlers hang: it might hang in its constructor,
//!   and whoever waits for it must not take it for created (ST1).
//! - Between [`Suspect`](Status::Suspect) and what can be doubted, this is the rule by which a
//!   controller lets the silence of an agent cover what the agent last said.

use mesh_shape::Rank;
use serde::{Deserialize, Serialize};

use crate::cause::{Cause, Link, Reason};
use crate::ids::MeshLabel;
use crate::status::{Stall, Status};

/// How healthy a rank is: the greater, the healthier.
///
/// The order is neither that of life ([`Progress`](crate::Progress)) nor that of the variants of
/// [`Status`] (ST1). Certainty counts: what surely does nothing is less healthy than what may do
/// something, and what is about to end is the least healthy of all that lives. All ends are equal:
/// this is about how much one can expect of a rank, not about whose fault that is.
///
/// # Examples
///
/// ```
/// use mesh_core::{Health, Status};
///
/// assert!(Status::Running.health() > Status::Suspect.health());
/// assert_eq!(Status::Stopped.health(), Health::Ended);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Health {
    /// Ended, well or not.
    Ended,
    /// About to end.
    Stopping,
    /// Not known where it should be.
    Absent,
    /// Suspended: it surely does nothing, and its silence says nothing more.
    Suspended,
    /// Its agent is silent past the second deadline.
    Unreachable,
    /// Its agent is silent past the first deadline.
    Suspect,
    /// About to end, by what its agent said last.
    DumpingCore,
    /// Not there yet, for all that is known well on its way.
    Initializing,
    /// One of its handlers runs too long, or something in it that should be heard is silent.
    Busy,
    /// Created and answering.
    Running,
}

impl Status {
    /// How healthy a rank of that status is.
    #[must_use]
    pub const fn health(&self) -> Health {
        match self {
            Self::NotExist => Health::Absent,
            Self::Initializing => Health::Initializing,
            Self::Running => Health::Running,
            Self::Stalled(Stall::Suspended { .. }) => Health::Suspended,
            Self::Stalled(Stall::Handler(_) | Stall::Silent { .. }) => Health::Busy,
            Self::Stalled(Stall::DumpingCore) => Health::DumpingCore,
            Self::Suspect => Health::Suspect,
            Self::Unreachable => Health::Unreachable,
            Self::Stopping => Health::Stopping,
            Self::Stopped | Self::Failed(_) | Self::Timeout { .. } => Health::Ended,
        }
    }

    /// What a rank is that says this of itself and lives in `place`: never healthier than the place
    /// (ST3). Total; the table is in the [module](crate::within).
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_core::{Cause, MeshId, MeshLabel, Place, Reason, Status};
    /// use mesh_shape::Rank;
    ///
    /// let procs = MeshLabel::new(MeshId::from_random(1), "words", "proc");
    /// let killed = Status::failed(Cause::new(Reason::Signal { signal: 9, core: false }));
    /// let actor = Status::Running.within(&Place::new(&killed, &procs, Rank::new(3)));
    /// assert_eq!(
    ///     actor.to_string(),
    ///     "failed: ended with what it lived in, \
    ///      caused by rank 3 of proc mesh words: signal 9 (SIGKILL)"
    /// );
    /// ```
    #[must_use]
    pub fn within(self, place: &Place) -> Self {
        // An end is the least healthy: it stands, since nothing is less healthy (H2).
        if place.0.health() >= self.health() {
            self
        } else if self == Self::Stopping && place.is_closed() {
            Self::Stopped
        } else {
            place.0.clone()
        }
    }
}

/// What a rank lives in, as it matters to the rank: the healthiest that the rank can be.
///
/// Equal for all ranks whose places are alive and in the same state, so that it does not break runs
/// of them (H8). Of a place that failed it names the rank and the mesh.
///
/// # Examples
///
/// ```
/// use mesh_core::{Place, Status};
///
/// assert_eq!(Status::Initializing.within(&Place::HEALTHY), Status::Initializing);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Place(Status);

impl Place {
    /// One that changes nothing: it is running, or there is none.
    pub const HEALTHY: Self = Self(Status::Running);

    /// The place that is `rank` of `mesh`, and now `status`. If the place lives in another one,
    /// `status` is what it is there.
    #[must_use]
    pub fn new(status: &Status, mesh: &MeshLabel, rank: Rank) -> Self {
        let inherited = |cause: &Cause| inherited(cause, mesh, rank);
        Self(match status {
            Status::Failed(cause) => Status::failed(inherited(cause)),
            Status::Timeout { after, cause: Some(cause) } => {
                Status::Timeout { after: *after, cause: Some(inherited(cause).into()) }
            }
            Status::Timeout { cause: None, .. }
            | Status::NotExist
            | Status::Initializing
            | Status::Running
            | Status::Stalled(_)
            | Status::Suspect
            | Status::Unreachable
            | Status::Stopping
            | Status::Stopped => status.clone(),
        })
    }

    /// Whether it has ended since what it ran on was closed.
    fn is_closed(&self) -> bool {
        let Status::Failed(cause) = &self.0 else { return false };
        let root = cause.chain.last().map_or(&cause.reason, |link| &link.reason);
        *root == Reason::Closed
    }

    /// The healthiest that a rank in it can be.
    #[must_use]
    pub const fn best(&self) -> &Status {
        &self.0
    }
}

impl Default for Place {
    fn default() -> Self {
        Self::HEALTHY
    }
}

/// Why a rank ended whose place, `rank` of `mesh`, ended for `cause`. The last words of the place are
/// its own: whoever is told of it gets them.
fn inherited(cause: &Cause, mesh: &MeshLabel, rank: Rank) -> Cause {
    let link = Link::rank(mesh.clone(), rank, cause.reason.clone());
    let chain = std::iter::once(link).chain(cause.chain.iter().cloned()).collect();
    Cause::new(Reason::Inherited).with_chain(chain)
}

#[cfg(test)]
mod tests;
