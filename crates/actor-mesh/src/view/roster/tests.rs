//! What stays known of ranks when something changes.

use mesh_core::{MeshId, Status};
use mesh_shape::{Extent, Region, ValueMesh};

use super::super::Seen;
use super::*;
use crate::wire::Member;

/// Three ranks that run, but those of these that have ended, on processes of a mesh.
fn known(ended: &[usize], procs: u128) -> Arc<Known> {
    let extent: Extent = "ranks=3".parse().expect("it is one");
    let (incarnation, life) = (Incarnation::FIRST, Incarnation::FIRST);
    let seen = |rank: Rank| {
        let has_ended = ended.contains(&rank.index());
        let status = if has_ended { Status::Stopped } else { Status::Running };
        let member = Some(Member { incarnation, life, index: 2 });
        Seen { incarnation, status, member, before: Arc::default() }
    };
    Arc::new(Known {
        procs: Some((MeshId::from_random(procs), Arc::new(Region::all(extent)))),
        ranks: ValueMesh::from_fn(3, seen),
        homes: ValueMesh::uniform(3, None),
        table: None,
    })
}

/// Which ranks have been looked at.
fn looked_at(roster: &Roster) -> Vec<bool> {
    roster.ranks.iter().map(|rank| rank.get().is_some()).collect()
}

fn look_at_all(roster: &Roster) -> Vec<bool> {
    (0..3).map(|rank| roster.find(Rank::new(rank)).is_ok()).collect()
}

/// H8: what changes for one rank is not looked for again for all.
#[test]
fn only_what_has_changed_is_looked_for_again() {
    let mut roster = Roster::of(known(&[], 1));
    assert_eq!(look_at_all(&roster), [true; 3]);
    roster.learn(&known(&[1], 1));
    assert_eq!(looked_at(&roster), [true, false, true]);
    assert_eq!(look_at_all(&roster), [true, false, true]);
}

#[test]
fn all_are_looked_for_again_where_they_live_on_other_processes() {
    let mut roster = Roster::of(known(&[], 1));
    assert_eq!(look_at_all(&roster), [true; 3]);
    roster.learn(&known(&[], 2));
    assert_eq!(looked_at(&roster), [false; 3]);
}

/// H8: of whom one is chosen is not looked for again for each message, and is what is known of a slice, in its ranks.
#[test]
fn who_can_be_sent_to_is_looked_for_once_until_something_changes() {
    let mut roster = Roster::of(known(&[0], 1));
    let all = Region::all("ranks=3".parse().expect("it is an extent"));
    let upper = Arc::new(all.slice("ranks", 1..).expect("there are two"));
    let (all, first) = (Arc::new(all), roster.open(&upper));
    assert_eq!((&first.running, &first.all), (&RankSet::from(0..2), &RankSet::from(0..2)));
    assert_eq!(roster.open(&all).running, RankSet::from(1..3));
    assert!(Arc::ptr_eq(&first, &roster.open(&upper)), "it is kept");
    roster.learn(&known(&[0, 2], 1));
    assert_eq!(roster.open(&upper).running, RankSet::from(0..1));
}
