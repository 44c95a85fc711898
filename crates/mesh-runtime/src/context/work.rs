//! What an actor has done beside its messages: futures, streams, timers, and work that blocks a thread.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_core::Stream;
use mesh_core::{Failures, Message};
use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior};

use super::Context;
use crate::actor::{Actor, Handler};
use crate::attached::{Attachment, Blocking, Cancellation};
use crate::failure::Failure;
use crate::panics::caught_async;
use crate::shared::Control;

/// All of it ends with the actor. What is sent to the actor waits for room in its mailbox, as any message does.
impl<A: Actor> Context<A> {
    /// Runs `work` beside the actor, on the same runtime. It has been dropped when an actor that stops has
    /// ended, and is dropped soon after one that is killed. If it fails or panics, so does the actor, after
    /// the message that it handles.
    pub fn attach(
        &mut self,
        work: impl Future<Output = Result<(), Failure>> + Send + 'static,
    ) -> Attachment {
        let me = Arc::clone(self.me.shared());
        let work = async move {
            if let Err(failure) = caught_async(pin!(work)).await {
                me.control(Control::AttachmentFailed(failure));
            }
        };
        let runtime = self.proc().runtime().clone();
        self.attached.get_or_insert_default().spawn(work, &runtime)
    }

    /// Runs `work` beside the actor, and sends what comes of it to the actor as a message: so a handler can
    /// begin what takes long, and others are handled meanwhile.
    ///
    /// # Examples
    ///
    /// ```
    /// # use mesh_core::Message;
    /// # use mesh_runtime::{Actor, Context, Failure, Handler};
    /// # struct Crawler;
    /// # impl Actor for Crawler {
    /// #     const NAME: &'static str = "crawler";
    /// #     type Params = ();
    /// #     async fn start(_: (), _: &mut Context<Self>) -> Result<Self, Failure> { Ok(Self) }
    /// # }
    /// # struct Visit(String);
    /// # impl Message for Visit { const NAME: &'static str = "Visit"; type Reply = (); }
    /// # struct Visited { url: String, n_bytes: usize }
    /// # impl Message for Visited { const NAME: &'static str = "Visited"; type Reply = (); }
    /// # impl Handler<Visited> for Crawler {
    /// #     async fn handle(&mut self, _: Visited, _: &mut Context<Self>) -> Result<(), Failure> { Ok(()) }
    /// # }
    /// # async fn fetch(url: &str) -> Vec<u8> { url.into() }
    /// impl Handler<Visit> for Crawler {
    ///     async fn handle(&mut self, Visit(url): Visit, cx: &mut Context<Self>) -> Result<(), Failure> {
    ///         let work = async move { (fetch(&url).await.len(), url) };
    ///         cx.pipe_to_self(work, |(n_bytes, url)| Visited { url, n_bytes });
    ///         Ok(())
    ///     }
    /// }
    /// ```
    ///
    /// # Source
    ///
    /// `pipeToSelf` of Akka.
    pub fn pipe_to_self<T, M: Message>(
        &mut self,
        work: impl Future<Output = T> + Send + 'static,
        message: impl FnOnce(T) -> M + Send + 'static,
    ) -> Attachment
    where
        A: Handler<M>,
        T: Send,
    {
        let me = self.me.clone();
        self.attach(async move {
            let message = message(work.await);
            // It may be about to end; then nobody wants it.
            _ = me.cast_from(None, message).await.is_ok();
            Ok(())
        })
    }

    /// Sends the actor a message for each item of a stream, and asks for the next item only when there was
    /// room for the last one. A stream that ends is let go of; if that matters, its last item can say so.
    pub fn attach_stream<S, M: Message>(
        &mut self,
        stream: S,
        mut message: impl FnMut(S::Item) -> M + Send + 'static,
    ) -> Attachment
    where
        A: Handler<M>,
        S: Stream<Item: Send> + Send + 'static,
    {
        let me = self.me.clone();
        self.attach(async move {
            let mut stream = pin!(stream);
            while let Some(item) = std::future::poll_fn(|cx| stream.as_mut().poll_next(cx)).await {
                if me.cast_from(None, message(item)).await.is_err() {
                    break;
                }
            }
            Ok(())
        })
    }

    /// Tells the actor the failures of a mesh that it owns: by [`on_mesh_failure`](Actor::on_mesh_failure), one after
    /// the other, also while its mailbox is full.
    pub fn watch_failures(
        &mut self,
        failures: impl Stream<Item = Failures> + Send + 'static,
    ) -> Attachment {
        let me = Arc::clone(self.me.shared());
        self.attach(async move {
            let mut all = pin!(failures);
            while let Some(some) = std::future::poll_fn(|cx| all.as_mut().poll_next(cx)).await {
                let (told, is_told) = oneshot::channel();
                me.control(Control::MeshFailed(Box::new(some), told));
                if is_told.await.is_err() {
                    break;
                }
            }
            Ok(())
        })
    }

    /// Sends itself `message` after `delay`, unless it has ended by then or the timer is cancelled.
    pub fn send_after<M: Message>(&mut self, delay: Duration, message: M) -> Attachment
    where
        A: Handler<M>,
    {
        self.pipe_to_self(tokio::time::sleep(delay), |()| message)
    }

    /// Sends itself a message every `period`, beginning after one. While there is no room in the mailbox
    /// messages are skipped.
    pub fn send_every<M: Message>(
        &mut self,
        period: Duration,
        mut message: impl FnMut() -> M + Send + 'static,
    ) -> Attachment
    where
        A: Handler<M>,
    {
        let me = self.me.clone();
        // The shortest period that tokio's timer knows, and one after which nobody is there: it would panic with
        // none, and with one that no clock can tell the end of.
        let period = period.clamp(Duration::from_millis(1), FOR_EVER);
        self.attach(async move {
            let mut ticks = tokio::time::interval_at(Instant::now() + period, period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            loop {
                ticks.tick().await;
                if me.cast_from(None, message()).await.is_err() {
                    return Ok(());
                }
            }
        })
    }

    /// Runs `work` on a thread where it may block, or compute for long: in a handler that would hold up all actors of a
    /// process whose runtime has one thread, as a worker's has. Its result can be awaited, or sent to the actor by
    /// [`pipe_to_self`](Self::pipe_to_self).
    ///
    /// A thread cannot be cut off: an actor that stops waits for `work` to return, and one that is killed
    /// leaves it behind, with a warning in the log. So long work asks now and then whether it is still wanted.
    ///
    /// # Examples
    ///
    /// ```
    /// # use mesh_core::Message;
    /// # use mesh_runtime::{Actor, Context, Failure, Handler};
    /// # struct Miner;
    /// # impl Actor for Miner {
    /// #     const NAME: &'static str = "miner";
    /// #     type Params = ();
    /// #     async fn start(_: (), _: &mut Context<Self>) -> Result<Self, Failure> { Ok(Self) }
    /// # }
    /// # struct Mine { difficulty: u64 }
    /// # impl Message for Mine { const NAME: &'static str = "Mine"; type Reply = Option<u64>; }
    /// impl Handler<Mine> for Miner {
    ///     async fn handle(&mut self, mine: Mine, cx: &mut Context<Self>) -> Result<Option<u64>, Failure> {
    ///         cx.spawn_blocking(move |cancellation| {
    ///             (1..u64::MAX)
    ///                 .take_while(|_| !cancellation.is_cancelled())
    ///                 .find(|nonce| nonce.wrapping_mul(nonce.wrapping_add(7)) % mine.difficulty == 0)
    ///         })
    ///         .await
    ///     }
    /// }
    /// ```
    pub fn spawn_blocking<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&Cancellation) -> T + Send + 'static,
    ) -> Blocking<T> {
        let runtime = self.proc().runtime().clone();
        self.attached.get_or_insert_default().spawn_blocking(work, &runtime)
    }

    /// Ends what is attached, and waits until it has been dropped.
    pub(crate) async fn end_attached(&mut self) {
        if let Some(attached) = &mut self.attached {
            attached.end().await;
        }
    }
}

/// Thirty years.
const FOR_EVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
