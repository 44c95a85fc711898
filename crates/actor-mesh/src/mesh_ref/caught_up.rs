//! Whoever has waited for ranks calls them next, by what this process knows of them: that is not to be older than what was
//! answered.

use std::time::Duration;

use mesh_core::{Incarnation, Progress};
use mesh_shape::{Rank, Region};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::call::deadline_after;
use crate::view::{Table, View};

/// How much later than an answer the news may be that it is about. Both come by one session, unless that is lost.
const NEWS_WITHIN: Duration = Duration::from_secs(1);

/// Waits until whoever is asked next has heard of the ends that answers have told this process of: what he says would be
/// older than those. What is known here he has said. Not for long either.
pub(super) async fn heard_of_ends(view: &View, region: &Region, deadline: Instant) {
    let deadline = deadline.min(deadline_after(NEWS_WITHIN));
    let mut table = view.watch();
    let are_heard = |table: &Table| hears_nothing(table) || view.ends.are_heard(table, region);
    _ = timeout_at(deadline, table.wait_for(are_heard)).await.is_ok();
}

/// Waits until it is known here that these ranks are so far, in these lives or later ones. Not for long: who was asked may
/// know more than what anybody tells this process.
pub(super) async fn caught_up(
    table: &mut watch::Receiver<Table>,
    lives: &[(Rank, Incarnation)],
    (until, deadline): (Progress, Instant),
) {
    let deadline = deadline.min(deadline_after(NEWS_WITHIN));
    // Those before this one are so far: no rank falls back.
    let mut first_left = 0;
    let is_known = |table: &Table| {
        let left = lives.iter().skip(first_left);
        first_left +=
            left.take_while(|(base, life)| is_so_far(table, (*base, *life), until)).count();
        hears_nothing(table) || first_left == lives.len()
    };
    _ = timeout_at(deadline, table.wait_for(is_known)).await.is_ok();
}

/// Nobody tells this process anything of the mesh: it is over, or has as many followers as it may.
const fn hears_nothing(table: &Table) -> bool {
    table.is_over || table.refusal.is_some()
}

/// Whether a rank is known to be so far in this life, and where it is then; or to be in a later one.
fn is_so_far(table: &Table, (base, life): (Rank, Incarnation), until: Progress) -> bool {
    let Some(known) = &table.known else { return false };
    known.seen(base).is_some_and(|seen| {
        let is_there = seen.status.is_terminal() || known.actor(base).is_some();
        seen.incarnation() > life
            || seen.incarnation() == life
                && seen.status.has_reached(until)
                && (until < Progress::Running || is_there)
    })
}
