//! One seed: the world that its plan describes, from its first process to its last task.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actor_mesh::{ActorMesh, ActorSpec, FanOut, LocalProcs, LocalSpec};
use controller::{Config, RestartConfig};
use mesh_core::{OwnerNews, ProcId, Transport};
use mesh_runtime::{ActorRef, Proc, ProcConfig, Stop};
use mesh_testkit::fault_net::{Event, FaultNet, SessionConfig, SplitMix64};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::judge::{self, After};
use crate::ledger;
use crate::plan::{Ending, Plan};
use crate::probe::{Probe, registry};
use crate::saboteur::Saboteur;
use crate::teller::{SendNext, Teller};
use crate::watchers::watchers;

/// What has come of a seed.
pub(crate) struct Outcome {
    pub(crate) verdict: Vec<String>,
    pub(crate) log: Vec<String>,
    /// What the network did: its newest events.
    pub(crate) history: Vec<Event>,
    pub(crate) n_sends: usize,
    pub(crate) n_packets: usize,
    pub(crate) took: Duration,
}

impl Outcome {
    /// Of all that has happened.
    pub(crate) fn hash(&self) -> u64 {
        let mut hash = Fnv::default();
        self.log.iter().for_each(|line| hash.add(line));
        self.history.iter().for_each(|event| hash.add(&event.to_string()));
        hash.0
    }

    /// Where two runs part.
    pub(crate) fn differs_from(&self, other: &Self) -> Option<String> {
        let mut both = self.log.iter().zip(&other.log);
        if let Some((one, other)) = both.find(|(one, other)| one != other) {
            return Some(format!("`{one}` and then `{other}`"));
        }
        let mut both = self.history.iter().zip(&other.history);
        if let Some((one, other)) = both.find(|(one, other)| one != other) {
            return Some(format!("the network: `{one}` and then `{other}`"));
        }
        let lengths = |it: &Self| (it.log.len(), it.history.len());
        (lengths(self) != lengths(other)).then(|| "one is longer".to_owned())
    }
}

/// Runs a plan on a runtime of its own, in time that is only counted.
pub(crate) fn run(plan: &Plan) -> Outcome {
    let begun = std::time::Instant::now();
    let runtime = match runtime(plan.seed) {
        Ok(runtime) => runtime,
        Err(error) => panic!("there is no runtime: {error}"),
    };
    let session = SessionConfig { history_max: 1 << 18, ..SessionConfig::default() };
    let net = FaultNet::with_config(plan.seed, plan.network.faults(), session);
    let after = runtime.block_on(live(plan, &net));
    let ledger = ledger::take();
    let history = net.history();
    drop(runtime);
    Outcome {
        verdict: judge::judge(plan, &ledger, &after),
        n_sends: ledger.sends.len(),
        n_packets: history.len(),
        history,
        log: ledger.log,
        took: begun.elapsed(),
    }
}

fn runtime(seed: u64) -> std::io::Result<Runtime> {
    let mut builder = Builder::new_current_thread();
    seeded(&mut builder, seed).enable_time().start_paused(true).build()
}

/// Whoever waits for the same is woken in an order that the seed says.
#[cfg(tokio_unstable)]
fn seeded(builder: &mut Builder, seed: u64) -> &mut Builder {
    builder.rng_seed(tokio::runtime::RngSeed::from_bytes(&seed.to_le_bytes()))
}

/// In an order that differs from run to run: tokio takes no seed.
#[cfg(not(tokio_unstable))]
const fn seeded(builder: &mut Builder, _: u64) -> &mut Builder {
    builder
}

/// `FNV-1a`
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn add(&mut self, line: &str) {
        let byte = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        self.0 = line.bytes().chain([b'\n']).fold(self.0, byte);
    }
}

/// The mesh, and all that it lives on.
struct World {
    proc: Proc,
    procs: LocalProcs,
    mesh: ActorMesh<Probe>,
    tellers: Vec<ActorRef<Teller>>,
    watchers: Vec<JoinHandle<()>>,
}

async fn live(plan: &Plan, net: &FaultNet) -> After {
    ledger::begin();
    let n_tasks = n_tasks();
    let mut after = After::default();
    match timeout(MOST, settle(plan, net)).await {
        Ok(Ok(world)) => act(plan, net, world, &mut after).await,
        Ok(Err(why)) => after.complaints.push(format!("C4: it does not start: {why}")),
        Err(_) => after.complaints.push("R1: it does not start".to_owned()),
    }
    // Whatever waits for a time only, as a dial, has that.
    sleep(Duration::from_secs(60)).await;
    after.n_tasks_left = self::n_tasks().saturating_sub(n_tasks);
    if after.n_tasks_left > 0 {
        sleep(Duration::from_secs(3600)).await;
        after.n_tasks_for_ever = self::n_tasks().saturating_sub(n_tasks);
    }
    after
}

fn n_tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

/// Longer than anything may take.
const MOST: Duration = Duration::from_secs(300);

async fn settle(plan: &Plan, net: &FaultNet) -> Result<World, String> {
    let proc = owner(plan.seed);
    let (made, of_net) = (AtomicUsize::new(0), net.clone());
    let transports = Box::new(move || {
        // The first is that of the owner, and then come those of the ranks in their first lives.
        let site = site(made.fetch_add(1, Ordering::Relaxed));
        Arc::new(of_net.transport(&site)) as Arc<dyn Transport>
    });
    let extent = plan.extent().parse().map_err(|error| format!("{error}"))?;
    let restart = restart(plan);
    let spec = LocalSpec {
        name: "homes".to_owned(),
        extent,
        config: Config { restart, ..Config::local() },
        registry: registry(),
        transports,
        stalled_handler: None,
    };
    let procs = LocalProcs::start_with(&proc, spec).await.map_err(|error| error.to_string())?;
    let mut spec = ActorSpec::<Probe>::per_rank("probes", |point| point.rank().index());
    spec = spec.restart(restart);
    if let Some(fan_out) = plan.fan_out {
        spec = spec.fan_out(FanOut::new(fan_out).map_err(|error| error.to_string())?);
    }
    let mesh = ActorMesh::spawn(&proc, &procs.procs(), spec).await;
    let mesh = mesh.map_err(|error| error.to_string())?;
    let watchers = watchers(plan, &proc, &mesh).await?;
    let teller = |number| (number, plan.seed, mesh.mesh_ref().clone());
    let tellers = (0..plan.n_senders).map(|it| proc.spawn::<Teller>(teller(it))).collect();
    Ok(World { proc, procs, mesh, tellers, watchers })
}

fn owner(seed: u64) -> Proc {
    let mut rng = SplitMix64::named(seed, "owner");
    let id = u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64());
    let (id, seed) = (ProcId::from_random(id), Some(rng.next_u64()));
    Proc::start(ProcConfig { id, seed, ..ProcConfig::local() }, Handle::current())
}

pub(crate) fn site(number: usize) -> String {
    format!("site-{number}")
}

fn restart(plan: &Plan) -> RestartConfig {
    if !plan.restarts {
        return RestartConfig::NEVER;
    }
    let (backoff_min, backoff_max) = (Duration::from_millis(10), Duration::from_millis(500));
    RestartConfig { backoff_min, backoff_max, ..RestartConfig::on_failure(10_000) }
}

/// Sends and breaks, waits until all is quiet, looks, and ends it all.
async fn act(plan: &Plan, net: &FaultNet, mut world: World, after: &mut After) {
    let World { proc, procs, mesh, tellers, .. } = &world;
    let senders =
        tellers.iter().map(|it| tokio::spawn(send(plan_of(plan), proc.clone(), it.clone())));
    let senders: Vec<_> = senders.collect();
    Saboteur { plan, net, proc, procs, mesh: mesh.mesh_ref() }.work().await;
    for sender in senders {
        if timeout(MOST, sender).await.is_err() {
            after.complaints.push("R1: a sender hangs".to_owned());
        }
    }
    last_words(&world, after).await;
    match world.mesh.state(&world.proc).await {
        Ok(state) => after.state = state.ranks.iter().map(|it| it.status.clone()).collect(),
        Err(error) => after.complaints.push(format!("L7: there is no state: {error}")),
    }
    told(&mut world.mesh).await;
    ledger::with(|it| {
        it.is_ending = true;
        it.note(format_args!("it ends: {:?}", plan.ending));
    });
    let World { proc, procs, mesh, tellers, watchers } = world;
    end(plan, (mesh, procs), watchers, after).await;
    tellers.iter().for_each(|teller| teller.stop(Stop::Kill));
    drop(tellers);
    sleep(Duration::from_secs(15)).await;
    after.n_alive = ledger::with(|it| it.n_alive());
    after.n_roots_left = proc.n_roots();
    proc.kill();
}

/// All that was wrong is over: one more for everybody, which goes behind all before it.
async fn last_words(world: &World, after: &mut After) {
    sleep(QUIET).await;
    for teller in &world.tellers {
        let last = teller.call(&world.proc, SendNext { is_last: true }).within(MOST).await;
        if let Err(error) = last {
            after.complaints.push(format!("R1: the last word is not sent: {error}"));
        }
    }
    sleep(QUIET).await;
}

/// Longer than a hang, a call, and what is told late of a session.
const QUIET: Duration = Duration::from_secs(25);

/// What the owner is told by now.
async fn told(mesh: &mut ActorMesh<Probe>) {
    while let Ok(Some(news)) = timeout(Duration::from_millis(100), mesh.next()).await {
        let OwnerNews::Failed(failures) = news else { break };
        ledger::with(|it| {
            for (rank, change) in failures.each() {
                it.owner.push((rank.index(), change.incarnation));
                it.note(format_args!("owner: {rank} {} {}", change.incarnation, change.status));
            }
        });
    }
}

async fn end(
    plan: &Plan,
    (mut mesh, procs): (ActorMesh<Probe>, LocalProcs),
    watchers: Vec<JoinHandle<()>>,
    after: &mut After,
) {
    match plan.ending {
        Ending::Stop => {
            if timeout(MOST, mesh.stop(Duration::from_secs(5))).await.is_err() {
                after.complaints.push("C1: the stop is not answered".to_owned());
            }
            told(&mut mesh).await;
            sleep(Duration::from_secs(5)).await;
            after.is_closed = true;
        }
        Ending::Drop => (),
        Ending::Procs => {
            if timeout(MOST, procs.stop(Duration::from_secs(5))).await.is_err() {
                after.complaints.push("C1: the stop is not answered".to_owned());
            }
            sleep(Duration::from_secs(5)).await;
        }
    }
    drop(mesh);
    // An agent that cannot tell whether its keeper is gone waits for five seconds, and kills after five more.
    sleep(Duration::from_secs(20)).await;
    after.n_alive_before_procs = ledger::with(|it| it.n_alive());
    watchers.iter().for_each(JoinHandle::abort);
    drop(procs);
}

/// What the task of a sender needs of the plan.
struct Sending {
    n_sends: usize,
    rng: SplitMix64,
}

fn plan_of(plan: &Plan) -> Sending {
    Sending { n_sends: plan.n_sends, rng: SplitMix64::named(plan.seed, "sending") }
}

async fn send(mut sending: Sending, proc: Proc, teller: ActorRef<Teller>) {
    for _ in 0..sending.n_sends {
        // Mostly one right behind the other.
        let most = if sending.rng.chance(0.3) { 1_500_000 } else { 3_000 };
        sleep(Duration::from_micros(sending.rng.below(most))).await;
        let next = SendNext { is_last: false };
        _ = teller.call(&proc, next).within(MOST).await.is_ok();
    }
}
