//! What is reported about one actor, and what that means: the whole mapping, pure.

use std::sync::Arc;
use std::time::Duration;

use controller::Controlled;
use mesh_core::{Cause, End, Link, Place, Reason, Stall, StalledHandler, Status};
use serde::{Deserialize, Serialize};

/// What is reported about the actor of one rank: what its agent said of it last, and what its process
/// is. There is no report without the second, so that nobody can forget it (ST3).
///
/// The agent of an actor lives in the same process. Whoever follows the health of the processes makes
/// the report: when a process ends its agent says nothing any more, and a new report with the old
/// [`ActorState`] in the new [`Place`] tells of the end.
///
/// # Examples
///
/// ```
/// use actor_mesh::{ActorKind, ActorReport, ActorState};
/// use controller::Controlled;
/// use mesh_core::{Cause, MeshId, MeshLabel, Place, Reason, Status};
/// use mesh_shape::Rank;
///
/// let said = ActorState::Running;
/// let report = ActorReport::new(said.clone(), Place::HEALTHY);
/// assert_eq!(ActorKind.status(&report), Status::Running);
///
/// let procs = MeshLabel::new(MeshId::from_random(1), "words", "proc");
/// let killed = Status::failed(Cause::new(Reason::Signal { signal: 9, core: false }));
/// let report = ActorReport::new(said, Place::new(&killed, &procs, Rank::new(3)));
/// assert_eq!(
///     ActorKind.status(&report).to_string(),
///     "failed: ended with what it lived in, \
///      caused by rank 3 of proc mesh words: signal 9 (SIGKILL)"
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorReport {
    state: ActorState,
    proc: Place,
    /// Its process has ended, and no other life of it follows.
    #[serde(default)]
    is_homeless: bool,
}

impl ActorReport {
    /// The report of an actor of which its agent said `state` last, and which lives in `proc`.
    #[must_use]
    pub const fn new(state: ActorState, proc: Place) -> Self {
        Self { state, proc, is_homeless: false }
    }

    /// The same of an actor whose process has ended for good: where it was nothing is started again.
    #[must_use]
    pub const fn homeless(mut self) -> Self {
        self.is_homeless = true;
        self
    }

    /// The same of an actor whose process has a later life: where it was something can be started again.
    #[must_use]
    pub const fn with_a_home(mut self) -> Self {
        self.is_homeless = false;
        self
    }

    /// What its agent said of it last.
    #[must_use]
    pub const fn state(&self) -> &ActorState {
        &self.state
    }

    /// What its process is, as it matters to the actor.
    #[must_use]
    pub const fn proc(&self) -> &Place {
        &self.proc
    }
}

/// What the agent in its process says about one actor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ActorState {
    /// Nothing is known of it here.
    Absent,
    /// Asked for; its constructor has not returned yet.
    Creating,
    /// Created. Whether it is idle or handles a message is not reported: it would change with every
    /// message, and a mesh of busy actors would be as many runs as it has ranks (H8).
    Running,
    /// One of its handlers has been running for longer than its threshold. Said once for each such
    /// handler, and followed by another report when it has returned.
    HandlerStalled(Arc<StalledHandler>),
    /// A stop was asked for: it still handles what it has accepted, or its children still stop.
    Stopping,
    /// It has ended, and so have its children. Shared, since it is told again with every poll.
    Ended(Arc<ActorEnd>),
}

/// How an actor ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorEnd {
    /// How.
    pub how: HowActorEnded,
    /// How long it had lived.
    pub alive: Duration,
    /// What caused it, nearest first, the root cause last; empty where it is the root cause itself. A
    /// failed child leads it, also where it was a failing handler of that failure that ended the
    /// actor (E2).
    pub chain: Vec<Link>,
}

/// How an actor ended. Its process has no part in it: an actor that ends with its process is never
/// reported as ended by its agent, which ends too. See [`ActorReport`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HowActorEnded {
    /// It stopped, as asked or of its own accord, and failed in none of that.
    Stopped,
    /// A stop was asked for before it was created, and it was not created.
    Cancelled,
    /// A stop was asked for, its grace ran out, and its agent dropped it as asked.
    Killed,
    /// It panicked: in its constructor, in a handler, or while it stopped.
    Panicked {
        /// The panic's message.
        message: String,
        /// `file:line:column`, where known.
        location: Option<String>,
    },
    /// Its constructor, a handler, or its clean-up returned an error.
    Errored {
        /// The error and its sources, as text.
        message: String,
    },
    /// A child of it failed, and it did not handle that (E2).
    ChildFailed {
        /// The name of the child.
        child: String,
    },
    /// Its agent dropped it because its lease had run out.
    Culled,
    /// It is gone and its agent cannot say why: its task was dropped by somebody else.
    Lost,
}

/// Meshes of actors.
#[derive(Clone, Copy, Debug, Default)]
pub struct ActorKind;

impl Controlled for ActorKind {
    type Report = ActorReport;

    const KIND: &'static str = "actor";

    /// What the agent said, but never healthier than the process (ST3). So this gives `Suspect`,
    /// `Unreachable` and `Timeout` too: never of its own accord, only where the controller of the
    /// processes says that of the process.
    fn status(&self, report: &ActorReport) -> Status {
        said(&report.state).within(&report.proc)
    }

    /// It lived, and nobody has asked it to end, as its process ended well, which begins again: as all do that start
    /// together with one that has failed.
    fn is_interrupted(&self, report: &ActorReport) -> bool {
        let said = said(&report.state);
        let has_lived = !said.is_terminal() && said != Status::Stopping && said != Status::NotExist;
        has_lived && !report.is_homeless && said.within(&report.proc) == Status::Stopped
    }

    /// Where its process has ended for good: what any life there would be.
    fn bar(&self, report: &ActorReport) -> Option<Status> {
        report.is_homeless.then(|| report.proc.best().clone())
    }
}

/// What an actor is in a healthy process.
fn said(state: &ActorState) -> Status {
    match state {
        ActorState::Absent => Status::NotExist,
        ActorState::Creating => Status::Initializing,
        ActorState::Running => Status::Running,
        ActorState::HandlerStalled(handler) => Status::Stalled(Stall::Handler(handler.clone())),
        ActorState::Stopping => Status::Stopping,
        ActorState::Ended(end) => end_status(end),
    }
}

/// Stopped if it ended as asked or without failing; otherwise it failed, also while it stopped (ST4,
/// H3).
fn end_status(end: &ActorEnd) -> Status {
    let reason = match &end.how {
        HowActorEnded::Stopped | HowActorEnded::Cancelled | HowActorEnded::Killed => {
            return Status::Stopped;
        }
        HowActorEnded::Panicked { message, location } => {
            Reason::Panic { message: message.clone(), location: location.clone() }
        }
        HowActorEnded::Errored { message } => Reason::Error { message: message.clone() },
        HowActorEnded::ChildFailed { child } => Reason::Child { actor: child.clone() },
        HowActorEnded::Culled => Reason::Orphaned,
        HowActorEnded::Lost => Reason::LostByAgent,
    };
    Status::failed(Cause::new(reason).with_alive(end.alive).with_chain(end.chain.clone()))
}

/// How an actor has ended, in the words of reports.
pub(crate) fn how_ended(end: &End) -> (HowActorEnded, Vec<Link>) {
    let cause = match end {
        End::Stopped => return (HowActorEnded::Stopped, Vec::new()),
        End::Killed => return (HowActorEnded::Killed, Vec::new()),
        End::Lost => return (HowActorEnded::Lost, Vec::new()),
        End::Failed(cause) => cause,
    };
    let how = match &cause.reason {
        Reason::Panic { message, location } => {
            HowActorEnded::Panicked { message: message.clone(), location: location.clone() }
        }
        Reason::Error { message } => HowActorEnded::Errored { message: message.clone() },
        Reason::Child { actor } => HowActorEnded::ChildFailed { child: actor.clone() },
        other => HowActorEnded::Errored { message: other.to_string() },
    };
    (how, cause.chain.clone())
}

#[cfg(test)]
mod tests;
