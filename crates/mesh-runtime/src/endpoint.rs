//! What can be found by an address, whatever its type.

use std::any::Any;
use std::future::Future;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::Arc;

use mesh_core::PortId;

use crate::actor::Stop;
use crate::undelivered::{Undelivered, WhyUndelivered};

/// An actor, or a queue that somebody reads.
pub(crate) trait Endpoint: Send + Sync {
    /// Its number in its process.
    fn index(&self) -> NonZeroU64;

    /// Its name.
    fn name(&self) -> &str;

    /// Takes a [`Letter`](crate::letter::Letter) whose message is of the type that `port` stands for.
    fn deliver(&self, port: PortId, letter: Box<dyn Any + Send>) -> Result<(), Rejected>;

    /// Ends when there is room for another letter, or will never be.
    fn room(self: Arc<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>>;

    /// A message that it has sent comes back.
    fn returned(&self, undelivered: Undelivered);

    /// Asks it to end.
    fn stop(&self, how: Stop);
}

/// A letter that was not taken. It comes back.
pub(crate) enum Rejected {
    /// There is no room now.
    Full(Box<dyn Any + Send>),
    /// It will not be taken.
    Never(WhyUndelivered, Box<dyn Any + Send>),
}
