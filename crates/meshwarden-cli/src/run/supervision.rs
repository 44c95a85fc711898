//! The owner of the mesh: told of failures and signals, decides when the rest is to stop.

use std::time::Duration;

use meshwarden::prelude::{ProcMesh, ProcNews, SpawnError};
use meshwarden::proc_mesh::HostMesh;
use tokio::task::JoinSet;

use crate::cli::complain;
use crate::config::{OnFailure, Settings};
use crate::run::outcome::Outcome;
use crate::run::signals::{Signal, Signals, suspend_self};

/// How a run ended.
pub(crate) enum Ended {
    /// With this exit code.
    Code(u8),
    /// Before all of its ranks could be started.
    NotSpawned(SpawnError),
}

/// Supervises the mesh until every rank has ended.
pub(crate) async fn supervise(
    mesh: &mut ProcMesh,
    hosts: &HostMesh,
    settings: &Settings,
    signals: &mut Signals,
) -> Ended {
    let mut owner = Owner {
        outcome: Outcome::default(),
        stops: JoinSet::new(),
        is_stopping: false,
        hosts,
        settings,
    };
    let stopper = mesh.controller().clone();
    // Until all are started, a signal may come, but no news is taken: the ranks that could not be
    // started are told together.
    loop {
        tokio::select! {
            ready = mesh.ready() => match ready {
                Ok(()) => break,
                Err(error) if owner.is_stopping => {
                    complain(format_args!("meshwarden: {error}"));
                    return Ended::Code(owner.outcome.exit_code());
                }
                Err(error) => return Ended::NotSpawned(error),
            },
            signal = signals.next() => owner.on_signal(signal, &stopper).await,
        }
    }
    loop {
        tokio::select! {
            news = mesh.next() => match news {
                Some(ProcNews::Failed(failures)) => owner.on_failed(&failures, &stopper),
                Some(ProcNews::Worker(_)) => (),
                Some(ProcNews::Finished(_)) | None => return Ended::Code(owner.outcome.exit_code()),
            },
            signal = signals.next() => owner.on_signal(signal, &stopper).await,
        }
    }
}

type Stopper = meshwarden::supervise::ControllerRef<meshwarden::proc_mesh::ProcReport>;

struct Owner<'a> {
    outcome: Outcome,
    /// Stops that are under way; they end with the mesh.
    stops: JoinSet<()>,
    is_stopping: bool,
    hosts: &'a HostMesh,
    settings: &'a Settings,
}

impl Owner<'_> {
    fn on_failed(&mut self, failures: &meshwarden::mesh_core::Failures, stopper: &Stopper) {
        complain(format_args!("{failures}"));
        self.outcome.failed(failures);
        if self.settings.on_failure == OnFailure::Stop
            && self.outcome.has_failed()
            && !self.is_stopping
        {
            complain(format_args!("meshwarden: stopping the other ranks (--on-failure stop)"));
            self.stop(stopper, self.settings.grace);
        }
    }

    async fn on_signal(&mut self, signal: Signal, stopper: &Stopper) {
        match signal {
            Signal::Stop(number) => {
                self.outcome.signaled(number);
                // Asked twice: at once.
                let grace = if self.is_stopping { Duration::ZERO } else { self.settings.grace };
                self.stop(stopper, grace);
            }
            Signal::Suspend => {
                self.hosts.suspend(true).await;
                // Returns when somebody continues us.
                suspend_self();
                self.hosts.suspend(false).await;
            }
        }
    }

    fn stop(&mut self, stopper: &Stopper, grace: Duration) {
        self.is_stopping = true;
        let stopper = stopper.clone();
        self.stops.spawn(async move {
            // The end of the mesh is told to its owner as well.
            _ = stopper.stop(grace).await.is_ok();
        });
    }
}
