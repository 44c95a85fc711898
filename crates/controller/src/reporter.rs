//! The agent's side of reports: numbered, newest only, kept until they are taken; and who waits for
//! them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mesh_core::{Generation, Incarnation, Progress, Timestamp, Update};
use mesh_shape::{Overlay, Rank, RankSet};

use crate::event::AskId;
use crate::kind::Controlled;
use crate::waits::{Wait, Waits};

/// What an agent has to say about its ranks, and which of it the controller has not had.
///
/// The agent tells it what it sees; the reporter numbers that (H1), forgets what newer reports have
/// overtaken, and answers polls and waits (L1, L7).
///
/// # Bounds
///
/// One report for each rank, however long the controller takes none, and
/// [`WAITS_MAX`](Self::WAITS_MAX) waits.
///
/// # Examples
///
/// ```
/// use controller::{Controlled, Reporter};
/// use mesh_core::{Incarnation, Status, Timestamp};
/// use mesh_shape::{Rank, RankSet};
///
/// struct Lamps;
///
/// impl Controlled for Lamps {
///     type Report = Option<bool>;
///     const KIND: &'static str = "lamp";
///
///     fn status(&self, lit: &Option<bool>) -> Status {
///         match lit {
///             None => Status::NotExist,
///             Some(true) => Status::Running,
///             Some(false) => Status::Stopped,
///         }
///     }
/// }
///
/// let now = Timestamp::START;
/// let mut reporter = Reporter::new(Lamps, RankSet::from(0..4), None);
/// reporter.report(Rank::new(2), Incarnation::FIRST, now, Some(true));
/// assert_eq!(reporter.take_unsent(now).len(), 1, "what is new");
/// assert_eq!(reporter.take_unsent(now).len(), 0, "once");
/// assert_eq!(reporter.poll(now).len(), 4, "every rank, known or not");
/// ```
#[derive(Debug)]
pub struct Reporter<C: Controlled> {
    kind: C,
    ranks: RankSet,
    /// What is said of a rank that is not known.
    unknown: C::Report,
    /// In boxes: each of thousands of agents in a program has a rank or two of a mesh, and a map has room for eleven.
    newest: BTreeMap<Rank, Box<Newest<C::Report>>>,
    unsent: BTreeSet<Rank>,
    /// When all that was taken would have been, if each had waited for [`TOGETHER`](Self::TOGETHER) after the
    /// one before.
    paced: Timestamp,
    waits: Waits,
}

#[derive(Clone, Debug)]
struct Newest<R> {
    incarnation: Incarnation,
    generation: Generation,
    evidence: Timestamp,
    report: R,
}

/// A wait that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waited {
    /// Which.
    pub ask: AskId,
    /// The ranks that were not so far when the time was over; empty if all were.
    pub missing: RankSet,
}

/// What becomes of a wait when it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// It is over at once.
    Over(Waited),
    /// Its end will be told by [`Reporter::report`] or [`Reporter::expire`].
    Kept,
    /// There are as many as may be: it is not kept.
    TooMany,
}

impl<C: Controlled> Reporter<C> {
    /// The most waits that are kept at once.
    pub const WAITS_MAX: usize = 1_024;

    /// How long what changes waits for what else does, where much changes, see [`send_due`](Self::send_due).
    pub const TOGETHER: Duration = Duration::from_millis(2);

    /// How much may change in a row before any of it waits.
    pub const AT_ONCE: u32 = 16;

    /// How far ahead of its pace it may be: so many in a row.
    const AHEAD: Duration = Self::TOGETHER.saturating_mul(Self::AT_ONCE);

    /// When it is tried again to send what was not taken.
    const AGAIN: Duration = Duration::from_millis(20);

    /// The agent answers for `ranks`, and says `unknown` of those that it has not reported yet.
    pub const fn new(kind: C, ranks: RankSet, unknown: C::Report) -> Self {
        Self {
            kind,
            ranks,
            unknown,
            newest: BTreeMap::new(),
            unsent: BTreeSet::new(),
            paced: Timestamp::START,
            waits: Waits::new(),
        }
    }

    /// Something was seen of a rank. Its number is greater than that of the report before it about the
    /// same incarnation (H1). A report of an older incarnation than the newest, or of a rank of
    /// another agent, changes nothing; nor does one that says what the newest does: it would tell ranks apart that are
    /// alike (H8).
    ///
    /// Returns the waits that are over by it.
    pub fn report(
        &mut self,
        rank: Rank,
        incarnation: Incarnation,
        evidence: Timestamp,
        report: C::Report,
    ) -> Vec<Waited> {
        let generation = match self.newest.get(&rank) {
            _ if !self.ranks.contains(rank) => return Vec::new(),
            Some(newest) if newest.incarnation > incarnation => return Vec::new(),
            Some(newest) if newest.says(incarnation, &report) => return Vec::new(),
            Some(newest) if newest.incarnation == incarnation => newest.generation.next(),
            Some(_) => Generation::FIRST,
            // That it is not known was the first report, if a poll has said so: it may arrive after this one.
            None => Generation::FIRST.next(),
        };
        let status = self.kind.status(&report);
        let newest = Newest { incarnation, generation, evidence, report };
        self.newest.insert(rank, Box::new(newest));
        self.unsent.insert(rank);
        self.waits.note(&RankSet::from_iter([rank]), &status);
        self.waits.take_reached().into_iter().map(Waited::from).collect()
    }

    /// What the controller has not had. It counts as sent; give it back with [`keep`](Self::keep) if
    /// it was not taken.
    pub fn take_unsent(&mut self, now: Timestamp) -> Overlay<Update<C::Report>> {
        let unsent = std::mem::take(&mut self.unsent);
        if !unsent.is_empty() {
            self.paced = self.paced.max(now) + Self::TOGETHER;
        }
        let each = unsent.into_iter().filter_map(|rank| {
            let newest = self.newest.get(&rank)?;
            Some((rank, newest.update(now.since(newest.evidence))))
        });
        each.collect()
    }

    /// These reports were not taken, since whoever listens has no room: they are to be sent again, in a while.
    pub fn keep(&mut self, reports: &Overlay<Update<C::Report>>) {
        self.unsent.extend(reports.iter().map(|(rank, _)| rank));
        self.paced = self.paced + Self::AHEAD + Self::AGAIN;
    }

    /// Everything is to be sent again: another controller listens now (K3, L1).
    pub fn resend(&mut self) {
        self.unsent = self.newest.keys().copied().collect();
    }

    /// When what the controller has not had is to be sent; `None` if there is nothing.
    ///
    /// At once, as long as little changes: [`AT_ONCE`](Self::AT_ONCE) messages in a row, and then one in each
    /// [`TOGETHER`](Self::TOGETHER) with all that has changed in it. So of a thousand ranks that end at once is
    /// told in few messages: each costs the controller and all whom it tells a step, and those who follow the
    /// mesh what its ranks are.
    #[must_use]
    pub fn send_due(&self) -> Option<Timestamp> {
        let due = Timestamp::from_start(self.paced.since_start().saturating_sub(Self::AHEAD));
        self.has_unsent().then_some(due)
    }

    /// Whether something is to be sent now: see [`send_due`](Self::send_due).
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.send_due().is_some_and(|due| due <= now)
    }

    /// Whether there is something that the controller has not had.
    #[must_use]
    pub fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// The newest report about every rank, the unknown ones too: the answer to a poll. A failure is as old
    /// as its evidence: the stream may have lost it, and then this is how it is first heard of (N8). What
    /// lives, and what has ended well, has no age here, so that ranks that are alike are one run (H8).
    #[must_use]
    pub fn poll(&self, now: Timestamp) -> Overlay<Update<C::Report>> {
        let unknown = Update {
            incarnation: Incarnation::FIRST,
            generation: Generation::FIRST,
            age: Duration::ZERO,
            report: self.unknown.clone(),
        };
        let age = |newest: &Newest<C::Report>| {
            let has_failed = self.kind.status(&newest.report).is_failure();
            if has_failed { now.since(newest.evidence) } else { Duration::ZERO }
        };
        let each = self.ranks.iter().map(|rank| {
            let known = self.newest.get(&rank).map(|newest| newest.update(age(newest)));
            (rank, known.unwrap_or_else(|| unknown.clone()))
        });
        each.collect()
    }

    /// The newest report about every rank that something was reported of, and which life it is about.
    pub fn known(&self) -> impl Iterator<Item = (Rank, Incarnation, &C::Report)> {
        self.newest.iter().map(|(rank, newest)| (*rank, newest.incarnation, &newest.report))
    }

    /// The newest report about one rank, numbered (H1), if something was reported of it.
    #[must_use]
    pub fn newest(&self, rank: Rank, now: Timestamp) -> Option<Update<C::Report>> {
        let newest = self.newest.get(&rank)?;
        Some(newest.update(now.since(newest.evidence)))
    }

    /// Waits until each of `ranks` is at least so far in its life, or has ended: at once if they are,
    /// also if they do not exist yet (L7). Ranks of other agents are not waited for.
    pub fn wait(
        &mut self,
        now: Timestamp,
        ask: AskId,
        ranks: &RankSet,
        (until, within): (Progress, Duration),
    ) -> Waiting {
        let has_reached =
            |newest: &Newest<C::Report>| self.kind.status(&newest.report).has_reached(until);
        // By runs: whoever asks may name more ranks than there are.
        let reached = self.newest.iter().filter(|(_, newest)| has_reached(newest));
        let reached: RankSet = reached.map(|(rank, _)| *rank).collect();
        let missing = self.ranks.intersection(ranks).difference(&reached);
        if missing.is_empty() || within.is_zero() {
            return Waiting::Over(Waited { ask, missing });
        }
        if self.waits.len() >= Self::WAITS_MAX {
            return Waiting::TooMany;
        }
        self.waits.add(Wait { ask, missing, until, deadline: now + within });
        Waiting::Kept
    }

    /// Whoever asked for a wait has gone. An unknown one: no change.
    pub fn withdraw(&mut self, ask: AskId) {
        self.waits.remove(ask);
    }

    /// The waits whose time is over.
    pub fn expire(&mut self, now: Timestamp) -> Vec<Waited> {
        self.waits.expire(now).into_iter().map(Waited::from).collect()
    }

    /// When the first wait is over for lack of time.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.waits.next_deadline()
    }
}

impl<R: Clone + PartialEq> Newest<R> {
    fn says(&self, incarnation: Incarnation, report: &R) -> bool {
        self.incarnation == incarnation && self.report == *report
    }

    fn update(&self, age: Duration) -> Update<R> {
        let Self { incarnation, generation, .. } = *self;
        Update { incarnation, generation, age, report: self.report.clone() }
    }
}

impl From<Wait> for Waited {
    fn from(wait: Wait) -> Self {
        Self { ask: wait.ask, missing: wait.missing }
    }
}

#[cfg(test)]
mod tests {
    use mesh_core::{Cause, Reason, Status};

    use super::*;

    const RANK: Rank = Rank::new(3);

    #[derive(Debug)]
    struct Plain;

    impl Controlled for Plain {
        type Report = Status;
        const KIND: &'static str = "plain";

        fn status(&self, report: &Status) -> Status {
            report.clone()
        }
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_start(Duration::from_secs(seconds))
    }

    fn reporter(size: usize) -> Reporter<Plain> {
        Reporter::new(Plain, RankSet::from(0..size), Status::NotExist)
    }

    fn generations(reports: &Overlay<Update<Status>>) -> Vec<(Rank, u64, u64)> {
        reports
            .iter()
            .map(|(rank, update)| (rank, update.incarnation.number(), update.generation.number()))
            .collect()
    }

    /// H1, L1
    #[test]
    fn generations_rise_within_an_incarnation_and_start_again_with_the_next() {
        let mut reporter = reporter(8);
        let (first, second) = (Incarnation::FIRST, Incarnation::FIRST.next());
        reporter.report(RANK, first, at(0), Status::Initializing);
        assert_eq!(generations(&reporter.take_unsent(at(0))), [(RANK, 0, 1)]);
        reporter.report(RANK, first, at(0), Status::Running);
        assert_eq!(generations(&reporter.take_unsent(at(0))), [(RANK, 0, 2)]);
        reporter.report(RANK, second, at(0), Status::Initializing);
        reporter.report(RANK, first, at(0), Status::Running);
        assert_eq!(generations(&reporter.take_unsent(at(0))), [(RANK, 1, 0)]);
        assert!(reporter.take_unsent(at(0)).is_empty(), "each is sent once");
        reporter.resend();
        assert_eq!(generations(&reporter.take_unsent(at(0))), [(RANK, 1, 0)], "unless asked again");
    }

    /// H1, N9: the answer to a poll that was asked for before the first report may come after it. It loses nothing.
    #[test]
    fn that_a_rank_is_not_known_yet_is_older_than_its_first_report() {
        let mut reporter = reporter(8);
        let number = |reports: &Overlay<Update<Status>>| {
            reports.get(RANK).map(|update| (update.incarnation, update.generation))
        };
        let unknown = number(&reporter.poll(at(0)));
        reporter.report(RANK, Incarnation::FIRST, at(0), Status::Running);
        let first = number(&reporter.take_unsent(at(0)));
        assert!(unknown.is_some() && unknown < first, "{unknown:?}, then {first:?}");
    }

    #[test]
    fn what_was_not_taken_is_sent_again_with_its_true_age() {
        let mut reporter = reporter(8);
        reporter.report(RANK, Incarnation::FIRST, at(5), Status::Running);
        let refused = reporter.take_unsent(at(5));
        reporter.keep(&refused);
        let again = reporter.take_unsent(at(7));
        assert_eq!(again.get(RANK).map(|update| update.age), Some(Duration::from_secs(2)));
    }

    /// H6, H8: whoever sends when it is due sends few messages of a thousand ranks that end within a tenth of a
    /// second.
    #[test]
    fn what_changes_at_once_is_sent_in_few_messages() {
        let mut reporter = reporter(1_000);
        let (mut now, mut sent) = (at(9), Vec::new());
        for rank in 0..1_000 {
            reporter.report(Rank::new(rank), Incarnation::FIRST, now, Status::Stopped);
            if reporter.is_due(now) {
                sent.push(reporter.take_unsent(now).len());
            }
            now = now + Duration::from_micros(100);
        }
        let last = reporter.send_due();
        assert!(last.is_none_or(|due| due <= now + Reporter::<Plain>::TOGETHER), "{last:?}");
        sent.push(reporter.take_unsent(now).len());
        assert_eq!(sent.iter().sum::<usize>(), 1_000);
        assert!(sent.len() < 80, "{} messages", sent.len());
        assert_eq!(sent[..10], [1; 10], "the first at once");
        assert_eq!(reporter.send_due(), None, "all was sent");
    }

    #[test]
    fn what_changes_now_and_then_is_sent_at_once() {
        let mut reporter = reporter(8);
        let mut now = at(9);
        for rank in (0..8).cycle().take(800) {
            // Two, one right after the other.
            for status in [Status::Initializing, Status::Running] {
                reporter.report(Rank::new(rank), Incarnation::FIRST, now, status);
                assert!(reporter.is_due(now));
                _ = reporter.take_unsent(now);
            }
            now = now + 2 * Reporter::<Plain>::TOGETHER;
        }
    }

    #[test]
    fn an_agent_speaks_for_its_own_ranks_only() {
        let mut reporter = reporter(3);
        reporter.report(RANK, Incarnation::FIRST, at(0), Status::Running);
        assert!(!reporter.has_unsent());
        assert_eq!(reporter.poll(at(0)).ranks(), RankSet::from(0..3));
    }

    /// H8
    #[test]
    fn ranks_that_are_alike_are_one_run_of_a_poll() {
        let mut reporter = reporter(1_000);
        assert_eq!(reporter.poll(at(9)).n_runs(), 1, "nothing is known of any");
        for rank in 0..1_000 {
            let evidence = Timestamp::from_start(Duration::from_millis(rank));
            let rank = Rank::new(usize::try_from(rank).expect("it is small"));
            reporter.report(rank, Incarnation::FIRST, evidence, Status::Running);
        }
        assert_eq!(reporter.poll(at(9)).n_runs(), 1);
    }

    /// H8: ranks that have ended well at different times are alike to a controller.
    #[test]
    fn ranks_that_ended_well_are_one_run_of_a_poll() {
        let mut reporter = reporter(1_000);
        for (millis, rank) in (0..1_000).zip(0..) {
            let evidence = Timestamp::from_start(Duration::from_millis(millis));
            reporter.report(Rank::new(rank), Incarnation::FIRST, evidence, Status::Stopped);
        }
        assert_eq!(reporter.poll(at(9)).n_runs(), 1);
    }

    /// N8: a poll may be the first that a controller hears of a failure.
    #[test]
    fn a_failure_is_as_old_in_a_poll_as_it_is() {
        let mut reporter = reporter(8);
        let crash = Status::failed(Cause::new(Reason::Exit { code: 1 }));
        for (rank, status) in [(0, crash), (1, Status::Stopped), (2, Status::Running)] {
            reporter.report(Rank::new(rank), Incarnation::FIRST, at(5), status);
        }
        let polled = reporter.poll(at(7));
        let ages = [0, 1, 2].map(|rank| polled.get(Rank::new(rank)).map(|it| it.age.as_secs()));
        assert_eq!(ages, [Some(2), Some(0), Some(0)]);
    }

    /// H8: whoever repeats what it has said has nothing to send, and stays like its neighbours.
    #[test]
    fn what_is_known_is_not_reported_again() {
        let mut reporter = reporter(2);
        let both = [Rank::new(0), Rank::new(1)];
        for rank in both {
            reporter.report(rank, Incarnation::FIRST, at(1), Status::Running);
        }
        assert_eq!(reporter.take_unsent(at(1)).iter().count(), 2);
        reporter.report(both[1], Incarnation::FIRST, at(2), Status::Running);
        assert!(!reporter.has_unsent());
        assert_eq!(reporter.poll(at(2)).runs().count(), 1);
        reporter.report(both[1], Incarnation::FIRST.next(), at(3), Status::Running);
        assert!(reporter.has_unsent(), "another life is something else");
    }

    fn waited(ask: u64, missing: RankSet) -> Waited {
        Waited { ask: AskId::new(ask), missing }
    }

    /// L7
    #[test]
    fn a_wait_ends_when_every_rank_is_so_far_or_has_ended() {
        let mut reporter = reporter(4);
        let second = Duration::from_secs(1);
        let both = RankSet::from(0..2);
        let wait = |reporter: &mut Reporter<Plain>, ask| {
            reporter.wait(at(0), AskId::new(ask), &both, (Progress::Running, second))
        };
        assert_eq!(wait(&mut reporter, 1), Waiting::Kept, "before the ranks exist");
        let mut report =
            |rank, status| reporter.report(Rank::new(rank), Incarnation::FIRST, at(0), status);
        assert_eq!(report(0, Status::Running), []);
        assert_eq!(report(2, Status::Running), [], "not waited for");
        assert_eq!(report(1, Status::Initializing), []);
        assert_eq!(report(1, Status::Stopped), [waited(1, RankSet::new())], "as far as it gets");
        let done = Waiting::Over(waited(2, RankSet::new()));
        assert_eq!(wait(&mut reporter, 2), done, "at once");
    }

    /// L7
    #[test]
    fn a_wait_ends_with_its_time_and_says_who_is_missing() {
        let mut reporter = reporter(4);
        let all = RankSet::from(0..4);
        let asked = (Progress::Running, Duration::from_secs(3));
        assert_eq!(reporter.wait(at(0), AskId::new(1), &all, asked), Waiting::Kept);
        assert_eq!(reporter.wait(at(0), AskId::new(2), &all, asked), Waiting::Kept);
        reporter.withdraw(AskId::new(2));
        reporter.report(Rank::new(0), Incarnation::FIRST, at(1), Status::Running);
        assert_eq!(reporter.next_deadline(), Some(at(3)));
        assert_eq!(reporter.expire(at(2)), []);
        assert_eq!(reporter.expire(at(3)), [waited(1, RankSet::from(1..4))]);
        assert_eq!(reporter.next_deadline(), None);
    }

    /// H8: what a wait costs does not depend on how many ranks it names.
    #[test]
    fn a_wait_may_name_more_ranks_than_there_are() {
        let mut reporter = reporter(usize::MAX);
        reporter.report(RANK, Incarnation::FIRST, at(0), Status::Running);
        let all = RankSet::from(0..usize::MAX);
        let asked = (Progress::Running, Duration::ZERO);
        let Waiting::Over(waited) = reporter.wait(at(0), AskId::new(1), &all, asked) else {
            panic!("it had no time")
        };
        assert_eq!(waited.missing.n_runs(), 2, "all but one");
    }

    #[test]
    fn waits_are_bounded() {
        let mut reporter = reporter(1);
        let asked = (Progress::Running, Duration::from_secs(3));
        let mut wait = |ask| reporter.wait(at(0), AskId::new(ask), &RankSet::from(0..1), asked);
        for ask in 0..Reporter::<Plain>::WAITS_MAX as u64 {
            assert_eq!(wait(ask), Waiting::Kept);
        }
        assert_eq!(wait(9_999), Waiting::TooMany);
    }
}
