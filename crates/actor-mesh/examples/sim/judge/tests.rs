//! What the judge lets pass, and what not.

use mesh_core::{ActorId, ProcId};

use super::*;
use crate::ledger::{Doing, Early};
use crate::plan::Ranks;

const SECOND: Duration = Duration::from_secs(1);

/// Rank 0 has failed after two seconds, and its process has ended well in the third; all that was told of the two is
/// the end of the process, at this moment.
fn exited(told_at: Duration) -> Ledger {
    let mut ledger = Ledger::default();
    let (proc, life) = (ProcId::from_random(0), Incarnation::FIRST);
    _ = ledger.born(0, ActorId { proc, life, index: 0 });
    let life = ledger.lives.last_mut().expect("it was born");
    (life.doing, life.early) = (Doing::Broken, Some(Early::Failed));
    life.ended = Some(2 * SECOND);
    _ = ledger.ended_well.insert(0);
    let mut all = Watcher::default();
    let end = End { status: Status::Stopped, n_told: 1, at: told_at };
    _ = all.ends.insert((0, Incarnation::FIRST), end);
    _ = ledger.watchers.insert("all", all);
    ledger
}

fn judged(ledger: &Ledger) -> Vec<String> {
    let (plan, mut wrong) = (Plan::draw(0, Ranks::Exactly(2)), Vec::new());
    Case::new(&plan, ledger).owner(&After::default(), &mut wrong);
    wrong
}

/// N1: nobody can know of a failure in a process that is not heard until it has ended well. Only there: who is heard,
/// who is told as ended when he was heard again, and who did not end well is to be told.
#[test]
fn of_a_failure_that_nobody_can_know_of_nothing_need_be_told() {
    let (owner, own, other) = (0, 1, 2);
    let within = |told_at: u32, way| {
        let mut ledger = exited(told_at * SECOND);
        ledger.cuts(way, 5 * SECOND);
        ledger
    };
    assert!(judged(&within(3, (own, owner))).is_empty());

    let untold = ["N1: rank 0 failed 1 times, 0 are told"];
    for way in [(owner, own), (own, other), (other, own), (other, owner)] {
        assert_eq!(judged(&within(3, way)), untold, "{way:?} is another way");
    }
    assert_eq!(judged(&within(7, (own, owner))), untold, "it was heard before");
    let mut killed = within(3, (own, owner));
    killed.ended_well.clear();
    assert_eq!(judged(&killed), untold, "its process did not end well");
}
