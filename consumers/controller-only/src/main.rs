//! Only `controller`: lamps, supervised without a runtime, a clock or I/O.
#![forbid(unsafe_code)]

use std::time::Duration;

use controller::mesh_core::{
    AgentId, Answer, Cause, Epoch, Generation, Incarnation, MeshId, MeshLabel, Reason, Status,
    Timestamp, Update,
};
use controller::mesh_shape::{Extent, Overlay, Rank, Region};
use controller::{Config, Controlled, Controller, Effect, Event, Spec};

fn main() {
    let mut lamps = three_lamps();
    let effects = lamps.step(at(0), Event::Opened);
    assert!(matches!(effects[..], [Effect::Ask(_)]), "one agent is asked to light all");

    _ = lamps.step(at(1), report(0..3, 0, Lamp::Shines));
    let effects = lamps.step(at(2), report(1..2, 1, Lamp::BurntOut));
    let [Effect::TellOwner(failures)] = &effects[..] else {
        panic!("the owner is told: {effects:?}");
    };
    assert_eq!(failures.changes[0].ranks.to_string(), "1");

    let effects = lamps.step(at(3), report(1..2, 2, Lamp::BurntOut));
    assert_eq!(effects, [], "and is told once");
    assert!(lamps.next_deadline().is_some(), "two lamps still shine");
}

/// Supervised without anything of Meshwarden but its controller.
struct Lamps;

#[derive(Clone, Debug, PartialEq)]
enum Lamp {
    Shines,
    BurntOut,
}

impl Controlled for Lamps {
    type Report = Lamp;

    const KIND: &'static str = "lamp";

    fn status(&self, report: &Lamp) -> Status {
        match report {
            Lamp::Shines => Status::Running,
            Lamp::BurntOut => {
                Status::failed(Cause::new(Reason::Error { message: "burnt out".to_owned() }))
            }
        }
    }
}

fn three_lamps() -> Controller<Lamps> {
    let extent: Extent = "lamps=3".parse().expect("it is a shape");
    let spec = Spec {
        mesh: MeshLabel::new(MeshId::from_random(1), "street", Lamps::KIND),
        agents: vec![extent.ranks()].into(),
        region: Region::all(extent).into(),
        epoch: Epoch::FIRST,
        config: Config::lan(),
        seed: 0,
    };
    Controller::new(spec, Lamps).expect("the agent answers for every rank")
}

fn report(ranks: std::ops::Range<usize>, generation: u64, report: Lamp) -> Event<Lamp> {
    let update = Update {
        incarnation: Incarnation::FIRST,
        generation: Generation::new(generation),
        age: Duration::ZERO,
        report,
    };
    let reports: Overlay<Update<Lamp>> =
        ranks.map(|rank| (Rank::new(rank), update.clone())).collect();
    Event::Answered(Answer::Reported { agent: AgentId::new(0), life: Incarnation::FIRST, reports })
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_start(Duration::from_secs(seconds))
}
