//! `Life`: one life of one rank, as whoever lives it sees it.

use std::any::Any;
use std::fmt;

use controller::Controlled;
use mesh_core::{Incarnation, Reason};
use mesh_shape::Rank;
use tokio::sync::watch;

use super::voice::Voice;

/// One life of one rank: what is ordered of it, and where it reports.
pub struct Life<C: Controlled> {
    teller: Teller<C>,
    ordered: watch::Receiver<Option<RankOrder>>,
}

/// What is ordered of a rank that lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RankOrder {
    /// End, in good order.
    Stop,
    /// End now: the time for a good order is over.
    Kill,
}

impl<C: Controlled> Life<C> {
    pub(super) const fn new(
        teller: Teller<C>,
        ordered: watch::Receiver<Option<RankOrder>>,
    ) -> Self {
        Self { teller, ordered }
    }

    /// Whose life.
    #[must_use]
    pub const fn rank(&self) -> Rank {
        self.teller.rank
    }

    /// Which of its lives.
    #[must_use]
    pub const fn incarnation(&self) -> Incarnation {
        self.teller.incarnation
    }

    /// Tells what has just been seen of the rank.
    pub fn report(&self, report: C::Report) {
        self.teller.report(report);
    }

    /// The next order: at most one of each kind. Of two that come at once only the kill is seen.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost if the future is dropped.
    pub async fn ordered(&mut self) -> RankOrder {
        while self.ordered.changed().await.is_ok() {
            if let Some(order) = *self.ordered.borrow_and_update() {
                return order;
            }
        }
        // The agent has gone, and is about to drop whoever waits here.
        std::future::pending().await
    }
}

/// The reason of an end by a panic, from what the panic carries. Its place is not part of that.
///
/// # Examples
///
/// ```
/// let panic = std::thread::spawn(|| panic!("{} is no step", 7)).join();
/// let reason = panic.map_err(|payload| supervise::panic_reason(&*payload).to_string());
/// assert_eq!(reason, Err::<(), _>("panicked: 7 is no step".to_owned()));
/// ```
#[must_use]
pub fn panic_reason(payload: &(dyn Any + Send)) -> Reason {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    Reason::panic(text.unwrap_or("(no text)"), None)
}

/// Reports of one life.
pub(super) struct Teller<C: Controlled> {
    pub(super) rank: Rank,
    pub(super) incarnation: Incarnation,
    pub(super) voice: Voice<C>,
}

impl<C: Controlled> Teller<C> {
    fn report(&self, report: C::Report) {
        self.voice.report(self.rank, self.incarnation, report);
    }
}

/// Reports the end of a life, also if whoever lives it panics: then that nothing is known of it.
pub(super) struct LastWord<C: Controlled> {
    teller: Teller<C>,
    /// `None` once it is said.
    report: Option<C::Report>,
}

impl<C: Controlled> LastWord<C> {
    pub(super) const fn new(teller: Teller<C>, unknown: C::Report) -> Self {
        Self { teller, report: Some(unknown) }
    }

    pub(super) fn say(mut self, report: C::Report) {
        self.report = Some(report);
    }
}

impl<C: Controlled> Drop for LastWord<C> {
    fn drop(&mut self) {
        if let Some(report) = self.report.take() {
            self.teller.report(report);
        }
    }
}

impl<C: Controlled> Clone for Teller<C> {
    fn clone(&self) -> Self {
        let Self { rank, incarnation, voice } = self;
        Self { rank: *rank, incarnation: *incarnation, voice: voice.clone() }
    }
}

impl<C: Controlled> fmt::Debug for Life<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Teller { rank, incarnation, .. } = &self.teller;
        f.debug_struct("Life").field("rank", rank).field("incarnation", incarnation).finish()
    }
}
