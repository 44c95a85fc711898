//! verbs: answers as they come, a message for each, one of many, and many replies merged into one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actor_mesh::{Choice, Max, OneError, RankError, Reducer, Sum};
use controller::{Config, RestartConfig};
use futures_util::{FutureExt, StreamExt};
use mesh_core::{Status, Transport};
use mesh_runtime::{Network, Proc};
use mesh_shape::{Overlay, Rank, RankSet, Slice};
use mesh_testkit::fault_net::{FaultNet, Faults};
use tokio::time::Instant;

use crate::support::{
    Add, Crate, Hang, Panic, Say, World, all, on_failure, sent, soon, tens, world,
};

/// The mesh of so many, in which nobody answers anything else meanwhile.
async fn tools(size: usize) -> (World, actor_mesh::ActorMesh<crate::support::Tool>) {
    let world = world(&format!("procs={size}")).await;
    let tools = world.tools().await;
    (world, tools)
}

/// R1: each answer is told when it is there, whoever hangs, and each rank has one.
#[tokio::test]
async fn answers_come_as_they_are_known() {
    let (world, tools) = tools(5).await;
    let third = tools.slice("procs", 2..3).expect("there is one");
    soon(third.cast(&world.proc, Hang)).await.complete().expect("it is sent");
    let mut replies = tools.call_stream(&world.proc, Add(1));
    let mut told = BTreeMap::new();
    for _ in 0..4 {
        let (rank, answer) = soon(replies.next()).await.expect("four answer");
        assert!(told.insert(rank.index(), answer).is_none(), "{rank} has answered twice");
    }
    let answered: Vec<_> = told.into_iter().map(|(rank, answer)| (rank, answer.ok())).collect();
    assert_eq!(answered, [(0, Some(1)), (1, Some(11)), (3, Some(31)), (4, Some(41))]);
    // The one that hangs is killed, and that is its answer.
    world.procs.crash(Rank::new(2));
    let (rank, answer) = soon(replies.next()).await.expect("the third");
    assert!(matches!(answer, Err(RankError::Ended(_))), "{answer:?}");
    assert_eq!((rank, soon(replies.next()).await), (Rank::new(2), None));
}

/// R1: with a deadline the stream ends, too.
#[tokio::test]
async fn a_stream_of_answers_ends_with_its_deadline() {
    let (world, tools) = tools(3).await;
    soon(tools.cast(&world.proc, Hang)).await.complete().expect("it is sent");
    let within = Duration::from_millis(100);
    let calls = [
        tools.call(&world.proc, Add(1)).within(within).replies(),
        tools.call_stream(&world.proc, Add(1)).within(within),
    ];
    for replies in calls {
        let told: Vec<_> = soon(replies.collect()).await;
        let ranks: BTreeSet<_> = told.iter().map(|(rank, _)| rank.index()).collect();
        assert_eq!((told.len(), ranks), (3, BTreeSet::from([0, 1, 2])));
        assert!(told.iter().all(|(_, answer)| *answer == Err(RankError::Deadline { within })));
    }
}

/// R1: of a call that was sent already each answer is told, too, when all are there; of one that has told them, none.
#[tokio::test]
async fn a_call_that_was_polled_tells_its_answers_all_the_same() {
    let (world, tools) = tools(3).await;
    let mut call = tools.call(&world.proc, Add(1));
    assert!((&mut call).now_or_never().is_none(), "nobody has answered yet");
    let told: Vec<_> = soon(call.replies().collect()).await;
    let one_each = [1, 11, 21].into_iter().enumerate();
    let one_each: Vec<_> = one_each.map(|(rank, sum)| (Rank::new(rank), Ok(sum))).collect();
    assert_eq!(told, one_each);
    let mut call = tools.call(&world.proc, Add(1));
    assert_eq!(all(&soon(&mut call).await), [2, 12, 22], "it was sent once");
    assert_eq!(soon(call.replies().next()).await, None);
}

/// A cast has a deadline as well: whoever has no room by then is named, and nobody waits for ever.
#[tokio::test]
async fn a_cast_ends_with_its_deadline() {
    let (world, tools) = tools(4).await;
    let first = tools.slice("procs", 0..1).expect("there is one");
    soon(first.cast(&world.proc, Hang)).await.complete().expect("it is sent");
    let within = Duration::from_millis(50);
    let not_sent = soon(async {
        loop {
            let not_sent = tools.cast(&world.proc, Add(1)).within(within).await;
            if !not_sent.is_empty() {
                break not_sent;
            }
        }
    })
    .await;
    let why = RankError::NoRoom { ranks: (0..1).into(), within };
    let told = "not sent within 50ms: rank 0 has not taken what was cast before";
    assert_eq!(why.to_string(), told);
    // By a tree it is sent to all, or to nobody, and all are told who has no room.
    let late = if crate::FAN_OUT < 4 { 0..4 } else { 0..1 };
    assert_eq!(*not_sent, Overlay::from_range(late, why));
}

/// R1: a call that waits behind casts of its sender until its deadline says that there was no room, and was not sent.
#[tokio::test(start_paused = true)]
async fn a_call_that_finds_no_room_behind_casts_says_that() {
    let (world, tools) = tools(4).await;
    let first = tools.slice("procs", 0..1).expect("there is one");
    soon(first.cast(&world.proc, Hang)).await.complete().expect("it is sent");
    let (within, mut n_sent) = (Duration::from_millis(50), 0);
    while tools.cast(&world.proc, Add(1)).within(within).await.is_empty() {
        n_sent += 1;
    }
    let mut waits = tools.cast(&world.proc, Add(1)).within(crate::support::SOON);
    assert!((&mut waits).now_or_never().is_none(), "there is no room");
    let answers = soon(tools.call(&world.proc, Add(1_000)).within(within)).await;
    let no_room = Err(RankError::NoRoom { ranks: (0..1).into(), within });
    let is_tree = crate::FAN_OUT < 4;
    for (rank, answer) in answers.iter().enumerate() {
        let is_right = if rank == 0 || is_tree { *answer == no_room } else { answer.is_ok() };
        assert!(is_right, "rank {rank}: {answer:?}");
    }
    world.procs.crash(Rank::new(0));
    _ = soon(waits).await.complete().is_ok();
    let rest = tools.slice("procs", 1..).expect("there are three");
    let sums = all(&soon(rest.call(&world.proc, Add(0))).await);
    // Directly it was sent to them, and so was the cast before that found no room at the first.
    let more = if is_tree { 1 } else { 1_002 };
    assert_eq!(sums, [10, 20, 30].map(|number| number + n_sent + more));
}

/// R2: to each its own, in order with what is cast to all; in the order of the slice.
#[tokio::test]
async fn each_rank_is_sent_its_own_message_in_order() {
    let world = world("hosts=2,procs=4").await;
    let tools = world.tools().await;
    for n in 0..30 {
        let sent = tools.scatter(&world.proc, |point| Say(1000 * point.rank().index() as u64 + n));
        assert!(soon(sent).await.is_empty());
        assert!(soon(tools.cast(&world.proc, Say(n))).await.is_empty());
    }
    let said = all(&soon(tools.call(&world.proc, Add(0))).await);
    assert_eq!(said, [0, 10, 20, 30, 40, 50, 60, 70]);
    for (rank, heard) in heard(&world, &tools).await.into_iter().enumerate() {
        let expected: Vec<_> = (0..30).flat_map(|n| [1000 * rank as u64 + n, n]).collect();
        assert_eq!(heard, expected, "rank {rank}");
    }
    let column = tools.slice("procs", -1).expect("there is a last one");
    let sums = column.scatter_call(&world.proc, |point| Add(point.rank().index() as u64 + 1));
    assert_eq!(all(&soon(sums).await), [31, 72]);
}

async fn heard(
    world: &World,
    tools: &actor_mesh::ActorMeshRef<crate::support::Tool>,
) -> Vec<Vec<u64>> {
    all(&soon(tools.call(&world.proc, crate::support::Heard)).await)
}

/// Messages that are large together arrive, each at its rank.
#[tokio::test]
async fn large_messages_for_each_arrive() {
    let (world, tools) = tools(6).await;
    let sizes =
        tools.scatter_call(&world.proc, |point| Crate(vec![7; 700_000 + point.rank().index()]));
    let sizes = all(&soon(sizes).await);
    assert_eq!(sizes, (0..6).map(|rank| 7 * (700_000 + rank)).collect::<Vec<u64>>());
}

/// R1: who has ended is named, and nobody else is sent what was for it.
#[tokio::test]
async fn a_message_for_one_that_has_ended_goes_to_nobody() {
    let (world, tools) = tools(5).await;
    soon(tools.cast(&world.proc, Panic(20))).await.complete().expect("it is sent");
    soon(tools.controller().wait(RankSet::from(2..3), mesh_core::Progress::Ended, SOON_ENOUGH))
        .await
        .expect("it is told");
    let sums = tools.scatter_call(&world.proc, |point| Add(point.rank().index() as u64));
    let sums = soon(sums).await;
    let known: Vec<_> = sums.iter().map(|sum| sum.as_ref().ok().copied()).collect();
    assert_eq!(known, [Some(0), Some(11), None, Some(33), Some(44)]);
    assert!(matches!(sums.get(Rank::new(2)), Some(Err(RankError::Ended(_)))));
}

const SOON_ENOUGH: Duration = Duration::from_secs(10);

#[tokio::test]
async fn the_replies_of_all_are_merged_into_one() {
    let (world, tools) = tools(9).await;
    let sum = soon(tools.reduce(&world.proc, Add(1), Sum)).await;
    assert_eq!((sum.value, &sum.ranks), (Some(369), &RankSet::from(0..9)));
    assert_eq!(sum.complete(), Ok(Some(369)));
    let some = tools.slice("procs", Slice::from(1..).by(2)).expect("there are some");
    let most = soon(some.reduce(&world.proc, Add(0), Max)).await;
    assert_eq!((most.value, most.ranks), (Some(71), RankSet::from(0..4)));
    let pairs = soon(tools.reduce(&world.proc, crate::support::Heard, Longest)).await;
    assert_eq!(pairs.value, Some(Vec::new()));
}

/// What is merged is in the order of the mesh, also of a slice that has another one, and whichever way it goes.
#[tokio::test]
async fn replies_are_merged_in_the_order_of_the_mesh() {
    let (world, tools) = tools(8).await;
    let said = tools.scatter(&world.proc, |point| Say(point.rank().index() as u64));
    assert!(soon(said).await.is_empty());
    let all = (0..8).collect::<Vec<_>>();
    for (slice, expected) in [
        (Slice::from(..), all.clone()),
        (Slice::from(..).by(-1), all),
        (Slice::from(..).by(-3), vec![1, 4, 7]),
    ] {
        let some = tools.slice("procs", slice).expect("there are some");
        let joined = soon(some.reduce(&world.proc, crate::support::Heard, Joined)).await;
        assert_eq!(joined.complete(), Ok(Some(expected)), "{slice}");
    }
}

/// R1: whoever fails is named, and is in no value.
#[tokio::test]
async fn who_fails_is_no_part_of_what_is_merged() {
    let (world, tools) = tools(7).await;
    soon(tools.cast(&world.proc, Panic(30))).await.complete().expect("it is sent");
    let sum = soon(tools.reduce(&world.proc, Add(0), Sum)).await;
    let others = RankSet::from(0..7).difference(&RankSet::from(3..4));
    assert_eq!((sum.value, &sum.ranks), (Some(180), &others));
    let failed: Vec<_> = sum.failed.iter().map(|(rank, _)| rank.index()).collect();
    assert_eq!(failed, [3]);
    let message = sum.complete().expect_err("one is missing").to_string();
    assert!(message.starts_with("1 of the ranks has not replied: rank 3: "), "{message}");
}

/// H9
#[tokio::test]
async fn of_nobody_nothing_is_merged() {
    let (world, tools) = tools(0).await;
    let sum = soon(tools.reduce(&world.proc, Add(1), Sum)).await;
    assert_eq!((sum.value, sum.failed.is_empty()), (None, true));
    let one = tools.choose(Choice::Random);
    let nobody = soon(one.call(&world.proc, Add(1))).await.expect_err("there is none");
    assert_eq!(nobody.to_string(), "there is no rank to choose: the mesh or slice is empty");
    assert_eq!(soon(tools.call_stream(&world.proc, Add(1)).next()).await, None);
}

/// R1: by a tree a rank that is late holds back the replies of others, of which it is not said that they had none.
#[tokio::test(start_paused = true)]
async fn who_may_have_replied_in_time_is_not_said_to_be_late() {
    let (world, tools) = tools(7).await;
    let within = Duration::from_secs(1);
    let last = tools.slice("procs", 6..).expect("there is one");
    soon(last.cast(&world.proc, Hang)).await.complete().expect("it is sent");
    let sum = soon(tools.reduce(&world.proc, Add(0), Sum).within(within)).await;
    let late = match crate::FAN_OUT < 7 {
        true => RankError::Withheld { within },
        false => RankError::Deadline { within },
    };
    assert!(sum.failed.iter().all(|(_, error)| *error == late), "{:?}", sum.failed);
    assert!(sum.failed.ranks().contains(Rank::new(6)), "{:?}", sum.failed);
    assert_eq!(sum.ranks.union(&sum.failed.ranks()), RankSet::from(0..7));
}

/// A reducer that panics costs its value, and nothing else.
#[tokio::test]
async fn a_reducer_that_panics_is_told_and_ends_nothing() {
    let (world, tools) = tools(7).await;
    let sum = soon(tools.reduce(&world.proc, Add(0), Careless)).await;
    if crate::FAN_OUT < 7 {
        let is_told = |error: &RankError| error.to_string().contains("panicked");
        assert!(sum.failed.iter().any(|(_, error)| is_told(error)), "{sum:?}");
    }
    assert_eq!(soon(tools.reduce(&world.proc, Add(0), Sum)).await.value, Some(210));
}

/// N9: where nothing can be merged, nobody has failed: not whoever calls, and not the ranks.
#[tokio::test]
async fn what_cannot_be_merged_is_no_failure_of_a_rank() {
    for size in [3, 7] {
        let (world, tools) = tools(size).await;
        let sum = soon(tools.reduce(&world.proc, Add(0), Hopeless)).await;
        // The reply of one may have met no other.
        assert!(sum.ranks.len() <= 1, "{} are merged", sum.ranks);
        assert_eq!(sum.failed.iter().count() + sum.ranks.len(), size);
        // Wherever it was, it is told alike, with the place.
        let is_told = |error: &RankError| match error {
            RankError::NotMerged { why } => {
                why.starts_with("panicked at ") && why.ends_with(": it is hopeless")
            }
            _ => false,
        };
        assert!(sum.failed.iter().all(|(_, error)| is_told(error)), "{:?}", sum.failed);
    }
}

/// Panics wherever it is.
pub(crate) struct Hopeless;

impl Reducer<u64> for Hopeless {
    const NAME: &'static str = "test.Hopeless";

    fn merge(_: u64, _: u64) -> u64 {
        panic!("it is hopeless")
    }
}

/// Prefers the longest.
pub(crate) struct Longest;

impl Reducer<Vec<u64>> for Longest {
    const NAME: &'static str = "test.Longest";

    fn merge(one: Vec<u64>, other: Vec<u64>) -> Vec<u64> {
        if other.len() > one.len() { other } else { one }
    }
}

/// Puts one behind the other.
pub(crate) struct Joined;

impl Reducer<Vec<u64>> for Joined {
    const NAME: &'static str = "test.Joined";

    fn merge(one: Vec<u64>, other: Vec<u64>) -> Vec<u64> {
        [one, other].concat()
    }
}

/// Panics in the processes on the way, and not here.
pub(crate) struct Careless;

impl Reducer<u64> for Careless {
    const NAME: &'static str = "test.Careless";

    fn merge(one: u64, other: u64) -> u64 {
        let is_on_the_way = one != 0 && other != 0 && one < 100;
        assert!(!is_on_the_way || crate::FAN_OUT >= 7, "it is careless");
        one + other
    }
}

#[tokio::test]
async fn whoever_has_its_turn_is_chosen() {
    let (world, tools) = tools(4).await;
    let in_turn = tools.choose(Choice::RoundRobin);
    let mut ranks = Vec::new();
    for _ in 0..6 {
        let (rank, _) = soon(in_turn.call(&world.proc, Add(0))).await.expect("all run");
        ranks.push(rank.index());
    }
    assert_eq!(ranks, [0, 1, 2, 3, 0, 1]);
    // Clones take turns, and slices have their own.
    let clone = tools.mesh_ref().clone().choose(Choice::RoundRobin);
    assert_eq!(soon(clone.rank(&world.proc)).await, Ok(Rank::new(2)));
    let half = tools.slice("procs", 2..).expect("there are two");
    assert_eq!(soon(half.choose(Choice::RoundRobin).rank(&world.proc)).await, Ok(Rank::new(0)));
}

#[tokio::test]
async fn chance_chooses_each() {
    let (world, tools) = tools(4).await;
    let any = tools.choose(Choice::Random);
    let mut n_chosen = [0_u32; 4];
    for _ in 0..400 {
        n_chosen[soon(any.rank(&world.proc)).await.expect("all run").index()] += 1;
    }
    // Each is expected 100 times; less than 50 comes about once in 10^8 runs.
    assert!(n_chosen.iter().all(|n| *n > 50), "{n_chosen:?}");
}

/// A key goes to the same rank, and only what was for one that has ended goes to others.
#[tokio::test]
async fn a_key_keeps_its_rank_when_another_one_ends() {
    let (world, tools) = tools(5).await;
    let of = async |key: u64| {
        let key = Choice::by_key(key.to_le_bytes());
        soon(tools.choose(key).rank(&world.proc)).await.expect("some run").index()
    };
    let mut before = Vec::new();
    for key in 0..100 {
        before.push(of(key).await);
    }
    let used: BTreeSet<_> = before.iter().copied().collect();
    assert_eq!(used.len(), 5, "every rank has keys");
    soon(tools.cast(&world.proc, Panic(20))).await.complete().expect("it is sent");
    soon(tools.controller().wait(RankSet::from(2..3), mesh_core::Progress::Ended, SOON_ENOUGH))
        .await
        .expect("it is told");
    // What is known of it here follows.
    soon(async {
        while of(before.iter().position(|rank| *rank == 2).expect("it had some") as u64).await == 2
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
    for (key, rank) in before.into_iter().enumerate() {
        let now = of(key as u64).await;
        assert!(if rank == 2 { now != 2 } else { now == rank }, "{key}: {rank}, and then {now}");
    }
}

/// The one that was chosen says itself why it does not answer, and is named.
#[tokio::test]
async fn the_one_that_was_chosen_is_named() {
    let world = world("procs=2").await;
    let tools = world.spawn(tens("pair")).await;
    let one = tools.choose(Choice::RoundRobin);
    let failed = soon(one.call(&world.proc, Panic(0))).await;
    let Err(OneError::Rank { rank, why: RankError::Ended(ended) }) = failed else {
        panic!("{failed:?}")
    };
    assert_eq!(rank, Rank::new(0));
    assert!(matches!(ended.status(), Status::Failed(_)));
    let within = Duration::from_millis(50);
    let hangs = soon(one.within(within).call(&world.proc, Hang)).await;
    let late = RankError::Deadline { within };
    assert_eq!(hangs, Err(OneError::Rank { rank: Rank::new(1), why: late }));
}

/// One rank is called and cast to by its place in the mesh, or in a slice; and nobody else.
#[tokio::test]
async fn a_given_rank_is_sent_to_and_no_other() {
    let (world, tools) = tools(5).await;
    let (third, proc) = (Rank::new(3), &world.proc);
    assert_eq!(soon(tools.at(third).call(proc, Add(1))).await, Ok((third, 31)));
    let rest = tools.slice("procs", 2..).expect("there are three");
    assert_eq!(soon(rest.at(Rank::new(1)).cast(proc, Add(1))).await, Ok(Rank::new(1)));
    assert_eq!(soon(rest.at(Rank::new(1)).call(proc, Add(0))).await, Ok((Rank::new(1), 32)));
    assert_eq!(all(&soon(tools.call(proc, Add(0))).await), [0, 10, 20, 32, 40]);
    let rank = Rank::new(3);
    let beyond = Err(OneError::NoSuchRank { rank, size: 3 });
    assert_eq!(soon(rest.at(rank).call(proc, Add(1))).await, beyond);
}

/// R1, H2: a given rank that has ended says so, each time; one that is started again is sent to in its next life.
#[tokio::test]
async fn a_given_rank_answers_in_the_life_that_it_is_in() {
    let world = world("procs=3").await;
    let (first, proc) = (Rank::new(0), &world.proc);
    for restart in [RestartConfig::NEVER, on_failure()] {
        let tools = world.spawn(tens("tools").restart(restart)).await;
        let one = tools.at(first);
        assert_eq!(soon(one.call(proc, Add(5))).await, Ok((first, 5)));
        let ended = |answer| match answer {
            Err(OneError::Rank { rank, why: RankError::Ended(ended) }) => {
                (rank, ended.status().is_failure()) == (first, true)
            }
            _ => false,
        };
        assert!(ended(soon(one.call(proc, Panic(5))).await.map(|_| ())));
        if restart == RestartConfig::NEVER {
            assert!(ended(soon(one.call(proc, Add(1))).await.map(|_| ())), "it is not hidden");
            assert!(ended(soon(one.cast(proc, Add(1))).await.map(|_| ())));
            continue;
        }
        let next = async {
            loop {
                match one.call(proc, Add(1)).await {
                    Ok(answer) => return answer,
                    Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        };
        assert_eq!(soon(next).await, (first, 1), "it begins anew");
    }
}

/// R1: a given rank has the deadlines of one that was chosen.
#[tokio::test]
async fn a_given_rank_that_hangs_is_not_waited_for() {
    let (world, tools) = tools(3).await;
    let within = Duration::from_millis(50);
    let one = tools.at(Rank::new(2)).within(within);
    let (rank, why) = (Rank::new(2), RankError::Deadline { within });
    assert_eq!(soon(one.call(&world.proc, Hang)).await, Err(OneError::Rank { rank, why }));
}

/// R1: there is one deadline for word of where the ranks are and for the answer.
#[tokio::test(start_paused = true)]
async fn one_of_many_has_one_deadline_for_all_of_it() {
    let (net, made) = (FaultNet::new(1, Faults::none()), AtomicUsize::new(0));
    let others = net.clone();
    let transports = move || {
        let site = format!("site-{}", made.fetch_add(1, Ordering::Relaxed));
        Arc::new(others.transport(&site)) as Arc<dyn Transport>
    };
    let world = World::with("procs=2", Config::local(), transports).await;
    let mesh = world.tools().await;
    let guest = Proc::local().expect("there is a runtime");
    let network = Network::new(guest.clone(), Arc::new(net.transport("guest")), 0);
    let doors = network.listen(&"local://guest".parse().expect("it is an address")).await;
    let owner = Network::of(&world.proc).expect("it has one");
    owner.dial(guest.peer(), &doors.expect("nobody else listens")).await.expect("it listens");
    let (within, silence) = (Duration::from_secs(4), Duration::from_secs(3));
    for site in 0..4 {
        net.cut_for(&format!("site-{site}"), "guest", silence);
    }
    let begun = Instant::now();
    let one = sent(mesh.mesh_ref()).choose(Choice::RoundRobin).within(within);
    let hangs = soon(one.call(&guest, Hang)).await;
    let late = RankError::Deadline { within };
    assert_eq!(hangs, Err(OneError::Rank { rank: Rank::new(0), why: late }));
    let took = begun.elapsed();
    assert!(took > silence && took < within + Duration::from_secs(1), "{took:?}");
}
