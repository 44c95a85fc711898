//! `Client`: the process of an owner that lives elsewhere than what its mesh lives on, and that can die.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mesh_core::{Addr, Procs};
use mesh_runtime::{Network, Proc};
use mesh_shape::Rank;
use mesh_testkit::fault_net::FaultNet;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::plan::Death;
use crate::probe::registry;
use crate::world::{process, site};

/// Its site in the network.
pub(crate) const SITE: &str = "client";

/// How often it looks for processes that there is no way to.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// When it dials again whom it has not reached.
const AGAIN: Duration = Duration::from_secs(1);

/// The process of an owner, with a way to every process of the mesh.
pub(crate) struct Client {
    network: Network,
    ways: JoinHandle<()>,
}

impl Client {
    /// Starts it, with ways to `home`, where the processes are supervised, and to the processes.
    pub(crate) async fn start(
        seed: u64,
        net: &FaultNet,
        (home, procs): (&Proc, Arc<dyn Procs>),
    ) -> Result<Self, String> {
        let proc = process(seed, SITE);
        let transport = Arc::new(net.transport(SITE));
        let network = Network::new(proc.clone(), transport, registry().hash());
        let doors = network.listen(&Addr::Local { name: SITE.to_owned() }).await;
        let doors = doors.map_err(|error| error.to_string())?;
        let home = Network::of(home).ok_or("the home has no network")?;
        home.dial(proc.peer(), &doors).await.map_err(|error| error.to_string())?;
        let ways = tokio::spawn(keep_ways(network.clone(), procs));
        Ok(Self { network, ways })
    }

    pub(crate) const fn proc(&self) -> &Proc {
        self.network.proc()
    }

    /// Ends it, where there are so many other sites: nothing gets out of it any more.
    pub(crate) fn die(&self, how: Death, net: &FaultNet, n_sites: usize) {
        match how {
            Death::Told => net.crash(SITE),
            Death::Silent => (0..n_sites).for_each(|other| net.part(SITE, &site(other))),
        }
        self.ways.abort();
        self.network.proc().kill();
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.ways.abort();
        self.network.proc().kill();
        self.network.leave();
    }
}

/// Whoever has a seat has a way there: what the contract of [`Procs`] asks for.
async fn keep_ways(network: Network, procs: Arc<dyn Procs>) {
    let mut dialled = BTreeMap::new();
    loop {
        let seats = (0..procs.region().size()).filter_map(|rank| procs.seat(Rank::new(rank)));
        for seat in seats {
            let (peer, Some(doors)) = (seat.peer, seat.doors) else { continue };
            let is_tried = |at: &Instant| at.elapsed() < AGAIN;
            if network.is_open(peer) || dialled.get(&peer).is_some_and(is_tried) {
                continue;
            }
            _ = dialled.insert(peer, Instant::now());
            let network = network.clone();
            drop(tokio::spawn(async move { network.dial(peer, &doors).await.is_ok() }));
        }
        sleep(LOOK_EVERY).await;
    }
}
