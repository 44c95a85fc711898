//! Meshes of processes as homes for actors: where a transport meets a mesh.

use std::fmt;
use std::io::{self, Write};
use std::ops::{Deref, DerefMut};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use actor_mesh::{ActorMesh, ActorRegistry, ActorSpec, ProcAgent};
use bytes::Bytes;
use mesh_core::{Addr, EncodeError, ListenError, ProcId, Procs, Transport};
use mesh_runtime::{Actor, ChildFailure, Network, Proc, ProcConfig, backtraces_logged, codec};
use mesh_shape::{ShapeError, Slice};
use proc_mesh::{Announce, ProcMesh, Worker};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use transport_tcp::{ConfigError, Secret, SecretError, TcpConfig, TcpTransport};

use crate::root::{LOGGED_WITHIN, report};

/// How long the actors of a worker that is asked to end may take.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// A mesh of processes that actors can be spawned on. It is used as the [`ProcMesh`] that it dereferences
/// to. Dropping it ends the processes, so it is dropped after the meshes of actors that live there.
///
/// A mesh of actors whose processes are dropped before it loses all its ranks, and ends: each is told at once as failed
/// with its process, whose owner has let go of it, and calls that wait are answered with that. Who means to end all in
/// good order drops the meshes of actors first, or stops the processes.
#[derive(Debug)]
pub struct Homes {
    mesh: ProcMesh,
    all: HomesSlice,
}

/// Some of the processes of a mesh, that actors can be spawned on. It keeps none of them alive.
#[derive(Clone, Debug)]
pub struct HomesSlice {
    procs: Arc<dyn Procs>,
    proc: Proc,
}

impl Homes {
    /// The mesh, if it was spawned for actors.
    pub(crate) fn new(mesh: ProcMesh, proc: &Proc) -> Option<Self> {
        let all = HomesSlice { procs: mesh.homes()?, proc: proc.clone() };
        Some(Self { mesh, all })
    }

    /// Spawns one actor on each process, all from the same parameters, and returns when all have been
    /// created. They end when the mesh that is returned is dropped.
    ///
    /// # Errors
    ///
    /// See [`SpawnError`](actor_mesh::SpawnError): nothing of the mesh is left then.
    pub async fn spawn<A>(
        &self,
        name: impl Into<String>,
        params: A::Params,
    ) -> Result<ActorMesh<A>, actor_mesh::SpawnError>
    where
        A: Actor<Params: Serialize + DeserializeOwned + Sync>,
    {
        self.all.spawn(name, params).await
    }

    /// The same, with everything said: parameters for each rank, restarts, times.
    ///
    /// # Errors
    ///
    /// See [`SpawnError`](actor_mesh::SpawnError): nothing of the mesh is left then.
    pub async fn spawn_as<A>(
        &self,
        spec: ActorSpec<A>,
    ) -> Result<ActorMesh<A>, actor_mesh::SpawnError>
    where
        A: Actor<Params: Serialize + DeserializeOwned>,
    {
        self.all.spawn_as(spec).await
    }

    /// The processes along one dim: an index drops the dim, a range keeps it.
    ///
    /// # Errors
    ///
    /// [`ShapeError`] if there is no such dim or index.
    pub fn slice(&self, dim: &str, slice: impl Into<Slice>) -> Result<HomesSlice, ShapeError> {
        self.all.slice(dim, slice)
    }

    /// What meshes of actors see of it: for an actor that spawns a mesh of its own.
    #[must_use]
    pub const fn procs(&self) -> &Arc<dyn Procs> {
        self.all.procs()
    }
}

impl HomesSlice {
    /// As [`Homes::spawn`], on these processes.
    ///
    /// # Errors
    ///
    /// See [`SpawnError`](actor_mesh::SpawnError): nothing of the mesh is left then.
    pub async fn spawn<A>(
        &self,
        name: impl Into<String>,
        params: A::Params,
    ) -> Result<ActorMesh<A>, actor_mesh::SpawnError>
    where
        A: Actor<Params: Serialize + DeserializeOwned + Sync>,
    {
        self.spawn_as(ActorSpec::new(name, &params)).await
    }

    /// As [`Homes::spawn_as`], on these processes.
    ///
    /// # Errors
    ///
    /// See [`SpawnError`](actor_mesh::SpawnError): nothing of the mesh is left then.
    pub async fn spawn_as<A>(
        &self,
        spec: ActorSpec<A>,
    ) -> Result<ActorMesh<A>, actor_mesh::SpawnError>
    where
        A: Actor<Params: Serialize + DeserializeOwned>,
    {
        ActorMesh::spawn(&self.proc, &self.procs, spec).await
    }

    /// Those of them along one dim.
    ///
    /// # Errors
    ///
    /// [`ShapeError`] if there is no such dim or index.
    pub fn slice(&self, dim: &str, slice: impl Into<Slice>) -> Result<Self, ShapeError> {
        let region = self.procs.region().slice(dim, slice)?;
        Ok(Self { procs: self.procs.slice(&region)?, proc: self.proc.clone() })
    }

    /// What meshes of actors see of them.
    #[must_use]
    pub const fn procs(&self) -> &Arc<dyn Procs> {
        &self.procs
    }
}

impl Deref for Homes {
    type Target = ProcMesh;

    fn deref(&self) -> &ProcMesh {
        &self.mesh
    }
}

impl DerefMut for Homes {
    fn deref_mut(&mut self) -> &mut ProcMesh {
        &mut self.mesh
    }
}

/// Why this process cannot have sessions with others.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// There is no secret.
    #[error("there is no secret for the mesh")]
    Secret(#[from] SecretError),
    /// The configuration of the transport does not hold together.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The secret cannot be handed on.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// There is nothing to listen at.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// What was registered cannot be told apart.
    #[error(transparent)]
    Registry(#[from] actor_mesh::RegistryError),
    /// All processes with actors may have sessions with each other, so their meshes have one lease.
    #[error(
        "this program has meshes of processes with actors whose lease is {first:?}, and this one is to have {lease:?}: give all the same"
    )]
    OtherLease {
        /// The lease of the first of them.
        first: Duration,
        /// What this one is to have.
        lease: Duration,
    },
}

/// What a worker is told, over the socket that only it has.
#[derive(Debug, Serialize, Deserialize)]
struct Seed {
    /// The secret of the program: whoever knows it belongs to it.
    #[serde(with = "secret_bytes")]
    secret: Secret,
    lease: Duration,
    call_within: Duration,
}

/// How a secret is told: its bytes, of which no copy stays behind here.
mod secret_bytes {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use transport_tcp::Secret;

    pub(super) fn serialize<S: Serializer>(secret: &Secret, to: S) -> Result<S::Ok, S::Error> {
        secret.to_bytes().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Secret, D::Error> {
        <[u8; Secret::LEN]>::deserialize(from).map(Secret::from_bytes)
    }
}

/// The sessions of a client with its workers, and what makes them one.
#[derive(Clone)]
pub(crate) struct ClientNetwork {
    /// What the times of the sessions derive from.
    pub(crate) lease: Duration,
    pub(crate) network: Network,
    pub(crate) seed: Bytes,
}

impl fmt::Debug for ClientNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientNetwork").finish_non_exhaustive()
    }
}

impl ClientNetwork {
    /// Makes a secret, and sessions that are opened with it.
    pub(crate) fn new(
        proc: &Proc,
        registry: &ActorRegistry,
        lease: Duration,
    ) -> Result<Self, NetworkError> {
        registry.check()?;
        let secret = Secret::generate()?;
        let call_within = proc.call_within();
        let seed = Seed { secret: secret.clone(), lease, call_within };
        let seed = codec::encode("meshwarden.Seed", &seed)?;
        let transport = transport(secret, lease)?;
        let network = Network::new(proc.clone(), transport, registry.hash());
        Ok(Self { lease, network, seed })
    }
}

fn transport(secret: Secret, lease: Duration) -> Result<Arc<dyn Transport>, ConfigError> {
    Ok(Arc::new(TcpTransport::new(TcpConfig::for_lease(secret, lease))?))
}

/// What a worker is that is a home for actors, to its end.
pub(crate) async fn home(worker: Worker, announce: Announce, registry: ActorRegistry) -> ExitCode {
    match settle(&worker, announce, registry).await {
        Ok((proc, unhandled)) => live(worker, &proc, unhandled).await,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

/// Why a worker cannot become a home.
#[derive(Debug, thiserror::Error)]
enum HomeError {
    #[error("the client did not say what a home for actors must know")]
    Seed(#[from] codec::DecodeError),
    #[error(transparent)]
    Network(#[from] NetworkError),
    #[error("cannot wait for signals")]
    Signals(#[from] io::Error),
}

type Unhandled = mpsc::Receiver<ChildFailure>;

/// Opens the doors, and says where they are.
async fn settle(
    worker: &Worker,
    announce: Announce,
    registry: ActorRegistry,
) -> Result<(Proc, Unhandled), HomeError> {
    registry.check().map_err(NetworkError::from)?;
    let seed: Seed = codec::decode(worker.seed())?;
    let (failed, unhandled) = mpsc::channel(1);
    let config = ProcConfig {
        id: ProcId::of_rank(worker.mesh().id(), worker.rank()),
        life: worker.incarnation(),
        control: Some(worker.control().clone()),
        call_within: seed.call_within,
        stalled_handler: Some(worker.stalled_handler()),
        on_failure: Box::new(move |failure| _ = failed.try_send(failure.clone()).is_ok()),
        seed: None,
    };
    let proc = Proc::start(config, Handle::current());
    worker.tells_stalls_of(&proc);
    let transport = transport(seed.secret, seed.lease);
    let transport = transport.map_err(NetworkError::from)?;
    let network = Network::new(proc.clone(), transport, registry.hash());
    let at = Addr::Tcp { host: "127.0.0.1".to_owned(), port: 0 };
    let doors = network.listen(&at).await.map_err(NetworkError::from)?;
    let agent = ProcAgent::start(&proc, Arc::new(registry));
    announce.ready(Some(ProcAgent::seat(&agent, Some(doors))));
    Ok((proc, unhandled))
}

/// Lives until it is asked to end, or until an actor fails that nobody has handled (E2).
async fn live(mut worker: Worker, proc: &Proc, mut unhandled: Unhandled) -> ExitCode {
    let mut terminated = match signal(SignalKind::terminate()) {
        Ok(terminated) => terminated,
        Err(error) => {
            report(&HomeError::from(error));
            return ExitCode::FAILURE;
        }
    };
    loop {
        tokio::select! {
            biased;
            Some(failure) = unhandled.recv() => {
                _ = proc.stop(STOP_WITHIN).await.is_ok();
                _ = writeln!(io::stderr(), "{}", failure.report()).is_ok();
                backtraces_logged(LOGGED_WITHIN);
                return ExitCode::FAILURE;
            }
            _ = terminated.recv() => {
                // That some cannot be ended is no reason to stay.
                _ = proc.stop(STOP_WITHIN).await.is_ok();
                backtraces_logged(LOGGED_WITHIN);
                return ExitCode::SUCCESS;
            }
            // Nobody has a use for messages that are for no actor.
            Some(_) = worker.recv() => (),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_worker_is_told_arrives_and_does_not_show_its_secret() {
        let times = (Duration::from_millis(10_500), Duration::from_secs(3));
        let secret = Secret::from_bytes([0xa7; Secret::LEN]);
        let seed = Seed { secret, lease: times.0, call_within: times.1 };
        let told = codec::encode("meshwarden.Seed", &seed).unwrap();
        let heard: Seed = codec::decode(&told).unwrap();
        assert_eq!((heard.lease, heard.call_within), times);
        assert_eq!(*heard.secret.to_bytes(), [0xa7; Secret::LEN]);
        let shown = format!("{seed:?}");
        assert!(shown.contains("Secret(…)") && !shown.contains("167"), "{shown}");
    }
}
