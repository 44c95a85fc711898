//! `ProcSpec`: what a mesh of processes is to be.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use controller::Config;
use mesh_core::{Launcher, MeshLabel, Surroundings};
use mesh_runtime::Network;
use mesh_shape::Extent;
use supervise::Trace;
use tokio::sync::mpsc;

use super::WorkerNews;
use crate::host::{Launch, ProgramRole, Role, WorkerRole};
use crate::launcher::Workers;
use crate::notify::Notify;
use crate::output::OutputSinks;
use crate::report::ProcReport;
use crate::roster::Roster;
use crate::stdin::Stdin;
use crate::worker::ACTORS_ENTRY;

/// What a mesh of processes is to be.
pub struct ProcSpec {
    /// The name in reports, metrics and the ranks' environment.
    pub name: String,
    /// The shape. If it has a dim `hosts`, each of its coordinates is a host.
    pub extent: Extent,
    /// What each process is.
    pub run: Run,
    /// What each process is started in.
    pub surroundings: Surroundings,
    /// Times and restarts.
    pub config: Config,
    /// How long a handler in a worker, or the runtime of its process, may run until it is `Stalled`; the
    /// lease if `None`. Programs have no handlers.
    pub stalled_handler: Option<Duration>,
    /// Where the output goes.
    pub output: OutputSinks,
    /// Who is shown every step of its supervision, if anybody.
    pub trace: Option<Box<dyn Trace<ProcReport>>>,
}

/// What each process of a mesh is.
#[derive(Clone)]
pub enum Run {
    /// Any program.
    Program {
        /// How it is started.
        launcher: Arc<dyn Launcher>,
        /// The rank that has a standard input, and which; the others read `/dev/null`.
        stdin: Option<Stdin>,
        /// How it is to speak for itself, by systemd's protocol; it is not offered that if `None`.
        notify: Option<Notify>,
    },
    /// This program again, as the worker registered under a name.
    Worker {
        /// The name.
        entry: String,
        /// How long each worker may take to be ready.
        ready_within: Duration,
    },
    /// This program again, as a home for actors: as what was registered with
    /// [`Registry::actors`](crate::Registry::actors).
    Actors {
        /// The sessions of this process: it opens some with every worker.
        network: Network,
        /// What the workers are told that only the program understands. It may be secret.
        seed: Bytes,
        /// How long each worker may take to be ready.
        ready_within: Duration,
    },
}

impl fmt::Debug for ProcSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcSpec")
            .field("name", &self.name)
            .field("extent", &self.extent)
            .field("run", &self.run)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program { launcher, .. } => {
                f.debug_struct("Program").field("launcher", launcher).finish_non_exhaustive()
            }
            Self::Worker { entry, .. } => {
                f.debug_struct("Worker").field("entry", entry).finish_non_exhaustive()
            }
            // What they are told may be secret.
            Self::Actors { .. } => f.debug_struct("Actors").finish_non_exhaustive(),
        }
    }
}

impl Run {
    /// Whether a process runs when it says so, and not as soon as it is started.
    pub(super) fn says_that_it_is_ready(&self) -> bool {
        match self {
            Self::Program { notify, .. } => notify.is_some_and(|it| it.ready_within.is_some()),
            Self::Worker { .. } | Self::Actors { .. } => true,
        }
    }

    /// Where the workers' actors will be found, if they have some.
    pub(super) fn roster(&self, label: &MeshLabel) -> Option<Arc<Roster>> {
        match self {
            Self::Actors { network, .. } => {
                Some(Arc::new(Roster::new(label.clone(), network.clone())))
            }
            Self::Program { .. } | Self::Worker { .. } => None,
        }
    }

    pub(super) fn launch(
        &self,
        news: &mpsc::Sender<WorkerNews>,
        roster: Option<Arc<Roster>>,
        surroundings: Surroundings,
    ) -> Launch {
        let worker = |entry: &str, seed: Bytes, ready_within, surroundings| Launch {
            launcher: Arc::new(Workers::new()),
            surroundings,
            role: Role::Worker(WorkerRole {
                entry: entry.to_owned(),
                seed,
                ready_within,
                news: news.downgrade(),
                roster: roster.clone(),
            }),
        };
        match self {
            Self::Program { launcher, stdin, notify } => Launch {
                launcher: Arc::clone(launcher),
                surroundings,
                role: Role::Program(ProgramRole {
                    stdin: stdin.clone(),
                    notify: *notify,
                    news: news.downgrade(),
                }),
            },
            Self::Worker { entry, ready_within } => {
                worker(entry, Bytes::new(), *ready_within, surroundings)
            }
            Self::Actors { seed, ready_within, .. } => {
                worker(ACTORS_ENTRY, seed.clone(), *ready_within, surroundings)
            }
        }
    }
}
