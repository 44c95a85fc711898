//! Cuts events, and news of owners, into messages.

use std::iter::Peekable;
use std::ops::Range;

use mesh_core::{Change, Failures, MeshEvent, News, Part};
use mesh_runtime::codec::encode;
use mesh_shape::RankSet;

use super::{List, Listed, add, closed, opened};

/// How many bytes the changes of a part have, if not a single one has more: few enough for a frame of the control lane,
/// and not to hold up for long what comes after.
pub(super) const BYTES: usize = 64 << 10;

/// How many runs of ranks a change in a part has, each of up to 20 bytes.
const RUNS: usize = 2048;

/// So few changes are not measured: whatever their causes say, they fit into a part.
const FEW: usize = 4;

/// The messages that an event takes, in order, each made as it is asked for; most take one.
pub(crate) fn in_parts(event: MeshEvent) -> impl Iterator<Item = MeshEvent> + Send {
    let is_long = match &event.news {
        News::Snapshot(all) => is_long(&[&all.failed, &all.stopped, &all.alive]),
        News::Changed(changes) => is_long(&[changes]),
        _ => false,
    };
    let (mut whole, mut rest) = (None, None);
    match is_long {
        true => {
            let (news, changes) = opened(event.news);
            rest = Some((MeshEvent { news, ..event }, Groups::of(changes)));
        }
        false => whole = Some(event),
    }
    let parts = rest.into_iter().flat_map(|(head, groups)| {
        (0..).zip(groups).map(move |(index, (changes, is_last))| MeshEvent {
            part: Part { index, is_last },
            news: closed(head.news.clone(), changes),
            ..head.clone()
        })
    });
    whole.into_iter().chain(parts)
}

/// The messages that news of failures take. Each stands for itself, and the last has the escalation: of failures that are more
/// than a message holds an owner hears in several.
pub(crate) fn failures_in_parts(failures: Failures) -> impl Iterator<Item = Failures> + Send {
    let (mut whole, mut rest) = (None, None);
    match is_long(&[&failures.changes]) {
        true => {
            let changes = failures.changes.iter().map(|change| (List::Failed, change.clone()));
            let groups = Groups::of(changes.collect());
            rest = Some((Failures { changes: Vec::new(), ..failures }, groups));
        }
        false => whole = Some(failures),
    }
    let parts = rest.into_iter().flat_map(|(head, groups)| {
        groups.map(move |(changes, is_last)| Failures {
            changes: changes.into_iter().map(|(_, change)| change).collect(),
            escalation: head.escalation.clone().filter(|_| is_last),
            ..head.clone()
        })
    });
    whole.into_iter().chain(parts)
}

fn is_long(lists: &[&[Change]]) -> bool {
    let n_changes: usize = lists.iter().map(|changes| changes.len()).sum();
    let has_many_runs = |change: &Change| change.ranks.runs().len() > RUNS / FEW;
    n_changes > FEW || lists.iter().copied().flatten().any(has_many_runs)
}

/// As many changes together as fit into a part, and whether they are the last.
struct Groups<I: Iterator<Item = Listed>>(Peekable<I>);

impl Groups<std::iter::Empty<Listed>> {
    fn of(changes: Vec<Listed>) -> Groups<impl Iterator<Item = Listed> + Send> {
        let short = changes.into_iter().flat_map(|(list, change)| {
            with_few_runs(change).into_iter().map(move |change| (list, change))
        });
        Groups(short.peekable())
    }
}

impl<I: Iterator<Item = Listed>> Iterator for Groups<I> {
    type Item = (Vec<Listed>, bool);

    fn next(&mut self) -> Option<Self::Item> {
        let (mut group, mut bytes) = (Vec::new(), 0);
        let mut fits = |(_, change): &Listed| {
            // What cannot be encoded cannot be sent either, with others or alone.
            let n = encode("change", change).map_or(BYTES, |encoded| encoded.len());
            let is_first = bytes == 0;
            bytes += n;
            is_first || bytes <= BYTES
        };
        while let Some(change) = self.0.next_if(&mut fits) {
            add(&mut group, change);
        }
        let is_last = self.0.peek().is_none();
        (!group.is_empty()).then_some((group, is_last))
    }
}

fn with_few_runs(change: Change) -> Vec<Change> {
    if change.ranks.runs().len() <= RUNS {
        return vec![change];
    }
    let runs: Vec<_> = change.ranks.runs().collect();
    let part = |runs: &[Range<usize>]| {
        let mut ranks = RankSet::new();
        runs.iter().for_each(|run| ranks.insert_range(run.clone()));
        Change { ranks, ..change.clone() }
    };
    runs.chunks(RUNS).map(part).collect()
}
