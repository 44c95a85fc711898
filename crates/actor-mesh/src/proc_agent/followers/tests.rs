//! What followers are told, when, and how much is kept for those that take nothing.

use mesh_core::{Cause, Generation, Reason};

use super::*;

const MESH: MeshId = MeshId::from_random(7);
const OTHER: MeshId = MeshId::from_random(8);
const RANK: Rank = Rank::new(3);

fn at(millis: u64) -> Timestamp {
    Timestamp::from_start(Duration::from_millis(millis))
}

/// What a life of a rank is.
fn is(life: u64, generation: u64, report: Status) -> Update<Status> {
    let (incarnation, generation) = (Incarnation::new(life), Generation::new(generation));
    Update { incarnation, generation, age: Duration::ZERO, report }
}

fn failed(code: i32) -> Status {
    Status::failed(Cause::new(Reason::Exit { code }))
}

fn states(updates: impl IntoIterator<Item = Update<Status>>) -> StateNews {
    StateNews::States(updates.into_iter().map(|update| (RANK, update)).collect())
}

impl Followers<u32> {
    /// Who is told what, where all have room.
    fn told(&mut self, now: Timestamp) -> Vec<(u32, StateNews)> {
        let mut told = Vec::new();
        self.tell(now, |to, streamed| {
            told.push((*to, streamed.news));
            Ok(())
        });
        told
    }

    /// Nobody has room. How many are tried.
    fn refused(&mut self, now: Timestamp) -> usize {
        let mut n_tried = 0;
        self.tell(now, |_, streamed| {
            n_tried += 1;
            Err(streamed)
        });
        n_tried
    }

    /// One follows the mesh before there is anything, and has been told that.
    fn of_one() -> Self {
        let mut followers = Self::default();
        assert_eq!(followers.follow(at(0), (MESH, 1), []), Ok(()));
        assert_eq!(followers.told(at(0)), [(1, StateNews::NotExist)]);
        followers
    }
}

/// L1: what is known at once, and then every change, to each who follows that mesh.
#[test]
fn a_follower_is_told_what_is_and_then_each_change() {
    let mut followers = Followers::of_one();
    let begun = is(0, 0, Status::Initializing);
    followers.note(at(1), (MESH, RANK), &begun);
    assert_eq!(followers.follow(at(1), (MESH, 2), [(RANK, begun.clone())]), Ok(()));
    assert_eq!(followers.follow(at(1), (OTHER, 3), []), Ok(()));
    let told = [(1, states([begun.clone()])), (2, states([begun])), (3, StateNews::NotExist)];
    assert_eq!(followers.told(at(1)), told);
    assert_eq!(followers.told(at(2)), [], "once");
    let runs = is(0, 1, Status::Running);
    followers.note(at(2), (MESH, RANK), &runs);
    let told = [(1, states([runs.clone()])), (2, states([runs]))];
    assert_eq!(followers.told(at(2)), told);
}

/// L1: all that is over at once is told, and then that it is.
#[test]
fn of_a_mesh_that_is_over_the_ends_are_told_and_then_nothing() {
    let mut followers = Followers::default();
    let ended = is(4, 2, failed(9));
    assert_eq!(followers.follow(at(0), (MESH, 1), [(RANK, ended.clone())]), Ok(()));
    followers.close(at(0), MESH);
    assert_eq!(followers.told(at(0)), [(1, states([ended])), (1, StateNews::Closed)]);
    followers.note(at(1), (MESH, RANK), &is(5, 0, Status::Running));
    assert_eq!((followers.told(at(1)), followers.next_deadline()), (Vec::new(), None));
    assert!(followers.meshes.is_empty(), "nothing is kept for nobody");
}

#[test]
fn the_same_one_counts_once_and_an_unknown_one_is_no_error() {
    let mut followers = Followers::of_one();
    assert_eq!(followers.follow(at(1), (MESH, 1), []), Ok(()));
    // It may not have had the first.
    assert_eq!((followers.len(), followers.told(at(1))), (1, vec![(1, StateNews::NotExist)]));
    followers.unfollow(OTHER, &1);
    followers.unfollow(MESH, &2);
    assert_eq!(followers.len(), 1);
    followers.unfollow(MESH, &1);
    followers.note(at(1), (MESH, RANK), &is(0, 0, Status::Running));
    assert_eq!(followers.told(at(1)), []);
    assert!(followers.meshes.is_empty(), "nothing is kept for nobody");
}

/// N7: and one that follows again meanwhile is told on.
#[test]
fn a_stream_ends_with_what_comes_back_of_it_and_not_of_the_one_before_it() {
    let mut followers = Followers::of_one();
    followers.came_back((OTHER, 1), &1);
    followers.came_back((MESH, 1), &2);
    assert_eq!(followers.len(), 1, "others");
    followers.came_back((MESH, 1), &1);
    assert_eq!(followers.len(), 0);
    assert_eq!(followers.follow(at(1), (MESH, 1), []), Ok(()));
    followers.came_back((MESH, 1), &1);
    assert_eq!(followers.told(at(1)), [(1, StateNews::NotExist)]);
}

#[test]
fn streams_are_bounded() {
    let mut followers = Followers::default();
    for to in 0..u32::try_from(STREAMS_MAX).expect("it is small") {
        assert_eq!(followers.follow(at(0), (MESH, to), []), Ok(()));
    }
    let refused = Err(Refusal::TooMany { limit: STREAMS_MAX });
    assert_eq!(followers.follow(at(0), (MESH, 9_999), []), refused);
    assert_eq!(followers.follow(at(0), (OTHER, 1), []), refused);
    assert_eq!(followers.follow(at(0), (MESH, 1), []), Ok(()), "it is told already");
    followers.unfollow(MESH, &1);
    assert_eq!(followers.follow(at(0), (OTHER, 1), []), Ok(()));
    assert_eq!(followers.len(), STREAMS_MAX);
}

/// Whoever is told nothing cannot know that it would be, and nobody would find out that it has gone (N7).
#[test]
fn where_nothing_changes_that_is_told() {
    let mut followers = Followers::of_one();
    let due = at(0) + StreamState::PERIOD;
    assert_eq!(followers.next_deadline(), Some(due));
    assert_eq!(followers.told(due.before(Duration::from_millis(1))), []);
    assert_eq!(followers.told(due), [(1, StateNews::Unchanged)]);
    assert_eq!(followers.next_deadline(), Some(due + StreamState::PERIOD));
}

/// N7: it costs no more the longer it takes nothing, and is told at once again when it does.
#[test]
fn who_has_no_room_is_left_alone_for_longer_each_time() {
    let mut followers = Followers::of_one();
    let (mut now, mut pauses) = (at(0), Vec::new());
    for generation in 0..8 {
        followers.note(now, (MESH, RANK), &is(0, generation, Status::Running));
        assert_eq!(followers.refused(now), 1);
        followers.note(now, (MESH, RANK), &is(0, generation, Status::Stopping));
        assert_eq!(followers.refused(now), 0, "not before its time");
        let next = followers.next_deadline().expect("it is tried again");
        pauses.push(next.since(now).as_millis());
        now = next;
    }
    assert_eq!(pauses, [20, 40, 80, 160, 320, 640, 1_000, 1_000]);
    let [(1, StateNews::States(told))] = &followers.told(now)[..] else { panic!("all at once") };
    assert_eq!(told.len(), 1, "the newest");
    followers.note(now, (MESH, RANK), &is(0, 9, Status::Running));
    assert_eq!(followers.told(now).len(), 1);
}

/// What has waited is as old as it is.
#[test]
fn what_waits_grows_older() {
    let mut followers = Followers::of_one();
    let seen = Update { age: Duration::from_millis(5), ..is(0, 0, failed(1)) };
    followers.note(at(0), (MESH, RANK), &seen);
    assert_eq!((followers.refused(at(0)), followers.refused(at(20))), (1, 1));
    let told = Update { age: Duration::from_millis(105), ..seen };
    assert_eq!(followers.told(at(100)), [(1, states([told]))]);
}

/// A few ranks at once, in their order; also where there is room for some of them only.
#[test]
fn many_ranks_are_told_a_few_at_once() {
    let mut followers = Followers::of_one();
    for rank in (0..40).rev() {
        followers.note(at(0), (MESH, Rank::new(rank)), &is(0, 0, Status::Running));
    }
    let mut told = Vec::new();
    let mut n_left = 2;
    let mut take = |_: &u32, streamed: Streamed| {
        if n_left == 0 {
            return Err(streamed);
        }
        n_left -= 1;
        let StateNews::States(states) = streamed.news else { panic!("there is more") };
        told.push(states.iter().map(|(rank, _)| rank.index()).collect::<Vec<_>>());
        Ok(())
    };
    followers.tell(at(0), &mut take);
    let rest = followers.told(at(20));
    let [(1, StateNews::States(rest))] = &rest[..] else { panic!("{rest:?}") };
    told.push(rest.iter().map(|(rank, _)| rank.index()).collect());
    assert_eq!(told.concat(), (0..40).collect::<Vec<_>>());
    assert!(told.iter().all(|some| some.len() <= STATES_AT_ONCE), "{told:?}");
}

/// N7: of a rank that begins and ends again and again it is kept what it is, and how the last lives ended.
#[test]
fn of_many_lives_the_last_ends_are_kept() {
    let mut followers = Followers::of_one();
    followers.note(at(0), (MESH, RANK), &is(0, 0, Status::Running));
    assert_eq!(followers.refused(at(0)), 1);
    for life in 0..100 {
        followers.note(at(0), (MESH, RANK), &is(life, 1, Status::Running));
        followers.note(at(0), (MESH, RANK), &is(life, 2, failed(1)));
    }
    followers.note(at(0), (MESH, RANK), &is(100, 0, Status::Initializing));
    let told = followers.told(at(20));
    let [(1, StateNews::Lagged), (1, StateNews::States(told))] = &told[..] else {
        panic!("that some are left out is told first: {told:?}")
    };
    let lives: Vec<u64> = told.iter().map(|(_, it)| it.incarnation.number()).collect();
    assert_eq!(lives, (92..=100).collect::<Vec<_>>());
    let n_ends = told.iter().filter(|(_, it)| it.report.is_terminal()).count();
    assert_eq!(n_ends, ENDS_MAX);
}

/// N7: also where lives that were replaced end late, in whatever order.
#[test]
fn of_many_lives_that_end_late_the_last_ends_are_kept() {
    let mut followers = Followers::of_one();
    followers.note(at(0), (MESH, RANK), &is(100, 0, Status::Running));
    assert_eq!(followers.refused(at(0)), 1);
    for life in (0..100).rev() {
        followers.note(at(0), (MESH, RANK), &is(life, 2, failed(1)));
    }
    let told = followers.told(at(20));
    let [(1, StateNews::Lagged), (1, StateNews::States(told))] = &told[..] else {
        panic!("that some are left out is told first: {told:?}")
    };
    let lives: Vec<u64> = told.iter().map(|(_, it)| it.incarnation.number()).collect();
    assert_eq!(lives, (92..=100).collect::<Vec<_>>());
}

/// What happens to one rank, and to the room of who follows it.
#[derive(Clone, Copy, Debug)]
enum Step {
    Changes,
    Ends,
    Begins,
    RoomEnds,
    RoomComes,
}

const STEPS: [Step; 5] = [Step::Changes, Step::Ends, Step::Begins, Step::RoomEnds, Step::RoomComes];

/// One rank, and one who follows it.
struct History {
    followers: Followers<u32>,
    now: Timestamp,
    has_room: bool,
    /// All that the rank has been.
    been: Vec<Update<Status>>,
    /// All that was told.
    told: Vec<StateNews>,
}

impl History {
    fn new() -> Self {
        let mut followers = Followers::default();
        assert_eq!(followers.follow(at(0), (MESH, 1), []), Ok(()));
        Self { followers, now: at(0), has_room: true, been: Vec::new(), told: Vec::new() }
    }

    fn step(&mut self, step: Step) {
        let last = self.been.last().cloned();
        let next = match (step, last) {
            (Step::RoomEnds, _) => return self.has_room = false,
            (Step::RoomComes, _) => {
                (self.has_room, self.now) = (true, self.now + AGAIN_MAX);
                return self.tell();
            }
            (Step::Changes | Step::Ends, Some(last)) if last.report.is_terminal() => return,
            (Step::Changes, Some(last)) => Update { report: Status::Running, ..last },
            (Step::Ends, Some(last)) => Update { report: failed(1), ..last },
            (Step::Begins, Some(last)) => is(last.incarnation.next().number(), 0, Status::Running),
            (_, None) => is(0, 0, Status::Initializing),
        };
        let generation = match self.been.last() {
            Some(last) if last.incarnation == next.incarnation => last.generation.next(),
            _ => Generation::FIRST,
        };
        let next = Update { generation, ..next };
        self.followers.note(self.now, (MESH, RANK), &next);
        self.been.push(next);
        self.tell();
    }

    fn tell(&mut self) {
        let (has_room, told) = (self.has_room, &mut self.told);
        self.followers.tell(self.now, |_, streamed| {
            if has_room {
                told.push(streamed.news);
                return Ok(());
            }
            Err(streamed)
        });
    }

    fn end(&mut self) {
        self.followers.close(self.now, MESH);
        self.step(Step::RoomComes);
    }

    /// What was told of the rank, without ages.
    fn states(&self) -> Vec<Update<Status>> {
        let states = self.told.iter().filter_map(|news| match news {
            StateNews::States(states) => Some(states),
            _ => None,
        });
        let each = states.flatten().map(|(_, it)| Update { age: Duration::ZERO, ..it.clone() });
        each.collect()
    }
}

/// L1, H1, H2, N4, N7: whatever happens to a rank, and however little room there is: numbers grow, no end is lost, the
/// last that is told is what the rank is, and then comes one last word. Where there is room, every change is told.
#[test]
fn no_history_of_a_rank_loses_an_end() {
    const LENGTH: u32 = 6;
    for number in 0..STEPS.len().pow(LENGTH) {
        let steps: Vec<Step> =
            (0..LENGTH).map(|at| STEPS[number / STEPS.len().pow(at) % STEPS.len()]).collect();
        let mut history = History::new();
        steps.iter().for_each(|step| history.step(*step));
        history.end();
        let (been, told) = (&history.been, history.states());
        let pair = |it: &Update<Status>| (it.incarnation, it.generation);
        assert!(told.is_sorted_by(|a, b| pair(a) < pair(b)), "{steps:?}: {told:?}");
        assert!(told.iter().all(|it| been.contains(it)), "{steps:?}: {told:?}");
        let ends = |all: &[Update<Status>]| -> Vec<_> {
            all.iter().filter(|it| it.report.is_terminal()).cloned().collect()
        };
        assert_eq!((ends(&told), told.last()), (ends(been), been.last()), "{steps:?}");
        let always_had_room = !steps.iter().any(|step| matches!(step, Step::RoomEnds));
        assert!(!always_had_room || told == *been, "{steps:?}: {told:?}");
        let n_closed = history.told.iter().filter(|news| **news == StateNews::Closed).count();
        assert_eq!((history.told.last(), n_closed), (Some(&StateNews::Closed), 1), "{steps:?}");
        let n_absent = history.told.iter().skip(1).filter(|it| **it == StateNews::NotExist);
        assert_eq!((n_absent.count(), history.followers.len()), (0, 0), "{steps:?}");
    }
}
