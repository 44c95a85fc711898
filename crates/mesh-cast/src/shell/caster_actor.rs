//! `CasterActor`: runs the caster of a process for one mesh.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mesh_core::{MeshId, Message, PeerId, WhyUndelivered};
use mesh_runtime::{
    Actor, ActorRef, Context, Failure, Handler, Handlers, PeerLost, Stop, Undelivered,
};
use mesh_shape::RankSet;
use tokio::time::Instant;

use super::ahead::{AHEAD, Place};
use super::backs;
use super::casters::{Cast, NotCast, Users, forget, leave, renew};
use super::crowd::{Crowd, Whose};
use super::downs::TOGETHER_WITHIN;
use super::links::{Linked, Links, whole_of};
use super::message::{Back, Body, Forgot, LegName, Payload, Up};
use super::pieces::{MESSAGE_MAX, Piece};
use super::posts::{NotSent, Parcel, Way};
use super::relay_actor::{self, FORGOTTEN_AFTER};
use super::rolls;
use super::submit::Submit;
use super::table::{Book, Table};
use super::ticket::Ticket;
use crate::caster::{Busy, Caster, Effect, Event, Full};
use crate::limits::Limits;
use crate::metrics::count_refused_cast;
use crate::plan::Plan;
use crate::wire::{Answer, Settled, StreamId, Unreached};

/// How often it looks for calls that nobody waits for, and for something to be said.
const TICK: Duration = Duration::from_millis(100);

/// How long it says nothing of what is settled, so that the next cast can say it.
const SETTLED_AFTER: Duration = Duration::from_secs(1);

/// How often it says that it is there while a cast is open.
const ALIVE_EVERY: Duration = Duration::from_secs(60);

/// After a pause that is longer than this relays may have forgotten its casts: it begins anew.
const STALE_AFTER: Duration = Duration::from_secs(300);

const _: () = assert!(STALE_AFTER.as_secs() * 2 <= FORGOTTEN_AFTER.as_secs());

/// How long it waits until its farewell is on its way.
const LEAVES_WITHIN: Duration = Duration::from_secs(10);

/// How long the answers of a process that is gone may still be on their way.
const LAST_WORDS: Duration = Duration::from_millis(50);

/// Casts to one mesh and its slices for all senders of one process. On its control plane.
pub(super) struct CasterActor {
    me: ActorRef<Self>,
    mesh: MeshId,
    users: Arc<Users>,
    limits: Limits,
    caster: Caster<PeerId, Payload, Bytes>,
    book: Option<Book>,
    links: Links,
    will_flush: bool,
    tickets: BTreeMap<u64, Ticket>,
    /// Of whom something was refused, as long as anything of theirs waits.
    refusing: BTreeSet<Whose>,
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
                // Whoever waits is looked at after every step.
                Effect::Room => (),
            }
        }
    }

    /// Casts what there is room for, in order. What waits for a rank holds up only what is for that rank, or of the
    /// same sender.
    fn admit(&mut self, cx: &Context<Self>) {
        // After a long pause its next tick ends it, and what it casts before that is lost with it.
        if self.is_over || self.is_stale() {
            return;
        }
        let mut crowd = Crowd::new(&self.limits);
        let queue = self.users.queue.take();
        let waiting = queue.into_iter().filter_map(|submit| self.take_turn(submit, &mut crowd, cx));
        let waiting = waiting.collect();
        self.users.queue.put_back(waiting);
        self.refusing.retain(|whose| crowd.has_line(whose));
    }

    fn is_stale(&self) -> bool {
        self.ticked.elapsed() > STALE_AFTER
    }

    /// Casts something, if it is its turn; what is to wait comes back.
    fn take_turn(
        &mut self,
        submit: Submit,
        crowd: &mut Crowd,
        cx: &Context<Self>,
    ) -> Option<Submit> {
        if submit.is_gone() {
            return None;
        }
        let plan = self.plan(&submit.cast, cx)?;
        let held_by = match submit.ahead {
            Some(_) => crowd.holds_sender(&submit.cast),
            None => crowd.holds(&submit.cast, &plan),
        };
        let (submit, held_by) = match held_by {
            Some(held_by) => (submit, held_by),
            None => {
                let (submit, busy) = self.submit(submit, Arc::clone(&plan), cx)?;
                let held_by = busy.ranks().clone();
                let whose = Whose::of(&submit.cast, &held_by, &plan);
                if submit.has_place() || crowd.has_place(whose, &submit.cast) {
                    crowd.join(&busy);
                }
                (submit, held_by)
            }
        };
        let whose = Whose::of(&submit.cast, &held_by, &plan);
        let may_wait = submit.ahead.is_some() || submit.has_place();
        if may_wait || crowd.has_place(whose, &submit.cast) {
            crowd.follow(whose, &submit.cast, &held_by);
            submit.hold(held_by);
            return Some(submit);
        }
        self.refuse(submit, whose, held_by);
        None
    }

    /// Too many wait before it. That is logged once until none of them waits any more; each is counted.
    fn refuse(&mut self, submit: Submit, whose: Whose, ranks: RankSet) {
        let (mesh, name) = (self.mesh, submit.cast.name);
        if self.refusing.insert(whose) {
            tracing::warn!(?mesh, name, %ranks, "too many wait for room: refused, as more may be");
        }
        count_refused_cast();
        // Whoever waited may have gone.
        _ = Submit::answer(submit.accepted, Err(NotCast::TooMany { ranks }));
    }

    /// The tree for a cast, by the newest table.
    fn plan(&mut self, cast: &Cast, cx: &Context<Self>) -> Option<Arc<Plan<PeerId>>> {
        self.learn(&cast.table, cx);
        let plan = self.book.as_mut()?.plan(cast.region.as_ref())?;
        Some(match &cast.range {
            Some(range) => Arc::new(plan.within(range.clone())),
            None => plan,
        })
    }

    /// Casts to a plan; what there is no room for comes back.
    fn submit(
        &mut self,
        Submit { mut cast, ahead, accepted, told, held_by }: Submit,
        plan: Arc<Plan<PeerId>>,
        cx: &Context<Self>,
    ) -> Option<(Submit, Busy)> {
        if cast.payload.body.len() > MESSAGE_MAX {
            _ = Submit::answer(accepted, Ok(()));
            Ticket { told, cast }.refuse(&plan, WhyUndelivered::TooLarge, cx);
            return None;
        }
        let plan = match cast.payload.except.is_empty() {
            true => plan,
            // Who has no actor now may have taken what was cast before: only a process that is gone is given up.
            false => Arc::new(plan.without(&cast.gone).except(&cast.payload.except)),
        };
        let (kind, payload) = (cast.kind, cast.payload.clone());
        let bytes = payload.body.len();
        let mut accepted = Some(accepted);
        let sent = match ahead {
            Some(ahead) => {
                let (number, effects) = self.caster.cast_ahead(plan, payload, bytes);
                self.ahead.push_back((number, ahead.settle()));
                Ok(Some((number, effects)))
            }
            None => {
                // Whoever waits may go at any time, and then nothing is to be sent: so it is told before.
                let claim = || accepted.take().is_some_and(|it| Submit::answer(it, Ok(())));
                self.caster.cast_if(plan, kind, (payload, bytes), claim)
            }
        };
        match sent {
            Ok(None) => None,
            Ok(Some((number, effects))) => {
                self.active = Instant::now();
                if kind.wants_reply() {
                    // Nothing of it goes back; it may be open for long.
                    cast.payload.body = Body::EMPTY;
                }
                self.tickets.insert(number, Ticket { told, cast });
                self.perform(effects, cx);
                None
            }
            Err(Full { busy, .. }) => {
                // Nobody has claimed it.
                let accepted = accepted?;
                Some((Submit { cast, ahead: None, accepted, told, held_by }, busy))
            }
        }
    }

    /// Takes a table over if it is newer.
    fn learn(&mut self, table: &Arc<Table>, cx: &Context<Self>) {
        let known = self.book.as_ref().map(|book| book.table().version);
        if known.is_some_and(|known| known >= table.version) {
            return;
        }
        let Some(book) = Book::new(Arc::clone(table)) else {
            tracing::warn!(mesh = ?self.mesh, "a table does not hold together: dropped");
            return;
        };
        rolls::note(cx.proc(), &book);
        let members = Arc::clone(book.members());
        self.book = Some(book);
        let effects = self.caster.step(Event::Members(members));
        self.perform(effects, cx);
    }

    /// One that nobody uses, and nothing of which is on its way, says farewell, and ends when that is sent.
    fn leave(&mut self, cx: &mut Context<Self>) {
        let is_idle = self.caster.n_flights() == 0;
        let is_unused = self.left.is_none() && is_idle && self.users.is_none();
        if is_unused && leave(cx.proc(), self.mesh, cx.me()) {
            let words = self.book.as_ref().map(|book| self.caster.farewell(book.whole()));
            self.perform(words.unwrap_or_default(), cx);
            self.left = Some(Instant::now());
            self.is_over = true;
        }
        let is_said = |left: Instant| self.links.posts.is_idle() || left.elapsed() > LEAVES_WITHIN;
        if self.left.is_some_and(is_said) {
            cx.stop(Stop::Drain);
        }
    }

    /// Something comes back that was cast in this process. Whoever has passed it on need not keep it any more.
    fn on_back(&mut self, back: Back, cx: &Context<Self>) {
        let (from, number) = (cx.sender(), back.number);
        backs::give_back(back, from, cx.proc());
        if let Some(from) = from {
            self.links.posts.send(from.peer(), Parcel::BackIsOver(from, number), cx);
        }
    }

    /// Says what is settled, so that relays forget it, or that casts are open, so that they do not.
    fn say_settled(&mut self, cx: &Context<Self>) {
        let settled = self.caster.settled();
        let is_open = self.caster.n_flights() > 0;
        let is_news = self.active.elapsed() > SETTLED_AFTER && settled != self.said;
        // Casts to slices are heard of by some only.
        let is_silent = is_open && self.said_at.elapsed() > ALIVE_EVERY;
        let is_due = self.left.is_none() && (is_news || is_silent);
        let Some(book) = self.book.as_ref().filter(|_| is_due) else { return };
        let words = self.caster.settle(book.whole());
        (self.said, self.said_at) = (settled, Instant::now());
        self.perform(words, cx);
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
        let limits = Limits::default();
        let caster = Caster::new(StreamId { caster: cx.id(), mesh }, limits).keeping(AHEAD);
        let said = caster.settled();
        let now = Instant::now();
        Ok(Self {
            me: cx.me().clone(),
            mesh,
            users,
            limits,
            caster,
            book: None,
            links: Links::new(),
            will_flush: false,
            tickets: BTreeMap::new(),
            refusing: BTreeSet::new(),
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

impl Handler<Look> for CasterActor {
    async fn handle(&mut self, _: Look, cx: &mut Context<Self>) -> Result<(), Failure> {
        self.admit(cx);
        self.send_due(cx);
        Ok(())
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
        let event = |(cast, leg): LegName| Event::LegFailed { number: cast.number, leg, why };
        self.run_all(legs.into_iter().map(event), cx);
    }

    fn lost(&mut self, peer: PeerId, cx: &mut Context<Self>) {
        self.run(Event::Lost { node: peer, why: Unreached::Lost }, cx);
    }
}

impl Handler<Up> for CasterActor {
    async fn handle(&mut self, up: Up, cx: &mut Context<Self>) -> Result<(), Failure> {
        self.on_answers(up, cx);
        Ok(())
    }
}

impl Handler<Forgot> for CasterActor {
    async fn handle(&mut self, forgot: Forgot, cx: &mut Context<Self>) -> Result<(), Failure> {
        self.on_forgot(forgot, cx);
        Ok(())
    }
}

impl Handler<Piece> for CasterActor {
    async fn handle(&mut self, piece: Piece, cx: &mut Context<Self>) -> Result<(), Failure> {
        let Some(whole) = self.on_piece(piece, cx) else { return Ok(()) };
        if let Some(up) = whole_of(&whole) {
            self.on_answers(up, cx);
        } else if let Some(back) = whole_of(&whole) {
            self.on_back(back, cx);
        }
        Ok(())
    }
}

impl Handler<Back> for CasterActor {
    async fn handle(&mut self, back: Back, cx: &mut Context<Self>) -> Result<(), Failure> {
        self.on_back(back, cx);
        Ok(())
    }
}

impl Handler<PeerLost> for CasterActor {
    async fn handle(&mut self, lost: PeerLost, cx: &mut Context<Self>) -> Result<(), Failure> {
        self.on_peer_lost(lost, cx);
        Ok(())
    }
}

impl Handler<NotSent> for CasterActor {
    async fn handle(&mut self, not_sent: NotSent, cx: &mut Context<Self>) -> Result<(), Failure> {
        self.on_not_sent(not_sent, cx);
        Ok(())
    }
}

impl Handler<Gone> for CasterActor {
    async fn handle(&mut self, Gone(peers): Gone, cx: &mut Context<Self>) -> Result<(), Failure> {
        if self.caster.n_flights() > 0 {
            cx.send_after(LAST_WORDS, LongGone(peers));
        }
        Ok(())
    }
}

impl Handler<LongGone> for CasterActor {
    async fn handle(
        &mut self,
        LongGone(peers): LongGone,
        cx: &mut Context<Self>,
    ) -> Result<(), Failure> {
        for node in peers {
            self.run(Event::Lost { node, why: Unreached::Gone }, cx);
        }
        Ok(())
    }
}

impl Handler<Flush> for CasterActor {
    async fn handle(&mut self, _: Flush, cx: &mut Context<Self>) -> Result<(), Failure> {
        let waiting = self.links.downs.all();
        self.send_legs(waiting, cx);
        self.will_flush = false;
        Ok(())
    }
}

impl Handler<Tick> for CasterActor {
    async fn handle(&mut self, _: Tick, cx: &mut Context<Self>) -> Result<(), Failure> {
        let now = Instant::now();
        if self.is_stale() {
            // Its calls are let go of; what waits is cast by the next one.
            self.is_over = true;
            renew(cx.proc(), self.mesh, cx.me());
            cx.stop(Stop::Now);
            return Ok(());
        }
        self.ticked = now;
        let withdrawn = self.tickets.iter().filter(|(_, ticket)| ticket.is_withdrawn());
        let withdrawn: Vec<u64> = withdrawn.map(|(number, _)| *number).collect();
        for number in withdrawn {
            self.run(Event::Withdrawn(number), cx);
        }
        if self.aged.elapsed() >= relay_actor::TICK {
            self.aged = now;
            self.run(Event::Tick, cx);
        }
        // What was submitted while there was no room for word of that.
        self.admit(cx);
        self.send_due(cx);
        self.say_settled(cx);
        self.links.posts.sweep(cx.proc());
        self.links.downs.sweep();
        rolls::touch(cx.proc(), self.mesh);
        self.leave(cx);
        Ok(())
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
