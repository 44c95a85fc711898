//! `Client`: the process of an owner that lives elsewhere than what its mesh lives on, and that can die.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mesh_core::{Addr, Doors, PeerId, Procs};
use mesh_runtime::{Network, Proc};
use mesh_shape::Rank;
use mesh_testkit::fault_net::FaultNet;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::plan::Death;
use crate::probe::registry;
use crate::world::process;

/// Its site in the network.
pub(crate) const SITE: &str = "client";

/// Where those are who only use a mesh that lives on hosts.
pub(crate) const GUEST: &str = "guest";

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
    /// Starts it at a site of its own. It keeps ways to those whom `known` names, as the contract of [`Procs`] asks for.
    ///
    /// [`Procs`]: mesh_core::Procs
    pub(crate) async fn start(
        seed: u64,
        (net, site): (&FaultNet, &str),
        known: impl Fn() -> Vec<Known> + Send + 'static,
    ) -> Result<(Self, Doors), String> {
        let proc = process(seed, site);
        let transport = Arc::new(net.transport(site));
        let network = Network::new(proc.clone(), transport, registry().hash());
        let doors = network.listen(&Addr::Local { name: site.to_owned() }).await;
        let doors = doors.map_err(|error| error.to_string())?;
        let ways = tokio::spawn(keep_ways(network.clone(), known));
        Ok((Self { network, ways }, doors))
    }

    pub(crate) const fn proc(&self) -> &Proc {
        self.network.proc()
    }

    /// Whether it has sessions with a process.
    pub(crate) fn has_met(&self, peer: PeerId) -> bool {
        self.network.is_open(peer)
    }

    /// Ends it, where there are these other sites: nothing gets out of it any more.
    pub(crate) fn die(&self, how: Death, net: &FaultNet, others: impl Iterator<Item = String>) {
        match how {
            Death::Told => net.crash(SITE),
            Death::Silent => others.for_each(|other| net.part(SITE, &other)),
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

/// A process, and where it takes sessions.
pub(crate) type Known = (PeerId, Doors);

/// The processes that are in their seats.
pub(crate) fn seated(procs: &dyn Procs) -> Vec<Known> {
    let seats = (0..procs.region().size()).filter_map(|rank| procs.seat(Rank::new(rank)));
    seats.filter_map(|seat| Some((seat.peer, seat.doors?))).collect()
}

async fn keep_ways(network: Network, known: impl Fn() -> Vec<Known>) {
    let mut dialled: BTreeMap<PeerId, (Instant, JoinHandle<bool>)> = BTreeMap::new();
    loop {
        for (peer, doors) in known() {
            let is_tried =
                |(at, dial): &(Instant, JoinHandle<_>)| at.elapsed() < AGAIN || !dial.is_finished();
            if network.is_open(peer) || dialled.get(&peer).is_some_and(is_tried) {
                continue;
            }
            let network = network.clone();
            let dial = tokio::spawn(async move { network.dial(peer, &doors).await.is_ok() });
            _ = dialled.insert(peer, (Instant::now(), dial));
        }
        sleep(LOOK_EVERY).await;
    }
}
