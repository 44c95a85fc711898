//! The driver: owner of the mesh, which hands out batches, kills the victim, and hears of it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use indicatif::{ProgressBar, ProgressStyle};
use meshwarden::Root;
use meshwarden::controller::RestartConfig;
use meshwarden::mesh_core::{
    Change, Failures, Incarnation, Interest, MeshEvent, MeshLabel, News, Reason,
};
use meshwarden::mesh_shape::{Extent, Rank};
use meshwarden::prelude::{HostMesh, ProcMesh, ProcNews, SpawnError, WorkerNews};
use meshwarden::proc_mesh::{Census, ProcSeat};
use meshwarden::supervise::MeshEvents;
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::cli::complain;
use crate::demo::counter::{ENTRY, Reply, encode};
use crate::demo::job::{Job, Step};
use crate::demo::story::{Event, Listener, Story, rounded};
use crate::demo::tally::Tally;

/// The owner of the mesh and what it keeps.
pub(crate) struct Driver<'a> {
    mesh: ProcMesh,
    job: Job,
    story: &'a mut Story,
    census: &'a mut Census,
    /// Where the ranks sat when the mesh was spawned, in rank order.
    seats: Vec<ProcSeat>,
    killed_at: Option<Instant>,
    heard: mpsc::Receiver<Heard>,
    n_heard: [usize; 2],
    bar: ProgressBar,
}

/// What the subscriber heard: an event with failures, and when it had it in hand.
struct Heard {
    at: Instant,
    changes: Vec<Change>,
    mesh: MeshLabel,
}

/// What the driver woke up for.
enum Woken {
    Owner(Option<ProcNews>),
    Subscriber(Option<Heard>),
}

impl<'a> Driver<'a> {
    /// Spawns the mesh, and a subscriber on a task of its own.
    ///
    /// # Errors
    ///
    /// If it cannot be spawned; nothing of it is left then.
    pub(crate) async fn spawn(
        (root, hosts): (&Root, &HostMesh),
        extent: Extent,
        job: Job,
        story: &'a mut Story,
        census: &'a mut Census,
    ) -> Result<Self> {
        let spawning = root
            .procs(extent)
            .name("demo")
            .restart(RestartConfig::on_failure(RESTARTS))
            .worker(ENTRY)
            .spawn(hosts);
        let mesh = patiently("the workers to start", spawning).await?.map_err(not_spawned)?;
        let seats = mesh.seats().await;
        let at = Instant::now();
        for seat in &seats {
            census.seat(seat.pid);
            let point = mesh.extent().unravel(seat.rank)?.to_string();
            let (mesh, rank) = (mesh.label().id().to_string(), seat.rank.index());
            story.tell(at, Event::Spawned { mesh, rank, point, pid: seat.pid });
        }
        let events = mesh.subscribe(Interest::Terminal).await?;
        let (hear, heard) = mpsc::channel(HEARD);
        tokio::spawn(listen(events, hear));
        let bar = bar(story.is_json(), job.n_batches_of_all());
        let (killed_at, n_heard) = (None, [0; 2]);
        Ok(Self { mesh, job, story, census, seats, killed_at, heard, n_heard, bar })
    }

    /// The mesh.
    pub(crate) const fn label(&self) -> &MeshLabel {
        self.mesh.label()
    }

    /// Counts until all is counted and everybody has heard of the kill; then stops the mesh and hears
    /// it out.
    ///
    /// # Errors
    ///
    /// If a file has changed, a rank has failed for good, or nothing happens any more.
    pub(crate) async fn count(mut self, serial: &Tally) -> Result<Job> {
        while !(self.job.is_done() && self.n_heard.iter().all(|n| *n > 0)) {
            match self.wake().await? {
                Woken::Owner(Some(ProcNews::Worker(news))) => self.on_worker(news).await?,
                Woken::Owner(Some(ProcNews::Failed(failures))) => {
                    self.on_failed(&failures);
                    if failures.changes.iter().any(|change| change.restart_in.is_none()) {
                        bail!("a rank has failed for good:\n{failures}");
                    }
                }
                Woken::Owner(Some(ProcNews::Finished(_)) | None) => {
                    bail!("the mesh has ended before all was counted");
                }
                Woken::Subscriber(Some(heard)) => self.on_heard(&heard),
                Woken::Subscriber(None) => bail!("the subscriber has heard the last too early"),
            }
            self.bar.set_position(self.job.n_counted() as u64);
        }
        self.bar.finish_and_clear();
        let total = self.job.total();
        let event = Event::Result {
            words: total.words(),
            distinct: total.distinct(),
            top: total.top(TOP),
            equal_to_serial: total == *serial,
        };
        self.story.tell(Instant::now(), event);
        self.stop().await?;
        Ok(self.job)
    }

    async fn wake(&mut self) -> Result<Woken> {
        let Self { mesh, heard, .. } = self;
        let woken = async {
            tokio::select! {
                news = mesh.next() => Woken::Owner(news),
                heard = heard.recv() => Woken::Subscriber(heard),
            }
        };
        patiently("news of the mesh", woken).await
    }

    async fn on_worker(&mut self, news: WorkerNews) -> Result<()> {
        match news {
            WorkerNews::Ready { rank, incarnation } => {
                if incarnation > Incarnation::FIRST {
                    self.on_restarted(rank, incarnation).await;
                }
                if let Some(step) = self.job.on_ready(rank, incarnation) {
                    self.perform(step).await?;
                }
            }
            WorkerNews::Message { rank, incarnation, message } => {
                match postcard::from_bytes(&message).context("a worker's answer is unreadable")? {
                    Reply::Counted { batch, tally } => {
                        for step in self.job.on_counted((rank, incarnation), batch, &tally) {
                            self.perform(step).await?;
                        }
                    }
                    Reply::Unread { path, why } => {
                        bail!("{} cannot be counted: {why}; run it again", path.display());
                    }
                }
            }
        }
        Ok(())
    }

    async fn on_restarted(&mut self, rank: Rank, incarnation: Incarnation) {
        let at = Instant::now();
        let seats = self.mesh.seats().await;
        let is_it = |seat: &&ProcSeat| seat.rank == rank && seat.incarnation == incarnation;
        // If it is gone already, its failure tells.
        let Some(seat) = seats.iter().find(is_it) else { return };
        self.census.seat(seat.pid);
        let (rank, incarnation, pid) = (rank.index(), incarnation.number(), seat.pid);
        self.story.tell(at, Event::Restarted { rank, incarnation, pid });
    }

    async fn perform(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Hand { rank, batch } => {
                let shard = self.job.shards().get(rank.index());
                let handed = shard.and_then(|shard| shard.batches.get(batch));
                let message = encode(batch, handed.context("there is no such batch")?)?;
                // One that has just died is handed everything again in its next life.
                _ = patiently("a worker to take a batch", self.mesh.send(rank, message))
                    .await?
                    .is_ok();
                Ok(())
            }
            Step::Kill { rank } => self.kill(rank),
        }
    }

    fn kill(&mut self, rank: Rank) -> Result<()> {
        let seat = self.seats.iter().find(|seat| seat.rank == rank);
        let pid = seat.context("the victim has no process")?.pid;
        let raw = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let at = Instant::now();
        kill_process(raw.context("the victim has no process")?, Signal::KILL)
            .context("the victim cannot be killed")?;
        self.killed_at = Some(at);
        self.story.tell(at, Event::Killed { rank: rank.index(), pid });
        Ok(())
    }

    fn on_failed(&mut self, failures: &Failures) {
        let at = Instant::now();
        for (rank, change) in failures.each() {
            let mesh = &failures.mesh;
            self.tell(Listener::Owner, at, (mesh, rank, failures.point(rank)), change);
        }
    }

    fn on_heard(&mut self, heard: &Heard) {
        for change in &heard.changes {
            for rank in change.ranks.iter() {
                let point = self.mesh.extent().unravel(rank).map(|point| point.to_string());
                let whom = (&heard.mesh, rank, point.unwrap_or_default());
                self.tell(Listener::Subscriber, heard.at, whom, change);
            }
        }
    }

    fn tell(
        &mut self,
        to: Listener,
        at: Instant,
        (mesh, rank, point): (&MeshLabel, Rank, String),
        change: &Change,
    ) {
        self.n_heard[to as usize] += 1;
        let after = self.killed_at.map(|killed_at| at.saturating_duration_since(killed_at));
        let signal = change.status.cause().and_then(|cause| match cause.reason {
            Reason::Signal { signal, .. } => Some(signal),
            _ => None,
        });
        let cause = change.status.cause();
        let event = Event::Failure {
            to,
            mesh: mesh.id().to_string(),
            rank: rank.index(),
            point,
            incarnation: change.incarnation.number(),
            cause: cause.map_or_else(|| change.status.to_string(), ToString::to_string),
            signal,
            seconds: rounded(after.unwrap_or_default()),
        };
        self.story.tell(at, event);
    }

    /// Stops the ranks, and hears what there still is to hear.
    async fn stop(&mut self) -> Result<()> {
        let stopping = self.mesh.stop(GRACE);
        patiently("the mesh to stop", stopping).await??;
        let mut is_owner_done = false;
        let mut is_subscriber_done = false;
        while !(is_owner_done && is_subscriber_done) {
            let Self { mesh, heard, .. } = self;
            let woken = async {
                tokio::select! {
                    news = mesh.next(), if !is_owner_done => Woken::Owner(news),
                    heard = heard.recv(), if !is_subscriber_done => Woken::Subscriber(heard),
                }
            };
            match patiently("the last news of the mesh", woken).await? {
                Woken::Owner(Some(ProcNews::Failed(failures))) => self.on_failed(&failures),
                Woken::Owner(Some(ProcNews::Worker(_))) => (),
                Woken::Owner(Some(ProcNews::Finished(_)) | None) => is_owner_done = true,
                Woken::Subscriber(Some(heard)) => self.on_heard(&heard),
                Woken::Subscriber(None) => is_subscriber_done = true,
            }
        }
        Ok(())
    }
}

/// The subscriber: hears everything, and passes failures on with the time at which it had them.
async fn listen(mut events: MeshEvents, hear: mpsc::Sender<Heard>) {
    while let Some(event) = events.next().await {
        let at = Instant::now();
        let MeshEvent { mesh, news, .. } = event;
        let mut changes = match news {
            News::Changed(changes) => changes.to_vec(),
            News::Snapshot(snapshot) => snapshot.failed,
            News::Heartbeat { .. }
            | News::Trouble(_)
            | News::Escalated(_)
            | News::Stopping
            | News::Closed => continue,
        };
        changes.retain(|change| change.status.is_failure());
        if !changes.is_empty() && hear.send(Heard { at, changes, mesh }).await.is_err() {
            return;
        }
    }
}

/// Waits, but not for ever.
async fn patiently<T>(what: &str, future: impl Future<Output = T>) -> Result<T> {
    let waited = timeout(PATIENCE, future).await;
    waited.or_else(|_| bail!("waited {} s in vain for {what}", PATIENCE.as_secs()))
}

fn not_spawned(error: SpawnError) -> anyhow::Error {
    if let SpawnError::Ranks { failures } = &error {
        for failed in failures {
            complain(format_args!("{failed}"));
        }
    }
    anyhow!(error).context("the workers cannot be started")
}

/// Shows how far it is, if a person is looking.
fn bar(is_json: bool, n_batches: usize) -> ProgressBar {
    if is_json {
        return ProgressBar::hidden();
    }
    // It draws on standard error, and only if that is a terminal.
    let bar = ProgressBar::new(n_batches as u64);
    match ProgressStyle::with_template("counting {wide_bar} {pos}/{len} batches") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// How long anything may take until it happens.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long workers have to end when they are asked to.
const GRACE: Duration = Duration::from_secs(5);
/// Restarts before a failure is for good. One is needed.
const RESTARTS: u32 = 3;
/// Events that may wait for the driver.
const HEARD: usize = 64;
/// How many of the most frequent words are told.
const TOP: usize = 10;
