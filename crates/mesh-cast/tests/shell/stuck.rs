//! stuck: an actor that takes nothing, and everybody else.

use std::sync::Arc;
use std::time::Duration;

use mesh_cast::Kind;
use mesh_testkit::fault_net::{FaultNet, Faults};
use tokio::time::timeout;

use crate::world::{Later, Tell, World, replies};

/// Longer than anything here takes but what hangs, in seconds.
const LONG: u64 = 200;

/// A world of seven, of whom the fourth takes nothing for long.
async fn stuck(net: &FaultNet) -> World {
    let world = World::new(net, 7, 2).await;
    drop(world.post(Kind::Cast, &Later(LONG), Some(3..4)).await);
    world
}

/// Casts to all, until there is no room for more.
async fn fill(world: &World) -> u64 {
    for number in 0.. {
        let sent = timeout(Duration::from_secs(5), world.send(Kind::Cast, number)).await;
        if sent.is_err() {
            return number;
        }
    }
    unreachable!("there is a bound")
}

/// R1, R2: what is for a rank that takes nothing waits, and only that: casts and calls of others go on, and it has
/// all of it in order when it goes on.
#[tokio::test(start_paused = true)]
async fn a_rank_that_takes_nothing_holds_up_only_what_is_for_it() {
    let net = FaultNet::new(1, Faults::none());
    let world = stuck(&net).await;
    let n_cast = fill(&world).await;
    assert!(
        (48..80).contains(&n_cast),
        "its mailbox, and the bound of a rank, of which some is kept: {n_cast}"
    );
    let to_all = Tell(5000);
    let mut to_all = Box::pin(world.post(Kind::Cast, &to_all, None));
    assert!(timeout(Duration::from_secs(1), &mut to_all).await.is_err(), "one of all is full");
    for number in 0..300 {
        let tell = Tell(1000 + number);
        let others = world.post(Kind::Cast, &tell, Some(4..7));
        timeout(Duration::from_secs(1), others).await.expect("they take what they are sent");
    }
    let asked = world.post(Kind::Call, &Tell(9), Some(4..7)).await;
    let expected: Vec<u64> = (0..n_cast).chain(1000..1300).chain([9]).collect();
    for reply in replies::<Tell>(asked, 3, Duration::from_secs(5)).await {
        assert_eq!(reply, Ok(expected.clone()));
    }
    tokio::time::sleep(Duration::from_secs(LONG)).await;
    drop(to_all.await);
    let asked = world.post(Kind::Call, &Tell(9), Some(3..4)).await;
    let expected: Vec<u64> = (0..n_cast).chain([5000, 9]).collect();
    let has_all = replies::<Tell>(asked, 1, Duration::from_secs(5)).await;
    assert_eq!(has_all, [Ok(expected)]);
}

/// R2: an actor that does not wait for its casts has them in order all the same; others pass it.
#[tokio::test(start_paused = true)]
async fn a_cast_overtakes_no_other_of_its_sender() {
    let net = FaultNet::new(1, Faults::none());
    let mut world = stuck(&net).await;
    let n_cast = fill(&world).await;
    world.from = Some(world.caller().spawn::<crate::world::Tally>(()).id());
    let world = Arc::new(world);
    let (to_all, to_others) = (Tell(1), Tell(2));
    let mut to_all = Box::pin(world.post(Kind::Cast, &to_all, None));
    let mut to_others = Box::pin(world.post(Kind::Cast, &to_others, Some(4..7)));
    assert!(timeout(Duration::from_secs(5), &mut to_all).await.is_err(), "one of all is full");
    assert!(timeout(Duration::from_secs(5), &mut to_others).await.is_err(), "it is behind that");
    tokio::time::sleep(Duration::from_secs(LONG)).await;
    drop((to_all.await, to_others.await));
    let asked = world.post(Kind::Call, &Tell(9), Some(4..7)).await;
    let expected: Vec<u64> = (0..n_cast).chain([1, 2, 9]).collect();
    for reply in replies::<Tell>(asked, 3, Duration::from_secs(5)).await {
        assert_eq!(reply, Ok(expected.clone()));
    }
}

/// R1: calls that are open for long are many, and hold up no cast.
#[tokio::test(start_paused = true)]
async fn two_hundred_calls_are_open_at_once() {
    let net = FaultNet::new(1, Faults::none());
    let world = World::new(&net, 5, 2).await;
    let mut asked = Vec::new();
    for _ in 0..200 {
        let call = world.post(Kind::Call, &crate::world::Promise(60), None);
        asked.push(timeout(Duration::from_secs(1), call).await.expect("there is room"));
    }
    world.send(Kind::Cast, 0).await;
    for asked in asked {
        let replies = replies::<crate::world::Promise>(asked, 5, Duration::from_secs(61)).await;
        assert!(replies.iter().all(Result::is_ok), "{replies:?}");
    }
}
