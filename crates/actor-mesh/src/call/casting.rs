//! `MeshCast`: sending to many.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use mesh_core::{Message, PortRef, WhyUndelivered};
use mesh_shape::{Rank, RankSet};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout_at;

use super::letters::{Content, Letters};
use super::not_sent::{NotSent, SoFar};
use super::{Opening, Target, deadline_after, down};
use crate::rank_error::RankError;

/// A cast to many that is sent when it is first polled, and ends with the ranks that it was not sent to.
///
/// Once it was polled it is to be polled to its end, or dropped: what the same sender sends to a rank that it waits for
/// waits behind it (R2).
///
/// # Cancellation
///
/// Dropped while it waits, some ranks have been sent the message and some have not; by a tree, none have, unless each
/// has a message of its own and these are more than 1 MiB together: they go in several parts. By a tree it may also be that
/// room was found in that very moment: what the caster of the process has begun to send since this was polled last goes to
/// all ranks, and nobody is told. Whoever must know whether it was sent polls it to its end, and bounds that by
/// [`within`](Self::within), and not by dropping it: what ends so was sent to those that are not named, and to no other.
#[must_use = "nothing is sent before it is awaited"]
pub struct MeshCast<M: Message> {
    state: State<M>,
    within: Duration,
}

enum State<M: Message> {
    Unsent(Option<(Target, Content<M>)>),
    Sent(Pin<Box<dyn Future<Output = NotSent> + Send>>),
}

impl<M: Message> MeshCast<M> {
    pub(crate) fn new(target: Target, content: Content<M>) -> Self {
        let within = target.call_within();
        Self { state: State::Unsent(Some((target, content))), within }
    }

    /// How long to wait for room, instead of
    /// [`ProcConfig::call_within`](mesh_runtime::ProcConfig::call_within). A rank that has none by then was not sent
    /// the message, and is named ([`RankError::NoRoom`]); by a tree nothing is sent to any, and all are told which have none
    /// (of a large scatter those of the parts that were not sent). By a tree a few small casts
    /// are taken before it is known whether there is room, which is kept
    /// for them: they are sent, and if they cannot be after all they come back.
    pub const fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }
}

impl<M> Future for MeshCast<M>
where
    M: Message<Reply: Serialize + DeserializeOwned> + Clone + Serialize + DeserializeOwned + Sync,
{
    type Output = NotSent;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<NotSent> {
        let cast = self.get_mut();
        loop {
            match &mut cast.state {
                State::Sent(sent) => return sent.as_mut().poll(cx),
                State::Unsent(unsent) => {
                    // It is there: it is taken once, and then it is sent.
                    let Some((target, content)) = unsent.take() else { return Poll::Pending };
                    cast.state = State::Sent(Box::pin(send(target, content, cast.within)));
                }
            }
        }
    }
}

// Nothing in it is pinned where it stands.
impl<M: Message> Unpin for MeshCast<M> {}

/// Sends to every rank that is there.
async fn send<M>(target: Target, content: Content<M>, within: Duration) -> NotSent
where
    M: Message<Reply: Serialize + DeserializeOwned> + Clone + Serialize + DeserializeOwned + Sync,
{
    let deadline = deadline_after(within);
    let mut table = target.view.watch();
    let known = timeout_at(deadline, target.known_in_line(&mut table, deadline)).await;
    let Ok((Some(known), place)) = known else {
        let error = target.unsent(&table, within);
        let all = target.ranks().map(|(rank, _)| (rank, error.clone()));
        return NotSent::told::<M>(all, &target.from);
    };
    let roster = target.view.roster(&known);
    let (found, missing) = target.find(&roster);
    let mut not_sent = SoFar::<M>::new(missing, &target.from);
    if !content.is_taken(&target.from) {
        let not_taken = RankError::NotTaken { actor: content.actor, message: M::NAME };
        not_sent.extend(found.into_iter().map(|it| (it.rank, not_taken.clone())));
        return not_sent.all();
    }
    if let Some(caster) = &target.caster {
        let (casts, too_large) = down::casts(&target, &known, &content.messages);
        let n_bytes = |base: Rank| {
            let own = too_large.iter().find(|(ranks, _)| ranks.contains(&base.index()));
            own.map(|(_, n_bytes)| *n_bytes)
        };
        // They are told of, whatever becomes of the others.
        let unfit =
            found.iter().filter_map(|it| Some((it.rank, down::too_large(n_bytes(it.base)?))));
        not_sent.extend(unfit);
        // Below this rank of the mesh all have been sent theirs.
        let n_sent = AtomicUsize::new(0);
        let sent = down::cast(caster, table, (casts, deadline), &n_sent).await;
        let error = sent.err().map(|error| {
            let ended = RankError::Undelivered(WhyUndelivered::Ended);
            RankError::of_cast(&error, &target.region, within).unwrap_or(ended)
        });
        if let Some(error) = error {
            let n_sent = n_sent.into_inner();
            let unsent = found.into_iter().filter(|it| it.base.index() >= n_sent);
            let unsent = unsent.filter(|it| n_bytes(it.base).is_none());
            not_sent.extend(unsent.map(|it| (it.rank, error.clone())));
        }
        return not_sent.all();
    }
    let (ways, seats) = target.ways(&found);
    let mut letters = Letters::new(content, &target.from);
    let mut legs = FuturesUnordered::new();
    for (to, way) in found.into_iter().zip(ways) {
        let Some(letter) = letters.cast((to.rank, way), &target.from) else { continue };
        let (target, opening) = (&target, Opening::new(to, way, seats.as_ref()));
        let sent = async move {
            target.open(&opening).await;
            letter.cast_told(&target.from, PortRef::of(opening.actor)).await
        };
        let until = (target.pair(Some(to.seated)), deadline);
        match target.view.lines.cast(until, sent).await {
            Ok(sent) => {
                not_sent.extend(sent.err().map(|why| (to.rank, RankError::Undelivered(why))));
            }
            Err(waits) => {
                legs.push(async move { (to.rank, timeout_at(deadline, waits).await) });
            }
        }
    }
    // What comes behind it finds with each rank what still waits.
    drop(place);
    while let Some((rank, sent)) = legs.next().await {
        let error = match sent {
            Ok(sent) => sent.err().map(RankError::Undelivered),
            Err(_late) => Some(RankError::NoRoom { ranks: RankSet::from_ranks([rank]), within }),
        };
        not_sent.extend(error.map(|error| (rank, error)));
    }
    not_sent.all()
}

impl<M: Message> fmt::Debug for MeshCast<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeshCast").field("within", &self.within).finish_non_exhaustive()
    }
}
