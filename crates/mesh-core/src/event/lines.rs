//! What subscribers are told, as people read it.

use std::fmt;

use super::{Change, MeshEvent, News, Snapshot, Withdrawal, fmt_times};
use crate::stop_reason::StopReason;

/// The ranks, what they are, and for those that have ended how long they lived. What they said on standard error is in
/// the report of their failure.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ranks = if self.ranks.len() == 1 { "rank" } else { "ranks" };
        write!(f, "{ranks} {}, incarnation {}: {}", self.ranks, self.incarnation, self.status)?;
        fmt_times(self, f)
    }
}

impl fmt::Display for Withdrawal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ranks, incarnation, why } = self;
        let (noun, verb) = if ranks.len() == 1 { ("rank", "is") } else { ("ranks", "are") };
        write!(
            f,
            "{noun} {ranks}, incarnation {incarnation}, {verb} not started again after all: {why}"
        )
    }
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Snapshot(snapshot) => snapshot.fmt(f),
            Self::Changed(changes) => fmt_each(changes, f),
            Self::Withdrawn(withdrawn) => fmt_each(withdrawn, f),
            Self::Heartbeat { period } => {
                write!(f, "nothing new, as is said every {period:?}")
            }
            Self::Trouble(trouble) => trouble.fmt(f),
            Self::Escalated(escalation) => write!(f, "it needed {escalation}"),
            Self::Recalled { ranks, restart_in } => {
                let within = restart_in.as_secs_f64();
                write!(f, "had ended, and will be started again in {within:.1} s: {ranks}")
            }
            Self::Stopping { reason } => fmt_stopping(reason.as_ref(), f),
            Self::Closed => f.write_str("every rank has ended"),
        }
    }
}

/// One line for each change, and one if the mesh is being stopped.
impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.lagged { "some was missed; now it is" } else { "so far" })?;
        let all = || self.failed.iter().chain(&self.stopped).chain(&self.alive);
        if all().next().is_none() {
            f.write_str(": nothing has ended")?;
        }
        for change in all() {
            write!(f, "\n  {change}")?;
        }
        if self.is_stopping {
            f.write_str("\n  ")?;
            fmt_stopping(self.stop_reason.as_ref(), f)?;
        }
        Ok(())
    }
}

impl fmt::Display for MeshEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.mesh, self.news)
    }
}

fn fmt_each(changes: &[impl fmt::Display], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (index, change) in changes.iter().enumerate() {
        let before = if index == 0 { "" } else { "\n  " };
        write!(f, "{before}{change}")?;
    }
    Ok(())
}

fn fmt_stopping(reason: Option<&StopReason>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("it is being stopped")?;
    reason.map_or(Ok(()), |reason| write!(f, ": {reason}"))
}
