//! A crowd does what looking at all that waits would do, in the same order.

use std::collections::BTreeSet;
use std::sync::Arc;

use mesh_core::{MeshId, PeerId};
use mesh_shape::{Extent, Region, ValueMesh};
use proptest::prelude::*;

use super::super::super::table::{Book, Seat, Table};
use super::super::walk::{Came, Effect, TestCaster, Walk, cast};
use super::*;
use crate::caster::{Caster, Event};
use crate::plan::{FanOut, Plan};
use crate::wire::{Answer, Leg, Outcome, Progress, StreamId, Unreached};

const RANKS: usize = 7;

/// A tree over all ranks, each of which is sent to directly.
fn whole() -> Arc<Plan<PeerId>> {
    let seat = Seat { life: Incarnation::FIRST, relay: Some(1), actor: Some(2), since: 0 };
    let table = Table {
        mesh: MeshId::from_random(7),
        version: 1,
        fan_out: FanOut::new(RANKS).expect("at least two"),
        procs: MeshId::from_random(1),
        region: Arc::new(Region::all(Extent::new([("r", RANKS)]).expect("its size is allowed"))),
        seats: ValueMesh::uniform(RANKS, seat),
        directory: actor(1),
    };
    Arc::clone(Book::new(Arc::new(table)).expect("it holds together").whole())
}

/// Something that happens.
#[derive(Clone, Debug)]
enum Step {
    Come {
        from: Option<u64>,
        ranks: Range<usize>,
        is_call: bool,
        bytes: usize,
        is_ahead: bool,
    },
    /// Whoever waits for the one of that place has gone.
    Leave(usize),
    /// The leg of that place comes so far, of which there are three steps.
    Said {
        place: usize,
        how_far: usize,
    },
    /// The process of that rank is lost, or gone for good.
    Lost {
        rank: usize,
        why: Unreached,
    },
    /// Nobody waits any more for the call of that place, of those that have legs on their way.
    Withdrawn(usize),
    /// Another caster goes on.
    Begin,
}

/// What happens, and after which of it there is a look at what waits.
fn steps(bytes: Range<usize>) -> impl Strategy<Value = Vec<(Step, bool)>> {
    prop::collection::vec((step(bytes), prop::bool::weighted(0.7)), 1..160)
}

fn step(bytes: Range<usize>) -> impl Strategy<Value = Step> {
    let from = prop_oneof![2 => Just(None), 3 => (0..4_u64).prop_map(Some)];
    let n_ranks = prop_oneof![3 => 1..4_usize, 1 => Just(RANKS)];
    let ranks = (0..RANKS, n_ranks).prop_map(|(at, n)| at..(at + n).min(RANKS));
    let come = (from, ranks, any::<bool>(), bytes, 0..8).prop_map(|it| {
        let (from, ranks, is_call, bytes, chance) = it;
        Step::Come { from, ranks, is_call, bytes, is_ahead: chance == 0 && !is_call }
    });
    let said = (0..40_usize, 0..3_usize).prop_map(|(place, how_far)| Step::Said { place, how_far });
    let why = prop_oneof![3 => Just(Unreached::Lost), 1 => Just(Unreached::Gone)];
    let lost = (0..RANKS, why).prop_map(|(rank, why)| Step::Lost { rank, why });
    prop_oneof![
        40 => come,
        5 => (0..10_usize).prop_map(Step::Leave),
        50 => said,
        3 => lost,
        5 => (0..4_usize).prop_map(Step::Withdrawn),
        1 => Just(Step::Begin)
    ]
}

/// The same caster twice, one before a crowd and one before its model.
struct Both {
    casters: [TestCaster; 2],
    crowd: Crowd<u64>,
    walk: Walk,
    whole: Arc<Plan<PeerId>>,
    last: u64,
    waiting: Vec<u64>,
    legs: Vec<(PeerId, Leg<()>)>,
}

fn limits() -> Limits {
    let few = Limits { window: 6, window_bytes: 14, rank: 3, calls: 5, ..Limits::default() };
    let few = Limits { open: 18, open_bytes: 40, waiting: 4, waiting_bytes: 12, tries: 1, ..few };
    Limits { waiting_in_all: 10, waiting_bytes_in_all: 30, ..few }
}

impl Both {
    fn new(limits: Limits, is_patient: bool) -> Self {
        let stream = StreamId { caster: actor(9), mesh: MeshId::from_random(7) };
        let (caster, whole) = (|| Caster::new(stream, limits).keeping(1), whole());
        Self {
            casters: [caster(), caster()],
            crowd: Crowd::new(limits),
            walk: Walk::new(limits, Arc::clone(&whole), is_patient),
            whole,
            last: 0,
            waiting: Vec::new(),
            legs: Vec::new(),
        }
    }

    fn happen(&mut self, step: Step) {
        match step {
            Step::Come { from, ranks, is_call, bytes, is_ahead } => {
                self.last += 1;
                let who = Who { is_call, is_ahead, ..who(from, ranks, bytes) };
                self.waiting.push(self.last);
                self.walk.come(self.last, who.clone());
                self.crowd.come(self.last, who, self.last);
            }
            Step::Leave(place) if place < self.waiting.len() => {
                let number = self.waiting.remove(place);
                self.walk.leave(number);
                assert!(self.crowd.leave(number).is_some());
            }
            Step::Said { place, how_far } if place < self.legs.len() => self.said(place, how_far),
            Step::Lost { rank, why } => self.lost(rank, why),
            Step::Withdrawn(place) => self.withdraw(place),
            Step::Begin => {
                self.crowd.begin_anew();
                self.walk.begin_anew();
            }
            Step::Leave(_) | Step::Said { .. } => (),
        }
    }

    /// What becomes of whom, for crowd and model.
    fn look(&mut self) -> [Vec<Came>; 2] {
        let [ours, theirs] = &mut self.casters;
        let news = theirs.take_news();
        let came = [by_crowd(&mut self.crowd, &self.whole, ours), self.walk.look(theirs, &news)];
        for came in &came[0] {
            let (Came::Cast(number, _) | Came::Refused(number, _)) = came;
            self.waiting.retain(|waiting| waiting != number);
            if let Came::Cast(_, effects) = came {
                self.send(effects);
            }
        }
        came
    }

    /// What happened is told to both casters, which want the same done.
    fn tell(&mut self, event: Event<PeerId, ()>) {
        let [ours, theirs] = self.casters.each_mut().map(|caster| caster.step(event.clone()));
        assert_eq!(ours, theirs);
        self.send(&ours);
    }

    fn send(&mut self, effects: &[Effect]) {
        self.legs.extend(effects.iter().filter_map(|effect| match effect {
            Effect::Forward { to, leg } => Some((*to, leg.clone())),
            Effect::PassOn { .. }
            | Effect::Resolved { .. }
            | Effect::Merged { .. }
            | Effect::Finished { .. }
            | Effect::Room => None,
        }));
    }

    fn withdraw(&mut self, place: usize) {
        let calls = self.legs.iter().filter(|(_, leg)| leg.kind.wants_reply());
        let calls: BTreeSet<u64> = calls.map(|(_, leg)| leg.cast.number).collect();
        if let Some(number) = calls.into_iter().nth(place) {
            self.tell(Event::Withdrawn(number));
        }
    }

    /// What was sent to that process is lost with it.
    fn lost(&mut self, rank: usize, why: Unreached) {
        let node = self.whole.members().node(rank).expect("each rank has a process");
        self.legs.retain(|(to, _)| *to != node);
        self.tell(Event::Lost { node, why });
    }

    fn said(&mut self, place: usize, how_far: usize) {
        let (to, leg) = self.legs[place].clone();
        let wants_reply = leg.kind.wants_reply();
        let (outcome, progress) = match how_far {
            0 => (Outcome::Arrived, Progress::Delivered),
            1 if wants_reply => (Outcome::Taken, Progress::Delivered),
            _ if wants_reply => (Outcome::Replied(()), Progress::Done),
            _ => (Outcome::Taken, Progress::Done),
        };
        if progress == Progress::Done {
            self.legs.remove(place);
        }
        let outcomes = mesh_shape::Overlay::from_range(leg.range, outcome);
        let (unreached, merged) = (mesh_shape::Overlay::new(), None);
        let answer = Answer { cast: leg.cast, leg: leg.id, progress, outcomes, unreached, merged };
        self.tell(Event::Answered(to, answer));
    }
}

/// What a crowd does at one look.
fn by_crowd(crowd: &mut Crowd<u64>, whole: &Plan<PeerId>, caster: &mut TestCaster) -> Vec<Came> {
    let mut came = Vec::new();
    crowd.hear(&caster.take_news(), &caster.share());
    while let Some(turn) = crowd.next(|lack, bytes, ranks| match lack {
        Lack::Full => caster.still_full(ranks, bytes),
        Lack::Silent => caster.still_silent(ranks),
    }) {
        let refused = match turn {
            Turn::Refuse(refused) => Some(refused),
            Turn::Try(number, _) => {
                let who = crowd.waiting[&number].who.clone();
                match cast(caster, whole, &who) {
                    Ok(effects) => {
                        crowd.done(number);
                        came.push(Came::Cast(number, effects));
                        None
                    }
                    Err(full) => crowd.wait(number, number, full),
                }
            }
        };
        came.extend(refused.map(|refused| Came::Refused(refused.what, refused.bound)));
    }
    came
}

fn compare(
    limits: Limits,
    is_patient: bool,
    steps: Vec<(Step, bool)>,
) -> Result<(), TestCaseError> {
    let mut both = Both::new(limits, is_patient);
    for (step, looks) in steps {
        let text = format!("{step:?}");
        both.happen(step);
        if looks {
            let [crowd, walk] = both.look();
            prop_assert_eq!(crowd, walk, "after {}", text);
        }
    }
    Ok(())
}

proptest! {
    /// R2, R3
    #[test]
    fn a_crowd_does_what_looking_at_all_would_do(calls in 2..6_usize, steps in steps(0..6)) {
        compare(Limits { calls, ..limits() }, true, steps)?;
    }

    /// R2, R3: where all are of one size it makes no difference whether those are tried each time who wait for ranks that
    /// have no room.
    #[test]
    fn of_one_size_a_crowd_does_what_trying_all_would_do(steps in steps(1..2)) {
        let limits = Limits { waiting: 1000, waiting_in_all: 100_000, ..limits() };
        let limits = Limits { waiting_bytes: 1 << 20, waiting_bytes_in_all: 1 << 30, ..limits };
        let limits = Limits { window_bytes: 1 << 20, open_bytes: 1 << 30, ..limits };
        compare(limits, false, steps)?;
    }
}
