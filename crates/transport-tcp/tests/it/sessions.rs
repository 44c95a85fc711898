//! sessions: what survives a broken connection, and how the end of a peer is told.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mesh_core::{Addr, DialError, Lane, ListenError, Lost, Transport};
use mesh_testkit::{TransportSuite, transport_suite};
use transport_tcp::{Secret, TcpConfig};

use crate::proxy::{Hole, Proxy, Way};
use crate::support::{Ear, any_port, cast, config, listening, port, send, transport, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tcp_keeps_the_contract() {
    let suite = TransportSuite { address: any_port, patience: Duration::from_secs(20) };
    assert_eq!(transport_suite(|| transport(config()), &suite).await, Ok(()));
}

/// Nothing is lost, repeated or reordered over connections that break at every few thousand bytes, in
/// the middle of frames, of handshakes and of acknowledgements.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_survives_connections_that_break_anywhere() {
    const N: u64 = 2_000;
    let (here, there) = (Ear::new(1, 0), Ear::new(2, 0));
    let (_listener, at) = listening(&there, Lane::Data, config()).await;
    // The first one must hold for the handshake; then every number of bytes comes, also a few.
    let proxy =
        Proxy::new(
            port(&at),
            |number| {
                if number == 0 { 20_000 } else { 300 + number * 7_919 % 40_000 }
            },
        )
        .await;
    let dialler = transport(config());
    let out = dialler.dial(&proxy.at, there.peer().proc, Lane::Data, here.clone()).await.unwrap();
    until("joining", || !there.heard().back.is_empty()).await;
    let back = there.heard().back[0].clone();
    let forth = async {
        for number in 0..N {
            send(&*out, number, 100 + (number as usize * 37) % 900).await;
        }
    };
    let and_back = async {
        for number in 0..N {
            send(&*back, number, 100 + (number as usize * 53) % 900).await;
        }
    };
    tokio::join!(forth, and_back);
    for ear in [&here, &there] {
        until("arriving", || ear.heard().numbers.len() as u64 >= N).await;
        assert_eq!(ear.heard().numbers, (0..N).collect::<Vec<_>>());
        assert_eq!(ear.heard().lost, []);
    }
    assert!(proxy.n_connections.load(Ordering::SeqCst) > 10, "it did break");
}

/// Connections that break as soon as they are made are made less and less often, for as long as nothing gets
/// through; and at once again when something does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_break_at_once_are_no_storm() {
    let (here, there) = (Ear::new(1, 0), Ear::new(2, 0));
    let (_listener, at) = listening(&there, Lane::Data, config()).await;
    // Long enough to meet, also on a busy machine.
    let fleeting = Way::fleeting(port(&at), Duration::from_millis(50)).await;
    let dialler = transport(config());
    let proc = there.peer().proc;
    let out = dialler.dial(&fleeting.at, proc, Lane::Data, here.clone()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    // 1 + 2 + 4 + … + 512 ms, and as many times 50 ms.
    let n_made = fleeting.n_connections.load(Ordering::SeqCst);
    assert!((5..=13).contains(&n_made), "{n_made} connections in 2 s");
    send(&*out, 0, 64).await;
    until("arriving", || there.heard().numbers == [0]).await;
    assert_eq!((here.heard().lost.len(), there.heard().lost.len()), (0, 0));
}

/// A peer that is gone is told once, at once, and what it did not acknowledge comes back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_is_gone_is_told_at_once_with_what_comes_back() {
    let (here, there) = (Ear::new(1, 0), Ear::new(2, 0));
    there.heard().credits = Some(Vec::new());
    let (listener, at) = listening(&there, Lane::Control, config()).await;
    let dialler = transport(config());
    let out = dialler.dial(&at, there.peer().proc, Lane::Control, here.clone()).await.unwrap();
    send(&*out, 0, 64).await;
    until("arriving", || there.heard().numbers == [0]).await;
    let begun = Instant::now();
    drop(listener);
    until("being told", || !here.heard().lost.is_empty()).await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(here.heard().lost, [(there.peer(), Lost::Closed)]);
}

/// A link that is cut for good: the session is given up after its time, and not before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_without_contact_is_given_up_after_its_time() {
    let brief = TcpConfig { no_contact: Duration::from_millis(600), ..config() };
    let (here, there) = (Ear::new(1, 0), Ear::new(2, 0));
    let (_listener, at) = listening(&there, Lane::Data, brief.clone()).await;
    let proxy = Proxy::new(port(&at), |number| if number == 0 { 3_000 } else { 0 }).await;
    let dialler = transport(brief);
    let out = dialler.dial(&proxy.at, there.peer().proc, Lane::Data, here.clone()).await.unwrap();
    for number in 0..20 {
        send(&*out, number, 400).await;
    }
    let begun = Instant::now();
    for ear in [&here, &there] {
        until("being given up", || !ear.heard().lost.is_empty()).await;
    }
    assert!(begun.elapsed() >= Duration::from_millis(300), "{:?}", begun.elapsed());
    let why = Lost::NoContact(Duration::from_millis(600));
    assert_eq!(here.heard().lost, [(there.peer(), why)]);
    assert_eq!(there.heard().lost, [(here.peer(), why)]);
    // What arrived and what came back cover everything: nothing is gone without a word.
    let (arrived, back) = (there.heard().numbers.clone(), here.heard().came_back.clone());
    assert_eq!(arrived, (0..arrived.len() as u64).collect::<Vec<_>>());
    assert_eq!(back, (20 - back.len() as u64..20).collect::<Vec<_>>());
    assert!(arrived.len() + back.len() >= 20, "{arrived:?} {back:?}");
}

/// On the lanes of control and liveness a peer that is silent is found out, though its kernel answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_peer_is_found_out_on_the_lane_of_liveness() {
    let brief = TcpConfig {
        ping: Duration::from_millis(100),
        silence: Duration::from_millis(400),
        no_contact: Duration::from_millis(400),
        ..config()
    };
    let (here, there) = (Ear::new(1, 0), Ear::new(2, 0));
    let (_listener, at) = listening(&there, Lane::Liveness, brief.clone()).await;
    // Bytes are taken, and go nowhere: enough for the handshake, and then a black hole.
    let hole = Hole::new(port(&at)).await;
    let dialler = transport(brief);
    let peer = there.peer().proc;
    let _out = dialler.dial(&hole.at, peer, Lane::Liveness, here.clone()).await.unwrap();
    // Pings keep an idle session alive for as long as they pass.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((here.heard().lost.len(), there.heard().lost.len()), (0, 0));
    hole.swallow();
    for ear in [&here, &there] {
        until("being found out", || !ear.heard().lost.is_empty()).await;
    }
}

/// A frame that takes longer than the silence after which a connection is given up gets through on the
/// first one: whoever sends it hears meanwhile that it is taken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_that_takes_longer_than_the_silence_gets_through() {
    let brief = TcpConfig {
        ping: Duration::from_millis(100),
        silence: Duration::from_millis(600),
        ..config()
    };
    let (here, there) = (Ear::new(1, 0), Ear::new(2, 0));
    let (_listener, at) = listening(&there, Lane::Control, brief.clone()).await;
    let narrow = Way::narrow(port(&at), 3_000).await;
    let dialler = transport(brief);
    let peer = there.peer().proc;
    let out = dialler.dial(&narrow.at, peer, Lane::Control, here.clone()).await.unwrap();
    send(&*out, 0, 600_000).await;
    until("arriving", || there.heard().numbers == [0]).await;
    assert_eq!(narrow.n_connections.load(Ordering::SeqCst), 1);
    assert_eq!((here.heard().lost.len(), there.heard().lost.len()), (0, 0));
}

/// Memory is bounded by the window, however much is sent to a peer that takes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_takes_nothing_costs_no_more_than_its_window() {
    let small = TcpConfig { window: 100_000, ..config() };
    let (here, there) = (Ear::new(1, 0), Ear::new(2, 0));
    there.heard().credits = Some(Vec::new());
    let (_listener, at) = listening(&there, Lane::Data, small.clone()).await;
    let dialler = transport(small);
    let out = dialler.dial(&at, there.peer().proc, Lane::Data, here.clone()).await.unwrap();
    let mut n_sent = 0;
    loop {
        let mut envelope = Some(cast(there.peer(), n_sent, 10_000));
        let sent = std::future::poll_fn(|cx| out.poll_send(cx, &mut envelope));
        match tokio::time::timeout(Duration::from_millis(300), sent).await {
            Ok(sent) => sent.unwrap(),
            Err(_) => break,
        }
        n_sent += 1;
    }
    assert!((9..=11).contains(&n_sent), "{n_sent} of 10 kB each");
    until("arriving", || there.heard().numbers.len() as u64 == n_sent).await;
}

/// A peer that was started again is another one: the session with the old life is over at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_life_of_a_peer_replaces_it() {
    let here = Ear::new(1, 0);
    let (_listener, at) = listening(&here, Lane::Control, config()).await;
    let (first, second) = (Ear::new(2, 0), Ear::new(2, 1));
    let (one, other) = (transport(config()), transport(config()));
    let _first = one.dial(&at, here.peer().proc, Lane::Control, first.clone()).await.unwrap();
    until("joining", || here.heard().back.len() == 1).await;
    let _second = other.dial(&at, here.peer().proc, Lane::Control, second.clone()).await.unwrap();
    until("being told", || !here.heard().lost.is_empty()).await;
    assert_eq!(here.heard().lost, [(first.peer(), Lost::Replaced(second.peer().life))]);
    // The old one speaks again, and is not heard.
    let again = one.dial(&at, here.peer().proc, Lane::Control, first.clone()).await;
    assert!(again.is_err(), "a dead life stays dead");
    assert_eq!(
        here.heard().back.iter().map(|back| back.peer()).collect::<Vec<_>>(),
        [first.peer(), second.peer()]
    );
}

/// Also when the later life has gone meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_life_stays_dead_when_the_later_one_has_gone() {
    let here = Ear::new(1, 0);
    let (_listener, at) = listening(&here, Lane::Control, config()).await;
    let second = transport(config());
    let later = second.dial(&at, here.peer().proc, Lane::Control, Ear::new(2, 1)).await.unwrap();
    later.close();
    until("being told", || !here.heard().lost.is_empty()).await;
    let first = transport(config());
    let earlier = first.dial(&at, here.peer().proc, Lane::Control, Ear::new(2, 0)).await;
    assert!(earlier.is_err());
}

/// A session can be ended by either side, and the other one is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_closed_is_told_to_both_sides() {
    let (here, there) = (Ear::new(1, 0), Ear::new(2, 0));
    let (_listener, at) = listening(&there, Lane::Data, config()).await;
    let dialler = transport(config());
    let out = dialler.dial(&at, there.peer().proc, Lane::Data, here.clone()).await.unwrap();
    until("joining", || !there.heard().back.is_empty()).await;
    let back = there.heard().back[0].clone();
    back.close();
    for ear in [&here, &there] {
        until("being told", || !ear.heard().lost.is_empty()).await;
    }
    assert!(!out.is_open());
}

#[tokio::test]
async fn off_loopback_it_refuses() {
    let (ear, transport) = (Ear::new(1, 0), transport(config()));
    for host in ["0.0.0.0", "::", "192.0.2.1"] {
        let at = Addr::Tcp { host: host.to_owned(), port: 0 };
        let listened = transport.listen(&at, Lane::Data, ear.clone()).await.err();
        assert_eq!(listened, Some(ListenError::NotLoopback(at)));
    }
    let at = Addr::Tcp { host: "192.0.2.1".to_owned(), port: 9 };
    let dialled = transport.dial(&at, ear.peer().proc, Lane::Data, ear.clone()).await.err();
    assert_eq!(dialled, Some(DialError::NotLoopback(at)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_know_the_secret_does_not_get_in() {
    let (here, there) = (Ear::new(1, 0), Ear::new(2, 0));
    let (_listener, at) = listening(&there, Lane::Control, config()).await;
    let other = TcpConfig { secret: Secret::from_bytes([8; 32]), ..config() };
    let dialled = transport(other).dial(&at, there.peer().proc, Lane::Control, here).await.err();
    assert_eq!(dialled, Some(DialError::Unauthenticated(at)));
    assert_eq!(there.heard().back.len(), 0);
    let shown = format!("{:?}", transport(config()));
    assert!(!shown.contains("7, 7") && shown.contains("Secret(…)"), "{shown}");
}
