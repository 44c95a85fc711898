//! `Asking`: a call of many that is under way, and hangs on nobody.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, FuturesUnordered, StreamExt};
use mesh_cast::Kind;
use mesh_core::{Fault, Message, PortRef};
use mesh_runtime::{Answers, Placed, Wakes};
use mesh_shape::{Rank, RankSet};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::down::GONE_AGAIN;
use super::gathering::{Gathering, Settled};
use super::letters::{Content, Letters, Unsent};
use super::pauses::{Pauses, turn_of_others};
use super::{Found, Opening, Target, deadline_after, down};
use crate::rank_error::RankError;
use crate::view::{Called, Known, Roster, Table, Turn, Way};

/// What timers tell apart.
const TICK: Duration = Duration::from_millis(1);

/// What comes from the ranks.
pub(super) enum Said<R> {
    /// What one of them says, once.
    One(Rank, Result<R, Fault>),
    /// The same of several, by their places among those that were asked.
    Several(Placed<R>),
    /// What some of them say, merged. None of them says anything else.
    Merged(RankSet, R),
    /// What one of them says could not be merged.
    NotMerged(Rank, Arc<str>),
    /// One of them was not asked, so it says nothing else.
    NotSent(Rank, RankError),
}

/// What comes from the ranks, as it comes.
pub(super) type AllSaid<R> = BoxStream<'static, Said<R>>;

/// How what becomes of a call is told.
pub(super) enum Telling {
    /// By [`Asking::next`], which is woken so.
    Each(Wakes),
    /// By [`Asking::all`].
    Together,
}

/// What is known next of a call.
pub(super) enum Next<R> {
    /// What one rank is answered with, once.
    One(Rank, Result<R, RankError>),
    /// What some ranks replied, merged. One that was said to have failed before may be among them.
    Merged(RankSet, R),
}

/// A call of many that is under way. Dropped, the actors that have not begun to handle the message need not.
pub(super) struct Asking<R> {
    target: Arc<Target>,
    table: watch::Receiver<Table>,
    said: AllSaid<R>,
    have_all_said: bool,
    gathering: Gathering<R>,
    /// Word for the caster, which may have to wait for room: nothing else waits for that.
    telling: FuturesUnordered<BoxFuture<'static, ()>>,
    /// More has changed since.
    has_more_to_tell: bool,
    /// When the caster is told again who has ended.
    tell_again: Option<Instant>,
    deadline: Instant,
    /// What is said with the deadline of those of which nothing is known.
    late: RankError,
}

impl<R: DeserializeOwned + Send + 'static> Asking<R> {
    /// Sends to every rank that is there.
    pub(super) async fn begin<M>(
        target: Target,
        content: Content<M>,
        (kind, within): (Kind, Duration),
        telling: Telling,
    ) -> Self
    where
        M: Message<Reply = R> + Clone + Serialize + DeserializeOwned + Sync,
        R: Serialize,
    {
        let deadline = deadline_after(within);
        // Sooner: whoever is told that there was no room is told that, and not that it is late.
        let until = (within, deadline.checked_sub(TICK).unwrap_or(deadline));
        let late = match (kind, &target.caster) {
            (Kind::Reduce(_), Some(_)) => RankError::Withheld { within },
            _ => RankError::Deadline { within },
        };
        let target = Arc::new(target);
        let mut table = target.view.watch();
        let (wakes, settled) = match telling {
            Telling::Together => {
                let all = (0..target.size()).map(|_| None).collect();
                (Wakes::AtTheEnd, Settled::Together(all))
            }
            Telling::Each(wakes) => (wakes, Settled::InTurn(VecDeque::new())),
        };
        let mut gathering = Gathering::new(settled, (content.actor, M::NAME));
        let known = async {
            if let Some(turn) = target.view.lines.turn(target.pair(None)) {
                turn.await;
            }
            target.view.known(&mut table).await
        };
        let known = timeout_at(deadline, known).await;
        let said = match known.ok().flatten() {
            None => {
                let error = target.unsent(&table, within);
                let all = target.ranks().map(|(rank, _)| (rank, Err(error.clone())));
                all.for_each(|(rank, answer)| gathering.settle(rank, answer));
                stream::empty().boxed()
            }
            Some(known) => {
                let roster = target.view.roster(&known);
                let (found, missing) = target.find(&roster);
                missing.into_iter().for_each(|(rank, error)| gathering.settle(rank, Err(error)));
                gathering.expect(found.iter().map(|it| (it.rank, (it.base, it.seated.life))));
                match &target.caster {
                    Some(caster) => {
                        down::call(&target, caster, &known, (kind, content.messages), until)
                    }
                    None => directly(&target, (&roster, &found), content, wakes, until).await,
                }
            }
        };
        // It is sent now, and not when somebody reads what comes of it.
        let mut said = said;
        let first = poll_fn(|cx| Poll::Ready(said.poll_next_unpin(cx))).await;
        let (said, have_all_said) = match first {
            Poll::Ready(Some(first)) => (stream::iter([first]).chain(said).boxed(), false),
            Poll::Ready(None) => (said, true),
            Poll::Pending => (said, false),
        };
        if have_all_said {
            gathering.nothing_more();
        }
        // What has changed since is looked at, too.
        table.mark_changed();
        let (telling, has_more_to_tell) = (FuturesUnordered::new(), false);
        let tell_again = target.caster.is_some().then(|| Instant::now() + GONE_AGAIN);
        Self {
            target,
            table,
            said,
            have_all_said,
            gathering,
            telling,
            has_more_to_tell,
            tell_again,
            deadline,
            late,
        }
    }

    /// What all ranks are answered with, once they are; `None` of those that nothing is known of.
    pub(super) async fn all(mut self) -> Vec<Option<Result<R, RankError>>> {
        while self.next().await.is_some() {}
        self.gathering.into_all()
    }

    /// The next that is known; `None` when every rank is answered for.
    pub(super) async fn next(&mut self) -> Option<Next<R>> {
        loop {
            self.target.view.ends.note(self.gathering.take_ends());
            if let Some((rank, answer)) = self.gathering.pop() {
                return Some(Next::One(rank, answer));
            }
            if self.gathering.is_complete() {
                return None;
            }
            let first = [self.gathering.next_deadline(), self.tell_again].into_iter().flatten();
            let until = first.fold(self.deadline, Instant::min);
            tokio::select! {
                biased;
                said = self.said.next(), if !self.have_all_said => match said {
                    Some(Said::One(rank, outcome)) => self.gathering.answered(rank, outcome),
                    Some(Said::Several(outcomes)) => self.gathering.answered_in(outcomes),
                    Some(Said::Merged(ranks, value)) => {
                        self.gathering.merged(&ranks);
                        return Some(Next::Merged(ranks, value));
                    }
                    Some(Said::NotMerged(rank, why)) => {
                        self.gathering.settle(rank, Err(RankError::NotMerged { why }));
                    }
                    Some(Said::NotSent(rank, error)) => self.gathering.not_sent(rank, error),
                    None => {
                        self.have_all_said = true;
                        self.gathering.nothing_more();
                    }
                },
                Some(()) = self.telling.next(), if !self.telling.is_empty() => {
                    if std::mem::take(&mut self.has_more_to_tell) {
                        self.look();
                    }
                }
                Ok(()) = self.table.changed() => self.look(),
                () = sleep_until(until) => {
                    let now = Instant::now();
                    self.tell_gone_again(now);
                    let known = self.table.borrow().known.clone();
                    self.gathering.expire(now, known.as_deref());
                    if now >= self.deadline {
                        self.gathering.end(&self.late, known.as_deref());
                    }
                }
            }
        }
    }

    /// Looks at what has changed in the mesh.
    fn look(&mut self) {
        let (known, is_over) = {
            let table = self.table.borrow_and_update();
            (table.known.clone(), table.is_over)
        };
        if let Some(known) = &known {
            self.gathering.look(known);
            self.tell_gone(known);
        }
        if is_over {
            self.gathering.give_up();
        }
    }

    /// Tells the caster once more who has ended, if it is time to.
    fn tell_gone_again(&mut self, now: Instant) {
        if self.tell_again.take_if(|at| *at <= now).is_some() {
            self.tell_again = Some(now + GONE_AGAIN);
            let known = self.table.borrow().known.clone();
            known.iter().for_each(|known| self.tell_gone(known));
        }
    }

    /// Tells the caster of all processes that have ended: it forgets those that nothing is on its way to.
    fn tell_gone(&mut self, known: &Known) {
        let Some(caster) = self.target.caster.clone() else { return };
        let gone = known.gone();
        if gone.is_empty() {
            return;
        }
        if self.telling.is_empty() {
            self.telling.push(Box::pin(async move { caster.gone(gone).await }));
        } else {
            self.has_more_to_tell = true;
        }
    }
}

/// Calls each rank by a message of its own, in the order of `found`.
async fn directly<M>(
    target: &Arc<Target>,
    (roster, found): (&Arc<Roster>, &[Found<'_>]),
    content: Content<M>,
    wakes: Wakes,
    (within, deadline): (Duration, Instant),
) -> AllSaid<M::Reply>
where
    M: Message<Reply: Serialize + DeserializeOwned> + Clone + Serialize + DeserializeOwned + Sync,
{
    let (ways, seats) = target.ways(found);
    let mut letters = Letters::new(content, &target.from);
    let place = |(it, way): (&Found<'_>, &Way<'_>)| letters.can_give(*way).then_some(it.base);
    let places: Vec<_> = found.iter().zip(&ways).map(place).collect();
    let n_given = places.iter().flatten().count();
    let mut pauses = Pauses::of(if wakes == Wakes::AtTheEnd { n_given } else { 0 }, deadline);
    let called = Arc::new(Called { roster: Arc::clone(roster), places });
    let mut answers = Answers::new(&target.from, called, wakes);
    let legs = FuturesUnordered::new();
    for (place, (to, way)) in (0..).zip(found.iter().zip(ways)) {
        if let Some(unsent) = letters.call((to.rank, way), answers.reply_to(place)) {
            let turn = target.view.lines.turn(target.pair(Some(to.seated)));
            let (rank, opening) = (to.rank, Opening::new(*to, way, seats.as_ref()));
            let leg = leg(Arc::clone(target), (turn, deadline), opening, unsent);
            legs.push(async move { leg.await.map_or(Some(rank), |()| None) });
        }
        if pauses.is_due() {
            turn_of_others().await;
        }
    }
    let mut legs = legs;
    let said = stream::poll_fn(move |cx| {
        while let Poll::Ready(Some(unsent)) = legs.poll_next_unpin(cx) {
            if let Some(rank) = unsent {
                let ranks = RankSet::from_ranks([rank]);
                return Poll::Ready(Some(Said::NotSent(rank, RankError::NoRoom { ranks, within })));
            }
        }
        answers.poll(cx.waker()).map(|some| some.map(Said::Several))
    });
    said.boxed()
}

/// Calls a rank by a session, when it is its turn; `None` if the deadline comes before: then nothing was sent.
async fn leg<M>(
    target: Arc<Target>,
    (turn, deadline): (Option<Turn>, Instant),
    to: Opening,
    (letter, reply): Unsent<M>,
) -> Option<()>
where
    M: Message<Reply: Serialize + DeserializeOwned> + Clone + Serialize + DeserializeOwned + Sync,
{
    if let Some(turn) = turn {
        timeout_at(deadline, turn).await.ok()?;
    }
    target.open(&to).await;
    reply.settle(letter.call(&target.from, PortRef::of(to.actor)).await);
    Some(())
}
