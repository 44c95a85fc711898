//! Each fault by itself, and what becomes of a session.

use std::io::ErrorKind;
use std::time::Duration;

use mesh_core::{DialError, Lane, ListenError, Lost, Transport, WhyReturned};
use mesh_testkit::fault_net::{FaultNet, Faults, SessionConfig};
use tokio::time::{Instant, sleep, timeout};

use crate::support::{Ear, Pair, cast, send_all, there, until};

const DELIVERY: Duration = Duration::from_secs(10);

async fn pair() -> Pair {
    Pair::over(FaultNet::new(42, Faults::none())).await
}

async fn seconds(n: u64) {
    sleep(Duration::from_secs(n)).await;
}

/// Both are told within the time of a delivery, and one keepalive, since a side was heard last.
fn is_in_time(told: u128) -> bool {
    (9_000..=11_100).contains(&told)
}

#[tokio::test(start_paused = true)]
async fn a_way_that_is_cut_under_load_is_told_at_both_ends() {
    let pair = pair().await;
    pair.net.cut("a", "b");
    let (n, _) = tokio::join!(send_all(&*pair.out, 0..1_000), send_all(&*pair.back, 0..10));
    assert_eq!(n, 64, "as many as the window");
    let told = pair.both_lost().await;
    assert!(told.iter().all(|(_, at)| is_in_time(*at)), "{told:?}");
    assert_eq!(pair.a.heard().came_back, (0..64).collect::<Vec<_>>());
    assert_eq!(pair.a.heard().numbers, (0..10).collect::<Vec<_>>());
    assert_eq!(pair.b.heard().came_back, (0..10).collect::<Vec<_>>(), "it heard of none");
}

#[tokio::test(start_paused = true)]
async fn a_way_that_is_cut_while_nobody_sends_is_told_at_both_ends() {
    let pair = pair().await;
    pair.net.cut("b", "a");
    let told = pair.both_lost().await;
    assert_eq!(told.map(|(why, _)| why), [Lost::NoContact(DELIVERY), Lost::Closed]);
    assert!(told.iter().all(|(_, at)| is_in_time(*at)), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_cut_that_is_shorter_than_the_time_of_delivery_loses_nothing() {
    let pair = pair().await;
    pair.net.cut_for("a", "b", Duration::from_secs(8));
    pair.net.cut_for("b", "a", Duration::from_secs(8));
    tokio::join!(send_all(&*pair.out, 0..500), send_all(&*pair.back, 0..500));
    until("arriving", || pair.b.heard().numbers.len() == 500).await;
    until("arriving", || pair.a.heard().numbers.len() == 500).await;
    assert_eq!(pair.b.heard().numbers, (0..500).collect::<Vec<_>>());
    assert_eq!((pair.a.lost(), pair.b.lost()), (None, None));
}

#[tokio::test(start_paused = true)]
async fn a_network_that_is_parted_and_joined_again_carries_on() {
    let pair = pair().await;
    pair.net.part("a", "b");
    assert_eq!(send_all(&*pair.out, 0..5).await, 5);
    seconds(5).await;
    assert_eq!(pair.b.heard().numbers, [0; 0]);
    pair.net.join("a", "b");
    seconds(5).await;
    assert_eq!(pair.b.heard().numbers, [0, 1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_crash_is_told_as_soon_as_it_is_heard_and_what_is_unknown_comes_back() {
    let pair = pair().await;
    let crash = async {
        sleep(Duration::from_millis(20)).await;
        pair.net.crash("b");
    };
    let (n, ()) = tokio::join!(send_all(&*pair.out, 0..100_000), crash);
    let told = pair.both_lost().await;
    // Two for the dial, and one for the way of the news.
    assert_eq!(told, [(Lost::Gone, 23), (Lost::Gone, 22)]);
    let (arrived, came_back) = (pair.b.heard().numbers.len(), pair.a.heard().came_back.clone());
    assert!(arrived > 0 && arrived < n, "it was in the middle: {arrived} of {n}");
    assert_eq!(pair.b.heard().numbers, (0..arrived as u64).collect::<Vec<_>>());
    assert_eq!(came_back, (n as u64 - came_back.len() as u64..n as u64).collect::<Vec<_>>());
    assert!(arrived + came_back.len() >= n, "{arrived} arrived, {} came back", came_back.len());
}

#[tokio::test(start_paused = true)]
async fn a_crash_behind_a_cut_is_silence() {
    let pair = pair().await;
    pair.net.part("a", "b");
    pair.net.crash("b");
    let told = pair.both_lost().await;
    assert_eq!(told.map(|(why, _)| why), [Lost::NoContact(DELIVERY), Lost::Gone]);
}

/// The news of a crash may be lost; then the next packet is answered with it.
#[tokio::test(start_paused = true)]
async fn a_crash_is_told_also_if_its_news_is_lost() {
    let pair = pair().await;
    pair.net.cut_for("b", "a", Duration::from_secs(3));
    pair.net.crash("b");
    let [(why, at), _] = pair.both_lost().await;
    assert_eq!(why, Lost::Gone);
    assert!((3_000..=4_100).contains(&at), "{at} ms");
}

#[tokio::test(start_paused = true)]
async fn what_has_crashed_is_of_no_use_and_its_successor_is() {
    let Pair { net, a, b, at_a, at_b, .. } = pair().await;
    net.crash("b");
    let dialled = at_a.dial(&there(), b.id(), Lane::Data, a.clone()).await;
    let refused = DialError::Os { to: there(), kind: ErrorKind::ConnectionRefused };
    assert_eq!(dialled.map(|_| ()), Err(refused));
    let aborted = ListenError::Os { at: there(), kind: ErrorKind::ConnectionAborted };
    assert_eq!(at_b.listen(&there(), Lane::Data, b.clone()).await, Err(aborted));
    let aborted = DialError::Os { to: there(), kind: ErrorKind::ConnectionAborted };
    let dialled = at_b.dial(&there(), b.id(), Lane::Data, b.clone()).await;
    assert_eq!(dialled.map(|_| ()), Err(aborted));

    let again = net.transport("b");
    assert_eq!(again.listen(&there(), Lane::Data, b.clone()).await, Ok(there()));
    let out = at_a.dial(&there(), b.id(), Lane::Data, a.clone()).await.unwrap();
    assert_eq!(send_all(&*out, 0..3).await, 3);
    b.heard().numbers.clear();
    until("arriving", || b.heard().numbers == [0, 1, 2]).await;
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_is_shorter_than_the_time_of_delivery_only_delays() {
    let pair = pair().await;
    pair.net.pause("b");
    let later = async {
        seconds(9).await;
        assert_eq!((pair.a.heard().numbers.len(), pair.b.heard().numbers.len()), (0, 0));
        pair.net.resume("b");
    };
    tokio::join!(send_all(&*pair.out, 0..200), send_all(&*pair.back, 0..200), later);
    for ear in [&pair.a, &pair.b] {
        until("arriving", || ear.heard().numbers.len() == 200).await;
        assert_eq!(ear.heard().numbers, (0..200).collect::<Vec<_>>());
        assert_eq!(ear.lost(), None);
    }
}

/// It goes on with what had come, and then learns that it was given up.
#[tokio::test(start_paused = true)]
async fn a_pause_that_is_longer_is_a_loss() {
    let pair = pair().await;
    pair.net.pause("b");
    assert_eq!(send_all(&*pair.out, 0..10).await, 10);
    assert_eq!(send_all(&*pair.back, 0..10).await, 10);
    seconds(3_600).await;
    assert_eq!(pair.a.lost().map(|(why, _)| why), Some(Lost::NoContact(DELIVERY)));
    assert_eq!(pair.a.heard().came_back, (0..10).collect::<Vec<_>>());
    assert_eq!(pair.b.lost(), None);
    pair.net.resume("b");
    let told = pair.both_lost().await;
    assert_eq!(told.map(|(why, _)| why), [Lost::NoContact(DELIVERY), Lost::Closed]);
    assert!(is_in_time(told[0].1), "{told:?}");
    assert_eq!(pair.b.heard().numbers, (0..10).collect::<Vec<_>>(), "both: they came back, too");
    assert_eq!(pair.b.heard().came_back, (0..10).collect::<Vec<_>>());
}

/// Two that were suspended together, as on one machine, have lost nothing.
#[tokio::test(start_paused = true)]
async fn a_pause_of_both_is_blamed_on_nobody() {
    let pair = pair().await;
    ["a", "b"].iter().for_each(|site| pair.net.pause(site));
    seconds(3_600).await;
    ["a", "b"].iter().for_each(|site| pair.net.resume(site));
    seconds(60).await;
    assert_eq!((pair.a.lost(), pair.b.lost()), (None, None));
}

#[tokio::test(start_paused = true)]
async fn what_is_dialled_over_a_cut_is_not_there_in_time() {
    let Pair { net, a, b, at_a, .. } = pair().await;
    net.cut("b", "a");
    let begun = Instant::now();
    let dialled = at_a.dial(&there(), b.id(), Lane::Data, a.clone()).await;
    let within = SessionConfig::default().dial;
    assert_eq!(dialled.map(|_| ()), Err(DialError::Deadline { to: there(), within }));
    assert_eq!(begun.elapsed(), within);
}

/// The other side has a session by then, and is told that nobody is there.
#[tokio::test(start_paused = true)]
async fn a_dial_that_is_given_up_leaves_no_session() {
    let net = FaultNet::new(1, Faults::none());
    let (a, b) = (Ear::new(1), Ear::new(2));
    let (at_a, at_b) = (net.transport("a"), net.transport("b"));
    at_b.listen(&there(), Lane::Data, b.clone()).await.unwrap();
    let there = there();
    let dial = at_a.dial(&there, b.id(), Lane::Data, a.clone());
    assert!(timeout(Duration::from_millis(1), dial).await.is_err());
    seconds(20).await;
    assert_eq!(b.lost().map(|(why, _)| why), Some(Lost::Closed));
    assert_eq!(a.lost(), None);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_takes_makes_the_sender_wait_until_somebody_does() {
    let pair = pair().await;
    pair.b.heard().credits = Some(Vec::new());
    let sending = timeout(Duration::from_secs(60), send_all(&*pair.out, 0..1_000)).await;
    assert!(sending.is_err(), "it waits");
    assert_eq!(pair.b.heard().numbers.len(), 64);
    // A credit is given back without the lock: it asks for the network's.
    let credits = pair.b.heard().credits.take();
    drop(credits);
    assert_eq!(send_all(&*pair.out, 64..200).await, 136);
    until("arriving", || pair.b.heard().numbers.len() == 200).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_comes_back() {
    let config = SessionConfig { body_bytes_max: 7, ..SessionConfig::default() };
    let pair = Pair::over(FaultNet::with_config(1, Faults::none(), config)).await;
    let mut envelope = Some(cast(pair.out.peer(), 1));
    let sent = std::future::poll_fn(|cx| pair.out.poll_send(cx, &mut envelope)).await;
    assert_eq!(sent.unwrap_err().why, WhyReturned::TooLarge { bytes: 8, max: 7 });
    assert!(pair.out.is_open());
}

#[tokio::test(start_paused = true)]
async fn faults_of_one_way_are_of_that_way_only() {
    let pair = pair().await;
    pair.net.set_faults("a", "b", Faults { loss: 1.0, ..Faults::none() });
    tokio::join!(send_all(&*pair.out, 0..1), send_all(&*pair.back, 0..1));
    seconds(5).await;
    assert_eq!((pair.a.heard().numbers.len(), pair.b.heard().numbers.len()), (1, 0));
}

/// Also if nobody asks the loop for a day.
#[tokio::test(start_paused = true)]
async fn a_clock_that_leaps_loses_nothing() {
    let pair = pair().await;
    assert_eq!(send_all(&*pair.out, 0..10).await, 10);
    tokio::time::advance(Duration::from_secs(24 * 60 * 60)).await;
    assert_eq!(send_all(&*pair.out, 10..20).await, 10);
    seconds(60).await;
    assert_eq!(pair.b.heard().numbers, (0..20).collect::<Vec<_>>());
    assert_eq!((pair.a.lost(), pair.b.lost()), (None, None));
}

/// Times that make no sense stop nothing.
#[tokio::test(start_paused = true)]
async fn times_that_are_zero_or_endless_are_bounded() {
    for time in [Duration::ZERO, Duration::MAX] {
        let config = SessionConfig {
            window: 0,
            resend: time,
            resend_max: time,
            keepalive: time,
            delivery: Duration::MAX,
            dial: Duration::MAX,
            ..SessionConfig::default()
        };
        let pair = Pair::over(FaultNet::with_config(1, Faults::none(), config)).await;
        pair.net.cut_for("b", "a", Duration::MAX);
        pair.net.heal("b", "a");
        assert_eq!(send_all(&*pair.out, 0..10).await, 10);
        until("arriving", || pair.b.heard().numbers.len() == 10).await;
    }
}
