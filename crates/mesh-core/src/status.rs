//! What a rank is: no progress, no contact and dead are three different things.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cause::Cause;
use crate::one_line::OneLine;

/// The status of one rank.
///
/// Only exit evidence gives [`Stopped`](Self::Stopped) or [`Failed`](Self::Failed); only lease
/// arithmetic gives [`Timeout`](Self::Timeout) (H4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// Nothing of that id is known here.
    NotExist,
    /// Being created.
    Initializing,
    /// Created and answering.
    Running,
    /// Alive, but not progressing.
    Stalled(Stall),
    /// Its agent is silent past the first deadline.
    Suspect,
    /// Its agent is silent past the second deadline.
    Unreachable,
    /// A stop was asked for and has not finished.
    Stopping,
    /// Ended as asked, or by itself with success.
    Stopped,
    /// Ended abnormally.
    Failed(Arc<Cause>),
    /// Silent until its lease must have run out.
    Timeout {
        /// How long its agent had been silent.
        after: Duration,
        /// What a late report said of its end, if one came (H4).
        cause: Option<Arc<Cause>>,
    },
}

impl Status {
    /// The failure with this cause.
    #[must_use]
    pub fn failed(cause: Cause) -> Self {
        Self::Failed(Arc::new(cause))
    }

    /// Whether nothing can follow in this incarnation (H2).
    #[must_use]
    pub const fn is_terminal(&self) -> bool {
        matches!(self, Self::Stopped | Self::Failed(_) | Self::Timeout { .. })
    }

    /// Whether it is an abnormal end.
    #[must_use]
    pub const fn is_failure(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::Timeout { .. })
    }

    /// How far in its life the rank is known to be; `None` where nobody knows (ST1).
    #[must_use]
    pub const fn progress(&self) -> Option<Progress> {
        match self {
            Self::NotExist | Self::Suspect | Self::Unreachable => None,
            Self::Initializing => Some(Progress::Initializing),
            Self::Running | Self::Stalled(_) => Some(Progress::Running),
            Self::Stopping => Some(Progress::Stopping),
            Self::Stopped | Self::Failed(_) | Self::Timeout { .. } => Some(Progress::Ended),
        }
    }

    /// Whether the rank is known to be at least that far. Never true of a rank of which nothing is
    /// known, or which cannot be reached (ST1).
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_core::{Progress, Status};
    ///
    /// assert!(Status::Stopped.has_reached(Progress::Running));
    /// assert!(!Status::Unreachable.has_reached(Progress::Initializing));
    /// ```
    #[must_use]
    pub fn has_reached(&self, progress: Progress) -> bool {
        self.progress().is_some_and(|mine| mine >= progress)
    }

    /// The same, with nothing of a cause but its kind.
    pub(crate) fn brief(&self) -> Self {
        match self {
            Self::Failed(cause) => Self::failed(Cause::new(cause.reason.brief())),
            Self::Timeout { after, cause } => {
                let brief = |cause: &Arc<Cause>| Arc::new(Cause::new(cause.reason.brief()));
                Self::Timeout { after: *after, cause: cause.as_ref().map(brief) }
            }
            other => other.clone(),
        }
    }

    /// The status without its details.
    #[must_use]
    pub const fn kind(&self) -> StatusKind {
        match self {
            Self::NotExist => StatusKind::NotExist,
            Self::Initializing => StatusKind::Initializing,
            Self::Running => StatusKind::Running,
            Self::Stalled(_) => StatusKind::Stalled,
            Self::Suspect => StatusKind::Suspect,
            Self::Unreachable => StatusKind::Unreachable,
            Self::Stopping => StatusKind::Stopping,
            Self::Stopped => StatusKind::Stopped,
            Self::Failed(_) => StatusKind::Failed,
            Self::Timeout { .. } => StatusKind::Timeout,
        }
    }

    /// Why it failed, where that is known.
    #[must_use]
    pub fn cause(&self) -> Option<&Cause> {
        match self {
            Self::Failed(cause) | Self::Timeout { cause: Some(cause), .. } => Some(cause),
            Self::Timeout { cause: None, .. }
            | Self::NotExist
            | Self::Initializing
            | Self::Running
            | Self::Stalled(_)
            | Self::Suspect
            | Self::Unreachable
            | Self::Stopping
            | Self::Stopped => None,
        }
    }

    /// The value of the `cause` label of metrics for a failure; `None` if it is none.
    #[must_use]
    pub fn cause_label(&self) -> Option<&'static str> {
        match self {
            Self::Failed(cause) => Some(cause.reason.label()),
            Self::Timeout { .. } => Some("timeout"),
            Self::NotExist
            | Self::Initializing
            | Self::Running
            | Self::Stalled(_)
            | Self::Suspect
            | Self::Unreachable
            | Self::Stopping
            | Self::Stopped => None,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stalled(stall) => write!(f, "stalled ({stall})"),
            Self::Failed(cause) => write!(f, "failed: {cause}"),
            Self::Timeout { after, cause: None } => {
                write!(f, "timed out: its agent was silent for {:.1} s", after.as_secs_f64())
            }
            Self::Timeout { after, cause: Some(cause) } => write!(
                f,
                "timed out: its agent was silent for {:.1} s; later found: {cause}",
                after.as_secs_f64()
            ),
            Self::NotExist
            | Self::Initializing
            | Self::Running
            | Self::Suspect
            | Self::Unreachable
            | Self::Stopping
            | Self::Stopped => f.write_str(self.kind().label()),
        }
    }
}

/// How far a rank is in its life. The order is the order of life, not of the variants of
/// [`Status`] (ST1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Progress {
    /// Being created.
    Initializing,
    /// Created.
    Running,
    /// Asked to stop.
    Stopping,
    /// Ended, well or not.
    Ended,
}

/// Why a rank that is alive makes no progress.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Stall {
    /// Suspended by a signal (`SIGSTOP`, `SIGTSTP`, `SIGTTIN`, `SIGTTOU`).
    Suspended {
        /// The number of the signal.
        signal: i32,
    },
    /// A handler has been running for longer than its threshold. Shared, so that a [`Status`] stays
    /// small.
    Handler(Arc<StalledHandler>),
    /// Writing a core dump, after a fatal signal.
    DumpingCore,
    /// Something that is to show itself again and again does not.
    Silent {
        /// What.
        what: Silence,
        /// How long it had not when that was first told. It does not grow with each report (H1).
        millis: u32,
    },
}

impl Stall {
    /// Nothing has been heard of `what` for that long; 49 days at most.
    #[must_use]
    pub fn silent(what: Silence, age: Duration) -> Self {
        Self::Silent { what, millis: u32::try_from(age.as_millis()).unwrap_or(u32::MAX) }
    }
}

/// What does not show itself any more, though its process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Silence {
    /// The runtime of its actors runs nothing: all threads of it are blocked, by no handler that is known.
    Runtime,
    /// Its control thread sends no beats.
    Control,
    /// A program has not fed its watchdog (`WATCHDOG=1` of systemd's protocol).
    Watchdog,
    /// A program has said itself that it hangs (`WATCHDOG=trigger`).
    Triggered,
}

impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Suspended { signal } => write!(f, "suspended by signal {signal}"),
            Self::Handler(handler) => handler.fmt(f),
            Self::DumpingCore => f.write_str("dumping core"),
            Self::Silent { what, millis } => {
                let seconds = Duration::from_millis(u64::from(*millis)).as_secs_f64();
                match what {
                    Silence::Runtime => write!(f, "its runtime has run nothing for {seconds:.1} s"),
                    Silence::Control => {
                        write!(f, "its control thread was silent for {seconds:.1} s")
                    }
                    Silence::Watchdog => write!(f, "its watchdog was not fed for {seconds:.1} s"),
                    Silence::Triggered => f.write_str("it says itself that it hangs"),
                }
            }
        }
    }
}

/// A handler that has been running for longer than its threshold: whose it is, and what for.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use mesh_core::{Stall, StalledHandler, Status};
///
/// let handler = StalledHandler {
///     actor: "words".to_owned(),
///     message: "COUNT".to_owned(),
///     age: Duration::from_millis(2_100),
/// };
/// assert_eq!(
///     Status::Stalled(Stall::Handler(Arc::new(handler))).to_string(),
///     "stalled (handler of COUNT in actor words has run for 2.1 s)"
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StalledHandler {
    /// The name of the actor.
    pub actor: String,
    /// The name of the message that it handles.
    pub message: String,
    /// How long it had been running when that was first seen. It does not grow with each report of
    /// the same handler: each would be a change then (H1).
    pub age: Duration,
}

impl fmt::Display for StalledHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { actor, message, age } = self;
        let (message, actor) = (OneLine(message), OneLine(actor));
        write!(f, "handler of {message} in actor {actor} has run for {:.1} s", age.as_secs_f64())
    }
}

/// A [`Status`] without its details: the value of the `status` label of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum StatusKind {
    /// See [`Status::NotExist`].
    NotExist,
    /// See [`Status::Initializing`].
    Initializing,
    /// See [`Status::Running`].
    Running,
    /// See [`Status::Stalled`].
    Stalled,
    /// See [`Status::Suspect`].
    Suspect,
    /// See [`Status::Unreachable`].
    Unreachable,
    /// See [`Status::Stopping`].
    Stopping,
    /// See [`Status::Stopped`].
    Stopped,
    /// See [`Status::Failed`].
    Failed,
    /// See [`Status::Timeout`].
    Timeout,
}

impl StatusKind {
    /// Every kind, in the order of the variants: index `i` is the kind with `as usize == i`.
    pub const ALL: [Self; 10] = [
        Self::NotExist,
        Self::Initializing,
        Self::Running,
        Self::Stalled,
        Self::Suspect,
        Self::Unreachable,
        Self::Stopping,
        Self::Stopped,
        Self::Failed,
        Self::Timeout,
    ];

    /// The word for it in labels and texts.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::NotExist => "not_exist",
            Self::Initializing => "initializing",
            Self::Running => "running",
            Self::Stalled => "stalled",
            Self::Suspect => "suspect",
            Self::Unreachable => "unreachable",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ST1
    #[test]
    fn waiting_for_an_end_is_not_satisfied_by_what_is_unknown() {
        for status in [Status::NotExist, Status::Suspect, Status::Unreachable, Status::Running] {
            assert!(!status.has_reached(Progress::Ended), "{status}");
        }
        for status in [Status::Stopped, Status::Timeout { after: Duration::ZERO, cause: None }] {
            assert!(status.has_reached(Progress::Ended), "{status}");
        }
    }

    /// A mesh of a million ranks keeps and sends many of them.
    #[test]
    fn a_status_takes_no_more_than_24_bytes() {
        assert!(size_of::<Status>() <= 24, "{}", size_of::<Status>());
        assert!(size_of::<Stall>() <= 16, "{}", size_of::<Stall>());
    }

    #[test]
    fn a_silence_is_told_in_words() {
        let told = |what| Stall::silent(what, Duration::from_millis(2_100)).to_string();
        assert_eq!(told(Silence::Runtime), "its runtime has run nothing for 2.1 s");
        assert_eq!(told(Silence::Control), "its control thread was silent for 2.1 s");
        assert_eq!(told(Silence::Watchdog), "its watchdog was not fed for 2.1 s");
        assert_eq!(told(Silence::Triggered), "it says itself that it hangs");
    }

    #[test]
    fn kinds_are_in_the_order_of_their_index() {
        for (index, kind) in StatusKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
        }
    }
}
