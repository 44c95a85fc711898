//! The start of a program: which part it plays, and what it stands on.

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use mesh_runtime::{
    ChildFailure, ControlThread, Origin, Proc, ProcConfig, Sender, ThreadError, backtraces_logged,
};
use mesh_shape::Extent;
use proc_mesh::guard_link::GuardError;
use proc_mesh::{Bootstrap, HostMesh, bootstrap};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::builder::ProcMeshBuilder;
use crate::registry::Registry;

/// What a client may end with: any error. Its chain of causes is printed, and the exit code is 1.
pub type ClientError = Box<dyn Error + Send + Sync>;

/// What the client of a program stands on: the thread that supervises, the one that reads output, and
/// the actors of this process.
#[derive(Debug)]
pub struct Root {
    control: ControlThread,
    output: ControlThread,
    actors: Proc,
    #[cfg(feature = "actors")]
    registry: actor_mesh::ActorRegistry,
    /// Made when the first mesh of processes is spawned for actors.
    #[cfg(feature = "actors")]
    network: std::sync::Mutex<Option<crate::actors::ClientNetwork>>,
}

/// Where the first failure comes out that no actor has handled.
type Unhandled = mpsc::Receiver<ChildFailure>;

/// The whole `main` of a program. Call it before anything else.
///
/// `register` names what this program can be as a worker; `client` is the program itself, which runs
/// on a runtime with one worker thread. Where the program was started as a guard or a worker, it plays
/// that part and never enters `client`.
///
/// A failure of an actor that no actor handles ends the program: the other actors are ended, the failure
/// is printed once, root cause first, `client` is dropped, and with it what it owns, and the exit code is
/// 1 (E2).
///
/// # Examples
///
/// ```no_run
/// use std::process::ExitCode;
///
/// fn main() -> ExitCode {
///     meshwarden::main(|_| (), async |root| {
///         let hosts = root.hosts(1).await?;
///         let extent = "procs=4".parse()?;
///         let mesh = root.procs(extent).command("sleep", ["1"]).spawn(&hosts).await?;
///         println!("{} runs", mesh.label());
///         Ok(ExitCode::SUCCESS)
///     })
/// }
/// ```
pub fn main<F>(register: impl FnOnce(&mut Registry), client: F) -> ExitCode
where
    F: AsyncFnOnce(Root) -> Result<ExitCode, ClientError>,
{
    // A process is one thing only: it is called once, by whichever it is.
    let mut register = Some(register);
    let result = match bootstrap(|workers| become_worker(workers, register.take())) {
        Bootstrap::Ended(code) => return code,
        Bootstrap::Refused(error) => Err(error.into()),
        Bootstrap::Client => {
            let mut registry = Registry::new();
            if let Some(register) = register {
                register(&mut registry);
            }
            run(client, registry)
        }
    };
    result.unwrap_or_else(|error| {
        report(&*error);
        ExitCode::FAILURE
    })
}

/// Registers what this process can be, now that it is a worker.
fn become_worker(workers: &mut proc_mesh::Registry, register: Option<impl FnOnce(&mut Registry)>) {
    let mut registry = Registry::new();
    if let Some(register) = register {
        register(&mut registry);
    }
    *workers = registry.workers;
    #[cfg(feature = "actors")]
    workers.actors(move |worker, announce| crate::actors::home(worker, announce, registry.actors));
}

fn run<F>(client: F, registry: Registry) -> Result<ExitCode, ClientError>
where
    F: AsyncFnOnce(Root) -> Result<ExitCode, ClientError>,
{
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let (root, mut unhandled) = Root::start(runtime.handle(), registry)?;
    let actors = root.actors.clone();
    let result = runtime.block_on(async {
        tokio::select! {
            biased;
            Some(failure) = unhandled.recv() => {
                // That they cannot be ended is no reason to stay: the process ends.
                _ = actors.stop(ACTORS_WITHIN).await.is_ok();
                _ = writeln!(io::stderr(), "{}", failure.report()).is_ok();
                Ok(ExitCode::FAILURE)
            }
            result = client(root) => {
                _ = actors.stop(ACTORS_WITHIN).await.is_ok();
                result
            }
        }
    });
    backtraces_logged(LOGGED_WITHIN);
    result
}

/// Prints an error and what caused it. There is nobody left to tell if that fails.
pub(crate) fn report(error: &(dyn Error + 'static)) {
    let mut stderr = io::stderr().lock();
    let mut text = format!("error: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!("\n  caused by: {cause}"));
        source = cause.source();
    }
    _ = writeln!(stderr, "{text}").is_ok();
}

impl Root {
    /// Starts the threads.
    ///
    /// # Errors
    ///
    /// [`ThreadError`] if the system has none left.
    fn start(runtime: &Handle, registry: Registry) -> Result<(Self, Unhandled), ThreadError> {
        // One is enough: the first that nobody handles ends the program.
        let (failed, unhandled) = mpsc::channel(1);
        let control = ControlThread::start("meshwarden-control")?;
        let mut config = ProcConfig::local();
        config.control = Some(control.handle().clone());
        config.on_failure = Box::new(move |failure| _ = failed.try_send(failure.clone()).is_ok());
        let root = Self {
            control,
            output: ControlThread::start("meshwarden-output")?,
            actors: Proc::start(config, runtime.clone()),
            #[cfg(feature = "actors")]
            registry: registry.actors,
            #[cfg(feature = "actors")]
            network: std::sync::Mutex::default(),
        };
        #[cfg(not(feature = "actors"))]
        drop(registry);
        Ok((root, unhandled))
    }

    /// The actors of this process: they are spawned here, and run on the runtime of the client. They are
    /// ended with it.
    ///
    /// # Examples
    ///
    /// See [`mesh_runtime::Actor`], with `root.actors()` in the place of its `proc`.
    #[must_use]
    pub const fn actors(&self) -> &Proc {
        &self.actors
    }

    /// Starts `n_hosts` hosts in this process, each with a guard. Everything that runs on them ends
    /// with them: at [`close`](HostMesh::close), and when this process ends, however it does. Dropped, they are
    /// there until no mesh of theirs is left.
    ///
    /// # Errors
    ///
    /// [`GuardError`] if a guard could not be started; nothing is left then.
    pub async fn hosts(&self, n_hosts: usize) -> Result<HostMesh, GuardError> {
        HostMesh::local(n_hosts, &self.control, self.output.handle()).await
    }

    /// Describes a mesh of processes of this shape, to be spawned on hosts.
    ///
    /// If the shape has a dim `hosts`, each of its coordinates is a host; otherwise there may be one host only.
    pub fn procs(&self, extent: Extent) -> ProcMeshBuilder<'_> {
        ProcMeshBuilder::new(self, extent)
    }

    /// The sessions with workers, for all meshes of this program: its actors find each other. So the times of all
    /// are those of one lease.
    #[cfg(feature = "actors")]
    pub(crate) fn network(
        &self,
        lease: Duration,
    ) -> Result<crate::actors::ClientNetwork, crate::NetworkError> {
        use crate::NetworkError;
        use crate::actors::ClientNetwork;

        // A lock that is poisoned is as good as any: it is written to in one step.
        let mut network = self.network.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(network) = &*network {
            let first = network.lease;
            let other = NetworkError::OtherLease { first, lease };
            return if lease == first { Ok(network.clone()) } else { Err(other) };
        }
        let new = ClientNetwork::new(&self.actors, &self.registry, lease)?;
        Ok(network.insert(new).clone())
    }

    /// The thread that reads the output of ranks, and serves what may wait.
    #[must_use]
    pub const fn output(&self) -> &ControlThread {
        &self.output
    }

    /// The thread that supervises.
    #[must_use]
    pub const fn control(&self) -> &ControlThread {
        &self.control
    }
}

/// Sends in the name of the program.
impl Sender for Root {
    fn origin(&self) -> Origin<'_> {
        self.actors.origin()
    }
}

/// How long the names of a backtrace may take to be looked up in a program that ends because of a panic.
pub(crate) const LOGGED_WITHIN: Duration = Duration::from_secs(2);

/// How long the actors of a program that ends may take to end.
const ACTORS_WITHIN: Duration = Duration::from_secs(2);

#[cfg(all(test, feature = "actors"))]
mod tests {
    use super::*;
    use crate::NetworkError;

    #[tokio::test]
    async fn meshes_of_actors_whose_leases_differ_are_refused() {
        let (root, _unhandled) = Root::start(&Handle::current(), Registry::new()).unwrap();
        let (first, lease) = (Duration::from_secs(10), Duration::from_secs(20));
        assert!(root.network(first).is_ok());
        assert_eq!(root.network(lease).err(), Some(NetworkError::OtherLease { first, lease }));
        assert!(root.network(first).is_ok());
    }
}
