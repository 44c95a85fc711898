//! The driver: owner of the mesh, which injects what the plan says and waits until all have seen it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use meshwarden::Root;
use meshwarden::controller::{RestartConfig, RestartPolicy, Times};
use meshwarden::mesh_core::{Incarnation, MeshId, News, Surroundings, Timestamp, Trouble};
use meshwarden::mesh_shape::{Extent, Rank};
use meshwarden::prelude::{HostMesh, ProcMesh, ProcNews, WorkerNews};
use meshwarden::proc_mesh::{Census, ProcSeat};
use meshwarden::supervise::Clock;
use rustix::process::Signal;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::floor::Floor;
use crate::inject::{Blow, Injection};
use crate::kind::{Deed, Kind};
use crate::ledger::{IsHogged, Ledger, Observer};
use crate::plan::{Plan, Step};
use crate::processes::{descendants, parent, signal, until_gone};
use crate::programs::Programs;
use crate::subscriber::{self, Seen};
use crate::victim::{Order, VICTIM};

/// The owner of the mesh and what it keeps.
pub(crate) struct Driver<'a> {
    mesh: ProcMesh,
    clock: Clock,
    floor: &'a Floor,
    ledger: &'a mut Ledger,
    programs: &'a mut Programs,
    census: &'a mut Census,
    seen: mpsc::Receiver<Seen>,
    /// Where ranks leave their cores.
    cores: PathBuf,
    /// How many workers have said that they have left processes behind.
    n_littered: usize,
}

/// What a driver writes into.
pub(crate) struct Books<'a> {
    pub(crate) floor: &'a Floor,
    pub(crate) ledger: &'a mut Ledger,
    pub(crate) programs: &'a mut Programs,
    pub(crate) census: &'a mut Census,
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
        (extent, surroundings): (Extent, Surroundings),
        books: Books<'a>,
    ) -> Result<Self> {
        let Books { floor, ledger, programs, census } = books;
        let cores = surroundings.dir.clone().context("ranks need a directory")?;
        let mesh =
            root.procs(extent).name("chaos").restart(RESTART).times(TIMES).stalled_handler(FROZEN);
        let spawning = mesh.surroundings(surroundings).worker(VICTIM).spawn(hosts);
        let mesh = patiently("the mesh to start", spawning).await??;
        let clock = Clock::start();
        let (told, seen) = mpsc::channel(SEEN);
        for observer in [Observer::Terminal, Observer::All] {
            let events = mesh.subscribe(observer.interest()).await?;
            tokio::spawn(subscriber::watch(observer, events, clock, told.clone()));
        }
        let n_littered = 0;
        Ok(Self { mesh, clock, floor, ledger, programs, census, seen, cores, n_littered })
    }

    /// The mesh.
    pub(crate) fn id(&self) -> MeshId {
        self.mesh.label().id()
    }

    /// Waits until every rank has begun.
    ///
    /// # Errors
    ///
    /// If one does not in time.
    pub(crate) async fn begin(&mut self) -> Result<()> {
        let begun = async {
            while self.ledger.n_ready() < self.mesh.extent().size() {
                ensure!(self.hear().await, ENDED);
            }
            Ok(())
        };
        patiently("every rank to begin", begun).await.flatten()
    }

    /// Injects every fault that the plan has now, with or without hogs.
    ///
    /// # Errors
    ///
    /// If something that was awaited has not happened in time. The ledger has what did.
    pub(crate) async fn run(&mut self, plan: &mut Plan, is_hogged: IsHogged) -> Result<()> {
        self.ledger.begin_phase(is_hogged);
        self.programs.begin_phase(is_hogged);
        while let Some(step) = plan.step() {
            match step {
                Step::Deeds(deeds) => self.deeds(&deeds).await?,
                Step::Guard(rank) => self.guard(rank).await?,
                Step::Program(program) => self.programs.start(program),
            }
        }
        // What happens meanwhile is heard.
        loop {
            let Self { mesh, clock, seen, programs, .. } = self;
            let woken = tokio::select! {
                is_left = programs.next() => match is_left {
                    true => continue,
                    false => return Ok(()),
                },
                woken = woken(mesh, *clock, seen) => woken,
            };
            ensure!(self.on_woken(woken), ENDED);
        }
    }

    async fn deeds(&mut self, deeds: &[(Rank, Deed)]) -> Result<()> {
        let seats = self.seats().await;
        let mut injections = Vec::with_capacity(deeds.len());
        for (rank, deed) in deeds {
            let seat = seats.iter().find(|seat| seat.rank == *rank);
            let seat = seat.with_context(|| format!("rank {rank} has no process"))?;
            let sample = self.floor.sample(deed.kind()).await?;
            self.ledger.on_floor(&sample);
            let rest = (sample.dumped, self.clock);
            injections.push(Injection::prepare(*seat, *deed, rest).await?);
        }
        self.ledger.begin_round();
        let mut ends = Vec::new();
        for injection in &mut injections {
            let id = self.inject(injection).await?;
            ends.extend(injection.end.take().map(|end| (id, end)));
        }
        let settling = self.settle(injections);
        patiently(&format!("all to be told of {deeds:?}"), settling).await??;
        for (id, end) in ends {
            // Everybody was told of its end; who was waiting for it will say so.
            let at = patiently("a process to end that was told as ended", end).await?;
            self.ledger.ended(id, at.context("nobody has seen a process end")?);
        }
        remove_files(&self.cores)
    }

    /// Kills the guard of a rank. Its ranks are told as lost, and nothing that they have started is left.
    async fn guard(&mut self, rank: Rank) -> Result<()> {
        let seats = self.seats().await;
        let seat = seats.iter().find(|seat| seat.rank == rank);
        let seat = seat.with_context(|| format!("rank {rank} has no process"))?;
        let guard = parent(seat.pid).context("a rank has no guard")?;
        let its: Vec<&ProcSeat> =
            seats.iter().filter(|seat| parent(seat.pid) == Some(guard)).collect();
        self.n_littered = 0;
        for seat in &its {
            self.order(seat, Order::Litter).await?;
        }
        let littering = async {
            while self.n_littered < its.len() {
                ensure!(self.hear().await, ENDED);
            }
            Ok(())
        };
        patiently("workers to leave something behind", littering).await??;
        let family = descendants(guard);
        ensure!(family.len() >= its.len() * 3, "workers have left nothing behind");
        let sample = self.floor.sample(Kind::GuardKill).await?;
        self.ledger.on_floor(&sample);

        self.ledger.begin_round();
        self.ledger.begin_guard();
        let at = self.clock.now();
        for seat in &its {
            let hit = self.ledger.guard_killed(at, seat.rank);
            expect_life(seat, hit.map(|(_, life)| life))?;
        }
        signal(guard, Signal::KILL)?;
        patiently("all to be told of a guard", self.settle(Vec::new())).await??;
        let left = until_gone(family, GONE).await;
        if !left.is_empty() {
            self.ledger.on_oddity(format!("{left:?} have outlived their guard {guard}"));
        }
        Ok(())
    }

    /// Where the ranks sit now; the census is to know them.
    async fn seats(&mut self) -> Vec<ProcSeat> {
        let seats = self.mesh.seats().await;
        for seat in &seats {
            self.census.seat(seat.pid);
        }
        seats
    }

    /// Hears until all have seen what was done, and lets go on what was seen held up.
    async fn settle(&mut self, injections: Vec<Injection>) -> Result<()> {
        let mut held: Vec<Injection> =
            injections.into_iter().filter(|it| it.deed.relief().is_some()).collect();
        while !held.is_empty() || !self.ledger.is_settled() {
            ensure!(self.hear().await, ENDED);
            let ledger = &self.ledger;
            let is_seen = |it: &mut Injection| ledger.is_seen_held(it.seat.rank);
            let seen: Vec<Injection> = held.extract_if(.., is_seen).collect();
            for mut injection in seen {
                if let Some(relief) = injection.deed.relief() {
                    self.ledger.continued(self.clock.now(), injection.seat.rank, relief);
                }
                injection.relieve()?;
            }
        }
        Ok(())
    }

    /// Does it, and gives back the number of the fault.
    async fn inject(&mut self, injection: &mut Injection) -> Result<u64> {
        let Injection { seat, deed, dumps, .. } = *injection;
        let hit = self.ledger.injected(self.clock.now(), seat.rank, (deed, dumps));
        let (id, life) = hit.unzip();
        expect_life(&seat, life)?;
        match injection.blow() {
            Blow::Signal(signal) => injection.signal(signal)?,
            Blow::Order(order) => self.order(&seat, order).await?,
            Blow::Freeze => injection.freeze()?,
        }
        id.context("it was hit")
    }

    async fn order(&self, seat: &ProcSeat, order: Order) -> Result<()> {
        let sending = self.mesh.send(seat.rank, order.encode());
        let told = patiently("a message to be taken", sending).await??;
        expect_life(seat, Some(told))
    }

    /// Lets a check of the controller go by, in which what was told could be told again; then stops
    /// the mesh and hears it out.
    ///
    /// # Errors
    ///
    /// If it does not stop in time.
    pub(crate) async fn stop(mut self) -> Result<()> {
        self.ledger.begin_phase(false);
        let quiet = async { while self.hear().await {} };
        ensure!(timeout(TIMES.check * 2, quiet).await.is_err(), ENDED);
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
        let woken = woken(mesh, *clock, seen).await;
        self.on_woken(woken)
    }

    fn on_woken(&mut self, woken: Woken) -> bool {
        match woken {
            Woken::Owner(at, Some(ProcNews::Failed(failures))) => {
                for change in &failures.changes {
                    self.ledger.on_change(Observer::Owner, at, change);
                }
            }
            Woken::Owner(_, Some(ProcNews::Worker(news))) => self.on_worker(news),
            Woken::Owner(_, Some(ProcNews::Unkillable(left))) => {
                self.ledger.on_oddity(left.to_string());
            }
            Woken::Owner(_, Some(ProcNews::Finished(_)) | None) => return false,
            Woken::Subscriber(seen) => self.on_seen(seen),
        }
        true
    }

    fn on_worker(&mut self, news: WorkerNews) {
        match news {
            WorkerNews::Ready { rank, incarnation } => self.ledger.on_ready(rank, incarnation),
            WorkerNews::Message { message, .. } if message == b"littered" => self.n_littered += 1,
            WorkerNews::Message { rank, .. } | WorkerNews::Status { rank, .. } => {
                self.ledger.on_oddity(format!("rank {rank} has said something"));
            }
        }
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
            News::Trouble(Trouble::AgentRestarted { agent, life }) => {
                self.ledger.on_revived(observer, agent, life);
            }
            News::Trouble(trouble) => {
                self.ledger.on_oddity(format!("the {} heard: {trouble}", observer.label()));
            }
            News::Snapshot(_)
            | News::Heartbeat { .. }
            | News::Escalated(_)
            | News::Recalled { .. }
            | News::Withdrawn(_)
            | News::Stopping { .. }
            | News::Closed => (),
        }
    }
}

async fn woken(mesh: &mut ProcMesh, clock: Clock, seen: &mut mpsc::Receiver<Seen>) -> Woken {
    tokio::select! {
        news = mesh.next() => Woken::Owner(clock.now(), news),
        Some(seen) = seen.recv() => Woken::Subscriber(seen),
    }
}

/// What is done must be done to the life that the ledger has it of.
fn expect_life(seat: &ProcSeat, found: Option<Incarnation>) -> Result<()> {
    if found == Some(seat.incarnation) {
        return Ok(());
    }
    let ProcSeat { rank, incarnation, .. } = seat;
    bail!("rank {rank} was to be hit in its life {incarnation}, and was in {found:?}")
}

/// Removes what ranks have left in their directories: cores.
fn remove_files(dir: &Path) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_files(&entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Waits, but not for ever.
pub(crate) async fn patiently<T>(what: &str, future: impl Future<Output = T>) -> Result<T> {
    let waited = timeout(PATIENCE, future).await;
    waited.or_else(|_| bail!("waited {} s in vain for {what}", PATIENCE.as_secs()))
}

/// A lease of 10 s, also on one machine: here it is to be shared with many more than it has processors for, and
/// whoever gets none of their time for as long as the lease is rightly given up.
const TIMES: Times = Times::lan();

/// A rank that is frozen is told soon.
const FROZEN: Duration = Duration::from_secs(1);

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
/// How long what a guard has left behind may take to be ended.
const GONE: Duration = Duration::from_secs(10);
/// How long ranks have to end when they are asked to.
const GRACE: Duration = Duration::from_secs(5);
/// Events that may wait for the driver.
pub(crate) const SEEN: usize = 1_024;
