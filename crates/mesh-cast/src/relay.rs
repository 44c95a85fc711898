//! `Relay`: what a node does with the casts that pass it; and the protocol that it is part of.
//!
//! # The protocol
//!
//! **Down.** A caster numbers its casts to a mesh and its slices 1, 2, 3, … and sends *legs*: a range of
//! positions, for which the receiver is from then on obliged. It keeps what is for itself, cuts the rest
//! ([`Plan::split`]) and sends the parts on, at once and whatever it has had before.
//!
//! **Up.** A leg is answered when there is nothing more to say about any of its positions: what ranks said,
//! merged, and which positions could not be reached. [`Event::Flush`] tells earlier what is known so far,
//! and that all have taken the message, so that the parent can let go of it.
//!
//! **Order.** A leg says for each position which cast of the stream was sent there before it
//! ([`Expect::After`](crate::Expect)). A node holds a cast back until it has delivered that one.
//!
//! **Duplicates.** A node knows the number of the last cast that it delivered, for as long as the stream is
//! known. A cast of that or a lower number is not delivered again; but it is passed on, and answered with
//! what the own ranks have said, which is kept until the caster is done with the cast.
//!
//! **Lives.** A process that is started again is another node at the same position, and the tables say since which
//! of them ([`Members::with_successors`](crate::Members::with_successors)). A leg of a table before that is not for it,
//! whoever knows of it on the way: the one before it may have taken the message. So it is named as one that is gone.
//!
//! **Loss.** When a child is lost, its parent names its position as unreached and sends the rest of its
//! range to other nodes: its children are adopted. When a parent is lost, what it asked for is dropped, and
//! it is told so, if it is there: whoever adopts asks again. What was unreached goes up to the caster, which tries it
//! directly and through other nodes, [`Limits::tries`] times, and then gives it up. The two may hear of a loss at
//! different times: one that was suspended hears what its parent asks by the next session before it finds out that the last
//! one is lost, and answers by that. So an answer that comes back is sent again, and one that was not sent yet is sent all
//! the same.
//!
//! **Slow nodes.** Whoever has a leg open that has not arrived everywhere says so with every [`Event::Tick`]; and
//! where it has, and others are below, now and then, for it may keep what they say. A child that has said nothing for
//! some of them is suspended, or overloaded: its children are adopted as if it were lost, and it has nobody below it
//! until it speaks. What it passes on when it wakes arrives a second time, and is not delivered again; what it had
//! heard from those below it, they say again.
//!
//! **Reduce.** Replies that are to be merged ([`Kind::Reduce`](crate::Kind)) wait for each other: a leg is
//! answered with what all of its range replied, merged ([`Effect::Merge`]), once, and before that only with what
//! is no reply. So whoever is lost takes all or nothing of its range with it: what is asked for again was
//! merged nowhere, and each rank counts once.
//!
//! **Gaps.** A cast that is held back waits for one that the caster has not given up for this node, so
//! somebody is obliged for that one: it comes. If the caster gives it up, it gives up for this node
//! whatever the node has not said to have taken, and says in the next leg that the node is not to wait
//! ([`Expect::From`](crate::Expect)); [`Settled`](crate::Settled), which every leg carries, says the same
//! of casts that are settled everywhere.
//!
//! **Bounds.** A caster sends no cast whose number is more than [`Limits::window`] ahead of the oldest
//! one that may still have to arrive at some process, nor more than [`Limits::window_bytes`]; nothing to a rank
//! that has not taken [`Limits::rank`] of what it was sent; no more calls than [`Limits::calls`], and no more
//! of both than [`Limits::open`], but for two of each rank. Then its program waits. So a node holds back, keeps for its
//! children and for its
//! ranks, or remembers of replies no more than that; a leg outside it is refused. What a caster is done with is
//! forgotten with the next leg that arrives, or with a [`Settlement`].
//!
//! **Ends.** A caster that ends says so, with the last settlement ([`Settlement::is_last`]); and a process has one at a
//! time, so the first leg of the next one says it as well. From then on nothing of the stream is delivered or passed on:
//! its number is all that is remembered, so that a leg that comes late, from a node that was suspended with it, is not
//! taken for a new one. A node knows [`Limits::streams`] of them. Where there is no room for one more it forgets one that
//! has ended, or else the one that it owes nothing and heard of longest ago: the caster of that is done with all that was
//! here, so its next cast begins anew. Only one of which nothing was heard for so long that no leg of it is on its way,
//! which would be taken for that next one; if there is none, the newcomer is refused.
//!
//! **Slow ranks.** A cast that has *arrived* is out of the tree: it waits before its rank, in its process, and the
//! window moves on. So a rank that takes nothing holds up what is for it, and not the tree.
//!
//! # Why it holds
//!
//! 1. *Once, in order.* A node delivers a cast only if its number is higher than the last one, which it then
//!    is. Let *t* be delivered, and *s* an earlier cast to the same node. Then *t* names *s*, or a cast
//!    after *s*, which was delivered before; or its leg says that *s* is settled or given up. By induction
//!    *s* was delivered before *t*, or was given up and never is delivered.
//! 2. *Everybody.* Of every cast each position is, until it has an outcome, at exactly one place: to be tried
//!    by the caster, or in a branch that an obliged node waits for, up to the caster. Both ends of a
//!    session are told when it is lost, so a branch is answered or taken over. The rest that is sent
//!    anew is smaller by one position, and the tries of one position are counted: so it ends, in a delivery,
//!    a reply, or a reason.
//! 3. *Nobody waits for ever.* Take the lowest number that a live node holds back. What it waits for was
//!    delivered here; or it is not settled, and comes by 2; or it was given up, and then so was what is
//!    held back: the caster does not wait for it.
//! 4. *One outcome.* The caster takes the first for each rank and cast, and no other; but what is merged cannot be
//!    taken apart: a rank whose node was given up may be in it, and then it is.
//!
//! A node that was given up may have taken the message: of what is on its way to a peer that is lost nobody
//! can know.

use std::sync::Arc;

use mesh_shape::Overlay;

use crate::gather::At;
use crate::limits::Limits;
use crate::plan::Plan;
use crate::wire::{Answer, CastId, Failure, Leg, LegId, Progress, Settlement, StreamId, Unreached};

mod duty;
mod event;
mod own;
mod stream;
mod streams;

pub(crate) use duty::clip;
pub use event::{Effect, Event};

use duty::Duty;
use stream::Stream;
use streams::{Heard, Streams};

/// Passes casts on, delivers them to the ranks of its process exactly once and in order (R2), and answers
/// for every node below it.
///
/// # State
///
/// For each stream the number of the last cast delivered, and what the caster is not done with: at most
/// [`Limits::window`] casts that have not arrived everywhere and [`Limits::open`] and two for each rank that have.
/// Every event is answered in the same call.
///
/// # Examples
///
/// A leaf delivers what it gets, and answers when its rank has taken it.
///
/// ```
/// use std::sync::Arc;
/// use mesh_cast::relay::{Effect, Event};
/// use mesh_cast::{Caster, FanOut, Kind, Limits, Member, Members, Outcome, Plan, Relay, StreamId};
/// use mesh_cast::caster::Effect as Order;
/// use mesh_core::{ActorId, Incarnation, MeshId, ProcId};
/// use mesh_shape::Overlay;
///
/// let members = Members::new(1, vec![Member { node: 7, host: 0, ranks: (0..1).into() }])?;
/// let plan = Arc::new(Plan::new(Arc::new(members), FanOut::new(2)?));
/// let caster = ActorId { proc: ProcId::from_random(1), life: Incarnation::FIRST, index: 0 };
/// let stream = StreamId { caster, mesh: MeshId::from_random(1) };
/// let mut caster = Caster::<u32, &str, ()>::new(stream, Limits::default());
/// let mut relay = Relay::<u32, &str, ()>::new(7, Limits::default());
///
/// let (_, orders) = caster.cast(Arc::clone(&plan), Kind::Cast, "hello", 5)?;
/// let Some(Order::Forward { to: 7, leg }) = orders.into_iter().next() else { panic!("one leg") };
/// let effects = relay.step(Event::Incoming { from: 1, leg, plan });
/// let Some(Effect::Deliver { cast, payload: "hello", .. }) = effects.first() else { panic!("one message") };
///
/// let said = Event::Said { cast: *cast, outcomes: Overlay::from_range(0..1, Outcome::Taken) };
/// assert!(matches!(relay.step(said)[..], [Effect::Answer { to: 1, .. }]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Relay<N, P, R> {
    me: N,
    limits: Limits,
    streams: Streams<N, P, R>,
    at: At<N>,
}

impl<N: Copy + Ord, P: Clone, R: Clone + PartialEq> Relay<N, P, R> {
    /// The relay of the process `me`, which knows no stream.
    #[must_use]
    pub const fn new(me: N, limits: Limits) -> Self {
        Self { me, limits, streams: Streams::new(limits.streams), at: At::new() }
    }

    /// One transition: takes what happened, returns what is to be done, in order.
    ///
    /// # Bounds
    ///
    /// For a leg: one delivery, the fan-out of forwards, and what it releases, at most
    /// [`Limits::window`] deliveries and one answer for each open leg. For a loss: the fan-out of forwards
    /// for each leg that the node had.
    #[must_use = "an effect that is not performed is lost"]
    pub fn step(&mut self, event: Event<N, P, R>) -> Vec<Effect<N, P, R>> {
        let mut effects = Vec::new();
        match event {
            Event::Incoming { from, leg, plan } => {
                self.on_incoming((from, leg), plan, &mut effects);
            }
            Event::Answered(from, answer) => self.on_answered((from, answer), &mut effects),
            Event::LegFailed { cast, leg, why } => {
                self.on_leg_failed(cast, (leg, why), &mut effects);
            }
            Event::Lost { node, why } => self.on_lost(node, why, &mut effects),
            Event::Said { cast, outcomes } => {
                let said = (cast.number, outcomes);
                self.streams.change(&cast.stream, |stream| stream.on_said(said, &mut effects));
            }
            Event::Merged { cast, to, leg, merged } => {
                self.on_merged(cast, (to, leg), merged, &mut effects);
            }
            Event::Settled { settlement, plan } => {
                self.on_settled(&settlement, &plan, &mut effects);
            }
            Event::Aged => self.streams.age(),
            Event::Tick => self.on_tick(&mut effects),
            Event::Flush => self.streams.change_news(|stream| stream.flush(&mut effects)),
        }
        effects
    }

    /// Whether a leg is open. The shell then sends an [`Event::Tick`] after a while.
    #[must_use]
    pub fn has_duties(&self) -> bool {
        self.streams.has_duties()
    }

    /// Whether [`Event::Flush`] would tell anybody anything. The shell then sends one after a while.
    #[must_use]
    pub fn has_news(&self) -> bool {
        self.streams.has_news()
    }

    /// How many casts there is anything to remember of, over all streams.
    #[must_use]
    pub fn n_casts(&self) -> usize {
        self.streams.live().map(Stream::len).sum()
    }

    /// Whether there is anything to remember of a cast: somebody may still want what its ranks say.
    #[must_use]
    pub fn remembers(&self, cast: &CastId) -> bool {
        self.streams.get(&cast.stream).is_some_and(|it| it.entry(cast.number).is_some())
    }

    /// Whether a stream is known whose caster is not known to have ended.
    #[must_use]
    pub fn knows(&self, stream: &StreamId) -> bool {
        self.streams.get(stream).is_some()
    }

    /// How many streams are known whose caster is not known to have ended.
    #[must_use]
    pub fn n_streams(&self) -> usize {
        self.streams.len()
    }

    /// How many legs were refused since there was no room for one more stream, since this was asked last.
    pub const fn take_n_refused(&mut self) -> u64 {
        self.streams.take_n_refused()
    }

    fn on_incoming(
        &mut self,
        (from, leg): (N, Leg<P>),
        plan: Arc<Plan<N>>,
        effects: &mut Vec<Effect<N, P, R>>,
    ) {
        let CastId { stream: id, number } = leg.cast;
        if !self.keeps_limits(&leg, &plan) {
            return effects.push(reply(from, &leg, Progress::Refused));
        }
        match self.streams.hear(id, effects) {
            Heard::Live => (),
            Heard::Over => return effects.push(reply(from, &leg, Progress::Done)),
            Heard::Full => return effects.push(reply(from, &leg, Progress::Refused)),
        }
        self.streams.change(&id, |stream| {
            stream.settle(&leg.settled, effects);
            if leg.settled.is_over(number) {
                return effects.push(reply(from, &leg, Progress::Done));
            }
            let duties = stream.entry(number).map_or(&[][..], |entry| &entry.duties);
            if duties.iter().any(|duty| (duty.parent, duty.leg.id) == (from, leg.id)) {
                return;
            }
            if duties.len() >= self.limits.legs {
                return effects.push(reply(from, &leg, Progress::Refused));
            }
            let plan = plan.as_of(leg.table);
            let mut duty = Duty::new((from, leg), plan, self.me);
            duty.spread(&mut self.at, effects);
            stream.take_on(duty, effects);
        });
    }

    /// Whether a leg keeps to the limits, as that of every honest caster does.
    fn keeps_limits(&self, leg: &Leg<P>, plan: &Plan<N>) -> bool {
        let number = leg.cast.number;
        let is_range = leg.range.start < leg.range.end && leg.range.end <= plan.members().len();
        let is_within = number.saturating_sub(leg.settled.through) <= self.limits.window;
        // Two more for each rank: the caster sends to one that has nothing, whatever the others have, a cast and a call.
        let n_ranks = plan.members().all_ranks().len();
        let open_max = self.limits.open.saturating_add(n_ranks.saturating_mul(2));
        let is_counted = number > 0 && leg.settled.waiting.len() <= open_max;
        is_range && is_within && is_counted
    }

    fn on_answered(&mut self, (from, answer): (N, Answer<R>), effects: &mut Vec<Effect<N, P, R>>) {
        self.at.slow.remove(&from);
        let CastId { stream, number } = answer.cast;
        self.streams.change(&stream, |stream| {
            let Some(entry) = stream.entry_mut(number) else { return };
            let asked = entry.duties.iter_mut().find(|duty| duty.gather.has(answer.leg.number));
            let Some(duty) = asked else { return };
            let branches = duty.gather.on_answer((from, answer), &duty.plan, &mut self.at);
            duty.send(branches, effects);
            stream.finish(number, effects);
        });
    }

    fn on_tick(&mut self, effects: &mut Vec<Effect<N, P, R>>) {
        self.streams.change_open(|stream| {
            for number in stream.open() {
                let Some(entry) = stream.entry_mut(number) else { continue };
                entry.duties.iter_mut().for_each(|duty| duty.on_tick(&mut self.at, effects));
                stream.finish(number, effects);
            }
        });
    }

    fn on_merged(
        &mut self,
        CastId { stream, number }: CastId,
        of: (N, LegId),
        merged: Result<R, Failure>,
        effects: &mut Vec<Effect<N, P, R>>,
    ) {
        self.streams.change(&stream, |stream| {
            let Some(entry) = stream.entry_mut(number) else { return };
            let mut duties = entry.duties.iter_mut();
            if let Some(duty) = duties.find(|duty| (duty.parent, duty.leg.id) == of) {
                duty.on_merged(merged);
                stream.finish(number, effects);
            }
        });
    }

    fn on_leg_failed(
        &mut self,
        CastId { stream, number }: CastId,
        failed: (u64, Unreached),
        effects: &mut Vec<Effect<N, P, R>>,
    ) {
        self.streams.change(&stream, |stream| {
            let Some(entry) = stream.entry_mut(number) else { return };
            for duty in &mut entry.duties {
                let branches = duty.gather.on_failed(failed, &duty.plan, &mut self.at);
                duty.send(branches, effects);
            }
            stream.finish(number, effects);
        });
    }

    /// Adopts the children of a child, and drops what a parent has asked for: whoever waits for that asks
    /// again. It is told so, since it may have asked by another session than the one that is lost.
    fn on_lost(&mut self, node: N, why: Unreached, effects: &mut Vec<Effect<N, P, R>>) {
        self.at.slow.remove(&node);
        self.streams.change_open(|stream| {
            for number in stream.open() {
                let Some(entry) = stream.entry_mut(number) else { continue };
                for duty in entry.duties.extract_if(.., |duty| duty.parent == node) {
                    if why != Unreached::Gone {
                        effects.push(reply(node, &duty.leg, Progress::Dropped));
                    }
                }
                for duty in &mut entry.duties {
                    let lost = duty.gather.on_lost((node, why), &duty.plan, &mut self.at);
                    duty.send(lost, effects);
                }
                stream.finish(number, effects);
            }
        });
    }

    fn on_settled(
        &mut self,
        settlement: &Settlement,
        plan: &Plan<N>,
        effects: &mut Vec<Effect<N, P, R>>,
    ) {
        let id = settlement.stream;
        if settlement.is_last {
            self.streams.end(id, effects);
        } else {
            self.streams.hear_word(&id);
            self.streams.change(&id, |stream| stream.settle(&settlement.settled, effects));
        }
        let is_own = plan.members().node(settlement.range.start) == Some(self.me);
        let rest = settlement.range.start + usize::from(is_own)..settlement.range.end;
        let words = settlement.passed_on(plan, rest, &self.at.slow).into_iter();
        effects.extend(words.map(|(to, settlement)| Effect::PassOn { to, settlement }));
    }
}

/// An answer that says nothing more.
fn reply<N, P, R>(to: N, leg: &Leg<P>, progress: Progress) -> Effect<N, P, R> {
    let (outcomes, unreached) = (Overlay::new(), Overlay::new());
    let (cast, leg) = (leg.cast, leg.id);
    let answer = Answer { cast, leg, progress, outcomes, unreached, merged: None };
    Effect::Answer { to, answer }
}
