//! `Letters`: what is sent to each rank.

use std::sync::Arc;

use mesh_core::Message;
use mesh_runtime::Broadcast;
use mesh_shape::Rank;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What is sent.
pub(crate) enum Content<M> {
    /// The same to all.
    Same(M),
    /// To each rank its own, in their order.
    Each(Vec<M>),
}

/// The same, as it goes to each directly: what is the same for all is encoded once.
pub(super) enum Letters<M> {
    Same(Arc<Broadcast<M>>),
    Each(Vec<Option<M>>),
}

impl<M> Letters<M>
where
    M: Message<Reply: Serialize + DeserializeOwned> + Clone + Serialize + DeserializeOwned + Sync,
{
    pub(super) fn new(content: Content<M>) -> Self {
        match content {
            Content::Same(message) => Self::Same(Arc::new(Broadcast::new(message))),
            Content::Each(each) => Self::Each(each.into_iter().map(Some).collect()),
        }
    }

    /// What is for a rank. What is for it alone can be taken once.
    pub(super) fn take(&mut self, rank: Rank) -> Option<Arc<Broadcast<M>>> {
        match self {
            Self::Same(message) => Some(Arc::clone(message)),
            Self::Each(each) => {
                let message = each.get_mut(rank.index())?.take()?;
                Some(Arc::new(Broadcast::new(message)))
            }
        }
    }
}
