//! `readiness`: when ranks run, and which could not be started.

use std::time::Duration;

use mesh_core::{Cause, Failures, Interest, MeshState, News, OwnerNews, Progress, Reason};
use mesh_shape::RankSet;
use supervise::{AskError, MeshEvents};
use tokio::time::timeout;

use super::{LAST_WORDS, ProcMesh, SpawnError};
use crate::unkillable::Unkillable;

/// How long ranks have to end when their mesh could not be spawned as a whole.
const ROLLBACK: Duration = Duration::from_secs(2);

impl ProcMesh {
    /// Waits until every rank runs: a program as soon as it was started, or when it says that it is ready, if
    /// it is to; a worker when it says so.
    ///
    /// # Cancellation
    ///
    /// The mesh goes on starting if the future is dropped.
    ///
    /// # Errors
    ///
    /// - [`SpawnError::Ranks`] if some ranks could not be started; the others were stopped (C4), and
    ///   the failures were taken from those that [`next`](Self::next) tells.
    /// - [`SpawnError::Unkillable`] if, of these or of the others, some do not end although they were killed:
    ///   nobody waits for them.
    /// - [`SpawnError::Controller`] if the controller has ended.
    pub async fn ready(&mut self) -> Result<(), SpawnError> {
        let readiness = self.readiness();
        tokio::pin!(readiness);
        let mut left = Vec::new();
        tokio::select! {
            refused = &mut readiness => if refused?.is_empty() {
                return Ok(());
            },
            // It was killed since it was not ready in time, and will never be.
            Some(resists) = self.unkillable.recv() => left.push(resists),
        }
        self.roll_back(left).await
    }

    /// Stops every rank (C4), and says what became of them.
    async fn roll_back(&mut self, mut left: Vec<Unkillable>) -> Result<(), SpawnError> {
        let state = self.controller.stop(ROLLBACK).await?;
        let failures = self.failures_of(&state).await;
        left.extend(std::iter::from_fn(|| self.unkillable.try_recv().ok()));
        // It may have ended after all.
        let living = state.ranks.ranks_where(|rank| !rank.status.is_terminal());
        left.retain(|it| living.contains(it.rank));
        Err(if left.is_empty() {
            SpawnError::Ranks { failures }
        } else {
            SpawnError::Unkillable { failures, left }
        })
    }

    /// Takes the failures that the owner is told of: up to the end of the mesh, or, if that does not come, until
    /// all are told that `state` shows.
    async fn failures_of(&mut self, state: &MeshState) -> Vec<Failures> {
        let failed = state.ranks.ranks_where(|rank| rank.status.is_failure());
        let is_ended = state.ranks.ranks_where(|rank| !rank.status.is_terminal()).is_empty();
        let (mut failures, mut told) = (Vec::new(), RankSet::new());
        while is_ended || !failed.difference(&told).is_empty() {
            // They are on their way already.
            let Ok(Some(OwnerNews::Failed(news))) = timeout(LAST_WORDS, self.owner.next()).await
            else {
                break;
            };
            told = news.changes.iter().fold(told, |told, change| told.union(&change.ranks));
            failures.push(news);
        }
        failures
    }

    /// Waits until every rank runs or has ended, and says which could not be started; for an owner
    /// that takes its news meanwhile. Nothing is stopped by it. A rank that was killed because it was not ready
    /// in time, and does not end, is waited for: [`next`](Self::next) tells of it.
    ///
    /// # Errors
    ///
    /// [`AskError::Ended`] if the controller ends before.
    pub fn readiness(&self) -> impl Future<Output = Result<RankSet, AskError>> + Send + use<> {
        let controller = self.controller.clone();
        let waiting = RankSet::from(0..self.extent.size());
        let must_be_ready = self.must_be_ready;
        async move {
            let events = controller.subscribe(Interest::All, None).await?;
            settle(events, waiting, must_be_ready).await
        }
    }
}

/// Waits until none of `waiting` is being started; returns those that could not be.
async fn settle(
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
            News::Withdrawn(withdrawn) => {
                let ranks = withdrawn.iter().fold(RankSet::new(), |all, it| all.union(&it.ranks));
                refused = refused.union(&ranks.intersection(&waiting));
                waiting = waiting.difference(&ranks);
                continue;
            }
            News::Heartbeat { .. }
            | News::Trouble(_)
            | News::Recalled { .. }
            | News::Stopping { .. } => continue,
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
