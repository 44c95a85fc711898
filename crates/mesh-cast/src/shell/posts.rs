//! `Posts`: what goes to other processes, each in a queue of its own.
//!
//! A machine never waits for a peer: two that waited for each other's room would wait for ever. So a queue has
//! no bound of its own. It holds no more than the windows of the casters that send by it, one answer for each
//! of their legs, and what is new of these; and it is dropped with the session, which every peer that does not
//! read loses. But not what answers: whoever waits for it may have lost the session before, and have asked again by the next
//! one; then there is no other word of it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mesh_core::{ActorId, MeshId, Message, PeerId};
use mesh_runtime::{Context, Handler, Proc};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::carrier::Carrier;
use super::message::{Back, BackIsOver, LegName, Payload, Up};
use super::pieces::Queue;
use super::table::Table;
use crate::wire::{Leg, Settlement};

/// One thing that is sent.
pub(super) enum Parcel {
    /// At least one, in their order.
    Legs(Way, Vec<Leg<Payload>>),
    Answer(ActorId, Box<Up>),
    Word(Way, Box<Settlement>),
    /// A process has heard word of a mesh whose table it does not know.
    Forgot(ActorId, MeshId),
    /// The process does not know the table of a mesh, whatever it was told.
    TellAgain(MeshId),
    /// Something goes back: to a relay, by a way, or to a caster.
    Back(ActorId, Option<Way>, Box<Back>),
    /// What somebody has passed on by that number is over, or stuck.
    BackIsOver(ActorId, BackIsOver),
}

impl Parcel {
    /// The way that it needs, and that could be opened.
    pub(super) const fn way(&self) -> Option<&Way> {
        match self {
            Self::Legs(way, _) | Self::Word(way, _) => Some(way),
            Self::Back(_, way, _) => way.as_ref(),
            Self::Answer(..) | Self::Forgot(..) | Self::BackIsOver(..) | Self::TellAgain(_) => None,
        }
    }

    /// Whether somebody may wait for it who has lost the session long since.
    pub(super) const fn is_answer(&self) -> bool {
        matches!(self, Self::Answer(..) | Self::BackIsOver(..))
    }

    const fn to(&self) -> Option<ActorId> {
        match self {
            Self::Legs(way, _) | Self::Word(way, _) => Some(way.relay),
            Self::Answer(to, _)
            | Self::Forgot(to, _)
            | Self::Back(to, ..)
            | Self::BackIsOver(to, _) => Some(*to),
            Self::TellAgain(_) => None,
        }
    }
}

/// The way to a relay.
#[derive(Clone, Debug)]
pub(super) struct Way {
    pub(super) relay: ActorId,
    /// What it must know first, and who knows where it is.
    pub(super) table: Arc<Table>,
}

/// Something could not be sent: there is no way to its process.
pub(super) enum NotSent {
    Legs(Vec<LegName>),
    Word(Box<Settlement>),
    /// To whom, and by which number.
    Back(ActorId, u64),
}

impl Message for NotSent {
    const NAME: &'static str = "meshwarden.CastNotSent";
    type Reply = ();
}

/// One queue for each process.
pub(super) struct Posts {
    queue: Queue,
    posts: BTreeMap<PeerId, Post>,
    /// How many queues there have been.
    n_posts: u64,
    /// Those that were lost, and have answers that are not sent yet. Each of these is sent, or comes back, at once or when
    /// another session is lost.
    lost: Vec<Post>,
}

struct Post {
    queue: mpsc::UnboundedSender<Posted>,
    carrier: AbortHandle,
    /// Only what answers is still to be sent.
    is_lost: Arc<AtomicBool>,
    /// A clone for each parcel that is not sent yet.
    busy: Arc<()>,
    /// To whom something was sent last.
    to: Option<ActorId>,
}

/// A parcel, and that it is not sent.
pub(super) struct Posted {
    pub(super) parcel: Parcel,
    pub(super) _busy: Arc<()>,
}

impl Drop for Post {
    fn drop(&mut self) {
        self.carrier.abort();
    }
}

impl Posts {
    pub(super) const fn new(queue: Queue) -> Self {
        Self { queue, posts: BTreeMap::new(), n_posts: 0, lost: Vec::new() }
    }

    /// Sends something to a process, behind all that was sent there before.
    pub(super) fn send<A>(&mut self, to: PeerId, parcel: Parcel, cx: &Context<A>)
    where
        A: Handler<NotSent>,
    {
        let post = self.posts.entry(to).or_insert_with(|| {
            let (queue, parcels) = mpsc::unbounded_channel();
            let is_lost = Arc::<AtomicBool>::default();
            self.n_posts += 1;
            let queue_id = (self.queue, self.n_posts);
            let carrier = Carrier::new(cx.me().clone(), cx.deputy(), queue_id);
            let carry = carrier.run(parcels, Arc::clone(&is_lost));
            let carrier = cx.proc().runtime().spawn(carry).abort_handle();
            Post { queue, carrier, is_lost, busy: Arc::default(), to: None }
        });
        post.to = parcel.to().or(post.to);
        let posted = Posted { parcel, _busy: Arc::clone(&post.busy) };
        // It ends with the queue.
        _ = post.queue.send(posted).is_ok();
    }

    /// A process has forgotten the table of a mesh, as those do that hear nothing for long.
    pub(super) fn tell_again(&self, to: PeerId, mesh: MeshId) {
        if let Some(post) = self.posts.get(&to) {
            let posted = Posted { parcel: Parcel::TellAgain(mesh), _busy: Arc::clone(&post.busy) };
            _ = post.queue.send(posted).is_ok();
        }
    }

    /// The session with a process was lost. What was to be sent by it is not sent, unless it answers something.
    pub(super) fn lose(&mut self, peer: PeerId) {
        self.lost.retain(|post| !post.is_idle());
        if let Some(post) = self.posts.remove(&peer).filter(|post| !post.is_idle()) {
            post.is_lost.store(true, Ordering::Release);
            self.lost.push(post);
        }
    }

    /// Forgets the processes that there is no way to any more, and nothing to be sent: of those that have ended
    /// nobody says so again.
    pub(super) fn sweep(&mut self, proc: &Proc) {
        self.lost.retain(|post| !post.is_idle());
        self.posts
            .retain(|_, post| !post.is_idle() || post.to.is_some_and(|to| proc.has_way_to(to)));
    }

    /// Whether nothing is to be sent.
    pub(super) fn is_idle(&self) -> bool {
        self.posts.values().all(Post::is_idle)
    }

    /// Whether there is nothing to send to that process.
    pub(super) fn is_idle_to(&self, peer: PeerId) -> bool {
        self.posts.get(&peer).is_none_or(Post::is_idle)
    }

    /// Forgets all that have nothing to send.
    pub(super) fn sweep_idle(&mut self) {
        self.lost.retain(|post| !post.is_idle());
        self.posts.retain(|_, post| !post.is_idle());
    }
}

impl Post {
    fn is_idle(&self) -> bool {
        Arc::strong_count(&self.busy) == 1
    }
}

impl fmt::Debug for Posts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.posts.keys()).finish()
    }
}

#[cfg(test)]
mod tests;
