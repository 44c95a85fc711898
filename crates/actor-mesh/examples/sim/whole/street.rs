//! `Street`: the processes of attached hosts, where actors live, and who their controller is.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actor_mesh::{ActorRegistry, ProcAgent};
use mesh_core::{
    Addr, Doors, Incarnation, MeshLabel, MeshRequest, PeerId, PortRef, ProcSeat, Procs,
};
use mesh_runtime::{Network, Proc, ProcConfig};
use mesh_shape::{Rank, Region, ShapeError};
use mesh_testkit::fault_net::{FaultNet, SplitMix64};
use tokio::runtime::Handle;

use crate::client::{Known, seated};
use crate::probe::registry;
use crate::world::site;

/// The processes of hosts, as whoever lives on them sees them. Where they are is known at once to everybody who is to
/// know it, as it is of [`LocalProcs`](actor_mesh::LocalProcs); what becomes of them, that their controllers say.
#[derive(Clone)]
pub(crate) struct Street {
    label: MeshLabel,
    region: Arc<Region>,
    shared: Arc<Shared>,
}

struct Shared {
    seed: u64,
    lease: Duration,
    net: FaultNet,
    registry: Arc<ActorRegistry>,
    seats: Mutex<BTreeMap<Rank, ProcSeat>>,
    home: Mutex<Home>,
}

/// Who the controller is, and where its process takes sessions.
#[derive(Clone)]
pub(crate) struct Home {
    pub(crate) controller: PortRef<MeshRequest>,
    pub(crate) known: Option<Known>,
}

/// A process that runs. However its life ends, its actors end and its sessions are cut.
pub(crate) struct Resident {
    network: Network,
}

impl Drop for Resident {
    fn drop(&mut self) {
        self.network.proc().kill();
        self.network.leave();
    }
}

impl Street {
    /// One where nobody lives yet, and whose controller is not known.
    pub(crate) fn new(
        (seed, net, lease): (u64, &FaultNet, Duration),
        (label, region): (MeshLabel, Region),
        nobody: PortRef<MeshRequest>,
    ) -> Self {
        let shared = Shared {
            seed,
            lease,
            net: net.clone(),
            registry: Arc::new(registry()),
            seats: Mutex::default(),
            home: Mutex::new(Home { controller: nobody, known: None }),
        };
        Self { label, region: Arc::new(region), shared: Arc::new(shared) }
    }

    /// A life of the process of a rank begins; whoever looks can find it.
    pub(crate) async fn moves_in(&self, rank: Rank, life: Incarnation) -> Result<Resident, String> {
        let Shared { seed, net, registry, .. } = &*self.shared;
        let (peer, site) = (PeerId::of_rank(self.label.id(), rank, life), site(rank.index() + 1));
        let mut rng = SplitMix64::named(*seed, &format!("{site}, {life}"));
        let (id, seed) = (peer.proc, Some(rng.next_u64()));
        let config = ProcConfig { id, life, seed, stalled_handler: None, ..ProcConfig::local() };
        let proc = Proc::start(config, Handle::current());
        let network = Network::new(proc, Arc::new(net.transport(&site)), registry.hash());
        let resident = Resident { network };
        let at = Addr::Local { name: format!("{site}-{life}") };
        let doors = resident.network.listen(&at).await.map_err(|error| error.to_string())?;
        let agent = ProcAgent::start(resident.network.proc(), Arc::clone(registry));
        lock(&self.shared.seats).insert(rank, ProcAgent::seat(&agent, Some(doors)));
        Ok(resident)
    }

    /// It is known from now on that these processes have another controller.
    pub(crate) fn is_led_by(&self, controller: PortRef<MeshRequest>, at: (PeerId, Doors)) {
        *lock(&self.shared.home) = Home { controller, known: Some(at) };
    }

    /// Whom everybody keeps a way to who lives on the street: its processes, and their controller.
    pub(crate) fn known(&self) -> Vec<Known> {
        let home = lock(&self.shared.home).known.clone();
        home.into_iter().chain(seated(self)).collect()
    }
}

impl Procs for Street {
    fn label(&self) -> &MeshLabel {
        &self.label
    }

    fn region(&self) -> &Arc<Region> {
        &self.region
    }

    fn seat(&self, rank: Rank) -> Option<ProcSeat> {
        lock(&self.shared.seats).get(&self.region.base_rank(rank)?).cloned()
    }

    fn home(&self) -> PortRef<MeshRequest> {
        lock(&self.shared.home).controller
    }

    fn lease(&self) -> Duration {
        self.shared.lease
    }

    fn slice(&self, to: &Region) -> Result<Arc<dyn Procs>, ShapeError> {
        if !to.is_subset(&self.region) {
            return Err(ShapeError::NotSubset);
        }
        Ok(Arc::new(Self { region: Arc::new(to.clone()), ..self.clone() }))
    }
}

impl fmt::Debug for Street {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Street").field("label", &self.label).finish_non_exhaustive()
    }
}

fn lock<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}
