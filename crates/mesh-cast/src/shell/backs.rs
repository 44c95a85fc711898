//! `Backs`: what was taken and not handled goes back to who sent it, where the processes of the two have no session
//! with each other (R3).
//!
//! It goes from relay to relay, and [`route`] decides the way: straight to the relay of the process that sent it if
//! there is a session with that, else to whom the cast came from. If that one is gone, a session is opened; a sender
//! that is no rank of the mesh is reached by its caster, which alone is known to others.
//!
//! Nobody is believed who is no relay of the mesh, and only of its ranks; and where it arrives that is looked up in
//! what this process has cast by itself ([`rolls`](super::rolls)). It never holds up what goes down and up the tree:
//! it has queues of its own, and no more room than [`Limits::back_bytes`](crate::Limits::back_bytes). What a relay holds
//! and cannot pass on is counted and logged as lost. Two losses are not: of what has half arrived when its sender is
//! lost, and of what is still to be taken over when a relay ends with its process. Where it was not handled both were
//! counted as undelivered before that.

use std::sync::Arc;

use mesh_core::{ActorId, MeshId, Message, PeerId, Plane};
use mesh_runtime::{ActorRef, Context, Handler, NoWayBack, Proc};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::AbortHandle;

use super::books::Books;
use super::message::Back;
use super::pieces::Queue;
use super::posts::{NotSent, Parcel, Posts, Way};
use super::rolls;
use super::table::Book;

/// How often something is passed on: more often than any tree is deep.
const HOPS_MAX: u8 = 32;

/// What surrounds the bytes of a message, about.
const HEAD_BYTES: usize = 256;

/// What one relay passes back.
pub(super) struct Backs {
    posts: Posts,
    room: Room,
    reader: AbortHandle,
}

/// What was not handled in this process and has no way back, and the room that it takes.
pub(super) struct Unhandled(NoWayBack, OwnedSemaphorePermit);

impl Message for Unhandled {
    const NAME: &'static str = "meshwarden.relay.Unhandled";
    type Reply = ();
}

/// Something on its way back, and the room that it takes. Dropped before it is [`done`](Self::done), it is lost,
/// counted and logged.
pub(super) struct Held {
    back: Back,
    proc: Proc,
    /// Why it is lost, unless it is sent.
    lost: Option<&'static str>,
    _room: OwnedSemaphorePermit,
}

/// How much there is room for.
#[derive(Clone)]
struct Room(Arc<Semaphore>);

/// What decides where something goes from here.
struct Station<'a> {
    me: PeerId,
    book: &'a Book,
    /// From whom the casts of its sender came last.
    parent: Option<ActorId>,
    /// By whom it does not go: it came from there, or could not be sent there.
    avoid: Option<PeerId>,
}

impl Backs {
    /// Takes over what has no way back in the process of a relay.
    pub(super) fn start<A: Handler<Unhandled>>(bytes_max: usize, cx: &Context<A>) -> Self {
        let room = Room::new(bytes_max);
        // It holds no more than mailboxes did that have ended: what is read from it must find room.
        let (watcher, unhandled) = mpsc::unbounded_channel();
        cx.proc().watch_ways_back(watcher);
        let read = read(cx.me().clone(), room.clone(), unhandled);
        let reader = cx.proc().runtime().spawn(read).abort_handle();
        Self { posts: Posts::new(Queue::Backs), room, reader }
    }

    /// Takes what somebody passes on, if that may say so, and gives it back if its sender is here. `None` if nothing
    /// is left to do.
    pub(super) fn accept(
        &self,
        back: Back,
        from: Option<ActorId>,
        books: &Books,
        proc: &Proc,
    ) -> Option<Held> {
        if back.back.to.peer() == proc.peer() {
            give_back(back, from, proc);
            return None;
        }
        let book = books.get(back.mesh);
        let is_true = from.zip(book).is_some_and(|(from, book)| book.vouches(from, back.back.of));
        if !is_true || back.back.to.plane() != Plane::User {
            refuse(&back, proc);
            return None;
        }
        self.hold(back, proc)
    }

    /// Keeps it while it is passed on, if there is room for it.
    pub(super) fn hold(&self, back: Back, proc: &Proc) -> Option<Held> {
        match self.room.take(&back.back) {
            Some(room) => Some(Held::new(back, proc, room)),
            None => {
                proc.lost_on_the_way_back(&back.back, FULL);
                None
            }
        }
    }

    /// Sends it on its way from here; `parent` and `avoid` as in a station.
    pub(super) fn pass_on<A: Handler<NotSent>>(
        &mut self,
        held: Held,
        books: &Books,
        (parent, avoid): (Option<ActorId>, Option<PeerId>),
        cx: &Context<A>,
    ) {
        let proc = cx.proc();
        let Some(book) = books.get(held.mesh()) else {
            return held.lose(NO_MESH);
        };
        let station = Station { me: proc.peer(), book, parent, avoid };
        match route((held.to().peer(), held.back.n_hops), &station, |to| proc.has_way_to(to)) {
            Ok(to) => {
                let is_relay = book.relay(to.peer()) == Some(to);
                let way = is_relay.then(|| Way { relay: to, table: Arc::clone(book.table()) });
                self.posts.send(to.peer(), Parcel::Back(to, way, Box::new(held)), cx);
            }
            Err(reason) => held.lose(reason),
        }
    }

    /// Lets go of the queues that are empty. With them it is forgotten who was told which table: one that nobody
    /// casts by any more may be forgotten there, too.
    pub(super) fn sweep(&mut self) {
        self.posts.sweep_idle();
    }
}

impl Drop for Backs {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Unhandled {
    /// It belongs to the mesh that its actor is a rank of.
    pub(super) fn of_a_mesh(self, books: &Books, proc: &Proc) -> Option<Held> {
        let Self(back, room) = self;
        match books.mesh_of(back.of) {
            Some(mesh) => Some(Held::new(Back { mesh, back, n_hops: 0 }, proc, room)),
            None => {
                proc.lost_on_the_way_back(&back, NO_MESH);
                None
            }
        }
    }
}

impl Held {
    fn new(back: Back, proc: &Proc, room: OwnedSemaphorePermit) -> Self {
        let lost = Some("whoever passed it on has ended");
        Self { back, proc: proc.clone(), lost, _room: room }
    }

    /// Who sent it.
    pub(super) const fn to(&self) -> ActorId {
        self.back.back.to
    }

    /// To which mesh.
    pub(super) const fn mesh(&self) -> MeshId {
        self.back.mesh
    }

    /// What is said to whom it is passed on to.
    pub(super) fn passed_on(&self) -> Back {
        Back { n_hops: self.back.n_hops.saturating_add(1), ..self.back.clone() }
    }

    /// It was passed on in vain.
    pub(super) fn again(mut self) -> Self {
        self.back.n_hops = self.back.n_hops.saturating_add(1);
        self
    }

    /// It is on its way.
    pub(super) fn done(mut self) {
        self.lost = None;
    }

    fn lose(mut self, reason: &'static str) {
        self.lost = Some(reason);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(reason) = self.lost {
            self.proc.lost_on_the_way_back(&self.back.back, reason);
        }
    }
}

impl Room {
    fn new(bytes_max: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes_max.min(Semaphore::MAX_PERMITS))))
    }

    /// Room for one, until that is dropped.
    fn take(&self, back: &NoWayBack) -> Option<OwnedSemaphorePermit> {
        let n_bytes = u32::try_from(back.bytes.len() + HEAD_BYTES).ok()?;
        Arc::clone(&self.0).try_acquire_many_owned(n_bytes).ok()
    }
}

/// Gives something back to its sender here, if whoever says so may: a relay of a mesh that this process has cast to,
/// of a rank of that. Anything else changes nothing.
pub(super) fn give_back(back: Back, from: Option<ActorId>, proc: &Proc) {
    let NoWayBack { to, of, .. } = back.back;
    let is_true = from.is_some_and(|from| rolls::vouches(proc, back.mesh, from, of));
    if !is_true || to.plane() != Plane::User {
        return refuse(&back, proc);
    }
    if let Err(back) = proc.give_back_here(back.back) {
        proc.lost_on_the_way_back(&back, "it has come to a process that did not send it");
    }
}

fn refuse(back: &Back, proc: &Proc) {
    proc.lost_on_the_way_back(&back.back, "whoever passes it on may not, as far as is known here");
}

/// Where something that was sent from the process `home` goes next, and that was passed on `n_hops` times.
///
/// # Errors
///
/// Why it goes nowhere.
fn route(
    (home, n_hops): (PeerId, u8),
    station: &Station<'_>,
    has_way: impl Fn(ActorId) -> bool,
) -> Result<ActorId, &'static str> {
    let Station { me, book, parent, avoid } = *station;
    if n_hops >= HOPS_MAX {
        return Err("it was passed on too often");
    }
    let may = |to: &ActorId| to.peer() != me && Some(to.peer()) != avoid;
    let is_open = |to: &ActorId| may(to) && has_way(*to);
    // Only these take what goes back.
    let is_of_it = |to: &ActorId| to.peer() == home || book.relay(to.peer()) == Some(*to);
    let at_home = book.relay(home).filter(may);
    let parent = parent.filter(|to| is_of_it(to) && is_open(to));
    let straight = at_home.filter(is_open).or(parent);
    // There a session can be opened; the others are where perhaps one is that leads on.
    let next = straight.or(at_home).or_else(|| book.relays().find(is_open));
    next.ok_or("nobody is left who could pass it on")
}

/// Reads what has no way back in this process: at once, so that no more of it waits than there is room for.
async fn read<A: Handler<Unhandled>>(
    me: ActorRef<A>,
    room: Room,
    mut unhandled: mpsc::UnboundedReceiver<NoWayBack>,
) {
    let proc = me.proc();
    while let Some(back) = unhandled.recv().await {
        match room.take(&back) {
            Some(room) => {
                if let Err(error) = me.cast(proc, Unhandled(back, room)).await {
                    proc.lost_on_the_way_back(&error.message.0, "whoever passes it on has ended");
                }
            }
            None => proc.lost_on_the_way_back(&back, FULL),
        }
    }
}

const FULL: &str = "there is no room for it";

const NO_MESH: &str = "its mesh is not known here";

#[cfg(test)]
mod tests;
