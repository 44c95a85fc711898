//! The driver: owner of the mesh, which injects what the plan says and waits until all have seen it.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use meshwarden::Root;
use meshwarden::controller::{RestartConfig, RestartPolicy, Times};
use meshwarden::mesh_core::{Incarnation, Interest, MeshEvent, MeshId, News, Timestamp};
use meshwarden::mesh_shape::{Extent, Rank};
use meshwarden::prelude::{HostMesh, ProcMesh, ProcNews, WorkerNews};
use meshwarden::proc_mesh::{Census, ProcSeat};
use meshwarden::supervise::{Clock, MeshEvents};
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::VICTIM;
use crate::ledger::{Ledger, Observer};
use crate::plan::{Deed, Plan};

/// The owner of the mesh and what it keeps.
pub(crate) struct Driver<'a> {
    mesh: ProcMesh,
    clock: Clock,
    ledger: &'a mut Ledger,
    census: &'a mut Census,
    seen: mpsc::Receiver<Seen>,
}

/// What a subscriber was told, and when it had it in hand.
struct Seen {
    observer: Observer,
    at: Timestamp,
    event: MeshEvent,
}

/// What the driver woke up for.
enum Woken {
    Owner(Timestamp, Option<ProcNews>),
    Subscriber(Seen),
}

impl<'a> Driver<'a> {
    /// Spawns the mesh, and a task for each subscriber.
    ///
    /// # Errors
    ///
    /// If it cannot be spawned; nothing of it is left then.
    pub(crate) async fn spawn(
        (root, hosts): (&Root, &HostMesh),
        extent: Extent,
        ledger: &'a mut Ledger,
        census: &'a mut Census,
    ) -> Result<Self> {
        let spawning =
            root.procs(extent).name("chaos").restart(RESTART).worker(VICTIM).spawn(hosts);
        let mesh = patiently("the mesh to start", spawning).await??;
        let clock = Clock::start();
        let (told, seen) = mpsc::channel(SEEN);
        for (observer, interest) in
            [(Observer::Terminal, Interest::Terminal), (Observer::All, Interest::All)]
        {
            let events = mesh.subscribe(interest).await?;
            tokio::spawn(watch(observer, events, clock, told.clone()));
        }
        Ok(Self { mesh, clock, ledger, census, seen })
    }

    /// The mesh.
    pub(crate) fn id(&self) -> MeshId {
        self.mesh.label().id()
    }

    /// Injects every fault of the plan, and stops the mesh.
    ///
    /// # Errors
    ///
    /// If something that was awaited has not happened in time. The ledger has what did.
    pub(crate) async fn run(mut self, mut plan: Plan) -> Result<()> {
        let begun = async {
            while self.ledger.n_ready() < self.mesh.extent().size() {
                ensure!(self.hear().await, ENDED);
            }
            Ok(())
        };
        patiently("every rank to begin", begun).await.flatten()?;
        loop {
            let deeds = plan.round();
            if deeds.is_empty() {
                break;
            }
            self.round(&deeds).await?;
        }
        self.stop().await
    }

    async fn round(&mut self, deeds: &[(Rank, Deed)]) -> Result<()> {
        let seats = self.seats().await;
        self.ledger.begin_round();
        let mut suspended = Vec::new();
        for (rank, deed) in deeds {
            let seat = seats.iter().find(|seat| seat.rank == *rank);
            let seat = seat.with_context(|| format!("rank {rank} has no process"))?;
            self.inject(seat, *deed).await?;
            suspended.extend((*deed == Deed::Suspend).then_some(*seat));
        }
        let settling = self.settle(deeds, suspended);
        patiently(&format!("all to be told of {deeds:?}"), settling).await?
    }

    /// Where the ranks sit now; the census is to know them.
    async fn seats(&mut self) -> Vec<ProcSeat> {
        let seats = self.mesh.seats().await;
        for seat in &seats {
            self.census.seat(seat.pid);
        }
        seats
    }

    /// Hears until all have seen what was done, and lets go on what was seen suspended.
    async fn settle(&mut self, deeds: &[(Rank, Deed)], mut suspended: Vec<ProcSeat>) -> Result<()> {
        while !deeds.iter().all(|(rank, deed)| self.ledger.is_settled(*rank, *deed)) {
            ensure!(self.hear().await, ENDED);
            let ledger = &self.ledger;
            let is_seen = |seat: &mut ProcSeat| ledger.is_seen_suspended(seat.rank);
            let seen: Vec<ProcSeat> = suspended.extract_if(.., is_seen).collect();
            for seat in seen {
                self.ledger.continued(self.clock.now(), seat.rank);
                signal(&seat, Signal::CONT)?;
            }
        }
        Ok(())
    }

    async fn inject(&mut self, seat: &ProcSeat, deed: Deed) -> Result<()> {
        let hit = self.ledger.injected(self.clock.now(), seat.rank, deed);
        self.expect_life(seat, hit)?;
        match deed {
            Deed::Kill => signal(seat, Signal::KILL),
            Deed::Terminate => signal(seat, Signal::TERM),
            Deed::Suspend => signal(seat, Signal::STOP),
            Deed::Exit(code) => {
                let order = format!("exit {code}").into_bytes();
                let told = patiently("a message to be taken", self.mesh.send(seat.rank, order));
                let told = told.await??;
                self.expect_life(seat, Some(told))
            }
        }
    }

    /// What is done must be done to the life that the ledger has it of.
    fn expect_life(&self, seat: &ProcSeat, found: Option<Incarnation>) -> Result<()> {
        if found == Some(seat.incarnation) {
            return Ok(());
        }
        let ProcSeat { rank, incarnation, .. } = seat;
        bail!("rank {rank} was to be hit in its life {incarnation}, and was in {found:?}")
    }

    /// Lets a check of the controller go by, in which what was told could be told again; then stops
    /// the mesh and hears it out.
    async fn stop(&mut self) -> Result<()> {
        let quiet = async { while self.hear().await {} };
        ensure!(timeout(Times::local().check * 2, quiet).await.is_err(), ENDED);
        _ = self.seats().await;
        self.ledger.stopped(self.clock.now());
        patiently("the mesh to stop", self.mesh.stop(GRACE)).await??;
        let last = async {
            while self.hear().await {}
            // The owner has heard the last; the subscribers are to hear it too.
            while let Some(seen) = self.seen.recv().await {
                self.on_seen(seen);
            }
        };
        patiently("the last events", last).await
    }

    /// Hears one thing; `false` if the owner has heard the last.
    async fn hear(&mut self) -> bool {
        let Self { mesh, clock, seen, .. } = self;
        let woken = tokio::select! {
            news = mesh.next() => Woken::Owner(clock.now(), news),
            Some(seen) = seen.recv() => Woken::Subscriber(seen),
        };
        match woken {
            Woken::Owner(at, Some(ProcNews::Failed(failures))) => {
                for change in &failures.changes {
                    self.ledger.on_change(Observer::Owner, at, change);
                }
            }
            Woken::Owner(_, Some(ProcNews::Worker(WorkerNews::Ready { rank, incarnation }))) => {
                self.ledger.on_ready(rank, incarnation);
            }
            Woken::Owner(
                _,
                Some(ProcNews::Worker(
                    WorkerNews::Message { rank, .. } | WorkerNews::Status { rank, .. },
                )),
            ) => {
                self.ledger.on_oddity(format!("rank {rank} has said something"));
            }
            Woken::Owner(_, Some(ProcNews::Unkillable(left))) => {
                self.ledger.on_oddity(left.to_string());
            }
            Woken::Owner(_, Some(ProcNews::Finished(_)) | None) => return false,
            Woken::Subscriber(seen) => self.on_seen(seen),
        }
        true
    }

    fn on_seen(&mut self, seen: Seen) {
        let Seen { observer, at, event } = seen;
        match event.news {
            News::Changed(changes) => {
                for change in changes.iter() {
                    self.ledger.on_change(observer, at, change);
                }
            }
            News::Snapshot(snapshot) if snapshot.lagged => {
                self.ledger.on_oddity(format!("the {} has lagged", observer.label()));
            }
            News::Trouble(trouble) => {
                self.ledger.on_oddity(format!("the {} heard: {trouble}", observer.label()));
            }
            News::Snapshot(_)
            | News::Heartbeat { .. }
            | News::Escalated(_)
            | News::Stopping
            | News::Closed => (),
        }
    }
}

/// A subscriber: passes on what it is told, with the time at which it had it.
async fn watch(observer: Observer, mut events: MeshEvents, clock: Clock, told: mpsc::Sender<Seen>) {
    while let Some(event) = events.next().await {
        let at = clock.now();
        if told.send(Seen { observer, at, event }).await.is_err() {
            return;
        }
    }
}

fn signal(seat: &ProcSeat, signal: Signal) -> Result<()> {
    let pid = i32::try_from(seat.pid).ok().and_then(Pid::from_raw).context("there is no pid")?;
    kill_process(pid, signal).with_context(|| format!("rank {} cannot be signalled", seat.rank))
}

/// Waits, but not for ever.
async fn patiently<T>(what: &str, future: impl Future<Output = T>) -> Result<T> {
    let waited = timeout(PATIENCE, future).await;
    waited.or_else(|_| bail!("waited {} s in vain for {what}", PATIENCE.as_secs()))
}

/// Every end leads to a restart, at once, as often as it takes.
const RESTART: RestartConfig = RestartConfig {
    policy: RestartPolicy::Permanent,
    max_restarts: u32::MAX,
    period: Some(Duration::from_secs(60)),
    backoff_min: Duration::from_millis(10),
    backoff_max: Duration::from_millis(20),
    ..RestartConfig::NEVER
};
/// What should not happen to a mesh whose ranks are always restarted.
const ENDED: &str = "the mesh has ended by itself";
/// How long anything may take until it happens.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long ranks have to end when they are asked to.
const GRACE: Duration = Duration::from_secs(5);
/// Events that may wait for the driver.
const SEEN: usize = 1_024;
