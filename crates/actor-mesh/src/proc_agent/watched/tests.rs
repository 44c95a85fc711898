//! What is told of what actors are, when, and to whom; and that nothing is kept for nobody.

use std::time::Duration;

use mesh_core::{Progress, Status};

use super::*;

const MESH: MeshId = MeshId::from_random(7);
const RANK: Rank = Rank::new(3);

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_start(Duration::from_secs(seconds))
}

fn wait(mesh: MeshId, until: Progress) -> WaitRankStatus {
    let (ranks, within) = (RankSet::from_ranks([RANK]), Duration::from_secs(5));
    WaitRankStatus { mesh, ranks, until, within }
}

fn life(mesh: MeshId) -> Life {
    (mesh, RANK, Incarnation::FIRST)
}

/// Who is answered, who is missing then, and what the ranks are.
fn told(answers: Vec<Answered<u32>>) -> Vec<(u32, usize, Vec<Status>)> {
    let told = |(reply, answer): Answered<u32>| {
        let states = answer.expect("there is room");
        let statuses = states.ranks.into_iter().map(|(_, state)| state.status).collect();
        (reply, states.missing.len(), statuses)
    };
    answers.into_iter().map(told).collect()
}

/// L7: a wait that comes before there is anything is answered when it is so far, and one that comes after that
/// at once.
#[test]
fn a_wait_is_answered_when_the_actor_is_so_far() {
    let mut watched = Watched::default();
    assert!(watched.wait(at(0), wait(MESH, Progress::Running), 1).is_none());
    assert!(watched.note(life(MESH), at(1), ActorState::Creating).is_empty());
    let other = MeshId::from_random(8);
    assert!(watched.note(life(other), at(1), ActorState::Running).is_empty(), "of another mesh");
    let answers = watched.note(life(MESH), at(1), ActorState::Running);
    assert_eq!(told(answers), [(1, 0, vec![Status::Running])]);
    assert!(watched.note(life(MESH), at(1), ActorState::Running).is_empty(), "once");
    let now = watched.wait(at(2), wait(MESH, Progress::Running), 2);
    assert_eq!(told(now.into_iter().collect()), [(2, 0, vec![Status::Running])]);
}

/// L7, ST1: what cannot be reached any more is not waited for.
#[test]
fn a_wait_ends_with_the_life() {
    let mut watched = Watched::default();
    watched.note(life(MESH), at(0), ActorState::Stopping);
    assert!(watched.wait(at(0), wait(MESH, Progress::Ended), 1).is_none());
    let how = crate::report::HowActorEnded::Stopped;
    let end = crate::report::ActorEnd { how, alive: Duration::ZERO, chain: Vec::new() };
    let answers = watched.note(life(MESH), at(1), ActorState::Ended(end.into()));
    assert_eq!(told(answers), [(1, 0, vec![Status::Stopped])]);
    let now = watched.wait(at(1), wait(MESH, Progress::Running), 2);
    assert_eq!(told(now.into_iter().collect()), [(2, 0, vec![Status::Stopped])]);
}

#[test]
fn a_wait_ends_with_its_time_and_leaves_nothing() {
    let mut watched = Watched::default();
    assert!(watched.wait(at(0), wait(MESH, Progress::Running), 1).is_none());
    assert_eq!(watched.next_deadline(), Some(at(5)));
    assert!(watched.expire(at(4)).is_empty());
    assert_eq!(told(watched.expire(at(5))), [(1, 1, vec![])]);
    assert_eq!(watched.next_deadline(), None);
    assert!(watched.meshes.is_empty() && watched.waiting.is_empty());
}

#[test]
fn who_does_not_wait_any_more_is_forgotten() {
    let mut watched = Watched::default();
    assert!(watched.wait(at(0), wait(MESH, Progress::Running), 1).is_none());
    assert!(watched.wait(at(0), wait(MESH, Progress::Running), 2).is_none());
    watched.withdraw(|reply| *reply == 1);
    assert_eq!(told(watched.note(life(MESH), at(1), ActorState::Running)).len(), 1);
    assert!(watched.waiting.is_empty());
    assert!(watched.wait(at(0), wait(MeshId::from_random(8), Progress::Running), 3).is_none());
    watched.withdraw(|_| true);
    assert_eq!(watched.meshes.len(), 1, "nothing is kept for nobody");
}

#[test]
fn waits_are_bounded_and_what_is_so_far_needs_no_room() {
    let mut watched = Watched::default();
    for reply in 0..u32::try_from(WAITS_MAX).expect("it is small") {
        let mesh = MeshId::from_random(u128::from(reply) + 100);
        assert!(watched.wait(at(0), wait(mesh, Progress::Running), reply).is_none());
    }
    let refused = watched.wait(at(0), wait(MESH, Progress::Running), 9_999);
    assert_eq!(refused, Some((9_999, Err(Refusal::TooMany { limit: WAITS_MAX }))));
    assert!(!watched.meshes.contains_key(&MESH), "nothing is left of it");
    watched.note(life(MESH), at(0), ActorState::Running);
    let now = watched.wait(at(0), wait(MESH, Progress::Running), 9_999);
    assert_eq!(told(now.into_iter().collect()).len(), 1);
}

/// What has become of a mesh is known for a while, and not for ever.
#[test]
fn so_many_meshes_that_are_over_are_known() {
    let mut watched = Watched::default();
    watched.note(life(MESH), at(0), ActorState::Running);
    assert!(watched.wait(at(0), wait(MESH, Progress::Ended), 1).is_none());
    watched.close(MESH);
    watched.close(MESH);
    for number in 0..OVER_MAX as u128 {
        assert_eq!(watched.states(MESH, RankSet::new()).ranks.len(), 1);
        let mesh = MeshId::from_random(number + 100);
        watched.note(life(mesh), at(0), ActorState::Running);
        watched.close(mesh);
    }
    assert!(watched.states(MESH, RankSet::new()).ranks.is_empty());
    assert!(watched.waiting.is_empty(), "nobody waits for what is forgotten");
    assert_eq!(watched.meshes.len(), OVER_MAX);
}
