//! Events that tell of many ranks, in parts: `in_parts` cuts them into messages, and [`Joining`] puts those together.
//!
//! What a rank died of is told with it, so an event grows with the ranks that have ended, and a message has a greatest size.
//! Nobody who reads the events with [`MeshEvents`](crate::MeshEvents) sees a part.

use std::time::Duration;

use mesh_core::{Change, MeshEvent, News, Part, Snapshot, Timestamp, Withdrawal};

use crate::clock::Queued;

/// Which list of a snapshot a change stands in, or of failures. Other news have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum List {
    Failed,
    Stopped,
    Alive,
    Withdrawn,
}

/// A change, and where it stands.
type Listed = (List, Change);

/// A restart that is not to be, as a change: both name ranks, a life and a status.
fn listed(withdrawal: Withdrawal) -> Listed {
    let Withdrawal { ranks, incarnation, why: status } = withdrawal;
    let (restart_in, age) = (None, Duration::ZERO);
    (List::Withdrawn, Change { ranks, incarnation, status, restart_in, age })
}

fn unlisted((_, change): Listed) -> Withdrawal {
    let Change { ranks, incarnation, status: why, .. } = change;
    Withdrawal { ranks, incarnation, why }
}

/// News without their changes, and those.
fn opened(news: News) -> (News, Vec<Listed>) {
    match news {
        News::Snapshot(mut all) => {
            let lists = [
                (List::Failed, std::mem::take(&mut all.failed)),
                (List::Stopped, std::mem::take(&mut all.stopped)),
                (List::Alive, std::mem::take(&mut all.alive)),
            ];
            let changes = lists
                .into_iter()
                .flat_map(|(list, changes)| changes.into_iter().map(move |change| (list, change)));
            (News::Snapshot(all), changes.collect())
        }
        News::Changed(changes) => {
            let changes = changes.iter().map(|change| (List::Failed, change.clone())).collect();
            (News::Changed([].into()), changes)
        }
        News::Withdrawn(withdrawn) => {
            (News::Withdrawn([].into()), withdrawn.iter().cloned().map(listed).collect())
        }
        other => (other, Vec::new()),
    }
}

/// News with these changes, in the lists that they are of.
fn closed(news: News, changes: Vec<Listed>) -> News {
    match news {
        News::Snapshot(all) => {
            let (mut failed, mut stopped, mut alive) = (Vec::new(), Vec::new(), Vec::new());
            for (list, change) in changes {
                match list {
                    List::Failed => failed.push(change),
                    List::Stopped => stopped.push(change),
                    List::Alive => alive.push(change),
                    // A snapshot has none.
                    List::Withdrawn => (),
                }
            }
            News::Snapshot(Snapshot { failed, stopped, alive, ..all })
        }
        News::Changed(_) => News::Changed(changes.into_iter().map(|(_, change)| change).collect()),
        News::Withdrawn(_) => News::Withdrawn(changes.into_iter().map(unlisted).collect()),
        other => other,
    }
}

#[cfg(feature = "actor")]
mod cutting;

#[cfg(feature = "actor")]
pub(crate) use cutting::{failures_in_parts, in_parts};

/// Puts the parts of events together.
#[derive(Debug, Default)]
pub(crate) struct Joining(Option<Begun>);

/// An event whose first parts are here.
#[derive(Debug)]
struct Begun {
    /// Without its changes, since the first part came.
    head: Queued<MeshEvent>,
    changes: Vec<Listed>,
    n_parts: u32,
}

/// How many changes an event has at most, whoever says what: a mesh has no more ranks.
const CHANGES_MAX: usize = 1 << 21;

impl Joining {
    pub(crate) const fn new() -> Self {
        Self(None)
    }

    /// Takes the next message, and returns the event that it completes. Of an event that lacks a part nothing is told: its
    /// subscription is over (N7), or it is of one that is.
    pub(crate) fn take(&mut self, event: MeshEvent, now: Timestamp) -> Option<MeshEvent> {
        let begun = self.0.take().filter(|begun| begun.goes_on_with(&event));
        let Part { index, is_last } = event.part;
        if index == 0 && is_last {
            return Some(event);
        }
        let (news, more) = opened(event.news);
        let mut begun = match (begun, index) {
            (Some(begun), _) => begun,
            (None, 0) => {
                let head =
                    Queued { since: now, item: MeshEvent { part: Part::WHOLE, news, ..event } };
                Begun { head, changes: Vec::new(), n_parts: 0 }
            }
            (None, _) => return None,
        };
        begun.n_parts = begun.n_parts.saturating_add(1);
        more.into_iter().for_each(|change| add(&mut begun.changes, change));
        if !is_last {
            self.0 = Some(begun).filter(|begun| begun.changes.len() <= CHANGES_MAX);
            return None;
        }
        let Begun { head: Queued { since, item: head }, changes, .. } = begun;
        let mut event = MeshEvent { news: closed(head.news, changes), ..head };
        event.hold(now.since(since));
        Some(event)
    }
}

impl Begun {
    fn goes_on_with(&self, next: &MeshEvent) -> bool {
        let head = &self.head.item;
        let are_alike = std::mem::discriminant(&head.news) == std::mem::discriminant(&next.news);
        are_alike
            && (head.reporter, head.seq, self.n_parts) == (next.reporter, next.seq, next.part.index)
    }
}

/// Adds a change, or the rest of the last one.
fn add(changes: &mut Vec<Listed>, (list, change): Listed) {
    match changes.last_mut() {
        Some((same, last)) if *same == list && are_of_one(last, &change) => {
            change.ranks.runs().for_each(|run| last.ranks.insert_range(run));
        }
        _ => changes.push((list, change)),
    }
}

/// Whether changes differ in their ranks only.
fn are_of_one(one: &Change, other: &Change) -> bool {
    let Change { ranks: _, incarnation, status, restart_in, age } = one;
    (incarnation, restart_in, age) == (&other.incarnation, &other.restart_in, &other.age)
        && *status == other.status
}

#[cfg(all(test, feature = "actor"))]
mod tests;
