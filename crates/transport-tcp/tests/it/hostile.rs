//! hostile: what strangers on loopback can do, which is nothing.

use std::time::{Duration, Instant};

use mesh_core::{Lane, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use transport_tcp::TcpConfig;

use crate::flood::is_dammed;
use crate::support::{Ear, config, listening, port, send, transport, until};

/// Whatever is said first, the connection is closed, and peers still get in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_hello_is_shown_the_door() {
    let (here, there) = (Ear::new(1, 0), Ear::new(2, 0));
    let (_listener, at) = listening(&there, Lane::Data, config()).await;
    let words: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x08\x00meshwrdn",
        b"",
    ];
    for word in words {
        let mut stream = TcpStream::connect(("127.0.0.1", port(&at))).await.unwrap();
        // It may be closed before all of it was taken.
        _ = stream.write_all(word).await.is_ok();
        _ = stream.shutdown().await.is_ok();
        let mut said = Vec::new();
        let closed = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut said));
        _ = closed.await.expect("it is closed").is_ok();
        assert_eq!(said, [], "nothing is said to a stranger");
    }
    is_dammed(port(&at)).await;
    let dialler = transport(config());
    let out = dialler.dial(&at, there.peer().proc, Lane::Data, here).await.unwrap();
    send(&*out, 7, 64).await;
    until("arriving", || there.heard().numbers == [7]).await;
    assert_eq!(there.heard().back.len(), 1);
}

/// Many that say nothing hold the door, as many at a time as may be in it, and none for longer than a
/// handshake may take.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_that_say_nothing_are_ended_by_the_deadline() {
    const IDLE: usize = 200;
    let brief =
        TcpConfig { handshake: Duration::from_millis(500), unauthenticated_max: 64, ..config() };
    let there = Ear::new(2, 0);
    let (_listener, at) = listening(&there, Lane::Data, brief).await;
    let mut idle = Vec::new();
    for _ in 0..IDLE {
        idle.push(TcpStream::connect(("127.0.0.1", port(&at))).await.unwrap());
    }
    // They wait their turn, 64 at a time, in the kernel's queue; then a peer gets in.
    let begun = Instant::now();
    let here = Ear::new(1, 0);
    let patient = TcpConfig { handshake: Duration::from_secs(15), ..config() };
    let dialler = transport(patient);
    let out = dialler.dial(&at, there.peer().proc, Lane::Data, here).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    send(&*out, 1, 64).await;
    until("arriving", || there.heard().numbers == [1]).await;
    for mut stream in idle {
        let mut said = Vec::new();
        let closed = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut said));
        _ = closed.await.expect("it is closed by the deadline").is_ok();
        assert_eq!(said, []);
    }
}

/// A session that is up is not disturbed by who knocks meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn knocking_disturbs_no_session() {
    let (here, there) = (Ear::new(1, 0), Ear::new(2, 0));
    let (_listener, at) = listening(&there, Lane::Control, config()).await;
    let dialler = transport(config());
    let out = dialler.dial(&at, there.peer().proc, Lane::Control, here.clone()).await.unwrap();
    let knocking = tokio::spawn(async move {
        for _ in 0..100 {
            let mut stream = TcpStream::connect(("127.0.0.1", port(&at))).await.unwrap();
            _ = stream.write_all(&[0x55; 600]).await.is_ok();
        }
    });
    for number in 0..500 {
        send(&*out, number, 64).await;
    }
    knocking.await.unwrap();
    until("arriving", || there.heard().numbers.len() == 500).await;
    assert_eq!((here.heard().lost.len(), there.heard().lost.len()), (0, 0));
}

/// A transport that is dropped takes nobody in, also not who was in the door.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_transport_admits_nobody_who_was_in_the_door() {
    let there = Ear::new(2, 0);
    let (listener, at) = listening(&there, Lane::Data, config()).await;
    // A connection that is taken, and whose handshake comes only when the transport is gone.
    let proxy = crate::proxy::Gate::new(port(&at)).await;
    let dialler = transport(config());
    let dial = dialler.dial(&proxy.at, there.peer().proc, Lane::Data, Ear::new(1, 0));
    let late = async {
        until("being taken", || proxy.is_connected()).await;
        drop(listener);
        proxy.open();
    };
    let (dialled, ()) = tokio::join!(dial, late);
    assert!(dialled.is_err(), "nobody is there");
    assert_eq!(there.heard().back.len(), 0);
}
