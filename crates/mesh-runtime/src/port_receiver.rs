//! Ports that are no actor's: queues that somebody reads.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use mesh_core::{Body, Fault, Message, PortId, PortRef, WhyUndelivered};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::actor::Stop;
use crate::endpoint::{Away, Endpoint, Rejected, Room};
use crate::handlers::open;
use crate::letter::{AnyLetter, Letter, Sealed};
use crate::mailbox::{Mailbox, Refused, WaitFor};
use crate::proc::Proc;
use crate::undelivered::Undelivered;

/// The reading end of a port that is no actor's: a queue for messages of type `M`.
///
/// Made by [`Proc::open_port`]. Its port is gone when it is dropped.
pub struct PortReceiver<M: Message> {
    queue: Arc<Queue<M>>,
    /// What was taken from the queue and not read yet.
    batch: VecDeque<Mail<M>>,
    port: PortRef<M>,
    proc: Proc,
}

/// The queue. It has no control lane: nothing overtakes its messages.
struct Queue<M: Message> {
    index: NonZeroU64,
    mailbox: Mailbox<VecDeque<Mail<M>>, Infallible>,
}

/// A message, from this process or another one, and since when it waits.
struct Mail<M: Message> {
    since: Instant,
    content: Content<M>,
}

enum Content<M: Message> {
    Letter(Box<Letter<M>>),
    Sealed(Box<Sealed<M>>),
}

impl Proc {
    /// A port that is no actor's: what is sent to it is queued for whoever has the receiver, `capacity`
    /// messages at most, and at least one. Calls get no answer from it.
    pub fn open_port<M>(&self, capacity: usize) -> PortReceiver<M>
    where
        M: Message<Reply: Serialize> + Serialize + DeserializeOwned,
    {
        let index = self.next_index();
        let queue = Arc::new(Queue { index, mailbox: Mailbox::new(capacity) });
        self.list(Arc::clone(&queue) as Arc<dyn Endpoint>);
        let port = PortRef::of(self.actor_id(index));
        PortReceiver { queue, batch: VecDeque::new(), port, proc: self.clone() }
    }
}

impl<M: Message> PortReceiver<M> {
    /// The address to send to.
    #[must_use]
    pub const fn port(&self) -> PortRef<M> {
        self.port
    }

    /// The next message. It comes from whoever has the address, so it may never come.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    pub async fn recv(&mut self) -> M {
        self.recv_with_wait().await.0
    }

    /// The next message, and how long it has waited here to be read.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    pub async fn recv_with_wait(&mut self) -> (M, Duration) {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// The next message, if it is here.
    pub fn try_recv(&mut self) -> Option<M> {
        self.take().map(|(message, _)| message)
    }

    fn take(&mut self) -> Option<(M, Duration)> {
        loop {
            if self.batch.is_empty() && self.queue.mailbox.has_data() {
                self.queue.mailbox.take(&mut self.batch, 0);
            }
            let mail = self.batch.pop_front()?;
            self.queue.mailbox.release(1);
            let waited = mail.since.elapsed();
            if let Some(message) = self.read(mail.content) {
                return Some((message, waited));
            }
        }
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<(M, Duration)> {
        loop {
            if let Some(message) = self.take() {
                return Poll::Ready(message);
            }
            if !self.queue.mailbox.sleep(WaitFor::Anything, cx.waker(), 0) {
                return Poll::Pending;
            }
        }
    }

    /// What came from another process is decoded now; what is no such message goes back.
    fn read(&self, content: Content<M>) -> Option<M> {
        match content {
            Content::Letter(letter) => Some(letter.message),
            Content::Sealed(sealed) => match (*sealed).unseal() {
                Ok(letter) => Some(letter.message),
                Err(sealed) => {
                    sealed.malformed(&self.proc, self.port.actor());
                    None
                }
            },
        }
    }
}

impl<M: Message> Drop for PortReceiver<M> {
    /// What has not been read goes back to who sent it.
    fn drop(&mut self) {
        self.proc.unlist(self.queue.index);
        let (mut unread, _) = self.queue.mailbox.abandon();
        self.batch.append(&mut unread);
        let (why, to) = (WhyUndelivered::Ended, self.port.actor());
        for mail in self.batch.drain(..) {
            mail.into_letter().undelivered(&self.proc, to, why, Fault::Undelivered(why));
        }
    }
}

impl<M: Message> fmt::Debug for PortReceiver<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PortReceiver").field("port", &self.port).finish_non_exhaustive()
    }
}

impl<M: Message> Mail<M> {
    /// The letter as mail for a queue of its type; any other one comes back.
    fn from_letter(letter: Box<dyn AnyLetter>) -> Result<Self, Box<dyn AnyLetter>> {
        if letter.as_any().is::<Letter<M>>() {
            return match letter.into_any().downcast() {
                Ok(letter) => Ok(Self::now(Content::Letter(letter))),
                Err(_) => unreachable!("it was looked at"),
            };
        }
        if letter.as_any().is::<Sealed<M>>() {
            return match letter.into_any().downcast() {
                Ok(sealed) => Ok(Self::now(Content::Sealed(sealed))),
                Err(_) => unreachable!("it was looked at"),
            };
        }
        Err(letter)
    }

    fn now(content: Content<M>) -> Self {
        Self { since: Instant::now(), content }
    }

    fn into_letter(self) -> Box<dyn AnyLetter> {
        match self.content {
            Content::Letter(letter) => letter,
            Content::Sealed(sealed) => sealed,
        }
    }
}

impl<M> Endpoint for Queue<M>
where
    M: Message<Reply: Serialize> + Serialize + DeserializeOwned,
{
    fn index(&self) -> NonZeroU64 {
        self.index
    }

    fn name(&self) -> &str {
        M::NAME
    }

    fn grace(&self) -> Duration {
        Duration::ZERO
    }

    fn open(
        &self,
        port: PortId,
        body: Body,
        from: Away<'_>,
    ) -> Result<Box<dyn AnyLetter>, (WhyUndelivered, Body)> {
        if port == PortId::of::<M>() {
            open::<M>(body, from)
        } else {
            Err((WhyUndelivered::NoPort, body))
        }
    }

    fn deliver(&self, _: PortId, letter: Box<dyn AnyLetter>, room: Room) -> Result<(), Rejected> {
        let mail = match Mail::from_letter(letter) {
            Ok(mail) => mail,
            Err(letter) => {
                self.mailbox.release(usize::from(room == Room::Kept));
                return Err(Rejected::Never(WhyUndelivered::NoPort, letter));
            }
        };
        let pushed = match room {
            Room::Free => self.mailbox.try_push(mail),
            Room::Kept => self.mailbox.push_permitted(mail).map_err(Refused::Closed),
        };
        pushed.map_err(|refused| match refused {
            Refused::Full(mail) => Rejected::Full(mail.into_letter()),
            Refused::Closed(mail) => Rejected::Never(WhyUndelivered::Ended, mail.into_letter()),
        })
    }

    fn room(self: Arc<Self>) -> Pin<Box<dyn Future<Output = bool> + Send>> {
        Box::pin(async move { self.mailbox.room().await })
    }

    fn returned(&self, _: Undelivered) {}

    fn stop(&self, _: Stop) {}
}
