//! `World`: processes with a relay each, some with a caster, on a simulated network.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use mesh_cast::{
    CastId, Caster, Kind, Leg, LegId, Outcome, Part, Plan, Relay, Sender, StreamId, Unreached,
    caster, relay,
};
use mesh_core::{ActorId, Incarnation, MeshId, ProcId};
use mesh_shape::{Overlay, RankSet};

use crate::dice::Dice;
use crate::net::{Heard, Net};
use crate::setup::{Fault, Setup, reply};
use crate::tables::{Tables, View};

/// One process.
#[derive(Clone)]
pub(crate) struct Proc {
    pub(crate) relay: Relay<usize, u32, u32>,
    inbox: VecDeque<(CastId, Kind, RankSet)>,
    calls: VecDeque<(CastId, RankSet)>,
    merges: VecDeque<(CastId, usize, LegId, Vec<u32>)>,
    /// The casts that each rank has taken, by stream.
    pub(crate) taken: BTreeMap<(StreamId, usize), Vec<u64>>,
    view: View,
    /// How many legs it has sent of each cast.
    pub(crate) sent: BTreeMap<CastId, usize>,
}

/// One caster, and the program that uses it.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) home: usize,
    pub(crate) stream: StreamId,
    pub(crate) caster: Caster<usize, u32, u32>,
    pub(crate) script: VecDeque<(usize, Kind)>,
    is_refused: bool,
    /// The slice and kind of each cast.
    pub(crate) casts: BTreeMap<u64, (usize, Kind)>,
    /// All that the program was told, by cast and rank.
    pub(crate) outcomes: BTreeMap<(u64, usize), Vec<Outcome<u32>>>,
    /// What ranks replied, merged, by cast.
    pub(crate) parts: BTreeMap<u64, Vec<Part<u32>>>,
    pub(crate) finished: Vec<u64>,
    /// From which cast on it sends to the last life at a position, where that was started again.
    pub(crate) since: BTreeMap<usize, u64>,
    /// How many legs it has sent of each cast.
    pub(crate) sent: BTreeMap<u64, usize>,
}

/// The whole of it.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) setup: Setup,
    dice: Dice,
    net: Net,
    pub(crate) procs: BTreeMap<usize, Proc>,
    pub(crate) clients: Vec<Client>,
    pub(crate) dead: BTreeSet<usize>,
    pub(crate) paused: BTreeSet<usize>,
    pub(crate) tables: Tables,
    pub(crate) n_steps: usize,
    pub(crate) most_casts: usize,
}

/// What can happen next.
#[derive(Clone, Copy, Debug)]
enum Move {
    Hear(usize, usize),
    Take(usize),
    Reply(usize),
    Merge(usize),
    Flush(usize),
    Tick(usize),
    Cast(usize),
    Learn(usize),
}

impl World {
    pub(crate) fn new(setup: Setup) -> Self {
        let tables = Tables::new(&setup);
        let proc = |node| (node, Proc::new(node, &setup, &tables));
        let client = |home: &usize| {
            let proc = ProcId::from_random(*home as u128);
            let caster = ActorId { proc, life: Incarnation::FIRST, index: 0 };
            let stream = StreamId { caster, mesh: MeshId::from_random(7) };
            Client {
                home: *home,
                stream,
                caster: Caster::new(stream, setup.limits),
                script: setup.script.iter().copied().collect(),
                is_refused: false,
                casts: BTreeMap::new(),
                outcomes: BTreeMap::new(),
                parts: BTreeMap::new(),
                finished: Vec::new(),
                since: BTreeMap::new(),
                sent: BTreeMap::new(),
            }
        };
        Self {
            dice: Dice(setup.seed),
            net: Net::default(),
            procs: (0..=setup.n_nodes).map(proc).collect(),
            clients: setup.casters.iter().map(client).collect(),
            dead: BTreeSet::new(),
            paused: BTreeSet::new(),
            n_steps: 0,
            most_casts: 0,
            tables,
            setup,
        }
    }

    /// The same world with other luck.
    pub(crate) fn with_seed(&self, seed: u64) -> Self {
        Self { dice: Dice(seed), ..self.clone() }
    }

    /// Runs until nothing can happen any more. Each fault happens before the step of its number.
    pub(crate) fn run(&mut self, faults: &[(usize, Fault)]) {
        loop {
            for (step, fault) in faults {
                if *step == self.n_steps {
                    self.inflict(*fault);
                }
            }
            if !self.step() {
                break;
            }
        }
    }

    /// Does one thing that can happen. Returns whether there was any.
    pub(crate) fn step(&mut self) -> bool {
        let next = self.choose();
        if let Some(next) = next {
            self.n_steps += 1;
            assert!(self.n_steps < STEPS_MAX, "it ends");
            self.make(next);
        }
        next.is_some()
    }

    /// Every program goes on.
    pub(crate) fn cast_more(&mut self, script: &[(usize, Kind)]) {
        for client in &mut self.clients {
            client.script.extend(script);
        }
    }

    /// Everybody learns who is dead, and what is settled.
    pub(crate) fn settle(&mut self) {
        let newest = self.tables.version();
        for proc in self.procs.values_mut() {
            proc.view.learn_table(&self.tables, newest);
            self.dead.iter().for_each(|dead| proc.view.learn_dead(&self.tables, *dead));
        }
        for index in 0..self.clients.len() {
            let home = self.clients[index].home;
            if !self.dead.contains(&home) {
                let plan = self.plan(home, 0);
                let effects = self.clients[index].caster.settle(&plan);
                self.obey_caster(index, effects);
            }
        }
        self.run(&[]);
    }

    /// Every caster says farewell.
    pub(crate) fn take_leave(&mut self) {
        for index in 0..self.clients.len() {
            let home = self.clients[index].home;
            if !self.dead.contains(&home) {
                let effects = self.clients[index].caster.farewell(&self.plan(home, 0));
                self.obey_caster(index, effects);
            }
        }
        self.run(&[]);
    }

    pub(crate) fn inflict(&mut self, fault: Fault) {
        match fault {
            Fault::Kill(node) => self.kill(node),
            Fault::Restart(position) => {
                let Some(old) = self.tables.node(position) else { return };
                let new = old + self.setup.n_nodes + 1;
                self.kill(old);
                self.tables.replace(&self.setup, position, new);
                self.procs.insert(new, Proc::new(new, &self.setup, &self.tables));
            }
            Fault::Pause(node) => _ = self.paused.insert(node),
            Fault::Resume(node) => _ = self.paused.remove(&node),
            Fault::Lose(one, other) => self.net.lose((one, other), false, &mut self.dice),
            Fault::Cut(one, other) => self.net.lose((one, other), true, &mut self.dice),
        }
    }

    fn kill(&mut self, node: usize) {
        if self.dead.insert(node) {
            let all: Vec<usize> = self.procs.keys().copied().collect();
            let why = if self.dice.one_in(2) { Unreached::Gone } else { Unreached::Lost };
            self.net.kill(node, &all, why, &mut self.dice);
        }
    }

    fn choose(&mut self) -> Option<Move> {
        let mut moves: Vec<Move> =
            self.net.ready().map(|(from, to)| Move::Hear(from, to)).collect();
        moves.retain(|it| !matches!(it, Move::Hear(_, to) if self.paused.contains(to)));
        for (node, proc) in self.procs.iter().filter(|(node, _)| self.is_active(**node)) {
            moves.extend((!proc.inbox.is_empty()).then_some(Move::Take(*node)));
            moves.extend((!proc.calls.is_empty()).then_some(Move::Reply(*node)));
            moves.extend((!proc.merges.is_empty()).then_some(Move::Merge(*node)));
        }
        for (index, client) in self.clients.iter().enumerate() {
            if !self.is_active(client.home) {
                continue;
            }
            let is_ready = !client.is_refused && !client.script.is_empty();
            moves.extend(is_ready.then_some(Move::Cast(index)));
            let is_behind = self.procs[&client.home].view.version() < self.tables.version();
            moves.extend(is_behind.then_some(Move::Learn(index)));
        }
        if moves.is_empty() || self.dice.one_in(16) {
            let live = self.procs.iter().filter(|(node, _)| self.is_active(**node));
            let news = live.filter(|(_, proc)| proc.relay.has_news());
            moves.extend(news.map(|(node, _)| Move::Flush(*node)));
        }
        if self.setup.has_ticks && !moves.is_empty() && self.dice.one_in(16) {
            moves.extend(
                self.procs.keys().filter(|it| self.is_active(**it)).map(|it| Move::Tick(*it)),
            );
        }
        let choice = self.dice.below(moves.len());
        moves.get(choice).copied()
    }

    fn make(&mut self, next: Move) {
        match next {
            Move::Hear(from, to) => {
                if let Some((heard, back)) = self.net.take((from, to), &mut self.dice) {
                    self.hear(from, to, heard);
                    back.into_iter().for_each(|it| self.came_back((to, from), it));
                }
            }
            Move::Flush(node) => self.tell(node, relay::Event::Flush),
            Move::Tick(node) => self.tick(node),
            Move::Take(node) => {
                let proc = self.procs.get_mut(&node).expect("a process");
                let Some((cast, kind, ranks)) = proc.inbox.pop_front() else { return };
                for rank in ranks.iter() {
                    let taken = proc.taken.entry((cast.stream, rank.index())).or_default();
                    taken.push(cast.number);
                }
                if kind.wants_reply() {
                    proc.calls.push_back((cast, ranks.clone()));
                }
                let outcomes = said(&ranks, |_| Outcome::Taken);
                self.tell(node, relay::Event::Said { cast, outcomes });
            }
            Move::Reply(node) => {
                let proc = self.procs.get_mut(&node).expect("a process");
                let Some((cast, ranks)) = proc.calls.pop_front() else { return };
                let outcomes = said(&ranks, |rank| Outcome::Replied(reply(cast.number, rank)));
                self.tell(node, relay::Event::Said { cast, outcomes });
            }
            Move::Merge(node) => {
                let proc = self.procs.get_mut(&node).expect("a process");
                let Some((cast, to, leg, values)) = proc.merges.pop_front() else { return };
                assert!(values.len() > 1, "one needs no merging");
                let merged = Ok(values.into_iter().sum());
                self.tell(node, relay::Event::Merged { cast, to, leg, merged });
            }
            Move::Learn(index) => {
                let home = self.clients[index].home;
                self.learn_table(home, self.tables.version());
            }
            Move::Cast(index) => {
                let home = self.clients[index].home;
                let Some((slice, kind)) = self.clients[index].script.front().copied() else {
                    return;
                };
                let plan = self.plan(home, slice);
                let client = &mut self.clients[index];
                let payload = client.script.len() as u32;
                match client.caster.cast(plan, kind, payload, 1) {
                    Err(_) => client.is_refused = true,
                    Ok((number, effects)) => {
                        client.script.pop_front();
                        client.casts.insert(number, (slice, kind));
                        self.obey_caster(index, effects);
                    }
                }
            }
        }
    }

    fn is_active(&self, node: usize) -> bool {
        !self.dead.contains(&node) && !self.paused.contains(&node)
    }

    /// Time passes for one process.
    fn tick(&mut self, node: usize) {
        self.tell(node, relay::Event::Tick);
        for index in 0..self.clients.len() {
            if self.clients[index].home == node {
                let effects = self.clients[index].caster.step(caster::Event::Tick);
                self.obey_caster(index, effects);
            }
        }
    }

    /// Time passes for all, and what follows from that happens.
    pub(crate) fn pass_time(&mut self, n_ticks: usize) {
        for _ in 0..n_ticks {
            let active: Vec<_> =
                self.procs.keys().copied().filter(|node| self.is_active(*node)).collect();
            active.into_iter().for_each(|node| self.tick(node));
            self.run(&[]);
        }
    }

    fn hear(&mut self, from: usize, to: usize, heard: Heard) {
        match heard {
            Heard::Leg(leg) => {
                let slice = self.tables.slice_of(leg.region.as_deref());
                self.learn_table(to, leg.table);
                let plan = self.plan(to, slice);
                self.tell(to, relay::Event::Incoming { from, leg, plan });
            }
            Heard::Settlement(settlement) => {
                self.learn_table(to, settlement.table);
                let plan = self.plan(to, 0);
                self.tell(to, relay::Event::Settled { settlement, plan });
            }
            Heard::Answer(answer) if answer.leg.sender == Sender::Relay => {
                self.tell(to, relay::Event::Answered(from, answer));
            }
            Heard::Answer(answer) => {
                let stream = answer.cast.stream;
                let asked = self.clients.iter().position(|client| client.stream == stream);
                let index = asked.expect("somebody has asked");
                let effects =
                    self.clients[index].caster.step(caster::Event::Answered(from, answer));
                self.obey_caster(index, effects);
            }
            Heard::Lost(why) => {
                if why == Unreached::Gone {
                    let proc = self.procs.get_mut(&to).expect("a process");
                    proc.view.learn_dead(&self.tables, from);
                }
                self.tell(to, relay::Event::Lost { node: from, why });
                for index in 0..self.clients.len() {
                    if self.clients[index].home == to {
                        let event = caster::Event::Lost { node: from, why };
                        let effects = self.clients[index].caster.step(event);
                        self.obey_caster(index, effects);
                    }
                }
            }
        }
    }

    /// What the first had sent to the second, by a session that was lost.
    fn came_back(&mut self, (from, to): (usize, usize), what: Heard) {
        let why = Unreached::Lost;
        match what {
            Heard::Leg(Leg { cast, id: LegId { sender: Sender::Relay, number: leg }, .. }) => {
                self.tell(from, relay::Event::LegFailed { cast, leg, why });
            }
            Heard::Leg(Leg { cast, id, .. }) => {
                let asked = self.clients.iter().position(|client| client.stream == cast.stream);
                let index = asked.expect("it has cast that");
                let event = caster::Event::LegFailed { number: cast.number, leg: id.number, why };
                let effects = self.clients[index].caster.step(event);
                self.obey_caster(index, effects);
            }
            // Whoever has asked by the next session still waits for it.
            Heard::Answer(answer) => self.net.send(from, to, Heard::Answer(answer)),
            Heard::Settlement(_) | Heard::Lost(_) => (),
        }
    }

    fn tell(&mut self, node: usize, event: relay::Event<usize, u32, u32>) {
        let proc = self.procs.get_mut(&node).expect("a process");
        let effects = proc.relay.step(event);
        self.most_casts = self.most_casts.max(proc.relay.n_casts());
        for effect in effects {
            match effect {
                relay::Effect::Deliver { cast, kind, ranks, .. } => {
                    proc.inbox.push_back((cast, kind, ranks));
                }
                relay::Effect::Forward { to, leg } => {
                    *proc.sent.entry(leg.cast).or_default() += 1;
                    self.net.send(node, to, Heard::Leg(leg));
                }
                relay::Effect::Merge { cast, to, leg, values, .. } => {
                    proc.merges.push_back((cast, to, leg, values));
                }
                relay::Effect::Answer { to, answer } => {
                    self.net.send(node, to, Heard::Answer(answer));
                }
                relay::Effect::PassOn { to, settlement } => {
                    self.net.send(node, to, Heard::Settlement(settlement));
                }
            }
        }
    }

    fn obey_caster(&mut self, index: usize, effects: Vec<caster::Effect<usize, u32, u32>>) {
        let client = &mut self.clients[index];
        for effect in effects {
            match effect {
                caster::Effect::Forward { to, leg } => {
                    *client.sent.entry(leg.cast.number).or_default() += 1;
                    self.net.send(client.home, to, Heard::Leg(leg));
                }
                caster::Effect::PassOn { to, settlement } => {
                    self.net.send(client.home, to, Heard::Settlement(settlement));
                }
                caster::Effect::Resolved { number, outcomes } => {
                    for (rank, outcome) in outcomes.iter() {
                        let told = client.outcomes.entry((number, rank.index())).or_default();
                        told.push(outcome.clone());
                    }
                }
                caster::Effect::Merged { number, part } => {
                    client.parts.entry(number).or_default().push(part);
                }
                caster::Effect::Finished { number } => client.finished.push(number),
                caster::Effect::Room => client.is_refused = false,
            }
        }
    }

    /// The plan of a slice, as a process knows it.
    fn plan(&self, node: usize, slice: usize) -> Arc<Plan<usize>> {
        self.procs[&node].view.plan(slice)
    }

    /// A process hears of a table. If it casts, it casts by that from now on.
    fn learn_table(&mut self, node: usize, version: u64) {
        let proc = self.procs.get_mut(&node).expect("a process");
        let before = proc.view.plan(0);
        proc.view.learn_table(&self.tables, version);
        let after = proc.view.plan(0);
        for index in 0..self.clients.len() {
            let client = &mut self.clients[index];
            if client.home != node || before.members().version() >= version {
                continue;
            }
            let next = client.casts.len() as u64 + 1;
            for position in 0..self.setup.n_nodes {
                if before.members().node(position) != after.members().node(position) {
                    client.since.insert(position, next);
                }
            }
            let event = caster::Event::Members(Arc::clone(after.members()));
            let effects = client.caster.step(event);
            self.obey_caster(index, effects);
        }
    }
}

impl Proc {
    fn new(node: usize, setup: &Setup, tables: &Tables) -> Self {
        Self {
            relay: Relay::new(node, setup.limits),
            inbox: VecDeque::new(),
            calls: VecDeque::new(),
            merges: VecDeque::new(),
            taken: BTreeMap::new(),
            view: View::of(tables),
            sent: BTreeMap::new(),
        }
    }
}

fn said(ranks: &RankSet, outcome: impl Fn(usize) -> Outcome<u32>) -> Overlay<Outcome<u32>> {
    ranks.iter().map(|rank| (rank, outcome(rank.index()))).collect()
}

/// Far more than any world takes.
const STEPS_MAX: usize = 100_000;
