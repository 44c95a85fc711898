//! What is told of what actors are, when, and to whom; and that nothing is kept for nobody.

use std::time::Duration;

use mesh_core::{Generation, Progress, Status};

use super::*;
use crate::agent::StateNews;
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

/// Numbers wait, and follow.
type Watched = super::Watched<u32, u32>;

impl Watched {
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
    let close = |watched: &mut Watched, mesh, state| {
        watched.says(life(mesh), 0, state);
        watched.close(at(0), mesh);
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

/// L7: when its mesh is over no other life follows, whatever the rules of restarting were.
#[test]
fn what_is_over_is_not_started_again() {
    let mut watched = Watched::default();
    watched.note(life(MESH), at(0), (stopped(), true));
    assert!(watched.waited((MESH, RANK), true).may_restart);
    watched.close(at(1), MESH);
    assert!(!watched.waited((MESH, RANK), true).may_restart);
}

/// However many are closed, what still ends of them is waited for.
#[test]
fn a_mesh_is_known_until_all_of_it_has_ended() {
    let mut watched = Watched::default();
    watched.says(life(MESH), 0, ActorState::Stopping);
    watched.close(at(0), MESH);
    assert!(watched.wait(at(0), wait(MESH, Progress::Ended), 1).is_none());
    for number in 0..2 * OVER_MAX as u128 {
        let mesh = MeshId::from_random(number + 100);
        watched.says(life(mesh), 0, stopped());
        watched.close(at(0), mesh);
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

impl Watched {
    /// What those who follow are told.
    fn streamed(&mut self, seconds: u64) -> Vec<(u32, StateNews)> {
        let mut told = Vec::new();
        self.followers().tell(at(seconds), |to, streamed| {
            told.push((*to, streamed.news));
            Ok(())
        });
        told
    }
}

/// What is told of the rank: which life, its number (of the first life, 0 is that it is not known), what it is.
fn state(life: u64, generation: u64, report: Status) -> StateNews {
    let (incarnation, generation) = (Incarnation::new(life), Generation::new(generation));
    let age = Duration::ZERO;
    StateNews::States(vec![(RANK, Update { incarnation, generation, age, report })])
}

/// L1, N4: from before there is anything until all has ended.
#[test]
fn whoever_follows_a_mesh_is_told_each_change_and_the_end() {
    let mut watched = Watched::default();
    assert_eq!(watched.follow(at(0), MESH, 1), Ok(()));
    assert_eq!(watched.streamed(0), [(1, StateNews::NotExist)]);
    assert!(watched.wait(at(0), wait(MESH, Progress::Ended), 1).is_none());
    assert_eq!(watched.streamed(0), [], "who waits makes nothing of it");
    watched.says(life(MESH), 1, ActorState::Creating);
    assert_eq!(watched.streamed(1), [(1, state(0, 1, Status::Initializing))]);
    watched.says(life(MESH), 1, ActorState::Running);
    assert_eq!(watched.streamed(1), [(1, state(0, 2, Status::Running))]);
    watched.says(life(MESH), 2, ActorState::Running);
    assert_eq!(watched.streamed(2), [], "what is said again is no change");
    watched.says(life(MESH), 3, stopped());
    let told = [(1, state(0, 3, Status::Stopped)), (1, StateNews::Closed)];
    assert_eq!(watched.streamed(3), told);
}

/// H2: whatever is said later of a life that has ended, or of one before it.
#[test]
fn an_end_is_final_for_its_life() {
    let mut watched = Watched::default();
    watched.note(life(MESH), at(0), (stopped(), true));
    assert_eq!(watched.follow(at(0), MESH, 1), Ok(()));
    assert_eq!(watched.streamed(0), [(1, state(0, 1, Status::Stopped))]);
    watched.note(life(MESH), at(1), (ActorState::Stopping, true));
    assert_eq!(watched.streamed(1), []);
    let next = (MESH, RANK, Incarnation::FIRST.next());
    watched.note(next, at(2), (ActorState::Creating, true));
    watched.note_last(life(MESH), at(2), ActorState::Running);
    assert_eq!(watched.streamed(2), [(1, state(1, 0, Status::Initializing))]);
}

/// RS2, N4: a mesh whose ranks may be started again is over when it is closed, and all that is left of it has ended.
#[test]
fn a_stream_goes_on_while_another_life_may_follow() {
    let mut watched = Watched::default();
    assert_eq!(watched.follow(at(0), MESH, 1), Ok(()));
    watched.note(life(MESH), at(0), (stopped(), true));
    assert_eq!(watched.streamed(0), [(1, state(0, 1, Status::Stopped))]);
    let next = (MESH, RANK, Incarnation::FIRST.next());
    watched.note(next, at(1), (ActorState::Stopping, true));
    watched.close(at(1), MESH);
    assert_eq!(watched.streamed(1), [(1, state(1, 0, Status::Stopping))]);
    watched.note_last(next, at(2), stopped());
    let told = [(1, state(1, 1, Status::Stopped)), (1, StateNews::Closed)];
    assert_eq!(watched.streamed(2), told);
    assert_eq!(watched.follow(at(2), MESH, 2), Ok(()));
    let told = [(2, state(1, 1, Status::Stopped)), (2, StateNews::Closed)];
    assert_eq!(watched.streamed(2), told, "it is known for a while");
}

/// H2, L1: a life that is replaced before it has ended ends once in a stream, when it has, and what the rank is goes on.
#[test]
fn the_end_of_a_life_that_was_replaced_is_told_once() {
    let mut watched = Watched::default();
    watched.note(life(MESH), at(0), (ActorState::Running, true));
    assert_eq!(watched.follow(at(0), MESH, 1), Ok(()));
    assert_eq!(watched.streamed(0), [(1, state(0, 1, Status::Running))]);
    let next = (MESH, RANK, Incarnation::FIRST.next());
    watched.note(next, at(1), (ActorState::Creating, true));
    assert_eq!(watched.streamed(1), [(1, state(1, 0, Status::Initializing))]);
    watched.note_last(life(MESH), at(2), ActorState::Stopping);
    assert_eq!(watched.streamed(2), [], "what it is until then concerns nobody");
    watched.note_last(life(MESH), at(3), stopped());
    assert_eq!(watched.streamed(3), [(1, state(0, 2, Status::Stopped))]);
    watched.note_last(life(MESH), at(4), stopped());
    watched.note(next, at(4), (ActorState::Running, true));
    assert_eq!(watched.streamed(4), [(1, state(1, 1, Status::Running))], "once");
}

/// N4: nothing of a mesh is over while a life of it that was replaced is not.
#[test]
fn a_stream_is_not_closed_before_the_last_life_has_ended() {
    let mut watched = Watched::default();
    assert_eq!(watched.follow(at(0), MESH, 1), Ok(()));
    watched.note(life(MESH), at(0), (ActorState::Running, true));
    let next = (MESH, RANK, Incarnation::FIRST.next());
    watched.note(next, at(1), (ActorState::Running, true));
    watched.streamed(1);
    watched.close(at(2), MESH);
    watched.note_last(next, at(2), stopped());
    assert_eq!(watched.streamed(2), [(1, state(1, 1, Status::Stopped))]);
    watched.note_last(life(MESH), at(3), stopped());
    let told = [(1, state(0, 2, Status::Stopped)), (1, StateNews::Closed)];
    assert_eq!(watched.streamed(3), told);
}

/// RS2, N4, L7: whoever is given up may be met again; then a mesh that was over is not, and its ranks may begin again.
#[test]
fn a_mesh_that_begins_again_is_over_no_more() {
    let mut watched = Watched::default();
    watched.note(life(MESH), at(0), (stopped(), true));
    watched.close(at(0), MESH);
    let next = (MESH, RANK, Incarnation::FIRST.next());
    watched.note(next, at(1), (ActorState::Running, true));
    assert_eq!(watched.follow(at(1), MESH, 1), Ok(()));
    assert_eq!(watched.streamed(1), [(1, state(1, 0, Status::Running))]);
    watched.note(next, at(2), (stopped(), true));
    assert_eq!(watched.streamed(2), [(1, state(1, 1, Status::Stopped))], "and not that it is over");
    assert!(watched.waited((MESH, RANK), true).may_restart);
    for number in 0..2 * OVER_MAX as u128 {
        let mesh = MeshId::from_random(number + 100);
        watched.says(life(mesh), 2, stopped());
        watched.close(at(2), mesh);
    }
    assert_eq!(watched.states(MESH).len(), 1, "nobody forgets what is not over");
}

/// O3: a rank may have any number of lives, and a mesh be over any number of times.
#[test]
fn what_is_kept_does_not_grow_with_the_lives() {
    let mut watched = Watched::default();
    for number in 0..1_000 {
        let [before, this] = [number, number + 1].map(|it| (MESH, RANK, Incarnation::new(it)));
        watched.note(this, at(number), (ActorState::Running, true));
        watched.note_last(before, at(number), stopped());
        watched.close(at(number), MESH);
        let known = &watched.meshes[&MESH];
        assert!(known.replaced.is_empty(), "of life {number}: {:?}", known.replaced);
    }
    assert_eq!((watched.over.len(), watched.meshes.len()), (1, 1));
    for number in 0..1_000 {
        let other = MeshId::from_random(number + 100);
        watched.says(life(other), 1_000, stopped());
        watched.close(at(1_000), other);
    }
    assert_eq!((watched.over.len(), watched.meshes.len()), (OVER_MAX, OVER_MAX));
    assert!(watched.over.contains(&MESH), "it has not ended");
}
