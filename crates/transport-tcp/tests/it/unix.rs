//! unix: sockets in the file system, and what becomes of their files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use mesh_core::{Addr, DialError, Lane, ListenError, Transport};
use mesh_testkit::{TransportSuite, transport_suite};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, listen, socket};
use transport_tcp::TcpConfig;

use crate::support::{Ear, config, send, transport, until};

/// A path that nobody else has.
fn fresh() -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("mesh-{}-{number}.sock", std::process::id());
    std::env::temp_dir().join(name)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unix_sockets_keep_the_contract() {
    let suite = TransportSuite {
        address: || Addr::Unix { path: fresh() },
        patience: Duration::from_secs(20),
    };
    assert_eq!(transport_suite(|| transport(config()), &suite).await, Ok(()));
}

/// What a dead process has left in the file system is no reason not to listen there; what a living one
/// has is.
#[tokio::test]
async fn a_socket_file_of_the_dead_is_taken_over() {
    let path = std::env::temp_dir().join(format!("mesh-stale-{}.sock", std::process::id()));
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a listener leaves its file");
    let (ear, at) = (Ear::new(1, 0), Addr::Unix { path: path.clone() });
    let first = transport(config());
    first.listen(&at, Lane::Data, ear.clone()).await.unwrap();
    let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    assert!(transport(config()).listen(&at, Lane::Data, ear.clone()).await.is_err(), "it lives");
    drop(first);
    until("its file being removed", || !path.exists()).await;
}

/// What is no socket is somebody's file, and what another process has put in its place is not ours to remove.
#[tokio::test]
async fn only_a_socket_of_ours_is_removed() {
    let dir = std::env::temp_dir().join(format!("mesh-file-{}", std::process::id()));
    fs::create_dir(&dir).unwrap();
    let (ear, path) = (Ear::new(1, 0), dir.join("notes"));
    let at = Addr::Unix { path: path.clone() };
    fs::write(&path, "mine").unwrap();
    let listened = transport(config()).listen(&at, Lane::Data, ear.clone()).await;
    let kept = fs::read_to_string(&path);
    assert!(listened.is_err(), "there is a file");
    assert_eq!(kept.ok().as_deref(), Some("mine"));
    fs::remove_file(&path).unwrap();
    let first = transport(config());
    first.listen(&at, Lane::Data, ear.clone()).await.unwrap();
    fs::remove_file(&path).unwrap();
    let second = transport(config());
    second.listen(&at, Lane::Data, ear.clone()).await.unwrap();
    drop(first);
    // Its listener ends with its task.
    let dialler = transport(config());
    let dialled = dialler.dial(&at, ear.peer().proc, Lane::Data, Ear::new(2, 0)).await;
    tokio::task::yield_now().await;
    let is_there = path.exists();
    drop(second);
    until("its file being removed", || !path.exists()).await;
    fs::remove_dir_all(&dir).unwrap();
    assert!(dialled.is_ok() && is_there, "the second listener lost its socket");
}

/// Of many that come upon the socket of a dead process at once, one takes it over, and nobody takes it from
/// that one.
#[test]
fn a_socket_of_the_dead_is_taken_over_once() {
    const MANY: usize = 4;
    for _ in 0..50 {
        let path = fresh();
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let start = Arc::new(Barrier::new(MANY));
        let listening = |_| {
            let (start, at) = (Arc::clone(&start), Addr::Unix { path: path.clone() });
            thread::spawn(move || {
                let runtime = tokio::runtime::Runtime::new().unwrap();
                start.wait();
                let listener = transport(config());
                let ear = Ear::new(1, 0);
                let listened = runtime.block_on(listener.listen(&at, Lane::Data, ear)).is_ok();
                // Until everybody has tried.
                start.wait();
                listened
            })
        };
        let threads: Vec<_> = (0..MANY).map(listening).collect();
        let n_listening = threads.into_iter().map(|it| it.join().unwrap());
        assert_eq!(n_listening.filter(|is_so| *is_so).count(), 1);
        assert!(!path.exists(), "it went with the one that listened");
    }
}

/// A process at whose socket as many wait as may is as alive as any: it is not replaced, nor waited for, and
/// whoever dials it waits its turn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_at_which_many_wait_is_alive() {
    let path = fresh();
    let busy = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
    bind(&busy, &SocketAddrUnix::new(&path).unwrap()).unwrap();
    listen(&busy, 0).unwrap();
    let waiting = UnixStream::connect(&path).unwrap();
    let (ear, at) = (Ear::new(1, 0), Addr::Unix { path: path.clone() });
    let begun = Instant::now();
    let listened = transport(config()).listen(&at, Lane::Data, ear.clone()).await;
    let kind = std::io::ErrorKind::AddrInUse;
    assert_eq!(listened, Err(ListenError::Os { at: at.clone(), kind }));
    assert!(begun.elapsed() < Duration::from_secs(2) && path.exists());

    let within = Duration::from_millis(300);
    let hasty = transport(TcpConfig { handshake: within, ..config() });
    let dialled = hasty.dial(&at, ear.peer().proc, Lane::Data, ear.clone()).await;
    assert_eq!(dialled.err(), Some(DialError::Deadline { to: at, within }));
    drop((busy, waiting));
    fs::remove_file(&path).unwrap();
}

/// More than can wait at a socket are let in one after the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_finds_no_place_to_wait_comes_again() {
    let path = fresh();
    let first = std::os::unix::net::UnixListener::bind(&path).unwrap();
    listen(&first, 0).unwrap();
    let waiting = UnixStream::connect(&path).unwrap();
    let (here, there, at) = (Ear::new(1, 0), Ear::new(2, 0), Addr::Unix { path: path.clone() });
    let dialler = transport(config());
    let dial = tokio::spawn({
        let (at, proc) = (at.clone(), there.peer().proc);
        async move { (dialler.dial(&at, proc, Lane::Data, here).await, dialler) }
    });
    // It knocks, and there is no place; then a peer listens there.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let moved = path.with_extension("real");
    let listener = transport(config());
    let real = Addr::Unix { path: moved.clone() };
    listener.listen(&real, Lane::Data, there.clone()).await.unwrap();
    fs::rename(&moved, &path).unwrap();
    let (out, _dialler) = dial.await.unwrap();
    send(&*out.unwrap(), 7, 64).await;
    until("arriving", || there.heard().numbers == [7]).await;
    drop((first, waiting));
    fs::remove_file(&path).unwrap();
}

#[tokio::test]
async fn a_path_that_is_too_long_is_refused_with_what_is_allowed() {
    let (ear, transport) = (Ear::new(1, 0), transport(config()));
    let of = |n_bytes: usize| {
        let name = "x".repeat(n_bytes - "/tmp/nowhere/".len());
        Addr::Unix { path: PathBuf::from("/tmp/nowhere").join(name) }
    };
    let (at, to, max) = (of(108), of(108), 107);
    let listened = transport.listen(&at, Lane::Data, ear.clone()).await.err();
    assert_eq!(listened, Some(ListenError::PathTooLong { at, max }));
    let dialled = transport.dial(&to, ear.peer().proc, Lane::Data, ear.clone()).await.err();
    assert_eq!(dialled, Some(DialError::PathTooLong { to, max }));
    // One byte less is none too many: there is no such directory.
    let listened = transport.listen(&of(107), Lane::Data, ear).await.err();
    let kind = std::io::ErrorKind::NotFound;
    assert_eq!(listened, Some(ListenError::Os { at: of(107), kind }));
}
