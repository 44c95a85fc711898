//! `MeshCall` and `MeshReplies`: calling many, and what they answer, all together or as it comes.

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, Stream, StreamExt};
use mesh_cast::Kind;
use mesh_core::Message;
use mesh_runtime::Wakes;
use mesh_shape::{Rank, ValueMesh};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Target;
use super::asking::{Asking, Next, Telling};
use super::letters::Content;
use crate::no_controller::NoController;
use crate::rank_error::RankError;

/// A call of many that is sent when it is first polled, and ends with one answer for each rank. As they come
/// they are told by [`replies`](Self::replies).
///
/// Of thousands in one program it is sent to some at a time, and others have their turn in between: to all of them once it
/// was polled for as long as that takes.
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
    Unsent(Target, Content<M>),
    Sent(BoxFuture<'static, Gathered<M>>),
    /// All is told.
    Over,
}

/// What all ranks have answered; `None` of those that nothing is known of.
type Gathered<M> = Vec<Option<Answer<M>>>;

/// What a rank has answered.
type Answer<M> = Result<<M as Message>::Reply, RankError>;

/// One answer for each rank.
type Answers<M> = ValueMesh<Answer<M>>;

impl<M: Message> MeshCall<M> {
    pub(crate) fn new(target: Target, content: Content<M>) -> Self {
        let within = target.call_within();
        Self { state: State::Unsent(target, content), within }
    }

    /// How long to wait for the answers, instead of
    /// [`ProcConfig::call_within`](mesh_runtime::ProcConfig::call_within).
    pub const fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }
}

impl<M> MeshCall<M>
where
    M: Message<Reply: Serialize + DeserializeOwned> + Clone + Serialize + DeserializeOwned + Sync,
{
    /// The answers as they come: of each rank one, and then nothing more. Those that have come since the last one was
    /// taken are in no order. What is told of the call itself holds for it too.
    ///
    /// Of a call that was polled before, and so is sent already, they are told when all of them are there: that is what
    /// it waits for. Of one that has told them itself none is left.
    ///
    /// # Examples
    ///
    /// ```
    /// use actor_mesh::{ActorMeshRef, RankError};
    /// # use mesh_core::Message;
    /// # use mesh_runtime::{Handler, Proc};
    /// # #[derive(Clone, serde::Serialize, serde::Deserialize)]
    /// # struct Find(String);
    /// # impl Message for Find { const NAME: &'static str = "doc.Find"; type Reply = Option<u64>; }
    ///
    /// /// Whoever finds it first; the others need not look any more.
    /// async fn first<A: Handler<Find>>(mesh: &ActorMeshRef<A>, proc: &Proc) -> Option<u64> {
    ///     let mut replies = mesh.call(proc, Find("it".to_owned())).replies();
    ///     while let Some((_rank, answer)) = replies.next().await {
    ///         if let Ok(Some(place)) = answer {
    ///             return Some(place);
    ///         }
    ///     }
    ///     None
    /// }
    /// ```
    pub fn replies(self) -> MeshReplies<M> {
        let replies = match self.state {
            State::Unsent(target, content) => Replies::Unsent(Box::new(move |within| {
                let telling = Telling::Each(Wakes::ForEach);
                let asking = Asking::begin(target, content, (Kind::Call, within), telling);
                let replies = stream::once(asking).flat_map(|asking| stream::unfold(asking, next));
                replies.boxed()
            })),
            State::Sent(gathered) => Replies::Sent(stream::once(gathered).flat_map(each).boxed()),
            State::Over => Replies::Sent(stream::empty().boxed()),
        };
        MeshReplies { replies, within: self.within }
    }
}

/// The answers of all ranks, each with its rank.
fn each<R>(
    answers: Vec<Option<Result<R, RankError>>>,
) -> impl Stream<Item = (Rank, Result<R, RankError>)> {
    let each = (0..).map(Rank::new).zip(answers.into_iter().map(known));
    stream::iter(each)
}

/// Of a rank of which nothing is known nobody said what it is.
fn known<R>(answer: Option<Result<R, RankError>>) -> Result<R, RankError> {
    answer.unwrap_or(Err(RankError::NoController(NoController::Ended)))
}

async fn next<R: DeserializeOwned + Send + 'static>(
    mut asking: Asking<R>,
) -> Option<((Rank, Result<R, RankError>), Asking<R>)> {
    loop {
        match asking.next().await? {
            Next::One(rank, answer) => return Some(((rank, answer), asking)),
            // It was not asked for.
            Next::Merged(..) => (),
        }
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
        let mut gathered = match mem::replace(&mut call.state, State::Over) {
            State::Unsent(target, content) => Box::pin(gather(target, content, call.within)),
            State::Sent(gathered) => gathered,
            // Nobody is to ask again, and whoever does is told nothing.
            State::Over => return Poll::Pending,
        };
        match gathered.as_mut().poll(cx) {
            Poll::Ready(answers) => Poll::Ready(answers.into_iter().map(known).collect()),
            Poll::Pending => {
                call.state = State::Sent(gathered);
                Poll::Pending
            }
        }
    }
}

/// Calls every rank that is there, and waits until each is answered for.
async fn gather<M>(target: Target, content: Content<M>, within: Duration) -> Gathered<M>
where
    M: Message<Reply: Serialize + DeserializeOwned + PartialEq>
        + Clone
        + Serialize
        + DeserializeOwned
        + Sync,
{
    let asking = Asking::begin(target, content, (Kind::Call, within), Telling::Together).await;
    asking.all().await
}

// Nothing in it is pinned where it stands.
impl<M: Message> Unpin for MeshCall<M> {}

impl<M: Message> fmt::Debug for MeshCall<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeshCall").field("within", &self.within).finish_non_exhaustive()
    }
}

/// What ranks answer, as it comes: of each rank one, failures among them (R1), and then nothing more. Nothing is
/// sent before it is first polled.
///
/// # Cancellation
///
/// Dropped, the actors that have not begun to handle the message need not.
#[must_use = "nothing is sent before it is polled"]
pub struct MeshReplies<M: Message> {
    replies: Replies<M>,
    within: Duration,
}

enum Replies<M: Message> {
    /// What sends it, with that deadline.
    Unsent(Box<dyn FnOnce(Duration) -> Told<M> + Send>),
    Sent(Told<M>),
}

/// The answers of ranks, as they come.
type Told<M> = BoxStream<'static, (Rank, Answer<M>)>;

impl<M: Message> MeshReplies<M> {
    /// How long to wait for the answers, from when it is first polled, instead of
    /// [`ProcConfig::call_within`](mesh_runtime::ProcConfig::call_within) or what the call was given. Once it was
    /// polled this changes nothing.
    pub const fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    /// The next answer; `None` when every rank is answered for.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    pub async fn next(&mut self) -> Option<(Rank, Answer<M>)> {
        StreamExt::next(self).await
    }
}

impl<M: Message> Stream for MeshReplies<M> {
    type Item = (Rank, Answer<M>);

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { replies, within } = self.get_mut();
        let mut told = match mem::replace(replies, Replies::Sent(stream::empty().boxed())) {
            Replies::Unsent(send) => send(*within),
            Replies::Sent(told) => told,
        };
        let next = told.poll_next_unpin(cx);
        *replies = Replies::Sent(told);
        next
    }
}

impl<M: Message> fmt::Debug for MeshReplies<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeshReplies").field("within", &self.within).finish_non_exhaustive()
    }
}
