//! Many from one address of another machine: here our own, that is not loopback.

use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

use mesh_core::{Addr, Lane, Transport};
use tokio::net::TcpStream;
use transport_tcp::TcpConfig;

use crate::counts::refused;
use crate::runtime;
use crate::support::{Ear, config, port, transport, until};

/// An address of this machine that is not loopback. Nothing is sent to find it.
pub(crate) fn address_of_ours() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("203.0.113.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

pub(crate) fn one_address_has_its_share_and_no_more() {
    let ours = address_of_ours().expect("it was there");
    runtime().block_on(async {
        let everywhere = Addr::Tcp { host: "0.0.0.0".to_owned(), port: 0 };
        // No certificates: they are not what is tested, and the address is named.
        let insecure = TcpConfig {
            handshake: Duration::from_secs(60),
            insecure: vec![everywhere.clone()],
            ..config()
        };
        let (there, listener) = (Ear::new(2, 0), transport(insecure.clone()));
        let at =
            listener.listen(&everywhere, Lane::Data, there.clone()).await.expect("it is named");
        let mut idle = Vec::new();
        for _ in 0..insecure.unauthenticated_per_address_max + 3 {
            idle.push(TcpStream::connect((ours, port(&at))).await.expect("it listens"));
        }
        until("three being refused", || refused("crowd") == 3).await;
        // Others are not held up by them, and neither is that address when they have gone.
        let near = Addr::Tcp { host: "127.0.0.1".to_owned(), port: port(&at) };
        let far = Addr::Tcp { host: ours.to_string(), port: port(&at) };
        let dialler = transport(TcpConfig { insecure: vec![far.clone()], ..insecure });
        let peer = there.peer().proc;
        let dialled = dialler.dial(&near, peer, Lane::Data, Ear::new(1, 0)).await;
        assert!(dialled.is_ok(), "{:?}", dialled.err());
        let dialled = dialler.dial(&far, peer, Lane::Data, Ear::new(3, 0)).await;
        assert!(dialled.is_err(), "its address has too many");
        drop(idle);
        until("their going", || refused("broken") >= 16).await;
        let dialled = dialler.dial(&far, peer, Lane::Data, Ear::new(3, 0)).await;
        assert!(dialled.is_ok(), "{:?}", dialled.err());
    });
}
