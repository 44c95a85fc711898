//! sessions: what holds without TLS holds with it.

use mesh_core::{Addr, Lane, ListenError, Transport};
use mesh_testkit::{TransportSuite, transport_suite};
use transport_tcp::{TcpConfig, Tls};

use crate::authority::{Authority, Face};
use crate::support::{Ear, PATIENCE, any_port, config, listening, send, transport, until};

pub(crate) fn secured(tls: Tls) -> TcpConfig {
    TcpConfig { tls: Some(tls), ..config() }
}

fn any_port_of_v6() -> Addr {
    Addr::Tcp { host: "::1".to_owned(), port: 0 }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_what_every_transport_must() {
    let authority = Authority::new("ours");
    let tls = authority.tls(&authority.sign(&Face::of("agent/a")));
    for address in [any_port, any_port_of_v6] {
        let suite = TransportSuite { address, patience: PATIENCE };
        assert_eq!(transport_suite(|| transport(secured(tls.clone())), &suite).await, Ok(()));
    }
}

/// Much in both directions at once: what the socket cannot take yet is sent later, and nothing waits for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_in_both_directions_arrives_whole_and_in_order() {
    const EACH: u64 = 400;
    let authority = Authority::new("ours");
    let tls = authority.tls(&authority.sign(&Face::of("agent/a")));
    let (here, there) = (Ear::new(1, 0), Ear::new(2, 0));
    let (_listener, at) = listening(&there, Lane::Data, secured(tls.clone())).await;
    let dialler = transport(secured(tls));
    let out = dialler.dial(&at, there.peer().proc, Lane::Data, here.clone()).await.unwrap();
    until("being joined", || !there.heard().back.is_empty()).await;
    let back = there.heard().back[0].clone();
    // From single bytes to what takes many records of TLS.
    let size = |number: u64| if number.is_multiple_of(4) { 200_000 } else { 8 + number as usize };
    let sending = |out: std::sync::Arc<dyn mesh_core::Outbound>| async move {
        for number in 0..EACH {
            send(&*out, number, size(number)).await;
        }
    };
    tokio::join!(sending(out), sending(back));
    let all: Vec<u64> = (0..EACH).collect();
    until("arriving", || here.heard().numbers.len() == 400 && there.heard().numbers.len() == 400)
        .await;
    assert_eq!((&here.heard().numbers, &there.heard().numbers), (&all, &all));
}

/// The same addresses without a certificate are refused, and are listened at with one, or when they are named.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn off_loopback_there_is_tls_or_the_address_was_named() {
    let authority = Authority::new("ours");
    let tls = authority.tls(&authority.sign(&Face::of("agent/a")));
    let (at, ear) = (Addr::Tcp { host: "0.0.0.0".to_owned(), port: 0 }, Ear::new(1, 0));
    let plain = transport(config()).listen(&at, Lane::Data, ear.clone()).await;
    assert_eq!(plain, Err(ListenError::NotLoopback(at.clone())));
    let other = Addr::Tcp { host: "0.0.0.0".to_owned(), port: 1 };
    let named = TcpConfig { insecure: vec![other], ..config() };
    let plain = transport(named).listen(&at, Lane::Data, ear.clone()).await;
    assert_eq!(plain, Err(ListenError::NotLoopback(at.clone())), "another one was named");
    let named = TcpConfig { insecure: vec![at.clone()], ..config() };
    assert!(transport(named).listen(&at, Lane::Data, ear.clone()).await.is_ok());
    assert!(transport(secured(tls)).listen(&at, Lane::Data, ear).await.is_ok());
}

#[test]
fn a_key_is_never_shown() {
    let authority = Authority::new("ours");
    let card = authority.sign(&Face::of("agent/a"));
    let shown = format!("{:?}", secured(authority.tls(&card)));
    assert!(shown.contains("agent") && !shown.contains("PRIVATE"), "{shown}");
    let digits = card.key.lines().nth(1).unwrap();
    assert!(!shown.contains(digits), "{shown}");
}
