//! The owner of the mesh: told of failures and signals, decides when the rest is to stop.

use std::time::Duration;

use meshwarden::mesh_core::{Failures, MeshPhase, MeshState, Reason, StopReason};
use meshwarden::mesh_shape::RankSet;
use meshwarden::prelude::{ProcMesh, ProcNews};
use meshwarden::proc_mesh::{HostMesh, ProcReport, Unkillable, WorkerNews};
use meshwarden::supervise::{AskError, ControllerRef};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::cli::USAGE;
use crate::config::{OnFailure, Settings};
use crate::console::Voice;
use crate::run::events::Entry;
use crate::run::outcome::Outcome;
use crate::run::signals::{Signal, Signals, suspend_self};

/// How long ranks have to end when their mesh could not be started as a whole.
const ROLLBACK: Duration = Duration::from_secs(2);

/// What a run stands on.
pub(crate) struct Scene<'a> {
    pub(crate) hosts: &'a HostMesh,
    pub(crate) settings: &'a Settings,
    pub(crate) voice: &'a Voice,
    /// Where the events are written, if they are.
    pub(crate) said: Option<mpsc::Sender<Entry>>,
}

/// How a supervision ended.
pub(crate) struct Supervised {
    pub(crate) code: u8,
    /// Every rank has ended, and everybody is told of that.
    pub(crate) is_finished: bool,
}

/// Supervises the mesh until every rank has ended, or has been given up.
pub(crate) async fn supervise(
    mesh: &mut ProcMesh,
    signals: &mut Signals,
    scene: Scene<'_>,
) -> Supervised {
    let readiness = mesh.readiness();
    tokio::pin!(readiness);
    let mut owner = Owner {
        scene,
        mesh: mesh.controller().clone(),
        outcome: Outcome::default(),
        refused: None,
        is_starting: true,
        is_stopping: false,
        stops: JoinSet::new(),
    };
    loop {
        tokio::select! {
            refused = &mut readiness, if owner.is_starting => owner.on_started(refused),
            news = mesh.next() => match news {
                Some(ProcNews::Failed(failures)) => owner.on_failed(&failures),
                Some(ProcNews::Worker(news)) => owner.on_said(news),
                Some(ProcNews::Unkillable(left)) => owner.on_unkillable(&left),
                Some(ProcNews::Finished(state)) => {
                    // All may have ended before it was known that some could not be started.
                    if owner.is_starting {
                        owner.on_started(readiness.await);
                    }
                    let has_failed = state.phase == MeshPhase::Failed;
                    let code = owner.exit_code().max(u8::from(has_failed));
                    return Supervised { code, is_finished: true };
                }
                None => {
                    owner.scene.voice.say(format_args!(
                        "meshwarden: its controller has ended before the mesh did; nothing is known"
                    ));
                    return Supervised { code: owner.exit_code().max(1), is_finished: false };
                }
            },
            signal = signals.next() => owner.on_signal(signal).await,
            Some(Ok(Some(state))) = owner.stops.join_next() => if owner.is_given_up(&state) {
                return Supervised { code: owner.exit_code().max(1), is_finished: false };
            },
        }
    }
}

struct Owner<'a> {
    scene: Scene<'a>,
    mesh: ControllerRef<ProcReport>,
    outcome: Outcome,
    /// The ranks that could not be started, if that is why the mesh is stopped.
    refused: Option<RankSet>,
    /// Some ranks have not been started yet, or are not known to be.
    is_starting: bool,
    is_stopping: bool,
    /// Stops that are under way, with what became of the ranks.
    stops: JoinSet<Option<MeshState>>,
}

impl Owner<'_> {
    /// Every rank runs, has ended, or could not be started: then nothing is to be left (C4).
    fn on_started(&mut self, refused: Result<RankSet, AskError>) {
        self.is_starting = false;
        if let Some(refused) = refused.ok().filter(|refused| !refused.is_empty())
            && !self.is_stopping
        {
            self.refused = Some(refused);
            self.stop(ROLLBACK, "not every rank could be started");
        }
    }

    /// Those that could not be started are waited for together; any other failure counts at once.
    fn on_failed(&mut self, failures: &Failures) {
        let is_refusal = self.is_starting
            && failures.changes.iter().all(|it| {
                it.status.cause().is_some_and(|cause| matches!(cause.reason, Reason::Launch { .. }))
            });
        self.outcome.failed(failures);
        let is_stop = self.scene.settings.on_failure == OnFailure::Stop;
        let stops = is_stop && self.outcome.has_failed() && !self.is_stopping && !is_refusal;
        if stops {
            self.stop(self.scene.settings.grace, "a rank has failed (--on-failure stop)");
        }
        self.scene.voice.say(format_args!("{failures}"));
        if stops {
            self.scene
                .voice
                .say(format_args!("meshwarden: stopping the other ranks (--on-failure stop)"));
        }
    }

    /// While the ranks start, one is killed because it was not ready in time: it will never be (C4).
    fn on_unkillable(&mut self, left: &Unkillable) {
        self.scene.voice.say(format_args!("meshwarden: {left}"));
        if self.is_starting && !self.is_stopping {
            self.stop(ROLLBACK, "a rank that was not ready in time cannot be killed");
        }
    }

    /// A rank says how it is. A file that is slow is told a later one.
    fn on_said(&self, news: WorkerNews) {
        if let (Some(events), WorkerNews::Status { rank, incarnation, text, is_stopping }) =
            (&self.scene.said, news)
        {
            _ = events.try_send(Entry::Said { rank, incarnation, text, is_stopping }).is_ok();
        }
    }

    async fn on_signal(&mut self, signal: Signal) {
        match signal {
            Signal::Stop(number) => {
                self.outcome.signaled(number);
                if self.is_stopping {
                    // Asked twice: at once.
                    let mesh = self.mesh.clone();
                    self.stops.spawn(async move { mesh.kill().await.ok() });
                } else {
                    self.stop(self.scene.settings.grace, &format!("asked by signal {number}"));
                }
            }
            Signal::Suspend => {
                self.scene.hosts.suspend(true).await;
                // Returns when somebody continues us.
                suspend_self();
                self.scene.hosts.suspend(false).await;
            }
        }
    }

    fn stop(&mut self, grace: Duration, reason: &str) {
        self.is_stopping = true;
        let (mesh, reason) = (self.mesh.clone(), StopReason::new(reason));
        self.stops.spawn(async move { mesh.stop_because(reason, grace).await.ok() });
    }

    /// Whether a stop has come back with ranks that live: they could not be killed, and nobody waits
    /// for them for ever. The end of a mesh that has ended is told to its owner as well.
    fn is_given_up(&self, state: &MeshState) -> bool {
        let living = state.ranks.ranks_where(|rank| !rank.status.is_terminal());
        if !living.is_empty() {
            self.scene
                .voice
                .say(format_args!("meshwarden: these ranks cannot be killed: {living}"));
        }
        !living.is_empty()
    }

    fn exit_code(&self) -> u8 {
        let Some(refused) = &self.refused else { return self.outcome.exit_code() };
        self.scene.voice.say(format_args!(
            "meshwarden: {} of the ranks could not be started; the others were stopped, nothing is \
             left running",
            refused.len()
        ));
        USAGE
    }
}
