//! A thousand strangers who say one byte after the other.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mesh_core::{Lane, Transport};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use transport_tcp::{Peers, TcpConfig};

use crate::authority::{Authority, Face};
use crate::counts::refused;
use crate::runtime;
use crate::support::{Ear, config, listening, port, send, transport, until};

const STRANGERS: usize = 1_000;

/// How often the established session has something to say: twenty times in its lease.
const BEAT: Duration = Duration::from_millis(200);

/// The greatest gap between two beats that does no harm: what a session takes for silence.
const SILENCE: Duration = Duration::from_millis(1_200);

/// For how long the strangers are there.
const SIEGE: Duration = Duration::from_secs(4);

pub(crate) fn a_thousand_slow_ones_from_one_address_delay_no_beat() {
    siege(brief(), b"\x00\x02meshwrdn", |_| Ipv4Addr::LOCALHOST);
}

pub(crate) fn nor_do_they_from_a_thousand_addresses() {
    siege(brief(), b"\x00\x02meshwrdn", |number| {
        let number = number as u32 + 1;
        Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 9, 0, 0)) + number)
    });
}

pub(crate) fn nor_do_they_at_a_port_with_tls() {
    let authority = Authority::new("ours");
    let card = authority.sign(&Face::of("agent/a"));
    let peers = Peers::with_roles(["agent"]).expect("it is a role");
    let config = TcpConfig { tls: Some(authority.tls_with(&card, peers, "")), ..brief() };
    siege(config, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03", |_| Ipv4Addr::LOCALHOST);
}

/// As for a lease of four seconds; strangers have one.
fn brief() -> TcpConfig {
    let config = TcpConfig::for_lease(config().secret, 20 * BEAT);
    assert_eq!((config.ping, config.silence), (BEAT, SILENCE));
    TcpConfig { handshake: Duration::from_secs(1), ..config }
}

/// Beats arrive in time while as many as may be are at the door, and hundreds wait before it; and when they
/// have gone, peers get in.
fn siege(config: TcpConfig, word: &'static [u8], from: fn(usize) -> Ipv4Addr) {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    assert!(most >= 4 * STRANGERS as u64, "the hard limit of descriptors is {most}");
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("it is no more");
    let (before, runtime) = (refused("deadline"), runtime());
    runtime.block_on(async {
        let there = Ear::new(2, 0);
        let (_listener, at) = listening(&there, Lane::Liveness, config.clone()).await;
        let (dialler, here) = (transport(config), Ear::new(1, 0));
        let peer = there.peer().proc;
        let out = dialler.dial(&at, peer, Lane::Liveness, here.clone()).await.expect("it listens");
        let calm = greatest_gap(&*out, &there, SIEGE / 4).await;
        let n_open = Arc::new(AtomicUsize::new(0));
        let strangers: Vec<_> = (0..STRANGERS)
            .map(|number| {
                let to = SocketAddr::from(([127, 0, 0, 1], port(&at)));
                tokio::spawn(stranger(from(number).into(), to, word, Arc::clone(&n_open)))
            })
            .collect();
        until("all being there", || n_open.load(Ordering::Relaxed) >= STRANGERS * 9 / 10).await;
        let under_siege = greatest_gap(&*out, &there, SIEGE).await;
        let n_refused = refused("deadline") - before;
        _ = writeln!(
            io::stderr(),
            "greatest gap of beats every {BEAT:?}: {calm:?} before, {under_siege:?} with {STRANGERS} \
             strangers, {n_refused} of them refused"
        )
        .is_ok();
        assert!(under_siege < SILENCE, "{under_siege:?}");
        assert!(n_refused >= 64, "as many as may be at the door were refused: {n_refused}");
        assert_eq!((here.heard().lost.len(), there.heard().lost.len()), (0, 0));
        strangers.iter().for_each(tokio::task::JoinHandle::abort);
        for stranger in strangers {
            _ = stranger.await.is_ok();
        }
        let late = Ear::new(3, 0);
        let dialled = dialler.dial(&at, peer, Lane::Liveness, late).await;
        assert!(dialled.is_ok(), "{:?}", dialled.err());
    });
}

/// Sends a beat every so often, for so long, and returns the greatest time between two that have arrived.
async fn greatest_gap(out: &dyn mesh_core::Outbound, there: &Ear, during: Duration) -> Duration {
    let (begun, mut greatest, mut last) = (Instant::now(), Duration::ZERO, Instant::now());
    let mut beats = tokio::time::interval(BEAT);
    let first = there.heard().numbers.len();
    let mut sent = first;
    while begun.elapsed() < during {
        beats.tick().await;
        send(out, sent as u64, 64).await;
        sent += 1;
        until("the beat arriving", || there.heard().numbers.len() == sent).await;
        if sent > first + 1 {
            greatest = greatest.max(last.elapsed());
        }
        last = Instant::now();
    }
    greatest
}

/// Says `word`, which goes on for ever, one byte at a time, and comes back as often as it is thrown out.
async fn stranger(from: IpAddr, to: SocketAddr, word: &'static [u8], n_open: Arc<AtomicUsize>) {
    let mut is_first = true;
    loop {
        let socket = TcpSocket::new_v4().expect("there are descriptors");
        socket.bind(SocketAddr::new(from, 0)).expect("it is of this machine");
        let Ok(mut stream) = socket.connect(to).await else { continue };
        if std::mem::take(&mut is_first) {
            n_open.fetch_add(1, Ordering::Relaxed);
        }
        let mut drip = tokio::time::interval(Duration::from_millis(100));
        let mut said = [0];
        for byte in word.iter().chain(std::iter::repeat(&0)) {
            drip.tick().await;
            if stream.write_all(&[*byte]).await.is_err() {
                break;
            }
            let heard = stream.read(&mut said);
            // Thrown out, or given an alert.
            if tokio::time::timeout(Duration::from_millis(1), heard).await.is_ok() {
                break;
            }
        }
    }
}
