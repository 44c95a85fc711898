//! Describing a mesh of processes, at the door where people come in.

use std::ffi::OsString;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use controller::{Config, RestartConfig, Times};
use mesh_core::{Command, Launcher, Surroundings};
use mesh_runtime::ControlThread;
use mesh_shape::Extent;
use proc_mesh::{HostMesh, OutputSinks, ProcMesh, ProcReport, ProcSpec, Program, Run, SpawnError};
use supervise::Trace;

#[cfg(feature = "actors")]
use crate::actors::ClientNetwork;
use crate::root::Root;

/// Where rank 0 may listen for the others, where nothing else is said: the port that `torchrun` has.
const MASTER: (&str, u16) = ("127.0.0.1", 29_500);

/// How long a worker may take to be ready, where nothing else is said.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// A mesh of processes that is being described. [`command`](Self::command), [`launcher`](Self::launcher)
/// or [`worker`](Self::worker) says what each rank is, and [`Spawnable::spawn`] spawns it.
#[derive(Debug)]
#[must_use = "it does nothing until it is spawned"]
pub struct ProcMeshBuilder<'a> {
    root: &'a Root,
    spec: Described,
}

/// What was said so far.
struct Described {
    name: String,
    extent: Extent,
    surroundings: Surroundings,
    config: Config,
    stalled_handler: Option<Duration>,
    output: OutputSinks,
    trace: Option<Box<dyn Trace<ProcReport>>>,
}

/// A mesh of processes of which all is known.
#[derive(Debug)]
#[must_use = "it does nothing until it is spawned"]
pub struct Spawnable<'a> {
    control: &'a ControlThread,
    spec: ProcSpec,
}

impl<'a> ProcMeshBuilder<'a> {
    pub(crate) fn new(root: &'a Root, extent: Extent) -> Self {
        let (name, config) = ("procs".to_owned(), Config::local());
        let (output, trace) = (OutputSinks::default(), None);
        let (surroundings, stalled_handler) = (Surroundings::default(), None);
        let spec = Described { name, extent, surroundings, config, stalled_handler, output, trace };
        Self { root, spec }
    }

    /// The name in reports, metrics and the environment of the ranks; `procs` if none is given. One that is empty, has
    /// more than [256](mesh_core::MeshLabel::NAME_MAX) characters, or one that controls something, is refused.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.spec.name = name.into();
        self
    }

    /// What the processes are started in; what this process has, if nothing is said.
    ///
    /// ```no_run
    /// # async fn f(root: meshwarden::Root) -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwarden::mesh_core::{Inherit, Surroundings};
    /// use meshwarden::mesh_shape::extent;
    ///
    /// let hosts = root.hosts(1).await?;
    /// let surroundings = Surroundings {
    ///     dir: Some("/var/tmp".into()),
    ///     inherit: Inherit::Only(vec!["PATH".into()]),
    ///     ..Surroundings::default()
    /// };
    /// let procs = root.procs(extent!(procs = 4)?).surroundings(surroundings);
    /// let mesh = procs.command("ls", ["-l"]).spawn(&hosts).await?;
    /// # Ok(()) }
    /// ```
    pub fn surroundings(mut self, surroundings: Surroundings) -> Self {
        self.spec.surroundings = surroundings;
        self
    }

    /// When silence means what; [`Times::local`] if nothing is said. Of the meshes of a program that actors are
    /// spawned on all have the same lease, which the times of the sessions between them derive from.
    pub const fn times(mut self, times: Times) -> Self {
        self.spec.config.times = times;
        self
    }

    /// How long a handler in a worker, or the runtime of its process, may run until it is `Stalled`; the
    /// lease if nothing is said.
    pub const fn stalled_handler(mut self, threshold: Duration) -> Self {
        self.spec.stalled_handler = Some(threshold);
        self
    }

    /// What happens to ranks that have ended; nothing if nothing is said.
    pub const fn restart(mut self, restart: RestartConfig) -> Self {
        self.spec.config.restart = restart;
        self
    }

    /// Where the output of the ranks goes; nowhere if nothing is said, but the last lines of standard
    /// error are part of every failure.
    pub fn output(mut self, output: OutputSinks) -> Self {
        self.spec.output = output;
        self
    }

    /// Who is shown every step of the supervision, as it happens; nobody if nothing is said. With the
    /// feature `trace` there is one that writes a file which can be replayed.
    pub fn trace(mut self, trace: Box<dyn Trace<ProcReport>>) -> Self {
        self.spec.trace = Some(trace);
        self
    }

    /// Every rank runs this program, unmodified, with the variables of [`Program`].
    pub fn command<A: Into<OsString>>(
        self,
        program: impl Into<OsString>,
        args: impl IntoIterator<Item = A>,
    ) -> Spawnable<'a> {
        let master = (MASTER.0.to_owned(), MASTER.1);
        self.launcher(Program::new(Command::new(program, args), master))
    }

    /// Every rank is started as `launcher` says.
    pub fn launcher(self, launcher: impl Launcher + 'static) -> Spawnable<'a> {
        self.run(Run::Program { launcher: Arc::new(launcher), stdin: None, notify: None })
    }

    /// Every rank is this program again, as the worker registered under `entry`.
    pub fn worker(self, entry: impl Into<String>) -> Spawnable<'a> {
        self.run(Run::Worker { entry: entry.into(), ready_within: READY_WITHIN })
    }

    /// Every rank is what `run` says.
    pub fn run(self, run: Run) -> Spawnable<'a> {
        let Described { name, extent, surroundings, config, stalled_handler, output, trace } =
            self.spec;
        let spec =
            ProcSpec { name, extent, run, surroundings, config, stalled_handler, output, trace };
        Spawnable { control: self.root.control(), spec }
    }

    /// Every rank is this program again, as a home for the actors that it has registered.
    ///
    /// # Errors
    ///
    /// [`NetworkError`](crate::NetworkError) if this process cannot have sessions with them, or has such with another
    /// lease.
    #[cfg(feature = "actors")]
    pub fn actors(self) -> Result<SpawnableHomes<'a>, crate::NetworkError> {
        let ClientNetwork { network, seed, .. } =
            self.root.network(self.spec.config.times.lease)?;
        let proc = self.root.actors();
        let spawnable = self.run(Run::Actors { network, seed, ready_within: READY_WITHIN });
        Ok(SpawnableHomes { spawnable, proc })
    }
}

/// A mesh of processes for actors, of which all is known.
#[cfg(feature = "actors")]
#[derive(Debug)]
#[must_use = "it does nothing until it is spawned"]
pub struct SpawnableHomes<'a> {
    spawnable: Spawnable<'a>,
    proc: &'a mesh_runtime::Proc,
}

#[cfg(feature = "actors")]
impl SpawnableHomes<'_> {
    /// Spawns the mesh, and returns when every rank can be asked for actors.
    ///
    /// # Errors
    ///
    /// See [`SpawnError`]: nothing of the mesh is left then.
    pub async fn spawn(self, hosts: &HostMesh) -> Result<crate::Homes, SpawnError> {
        let mesh = self.spawnable.spawn(hosts).await?;
        match crate::Homes::new(mesh, self.proc) {
            Some(homes) => Ok(homes),
            None => unreachable!("it was spawned for actors"),
        }
    }
}

impl Spawnable<'_> {
    /// Spawns the mesh, and returns when every rank runs.
    ///
    /// # Errors
    ///
    /// See [`SpawnError`]: nothing of the mesh is left then.
    pub async fn spawn(self, hosts: &HostMesh) -> Result<ProcMesh, SpawnError> {
        ProcMesh::spawn(hosts, self.control, self.spec).await
    }

    /// Starts the mesh and returns at once; [`ProcMesh::ready`] waits for its ranks. For those who
    /// want to subscribe first, or to stop a mesh that is still starting.
    ///
    /// # Errors
    ///
    /// See [`SpawnError`]: nothing was started.
    pub async fn start(self, hosts: &HostMesh) -> Result<ProcMesh, SpawnError> {
        ProcMesh::start(hosts, self.control, self.spec).await
    }
}

impl fmt::Debug for Described {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Described")
            .field("name", &self.name)
            .field("extent", &self.extent)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
