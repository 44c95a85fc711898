//! Events that tell of many ranks, in parts: `in_parts` cuts them into messages, and [`Joining`] puts those together.
//!
//! What a rank died of is told with it, so an event grows with the ranks that have ended, and a message has a greatest size.
//! Nobody who reads the events with [`MeshEvents`](crate::MeshEvents) sees a part.

use mesh_core::{Change, MeshEvent, News, Snapshot, Timestamp};

use crate::clock::Queued;

/// Which list of a snapshot a change stands in. Other news have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum List {
    Failed,
    Stopped,
    Alive,
}

/// A change, and where it stands.
type Listed = (List, Change);

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
                }
            }
            News::Snapshot(Snapshot { failed, stopped, alive, ..all })
        }
        News::Changed(_) => News::Changed(changes.into_iter().map(|(_, change)| change).collect()),
        other => other,
    }
}

#[cfg(feature = "actor")]
mod cutting {
    use mesh_core::{Change, MeshEvent, News};
    use mesh_runtime::codec::encode;
    use mesh_shape::RankSet;

    use super::{Listed, add, closed, opened};

    /// How many bytes the changes of a part have, if not a single one has more: few enough for a frame of the control lane,
    /// and not to hold up for long what comes after.
    pub(super) const BYTES: usize = 64 << 10;

    /// How many runs of ranks a change in a part has, each of up to 20 bytes.
    const RUNS: usize = 2048;

    /// So few changes are not measured: whatever their causes say, they fit into a part.
    const FEW: usize = 4;

    /// The messages that an event takes, in order; most take one.
    pub(crate) fn in_parts(event: MeshEvent) -> Vec<MeshEvent> {
        if !is_long(&event.news) {
            return vec![event];
        }
        let MeshEvent { mesh, reporter, seq, waited, goes_on, news } = event;
        let (news, changes) = opened(news);
        let mut parts: Vec<_> = grouped(changes)
            .into_iter()
            .map(|changes| MeshEvent {
                mesh: mesh.clone(),
                reporter,
                seq,
                waited,
                goes_on: true,
                news: closed(news.clone(), changes),
            })
            .collect();
        if let Some(last) = parts.last_mut() {
            last.goes_on = goes_on;
        }
        parts
    }

    fn is_long(news: &News) -> bool {
        let lists: [&[Change]; 3] = match news {
            News::Snapshot(all) => [&all.failed, &all.stopped, &all.alive],
            News::Changed(changes) => [changes, &[], &[]],
            _ => return false,
        };
        let n_changes: usize = lists.iter().map(|changes| changes.len()).sum();
        let has_many_runs = |change: &Change| change.ranks.runs().len() > RUNS / FEW;
        n_changes > FEW || lists.iter().copied().flatten().any(has_many_runs)
    }

    /// As many changes together as fit into a part.
    fn grouped(changes: Vec<Listed>) -> Vec<Vec<Listed>> {
        let (mut groups, mut group, mut bytes) = (Vec::new(), Vec::new(), 0);
        let short = changes.into_iter().flat_map(|(list, change)| {
            with_few_runs(change).into_iter().map(move |change| (list, change))
        });
        for (list, change) in short {
            // What cannot be encoded cannot be sent either, with others or alone.
            let n = encode("change", &change).map_or(BYTES, |encoded| encoded.len());
            if bytes + n > BYTES && !group.is_empty() {
                groups.push(std::mem::take(&mut group));
                bytes = 0;
            }
            add(&mut group, (list, change));
            bytes += n;
        }
        groups.push(group);
        groups
    }

    fn with_few_runs(change: Change) -> Vec<Change> {
        if change.ranks.runs().len() <= RUNS {
            return vec![change];
        }
        let runs: Vec<_> = change.ranks.runs().collect();
        let part = |runs: &[std::ops::Range<usize>]| {
            let mut ranks = RankSet::new();
            runs.iter().for_each(|run| ranks.insert_range(run.clone()));
            Change { ranks, ..change.clone() }
        };
        runs.chunks(RUNS).map(part).collect()
    }
}

#[cfg(feature = "actor")]
pub(crate) use cutting::in_parts;

/// Puts the parts of events together.
#[derive(Debug, Default)]
pub(crate) struct Joining(Option<Begun>);

/// An event whose first parts are here.
#[derive(Debug)]
struct Begun {
    /// Without its changes, since the first part came.
    head: Queued<MeshEvent>,
    changes: Vec<Listed>,
}

/// Of how many ranks at most it is waited for the rest: as many as there are in a mesh, whoever says what. Whatever is here by
/// then is told by itself.
const CHANGES_MAX: usize = 1 << 21;

impl Joining {
    pub(crate) const fn new() -> Self {
        Self(None)
    }

    /// Takes the next message, and returns the event that it completes. If another one comes than the next part, what has come
    /// before is of a subscription that is over.
    pub(crate) fn take(&mut self, event: MeshEvent, now: Timestamp) -> Option<MeshEvent> {
        let begun = self.0.take().filter(|begun| begun.goes_on_with(&event));
        if begun.is_none() && !event.goes_on {
            return Some(event);
        }
        let goes_on = event.goes_on;
        let MeshEvent { mesh, reporter, seq, waited, news, .. } = event;
        let (news, more) = opened(news);
        let mut begun = begun.unwrap_or_else(|| {
            let head = MeshEvent { mesh, reporter, seq, waited, goes_on: false, news };
            Begun { head: Queued { since: now, item: head }, changes: Vec::new() }
        });
        more.into_iter().for_each(|change| add(&mut begun.changes, change));
        if goes_on && begun.changes.len() < CHANGES_MAX {
            self.0 = Some(begun);
            return None;
        }
        let Begun { head: Queued { since, item: head }, changes } = begun;
        let mut event = MeshEvent { news: closed(head.news, changes), ..head };
        event.hold(now.since(since));
        Some(event)
    }
}

impl Begun {
    fn goes_on_with(&self, next: &MeshEvent) -> bool {
        let head = &self.head.item;
        let are_alike = std::mem::discriminant(&head.news) == std::mem::discriminant(&next.news);
        are_alike && (head.reporter, head.seq) == (next.reporter, next.seq)
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
