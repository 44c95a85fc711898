//! The suite that every transport must pass.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mesh_core::Addr;
use mesh_testkit::fault_net::{FaultNet, Faults};
use mesh_testkit::{TransportSuite, transport_suite};

use crate::support::paused;

fn suite() -> TransportSuite {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let address = || Addr::Local { name: NEXT.fetch_add(1, Ordering::Relaxed).to_string() };
    TransportSuite { address, patience: Duration::from_secs(300) }
}

fn keeps_the_contract(seed: u64, faults: Faults) {
    let net = FaultNet::new(seed, faults);
    let next = AtomicUsize::new(0);
    let make = || net.transport(&next.fetch_add(1, Ordering::Relaxed).to_string());
    assert_eq!(paused(transport_suite(make, &suite())), Ok(()), "seed {seed}");
}

#[test]
fn a_network_without_faults_keeps_the_contract() {
    keeps_the_contract(1, Faults::none());
}

#[test]
fn a_bad_network_keeps_the_contract() {
    (0..5).for_each(|seed| keeps_the_contract(seed, Faults::moderate()));
}

#[test]
fn a_very_bad_network_keeps_the_contract() {
    (0..3).for_each(|seed| keeps_the_contract(seed, Faults::heavy()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_kept_on_several_threads_and_a_clock_that_runs() {
    let net = FaultNet::new(1, Faults::none());
    let next = AtomicUsize::new(0);
    let make = || net.transport(&next.fetch_add(1, Ordering::Relaxed).to_string());
    assert_eq!(transport_suite(make, &suite()).await, Ok(()));
}
