//! Casting and calling down the tree of a mesh: messages to the caster of this process, and what ranks said
//! from it.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use mesh_cast::shell::{Body, Cast, CasterRef, MESSAGE_MAX, NotCast, Payload, Told};
use mesh_cast::{Failure, Kind, Outcome, Part};
use mesh_core::{Fault, Message, PortId, WhyUndelivered};
use mesh_runtime::{Sender, codec};
use mesh_shape::{Rank, RankSet, Region};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::asking::{AllSaid, Said};
use super::letters::Messages;
use super::{Target, find, news};
use crate::rank_error::RankError;
use crate::view::{Known, Table};

/// How many bytes of messages that differ travel together: those for a few ranks, or one large one.
const TOGETHER_BYTES: usize = 1 << 20;

/// How often a caster is told which processes have ended while something waits for it: it may have begun since to wait for
/// one of them.
pub(super) const GONE_AGAIN: Duration = Duration::from_secs(3);

/// The casts that bring every rank that is there its message, and those ranks of the mesh that it is too large for, with how
/// many bytes it has.
pub(super) fn casts<M: Message + Serialize>(
    target: &Target,
    known: &Known,
    content: &Messages<M>,
) -> (Vec<Cast>, Vec<(Range<usize>, usize)>) {
    let mut too_large = Vec::new();
    let mut casts = casts_of(target, known, Kind::Cast, content).unwrap_or_default();
    casts.retain(|cast| {
        let n_bytes = cast.payload.body.n_bytes();
        let is_fit = n_bytes <= MESSAGE_MAX;
        if !is_fit {
            too_large.push((cast.range.clone().unwrap_or(0..usize::MAX), n_bytes));
        }
        is_fit
    });
    (casts, too_large)
}

/// Why a rank is not sent a message of so many bytes.
pub(super) fn too_large(n_bytes: usize) -> RankError {
    RankError::Undelivered(WhyUndelivered::too_large(n_bytes, MESSAGE_MAX))
}

/// Sends them one after the other, and returns when all are on their way. It says meanwhile below which rank of the mesh all
/// have been sent theirs.
pub(super) async fn cast(
    caster: &CasterRef,
    mut table: watch::Receiver<Table>,
    (casts, deadline): (Vec<Cast>, Instant),
    n_sent: &AtomicUsize,
) -> Result<(), NotCast> {
    let sent = async {
        for cast in casts {
            let end = cast.range.as_ref().map_or(usize::MAX, |range| range.end);
            caster.cast_until(cast, deadline).await?;
            n_sent.store(end, Ordering::Relaxed);
        }
        Ok(())
    };
    tokio::pin!(sent);
    loop {
        tokio::select! {
            biased;
            sent = &mut sent => return sent,
            // It may wait for room because of a process that is gone.
            _ = news(&mut table, GONE_AGAIN) => {
                let known = table.borrow_and_update().known.clone();
                let gone = known.map(|known| known.gone()).unwrap_or_default();
                if !gone.is_empty() {
                    _ = timeout_at(deadline, caster.gone(gone)).await.is_ok();
                }
            }
        }
    }
}

/// Calls every rank that is there. What they say comes as it is known; and of those for whom there was no room before the
/// deadline, that they were not called.
pub(super) fn call<M>(
    target: &Arc<Target>,
    caster: &Arc<CasterRef>,
    known: &Known,
    (kind, content): (Kind, Messages<M>),
    (within, deadline): (Duration, Instant),
) -> AllSaid<M::Reply>
where
    M: Message<Reply: DeserializeOwned + Send> + Serialize,
{
    let Some(casts) = casts_of(target, known, kind, &content) else {
        let fault = || Err(Fault::Undelivered(WhyUndelivered::Malformed));
        let all: Vec<_> = target.ranks().map(|(rank, _)| Said::One(rank, fault())).collect();
        return stream::iter(all).boxed();
    };
    let caster = Arc::clone(caster);
    // One after the other, each when there is room for it.
    let sent = stream::unfold((casts.into_iter(), None), move |(mut casts, late)| {
        let caster = Arc::clone(&caster);
        async move {
            let cast = casts.next()?;
            let range = cast.range.clone();
            let sent = match &late {
                None => caster.cast_until(cast, deadline).await,
                // Then there is none for those after it either.
                Some(late) => Err(NotCast::clone(late)),
            };
            let is_late = |error: &&NotCast| matches!(error, NotCast::Late { .. });
            let late = sent.as_ref().err().filter(is_late).cloned();
            Some(((range, sent), (casts, late)))
        }
    });
    let target = Arc::clone(target);
    let said = sent.map(move |(range, sent)| match sent {
        Ok(mut told) => {
            let target = Arc::clone(&target);
            let told = stream::poll_fn(move |cx| told.poll_recv(cx));
            let said = told.flat_map(move |told| stream::iter(said_of(told, &target.region)));
            said.boxed()
        }
        Err(error) => stream::iter(unsent(&target, range, (&error, within))).boxed(),
    });
    said.flatten_unordered(None).boxed()
}

/// What is said of the ranks that something was not sent to.
fn unsent<R>(
    target: &Target,
    range: Option<Range<usize>>,
    (error, within): (&NotCast, Duration),
) -> Vec<Said<R>> {
    let Some(error) = RankError::of_cast(error, &target.region, within) else {
        // One that has ended has sent it to nobody: then nothing is said.
        return Vec::new();
    };
    let is_in = |base: &Rank| range.as_ref().is_none_or(|range| range.contains(&base.index()));
    let ranks = target.ranks().filter(|(_, base)| is_in(base));
    ranks.map(|(rank, _)| Said::NotSent(rank, error.clone())).collect()
}

/// What ranks said, in a region, as they would have said it to this process.
fn said_of<R: DeserializeOwned>(told: Told, region: &Region) -> Vec<Said<R>> {
    let malformed = || Fault::Undelivered(WhyUndelivered::Malformed);
    match told {
        Told::Outcomes(outcomes) => {
            let each = outcomes.iter().filter_map(|(base, outcome)| {
                let rank = region.rank_of_base(base)?;
                Some(match outcome {
                    Outcome::Failed(Failure::NotMerged(why)) => {
                        Said::NotMerged(rank, Arc::clone(why))
                    }
                    outcome => Said::One(rank, reply_of(outcome.clone())),
                })
            });
            each.collect()
        }
        Told::Part(Part { ranks, value }) => {
            let ranks = ranks.iter().filter_map(|base| region.rank_of_base(base));
            match codec::decode(&value) {
                Ok(value) => vec![Said::Merged(RankSet::from_ranks(ranks), value)],
                Err(_) => ranks.map(|rank| Said::One(rank, Err(malformed()))).collect(),
            }
        }
    }
}

/// What one rank said.
fn reply_of<R: DeserializeOwned>(outcome: Outcome<Bytes>) -> Result<R, Fault> {
    match outcome {
        Outcome::Replied(bytes) => {
            codec::decode(&bytes).or(Err(Fault::Undelivered(WhyUndelivered::Malformed)))
        }
        Outcome::Failed(Failure::Fault(fault)) => Err(fault),
        Outcome::Arrived
        | Outcome::Taken
        | Outcome::Merged
        | Outcome::Failed(Failure::Unreached(_) | Failure::Withdrawn | Failure::NotMerged(_)) => {
            Err(Fault::Undelivered(WhyUndelivered::PeerLost))
        }
    }
}

/// The casts: one, or some, where each rank has its own message and they are large together; none if nobody is
/// anywhere. `None` if one of the messages cannot be encoded: then none is sent, and each goes back (R3), unless it is
/// a call.
fn casts_of<M: Message + Serialize>(
    target: &Target,
    known: &Known,
    kind: Kind,
    content: &Messages<M>,
) -> Option<Vec<Cast>> {
    let origin = target.from.origin();
    origin.proc().will_pass_on::<M>();
    let encode = |message: &M| {
        let encoded = codec::encode(M::NAME, message);
        encoded.inspect_err(|error| tracing::error!(%error, "a message cannot be encoded")).ok()
    };
    let (there, absent): (Vec<_>, Vec<_>) =
        target.ranks().partition(|(_, base)| find(known, *base).is_ok());
    let absent: RankSet = absent.into_iter().map(|(_, base)| base).collect();
    let gone: RankSet = absent.iter().filter(|base| !known.ended_alone(*base)).collect();
    let bodies = match content {
        Messages::Same(message) => encode(message).map(|bytes| vec![(None, Body::Same(bytes))]),
        Messages::Each(each) => {
            let own = |(rank, base): &(Rank, Rank)| Some((*base, encode(each.get(rank.index())?)?));
            let encoded: Option<Vec<_>> = there.iter().map(own).collect();
            encoded.map(bodies_of)
        }
    };
    let Some(bodies) = bodies else {
        if kind == Kind::Cast {
            not_encoded::<M>(target, known);
        }
        return None;
    };
    // Before it is known where ranks are, none was found.
    let Some(table) = known.table() else { return Some(Vec::new()) };
    let is_whole = target.region.size() == target.region.base().size();
    let (port, from) = (PortId::of::<M>(), origin.actor());
    let casts = bodies.into_iter().map(|(range, body)| Cast {
        table: Arc::clone(table),
        region: (!is_whole).then(|| Arc::clone(&target.region)),
        range,
        kind,
        name: M::NAME,
        payload: Payload { port, from, except: absent.clone(), body },
        gone: gone.clone(),
    });
    Some(casts.collect())
}

/// Packs messages of ranks together, in their order, each pack with the range of those that it is for.
fn bodies_of(mut each: Vec<(Rank, Bytes)>) -> Vec<(Option<Range<usize>>, Body)> {
    each.sort_by_key(|(rank, _)| *rank);
    let (mut packs, mut n_bytes) = (Vec::<Vec<_>>::new(), 0);
    for (rank, bytes) in each {
        let more = bytes.len();
        match packs.last_mut() {
            Some(pack) if n_bytes + more <= TOGETHER_BYTES => {
                pack.push((rank, bytes));
                n_bytes += more;
            }
            _ => {
                packs.push(vec![(rank, bytes)]);
                n_bytes = more;
            }
        }
    }
    let body = |pack: Vec<(Rank, Bytes)>| {
        let (first, last) = (pack.first()?.0.index(), pack.last()?.0.index());
        Some((Some(first..last + 1), Body::Each(pack.into())))
    };
    packs.into_iter().filter_map(body).collect()
}

/// A message that cannot be encoded goes back, once for each rank (R3).
fn not_encoded<M: Message>(target: &Target, known: &Known) {
    let origin = target.from.origin();
    let actors = target.ranks().filter_map(|(_, base): (Rank, Rank)| find(known, base).ok());
    for (to, _) in actors {
        let why = WhyUndelivered::Malformed;
        origin.proc().not_passed_on((origin.actor(), to), M::NAME, why, Bytes::new());
    }
}
