//! counts: what is measured of sessions, each of it by a session that makes it so. Each test has a lane of its
//! own, whose name is on what it looks at.

#[expect(dead_code, reason = "a part of it is used elsewhere")]
#[path = "../it/proxy.rs"]
mod proxy;
#[path = "../it/support.rs"]
mod support;

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use mesh_core::{Lane, Transport};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use transport_tcp::TcpConfig;

use proxy::{Hole, Proxy};
use support::{Ear, config, listening, port, send, transport, until};

static SNAPSHOTTER: LazyLock<Snapshotter> = LazyLock::new(|| {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    recorder.install().expect("there is no other");
    snapshotter
});

/// Sums of counters, values of gauges, numbers of samples; by name and lane.
static FOUND: Mutex<BTreeMap<(String, String), f64>> = Mutex::new(BTreeMap::new());

fn install() {
    LazyLock::force(&SNAPSHOTTER);
}

fn of(name: &str, lane: Lane) -> f64 {
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    for (key, _, _, value) in SNAPSHOTTER.snapshot().into_vec() {
        let label = key.key().labels().find(|label| label.key() == "lane");
        let lane = label.map(|label| label.value().to_owned()).unwrap_or_default();
        let entry = found.entry((key.key().name().to_owned(), lane)).or_default();
        // Counters and samples are those since the last snapshot.
        match value {
            DebugValue::Counter(n) => *entry += n as f64,
            DebugValue::Gauge(value) => *entry = value.into_inner(),
            DebugValue::Histogram(samples) => {
                assert!(samples.iter().all(|sample| (0.0..20.0).contains(&sample.into_inner())));
                *entry += samples.len() as f64;
            }
        }
    }
    let key = (format!("meshwarden_{name}"), lane.label().to_owned());
    found.get(&key).copied().unwrap_or_default()
}

/// What is sent and what is received is the same: both sides are in this process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_and_frames_are_counted_each_way_and_what_is_not_acknowledged() {
    install();
    let (here, there) = (Ear::new(1, 0), Ear::new(2, 0));
    let (_listener, at) = listening(&there, Lane::Data, config()).await;
    let hole = Hole::new(port(&at)).await;
    let dialler = transport(config());
    let peer = there.peer().proc;
    let out = dialler.dial(&hole.at, peer, Lane::Data, here.clone()).await.unwrap();
    for number in 0..100 {
        send(&*out, number, 1_000).await;
    }
    until("arriving", || there.heard().numbers.len() == 100).await;
    until("being acknowledged", || of("unacked_bytes", Lane::Data) == 0.0).await;
    for what in ["bytes", "frames"] {
        let both =
            || ["sent", "received"].map(|way| of(&format!("{way}_{what}_total"), Lane::Data));
        until("being counted alike", || {
            let [sent, received] = both();
            sent == received
        })
        .await;
        let least = if what == "bytes" { 100_000.0 } else { 101.0 };
        assert!(both()[0] >= least, "{what}: {:?}", both());
    }
    assert!(of("round_trip_seconds", Lane::Data) >= 1.0);
    hole.swallow();
    send(&*out, 100, 5_000).await;
    until("being kept", || of("unacked_bytes", Lane::Data) > 5_000.0).await;
    out.close();
    until("being given back", || of("unacked_bytes", Lane::Data) == 0.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_again_after_a_reconnect_is_counted() {
    install();
    let (here, there) = (Ear::new(1, 0), Ear::new(2, 0));
    let (_listener, at) = listening(&there, Lane::Control, config()).await;
    let proxy = Proxy::new(port(&at), |number| 10_000 + number * 3_000).await;
    let dialler = transport(config());
    let peer = there.peer().proc;
    let out = dialler.dial(&proxy.at, peer, Lane::Control, here.clone()).await.unwrap();
    for number in 0..200 {
        send(&*out, number, 900).await;
    }
    until("arriving", || there.heard().numbers.len() == 200).await;
    // Both sides go on with each connection, and each counts what it sends again.
    assert!(of("reconnects_total", Lane::Control) >= 2.0);
    assert!(of("retransmits_total", Lane::Control) >= 1.0);
}

/// A session that says nothing is asked whether it is there, and that is timed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_are_timed() {
    install();
    let often = TcpConfig { ping: Duration::from_millis(50), ..config() };
    let (here, there) = (Ear::new(1, 0), Ear::new(2, 0));
    let (_listener, at) = listening(&there, Lane::Liveness, often.clone()).await;
    let dialler = transport(often);
    let _out = dialler.dial(&at, there.peer().proc, Lane::Liveness, here).await.unwrap();
    until("being timed", || of("round_trip_seconds", Lane::Liveness) >= 2.0).await;
    assert!(of("sent_frames_total", Lane::Liveness) >= 4.0, "questions and answers");
    assert!(of("sent_bytes_total", Lane::Liveness) >= 20.0);
}
