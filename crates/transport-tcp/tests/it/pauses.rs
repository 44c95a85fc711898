//! pauses: time in which this process did not run counts against nobody.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::Duration;

use mesh_core::{Addr, Lane, Outbound, Transport};
use tokio::runtime::Builder;
use transport_tcp::{TcpConfig, TcpTransport};

use crate::proxy::Proxy;
use crate::support::{Ear, config, listening, port, send, transport, until};

/// How long a session lives without a connection on the side that is paused. The other one tries at least once a
/// second.
const NO_CONTACT: Duration = Duration::from_secs(2);

/// One side is paused for longer than a session lives without a connection, while there is none. When it goes
/// on, there is a way again; and the session goes on.
fn is_forgiven(is_dialler: bool) {
    let brief = TcpConfig { no_contact: NO_CONTACT, ..config() };
    let (mut here_config, mut there_config) = (config(), config());
    *(if is_dialler { &mut here_config } else { &mut there_config }) = brief;
    // Each side on a thread of its own: who blocks one of them pauses that side.
    let thread = || Builder::new_current_thread().enable_all().build().expect("it can");
    let (here_side, there_side) = (thread(), thread());
    let others = Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let others = others.expect("there are threads");
    let (here, there) = (Ear::new(1, 0), Ear::new(2, 0));
    let (_listener, at) = there_side.block_on(listening(&there, Lane::Data, there_config));
    let is_open = Arc::new(AtomicBool::new(false));
    let way = Arc::clone(&is_open);
    let after = move |number| match number {
        0 => 3_000,
        _ if way.load(Ordering::SeqCst) => usize::MAX,
        _ => 0,
    };
    let proxy = others.block_on(Proxy::new(port(&at), after));
    let dial = dial_and_send(Arc::clone(&here), Arc::clone(&there), proxy.at.clone(), here_config);
    let pause = async {
        until("breaking", || proxy.n_connections.load(Ordering::SeqCst) > 2).await;
        sleep(NO_CONTACT + NO_CONTACT / 2);
        is_open.store(true, Ordering::SeqCst);
        until("arriving", || there.heard().numbers.len() == 20).await;
    };
    // Until all is judged.
    let _session = if is_dialler {
        thread::spawn(move || there_side.block_on(pending::<()>()));
        Some(here_side.block_on(async { tokio::join!(dial, pause) }))
    } else {
        thread::spawn(move || {
            here_side.block_on(async {
                let _session = dial.await;
                pending::<()>().await;
            });
        });
        there_side.block_on(pause);
        None
    };
    assert_eq!((here.heard().lost.len(), there.heard().lost.len()), (0, 0));
    assert_eq!(there.heard().numbers, (0..20).collect::<Vec<_>>());
}

async fn dial_and_send(
    here: Arc<Ear>,
    there: Arc<Ear>,
    to: Addr,
    config: TcpConfig,
) -> (TcpTransport, Arc<dyn Outbound>) {
    let dialler = transport(config);
    let out = dialler.dial(&to, there.peer().proc, Lane::Data, here).await.expect("it is there");
    for number in 0..20 {
        send(&*out, number, 400).await;
    }
    (dialler, out)
}

#[test]
fn a_dialler_that_was_paused_while_it_had_no_connection_connects_again() {
    is_forgiven(true);
}

#[test]
fn a_listener_that_was_paused_while_it_had_no_connection_is_found_again() {
    is_forgiven(false);
}
