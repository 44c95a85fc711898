//! Cuts events, and news of owners, into messages.

use std::iter::Peekable;
use std::ops::Range;

use mesh_core::{Change, Failures, MeshEvent, News, Part, Withdrawal};
use mesh_runtime::codec::encode;
use mesh_shape::RankSet;

use super::{List, Listed, add, closed, listed, opened, unlisted};

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
        News::Snapshot(all) => is_long(all.failed.iter().chain(&all.stopped).chain(&all.alive)),
        News::Changed(changes) => is_long(changes.iter()),
        News::Withdrawn(withdrawn) => is_long(withdrawn.iter()),
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
    match is_long(failures.changes.iter()) || is_long(failures.withdrawn.iter()) {
        true => {
            let changes = failures.changes.iter().map(|change| (List::Failed, change.clone()));
            let withdrawn = failures.withdrawn.iter().cloned().map(listed);
            let groups = Groups::of(changes.chain(withdrawn).collect());
            let (changes, withdrawn) = (Vec::new(), Vec::new());
            rest = Some((Failures { changes, withdrawn, ..failures }, groups));
        }
        false => whole = Some(failures),
    }
    let parts = rest.into_iter().flat_map(|(head, groups)| {
        groups.map(move |(group, is_last)| {
            let is_failed = |(list, _): &Listed| *list == List::Failed;
            let (failed, withdrawn): (Vec<_>, Vec<_>) = group.into_iter().partition(is_failed);
            Failures {
                changes: failed.into_iter().map(|(_, change)| change).collect(),
                withdrawn: withdrawn.into_iter().map(unlisted).collect(),
                escalation: head.escalation.clone().filter(|_| is_last),
                ..head.clone()
            }
        })
    });
    whole.into_iter().chain(parts)
}

/// Whether it takes several messages to tell of all of these.
fn is_long<'a, T: Told + 'a>(all: impl Iterator<Item = &'a T> + Clone) -> bool {
    all.clone().count() > FEW || all.into_iter().any(|it| it.ranks().runs().len() > RUNS / FEW)
}

/// What names ranks.
trait Told {
    fn ranks(&self) -> &RankSet;
}

impl Told for Change {
    fn ranks(&self) -> &RankSet {
        &self.ranks
    }
}

impl Told for Withdrawal {
    fn ranks(&self) -> &RankSet {
        &self.ranks
    }
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
