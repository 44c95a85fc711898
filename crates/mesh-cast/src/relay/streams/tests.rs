//! What is noted of streams against a look at all of them, after any events.

use std::sync::Arc;

use mesh_core::{ActorId, Incarnation, MeshId, ProcId};
use mesh_shape::{Overlay, RankSet};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

use super::super::{Event, Relay};
use super::*;
use crate::limits::Limits;
use crate::members::{Member, Members};
use crate::plan::{FanOut, Plan};
use crate::wire::{
    Answer, CastId, Expect, Kind, Leg, LegId, Outcome, Progress, ReducerId, Sender, Settled,
    Settlement, Unreached,
};

const NODES: usize = 7;

/// The node in the midst of the tree.
const ME: usize = 4;

/// Something that happens. Whoever is meant is drawn from those that there are.
#[derive(Clone, Debug)]
enum Deed {
    Leg { stream: StreamId, number: u64, settled: u64, is_whole: bool, kind: Kind, from: usize },
    Answer { which: usize, progress: Progress, is_news: bool },
    Fail { which: usize },
    Lose { node: usize, why: Unreached },
    Say { which: usize, outcome: Outcome<u8> },
    Merge { which: usize },
    Settle { stream: StreamId, through: u64, is_last: bool },
    Tick,
    Flush,
    Age,
}

fn streams() -> impl Strategy<Value = StreamId> {
    (0_u128..4, 0_u64..2).prop_map(|(proc, index)| {
        let caster = ActorId { proc: ProcId::from_random(proc), life: Incarnation::FIRST, index };
        StreamId { caster, mesh: MeshId::from_random(1) }
    })
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Cast), Just(Kind::Call), Just(Kind::Reduce(ReducerId(1)))]
}

fn deeds() -> impl Strategy<Value = Deed> {
    let leg = (streams(), 1_u64..6, 0_u64..3, any::<bool>(), kinds(), 90_usize..93);
    let leg = leg.prop_map(|(stream, number, settled, is_whole, kind, from)| Deed::Leg {
        stream,
        number,
        settled,
        is_whole,
        kind,
        from,
    });
    let progress = prop_oneof![
        Just(Progress::Open),
        Just(Progress::Delivered),
        Just(Progress::Done),
        Just(Progress::Refused),
        Just(Progress::Dropped),
    ];
    let outcome = prop_oneof![Just(Outcome::Taken), Just(Outcome::Replied(7))];
    let node = prop_oneof![5_usize..NODES, 90_usize..93];
    let why = prop_oneof![Just(Unreached::Lost), Just(Unreached::Gone)];
    let which = any::<usize>;
    prop_oneof![
        6 => leg,
        6 => (which(), progress, any::<bool>())
            .prop_map(|(which, progress, is_news)| Deed::Answer { which, progress, is_news }),
        1 => which().prop_map(|which| Deed::Fail { which }),
        1 => (node, why).prop_map(|(node, why)| Deed::Lose { node, why }),
        4 => (which(), outcome).prop_map(|(which, outcome)| Deed::Say { which, outcome }),
        2 => which().prop_map(|which| Deed::Merge { which }),
        2 => (streams(), 0_u64..6, proptest::bool::weighted(0.3))
            .prop_map(|(stream, through, is_last)| Deed::Settle { stream, through, is_last }),
        1 => Just(Deed::Tick),
        1 => Just(Deed::Flush),
        1 => Just(Deed::Age),
    ]
}

/// A relay, and what it waits for.
struct World {
    relay: Relay<usize, u8, u8>,
    plan: Arc<Plan<usize>>,
    sent: Vec<(usize, Leg<u8>)>,
    delivered: Vec<(CastId, RankSet)>,
    merging: Vec<(CastId, usize, LegId)>,
    n_legs: u64,
}

impl World {
    fn new(limits: Limits) -> Self {
        let member = |node: usize| Member { node, host: 0, ranks: (node..node + 1).into() };
        let members = Members::new(1, (0..NODES).map(member).collect()).expect("nodes differ");
        let plan = Plan::new(Arc::new(members), FanOut::new(2).expect("at least two"));
        Self {
            relay: Relay::new(ME, limits),
            plan: Arc::new(plan),
            sent: Vec::new(),
            delivered: Vec::new(),
            merging: Vec::new(),
            n_legs: 0,
        }
    }

    /// What a deed is here; `None` if there is nobody who could do it.
    fn event(&mut self, deed: Deed) -> Option<Event<usize, u8, u8>> {
        let plan = Arc::clone(&self.plan);
        Some(match deed {
            Deed::Leg { stream, number, settled, is_whole, kind, from } => {
                self.n_legs += 1;
                let range = if is_whole { ME..NODES } else { ME..ME + 1 };
                let leg = Leg {
                    cast: CastId { stream, number },
                    id: LegId { sender: Sender::Relay, number: self.n_legs },
                    kind,
                    table: 1,
                    region: None,
                    expects: Overlay::from_range(range.clone(), Expect::After(number - 1)),
                    range,
                    settled: Settled { through: settled.min(number - 1), waiting: Arc::default() },
                    payload: Some(1),
                };
                Event::Incoming { from, leg, plan }
            }
            Deed::Answer { which, progress, is_news } => {
                let (to, leg) = one_of(&self.sent, which)?;
                let arrived = Overlay::from_range(leg.range, Outcome::Arrived);
                let answer = Answer {
                    cast: leg.cast,
                    leg: leg.id,
                    progress,
                    outcomes: if is_news { arrived } else { Overlay::new() },
                    unreached: Overlay::new(),
                    merged: None,
                };
                Event::Answered(to, answer)
            }
            Deed::Fail { which } => {
                let (_, leg) = one_of(&self.sent, which)?;
                Event::LegFailed { cast: leg.cast, leg: leg.id.number, why: Unreached::Lost }
            }
            Deed::Lose { node, why } => Event::Lost { node, why },
            Deed::Say { which, outcome } => {
                let (cast, ranks) = one_of(&self.delivered, which)?;
                let outcomes = ranks.iter().map(|rank| (rank, outcome.clone())).collect();
                Event::Said { cast, outcomes }
            }
            Deed::Merge { which } => {
                let (cast, to, leg) = one_of(&self.merging, which)?;
                Event::Merged { cast, to, leg, merged: Ok(9) }
            }
            Deed::Settle { stream, through, is_last } => {
                let settled = Settled { through, waiting: Arc::default() };
                let settlement =
                    Settlement { stream, table: 1, range: ME..NODES, settled, is_last };
                Event::Settled { settlement, plan }
            }
            Deed::Tick => Event::Tick,
            Deed::Flush => Event::Flush,
            Deed::Age => Event::Aged,
        })
    }

    fn step(&mut self, event: Event<usize, u8, u8>) {
        for effect in self.relay.step(event) {
            match effect {
                Effect::Deliver { cast, ranks, .. } => self.delivered.push((cast, ranks)),
                Effect::Forward { to, leg } => self.sent.push((to, leg)),
                Effect::Merge { cast, to, leg, .. } => self.merging.push((cast, to, leg)),
                Effect::Answer { .. } | Effect::PassOn { .. } => (),
            }
        }
    }

    /// What is noted is what there is.
    fn check(&self, limits: &Limits) {
        let Streams { known, open, news, idle, .. } = &self.relay.streams;
        assert!(known.len() <= limits.streams);
        let (mut seen_open, mut seen_news, mut seen_idle) = <(BTreeSet<_>, _, _)>::default();
        for (source, Known { id, stream, turn, .. }) in known {
            assert_eq!(super::source(id), *source);
            let looks = stream.as_ref().map(Stream::noted_and_seen).unwrap_or_default();
            let [noted, (its_open, its_news)] = looks;
            assert_eq!(noted, (its_open.clone(), its_news.clone()), "{id:?}");
            put(&mut seen_open, *source, !its_open.is_empty());
            put(&mut seen_news, *source, !its_news.is_empty());
            put(&mut seen_idle, (*turn, *source), stream.as_ref().is_none_or(Stream::is_idle));
        }
        assert_eq!((open, news, idle), (&seen_open, &seen_news, &seen_idle));
        assert_eq!(self.relay.has_duties(), !seen_open.is_empty());
        assert_eq!(self.relay.has_news(), !seen_news.is_empty());
    }
}

fn one_of<T: Clone>(all: &[T], which: usize) -> Option<T> {
    all.get(which.checked_rem(all.len())?).cloned()
}

proptest! {
    #[test]
    fn what_is_noted_of_streams_is_what_a_look_at_all_of_them_shows(deeds in vec(deeds(), 1..120)) {
        let limits = Limits { streams: 3, legs: 3, ..Limits::default() };
        let mut world = World::new(limits);
        for deed in deeds {
            let is_flush = matches!(deed, Deed::Flush);
            if let Some(event) = world.event(deed) {
                world.step(event);
                world.check(&limits);
                assert!(!is_flush || !world.relay.has_news(), "all is told");
            }
        }
    }
}
