//! `CasterActor`: runs the caster of a process for one mesh.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mesh_core::{MeshId, Message, PeerId};
use mesh_runtime::{Actor, ActorRef, Context, Failure, Handlers, PeerLost, Undelivered};
use tokio::time::Instant;

use super::ahead::{AHEAD, Place};
use super::casters::{Users, forget};
use super::downs::TOGETHER_WITHIN;
use super::links::{Linked, Links};
use super::message::{Back, Forgot, LegName, Payload, Up};
use super::pieces::Piece;
use super::posts::Way;
use super::table::Book;
use super::ticket::Ticket;
use crate::caster::{Caster, Effect, Event};
use crate::limits::Limits;
use crate::plan::Plan;
use crate::wire::{Answer, Settled, StreamId, Unreached};

mod admission;
mod handlers;
mod settling;

/// How often it looks for calls that nobody waits for, and for something to be said.
const TICK: Duration = Duration::from_millis(100);

/// Casts to one mesh and its slices for all senders of one process. On its control plane.
pub(super) struct CasterActor {
    me: ActorRef<Self>,
    mesh: MeshId,
    users: Arc<Users>,
    caster: Caster<PeerId, Payload, Bytes>,
    book: Option<Book>,
    links: Links,
    will_flush: bool,
    tickets: BTreeMap<u64, Ticket>,
    /// The places of those that were cast ahead and are not over.
    ahead: VecDeque<(u64, Place)>,
    /// What was last said to all of what is settled, and when.
    said: Settled,
    said_at: Instant,
    /// When something was cast last.
    active: Instant,
    ticked: Instant,
    /// When it was last looked who says nothing.
    aged: Instant,
    /// When it has said farewell: nobody uses it any more.
    left: Option<Instant>,
    /// Whether it casts nothing more: it ends, and what waits is for others to see to.
    is_over: bool,
}

impl Drop for CasterActor {
    fn drop(&mut self) {
        forget(self.mesh, &self.me);
    }
}

/// Something was submitted.
pub(super) struct Look;

/// Processes are known to be gone.
pub(super) struct Gone(pub(super) Vec<PeerId>);

/// The same, and nothing of them is on its way any more.
struct LongGone(Vec<PeerId>);

/// It is time to look around.
struct Tick;

/// Legs have waited for others.
struct Flush;

macro_rules! internal {
    ($name:ident) => {
        impl Message for $name {
            const NAME: &'static str = concat!("meshwarden.caster.", stringify!($name));
            type Reply = ();
        }
    };
}

internal!(Look);
internal!(Gone);
internal!(LongGone);
internal!(Tick);
internal!(Flush);

impl CasterActor {
    /// Tells the machine, and does what it wants.
    fn run(&mut self, event: Event<PeerId, Bytes>, cx: &mut Context<Self>) {
        self.run_all([event], cx);
    }

    /// The same, of what has happened at once.
    fn run_all(
        &mut self,
        events: impl IntoIterator<Item = Event<PeerId, Bytes>>,
        cx: &mut Context<Self>,
    ) {
        for event in events {
            let effects = self.caster.step(event);
            self.perform(effects, cx);
        }
        self.admit(cx);
        self.send_due(cx);
    }

    /// Gives back the places of what is over.
    fn free_places(&mut self) {
        if !self.ahead.is_empty() {
            let settled = self.caster.settled();
            self.ahead.retain(|(number, _)| !settled.is_over(*number));
        }
    }

    /// Sends the legs that wait for no others, and sees to it that the others are sent soon.
    fn send_due(&mut self, cx: &mut Context<Self>) {
        self.free_places();
        let due = self.links.downs.due();
        self.send_legs(due, cx);
        if !self.will_flush && !self.links.downs.is_empty() {
            self.will_flush = true;
            cx.send_after(TOGETHER_WITHIN, Flush);
        }
    }

    fn perform(&mut self, effects: Vec<Effect<PeerId, Payload, Bytes>>, cx: &Context<Self>) {
        let mut effects = VecDeque::from(effects);
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Forward { to, leg } => match self.way(self.mesh, to) {
                    Some(way) => self.send_leg(to, way, leg, cx),
                    None => {
                        let (number, leg) = (leg.cast.number, leg.id.number);
                        let failed = Event::LegFailed { number, leg, why: Unreached::Lost };
                        effects.extend(self.caster.step(failed));
                    }
                },
                Effect::PassOn { to, settlement } => self.send_word(to, settlement, cx),
                Effect::Resolved { number, outcomes } => {
                    if let Some(ticket) = self.tickets.get(&number) {
                        ticket.tell(outcomes, cx);
                    }
                }
                Effect::Merged { number, part } => {
                    if let Some(ticket) = self.tickets.get(&number) {
                        ticket.tell_part(part);
                    }
                }
                Effect::Finished { number } => _ = self.tickets.remove(&number),
                // Nothing here is cast without a claim, and only then is it told.
                Effect::Room => (),
            }
        }
    }
}

impl Actor for CasterActor {
    const NAME: &'static str = "caster";
    type Params = (MeshId, Arc<Users>);

    async fn start(
        (mesh, users): (MeshId, Arc<Users>),
        cx: &mut Context<Self>,
    ) -> Result<Self, Failure> {
        cx.proc().watch_peers(cx.port());
        cx.send_every(TICK, || Tick);
        let stream = StreamId { caster: cx.id(), mesh };
        let caster = Caster::new(stream, Limits::DEFAULT).keeping(AHEAD);
        users.queue.begin_anew();
        let said = caster.settled();
        let now = Instant::now();
        Ok(Self {
            me: cx.me().clone(),
            mesh,
            users,
            caster,
            book: None,
            links: Links::new(),
            will_flush: false,
            tickets: BTreeMap::new(),
            ahead: VecDeque::new(),
            said,
            said_at: now,
            active: now,
            ticked: now,
            aged: now,
            left: None,
            is_over: false,
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

    /// Nobody gathers what comes of its casts any more: that much is told.
    async fn stop(&mut self, cx: &mut Context<Self>) -> Result<(), Failure> {
        self.is_over = true;
        for number in self.tickets.keys().copied().collect::<Vec<_>>() {
            self.run(Event::Withdrawn(number), cx);
        }
        Ok(())
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<Up>().takes::<Forgot>().takes::<Piece>().takes::<PeerLost>();
        handlers.takes::<Back>();
    }
}

impl Linked for CasterActor {
    fn links(&mut self) -> &mut Links {
        &mut self.links
    }

    fn whole(&self, _: MeshId) -> Option<Arc<Plan<PeerId>>> {
        self.book.as_ref().map(|book| Arc::clone(book.whole()))
    }

    fn way(&self, _: MeshId, to: PeerId) -> Option<Way> {
        let book = self.book.as_ref()?;
        Some(Way { relay: book.relay(to)?, table: Arc::clone(book.table()) })
    }

    fn answered(&mut self, from: PeerId, answers: Vec<Answer<Bytes>>, cx: &mut Context<Self>) {
        let answered = answers.into_iter().map(|answer| Event::Answered(from, answer));
        self.run_all(answered, cx);
    }

    fn legs_failed(&mut self, legs: Vec<LegName>, cx: &mut Context<Self>) {
        let why = Unreached::Lost;
        let event = |(cast, leg): LegName| {
            let (number, leg) = (cast.number, leg.number);
            Event::LegFailed { number, leg, why }
        };
        self.run_all(legs.into_iter().map(event), cx);
    }

    fn lost(&mut self, peer: PeerId, cx: &mut Context<Self>) {
        self.run(Event::Lost { node: peer, why: Unreached::Lost }, cx);
    }
}

impl fmt::Debug for CasterActor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CasterActor")
            .field("mesh", &self.mesh)
            .field("n_flights", &self.caster.n_flights())
            .field("n_waiting", &self.users.queue.len())
            .finish_non_exhaustive()
    }
}
