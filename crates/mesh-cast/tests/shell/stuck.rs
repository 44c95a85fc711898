//! stuck: an actor that takes nothing, and everybody else.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use mesh_cast::shell::NotCast;
use mesh_cast::{Kind, Limits};
use mesh_core::ActorId;
use mesh_testkit::fault_net::{FaultNet, Faults};
use tokio::time::{Instant, timeout};

use crate::world::{Fill, Later, Tell, World, replies};

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

/// R2: what is for all but a rank that takes nothing does not wait behind what is for that rank.
#[tokio::test(start_paused = true)]
async fn a_cast_stands_behind_no_rank_that_it_is_not_for() {
    let net = FaultNet::new(1, Faults::none());
    let world = stuck(&net).await;
    fill(&world).await;
    let to_all = Tell(5000);
    let mut to_all = Box::pin(world.post(Kind::Cast, &to_all, None));
    assert!(timeout(Duration::from_secs(1), &mut to_all).await.is_err(), "one of all is full");
    let mut to_others = world.cast(Kind::Cast, &Tell(1), None);
    to_others.payload.except = (3..4).into();
    let sent = world.caster.cast_until(to_others, Instant::now() + Duration::from_secs(1)).await;
    assert!(sent.is_ok());
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

/// R2, R3: a process is suspended for so long that its caster begins anew when it goes on. What waits for room then is
/// cast by the next one, in order, also of an actor that does not wait for its casts.
#[tokio::test(start_paused = true)]
async fn what_waits_for_room_outlives_a_long_pause() {
    let net = FaultNet::new(1, Faults::none());
    let mut world = World::new(&net, 7, 2).await;
    drop(world.post(Kind::Cast, &Later(2000), Some(3..4)).await);
    let n_cast = fill(&world).await;
    world.from = Some(world.caller().spawn::<crate::world::Tally>(()).id());
    let world = Arc::new(world);
    let mut waiting = all_of((0..8).map(|number| {
        let world = Arc::clone(&world);
        async move { drop(world.post(Kind::Cast, &Tell(9000 + number), Some(3..4)).await) }
    }));
    assert!(timeout(Duration::from_secs(1), &mut waiting).await.is_err(), "it is full");
    tokio::time::advance(Duration::from_secs(310)).await;
    tokio::time::sleep(Duration::from_secs(2000)).await;
    waiting.await;
    let asked = world.post(Kind::Call, &Tell(9), Some(3..4)).await;
    let has_all = replies::<Tell>(asked, 1, Duration::from_secs(5)).await;
    let expected: Vec<u64> = (0..n_cast).chain(9000..9008).chain([9]).collect();
    assert_eq!(has_all, [Ok(expected)]);
}

/// R2, R3: the same, where something stands before what tells the caster of the pause: it casts nothing that would be
/// lost with it.
#[tokio::test(start_paused = true)]
async fn what_is_looked_at_after_a_long_pause_is_cast_by_the_next_caster() {
    let net = FaultNet::new(1, Faults::none());
    let world = World::new(&net, 7, 2).await;
    world.send(Kind::Cast, 0).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let call = Tell(1);
    let mut asked = Box::pin(world.post(Kind::Call, &call, None));
    // It is submitted, and the caster has had no turn since.
    assert!(std::future::poll_fn(|cx| Poll::Ready(asked.as_mut().poll(cx).is_pending())).await);
    tokio::time::advance(Duration::from_secs(310)).await;
    let replies = replies::<Tell>(asked.await, 7, Duration::from_secs(5)).await;
    assert!(replies.iter().all(|reply| *reply == Ok(vec![0, 1])), "{replies:?}");
}

/// All of them, each begun before the next.
fn all_of<F>(all: impl IntoIterator<Item = F>) -> impl Future<Output = ()> + Unpin
where
    F: Future<Output = ()>,
{
    let mut all: Vec<_> = all.into_iter().map(|it| Some(Box::pin(it))).collect();
    std::future::poll_fn(move |cx| {
        for one in &mut all {
            if one.as_mut().is_some_and(|it| it.as_mut().poll(cx).is_ready()) {
                *one = None;
            }
        }
        if all.iter().all(Option::is_none) { Poll::Ready(()) } else { Poll::Pending }
    })
}

/// R2: a cast that finds no room by its deadline is told which rank has none, also if it waits behind another of its
/// sender, and is not sent later.
#[tokio::test(start_paused = true)]
async fn a_cast_that_finds_no_room_in_time_is_told_who_has_none() {
    let net = FaultNet::new(1, Faults::none());
    let mut world = stuck(&net).await;
    let n_cast = fill(&world).await;
    world.from = Some(world.caller().spawn::<crate::world::Tally>(()).id());
    let within = Duration::from_secs(2);
    let late = world.post_within(within, (Kind::Cast, &Tell(1)), None);
    let behind = world.post_within(within, (Kind::Cast, &Tell(2)), Some(4..7));
    let (late, behind) = tokio::join!(late, behind);
    let expected = NotCast::Late { ranks: (3..4).into() };
    assert_eq!([late.err(), behind.err()], [Some(expected.clone()), Some(expected)]);
    tokio::time::sleep(Duration::from_secs(LONG)).await;
    for reply in world.call(9).await {
        assert_eq!(reply, Ok((0..n_cast).chain([9]).collect()));
    }
}

/// R2, R3: what waits for a rank has a bound. At the bound one more is refused with the rank that has no room, and
/// neither other senders nor other ranks are held up by it.
#[tokio::test(start_paused = true)]
async fn what_waits_for_a_stuck_rank_has_a_bound_and_holds_up_no_other() {
    let net = FaultNet::new(1, Faults::none());
    let world = stuck(&net).await;
    fill(&world).await;
    let actor = world.caller().spawn::<crate::world::Tally>(()).id();
    let within = Duration::from_secs(5);
    // No call is made ahead.
    let to_it = || world.post_within(within, (Kind::Call, &Tell(1)), Some(3..4));
    let n_refused = std::cell::Cell::new(0);
    let expected = Some(NotCast::TooMany { ranks: (3..4).into() });
    let some = (0..Limits::default().waiting + 7).map(|_| async {
        let is_refused = to_it().await.err() == expected;
        n_refused.set(n_refused.get() + usize::from(is_refused));
    });
    let mut waiting = all_of(some);
    assert!(timeout(Duration::from_secs(1), &mut waiting).await.is_err(), "the others wait");
    assert_eq!(n_refused.get(), 7);
    let others = world.post_within(within, (Kind::Cast, &Tell(2)), Some(4..7));
    assert!(others.await.is_ok());
    let mut of_an_actor = world.cast(Kind::Call, &Tell(3), Some(3..4));
    of_an_actor.payload.from = Some(actor);
    let of_an_actor = world.caster.cast_until(of_an_actor, Instant::now() + within);
    assert_eq!(of_an_actor.await.err(), Some(NotCast::Late { ranks: (3..4).into() }));
    waiting.await;
    assert_eq!(n_refused.get(), 7, "the others were late");
}

/// R2, R3: what all senders have waiting has a bound, too, and it is told apart from that of one. At it nothing is refused
/// that is for ranks with room.
#[tokio::test(start_paused = true)]
async fn what_all_have_waiting_has_a_bound_and_holds_up_no_rank_with_room() {
    let net = FaultNet::new(1, Faults::none());
    let world = stuck(&net).await;
    fill(&world).await;
    let large = world.cast(Kind::Call, &Fill(vec![0; 15 << 20].into(), 1), Some(3..4));
    let actor = world.caller().spawn::<crate::world::Tally>(()).id();
    let refused = std::cell::RefCell::new(Vec::new());
    let (caster, all_refused) = (&world.caster, &refused);
    let some = (0..10 * 5).map(|number| {
        let (mut cast, from) = (large.clone(), number / 5);
        cast.payload.from = Some(ActorId { index: 1000 + from, ..actor });
        async move {
            let sent = caster.cast_until(cast, Instant::now() + Duration::from_secs(5)).await;
            match sent.err() {
                Some(NotCast::Late { .. }) => (),
                error => all_refused.borrow_mut().push(error.expect("there is no room")),
            }
        }
    });
    let mut waiting = all_of(some);
    assert!(timeout(Duration::from_secs(1), &mut waiting).await.is_err(), "the others wait");
    let ranks: mesh_shape::RankSet = (3..4).into();
    let own = NotCast::TooMany { ranks: ranks.clone() };
    let shared = NotCast::TooManyTogether { ranks };
    // Two have four each, then three, two and five times one, of which the last is larger than what is left: the tenth
    // has none.
    let n_each = [2, 3, 4, 4, 4, 4, 4, 5];
    let expected = [own.clone(), own].into_iter().chain(vec![shared; n_each.iter().sum()]);
    assert_eq!(*refused.borrow(), expected.collect::<Vec<_>>());
    let others = world.post_within(Duration::from_secs(1), (Kind::Call, &Tell(2)), Some(4..7));
    assert!(others.await.is_ok());
    waiting.await;
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
