//! Meshes of actors that things are done to, and to the processes that they live in, while numbers are cast to them.
//!
//! Two meshes, one after the other: within this program, and on processes, over TCP; both cast down a tree. What
//! owners and subscribers are told is judged by the ledger of the processes' chaos; what is cast, by [`post`].

mod caster;
mod drive;
mod hear;
mod inject;
mod plan;
mod post;
mod promises;
mod report;
mod victim;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use meshwarden::Root;
use meshwarden::actor_mesh::{ActorRegistry, LocalProcs, LocalSpec};
use meshwarden::controller::Config;
use meshwarden::mesh_core::{MeshId, RestartPolicy, Transport};
use meshwarden::mesh_runtime::LocalTransport;
use meshwarden::prelude::*;
use meshwarden::proc_mesh::Census;
use tokio::time::timeout;

use crate::hogs::Hogs;
use crate::options::Options;
use crate::report::Machine;
pub(crate) use drive::TIMES;
use drive::{Books, Driver, Site, spec};
use plan::{AT_ONCE, BETWEEN, Plan, WITHIN};
use post::Judged;
use report::{Part, Report};
use victim::notes;
pub(crate) use victim::{Ask, Block, Home, Victim, Wait};

/// The name of the mesh, and with a rank of its actors.
pub(crate) const NAME: &str = "chaos";

/// A handler that runs for longer is told.
pub(crate) const THRESHOLD: Duration = Duration::from_millis(500);

/// How long a thousand processes may take to start.
pub(crate) const START_WITHIN: Duration = Duration::from_secs(180);

/// Every end leads to a restart, at once, as often as it takes.
const RESTART: RestartConfig = RestartConfig {
    policy: RestartPolicy::Permanent,
    max_restarts: u32::MAX,
    period: Some(Duration::from_secs(60)),
    backoff_min: Duration::from_millis(10),
    backoff_max: Duration::from_millis(20),
    ..RestartConfig::NEVER
};

/// Runs all of it, and says what came of it.
///
/// # Errors
///
/// If nothing can be started.
pub(crate) async fn run(root: &Root, options: &Options) -> Result<ExitCode> {
    let mut census = Census::begin()?;
    let machine = Machine::look();
    let scratch = Scratch::new()?;
    // Where all panic at once, each rank is one.
    let each = if options.is_at_once { options.extent.size() } else { 1 };
    // One here, and one over TCP, at least.
    let n_faults = options.n_faults.div_ceil(each).max(2);
    // A fifth of them, or as often as over TCP.
    let n_within = n_faults.div_ceil(if options.is_at_once { 2 } else { 5 });
    let (name, seed) = ("in process", options.seed);
    let faults = (seed, n_within, 0);
    let within =
        part(name, faults, options, scratch.sub("within")?, async |chaos| chaos.within(root).await);
    let within = within.await?;
    let (name, faults) = ("over TCP", (seed ^ 1, n_faults - n_within, options.n_hogs));
    let hosts = root.hosts(1).await.context("the host cannot be started")?;
    let mut mesh = None;
    let between = part(name, faults, options, scratch.sub("between")?, async |chaos| {
        chaos.between((root, &hosts), &mut census, &mut mesh).await
    });
    let between = between.await?;
    let is_closed = hosts.close().await;
    let left_over = census.left_over(mesh)?;
    let report = Report { options, machine, parts: vec![within, between], is_closed, left_over };
    let mut stdout = io::stdout().lock();
    stdout.write_all(report.text().as_bytes()).context("standard output cannot be written")?;
    stdout.flush()?;
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One mesh, and what is done to it.
struct Chaos<'a> {
    options: &'a Options,
    /// The seed, how many, and among how many hogs the second half.
    faults: (u64, usize, usize),
    dir: PathBuf,
    books: &'a mut Books,
}

async fn part(
    name: &'static str,
    faults: (u64, usize, usize),
    options: &Options,
    dir: PathBuf,
    run: impl AsyncFnOnce(Chaos<'_>) -> Result<()>,
) -> Result<Part> {
    let n_ranks = options.extent.size();
    let mut books = Books::new(n_ranks);
    if options.is_at_once {
        books.actors.expect_lag();
        books.homes.expect_lag();
    }
    let chaos = Chaos { options, faults, dir: dir.clone(), books: &mut books };
    let ended_early = run(chaos).await.err().map(|error| format!("{error:#}"));
    let judged = judge(&mut books, &dir, n_ranks)?;
    Ok(Part { name, n_hogs: faults.2, books, judged, ended_early })
}

/// Judges what was cast, by what each rank has noted.
fn judge(books: &mut Books, dir: &Path, n_ranks: usize) -> Result<Judged> {
    let mut all = Vec::with_capacity(n_ranks);
    for rank in 0..n_ranks {
        let path = Home { dir: dir.to_owned(), rank }.notes();
        // One that was never there has noted nothing.
        all.push(if path.exists() { notes(&path)? } else { Vec::new() });
    }
    books.note_ends(&all);
    Ok(books.post.judge(&all))
}

impl Chaos<'_> {
    /// On processes within this one.
    async fn within(self, root: &Root) -> Result<()> {
        let proc = root.actors();
        let mut registry = ActorRegistry::new();
        registry.actor::<Victim>();
        let board = LocalTransport::default();
        let homes = LocalSpec {
            name: "homes".to_owned(),
            extent: self.options.extent.clone(),
            config: Config { times: TIMES, restart: RESTART, ..Config::lan() },
            registry,
            transports: Box::new(move || Arc::new(board.another()) as Arc<dyn Transport>),
            stalled_handler: threshold(self.options),
        };
        let homes = timeout(START_WITHIN, LocalProcs::start_with(proc, homes)).await??;
        let procs = homes.procs();
        let spawning =
            ActorMesh::spawn(proc, &procs, spec(self.dir.clone(), fan_out(self.options)?));
        let mesh = timeout(START_WITHIN, spawning).await??;
        let site = Site { proc: proc.clone(), homes: None, dir: self.dir.clone() };
        self.drive(site, mesh, WITHIN).await
    }

    /// On processes, over TCP.
    async fn between(
        self,
        (root, hosts): (&Root, &HostMesh),
        census: &mut Census,
        id: &mut Option<MeshId>,
    ) -> Result<()> {
        let described = root.procs(self.options.extent.clone()).name("homes").restart(RESTART);
        let described = described.times(TIMES);
        let described = match threshold(self.options) {
            Some(threshold) => described.stalled_handler(threshold),
            None => described,
        };
        let mut homes = timeout(START_WITHIN, described.actors()?.spawn(hosts)).await??;
        *id = Some(homes.label().id());
        let spawning = homes.spawn_as(spec(self.dir.clone(), fan_out(self.options)?));
        let mesh = timeout(START_WITHIN, spawning).await??;
        for seat in homes.seats().await {
            census.seat(seat.pid);
        }
        let proc = root.actors().clone();
        let site = Site { proc, homes: Some(&mut homes), dir: self.dir.clone() };
        self.drive(site, mesh, BETWEEN).await
    }

    /// Does everything to it: the first half without hogs, the second with them, if there are to be any.
    async fn drive(
        self,
        site: Site<'_>,
        mesh: ActorMesh<Victim>,
        cards: &'static [(plan::Card, usize)],
    ) -> Result<()> {
        let (seed, n_faults, n_hogs) = self.faults;
        let cards = if self.options.is_at_once { AT_ONCE } else { cards };
        let shape = (self.options.extent.size(), fan_out(self.options)?.get());
        let mut driver = Driver::watch(site, mesh, self.books).await?;
        driver.begin().await?;
        if self.options.is_at_once {
            driver.open_ways().await?;
        }
        let n_hogged = if n_hogs == 0 { 0 } else { n_faults / 2 };
        driver.run(&mut Plan::new((seed, n_faults - n_hogged), shape, cards), false).await?;
        if n_hogged > 0 {
            let hogs = Hogs::start(n_hogs)?;
            driver.run(&mut Plan::new((seed ^ 2, n_hogged), shape, cards), true).await?;
            drop(hogs);
        }
        driver.stop().await
    }
}

/// So small that a cast goes over three processes; of many that die at once, so that one goes to all soon.
fn fan_out(options: &Options) -> Result<FanOut> {
    Ok(FanOut::new(if options.is_at_once { 32 } else { 2 })?)
}

/// When a handler is told of that hangs: where none does, when that is told if nothing is said.
fn threshold(options: &Options) -> Option<Duration> {
    (!options.is_at_once).then_some(THRESHOLD)
}

/// A directory that is removed with all that is in it.
pub(crate) struct Scratch(PathBuf);

/// Makes one.
pub(crate) fn scratch() -> Result<Scratch> {
    Scratch::new()
}

impl Scratch {
    fn new() -> Result<Self> {
        let dir = std::env::temp_dir().join(format!("meshwarden-chaos-{}", std::process::id()));
        fs::create_dir(&dir).with_context(|| format!("{} cannot be made", dir.display()))?;
        Ok(Self(dir))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    fn sub(&self, name: &str) -> Result<PathBuf> {
        let dir = self.0.join(name);
        fs::create_dir(&dir)?;
        Ok(dir)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is in the way of nobody.
        _ = fs::remove_dir_all(&self.0).is_ok();
    }
}
