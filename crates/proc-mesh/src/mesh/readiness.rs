//! `readiness`: when ranks run, and which could not be started.

use mesh_core::{Cause, News, Progress, Reason};
use mesh_shape::RankSet;
use supervise::{AskError, MeshEvents};

/// Waits until none of `waiting` is being started; returns those that could not be.
pub(super) async fn settle(
    mut events: MeshEvents,
    mut waiting: RankSet,
    must_be_ready: bool,
) -> Result<RankSet, AskError> {
    let mut refused = RankSet::new();
    while !waiting.is_empty() {
        let event = events.next().await.ok_or(AskError::Ended)?;
        let changes = match event.news {
            News::Snapshot(snapshot) => {
                [snapshot.failed, snapshot.stopped, snapshot.alive].concat().into()
            }
            News::Changed(changes) => changes,
            News::Closed => break,
            News::Escalated(escalation) => {
                // What was told to be tried again is not, unless it was granted.
                let stays = escalation.failed.difference(&escalation.starting);
                let failed = stays.intersection(&waiting);
                refused = refused.union(&failed);
                waiting = waiting.difference(&failed);
                continue;
            }
            News::Heartbeat { .. } | News::Trouble(_) | News::Stopping => continue,
        };
        for change in changes.iter().filter(|it| it.status.has_reached(Progress::Running)) {
            let is_refused = change.status.is_failure()
                && (must_be_ready || change.status.cause().is_some_and(is_refusal));
            if is_refused && change.restart_in.is_some() {
                continue; // it is tried again
            }
            if is_refused {
                refused = refused.union(&change.ranks.intersection(&waiting));
            }
            waiting = waiting.difference(&change.ranks);
        }
    }
    Ok(refused)
}

/// Whether a rank never ran at all.
const fn is_refusal(cause: &Cause) -> bool {
    matches!(cause.reason, Reason::Launch { .. } | Reason::NotReady { .. })
}
