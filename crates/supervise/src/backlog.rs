//! What an owner has not had room for: few messages, however long it does not read (N1).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use mesh_core::{Cause, Change, Failures, OwnerNews, Status};

use crate::clock::Queued;

/// News that wait for the owner, oldest first.
///
/// # Bounds
///
/// One message, one more for each further escalation, and the last one. In them each failed life is
/// named once (N1), so they grow with the restarts that the mesh is allowed: by the reason of each
/// failure, and for the first [`FAILURES_WITH_WORDS`] by the last words too.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    news: VecDeque<Queued<OwnerNews>>,
}

/// The failures of one message that keep the last lines of their standard error. They are the first,
/// which is where the root of what follows is looked for.
const FAILURES_WITH_WORDS: usize = 1_024;

impl Backlog {
    pub(crate) fn is_empty(&self) -> bool {
        self.news.is_empty()
    }

    /// Adds news to those that wait: to the last message where that can tell of both.
    pub(crate) fn push(&mut self, queued: Queued<OwnerNews>) {
        let Queued { since, item } = queued;
        let item = match (self.news.back_mut(), item) {
            (
                Some(Queued { since: last, item: OwnerNews::Failed(first) }),
                OwnerNews::Failed(next),
            ) => {
                let Some(next) = merge(first, next, since.since(*last)) else {
                    *last = since.max(*last);
                    return;
                };
                OwnerNews::Failed(next)
            }
            (_, item) => item,
        };
        self.news.push_back(Queued { since, item });
    }

    pub(crate) fn pop(&mut self) -> Option<Queued<OwnerNews>> {
        self.news.pop_front()
    }
}

/// Makes `first` tell of `next` as well, which was said so much later; gives it back if that cannot be.
fn merge(first: &mut Failures, next: Failures, later: Duration) -> Option<Failures> {
    if first.escalation.is_some() && next.escalation.is_some() {
        return Some(next);
    }
    for change in &mut first.changes {
        change.age += later;
        change.restart_in = change.restart_in.map(|delay| delay.saturating_sub(later));
    }
    let n_with_words = FAILURES_WITH_WORDS.saturating_sub(first.changes.len());
    let (with, without) = {
        let mut changes = next.changes.into_iter();
        (changes.by_ref().take(n_with_words).collect::<Vec<_>>(), changes)
    };
    first.changes.extend(with);
    first.changes.extend(without.map(without_words));
    first.escalation = first.escalation.take().or(next.escalation);
    None
}

/// The failure without the last lines of standard error.
fn without_words(change: Change) -> Change {
    let cut = |cause: &Arc<Cause>| Arc::new(Cause { stderr: Vec::new(), ..(**cause).clone() });
    let status = match &change.status {
        Status::Failed(cause) if !cause.stderr.is_empty() => Status::Failed(cut(cause)),
        Status::Timeout { after, cause: Some(cause) } if !cause.stderr.is_empty() => {
            Status::Timeout { after: *after, cause: Some(cut(cause)) }
        }
        _ => return change,
    };
    Change { status, ..change }
}

#[cfg(test)]
mod tests {
    use mesh_core::{
        Epoch, Escalation, EscalationReason, Incarnation, MeshId, MeshLabel, Reason, Timestamp,
    };
    use mesh_shape::{Extent, RankSet, Region};

    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_start(Duration::from_secs(seconds))
    }

    /// Life `n` of rank 0 has failed, and this was said at second `n`.
    fn failed(n: u64, escalation: Option<Escalation>) -> Queued<OwnerNews> {
        let cause = Cause::new(Reason::Exit { code: 1 }).with_stderr(vec!["words".to_owned()]);
        let change = Change {
            ranks: RankSet::from(0..1),
            incarnation: Incarnation::new(n),
            status: Status::failed(cause),
            restart_in: Some(Duration::from_secs(10)),
            age: Duration::ZERO,
        };
        let extent = Extent::new(vec![("ranks", 1)]).expect("the size is small");
        let failures = Failures {
            mesh: MeshLabel::new(MeshId::from_random(1), "loops", "proc"),
            region: Region::all(extent).into(),
            reporter: Epoch::FIRST,
            changes: vec![change],
            waited: Duration::ZERO,
            escalation,
        };
        Queued { since: at(n), item: OwnerNews::Failed(failures) }
    }

    fn escalation() -> Option<Escalation> {
        let (reason, failed) = (EscalationReason::Intensity, RankSet::from(0..1));
        Some(Escalation { reason, failed, max_restarts: 1, period: None })
    }

    fn all(backlog: &mut Backlog) -> Vec<(Timestamp, Failures)> {
        let each = std::iter::from_fn(|| backlog.pop());
        each.map(|queued| match queued.item {
            OwnerNews::Failed(failures) => (queued.since, failures),
            OwnerNews::Finished(_) => panic!("nobody has finished"),
        })
        .collect()
    }

    /// N1: an owner that does not read is told of every life once, in one message, with its true age.
    #[test]
    fn what_waits_is_one_message_that_names_each_life_once() {
        let mut backlog = Backlog::default();
        (0..3_000).for_each(|n| backlog.push(failed(n, None)));
        let told = all(&mut backlog);
        let [(since, failures)] = &told[..] else { panic!("{} messages", told.len()) };
        assert_eq!(*since, at(2_999));
        let lives: Vec<u64> = failures.changes.iter().map(|it| it.incarnation.number()).collect();
        assert_eq!(lives, (0..3_000).collect::<Vec<_>>());
        let ages: Vec<u64> = failures.changes.iter().map(|it| it.age.as_secs()).collect();
        assert_eq!(ages, (0..3_000).rev().collect::<Vec<_>>());
        let delays: Vec<u64> =
            failures.changes.iter().filter_map(|it| it.restart_in).map(|it| it.as_secs()).collect();
        let expected: Vec<u64> = ages.iter().map(|age| 10_u64.saturating_sub(*age)).collect();
        assert_eq!(delays, expected, "what is promised comes nearer while it waits");
        let words = failures.changes.iter().filter_map(|it| it.status.cause());
        assert_eq!(words.filter(|cause| !cause.stderr.is_empty()).count(), FAILURES_WITH_WORDS);
    }

    /// RS3: no escalation is swallowed by another one.
    #[test]
    fn each_escalation_is_told() {
        let mut backlog = Backlog::default();
        backlog.push(failed(0, None));
        backlog.push(failed(1, escalation()));
        backlog.push(failed(2, None));
        backlog.push(failed(3, escalation()));
        let told = all(&mut backlog);
        let kinds: Vec<_> =
            told.iter().map(|(_, it)| (it.changes.len(), it.escalation.is_some())).collect();
        assert_eq!(kinds, [(3, true), (1, true)]);
        assert!(backlog.is_empty());
    }
}
