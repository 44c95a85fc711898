//! What is told of what actors are, when, and to whom; and that nothing is kept for nobody.

use std::time::Duration;

use mesh_core::{Progress, Status};

use super::*;
use crate::report::ActorEnd;

const MESH: MeshId = MeshId::from_random(7);
const RANK: Rank = Rank::new(3);

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_start(Duration::from_secs(seconds))
}

fn wait(mesh: MeshId, until: Progress) -> WaitRankStatus {
    WaitRankStatus { mesh, rank: RANK, until, within: Duration::from_secs(5) }
}

fn life(mesh: MeshId) -> Life {
    (mesh, RANK, Incarnation::FIRST)
}

/// Who is answered, whether it is so, and what the rank is.
fn told(answers: impl IntoIterator<Item = Answered<u32>>) -> Vec<(u32, bool, Option<Status>)> {
    let told = |(reply, answer): Answered<u32>| {
        let waited = answer.expect("there is room");
        (reply, waited.is_reached, waited.state.map(|state| state.status))
    };
    answers.into_iter().map(told).collect()
}

impl Watched<u32> {
    fn says(&mut self, life: Life, seconds: u64, state: ActorState) -> Vec<Answered<u32>> {
        self.note(life, at(seconds), (state, false))
    }
}

fn stopped() -> ActorState {
    let how = crate::report::HowActorEnded::Stopped;
    ActorState::Ended(ActorEnd { how, alive: Duration::ZERO, chain: Vec::new() }.into())
}

/// L7: a wait that comes before there is anything is answered when it is so far, and one that comes after that
/// at once.
#[test]
fn a_wait_is_answered_when_the_actor_is_so_far() {
    let mut watched = Watched::default();
    assert!(watched.wait(at(0), wait(MESH, Progress::Running), 1).is_none());
    assert!(watched.says(life(MESH), 1, ActorState::Creating).is_empty());
    let other = MeshId::from_random(8);
    assert!(watched.says(life(other), 1, ActorState::Running).is_empty(), "of another mesh");
    let answers = watched.says(life(MESH), 1, ActorState::Running);
    assert_eq!(told(answers), [(1, true, Some(Status::Running))]);
    assert!(watched.says(life(MESH), 1, ActorState::Running).is_empty(), "once");
    let now = watched.wait(at(2), wait(MESH, Progress::Running), 2);
    assert_eq!(told(now), [(2, true, Some(Status::Running))]);
}

/// L7, ST1: what cannot be reached any more is not waited for.
#[test]
fn a_wait_ends_with_the_life() {
    let mut watched = Watched::default();
    watched.says(life(MESH), 0, ActorState::Stopping);
    assert!(watched.wait(at(0), wait(MESH, Progress::Ended), 1).is_none());
    let answers = watched.says(life(MESH), 1, stopped());
    assert_eq!(told(answers), [(1, true, Some(Status::Stopped))]);
    let now = watched.wait(at(1), wait(MESH, Progress::Running), 2);
    assert_eq!(told(now), [(2, true, Some(Status::Stopped))]);
}

#[test]
fn a_wait_ends_with_its_time_and_leaves_nothing() {
    let mut watched = Watched::default();
    assert!(watched.wait(at(0), wait(MESH, Progress::Running), 1).is_none());
    assert_eq!(watched.next_deadline(), Some(at(5)));
    assert!(watched.expire(at(4)).is_empty());
    assert_eq!(told(watched.expire(at(5))), [(1, false, None)]);
    assert_eq!(watched.next_deadline(), None);
    assert!(watched.meshes.is_empty() && watched.waiting.is_empty());
}

#[test]
fn who_does_not_wait_any_more_is_forgotten() {
    let mut watched = Watched::default();
    assert!(watched.wait(at(0), wait(MESH, Progress::Running), 1).is_none());
    assert!(watched.wait(at(0), wait(MESH, Progress::Running), 2).is_none());
    watched.withdraw(|reply| *reply == 1);
    assert_eq!(told(watched.says(life(MESH), 1, ActorState::Running)).len(), 1);
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
    let no_time = WaitRankStatus { within: Duration::ZERO, ..wait(MESH, Progress::Running) };
    assert_eq!(told(watched.wait(at(0), no_time, 9_999)), [(9_999, false, None)]);
    assert!(!watched.meshes.contains_key(&MESH), "nothing is left of it");
    watched.says(life(MESH), 0, ActorState::Running);
    let now = watched.wait(at(0), wait(MESH, Progress::Running), 9_999);
    assert_eq!(told(now).len(), 1);
}

/// What has become of a mesh is known for a while, and not for ever.
#[test]
fn so_many_meshes_that_are_over_are_known() {
    let mut watched = Watched::default();
    let close = |watched: &mut Watched<u32>, mesh, state| {
        watched.says(life(mesh), 0, state);
        watched.close(mesh);
    };
    close(&mut watched, MESH, stopped());
    let never = WaitRankStatus { rank: Rank::new(9), ..wait(MESH, Progress::Running) };
    assert!(watched.wait(at(0), never, 1).is_none(), "nobody knows that it never is");
    for number in 0..OVER_MAX as u128 {
        assert_eq!(watched.states(MESH).len(), 1);
        close(&mut watched, MeshId::from_random(number + 100), stopped());
    }
    assert!(watched.states(MESH).is_empty());
    assert!(watched.waiting.is_empty(), "nobody waits for what is forgotten");
    assert!(watched.note_last(life(MESH), at(1), stopped()).is_empty(), "it is not known again");
    assert_eq!(watched.meshes.len(), OVER_MAX);
}

/// However many are closed, what still ends of them is waited for.
#[test]
fn a_mesh_is_known_until_all_of_it_has_ended() {
    let mut watched = Watched::default();
    watched.says(life(MESH), 0, ActorState::Stopping);
    watched.close(MESH);
    assert!(watched.wait(at(0), wait(MESH, Progress::Ended), 1).is_none());
    for number in 0..2 * OVER_MAX as u128 {
        let mesh = MeshId::from_random(number + 100);
        watched.says(life(mesh), 0, stopped());
        watched.close(mesh);
    }
    let answers = watched.note_last(life(MESH), at(1), stopped());
    assert_eq!(told(answers), [(1, true, Some(Status::Stopped))]);
    assert_eq!(watched.meshes.len(), OVER_MAX);
}

/// RS2: that a life has ended is not the end of a rank that may be started again.
#[test]
fn whoever_waits_is_told_that_a_rank_may_be_started_again() {
    let mut watched = Watched::default();
    watched.note(life(MESH), at(0), (stopped(), true));
    let now = watched.wait(at(0), wait(MESH, Progress::Running), 1);
    let Some((1, Ok(waited))) = now else { panic!("{now:?}") };
    assert!(waited.is_reached && waited.may_restart, "{waited:?}");
}
