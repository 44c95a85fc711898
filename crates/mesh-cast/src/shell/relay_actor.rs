//! `RelayActor`: runs the relay of a process.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mesh_core::{ActorId, Fault, MeshId, Message, PeerId, Plane, WhyUndelivered};
use mesh_runtime::{
    Actor, ActorRef, Attachment, Context, Failure, Handlers, PeerLost, Proc, Undelivered,
};
use mesh_shape::Overlay;
use tokio::time::Instant;

use super::backs::Backs;
use super::books::Books;
use super::heard::Heard;
use super::inboxes::{Delivery, Inboxes};
use super::links::{Linked, Links};
use super::message::{Back, BackIsOver, Down, Forgot, LegName, Payload, Up, Word};
use super::pieces::Piece;
use super::posts::{Parcel, Way};
use super::reducers::merge;
use super::table::Table;
use super::ups::Ups;
use crate::limits::Limits;
use crate::metrics::count_refused_legs;
use crate::plan::Plan;
use crate::relay::{Effect, Event, Relay};
use crate::wire::{
    Answer, CastId, Failure as Failed, Leg, LegId, Outcome, Progress, Sender, Unreached,
};

mod back;
mod handlers;

/// How long what is known waits for more before it is told to parents.
const FLUSH_AFTER: Duration = Duration::from_millis(1);

/// How often those are looked at that a leg is open for.
pub(super) const TICK: Duration = Duration::from_millis(500);

/// How often it looks for what nobody wants any more.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// How long a caster may be silent before it is forgotten. One that has open casts says something far more often,
/// and one that was kept from that begins anew.
pub(super) const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);

/// How often the relay is told that time has passed: streams are forgotten some of these after they were heard of. After
/// a pause no more than one has passed, since what came meanwhile has not been heard yet.
const AGED_EVERY: Duration = Duration::from_secs(300);

const _: () = assert!(AGED_EVERY.as_secs() * 2 >= FORGOTTEN_AFTER.as_secs());

/// Relays the casts of others in one process, and delivers them to its actors. One for each process, on its
/// control plane.
pub struct RelayActor {
    relay: Relay<PeerId, Payload, Bytes>,
    /// The newest table of each mesh that is cast to here.
    books: Books,
    links: Links,
    inboxes: Inboxes,
    /// The answers that are told with the next [`Flush`].
    ups: Ups,
    /// Where replies are merged.
    user: Proc,
    heard: Heard,
    /// What goes back to who sent it.
    backs: Backs,
    /// When streams grew older last.
    aged: Instant,
    flush: Option<Attachment>,
    will_tick: bool,
}

/// It is time to tell parents what is known.
struct Flush;

/// Legs are open for a while.
struct Tick;

/// It is time to forget.
struct Sweep;

/// What replies were merged into.
struct Merged {
    cast: CastId,
    to: PeerId,
    leg: LegId,
    merged: Result<Bytes, Failed>,
}

macro_rules! internal {
    ($name:ident) => {
        impl Message for $name {
            const NAME: &'static str = concat!("meshwarden.relay.", stringify!($name));
            type Reply = ();
        }
    };
}

internal!(Flush);
internal!(Tick);
internal!(Sweep);
internal!(Merged);

impl RelayActor {
    /// Starts the relay of `proc`, on its control plane.
    #[must_use]
    pub fn start(proc: &Proc) -> ActorRef<Self> {
        proc.on(Plane::Control).spawn::<Self>(proc.on(Plane::User))
    }

    /// Tells the machine, and does what it wants.
    fn run(&mut self, event: Event<PeerId, Payload, Bytes>, cx: &mut Context<Self>) {
        self.run_all([event].into(), cx);
    }

    /// The same, of what has happened at once.
    fn run_all(
        &mut self,
        mut events: VecDeque<Event<PeerId, Payload, Bytes>>,
        cx: &mut Context<Self>,
    ) {
        while let Some(event) = events.pop_front() {
            for effect in self.relay.step(event) {
                self.perform(effect, &mut events, cx);
            }
        }
        count_refused_legs(self.relay.take_n_refused());
        let due = self.links.downs.due();
        self.send_legs(due, cx);
        self.flush_soon(cx);
        if !self.will_tick && self.relay.has_duties() {
            self.will_tick = true;
            cx.send_after(TICK, Tick);
        }
    }

    /// Sees to it that what is known is told.
    fn flush_soon(&mut self, cx: &mut Context<Self>) {
        if !self.ups.is_empty() && !self.relay.has_duties() {
            // Nothing is to come that could go with them.
            self.send_ups(cx);
        }
        let is_waiting = !self.ups.is_empty() || !self.links.downs.is_empty();
        if is_waiting || self.relay.has_news() {
            self.flush.get_or_insert_with(|| cx.send_after(FLUSH_AFTER, Flush));
        } else if let Some(flush) = self.flush.take() {
            // A process that sleeps is not woken for nothing.
            flush.cancel();
        }
    }

    fn send_ups(&mut self, cx: &Context<Self>) {
        for (to, up) in self.ups.take() {
            self.links.posts.send(to.peer(), Parcel::Answer(to, Box::new(up)), cx);
        }
    }

    fn perform(
        &mut self,
        effect: Effect<PeerId, Payload, Bytes>,
        events: &mut VecDeque<Event<PeerId, Payload, Bytes>>,
        cx: &mut Context<Self>,
    ) {
        match effect {
            Effect::Deliver { cast, kind, ranks, payload } => {
                let mut absent = Overlay::new();
                for rank in ranks.iter() {
                    let actor =
                        self.books.get(cast.stream.mesh).and_then(|it| it.table().actor(rank));
                    let actor = actor.filter(|_| !payload.except.contains(rank));
                    match actor.zip(payload.body.of(rank)) {
                        Some((to, bytes)) => {
                            let (port, from) = (payload.port, sender_of(cast, &payload));
                            let delivery = Delivery { cast, kind, rank, to, port, from, bytes };
                            self.inboxes.deliver(delivery, cx.me());
                        }
                        None => {
                            let fault = Fault::Undelivered(WhyUndelivered::NoActor);
                            let failed = Outcome::Failed(Failed::Fault(fault));
                            absent.insert(rank.index()..rank.index() + 1, failed);
                        }
                    }
                }
                if !absent.is_empty() {
                    events.push_back(Event::Said { cast, outcomes: absent });
                }
            }
            Effect::Forward { to, leg } => match self.way(leg.cast.stream.mesh, to) {
                Some(way) => self.send_leg(to, way, leg, cx),
                None => {
                    let (cast, leg) = (leg.cast, leg.id.number);
                    events.push_back(Event::LegFailed { cast, leg, why: Unreached::Lost });
                }
            },
            Effect::Merge { cast, to, leg, reducer, values } => {
                let (me, user) = (cx.me().clone(), self.user.clone());
                cx.attach(async move {
                    let merged = merge(user, reducer, values).await;
                    // A relay that has ended has no parent to tell.
                    _ = me.cast(me.proc(), Merged { cast, to, leg, merged }).await.is_ok();
                    Ok(())
                });
            }
            Effect::Answer { to, answer } => self.answer(to, answer, cx),
            Effect::PassOn { to, settlement } => self.send_word(to, settlement, cx),
        }
    }

    fn answer(&mut self, to: PeerId, answer: Answer<Bytes>, cx: &Context<Self>) {
        let stream = answer.cast.stream;
        let actor = match answer.leg.sender {
            Sender::Caster => Some(stream.caster),
            Sender::Relay => self.books.get(stream.mesh).and_then(|book| book.relay(to)),
        };
        // One whose process has another life by now waits for nothing.
        let Some(actor) = actor else { return };
        for up in self.ups.add(actor, answer) {
            self.links.posts.send(to, Parcel::Answer(actor, Box::new(up)), cx);
        }
    }
}

impl Actor for RelayActor {
    const NAME: &'static str = "relay";
    type Params = Proc;

    async fn start(user: Proc, cx: &mut Context<Self>) -> Result<Self, Failure> {
        cx.proc().watch_peers(cx.port());
        cx.send_every(SWEEP_EVERY, || Sweep);
        let limits = Limits::default();
        Ok(Self {
            relay: Relay::new(cx.proc().peer(), limits),
            books: Books::new(limits.streams),
            links: Links::new(),
            inboxes: Inboxes::new(user.clone()),
            ups: Ups::default(),
            user,
            heard: Heard::new(limits.streams),
            backs: Backs::start(limits.back_bytes, cx),
            aged: Instant::now(),
            flush: None,
            will_tick: false,
        })
    }

    async fn on_undelivered(
        &mut self,
        undelivered: Undelivered,
        cx: &mut Context<Self>,
    ) -> Result<(), Failure> {
        self.on_returned(undelivered, cx);
        Ok(())
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<Table>().takes::<Down>().takes::<Up>().takes::<Word>();
        handlers.takes::<Forgot>().takes::<Piece>().takes::<PeerLost>();
        handlers.takes::<Back>().takes::<BackIsOver>();
    }
}

impl Linked for RelayActor {
    fn links(&mut self) -> &mut Links {
        &mut self.links
    }

    fn whole(&self, mesh: MeshId) -> Option<Arc<Plan<PeerId>>> {
        self.books.get(mesh).map(|book| Arc::clone(book.whole()))
    }

    fn way(&self, mesh: MeshId, to: PeerId) -> Option<Way> {
        let book = self.books.get(mesh)?;
        Some(Way { relay: book.relay(to)?, table: Arc::clone(book.table()) })
    }

    fn answered(&mut self, from: PeerId, answers: Vec<Answer<Bytes>>, cx: &mut Context<Self>) {
        let events = answers.into_iter().map(|answer| Event::Answered(from, answer));
        self.run_all(events.collect(), cx);
    }

    fn legs_failed(&mut self, legs: Vec<LegName>, cx: &mut Context<Self>) {
        let why = Unreached::Lost;
        let events =
            legs.into_iter().map(|(cast, leg)| Event::LegFailed { cast, leg: leg.number, why });
        self.run_all(events.collect(), cx);
    }

    fn lost(&mut self, peer: PeerId, cx: &mut Context<Self>) {
        self.heard.lose(peer);
        // What waits to go up goes all the same: it may have been asked for by another session.
        self.run(Event::Lost { node: peer, why: Unreached::Lost }, cx);
        self.pass_back_again(peer, cx);
    }

    fn back_not_sent(&mut self, to: ActorId, number: u64, cx: &mut Context<Self>) {
        if let Some(held) = self.backs.not_sent(to, number) {
            self.pass_back(held, Some(to.peer()), cx);
        }
    }

    fn backs_refused(&mut self, to: ActorId, cx: &mut Context<Self>) {
        for held in self.backs.refused(to) {
            self.pass_back(held, Some(to.peer()), cx);
        }
    }
}

impl RelayActor {
    fn on_legs(&mut self, Down { from, legs }: Down, cx: &mut Context<Self>) {
        if cx.sender() != Some(from) {
            return;
        }
        let mut events = VecDeque::with_capacity(legs.len());
        for leg in legs {
            let stream = leg.cast.stream;
            let book = self.books.of_stream(stream, leg.table, from);
            match book.and_then(|book| book.plan(leg.region.as_ref())) {
                Some(plan) => {
                    self.heard.hear(stream, from);
                    events.push_back(Event::Incoming { from: from.peer(), leg, plan });
                }
                // The table was lost with a session: whoever sent it finds that out, too. Or it is none of theirs.
                None => self.refuse(from, &leg, cx),
            }
        }
        self.run_all(events, cx);
    }

    /// Refuses a leg of a mesh that nothing is known of, not even who relays for it.
    fn refuse(&mut self, from: ActorId, leg: &Leg<Payload>, cx: &Context<Self>) {
        let (outcomes, unreached) = (Overlay::new(), Overlay::new());
        let (cast, progress) = (leg.cast, Progress::Refused);
        let leg = leg.id;
        let answer = Answer { cast, leg, progress, outcomes, unreached, merged: None };
        for up in self.ups.add(from, answer) {
            self.links.posts.send(from.peer(), Parcel::Answer(from, Box::new(up)), cx);
        }
    }

    fn on_word(&mut self, Word { from, settlement }: Word, cx: &mut Context<Self>) {
        if cx.sender() != Some(from) {
            return;
        }
        let stream = settlement.stream;
        let book = self.books.of_stream(stream, settlement.table, from);
        let Some(plan) = book.map(|book| Arc::clone(book.whole())) else {
            // Those below are not told this time; word comes again.
            return self.links.posts.send(from.peer(), Parcel::Forgot(from, stream.mesh), cx);
        };
        self.heard.hear_word(stream, from);
        self.run(Event::Settled { settlement, plan }, cx);
    }
}

/// Who sent a message, if an actor did: in one process all cast by the same caster, which speaks for no other.
fn sender_of(cast: CastId, payload: &Payload) -> Option<ActorId> {
    payload.from.filter(|from| from.peer() == cast.stream.caster.peer())
}

impl fmt::Debug for RelayActor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelayActor")
            .field("n_casts", &self.relay.n_casts())
            .field("n_streams", &self.relay.n_streams())
            .field("books", &self.books)
            .field("posts", &self.links.posts)
            .field("inboxes", &self.inboxes)
            .finish_non_exhaustive()
    }
}
