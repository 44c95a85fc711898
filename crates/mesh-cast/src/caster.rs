//! `Caster`: the sender's side of a stream: numbers casts, keeps what is not settled, and gives every rank
//! of every cast one outcome.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mesh_shape::{Overlay, RankSet};

use crate::gather::{At, Branch};
use crate::limits::Limits;
use crate::members::Members;
use crate::plan::Plan;
use crate::relay::clip;
use crate::wire::{
    Answer, CastId, Expect, Failure, Kind, Leg, LegId, Outcome, Sender, Settled, Settlement,
    StreamId, Unreached,
};

mod event;
mod flight;
mod loads;
mod owing;
mod room;

pub use event::{Effect, Event, Sent};
pub use room::{Busy, Full, Share, Until};

pub(crate) use loads::News;

use flight::{Flight, GivenUp};
use loads::Loads;

/// Casts to one mesh and its slices for one sender.
///
/// # State
///
/// The casts that have not arrived at some process, at most [`Limits::window`] and [`Limits::window_bytes`], and
/// those that some rank has not taken or not answered, at most [`Limits::open`] and two for each rank, and
/// [`Limits::rank`] for each rank. For each position the number of the last
/// cast to it, run-coded.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use mesh_cast::caster::{Effect, Event};
/// use mesh_cast::{Caster, Failure, FanOut, Kind, Limits, Member, Members, Outcome, Plan, StreamId, Unreached};
/// use mesh_core::{ActorId, Incarnation, MeshId, ProcId};
/// use mesh_shape::Overlay;
///
/// let members = Members::new(1, vec![Member { node: 7, host: 0, ranks: (0..3).into() }])?;
/// let plan = Arc::new(Plan::new(Arc::new(members), FanOut::new(2)?));
/// let caster = ActorId { proc: ProcId::from_random(1), life: Incarnation::FIRST, index: 0 };
/// let stream = StreamId { caster, mesh: MeshId::from_random(1) };
/// let mut caster = Caster::<u32, &str, u8>::new(stream, Limits::default());
///
/// let (number, effects) = caster.cast(plan, Kind::Call, "how many?", 9)?;
/// assert!(matches!(effects[..], [Effect::Forward { to: 7, .. }]));
///
/// // The process of all three ranks ends: the call does not hang.
/// let effects = caster.step(Event::Lost { node: 7, why: Unreached::Gone });
/// let failed = Outcome::Failed(Failure::Unreached(Unreached::Gone));
/// let outcomes = Overlay::from_range(0..3, failed);
/// assert_eq!(effects, [Effect::Resolved { number, outcomes }, Effect::Finished { number }]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Caster<N, P, R> {
    stream: StreamId,
    limits: Limits,
    /// How much of the window, and of what a rank may have, is kept for what is cast ahead.
    kept: usize,
    /// The newest table of members that was cast by.
    members: Option<Arc<Members<N>>>,
    last: u64,
    at: At<N>,
    /// What each position must have had before the next cast; nothing where nothing is said.
    expects: Overlay<Expect>,
    flights: BTreeMap<u64, Flight<N, P, R>>,
    /// What they amount to. Invariant: it is counted anew wherever one of them changes.
    loads: Loads,
    /// What [`cast`](Self::cast) has refused last.
    awaited: Option<(Kind, usize, Arc<Plan<N>>)>,
}

impl<N: Copy + Ord, P: Clone, R: Clone + PartialEq> Caster<N, P, R> {
    /// The caster of a stream of which nothing was cast.
    #[must_use]
    pub const fn new(stream: StreamId, limits: Limits) -> Self {
        Self {
            stream,
            limits,
            kept: 0,
            members: None,
            last: 0,
            at: At::new(),
            expects: Overlay::new(),
            flights: BTreeMap::new(),
            loads: Loads::new(),
            awaited: None,
        }
    }

    /// Keeps room for so many casts that are made [ahead](Self::cast_ahead): less than
    /// [`Limits::window`] and [`Limits::rank`] is then left for others.
    #[must_use]
    pub const fn keeping(mut self, kept: usize) -> Self {
        self.kept = kept;
        self
    }

    /// Casts a message for which there is room, since it was kept ([`keeping`](Self::keeping)): whoever casts keeps
    /// to it that no more than that are not [over](Settled::is_over), and that they are small.
    pub fn cast_ahead(&mut self, plan: Arc<Plan<N>>, payload: P, bytes: usize) -> Sent<N, P, R> {
        self.send_out(Flight::new(Kind::Cast, plan, (payload, bytes)).ahead())
    }

    /// Casts a message of so many bytes to the region of a plan. Returns its number, and what is to be
    /// done.
    ///
    /// # Errors
    ///
    /// [`Full`] gives the message back if there is no room for it, and says whose fault that is.
    pub fn cast(
        &mut self,
        plan: Arc<Plan<N>>,
        kind: Kind,
        payload: P,
        bytes: usize,
    ) -> Result<Sent<N, P, R>, Full<P>> {
        match self.room((kind, bytes), &plan) {
            Ok(()) => Ok(self.send_out(Flight::new(kind, plan, (payload, bytes)))),
            Err((busy, until)) => {
                self.awaited = Some((kind, bytes, plan));
                Err(Full { message: payload, busy, until })
            }
        }
    }

    /// The same, if `claim` says that it is still wanted: it is asked once there is room, and nothing is in between.
    /// Otherwise `None`, and nothing was done. It is not told when there is room for what is refused.
    ///
    /// # Errors
    ///
    /// As there; `claim` was not asked.
    pub fn cast_if(
        &mut self,
        plan: Arc<Plan<N>>,
        kind: Kind,
        (payload, bytes): (P, usize),
        claim: impl FnOnce() -> bool,
    ) -> Result<Option<Sent<N, P, R>>, Full<P>> {
        match self.room((kind, bytes), &plan) {
            Ok(()) => Ok(claim().then(|| self.send_out(Flight::new(kind, plan, (payload, bytes))))),
            Err((busy, until)) => Err(Full { message: payload, busy, until }),
        }
    }

    fn send_out(&mut self, mut flight: Flight<N, P, R>) -> Sent<N, P, R> {
        let (plan, mut effects) = (Arc::clone(&flight.plan), Vec::new());
        self.learn(plan.members(), &mut effects);
        let settled = self.settled();
        self.last += 1;
        let number = self.last;
        // What is settled everywhere need not be told apart: so the runs of this are few.
        self.expects = self.expects.map(|expect| match *expect {
            Expect::After(need) | Expect::From(need) if need <= settled.through => Expect::After(0),
            Expect::After(_) | Expect::From(_) => *expect,
        });
        flight.expects = self.expects.clone();
        for run in plan.expecting().runs() {
            self.expects.insert(run, Expect::After(number));
        }
        let branches = flight.gather.spread(&plan, 0..plan.members().len(), &mut self.at);
        self.loads.begin(number, &mut flight);
        self.flights.insert(number, flight);
        self.send(number, branches, &settled, &mut effects);
        self.absorb(number, &mut effects);
        (number, effects)
    }

    /// One transition: takes what happened, returns what is to be done, in order.
    ///
    /// # Bounds
    ///
    /// For each cast that is on its way: one outcome, and for each node that could not be reached at most
    /// the fan-out of legs.
    #[must_use = "an effect that is not performed is lost"]
    pub fn step(&mut self, event: Event<N, R>) -> Vec<Effect<N, P, R>> {
        let mut effects = Vec::new();
        match event {
            Event::Answered(from, answer) => self.on_answered((from, answer), &mut effects),
            Event::LegFailed { number, leg, why } => {
                if let Some(flight) = self.flights.get_mut(&number) {
                    let (plan, last) = (&flight.plan, &mut self.at);
                    let branches = flight.gather.on_failed((leg, why), plan, last);
                    self.send_now(number, branches, &mut effects);
                    self.absorb(number, &mut effects);
                }
            }
            Event::Lost { node, why } => self.on_lost(node, why, &mut effects),
            Event::Members(members) => self.learn(&members, &mut effects),
            Event::Failed(faults) => {
                for (range, fault) in faults.into_runs() {
                    self.fail(&range.into(), &Failure::Fault(fault), &mut effects);
                }
            }
            Event::Tick => self.on_tick(&mut effects),
            Event::Withdrawn(number) => {
                if let Some(flight) = self.flights.get_mut(&number) {
                    let pending = flight.pending.ranks().clone();
                    let news = flight.resolve_only(&pending, &Failure::Withdrawn);
                    tell(number, news, &mut effects);
                    self.absorb(number, &mut effects);
                }
            }
        }
        self.make_room(&mut effects);
        effects
    }

    /// Word of what is settled, for the whole mesh: to be sent when there was no cast for a while, so that
    /// nodes forget replies that have arrived.
    #[must_use]
    pub fn settle(&self, plan: &Plan<N>) -> Vec<Effect<N, P, R>> {
        let (stream, settled) = (self.stream, self.settled());
        let (table, range) = (plan.members().version(), 0..plan.members().len());
        say(&Settlement { stream, table, range, settled, is_last: false }, plan, &self.at.slow)
    }

    /// Word that nothing of the stream is wanted any more, for those that anything was cast to and whoever is between
    /// them: to be sent by a caster that ends when nothing of it is on its way. Others forget the stream later.
    #[must_use]
    pub fn farewell(&self, plan: &Plan<N>) -> Vec<Effect<N, P, R>> {
        let (stream, settled) = (self.stream, self.settled());
        let start = self.expects.runs().next().map_or(0, |(run, _)| run.start);
        let end = self.expects.runs().last().map_or(0, |(run, _)| run.end);
        let (table, range) = (plan.members().version(), start..end.min(plan.members().len()));
        say(&Settlement { stream, table, range, settled, is_last: true }, plan, &self.at.slow)
    }

    /// What it is done with.
    #[must_use]
    pub fn settled(&self) -> Settled {
        let through = self.through();
        let waiting = self.flights.range(..=through).map(|(number, _)| *number).collect();
        Settled { through, waiting }
    }

    /// Up to which cast all have arrived.
    fn through(&self) -> u64 {
        self.loads.absent.first().map_or(self.last, |number| number - 1)
    }

    /// How many casts are on their way.
    #[must_use]
    pub fn n_flights(&self) -> usize {
        self.flights.len()
    }

    fn make_room(&mut self, effects: &mut Vec<Effect<N, P, R>>) {
        let awaited = self.awaited.as_ref();
        if awaited.is_some_and(|(kind, bytes, plan)| self.room((*kind, *bytes), plan).is_ok()) {
            self.awaited = None;
            effects.push(Effect::Room);
        }
    }

    /// Compares a newer table with the last one, and gives up who is not there any more.
    fn learn(&mut self, members: &Arc<Members<N>>, effects: &mut Vec<Effect<N, P, R>>) {
        let Some(known) = self.members.replace(Arc::clone(members)) else { return };
        if known.version() >= members.version() {
            self.members = Some(known);
            return;
        }
        let replaced = (0..known.len()).filter(|at| known.node(*at) != members.node(*at));
        for position in replaced {
            self.give_up(vec![(position, Unreached::Gone)], effects);
        }
    }

    fn on_answered(&mut self, (from, answer): (N, Answer<R>), effects: &mut Vec<Effect<N, P, R>>) {
        self.at.slow.remove(&from);
        let CastId { stream, number } = answer.cast;
        let Some(flight) = self.flights.get_mut(&number) else { return };
        if stream != self.stream || !flight.gather.has(answer.leg.number) {
            return;
        }
        let branches = flight.on_answer((from, answer), &mut self.at);
        self.send_now(number, branches, effects);
        self.absorb(number, effects);
    }

    fn on_tick(&mut self, effects: &mut Vec<Effect<N, P, R>>) {
        for number in self.flights.keys().copied().collect::<Vec<_>>() {
            let Some(flight) = self.flights.get_mut(&number) else { continue };
            let branches = flight.gather.on_tick(&flight.plan, &mut self.at);
            self.send_now(number, branches, effects);
            self.absorb(number, effects);
        }
    }

    fn on_lost(&mut self, node: N, why: Unreached, effects: &mut Vec<Effect<N, P, R>>) {
        let was_slow = self.at.slow.remove(&node);
        // Of one that has ended it is said again and again: that is to cost those little who wait for nothing there.
        let concerned = self.flights.iter().filter(|(_, it)| was_slow || it.gather.is_with(node));
        for number in concerned.map(|(number, _)| *number).collect::<Vec<_>>() {
            let Some(flight) = self.flights.get_mut(&number) else { continue };
            let (plan, last) = (&flight.plan, &mut self.at);
            let branches = flight.gather.on_lost((node, why), plan, last);
            self.send_now(number, branches, effects);
            self.absorb(number, effects);
        }
        let position = self.members.as_ref().and_then(|members| members.position(&node));
        if let (Unreached::Gone, Some(position)) = (why, position) {
            self.give_up(vec![(position, why)], effects);
        }
    }

    /// Resolves ranks in every cast; whether they take the message is another matter.
    fn fail(&mut self, ranks: &RankSet, failure: &Failure, effects: &mut Vec<Effect<N, P, R>>) {
        for number in self.flights.keys().copied().collect::<Vec<_>>() {
            let Some(flight) = self.flights.get_mut(&number) else { continue };
            tell(number, flight.resolve_only(ranks, failure), effects);
            self.absorb(number, effects);
        }
    }

    /// Takes over what the answers to a cast have brought, until nothing more follows from it.
    fn absorb(&mut self, number: u64, effects: &mut Vec<Effect<N, P, R>>) {
        let given_up = self.absorb_one(number, effects);
        self.give_up(given_up, effects);
    }

    /// Gives up nodes, for every cast that they do not have: it may wait there for one that does not
    /// come. The next cast to them begins anew. A node that is gone has no replies, either.
    fn give_up(&mut self, mut given_up: Vec<GivenUp>, effects: &mut Vec<Effect<N, P, R>>) {
        while let Some((position, why)) = given_up.pop() {
            self.expects.insert(position..position + 1, Expect::From(self.last));
            let misses = |flight: &Flight<N, P, R>| match why {
                Unreached::Gone => flight.is_wanted(position),
                Unreached::Lost | Unreached::Refused => !flight.has_arrived_at(position),
            };
            let concerned = self.flights.iter().filter(|(_, flight)| misses(flight));
            for number in concerned.map(|(number, _)| *number).collect::<Vec<_>>() {
                let Some(flight) = self.flights.get_mut(&number) else { continue };
                tell(number, flight.give_up((position, why)), effects);
                given_up.extend(self.absorb_one(number, effects));
            }
        }
    }

    /// As [`absorb`](Self::absorb), for one cast. Returns the nodes that it gave up.
    fn absorb_one(&mut self, number: u64, effects: &mut Vec<Effect<N, P, R>>) -> Vec<GivenUp> {
        let Some(flight) = self.flights.get_mut(&number) else { return Vec::new() };
        let (outcomes, unreached) = flight.gather.take();
        tell(number, flight.resolve(outcomes), effects);
        for part in flight.gather.take_parts() {
            if flight.resolve_merged(&part.ranks) {
                effects.push(Effect::Merged { number, part });
            }
        }
        let mut given_up = flight.on_unreached(&unreached, self.limits.tries);
        for node in &given_up {
            tell(number, flight.give_up(*node), effects);
        }
        let left_over = flight.left_over();
        given_up.extend(flight.on_unreached(&left_over, self.limits.tries));
        let mut retries = Vec::new();
        while let Some(branch) = flight.next_retry(&mut self.at) {
            retries.push(branch);
        }
        if flight.absent.is_empty() {
            flight.payload = None;
        }
        self.loads.count(number, flight);
        if flight.is_over() {
            self.flights.remove(&number);
            effects.push(Effect::Finished { number });
        }
        self.send_now(number, retries, effects);
        given_up
    }

    fn send_now(&self, number: u64, branches: Vec<Branch<N>>, effects: &mut Vec<Effect<N, P, R>>) {
        if !branches.is_empty() {
            self.send(number, branches, &self.settled(), effects);
        }
    }

    fn send(
        &self,
        number: u64,
        branches: Vec<Branch<N>>,
        settled: &Settled,
        effects: &mut Vec<Effect<N, P, R>>,
    ) {
        let Some(flight) = self.flights.get(&number) else { return };
        effects.extend(branches.into_iter().map(|branch| {
            let leg = Leg {
                cast: CastId { stream: self.stream, number },
                id: LegId { sender: Sender::Caster, number: branch.number },
                kind: flight.kind,
                table: flight.plan.members().version(),
                region: flight.plan.region().cloned(),
                expects: clip(&flight.expects, &branch.range),
                range: branch.range,
                settled: settled.clone(),
                payload: flight.payload.clone(),
            };
            Effect::Forward { to: branch.to, leg }
        }));
    }
}

/// Sends a word on its way, past who is slow.
fn say<N: Copy + Ord, P, R>(
    word: &Settlement,
    plan: &Plan<N>,
    slow: &BTreeSet<N>,
) -> Vec<Effect<N, P, R>> {
    let words = word.passed_on(plan, word.range.clone(), slow).into_iter();
    words.map(|(to, settlement)| Effect::PassOn { to, settlement }).collect()
}

/// Tells of outcomes, if there are any.
fn tell<N, P, R>(number: u64, outcomes: Overlay<Outcome<R>>, effects: &mut Vec<Effect<N, P, R>>) {
    if !outcomes.is_empty() {
        effects.push(Effect::Resolved { number, outcomes });
    }
}
