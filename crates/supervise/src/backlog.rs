//! What an owner has not had room for: few messages, however long it does not read (N1).

use std::collections::VecDeque;
use std::sync::Arc;

use mesh_core::{Cause, Change, Escalation, Failures, OwnerNews, Status, Timestamp, Withdrawal};

use crate::clock::Queued;

/// News that wait for the owner, oldest first.
///
/// # Bounds
///
/// At most [`MESSAGES_MAX`] messages: one, one more for each further escalation, and the last one. In them
/// each failed life is named once (N1): so they grow by the restarts that the mesh is allowed, and where
/// more are allowed in each period, for as long as the owner does not read. Each failure takes a change
/// and its reason; the first [`FAILURES_WITH_WORDS`] that wait keep their last words too.
///
/// What is added costs the same, however much waits: ages are made right when news are taken.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    news: VecDeque<Waiting>,
    /// The changes in all of them.
    n_failures: usize,
}

/// One message that waits.
#[derive(Debug)]
struct Waiting {
    queued: Queued<OwnerNews>,
    /// Where the changes end that were said earlier than the last, and when that was.
    earlier: Vec<(usize, Timestamp)>,
}

/// The failures that keep the last lines of their standard error while they wait. They are the first,
/// which is where the root of what follows is looked for.
const FAILURES_WITH_WORDS: usize = 1_024;

/// The messages that wait. Of more escalations than that the last ones are told as one.
const MESSAGES_MAX: usize = 64;

impl Backlog {
    pub(crate) fn is_empty(&self) -> bool {
        self.news.is_empty()
    }

    /// Adds news to those that wait: to the last message where that can tell of both.
    pub(crate) fn push(&mut self, queued: Queued<OwnerNews>) {
        let Queued { since, item } = queued;
        let is_full = self.news.len() >= MESSAGES_MAX;
        let OwnerNews::Failed(mut next) = item else {
            self.news.push_back(Waiting::new(Queued { since, item }));
            return;
        };
        self.shorten(&mut next);
        self.n_failures += next.changes.len();
        if let Some(Waiting {
            queued: Queued { since: last, item: OwnerNews::Failed(first) },
            earlier,
        }) = self.news.back_mut()
            && (is_full || first.escalation.is_none() || next.escalation.is_none())
        {
            let since = since.max(*last);
            let end = first.changes.len();
            if since > *last && earlier.last().is_none_or(|(known, _)| *known < end) {
                earlier.push((end, *last));
            }
            *last = since;
            merge(first, next);
            return;
        }
        self.news.push_back(Waiting::new(Queued { since, item: OwnerNews::Failed(next) }));
    }

    pub(crate) fn pop(&mut self) -> Option<Queued<OwnerNews>> {
        let Waiting { mut queued, earlier } = self.news.pop_front()?;
        if let OwnerNews::Failed(failures) = &mut queued.item {
            self.n_failures -= failures.changes.len();
            age(&mut failures.changes, &earlier, queued.since);
        }
        Some(queued)
    }

    /// Takes the last words of all but those that may keep them.
    fn shorten(&self, failures: &mut Failures) {
        let n_with_words = FAILURES_WITH_WORDS.saturating_sub(self.n_failures);
        for change in failures.changes.iter_mut().skip(n_with_words) {
            forget_words(change);
        }
    }
}

impl Waiting {
    const fn new(queued: Queued<OwnerNews>) -> Self {
        Self { queued, earlier: Vec::new() }
    }
}

/// Makes changes that were said earlier as old as they are at `now`, and what they promise as near.
fn age(changes: &mut [Change], earlier: &[(usize, Timestamp)], now: Timestamp) {
    let mut start = 0;
    for (end, said_at) in earlier {
        let later = now.since(*said_at);
        for change in changes.get_mut(start..*end).unwrap_or_default() {
            change.age += later;
            change.restart_in = change.restart_in.map(|delay| delay.saturating_sub(later));
        }
        start = *end;
    }
}

/// Makes `first` tell of `next` as well.
fn merge(first: &mut Failures, next: Failures) {
    if let (Some(before), None) = (&mut first.escalation, &next.escalation) {
        let Escalation { failed, starting, .. } = before;
        // What is promised later is promised, too.
        for Change { ranks, restart_in, .. } in &next.changes {
            *failed = failed.union(ranks);
            *starting = match restart_in {
                Some(_) => starting.union(ranks),
                None => starting.difference(ranks),
            };
        }
        for Withdrawal { ranks, .. } in &next.withdrawn {
            *starting = starting.difference(ranks);
        }
    }
    first.changes.extend(next.changes);
    first.withdrawn.extend(next.withdrawn);
    first.escalation = match (first.escalation.take(), next.escalation) {
        (Some(before), Some(newest)) => {
            // What is said last holds, but for those that have failed before, and have begun again.
            let begun = before.starting.intersection(&before.failed).difference(&newest.failed);
            let starting = begun.union(&newest.starting);
            let failed = before.failed.union(&newest.failed);
            Some(Escalation { failed, starting, ..newest })
        }
        (before, newest) => before.or(newest),
    };
}

/// Takes the last lines of standard error out of the failure.
fn forget_words(change: &mut Change) {
    let (Status::Failed(cause) | Status::Timeout { cause: Some(cause), .. }) = &mut change.status
    else {
        return;
    };
    if !cause.stderr.is_empty() {
        *cause = Arc::new(Cause { stderr: Vec::new(), ..(**cause).clone() });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mesh_core::{Epoch, EscalationReason, Incarnation, MeshId, MeshLabel, Reason};
    use mesh_shape::{Extent, Rank, RankSet, Region};

    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_start(Duration::from_secs(seconds))
    }

    /// Life `n` of rank 0 has failed, and this was said at second `n`.
    fn failed(n: u64, escalation: Option<Escalation>) -> Queued<OwnerNews> {
        Queued { since: at(n), item: OwnerNews::Failed(failures(n, escalation)) }
    }

    fn failures(n: u64, escalation: Option<Escalation>) -> Failures {
        let cause = Cause::new(Reason::Exit { code: 1 }).with_stderr(vec!["words".to_owned()]);
        let change = Change {
            ranks: RankSet::from(0..1),
            incarnation: Incarnation::new(n),
            status: Status::failed(cause),
            restart_in: Some(Duration::from_secs(10)),
            age: Duration::ZERO,
        };
        let extent = Extent::new(vec![("ranks", 1)]).expect("the size is small");
        Failures {
            mesh: MeshLabel::new(MeshId::from_random(1), "loops", "proc"),
            region: Region::all(extent).into(),
            reporter: Epoch::FIRST,
            changes: vec![change],
            waited: Duration::ZERO,
            withdrawn: Vec::new(),
            escalation,
        }
    }

    fn escalation() -> Option<Escalation> {
        let (reason, failed) = (EscalationReason::Intensity, RankSet::from(0..1));
        let starting = RankSet::new();
        Some(Escalation { reason, failed, starting, max_restarts: 1, period: None })
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

    /// What is added looks at nothing that waits.
    #[test]
    fn what_waits_grows_older_when_it_is_taken() {
        let mut backlog = Backlog::default();
        (0..3).for_each(|n| backlog.push(failed(n, None)));
        let ages = |item: &OwnerNews| match item {
            OwnerNews::Failed(failures) => {
                failures.changes.iter().map(|it| it.age.as_secs()).collect()
            }
            OwnerNews::Finished(_) => Vec::new(),
        };
        let waiting = backlog.news.front().map(|waiting| ages(&waiting.queued.item));
        assert_eq!(waiting, Some(vec![0, 0, 0]));
        assert_eq!(backlog.pop().map(|queued| ages(&queued.item)), Some(vec![2, 1, 0]));
    }

    fn n_with_words(told: &[(Timestamp, Failures)]) -> usize {
        let changes = told.iter().flat_map(|(_, failures)| &failures.changes);
        let causes = changes.filter_map(|change| change.status.cause());
        causes.filter(|cause| !cause.stderr.is_empty()).count()
    }

    /// However many failed at once, and in however many messages they are told.
    #[test]
    fn few_failures_keep_their_words_while_they_wait() {
        let mut backlog = Backlog::default();
        let mut at_once = failed(0, None);
        if let OwnerNews::Failed(failures) = &mut at_once.item {
            failures.changes = vec![failures.changes[0].clone(); FAILURES_WITH_WORDS + 9];
        }
        backlog.push(at_once.clone());
        backlog.push(failed(1, escalation()));
        backlog.push(failed(2, escalation()));
        let told = all(&mut backlog);
        assert_eq!((told.len(), n_with_words(&told)), (2, FAILURES_WITH_WORDS));
        backlog.push(failed(3, None));
        assert_eq!(n_with_words(&all(&mut backlog)), 1, "what was read counts no more");
    }

    /// RS1, RS3: of what is told together that holds which was said last, but for those that have begun again meanwhile.
    #[test]
    fn who_begins_again_is_told_as_it_was_said_last() {
        let ranks = |ranks: &[usize]| -> RankSet { ranks.iter().copied().map(Rank::new).collect() };
        let of = |failed: &[usize], starting: &[usize]| {
            let (failed, starting) = (ranks(failed), ranks(starting));
            escalation().map(|it| Escalation { failed, starting, ..it })
        };
        let merged = |first: Option<Escalation>, next: Failures| {
            let mut before = failures(0, first);
            let first = &mut before;
            merge(first, next);
            before.escalation.map(|it| (it.failed, it.starting))
        };
        let later = |escalation, rank, restart_in| {
            let mut next = failures(1, escalation);
            next.changes.iter_mut().for_each(|it| {
                (it.ranks, it.restart_in) = (ranks(&[rank]), restart_in);
            });
            next
        };
        let soon = Some(Duration::from_secs(1));
        let first = of(&[0, 1], &[1]);
        let promised = merged(first.clone(), later(None, 2, soon));
        assert_eq!(promised, Some((ranks(&[0, 1, 2]), ranks(&[1, 2]))));
        let refused = merged(first.clone(), later(None, 1, None));
        assert_eq!(refused, Some((ranks(&[0, 1]), ranks(&[]))), "it has failed again");
        let begun = merged(first.clone(), later(of(&[0, 2], &[2, 3]), 2, soon));
        assert_eq!(begun, Some((ranks(&[0, 1, 2]), ranks(&[1, 2, 3]))), "1 lives again");
        let given_up = merged(of(&[0, 1], &[1, 3]), later(of(&[0, 1], &[]), 0, None));
        assert_eq!(given_up, Some((ranks(&[0, 1]), ranks(&[]))), "3 had ended well");
    }

    /// RS1: that a restart is not to be is told to whoever has not read yet that it is, and changes what was escalated.
    #[test]
    fn a_withdrawn_restart_is_told_with_the_failure_that_promised_it() {
        let starting = escalation().map(|it| Escalation { starting: RankSet::from(0..1), ..it });
        let (ranks, incarnation) = (RankSet::from(0..1), Incarnation::FIRST);
        let withdrawal = Withdrawal { ranks, incarnation, why: Status::Stopped };
        let withdrawn = Failures {
            changes: Vec::new(),
            withdrawn: vec![withdrawal.clone()],
            ..failures(1, None)
        };
        let mut backlog = Backlog::default();
        backlog.push(failed(0, starting));
        backlog.push(Queued { since: at(1), item: OwnerNews::Failed(withdrawn) });
        let [(_, told)] = &all(&mut backlog)[..] else { panic!("they are told together") };
        assert_eq!((told.len(), &told.withdrawn[..]), (1, &[withdrawal][..]));
        let starting = told.escalation.as_ref().map(|it| it.starting.clone());
        assert_eq!(starting, Some(RankSet::new()));
    }

    /// RS3: however often the rules were changed, and were not enough.
    #[test]
    fn escalations_that_are_not_read_cost_few_messages() {
        let mut backlog = Backlog::default();
        for n in 0..200 {
            let rank = usize::try_from(n).unwrap_or_default();
            let of_rank = |it| Escalation { failed: RankSet::from(rank..rank + 1), ..it };
            backlog.push(failed(n, escalation().map(of_rank)));
        }
        let told = all(&mut backlog);
        assert_eq!(told.len(), MESSAGES_MAX);
        let lives = told.iter().flat_map(|(_, failures)| &failures.changes);
        let lives: Vec<u64> = lives.map(|change| change.incarnation.number()).collect();
        assert_eq!(lives, (0..200).collect::<Vec<_>>(), "each once");
        let escalated = told.iter().filter_map(|(_, failures)| failures.escalation.as_ref());
        let failed = escalated.fold(RankSet::new(), |all, next| all.union(&next.failed));
        assert_eq!(failed, RankSet::from(0..200));
    }
}
