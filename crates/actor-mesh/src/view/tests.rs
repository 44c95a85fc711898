//! What is known of a rank, by what is heard of it.

use std::time::Duration;

use mesh_core::{Cause, Reason};

use super::*;

/// What is known of one rank at first.
fn unknown() -> Known {
    let (incarnation, status) = (Incarnation::FIRST, Status::Initializing);
    let unknown = Seen { incarnation, status, member: None, before: Arc::default() };
    let ranks = ValueMesh::uniform(1, unknown);
    Known { procs: None, ranks, homes: ValueMesh::uniform(1, None), table: None }
}

fn is_now(life: u64, status: Status) -> Change {
    let (ranks, incarnation) = (RankSet::from(0..1), Incarnation::new(life));
    Change { ranks, incarnation, status, restart_in: None, age: Duration::ZERO }
}

fn exited(code: i32) -> Status {
    Status::failed(Cause::new(Reason::Exit { code }))
}

/// R1: however many lives end before anybody looks, whoever has called one of the last is told how that has ended.
#[test]
fn it_is_known_how_the_lives_before_have_ended() {
    let mut known = unknown();
    let lives = (0..20_u64).flat_map(|life| {
        [is_now(life, Status::Running), is_now(life, exited(i32::try_from(life).unwrap()))]
    });
    known.hear(&News::Changed(lives.collect()));
    let seen = known.seen(Rank::new(0)).expect("there is one");
    let end_of = |life| seen.end_of(Incarnation::new(life)).map(|end| end.status().clone());
    let known: Vec<_> = (0..20).filter_map(end_of).collect();
    let newest: Vec<_> = (11..20).map(exited).collect();
    assert_eq!(known, newest, "eight, and that of the present life");
}
