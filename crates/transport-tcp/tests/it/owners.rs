//! owners: a session ends with whoever carries it.

use mesh_core::{Lane, Lost, Transport};
use tokio::runtime::{Builder, Runtime};

use crate::support::{Ear, config, listening, transport, until};

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("there are threads")
}

/// Whoever sends waits for room on a runtime of its own: it is told when that of the session ends, on both
/// sides.
#[test]
fn a_session_ends_with_the_runtime_that_carries_it() {
    let (listening_side, dialling_side) = (runtime(), runtime());
    let (here, there) = (Ear::new(1, 0), Ear::new(2, 0));
    let (_listener, at) = listening_side.block_on(listening(&there, Lane::Data, config()));
    let dialler = transport(config());
    let dialled = dialler.dial(&at, there.peer().proc, Lane::Data, here.clone());
    let out = dialling_side.block_on(dialled).unwrap();
    let joined = until("joining", || !there.heard().back.is_empty());
    dialling_side.block_on(joined);
    let back = there.heard().back[0].clone();

    drop(listening_side);
    assert!(!back.is_open());
    assert_eq!(there.heard().lost, [(here.peer(), Lost::Closed)]);
    drop(dialling_side);
    assert!(!out.is_open());
    assert_eq!(here.heard().lost.len(), 1);
}
