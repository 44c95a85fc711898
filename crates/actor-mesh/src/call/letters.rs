//! `Content` and `Letters`: what is sent to each rank.

use std::sync::Arc;

use mesh_core::Message;
use mesh_runtime::{Broadcast, Deputy, Handler, Post, ReplyTo, Sender};
use mesh_shape::Rank;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::view::Way;

/// What is sent, and how actors of the mesh are given it past their sessions.
pub(crate) struct Content<M: Message> {
    pub(super) messages: Messages<M>,
    post: Post<M>,
    /// The name of the type of the actors.
    pub(super) actor: &'static str,
}

/// What is sent.
pub(super) enum Messages<M> {
    /// The same to all.
    Same(M),
    /// To each rank its own, in their order.
    Each(Vec<M>),
}

/// The same, as it goes to each directly: what is the same for all is encoded at most once.
pub(super) struct Letters<M: Message> {
    each: Each<M>,
    /// `None` if it cannot be given to anybody past a session.
    post: Option<Post<M>>,
}

enum Each<M> {
    Same(Arc<Broadcast<M>>),
    Own(Vec<Option<M>>),
}

/// A call that is to go by a session, and where its answer goes.
pub(super) type Unsent<M> = (Arc<Broadcast<M>>, ReplyTo<<M as Message>::Reply>);

impl<M> Content<M>
where
    M: Message<Reply: Serialize + DeserializeOwned> + Serialize + DeserializeOwned,
{
    /// The same for all, who are of type `A`.
    pub(crate) fn same<A: Handler<M>>(message: M) -> Self {
        Self::of::<A>(Messages::Same(message))
    }

    /// To each rank its own, in their order, who are of type `A`.
    pub(crate) fn each<A: Handler<M>>(messages: Vec<M>) -> Self {
        Self::of::<A>(Messages::Each(messages))
    }

    /// Whether the actors take such messages by address: it is the same in every process.
    pub(super) fn is_taken(&self, from: &Deputy) -> bool {
        self.post.is_taken(from.origin().proc())
    }

    fn of<A: Handler<M>>(messages: Messages<M>) -> Self {
        Self { messages, post: Post::to::<A>(), actor: A::NAME }
    }
}

impl<M> Letters<M>
where
    M: Message<Reply: Serialize + DeserializeOwned> + Clone + Serialize + DeserializeOwned + Sync,
{
    pub(super) fn new(Content { messages, post, .. }: Content<M>, from: &Deputy) -> Self {
        let each = match messages {
            Messages::Same(message) => Each::Same(Arc::new(Broadcast::new(message))),
            Messages::Each(each) => Each::Own(each.into_iter().map(Some).collect()),
        };
        Self { each, post: Some(post).filter(|post| post.is_taken(from.origin().proc())) }
    }

    /// Whether a rank can be given what is for it past its session.
    pub(super) const fn can_give(&self, way: Way<'_>) -> bool {
        matches!((self.post, way), (Some(_), Way::Near(_)))
    }

    /// Calls a rank, if it can be given what is for it. If not, that comes back, with where the answer goes.
    pub(super) fn call(
        &mut self,
        (rank, way): (Rank, Way<'_>),
        reply: ReplyTo<M::Reply>,
    ) -> Option<Unsent<M>> {
        let (message, reply) = match (self.post, way) {
            (Some(post), Way::Near(near)) => post.call(near, self.message(rank)?, reply).err()?,
            (Some(_), Way::Behind) => (self.message(rank)?, reply),
            _ => return Some((self.take(rank)?, reply)),
        };
        Some((Arc::new(Broadcast::for_near(message)), reply))
    }

    /// Casts to a rank, if it can be given what is for it. If not, that comes back.
    pub(super) fn cast(
        &mut self,
        (rank, way): (Rank, Way<'_>),
        from: &Deputy,
    ) -> Option<Arc<Broadcast<M>>> {
        let message = match (self.post, way) {
            (Some(post), Way::Near(near)) => post.cast(from, near, self.message(rank)?).err()?,
            (Some(_), Way::Behind) => self.message(rank)?,
            _ => return self.take(rank),
        };
        Some(Arc::new(Broadcast::for_near(message)))
    }

    /// What is for a rank. What is for it alone can be taken once.
    fn message(&mut self, rank: Rank) -> Option<M> {
        match &mut self.each {
            Each::Same(message) => Some(message.message().clone()),
            Each::Own(each) => each.get_mut(rank.index())?.take(),
        }
    }

    /// The same, to be sent by a session.
    fn take(&mut self, rank: Rank) -> Option<Arc<Broadcast<M>>> {
        match &self.each {
            Each::Same(message) => Some(Arc::clone(message)),
            Each::Own(_) => self.message(rank).map(|message| Arc::new(Broadcast::new(message))),
        }
    }
}
