//! `MeshReduce` and `Reduced`: calling many for one answer.

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use mesh_cast::Kind;
use mesh_core::Message;
use mesh_runtime::{Wakes, caught};
use mesh_shape::{Overlay, RankSet};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Target;
use super::asking::{Asking, Next, Telling};
use super::letters::Content;
use crate::rank_error::RankError;
use crate::reducer::{Reducer, id_of};

/// What many have replied, merged into one.
#[derive(Clone, Debug, PartialEq)]
pub struct Reduced<T> {
    /// What those of [`ranks`](Self::ranks) replied, merged; `None` if nobody has replied.
    pub value: Option<T>,
    /// The ranks whose replies are in it, each once.
    pub ranks: RankSet,
    /// Why the others are not.
    pub failed: Overlay<RankError>,
}

/// Not every rank has replied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} not replied: {}", of_ranks(failed, ("has", "have")), first(failed))]
pub struct Incomplete {
    /// Why each of them has not.
    pub failed: Overlay<RankError>,
}

/// How many of the ranks, with the verb for one or for several.
pub(super) fn of_ranks(some: &Overlay<RankError>, (one, several): (&str, &str)) -> String {
    let n = some.iter().count();
    format!("{n} of the ranks {}", if n == 1 { one } else { several })
}

pub(super) fn first(failed: &Overlay<RankError>) -> String {
    let first = failed.iter().next();
    first.map_or_else(String::new, |(rank, error)| format!("rank {rank}: {error}"))
}

impl<T> Reduced<T> {
    /// The value, if every rank is in it; `None` in it if there are no ranks.
    ///
    /// # Errors
    ///
    /// [`Incomplete`] names those that are not.
    pub fn complete(self) -> Result<Option<T>, Incomplete> {
        if self.failed.is_empty() {
            Ok(self.value)
        } else {
            Err(Incomplete { failed: self.failed })
        }
    }
}

/// A call of many whose replies are merged on their way; sent when it is first polled.
///
/// # Cancellation
///
/// Dropped, the actors that have not begun to handle the message need not.
#[must_use = "nothing is sent before it is awaited"]
pub struct MeshReduce<M: Message, R> {
    state: State<M>,
    within: Duration,
    by: PhantomData<fn(R)>,
}

enum State<M: Message> {
    Unsent(Option<(Target, Content<M>)>),
    Sent(Pin<Box<dyn Future<Output = Reduced<M::Reply>> + Send>>),
}

impl<M: Message, R> MeshReduce<M, R> {
    pub(crate) fn new(target: Target, content: Content<M>) -> Self {
        let within = target.call_within();
        Self { state: State::Unsent(Some((target, content))), within, by: PhantomData }
    }

    /// How long to wait for the replies, instead of
    /// [`ProcConfig::call_within`](mesh_runtime::ProcConfig::call_within).
    ///
    /// What a process has gathered from those below it goes up when all of them are answered for. So if one rank below
    /// a process is late, none of those below that process are in the value.
    pub const fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }
}

impl<M, R> Future for MeshReduce<M, R>
where
    M: Message<Reply: Serialize + DeserializeOwned> + Clone + Serialize + DeserializeOwned + Sync,
    R: Reducer<M::Reply>,
{
    type Output = Reduced<M::Reply>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Reduced<M::Reply>> {
        let call = self.get_mut();
        loop {
            match &mut call.state {
                State::Sent(reduced) => return reduced.as_mut().poll(cx),
                State::Unsent(unsent) => {
                    // It is there: it is taken once, and then it is sent.
                    let Some((target, content)) = unsent.take() else { return Poll::Pending };
                    call.state =
                        State::Sent(Box::pin(reduce::<M, R>(target, content, call.within)));
                }
            }
        }
    }
}

// Nothing in it is pinned where it stands.
impl<M: Message, R> Unpin for MeshReduce<M, R> {}

/// Calls every rank that is there, and merges what has not been merged on the way.
async fn reduce<M, R>(target: Target, content: Content<M>, within: Duration) -> Reduced<M::Reply>
where
    M: Message<Reply: Serialize + DeserializeOwned> + Clone + Serialize + DeserializeOwned + Sync,
    R: Reducer<M::Reply>,
{
    let kind = Kind::Reduce(id_of::<R, M::Reply>());
    let telling = Telling::Each(Wakes::AtTheEnd);
    let region = Arc::clone(&target.region);
    let mut asking = Asking::begin(target, content, (kind, within), telling).await;
    let (mut parts, mut ranks, mut failed) = (Vec::new(), RankSet::new(), Overlay::new());
    while let Some(next) = asking.next().await {
        match next {
            Next::One(rank, Ok(reply)) => {
                let one = RankSet::from(rank.index()..rank.index() + 1);
                ranks = ranks.union(&one);
                parts.push((region.base_rank(rank), reply));
            }
            Next::One(rank, Err(error)) => failed.insert(rank.index()..rank.index() + 1, error),
            Next::Merged(some, value) => {
                ranks = ranks.union(&some);
                parts.push((some.iter().filter_map(|rank| region.base_rank(rank)).min(), value));
            }
        }
    }
    // As on the way: in the order of the mesh, whatever that of the slice is.
    parts.sort_by_key(|(first, _)| *first);
    let merge = || parts.into_iter().map(|(_, value)| value).reduce(R::merge);
    let value = match caught(merge) {
        Ok(value) => value,
        Err(panicked) => {
            let why: Arc<str> = panicked.to_string().into();
            for run in ranks.runs() {
                failed.insert(run, RankError::NotMerged { why: Arc::clone(&why) });
            }
            return Reduced { value: None, ranks: RankSet::new(), failed };
        }
    };
    // What is merged cannot be taken apart, whatever was said of a rank before.
    let is_out =
        |(rank, error): (_, &RankError)| (!ranks.contains(rank)).then(|| (rank, error.clone()));
    let failed = failed.iter().filter_map(is_out).collect();
    Reduced { value, ranks, failed }
}

impl<M: Message, R> fmt::Debug for MeshReduce<M, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeshReduce").field("within", &self.within).finish_non_exhaustive()
    }
}
