//! What everybody who knows an actor shares: its mailbox, its name, its children, and how it ended.

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use mesh_core::{ActorId, Body, End, Failures, PeerId, PortId, Sheaf, WhyUndelivered};
use tokio::sync::{Notify, oneshot};

use crate::actor::{Actor, Stop};
use crate::endpoint::{Arrived, Away, Endpoint, NeverTaken, Rejected, Room, Waiting};
use crate::failure::Failure;
use crate::family::Family;
use crate::kind::Kind;
use crate::letter::AnyLetter;
use crate::letter::parcels::Parcels;
use crate::listing::Listing;
use crate::mailbox::{Mailbox, Refused};
use crate::name::Name;
use crate::proc::Proc;
use crate::pulse::{Names, Pulse, Watched};
use crate::undelivered::Undelivered;

/// One actor, as everybody else sees it.
// In this order: behind the counts of references what senders write for each message, what the actor writes for each, what
// is seldom touched, and what is only read. So a message touches few lines of memory, and nobody waits for lines that others
// write meanwhile.
#[repr(C)]
pub(crate) struct Shared<A: Actor> {
    pub(crate) mailbox: Mailbox<Parcels<A>, Control>,
    /// What it does at this moment.
    pub(crate) pulse: Pulse,
    family: Mutex<Family>,
    ended: Notify,
    /// How it is going to end, from when it takes no more messages.
    leaving: OnceLock<End>,
    /// How it has ended.
    end: OnceLock<End>,
    /// Whether it can be found by its address.
    listing: Listing,
    /// The actor that has no actor for a parent, and this one for a descendant; or this one itself.
    root: NonZeroU64,
    pub(crate) name: Name,
    pub(crate) index: NonZeroU64,
    pub(crate) proc: Proc,
    /// What all actors of its type share.
    pub(crate) kind: Arc<Kind<A>>,
}

/// What overtakes the messages of an actor.
#[derive(Debug)]
pub(crate) enum Control {
    /// End.
    Stop(Stop),
    /// The child in a place has ended. At most one for each child.
    ChildEnded { place: NonZeroU64, index: NonZeroU64, name: Name, end: End },
    /// The child in a place, for which others wait to be started, has been created. At most one for each life.
    ChildCreated { place: NonZeroU64 },
    /// The child in a place is to end for good. At most one for each that waits for that.
    LetGo { place: NonZeroU64 },
    /// A message of its own comes back. At most one for each that it has sent.
    Returned(Undelivered),
    /// What was attached to it failed. At most one for each attachment.
    AttachmentFailed(Failure),
    /// A mesh that it owns has failures. At most one for each mesh, which waits until it was told.
    MeshFailed(Box<Failures>, oneshot::Sender<()>),
}

/// Who is told when an actor has ended.
pub(crate) trait Parent: Send + Sync {
    /// The actor at the root of the tree that the parent is in, if it is an actor.
    fn root(&self) -> Option<NonZeroU64> {
        None
    }

    /// The constructor of the child has returned.
    fn child_created(&self) {}

    /// The child has ended, and so have its own.
    fn child_ended(&self, index: NonZeroU64, name: &Name, end: &End);

    /// The child is to end for good.
    fn let_go(&self) {}
}

impl<A: Actor> Shared<A> {
    /// A child of an actor of the tree of `root`, or else the root of its own.
    pub(crate) fn new(proc: &Proc, name: Name, root: Option<NonZeroU64>) -> Self {
        let index = proc.next_index();
        Self {
            mailbox: Mailbox::new(A::MAILBOX),
            proc: proc.clone(),
            index,
            pulse: Pulse::new(proc.watch_list()),
            root: root.unwrap_or(index),
            name,
            kind: proc.kind(),
            family: Mutex::default(),
            listing: Listing::new(),
            leaving: OnceLock::new(),
            end: OnceLock::new(),
            ended: Notify::new(),
        }
    }

    pub(crate) fn id(&self) -> ActorId {
        self.proc.actor_id(self.index)
    }

    /// Sees to it that it can be found by its address, until it has ended.
    pub(crate) fn list(self: &Arc<Self>) {
        self.listing.list(
            || self.proc.list(Arc::clone(self) as Arc<dyn Endpoint>),
            || self.proc.unlist(self.index),
        );
    }

    pub(crate) fn family(&self) -> MutexGuard<'_, Family> {
        self.family.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it is going to end, once that is known.
    pub(crate) fn leaving(&self) -> Option<&End> {
        self.end.get().or_else(|| self.leaving.get())
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.listing.has_ended()
    }

    pub(crate) fn leave(&self, end: &End) {
        _ = self.leaving.set(end.clone()).is_ok();
    }

    /// It has ended: whoever waits for that is told.
    pub(crate) fn finish(&self, end: End) {
        // First its names are free: whoever knows of the end may want them.
        self.listing.end(|| self.proc.unlist(self.index));
        _ = self.end.set(end).is_ok();
        self.ended.notify_waiters();
    }

    /// Waits until it has ended.
    pub(crate) async fn ended(&self) -> End {
        loop {
            let ended = self.ended.notified();
            if let Some(end) = self.end.get() {
                return end.clone();
            }
            ended.await;
        }
    }

    /// Gives a control message, unless nobody is there to read it.
    pub(crate) fn control(&self, control: Control) {
        // What the message is about has ended with the actor.
        _ = self.mailbox.push_control(control).is_ok();
    }
}

impl<A: Actor> Watched for Shared<A> {
    fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    fn peer(&self) -> PeerId {
        self.proc.peer()
    }

    fn index(&self) -> NonZeroU64 {
        self.index
    }

    fn root(&self) -> NonZeroU64 {
        self.root
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn type_name(&self) -> &'static str {
        A::NAME
    }

    fn n_waiting(&self) -> usize {
        self.mailbox.n_accepted()
    }

    fn names(&self) -> &Names {
        self.kind.names()
    }
}

impl<A: Actor> Parent for Shared<A> {
    fn root(&self) -> Option<NonZeroU64> {
        Some(self.root)
    }

    fn child_ended(&self, index: NonZeroU64, name: &Name, end: &End) {
        let (name, end) = (name.clone(), end.clone());
        self.control(Control::ChildEnded { place: index, index, name, end });
    }
}

impl<A: Actor> Endpoint for Shared<A> {
    fn index(&self) -> NonZeroU64 {
        self.index
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn grace(&self) -> Duration {
        A::GRACE
    }

    fn open(
        &self,
        port: PortId,
        body: Body,
        from: Away<'_>,
    ) -> Result<Box<dyn AnyLetter>, (WhyUndelivered, Body)> {
        self.kind.handlers().open(port, body, from)
    }

    fn deliver(
        &self,
        port: PortId,
        letter: Box<dyn AnyLetter>,
        room: Room,
    ) -> Result<(), Rejected> {
        let parcel = match self.kind.handlers().parcel(port, letter) {
            Ok(parcel) => parcel,
            Err(letter) => {
                // Somebody else can have the room that was kept for it.
                self.mailbox.release(usize::from(room == Room::Kept));
                return Err(Rejected::Never(WhyUndelivered::NoPort, letter));
            }
        };
        let pushed = match room {
            Room::Free => self.mailbox.try_push(parcel),
            Room::Kept => self.mailbox.push_permitted(parcel).map_err(Refused::Closed),
        };
        pushed.map_err(|refused| match refused {
            Refused::Full(parcel) => Rejected::Full(parcel),
            Refused::Closed(parcel) => Rejected::Never(WhyUndelivered::Ended, parcel),
        })
    }

    fn take_casts(&self, casts: &mut Vec<Arrived>) {
        let handlers = self.kind.handlers();
        let Some(n_room) = self.mailbox.try_room(casts.len()) else { return };
        let n = casts.iter().take(n_room).take_while(|cast| handlers.has(cast.port)).count();
        self.mailbox.release(n_room - n);
        let (taken, _) = casts.split_at_mut(n);
        if n > 0 && self.mailbox.put_permitted(|parcels| handlers.put_all(taken, parcels)) {
            // Their room is given back here: not under the lock.
            casts.drain(..n);
        }
    }

    fn take_alike(&self, port: PortId, from: Option<ActorId>, bodies: &mut Sheaf) {
        let handlers = self.kind.handlers();
        if !handlers.has(port) {
            return;
        }
        let Some(n) = self.mailbox.try_room(bodies.len()).filter(|n| *n > 0) else { return };
        self.mailbox.put_permitted(|parcels| {
            handlers.put_alike(port, (from, bodies.split_to(n)), parcels);
        });
    }

    /// All under one lock.
    fn deliver_all(&self, letters: &mut VecDeque<Waiting>, refused: &mut Vec<NeverTaken>) {
        let ended = |letter: Box<dyn AnyLetter>| (WhyUndelivered::Ended, letter);
        let Some(n) = self.mailbox.try_room(letters.len()) else {
            return refused.extend(letters.drain(..).map(|waiting| ended(waiting.letter)));
        };
        let mut parcels = Vec::with_capacity(n);
        for Waiting { port, letter, .. } in letters.drain(..n) {
            match self.kind.handlers().parcel(port, letter) {
                Ok(parcel) => parcels.push(parcel),
                Err(letter) => {
                    self.mailbox.release(1);
                    refused.push((WhyUndelivered::NoPort, letter));
                }
            }
        }
        self.mailbox.push_all_permitted(&mut parcels);
        refused.extend(parcels.into_iter().map(|parcel| ended(parcel)));
    }

    fn hold_up(&self, is_held_up: bool) {
        self.mailbox.hold_up(is_held_up);
    }

    fn room(self: Arc<Self>) -> Pin<Box<dyn Future<Output = bool> + Send>> {
        Box::pin(async move { self.mailbox.room().await })
    }

    fn returned(&self, undelivered: Undelivered) {
        self.control(Control::Returned(undelivered));
    }

    fn stop(&self, how: Stop) {
        self.control(Control::Stop(how));
    }
}
