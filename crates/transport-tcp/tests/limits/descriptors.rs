//! A process that has no descriptors left.

use std::time::Duration;

use mesh_core::{Lane, Transport};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpStream;
use transport_tcp::TcpConfig;

use crate::counts::refused;
use crate::runtime;
use crate::support::{Ear, config, listening, port, send, transport, until};

/// How many are free.
const FREE: u64 = 21;

pub(crate) fn without_descriptors_it_waits_and_goes_on() {
    let limit = getrlimit(Resource::Nofile);
    runtime().block_on(async {
        let wide = TcpConfig {
            handshake: Duration::from_secs(60),
            unauthenticated_max: 1_000,
            ..config()
        };
        let (here, there) = (Ear::new(1, 0), Ear::new(2, 0));
        let (_listener, at) = listening(&there, Lane::Data, wide.clone()).await;
        let dialler = transport(wide);
        let peer = there.peer().proc;
        let out = dialler.dial(&at, peer, Lane::Data, here.clone()).await.expect("it listens");
        let before = refused("accept");
        let in_use = std::fs::read_dir("/proc/self/fd").expect("there is /proc").count() as u64;
        let few = Rlimit { current: Some(in_use + FREE), ..limit };
        setrlimit(Resource::Nofile, few).expect("it is less");
        let mut idle = Vec::new();
        // Each takes one here and one there, until either end has none.
        while let Ok(stream) = TcpStream::connect(("127.0.0.1", port(&at))).await {
            idle.push(stream);
            assert!((idle.len() as u64) < 2 * FREE, "they have an end");
        }
        // Whoever waits to be taken has used the last one up, or one more gets it.
        idle.pop();
        until("being without", || {
            if let Ok(stream) = std::net::TcpStream::connect(("127.0.0.1", port(&at))) {
                stream.set_nonblocking(true).expect("it is open");
                idle.push(TcpStream::from_std(stream).expect("it is open"));
            }
            refused("accept") > before
        })
        .await;
        // What is up goes on.
        send(&*out, 1, 64).await;
        until("arriving", || there.heard().numbers == [1]).await;
        let n_tried = refused("accept");
        // One is tried every 100 ms, and not as fast as it goes.
        until("trying again", || refused("accept") >= n_tried + 2).await;
        setrlimit(Resource::Nofile, limit).expect("it was so");
        drop(idle);
        let late = dialler.dial(&at, peer, Lane::Data, Ear::new(3, 0)).await;
        assert!(late.is_ok(), "{:?}", late.err());
        assert_eq!((here.heard().lost.len(), there.heard().lost.len()), (0, 0));
        let n_tries = refused("accept") - before;
        assert!(n_tries < 100, "{n_tries} in a few tenths of a second");
    });
}
