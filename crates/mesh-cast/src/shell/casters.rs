//! `CasterRef`: how a program casts to a mesh: by the one caster that its process has for it.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use mesh_core::{MeshId, PeerId, Plane};
use mesh_runtime::{ActorRef, Proc, TryCastError};
use mesh_shape::{Overlay, RankSet, Region};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, timeout_at};

use super::ahead::{AHEAD, Ahead};
use super::caster_actor::{CasterActor, Gone, Look};
use super::message::Payload;
use super::queue::Queue;
use super::submit::{Submit, Telling, Waiter};
use super::table::Table;
use crate::wire::{Kind, Outcome, Part};

/// The casters of a process, by mesh.
#[derive(Default)]
pub(super) struct Casters(BTreeMap<MeshId, Entry>);

struct Entry {
    /// `None` once it has ended: it keeps its process, which has this.
    actor: Option<ActorRef<CasterActor>>,
    users: Arc<Users>,
}

/// How many use a caster, and what they have submitted. One that nobody uses ends when nothing of it is on its way.
#[derive(Debug)]
pub(super) struct Users {
    n: AtomicUsize,
    /// The places for casts that are made ahead.
    places: Arc<Semaphore>,
    pub(super) queue: Queue,
}

impl Default for Users {
    fn default() -> Self {
        Self { n: AtomicUsize::new(0), places: Ahead::places(), queue: Queue::default() }
    }
}

impl Users {
    pub(super) fn is_none(&self) -> bool {
        let is_unused = self.n.load(Ordering::Acquire) == 0 && self.queue.is_empty();
        is_unused && self.places.available_permits() == AHEAD
    }
}

/// What is cast to the ranks of a region.
#[derive(Clone, Debug)]
pub struct Cast {
    /// Where they are, as far as is known here.
    pub table: Arc<Table>,
    /// The region, in ranks of the mesh as it was created; `None` is all of it.
    pub region: Option<Arc<Region>>,
    /// Of the region only ranks in this range, in the mesh as it was created; `None` is all of it.
    pub range: Option<Range<usize>>,
    /// What is wanted of them.
    pub kind: Kind,
    /// What the message is called.
    pub name: &'static str,
    /// The message.
    pub payload: Payload,
    /// Those of [`Payload::except`] whose process is not known to live.
    pub gone: RankSet,
}

/// What is told of a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// What came of it at some ranks.
    Outcomes(Overlay<Outcome<Bytes>>),
    /// What some ranks replied, merged.
    Part(Part<Bytes>),
}

/// What is told of a call, as it comes: one outcome for each rank in the end. Dropped, the call is withdrawn.
pub type Tellings = mpsc::UnboundedReceiver<Told>;

/// Why something was not cast. It was sent to nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotCast {
    /// The caster has ended, with its process.
    #[error("the caster has ended: it was not sent")]
    Ended,
    /// Its deadline has passed before there was room for it. None of the ranks is named if its caster has not come to
    /// look at it.
    #[error("there was no room for it in time{}", before(ranks))]
    Late {
        /// The ranks, of the mesh as it was created, that had no room for it, or for what the same sender has cast
        /// before: they have not taken what was cast to them, for all that the caster is told. Of those below a process that
        /// does not pass on what it was sent, as one that is suspended, it is told nothing: so they are among them.
        ranks: RankSet,
    },
    /// As many casts of its sender wait for room as may ([`Limits::waiting`](crate::Limits::waiting)): cast less, or wait
    /// for each before the next.
    #[error("too many wait for room{}", before(ranks))]
    TooMany {
        /// As above.
        ranks: RankSet,
    },
    /// As many casts of all senders of the process wait for room as may
    /// ([`Limits::waiting_in_all`](crate::Limits::waiting_in_all)), or as many of its sender as it may have of what is left
    /// for others: try again later.
    #[error("too many of all senders wait for room{}", before(ranks))]
    TooManyTogether {
        /// As above.
        ranks: RankSet,
    },
}

/// Who has not taken what was sent before, if they are known.
fn before(ranks: &RankSet) -> String {
    let have = match ranks.len() {
        0 => return String::new(),
        1 => "has",
        _ => "have",
    };
    format!(": {} {have} not taken what was sent before", ranks.in_words())
}

/// Casts from one process to one mesh and its slices. All that the process sends there goes through one caster,
/// so what one sender sends keeps its order (R2).
pub struct CasterRef {
    proc: Proc,
    mesh: MeshId,
    users: Arc<Users>,
}

impl CasterRef {
    /// The caster of `proc` for a mesh, which is started if there is none.
    #[must_use]
    pub fn of(proc: &Proc, mesh: MeshId) -> Self {
        let proc = proc.on(Plane::Control);
        let users = proc.with_slot(|casters: &mut Casters| {
            let (_, users) = casters.entry(&proc, mesh, None);
            // Not later: one that nobody uses may end at any time.
            users.n.fetch_add(1, Ordering::AcqRel);
            users
        });
        Self { proc, mesh, users }
    }

    /// Sends a message down the tree, behind all that was sent before, and returns when it is on its way: where
    /// there is no room for it, it waits. What came of a call is told by the receiver that is returned.
    ///
    /// A few small casts are taken before the caster has looked for room, which it keeps for them: who casts one after
    /// the other is not woken for each.
    ///
    /// A cast that is not taken comes back to the actor that sent it (R3); also one of those few whose caster ends
    /// before it is on its way.
    ///
    /// # Cancellation
    ///
    /// Dropped while it waits for room, nothing is sent, and its place is free. But the caster runs on another thread than
    /// whoever waits: between the moment in which it finds room and the next poll of this future the message is on its
    /// way, and dropped then, it arrives although nobody was told that it was sent. (A call is withdrawn.) Whoever must know
    /// does not drop it, but gives it a deadline: [`cast_until`](Self::cast_until) is exact.
    ///
    /// # Errors
    ///
    /// [`NotCast`], but for [`Late`](NotCast::Late).
    pub async fn cast(&self, cast: Cast) -> Result<Tellings, NotCast> {
        match self.submit(cast) {
            Ok(told) => Ok(told),
            Err(mut waiter) => {
                self.see_through(&mut waiter.telling).await.map(|()| waiter.telling.told)
            }
        }
    }

    /// The same, but waits no longer than that. Polled to its end it is exact: what is told as sent is on its way, and what
    /// is told as late was sent to nobody and never is, also if room is found in the moment of its deadline.
    ///
    /// # Cancellation
    ///
    /// As [`cast`](Self::cast).
    ///
    /// # Errors
    ///
    /// [`NotCast`].
    pub async fn cast_until(&self, cast: Cast, deadline: Instant) -> Result<Tellings, NotCast> {
        let mut waiter = match self.submit(cast) {
            Ok(told) => return Ok(told),
            Err(waiter) => waiter,
        };
        match timeout_at(deadline, self.see_through(&mut waiter.telling)).await {
            Ok(sent) => sent.map(|()| waiter.telling.told),
            Err(_) => waiter.give_up(),
        }
    }

    /// Submits something behind all that was submitted before. What is made ahead nobody need wait for.
    fn submit(&self, cast: Cast) -> Result<Tellings, Waiter<'_>> {
        let (mut submit, telling) = Submit::new(cast);
        submit.ahead = Ahead::try_new(&submit.cast, &self.proc, &self.users.places);
        let is_ahead = submit.ahead.is_some();
        let queue = &self.users.queue;
        let number = queue.push(submit);
        if !is_ahead {
            return Err(Waiter::new(telling, (queue, number)));
        }
        if self.look(None).is_none() {
            // Nobody casts it any more: what was made ahead comes back.
            drop(queue.take());
        }
        Ok(telling.told)
    }

    /// Has the caster look at what was submitted, another one if it is `ended`. `None` if none does so any more: those
    /// that are started here end at once.
    fn look(&self, mut ended: Option<ActorRef<CasterActor>>) -> Option<ActorRef<CasterActor>> {
        for _ in 0..2 {
            let actor = caster_of(&self.proc, self.mesh, ended.as_ref());
            match actor.try_cast(&self.proc, Look) {
                // One that has no room looks when it has handled what it has.
                Ok(()) | Err(TryCastError::Full { .. }) => return Some(actor),
                // One that ended since nobody used it; the next one is started.
                Err(TryCastError::Closed { .. }) => ended = Some(actor),
            }
        }
        None
    }

    /// Sees to it that there is a caster until something is on its way.
    async fn see_through(&self, telling: &mut Telling) -> Result<(), NotCast> {
        let mut ended = None;
        loop {
            let actor = self.look(ended).ok_or(NotCast::Ended)?;
            tokio::select! {
                biased;
                sent = &mut telling.accepted => return sent.unwrap_or(Err(NotCast::Ended)),
                // Before it was on its way; the next one goes on.
                _ = actor.ended() => ended = Some(actor),
            }
        }
    }

    /// These processes are known to be gone: nobody waits for them.
    pub async fn gone(&self, peers: Vec<PeerId>) {
        let actor = caster_of(&self.proc, self.mesh, None);
        // One that has ended waits for nobody.
        _ = actor.cast(&self.proc, Gone(peers)).await.is_ok();
    }
}

impl Casters {
    /// The caster for a mesh; another one if it is `ended`.
    fn entry(
        &mut self,
        proc: &Proc,
        mesh: MeshId,
        ended: Option<&ActorRef<CasterActor>>,
    ) -> (ActorRef<CasterActor>, Arc<Users>) {
        let known = self.0.get(&mesh);
        let users = known.map_or_else(Arc::default, |entry| Arc::clone(&entry.users));
        let actor = known.and_then(|entry| entry.actor.clone());
        let actor = match actor.filter(|actor| Some(actor) != ended) {
            Some(actor) => actor,
            None => proc.spawn::<CasterActor>((mesh, Arc::clone(&users))),
        };
        let entry = Entry { actor: Some(actor.clone()), users: Arc::clone(&users) };
        self.0.insert(mesh, entry);
        (actor, users)
    }
}

fn caster_of(
    proc: &Proc,
    mesh: MeshId,
    ended: Option<&ActorRef<CasterActor>>,
) -> ActorRef<CasterActor> {
    proc.with_slot(|casters: &mut Casters| casters.entry(proc, mesh, ended).0)
}

/// A caster that nobody uses may end, unless somebody has come meanwhile: whoever comes next starts another.
pub(super) fn leave(proc: &Proc, mesh: MeshId, caster: &ActorRef<CasterActor>) -> bool {
    proc.with_slot(|Casters(casters)| {
        let known = casters.get(&mesh).filter(|entry| entry.actor.as_ref() == Some(caster));
        let is_unused = known.is_none_or(|entry| entry.users.is_none());
        if is_unused && known.is_some() {
            casters.remove(&mesh);
        }
        is_unused
    })
}

/// A caster has ended, however that was: who uses it starts another. Its process is not kept by it any more. What waits
/// in it ends with it, unless there is another one by now.
pub(super) fn forget(mesh: MeshId, caster: &ActorRef<CasterActor>) {
    let left = caster.proc().with_slot(|Casters(casters)| {
        let known = casters.get_mut(&mesh);
        let entry = known.filter(|entry| entry.actor.as_ref() == Some(caster))?;
        entry.actor = None;
        Some(entry.users.queue.take())
    });
    drop(left);
}

/// A caster begins anew, as another one that goes on with what waits.
pub(super) fn renew(proc: &Proc, mesh: MeshId, caster: &ActorRef<CasterActor>) {
    let next = caster_of(proc, mesh, Some(caster));
    // It has just been started: there is room.
    _ = next.try_cast(proc, Look).is_ok();
}

impl Drop for CasterRef {
    fn drop(&mut self) {
        self.users.n.fetch_sub(1, Ordering::AcqRel);
    }
}

impl fmt::Debug for CasterRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CasterRef").field("mesh", &self.mesh).finish_non_exhaustive()
    }
}
