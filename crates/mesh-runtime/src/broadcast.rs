//! One message for many.

use std::fmt;
use std::sync::OnceLock;

use bytes::Bytes;
use mesh_core::{Body, EncodeError, Fault, Message, PortRef, WhyUndelivered};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::{self, Outgoing};
use crate::port::{call_here, cast_here, cast_here_told};
use crate::sender::{Origin, Sender};
use crate::undelivered::Undelivered;

mod answers;
mod near;

pub use crate::gather::{Placed, Wakes};
pub(crate) use answers::Gathers;
pub use answers::{Answers, Callees};
pub use near::{Near, Post, WayTo};

/// One message for many: encoded at most once, however many processes it goes to, and cloned for each
/// receiver in this one, where nothing is encoded.
///
/// # Examples
///
/// ```
/// use mesh_core::{Message, PortRef};
/// use mesh_runtime::{Broadcast, Proc};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Clone, Serialize, Deserialize)]
/// struct News(String);
///
/// impl Message for News {
///     const NAME: &'static str = "doc.News";
///     type Reply = ();
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let proc = Proc::local()?;
/// let mut readers = [proc.open_port::<News>(1), proc.open_port::<News>(1)];
/// let news = Broadcast::new(News("it rains".to_owned()));
/// for reader in &readers {
///     news.cast(&proc, reader.port()).await;
/// }
/// for reader in &mut readers {
///     assert_eq!(reader.recv().await.0, "it rains");
/// }
/// # Ok(())
/// # }
/// ```
pub struct Broadcast<M> {
    message: M,
    bytes: OnceLock<Result<Bytes, EncodeError>>,
    /// It goes as it is to those who are in this program.
    is_near: bool,
}

impl<M> Broadcast<M>
where
    M: Message<Reply: Serialize + DeserializeOwned> + Clone + Serialize + DeserializeOwned + Sync,
{
    /// The message, not encoded yet.
    #[must_use]
    pub const fn new(message: M) -> Self {
        Self { message, bytes: OnceLock::new(), is_near: false }
    }

    /// The same for those who are [near](crate::Near): it is cloned for each, and not encoded for them either.
    #[must_use]
    pub const fn for_near(message: M) -> Self {
        Self { message, bytes: OnceLock::new(), is_near: true }
    }

    /// The message.
    pub const fn message(&self) -> &M {
        &self.message
    }

    /// Its bytes, as they go to other processes; `None` if it cannot be encoded.
    #[must_use]
    pub fn bytes(&self) -> Option<Bytes> {
        self.bytes.get_or_init(|| codec::encode(M::NAME, &self.message)).clone().ok()
    }

    /// Sends it to one of the many, and waits while there is no room for it, as
    /// [`Port::cast`](crate::Port::cast).
    pub fn cast<S: Sender>(
        &self,
        from: &S,
        to: PortRef<M>,
    ) -> impl Future<Output = ()> + Send + use<'_, M, S> {
        let Origin { proc, actor } = from.origin();
        let proc = proc.clone();
        async move {
            if to.actor().peer() == proc.peer() {
                return cast_here(&proc, to, actor, (self.message.clone(), |_, _| ())).await;
            }
            match self.body() {
                Ok(body) => proc.cast_away(to, actor, body).await,
                Err(why) => {
                    let from = actor.map(|actor| proc.actor_id(actor));
                    let message = self.message.clone();
                    proc.give_back(Undelivered::here((from, to.actor()), M::NAME, why, message));
                }
            }
        }
    }

    /// Sends it to one of the many, as [`cast`](Self::cast) does; but what cannot be sent comes back to nobody: it is for
    /// whoever sends it to count, to log, and to tell of (R3). What is sent and not handled then comes back as ever.
    ///
    /// # Errors
    ///
    /// Why it was not sent.
    pub fn cast_told<S: Sender>(
        &self,
        from: &S,
        to: PortRef<M>,
    ) -> impl Future<Output = Result<(), WhyUndelivered>> + Send + use<'_, M, S> {
        let Origin { proc, actor } = from.origin();
        let proc = proc.clone();
        async move {
            if to.actor().peer() == proc.peer() {
                return cast_here_told(&proc, to, actor, self.message.clone()).await;
            }
            proc.cast_away_told(to, actor, self.body()?).await
        }
    }

    /// Sends it to one of the many and waits for the answer, for as long as that takes: whoever calls many
    /// has one deadline for all of them.
    ///
    /// # Errors
    ///
    /// Why there is no answer.
    pub fn call<S: Sender>(
        &self,
        from: &S,
        to: PortRef<M>,
    ) -> impl Future<Output = Result<M::Reply, Fault>> + Send + use<'_, M, S> {
        let proc = from.origin().proc.clone();
        async move {
            if to.actor().peer() == proc.peer() {
                return call_here(&proc, to, self.message.clone()).await;
            }
            let body = self.body().map_err(Fault::Undelivered)?;
            proc.call_away(to, body).await
        }
    }

    /// Its bytes, which all share.
    fn body(&self) -> Result<Body, WhyUndelivered> {
        if self.is_near {
            return Ok(Body::Value(Box::new(Outgoing(self.message.clone()))));
        }
        let encoded = self.bytes.get_or_init(|| codec::encode(M::NAME, &self.message));
        match encoded {
            Ok(bytes) => Ok(Body::Bytes(bytes.clone())),
            Err(error) => {
                tracing::error!(%error, "a message cannot be encoded");
                Err(WhyUndelivered::Malformed)
            }
        }
    }
}

impl<M: Message> fmt::Debug for Broadcast<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broadcast").field("name", &M::NAME).finish_non_exhaustive()
    }
}
