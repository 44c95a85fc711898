//! Casting and calling down the tree of a mesh: one message to the caster of this process, and what ranks said
//! from it.

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use mesh_cast::shell::{Cast, CasterRef, Ended, Outcomes, Payload};
use mesh_cast::{Failure, Kind, Outcome};
use mesh_core::{Fault, Message, PortId, WhyUndelivered};
use mesh_runtime::{Sender, codec};
use mesh_shape::{Overlay, Rank, RankSet};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use super::{Said, Target, find};
use crate::view::{Known, Table};

/// Sends to every rank that is there, and returns when it is on its way.
pub(super) async fn cast<M: Message + Serialize>(
    target: &Target,
    caster: &CasterRef,
    (known, mut table): (&Known, watch::Receiver<Table>),
    message: M,
) -> Result<(), Ended> {
    let Some(cast) = cast_of(target, known, Kind::Cast, &message) else {
        not_encoded::<M>(target, known);
        return Ok(());
    };
    let sent = caster.cast(cast);
    tokio::pin!(sent);
    loop {
        tokio::select! {
            biased;
            sent = &mut sent => return sent.map(drop),
            // It may wait for room because of a process that is gone.
            Ok(()) = table.changed() => {
                let known = table.borrow_and_update().known.clone();
                if let Some(known) = &known {
                    tell_gone(Some(caster), known).await;
                }
            }
        }
    }
}

/// Calls every rank that is there. What they say comes as it is known.
pub(super) fn call<'a, M>(
    target: &'a Target,
    caster: &'a CasterRef,
    known: &Known,
    message: &M,
) -> Said<'a, M::Reply>
where
    M: Message<Reply: DeserializeOwned> + Serialize,
{
    let Some(cast) = cast_of(target, known, Kind::Call, message) else {
        let fault = || Err(Fault::Undelivered(WhyUndelivered::Malformed));
        return stream::iter(target.ranks()).map(move |(rank, _)| (rank, fault())).boxed();
    };
    // One that has ended has sent it to nobody: then nothing is said.
    let sent = stream::once(caster.cast(cast)).filter_map(async |sent| sent.ok());
    let outcomes = sent.flat_map(|outcomes| stream::unfold(outcomes, next));
    let said = outcomes.flat_map(|outcomes| {
        let each: Vec<_> = outcomes.iter().map(|(base, it)| (base, it.clone())).collect();
        stream::iter(each)
    });
    let said = said.filter_map(async |(base, outcome)| {
        Some((target.region.rank_of_base(base)?, reply_of(outcome)))
    });
    said.boxed()
}

async fn next(mut outcomes: Outcomes) -> Option<(Overlay<Outcome<Bytes>>, Outcomes)> {
    let news = outcomes.recv().await?;
    Some((news, outcomes))
}

/// What one rank said, as it would have said it to this process.
fn reply_of<R: DeserializeOwned>(outcome: Outcome<Bytes>) -> Result<R, Fault> {
    match outcome {
        Outcome::Replied(bytes) => {
            codec::decode(&bytes).or(Err(Fault::Undelivered(WhyUndelivered::Malformed)))
        }
        Outcome::Failed(Failure::Fault(fault)) => Err(fault),
        Outcome::Arrived
        | Outcome::Taken
        | Outcome::Failed(Failure::Unreached(_) | Failure::Withdrawn) => {
            Err(Fault::Undelivered(WhyUndelivered::PeerLost))
        }
    }
}

/// Tells the caster of processes that have ended, by what the controller says of their ranks.
pub(super) async fn tell_gone(caster: Option<&CasterRef>, known: &Known) {
    let Some(caster) = caster else { return };
    let gone = known.gone();
    if !gone.is_empty() {
        caster.gone(gone).await;
    }
}

/// The cast, unless the message cannot be encoded.
fn cast_of<M: Message + Serialize>(
    target: &Target,
    known: &Known,
    kind: Kind,
    message: &M,
) -> Option<Cast> {
    let bytes = codec::encode(M::NAME, message);
    let bytes = bytes.inspect_err(|error| tracing::error!(%error, "a message cannot be encoded"));
    let origin = target.from.origin();
    origin.proc().will_pass_on::<M>();
    let absent = target.ranks().filter(|(_, base)| find(known, *base).is_err());
    let except: RankSet = absent.map(|(_, base)| base).collect();
    let is_whole = target.region.size() == target.region.base().size();
    let payload =
        Payload { port: PortId::of::<M>(), from: origin.actor(), except, bytes: bytes.ok()? };
    Some(Cast {
        table: known.table()?.clone(),
        region: (!is_whole).then(|| target.region.clone()),
        kind,
        name: M::NAME,
        payload,
    })
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
