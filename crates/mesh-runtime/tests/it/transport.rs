//! transport: the one within a process keeps the contract.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mesh_core::Addr;
use mesh_runtime::LocalTransport;
use mesh_testkit::{TransportSuite, transport_suite};

fn suite() -> TransportSuite {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let address = || Addr::Local { name: NEXT.fetch_add(1, Ordering::Relaxed).to_string() };
    TransportSuite { address, patience: Duration::from_secs(10) }
}

#[tokio::test]
async fn the_local_transport_keeps_the_contract() {
    let all = LocalTransport::default();
    assert_eq!(transport_suite(|| all.another(), &suite()).await, Ok(()));
}

#[tokio::test]
async fn it_keeps_it_when_it_encodes() {
    let all = LocalTransport::encoding();
    assert_eq!(transport_suite(|| all.another(), &suite()).await, Ok(()));
}
