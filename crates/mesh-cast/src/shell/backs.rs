//! `Backs`: what was taken and not handled goes back to who sent it, where the processes of the two have no session
//! with each other (R3).
//!
//! It goes from relay to relay ([`route`]). Each keeps what it passes on ([`Custody`]) until it hears from the process
//! that it goes back to, by the same way, what became of it: so it is not lost with one of them, and goes another way
//! past whoever is killed, cut off or suspended. It may arrive twice then, and is given back once.
//!
//! Nobody is believed who is no relay of the mesh, and only of actors in its processes: these and not its ranks, since
//! an actor that has ended may have a successor by the time that what it had not handled is on its way. Where it arrives
//! that is looked up in what this process has cast by itself ([`rolls`](super::rolls)). It never holds up what goes down
//! and up the tree: it has queues of its own, and no more room than [`Limits::back_bytes`](crate::Limits::back_bytes).
//!
//! A relay that can pass nothing on says so to who has passed it on to there, and so on, until it is stuck in the process
//! that it is of; there it waits for a minute and a half, for a way or for a session with its sender. What is not passed on is counted
//! and logged as lost, once, by the one that gives up; and what was not handled
//! in its own process and has not arrived when it ends. Nobody counts what a process had that is killed, as nobody
//! counts what is in the mailboxes there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mesh_core::{ActorId, MeshId, Message, PeerId, Plane};
use mesh_runtime::{Context, Handler, Proc};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::books::Books;
use super::message::{Back, BackIsOver};
use super::pieces::Queue;
use super::posts::{NotSent, Parcel, Posts, Way};

mod custody;
mod home;
mod kept;
mod route;
mod seen;
mod unread;

pub(super) use home::give_back;

use custody::{Again, Custody, Id};
use kept::{Kept, Room};
use route::{Nowhere, Station, route};
use unread::Unread;

/// How long somebody may take to say what became of something: longer than a way is looked for in vain.
const PATIENCE: Duration = Duration::from_secs(10);

/// When a way is looked for again for what is stuck; twice as long after each time, since as a rule nothing has changed.
const STUCK_FOR: Duration = Duration::from_secs(3);

/// How often: for a minute and a half in all. It is not the time that is counted, which a process that is suspended has not.
const STUCK_TRIES: u32 = 5;

/// What one relay passes back.
pub(super) struct Backs {
    posts: Posts,
    room: Room,
    reader: AbortHandle,
    custody: Custody<Held>,
    /// What nobody passes on for now: what was not handled in this process, or is kept by nobody else any more.
    stuck: BTreeMap<Id, Held>,
}

/// What was not handled in this process and has no way back.
pub(super) struct Unhandled(Kept);

impl Message for Unhandled {
    const NAME: &'static str = "meshwarden.relay.Unhandled";
    type Reply = ();
}

/// Something that is passed on.
pub(super) struct Held {
    /// No other of the same actor has this.
    id: u64,
    n_hops: u8,
    /// Who has passed it on to here, each by which number; if it is of this process, nobody but who passes it back.
    sources: BTreeMap<ActorId, u64>,
    /// How often it was stuck here.
    n_stuck: u32,
    /// When it came here, or was passed on, or was stuck.
    since: Instant,
    kept: Kept,
}

/// Who keeps something until it hears what became of it, and by which number.
#[derive(Clone, Copy)]
struct Source(ActorId, u64);

impl Backs {
    /// Takes over what has no way back in the process of a relay.
    pub(super) fn start<A: Handler<Unhandled>>(bytes_max: usize, cx: &Context<A>) -> Self {
        let room = Room::new(bytes_max);
        let read = Unread::of(cx.proc()).read(cx.me().clone(), room.clone());
        let reader = cx.proc().runtime().spawn(read).abort_handle();
        let (posts, custody) = (Posts::new(Queue::Backs), Custody::new());
        Self { posts, room, reader, custody, stuck: BTreeMap::new() }
    }

    /// Takes what somebody passes on, if that may say so, and gives it back if its sender is here. `None` if it is not to
    /// be passed on.
    pub(super) fn accept<A: Handler<NotSent>>(
        &mut self,
        back: Back,
        from: ActorId,
        books: &Books,
        cx: &Context<A>,
    ) -> Option<Held> {
        let source = Source(from, back.number);
        if back.back.to.peer() == cx.proc().peer() {
            give_back(back, Some(from), cx.proc());
            self.tell_over(source, cx);
            return None;
        }
        let book = books.get(back.back.mesh);
        let is_true = book.is_some_and(|book| book.vouches(from, back.back.of));
        if !is_true || back.back.to.plane() != Plane::User {
            home::refuse(&back.back, cx.proc());
            self.tell_over(source, cx);
            return None;
        }
        // Elsewhere nothing is ever overdue: relays that wait for each other would do so for ever.
        let may_wait = book.is_some_and(|book| book.relay(back.back.to.peer()).is_some());
        let held = match self.custody.again((back.back.of, back.id), from, may_wait) {
            Again::Waits(held) => {
                held.add(source, back.n_hops);
                return None;
            }
            Again::Returns(mut held) => {
                held.add(source, back.n_hops);
                Some(held)
            }
            // Stuck here, it is kept here.
            Again::New if self.stuck.contains_key(&(back.back.of, back.id)) => None,
            Again::New => self.hold(back, source, cx.proc()),
        };
        if held.is_none() {
            self.tell_over(source, cx);
        }
        held
    }

    fn hold(
        &self,
        Back { back, id, n_hops, .. }: Back,
        source: Source,
        proc: &Proc,
    ) -> Option<Held> {
        let kept = Kept::for_others(back, proc, &self.room)?;
        let sources = [(source.0, source.1)].into();
        Some(Held { id, n_hops, n_stuck: 0, sources, since: Instant::now(), kept })
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
            return self.is_stuck(held, "its mesh is not known here", cx);
        };
        let station = Station { me: proc.peer(), book, parent, avoid };
        match route((held.to().peer(), held.n_hops), &station, |to| proc.has_way_to(to)) {
            Ok(to) => {
                let way =
                    book.has_relay(to).then(|| Way { relay: to, table: Arc::clone(book.table()) });
                let (id, n_hops) = (held.id, held.n_hops.saturating_add(1));
                let back = held.kept.back.clone();
                let since = Instant::now();
                let number = self.custody.keep(to, held.id(), Held { since, ..held });
                let back = Box::new(Back { back, id, number, n_hops });
                self.posts.send(to.peer(), Parcel::Back(to, way, back), cx);
            }
            Err(Nowhere::Over) => {
                let reason = "the process that has sent it is over: another life of it has begun";
                self.lose(held, reason, cx);
            }
            Err(Nowhere::Stuck(reason)) => self.is_stuck(held, reason, cx),
        }
    }

    /// Somebody says that nothing is left to do about what was passed on to it, or that it can do nothing.
    pub(super) fn over<A: Handler<NotSent>>(
        &mut self,
        from: ActorId,
        BackIsOver { number, is_stuck }: BackIsOver,
        cx: &Context<A>,
    ) {
        let Some(held) = self.custody.take(from, number) else { return };
        if is_stuck {
            return self.is_stuck(held, "nobody it was passed on to could pass it on", cx);
        }
        held.kept.done();
        self.tell_all_over(held.sources, cx);
    }

    /// Nobody passes something on from here. Whoever has passed it on to here has it still; what is of this process waits,
    /// and so does what nobody else has any more: there may be a way before long.
    fn is_stuck<A: Handler<NotSent>>(
        &mut self,
        mut held: Held,
        reason: &'static str,
        cx: &Context<A>,
    ) {
        let sources = std::mem::take(&mut held.sources);
        if !sources.is_empty() && !held.is_of(cx.proc()) {
            held.kept.done();
            let told = sources.into_iter();
            return told.for_each(|(to, number)| self.tell(to, number, true, cx));
        }
        // It may have come round to here, and nobody else need keep it.
        self.tell_all_over(sources, cx);
        if held.n_stuck >= STUCK_TRIES {
            return self.lose(held, reason, cx);
        }
        (held.n_hops, held.since) = (0, Instant::now());
        held.n_stuck += 1;
        self.stuck.insert(held.id(), held);
    }

    /// What is stuck and is to be passed on anew. What is of this process, and has a session with its sender by now, goes by
    /// that: of another one's nobody would believe it.
    pub(super) fn stuck_for_long(&mut self, proc: &Proc) -> Vec<Held> {
        let is_met = |held: &Held| held.is_of(proc) && proc.has_way_to(held.to());
        for held in self.take_stuck(is_met) {
            proc.send_back(held.kept.back.clone());
            held.kept.done();
        }
        self.take_stuck(|held| held.since.elapsed() >= held.is_stuck_for())
    }

    fn take_stuck(&mut self, is_it: impl Fn(&Held) -> bool) -> Vec<Held> {
        let ids = self.stuck.iter().filter(|(_, held)| is_it(held)).map(|(id, _)| *id);
        let ids: Vec<Id> = ids.collect();
        ids.iter().filter_map(|id| self.stuck.remove(id)).collect()
    }

    /// What could not be sent to somebody.
    pub(super) fn not_sent(&mut self, to: ActorId, number: u64) -> Option<Held> {
        self.custody.take(to, number).map(Held::again)
    }

    /// What was passed on to somebody who does not take it: others in the same process may, and what they say of what
    /// they have still counts.
    pub(super) fn refused(&mut self, to: ActorId) -> Vec<Held> {
        self.custody.take_of(to).into_iter().map(Held::again).collect()
    }

    /// What was passed on to a process that is lost, and is not known to have arrived.
    pub(super) fn lose_peer(&mut self, peer: PeerId) -> Vec<Held> {
        self.posts.lose(peer);
        self.custody.iter_mut().for_each(|held| held.outlive(peer));
        self.custody.take_all(peer).into_iter().map(Held::again).collect()
    }

    /// What was passed on long ago to somebody who says nothing of it, as one does that is suspended: to whom, and by
    /// which number. Only where there is another way: to the relay of its sender, which itself is waited for.
    pub(super) fn overdue(&self, books: &Books) -> Vec<(ActorId, u64)> {
        let is_overdue = |(to, _, held): &(ActorId, u64, &Held)| {
            let home = held.to().peer();
            let is_past = to.peer() != home && held.since.elapsed() >= PATIENCE;
            is_past && books.get(held.mesh()).is_some_and(|book| book.relay(home).is_some())
        };
        self.custody.iter().filter(is_overdue).map(|(to, number, _)| (to, number)).collect()
    }

    /// The processes that something was passed on to, and there is no way to them, nor is one looked for: whatever word
    /// of that there was.
    pub(super) fn stranded(&self, proc: &Proc) -> Vec<PeerId> {
        let holders = self.custody.holders().into_iter();
        let away = holders.filter(|to| !proc.has_way_to(*to) && self.posts.is_idle_to(to.peer()));
        away.map(|to| to.peer()).collect()
    }

    /// Lets go of the queues that are empty. With them it is forgotten who was told which table: one that nobody
    /// casts by any more may be forgotten there, too.
    pub(super) fn sweep(&mut self) {
        self.posts.sweep_idle();
    }

    fn lose<A: Handler<NotSent>>(&mut self, held: Held, reason: &'static str, cx: &Context<A>) {
        let Held { sources, kept, .. } = held;
        kept.lose(reason);
        self.tell_all_over(sources, cx);
    }

    fn tell_all_over<A: Handler<NotSent>>(
        &mut self,
        sources: BTreeMap<ActorId, u64>,
        cx: &Context<A>,
    ) {
        sources.into_iter().for_each(|(to, number)| self.tell_over(Source(to, number), cx));
    }

    /// Whoever has passed something on to here need not keep it any more.
    fn tell_over<A: Handler<NotSent>>(&mut self, Source(to, number): Source, cx: &Context<A>) {
        self.tell(to, number, false, cx);
    }

    fn tell<A: Handler<NotSent>>(
        &mut self,
        to: ActorId,
        number: u64,
        is_stuck: bool,
        cx: &Context<A>,
    ) {
        let over = BackIsOver { number, is_stuck };
        self.posts.send(to.peer(), Parcel::BackIsOver(to, over), cx);
    }
}

impl Drop for Backs {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Unhandled {
    /// Its way begins.
    pub(super) fn begin(self, proc: &Proc) -> Held {
        let (id, since, sources) = (proc.draw(), Instant::now(), BTreeMap::new());
        Held { id, n_hops: 0, n_stuck: 0, sources, since, kept: self.0 }
    }
}

impl Held {
    /// Who sent it.
    pub(super) const fn to(&self) -> ActorId {
        self.kept.back.to
    }

    /// To which mesh.
    pub(super) const fn mesh(&self) -> MeshId {
        self.kept.back.mesh
    }

    /// Whether it was not handled in this process.
    fn is_of(&self, proc: &Proc) -> bool {
        self.kept.back.of.peer() == proc.peer()
    }

    /// How long it waits, stuck as often as it was.
    const fn is_stuck_for(&self) -> Duration {
        STUCK_FOR.saturating_mul(1 << self.n_stuck.saturating_sub(1))
    }

    fn id(&self) -> Id {
        (self.kept.back.of, self.id)
    }

    /// One more keeps it: who passes it on again has forgotten the number of before.
    fn add(&mut self, Source(from, number): Source, n_hops: u8) {
        self.n_hops = self.n_hops.max(n_hops);
        self.sources.insert(from, number);
    }

    /// Who have passed it on to here may be gone, and then nobody else keeps it.
    fn outlive(&mut self, peer: PeerId) {
        let before = self.sources.len();
        self.sources.retain(|from, _| from.peer() != peer);
        if self.sources.is_empty() && before > 0 {
            self.kept.own();
        }
    }

    /// It was passed on in vain.
    fn again(mut self) -> Self {
        self.n_hops = self.n_hops.saturating_add(1);
        self
    }
}
