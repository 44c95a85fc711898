//! Casting to many and calling many: one message, one answer for each rank, and nothing that hangs.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::{BoxStream, FuturesUnordered, StreamExt};
use mesh_cast::shell::CasterRef;
use mesh_core::{ActorId, Fault, Incarnation, Message, PortRef, Progress, WhyUndelivered};
use mesh_runtime::{Broadcast, Deputy, Sender};
use mesh_shape::{Overlay, Rank, Region, ValueMesh};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

mod down;

use crate::rank_error::{Certainty, Ended, RankError, judge};
use crate::view::{Known, Table, View};
use crate::ways::Seats;

/// How long what was noticed of a rank waits to be explained by its end.
const EXPLAINED_WITHIN: Duration = Duration::from_millis(500);

/// How long a call that was let go of waits for word that its actor was killed.
const KILLED_WITHIN: Duration = Duration::from_millis(50);

/// How long the answer of a rank that has ended may still be on its way.
const LAST_WORDS: Duration = Duration::from_millis(50);

/// Who sends, and to whom.
pub(crate) struct Target {
    pub(crate) from: Deputy,
    pub(crate) view: Arc<View>,
    pub(crate) region: Arc<Region>,
    /// Who casts down the tree, if the mesh is large enough for one.
    pub(crate) caster: Option<Arc<CasterRef>>,
}

impl Target {
    /// The ranks of the target, and those of the mesh that they are.
    fn ranks(&self) -> impl Iterator<Item = (Rank, Rank)> {
        self.region.iter().enumerate().map(|(index, base)| (Rank::new(index), base))
    }
}

/// A call of many that is sent when it is first polled, and ends with one answer for each rank.
///
/// # Cancellation
///
/// Dropped, the actors that have not begun to handle the message need not.
#[must_use = "nothing is sent before it is awaited"]
pub struct MeshCall<M: Message> {
    state: State<M>,
    within: Duration,
}

enum State<M: Message> {
    Unsent(Option<(Target, M)>),
    Sent(Pin<Box<dyn Future<Output = Answers<M>> + Send>>),
}

/// One answer for each rank.
type Answers<M> = ValueMesh<Result<<M as Message>::Reply, RankError>>;

impl<M: Message> MeshCall<M> {
    pub(crate) fn new(target: Target, message: M) -> Self {
        let within = target.from.origin().proc().call_within();
        Self { state: State::Unsent(Some((target, message))), within }
    }

    /// How long to wait for the answers, instead of
    /// [`ProcConfig::call_within`](mesh_runtime::ProcConfig::call_within).
    pub const fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }
}

impl<M> Future for MeshCall<M>
where
    M: Message<Reply: Serialize + DeserializeOwned + PartialEq>
        + Clone
        + Serialize
        + DeserializeOwned
        + Sync,
{
    type Output = Answers<M>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answers<M>> {
        let call = self.get_mut();
        loop {
            match &mut call.state {
                State::Sent(gathered) => return gathered.as_mut().poll(cx),
                State::Unsent(unsent) => {
                    // It is there: it is taken once, and then it is sent.
                    let Some((target, message)) = unsent.take() else { return Poll::Pending };
                    call.state = State::Sent(Box::pin(gather(target, message, call.within)));
                }
            }
        }
    }
}

// Nothing in it is pinned where it stands.
impl<M: Message> Unpin for MeshCall<M> {}

impl<M: Message> fmt::Debug for MeshCall<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeshCall").field("within", &self.within).finish_non_exhaustive()
    }
}

/// Where a rank is, in which life, or why nothing can be sent there.
fn find(known: &Known, base: Rank) -> Result<(ActorId, Incarnation), RankError> {
    let Some(seen) = known.seen(base) else { return Err(RankError::NoController) };
    if let Some(ended) = Ended::of(&seen.status) {
        return Err(RankError::Ended(ended));
    }
    let actor = known.actor(base).filter(|_| {
        // One that is silent, or suspended, may still answer.
        seen.status.progress().is_none_or(|progress| progress >= Progress::Running)
    });
    let actor = actor.ok_or_else(|| RankError::NotRunning(seen.status.clone()))?;
    Ok((actor, seen.incarnation()))
}

/// Waits until something is known of the mesh; `None` if nobody says anything of it any more.
async fn known(table: &mut watch::Receiver<Table>) -> Option<Known> {
    // The view is kept by whoever waits, so its follower goes on.
    let table = table.wait_for(|table| table.known.is_some() || table.is_over).await.ok()?;
    table.known.clone().filter(|_| !table.is_over)
}

/// Whom to send to, with what opens the way there if there is none.
struct Found {
    rank: Rank,
    base: Rank,
    actor: ActorId,
    life: Incarnation,
    seats: Option<Seats>,
}

impl Target {
    /// The ranks that something can be sent to, and why not to the others.
    fn find(&self, known: &Known) -> (Vec<Found>, Vec<(Rank, RankError)>) {
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for (rank, base) in self.ranks() {
            match find(known, base) {
                Ok((actor, life)) => found.push(Found { rank, base, actor, life, seats: None }),
                Err(error) => missing.push((rank, error)),
            }
        }
        let ways = &self.view.ways;
        let without_way = found.iter_mut().filter(|it| ways.is_missing(it.actor));
        let without_way: Vec<&mut Found> = without_way.collect();
        if !without_way.is_empty() {
            let seats = ways.seats(without_way.iter().map(|it| it.base).collect());
            without_way.into_iter().for_each(|it| it.seats = Some(seats.clone()));
        }
        (found, missing)
    }

    /// Opens the way to one of them, if there is none.
    async fn open(&self, Found { base, actor, seats, .. }: &Found) {
        if let Some(seats) = seats {
            self.view.ways.open(*base, *actor, seats.clone()).await;
        }
    }
}

/// Sends to every rank that is there.
pub(crate) async fn cast<M>(target: Target, message: M) -> Overlay<RankError>
where
    M: Message<Reply: Serialize + DeserializeOwned> + Clone + Serialize + DeserializeOwned + Sync,
{
    let mut table = target.view.watch();
    let known = tokio::time::timeout(target.from.origin().proc().call_within(), known(&mut table));
    let Ok(Some(known)) = known.await else {
        return target.ranks().map(|(rank, _)| (rank, RankError::NoController)).collect();
    };
    let (found, mut not_sent) = target.find(&known);
    if let Some(caster) = &target.caster {
        let sent = down::cast(&target, caster, (&known, table), message).await;
        if sent.is_err() {
            let error = RankError::Undelivered(WhyUndelivered::Ended);
            not_sent.extend(found.into_iter().map(|it| (it.rank, error.clone())));
        }
        return not_sent.into_iter().collect();
    }
    let message = Broadcast::new(message);
    let (target, message) = (&target, &message);
    let leg = |to: Found| async move {
        target.open(&to).await;
        message.cast(&target.from, PortRef::of(to.actor)).await;
    };
    let mut legs: FuturesUnordered<_> = found.into_iter().map(leg).collect();
    while legs.next().await.is_some() {}
    not_sent.into_iter().collect()
}

/// What ranks say, each once.
type Said<'a, R> = BoxStream<'a, (Rank, Result<R, Fault>)>;

/// Calls every rank that is there, and waits until each is answered for.
async fn gather<M>(target: Target, message: M, within: Duration) -> Answers<M>
where
    M: Message<Reply: Serialize + DeserializeOwned + PartialEq>
        + Clone
        + Serialize
        + DeserializeOwned
        + Sync,
{
    // A deadline past the end of time is a year away.
    let year = Duration::from_secs(365 * 24 * 60 * 60);
    let deadline = Instant::now() + within.min(year);
    let mut table = target.view.watch();
    let size = target.region.size();
    let Ok(Some(known)) = tokio::time::timeout_at(deadline, known(&mut table)).await else {
        return ValueMesh::from_fn(size, |_| Err(RankError::NoController));
    };
    let (found, missing) = target.find(&known);
    let mut gathering = Gathering::new(size);
    missing.into_iter().for_each(|(rank, error)| gathering.settle(rank, Err(error)));
    gathering.pending.extend(found.iter().map(|it| (it.rank, (it.base, it.life))));
    let message = Broadcast::new(message);
    let mut said: Said<'_, M::Reply> = match &target.caster {
        Some(caster) => down::call(&target, caster, &known, message.message()),
        None => directly(&target, found, &message),
    };
    // What has changed since is looked at, too.
    table.mark_changed();
    let mut have_all_said = false;
    while !gathering.pending.is_empty() {
        let until = gathering.next_deadline().map_or(deadline, |at| at.min(deadline));
        tokio::select! {
            biased;
            answer = said.next(), if !have_all_said => match answer {
                Some((rank, outcome)) => gathering.answered(rank, outcome),
                None => {
                    have_all_said = true;
                    gathering.nothing_more();
                }
            },
            Ok(()) = table.changed() => {
                let (known, is_over) = {
                    let table = table.borrow_and_update();
                    (table.known.clone(), table.is_over)
                };
                if let Some(known) = &known {
                    gathering.look(known);
                    down::tell_gone(target.caster.as_deref(), known).await;
                }
                if is_over {
                    gathering.give_up();
                }
            }
            () = sleep_until(until) => {
                let now = Instant::now();
                gathering.expire(now);
                if now >= deadline {
                    gathering.end(within);
                }
            }
        }
    }
    let unknown = || Err(RankError::NoController);
    gathering.answers.into_iter().map(|answer| answer.unwrap_or_else(unknown)).collect()
}

/// Calls each rank by a message of its own.
fn directly<'a, M>(
    target: &'a Target,
    found: Vec<Found>,
    message: &'a Broadcast<M>,
) -> Said<'a, M::Reply>
where
    M: Message<Reply: Serialize + DeserializeOwned> + Clone + Serialize + DeserializeOwned + Sync,
{
    let leg = |to: Found| async move {
        target.open(&to).await;
        (to.rank, message.call(&target.from, PortRef::of(to.actor)).await)
    };
    found.into_iter().map(leg).collect::<FuturesUnordered<_>>().boxed()
}

/// The answers that have come, and the ranks that are still waited for.
struct Gathering<R> {
    answers: Vec<Option<Result<R, RankError>>>,
    /// By rank: the rank of the mesh, and which life of it was called.
    pending: BTreeMap<Rank, (Rank, Incarnation)>,
    /// What some of them will be answered with, and when, unless something better is known by then.
    given_up: BTreeMap<Rank, (Instant, RankError)>,
}

impl<R> Gathering<R> {
    fn new(size: usize) -> Self {
        let answers = (0..size).map(|_| None).collect();
        Self { answers, pending: BTreeMap::new(), given_up: BTreeMap::new() }
    }

    /// A rank has answered, or will not.
    fn answered(&mut self, rank: Rank, outcome: Result<R, Fault>) {
        if !self.pending.contains_key(&rank) {
            return;
        }
        match outcome.map_err(judge) {
            Ok(reply) => self.settle(rank, Ok(reply)),
            Err((error, Certainty::Known)) => self.settle(rank, Err(error)),
            // Its end may be known by now, and says more; or it will be.
            Err((error, Certainty::Symptom)) => match self.given_up.remove(&rank) {
                Some((_, ended)) => self.settle(rank, Err(ended)),
                None => {
                    let within = match error {
                        RankError::Unanswered => KILLED_WITHIN,
                        _ => EXPLAINED_WITHIN,
                    };
                    self.given_up.insert(rank, (Instant::now() + within, error));
                }
            },
        }
    }

    /// Nobody is asked any more, and of some nothing was said.
    fn nothing_more(&mut self) {
        let given_up = &self.given_up;
        let unsaid = self.pending.keys().filter(|rank| !given_up.contains_key(rank));
        for rank in unsaid.copied().collect::<Vec<_>>() {
            self.answered(rank, Err(Fault::Undelivered(WhyUndelivered::PeerLost)));
        }
    }

    /// Looks which of the ranks that are waited for have ended.
    fn look(&mut self, known: &Known) {
        let mut explained = Vec::new();
        for (rank, (base, life)) in &self.pending {
            let Some(seen) = known.seen(*base) else { continue };
            let ended = match seen.end_of(*life) {
                Some(ended) => RankError::Ended(ended),
                // Another life of it has begun: the one that was called is over, and nobody has seen how.
                None if seen.incarnation() > *life => RankError::Undelivered(WhyUndelivered::Ended),
                None => continue,
            };
            match self.given_up.get(rank) {
                Some((_, RankError::Ended(_))) => (),
                // There will be no answer: this is why.
                Some(_) => explained.push((*rank, ended)),
                None => {
                    self.given_up.insert(*rank, (Instant::now() + LAST_WORDS, ended));
                }
            }
        }
        for (rank, ended) in explained {
            self.settle(rank, Err(ended));
        }
    }

    /// Nobody says any more what becomes of the ranks: only answers that are on their way still come.
    fn give_up(&mut self) {
        let at = Instant::now() + EXPLAINED_WITHIN;
        for rank in self.pending.keys() {
            self.given_up.entry(*rank).or_insert((at, RankError::NoController));
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.given_up.values().map(|(at, _)| *at).min()
    }

    /// Answers for those that were waited for long enough.
    fn expire(&mut self, now: Instant) {
        let over = self.given_up.iter().filter(|(_, (at, _))| *at <= now);
        let over: Vec<_> = over.map(|(rank, (_, error))| (*rank, error.clone())).collect();
        for (rank, error) in over {
            self.settle(rank, Err(error));
        }
    }

    /// The deadline has passed.
    fn end(&mut self, within: Duration) {
        for rank in self.pending.keys().copied().collect::<Vec<_>>() {
            let given_up = self.given_up.remove(&rank).map(|(_, error)| error);
            self.settle(rank, Err(given_up.unwrap_or(RankError::Deadline { within })));
        }
    }

    fn settle(&mut self, rank: Rank, answer: Result<R, RankError>) {
        self.pending.remove(&rank);
        self.given_up.remove(&rank);
        if let Some(place) = self.answers.get_mut(rank.index()) {
            *place = Some(answer);
        }
    }
}
