//! One seed: the world that its plan describes, from its first process to its last task.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actor_mesh::{ActorMesh, ActorMeshRef, ActorSpec, FanOut, LocalProcs, LocalSpec};
use controller::{Config, RestartConfig};
use mesh_core::{OwnerNews, ProcId, Procs, Strategy, Transport};
use mesh_runtime::{ActorRef, Network, Proc, ProcConfig, Stop};
use mesh_shape::Rank;
use mesh_testkit::fault_net::{Event, FaultNet, Faults, SessionConfig, SplitMix64};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::client::{self, Client};
use crate::judge::{self, After};
use crate::ledger::{self, Ledger, OF_CHOSEN};
use crate::plan::{Death, Ending, Plan};
use crate::probe::{Ask, Probe, registry};
use crate::saboteur::{Saboteur, Scene};
use crate::teller::{self, SendNext, Teller};
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
    let live = async |net: FaultNet| live(plan, &net).await;
    outcome((plan.seed, plan.network.faults()), live, |after, ledger| {
        (judge::judge(plan, ledger, &after), ledger.sends.len())
    })
}

/// What comes of a world that lives by a seed on a network with these faults: its verdict, and how much was sent or
/// told there.
pub(crate) fn outcome<T>(
    (seed, faults): (u64, Faults),
    live: impl AsyncFnOnce(FaultNet) -> T,
    judge: impl FnOnce(T, &Ledger) -> (Vec<String>, usize),
) -> Outcome {
    let begun = std::time::Instant::now();
    let runtime = match runtime(seed) {
        Ok(runtime) => runtime,
        Err(error) => panic!("there is no runtime: {error}"),
    };
    let session = SessionConfig { history_max: 1 << 18, ..SessionConfig::default() };
    let net = FaultNet::with_config(seed, faults, session);
    let after = runtime.block_on(live(net.clone()));
    let ledger = ledger::take();
    let history = net.history();
    drop(runtime);
    let (verdict, n_sends) = judge(after, &ledger);
    let (n_packets, log, took) = (history.len(), ledger.log, begun.elapsed());
    Outcome { verdict, log, history, n_sends, n_packets, took }
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
pub(crate) struct World {
    /// Where the processes are supervised, and the mesh too, if no other process owns it.
    pub(crate) proc: Proc,
    pub(crate) procs: LocalProcs,
    pub(crate) mesh: ActorMeshRef<Probe>,
    /// The mesh in the hands of its owner, until that dies.
    pub(crate) owned: RefCell<Option<ActorMesh<Probe>>>,
    /// The process of the owner, if it is another one.
    pub(crate) client: Option<Client>,
    tellers: Vec<ActorRef<Teller>>,
    watchers: Vec<JoinHandle<()>>,
    made: Arc<AtomicUsize>,
}

impl World {
    /// Those who send from another process than that of the owner, if it dies.
    fn survivors(&self) -> &[ActorRef<Teller>] {
        &self.tellers[usize::from(self.client.is_some())..]
    }
}

impl Scene for World {
    fn mesh(&self) -> &ActorMeshRef<Probe> {
        &self.mesh
    }

    fn proc(&self) -> &Proc {
        &self.proc
    }

    fn site(&self, number: usize) -> String {
        match &self.client {
            Some(_) if number == 0 => client::SITE.to_owned(),
            _ => site(number),
        }
    }

    fn crash(&self, rank: Rank, _: &FaultNet) {
        self.procs.crash(rank);
    }

    /// Nobody looks whether it is.
    fn suspends(&self, _: Rank, _: Duration) {}

    fn owner_dies(&self, how: Death, net: &FaultNet) {
        let Some(client) = &self.client else { return };
        ledger::with(|it| (it.died_at, it.is_ending) = (Some(it.now()), true));
        // Those beside that of the client.
        client.die(how, net, (0..self.made.load(Ordering::Relaxed)).map(site));
        drop(self.owned.take());
    }
}

async fn live(plan: &Plan, net: &FaultNet) -> After {
    ledger::begin(plan.begun());
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

/// How many tasks there are.
pub(crate) fn n_tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

/// Longer than anything may take.
pub(crate) const MOST: Duration = Duration::from_secs(300);

/// How long a sender pauses at most before it sends again.
const BETWEEN: Duration = Duration::from_millis(1_500);

async fn settle(plan: &Plan, net: &FaultNet) -> Result<World, String> {
    let proc = process(plan.seed, "owner");
    let (made, of_net) = (Arc::new(AtomicUsize::new(0)), net.clone());
    let counted = Arc::clone(&made);
    let transports = Box::new(move || {
        // The first is that of the owner, and then come those of the ranks in their first lives.
        let site = site(counted.fetch_add(1, Ordering::Relaxed));
        Arc::new(of_net.transport(&site)) as Arc<dyn Transport>
    });
    let extent = plan.extent().parse().map_err(|error| format!("{error}"))?;
    // What becomes of the processes is not the concern of those who live there.
    let restart = RestartConfig { strategy: Strategy::OneForOne, ..restart(plan) };
    let spec = LocalSpec {
        name: "homes".to_owned(),
        extent,
        config: Config { restart, ..Config::local() },
        registry: registry(),
        transports,
        stalled_handler: None,
    };
    let procs = LocalProcs::start_with(&proc, spec).await.map_err(|error| error.to_string())?;
    let client = match plan.dies {
        true => Some(client(plan, net, (&proc, procs.procs())).await?),
        false => None,
    };
    let owner = client.as_ref().map_or(&proc, Client::proc);
    let mesh = ActorMesh::spawn(owner, &procs.procs(), probes(plan)?).await;
    let owned = mesh.map_err(|error| error.to_string())?;
    let mesh = owned.mesh_ref().clone();
    let watchers = watchers(plan, &proc, &owned).await?;
    let teller = |number| (number, plan.seed, mesh.clone());
    // The first lives where the owner does.
    let at = |number| if number == 0 { owner } else { &proc };
    let tellers = (0..plan.n_senders).map(|it| at(it).spawn::<Teller>(teller(it))).collect();
    let owned = RefCell::new(Some(owned));
    Ok(World { proc, procs, mesh, owned, client, tellers, watchers, made })
}

/// The process of an owner elsewhere, with a way to where the processes are supervised, and to all of them.
async fn client(
    plan: &Plan,
    net: &FaultNet,
    (home, procs): (&Proc, Arc<dyn Procs>),
) -> Result<Client, String> {
    let known = move || client::seated(&*procs);
    let (client, doors) = Client::start(plan.seed, (net, client::SITE), known).await?;
    let home = Network::of(home).ok_or("the home has no network")?;
    home.dial(client.proc().peer(), &doors).await.map_err(|error| error.to_string())?;
    Ok(client)
}

pub(crate) fn probes(plan: &Plan) -> Result<ActorSpec<Probe>, String> {
    let spec = ActorSpec::<Probe>::per_rank("probes", |point| point.rank().index());
    let spec = spec.restart(restart(plan));
    let Some(fan_out) = plan.fan_out else { return Ok(spec) };
    Ok(spec.fan_out(FanOut::new(fan_out).map_err(|error| error.to_string())?))
}

/// A process of which nothing is random but by the seed.
pub(crate) fn process(seed: u64, name: &str) -> Proc {
    let mut rng = SplitMix64::named(seed, name);
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
    let (strategy, max_restarts) = (plan.strategy, plan.max_restarts);
    RestartConfig { strategy, backoff_min, backoff_max, ..RestartConfig::on_failure(max_restarts) }
}

/// Sends and breaks, waits until all is quiet, looks, and ends it all.
async fn act(plan: &Plan, net: &FaultNet, world: World, after: &mut After) {
    let senders = world.tellers.iter().map(|it| tokio::spawn(send(plan, BETWEEN, it.clone())));
    let senders: Vec<_> = senders.collect();
    Saboteur { plan, net, scene: &world }.work(Duration::from_secs(40)).await;
    let is_dead = ledger::with(|it| it.died_at.is_some());
    if is_dead {
        sleep(CULLED_WITHIN).await;
        after.n_alive_before_procs = ledger::with(|it| it.n_alive());
    }
    for sender in senders {
        if timeout(sent_within(plan, is_dead), sender).await.is_err() {
            after.complaints.push("R1: a sender hangs".to_owned());
        }
    }
    last_words(world.survivors(), after).await;
    let World { proc, procs, mesh, owned, client, tellers, watchers, .. } = world;
    if let Some(mut owned) = owned.take() {
        match mesh.state(&proc).await {
            Ok(state) => after.state = state.ranks.iter().map(|it| it.status.clone()).collect(),
            Err(error) => after.complaints.push(format!("L7: there is no state: {error}")),
        }
        told(&mut owned).await;
        ledger::with(|it| {
            it.is_ending = true;
            it.note(format_args!("it ends: {:?}", plan.ending));
        });
        end(plan, (owned, procs), watchers, after).await;
    } else {
        anew(plan, &proc, &procs, after).await;
        watchers.iter().for_each(JoinHandle::abort);
        drop(procs);
    }
    tellers.iter().for_each(|teller| teller.stop(Stop::Kill));
    drop((tellers, mesh, client));
    sleep(Duration::from_secs(15)).await;
    after.n_alive = ledger::with(|it| it.n_alive());
    after.n_roots_left = proc.n_roots();
    proc.kill();
}

/// All that was wrong is over: one more for everybody, which goes behind all before it.
pub(crate) async fn last_words(tellers: &[ActorRef<Teller>], after: &mut After) {
    sleep(QUIET).await;
    for teller in tellers {
        let last = teller.call(teller.proc(), SendNext { is_last: true }).within(MOST).await;
        if let Err(error) = last {
            after.complaints.push(format!("R1: the last word is not sent: {error}"));
        }
    }
    sleep(QUIET).await;
}

/// That a session is silent is seen after 10 s; after 7 more without a way to the keeper its actors are asked to end,
/// and a handler hangs for 9 at most.
pub(crate) const CULLED_WITHIN: Duration = Duration::from_secs(27);

/// Longer than a hang, a call, and what is told late of a session.
const QUIET: Duration = Duration::from_secs(25);

/// C3: where the mesh of an owner has been that is dead, another one can be.
async fn anew(plan: &Plan, proc: &Proc, procs: &LocalProcs, after: &mut After) {
    let is_whole = plan.restarts || ledger::with(|it| it.crashed.is_empty());
    let Ok(spec) = probes(plan) else { return };
    if !is_whole {
        return;
    }
    match ActorMesh::spawn(proc, &procs.procs(), spec).await {
        Ok(mesh) => {
            let answers = mesh.call(proc, Ask((OF_CHOSEN - 1, 0))).await;
            let wrong = answers.iter().filter_map(|answer| answer.as_ref().err());
            after.complaints.extend(wrong.map(|why| format!("C3: {why}")));
        }
        Err(error) => after.complaints.push(format!("C3: no mesh can be spawned there: {error}")),
    }
    sleep(Duration::from_secs(20)).await;
}

/// What the owner is told by now.
pub(crate) async fn told(mesh: &mut ActorMesh<Probe>) {
    while let Ok(Some(news)) = timeout(Duration::from_millis(100), mesh.next()).await {
        let OwnerNews::Failed(failures) = news else { break };
        ledger::with(|it| {
            for (rank, change) in failures.each() {
                let life = (rank.index(), change.incarnation);
                it.owner.push(life);
                _ = it.promises.insert(life, change.restart_in.is_some());
                it.note(format_args!("owner: {rank} {} {}", change.incarnation, change.status));
            }
            for (rank, withdrawal) in failures.each_withdrawn() {
                it.withdrawn.push((rank.index(), withdrawal.incarnation));
                it.note(format_args!("owner: {rank} {withdrawal}"));
            }
            if let Some(escalation) = failures.escalation {
                it.note(format_args!("owner: {escalation}"));
                it.escalations.push(escalation);
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

/// How long all may take that a sender sends. Where all who know the mesh have died with its owner nobody is told of an
/// end, and each thing that is sent may take the time that it was given (R1): the judge looks at each of them.
pub(crate) fn sent_within(plan: &Plan, is_dead: bool) -> Duration {
    let each = teller::WITHIN + judge::SLACK + BETWEEN;
    if is_dead { each * u32::try_from(plan.n_sends).unwrap_or(u32::MAX) } else { MOST }
}

/// Sends what the plan says, and pauses for so long at most in between.
pub(crate) fn send(
    plan: &Plan,
    between: Duration,
    teller: ActorRef<Teller>,
) -> impl Future<Output = ()> + use<> {
    let (n_sends, mut rng) = (plan.n_sends, SplitMix64::named(plan.seed, "sending"));
    async move {
        for _ in 0..n_sends {
            // Mostly one right behind the other.
            let most = if rng.chance(0.3) { between.as_micros() as u64 } else { 3_000 };
            sleep(Duration::from_micros(rng.below(most))).await;
            let next = SendNext { is_last: false };
            _ = teller.call(teller.proc(), next).within(MOST).await.is_ok();
        }
    }
}
