//! One seed of hosts with actors on them, from the first agent to the last task.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use actor_mesh::{ActorMesh, ActorMeshRef};
use mesh_core::{ActorId, Incarnation, PortRef, ProcId, Procs};
use mesh_runtime::{ActorRef, Network, Proc, Stop};
use mesh_shape::Rank;
use mesh_testkit::fault_net::FaultNet;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::judge::After;
use super::plan::{Plan, STARTED};
use super::street::Street;
use crate::client::{self, Client, GUEST};
use crate::hosts::agent::{HostAgent, Killed, Suspended};
use crate::hosts::town::{self, CONTROLLERS_MAX, Host, Reigns, Town};
use crate::hosts::{record, reign};
use crate::judge;
use crate::ledger;
use crate::plan::{Death, Ending};
use crate::probe::Probe;
use crate::saboteur::{Saboteur, Scene};
use crate::teller::Teller;
use crate::watchers::watchers;
use crate::world::{self, MOST, Outcome, site};

/// Those who live on the hosts, and what they have there.
struct Tenants<'a> {
    hosts: &'a [Host],
    /// Whose mesh it is.
    owner: Client,
    /// The mesh in its hands, until it dies.
    owned: RefCell<Option<ActorMesh<Probe>>>,
    guest: Client,
    mesh: ActorMeshRef<Probe>,
    tellers: Vec<ActorRef<Teller>>,
    watchers: Vec<JoinHandle<()>>,
}

impl Tenants<'_> {
    /// The agent of the host that a process is on.
    fn agent(&self, rank: Rank) -> &ActorRef<HostAgent> {
        let per_host = self.mesh.region().size() / self.hosts.len();
        &self.hosts[rank.index() / per_host].agent
    }

    /// Those who send from another process than that of the owner, if it dies.
    fn survivors(&self) -> &[ActorRef<Teller>] {
        &self.tellers[usize::from(self.owned.borrow().is_none())..]
    }
}

impl Scene for Tenants<'_> {
    fn mesh(&self) -> &ActorMeshRef<Probe> {
        &self.mesh
    }

    fn proc(&self) -> &Proc {
        self.guest.proc()
    }

    fn site(&self, number: usize) -> String {
        if number == 0 { client::SITE.to_owned() } else { site(number) }
    }

    /// The kernel tells its peers, and its host.
    fn crash(&self, rank: Rank, net: &FaultNet) {
        net.crash(&site(rank.index() + 1));
        let agent = self.agent(rank);
        _ = agent.try_cast(agent.proc(), Killed(rank)).is_ok();
    }

    fn suspends(&self, rank: Rank, lasting: Duration) {
        let agent = self.agent(rank);
        _ = agent.try_cast(agent.proc(), Suspended(rank, lasting)).is_ok();
    }

    fn owner_dies(&self, how: Death, net: &FaultNet) {
        ledger::with(|it| (it.died_at, it.is_ending) = (Some(it.now()), true));
        let controllers = (1..=CONTROLLERS_MAX).map(reign::site);
        let procs = (1..=self.mesh.region().size()).map(site);
        let others = procs.chain(controllers).chain([GUEST.to_owned()]);
        self.owner.die(how, net, others);
        drop(self.owned.take());
    }
}

/// Runs a plan on a runtime of its own, in time that is only counted.
pub(crate) fn run(plan: &Plan) -> Outcome {
    let live = async |net: FaultNet| {
        ledger::begin(plan.actors.begun());
        drop(record::take());
        let n_tasks = world::n_tasks();
        let mut after = After::default();
        if let Err(why) = live((plan, &net), &mut after).await {
            after.hosts.complaints.push(why);
        }
        sleep(Duration::from_secs(60)).await;
        after.hosts.n_tasks_left = world::n_tasks().saturating_sub(n_tasks);
        after
    };
    let faults = plan.hosts.network.faults();
    world::outcome((plan.hosts.seed, faults), live, |after, ledger| {
        let record = record::take();
        let n_told = record.owners.len() + record.subscribers.len();
        (super::judge::judge(plan, (ledger, &record), &after), ledger.sends.len() + n_told)
    })
}

async fn live((plan, net): (&Plan, &FaultNet), after: &mut After) -> Result<(), String> {
    let nobody = ActorId { proc: ProcId::from_random(0), life: Incarnation::FIRST, index: 0 };
    let place = (reign::label(&plan.hosts), reign::region(&plan.hosts)?);
    let street =
        Street::new((plan.hosts.seed, net, plan.hosts.times.lease), place, PortRef::of(nobody));
    let hosts = town::open((&plan.hosts, net), Some(&street)).await?;
    let town = Town { plan: &plan.hosts, net, hosts: &hosts, street: Some(&street) };
    let (begun, mut reigns) = (Instant::now(), Reigns::new());
    let (first, then) = plan.hosts.deeds.split_at(1);
    town.performs(first, begun, &mut reigns).await?;
    let settled = timeout(STARTED, settle((plan, net), (&street, &hosts))).await;
    let tenants = settled.unwrap_or_else(|late| Err(format!("R1: it does not start: {late}")))?;

    sleep_until(begun + STARTED).await;
    let send = |it: &ActorRef<Teller>| world::send(&plan.actors, plan.between(), it.clone());
    let senders: Vec<_> = tenants.tellers.iter().map(|it| tokio::spawn(send(it))).collect();
    let saboteur = Saboteur { plan: &plan.actors, net, scene: &tenants };
    let healed = plan.hosts.quiet_at().saturating_sub(STARTED);
    let (done, ()) = tokio::join!(town.performs(then, begun, &mut reigns), saboteur.work(healed));
    done?;
    let is_dead = tenants.owned.borrow().is_none();
    for sender in senders {
        if timeout(world::sent_within(&plan.actors, is_dead), sender).await.is_err() {
            after.actors.complaints.push("R1: a sender hangs".to_owned());
        }
    }
    sleep_until(begun + plan.hosts.quiet_at()).await;
    world::last_words(tenants.survivors(), &mut after.actors).await;
    town::state(&reigns, &mut after.hosts).await?;
    look((plan, &tenants), after).await;
    end((plan, town), (tenants, reigns), after).await
}

async fn settle<'a>(
    (plan, net): (&Plan, &FaultNet),
    (street, hosts): (&Street, &'a [Host]),
) -> Result<Tenants<'a>, String> {
    let (seed, known) = (plan.hosts.seed, street.clone());
    let (owner, doors) = Client::start(seed, (net, client::SITE), move || known.known()).await?;
    let (peer, home) = (owner.proc().peer(), (owner.proc().peer(), doors));
    let (guest, _) = Client::start(seed, (net, GUEST), move || vec![home.clone()]).await?;
    let spec = world::probes(&plan.actors)?;
    let procs = Arc::new(street.clone()) as Arc<dyn Procs>;
    while !owner.proc().has_way_to(procs.home().actor()) || !guest.has_met(peer) {
        sleep(Duration::from_millis(100)).await;
    }
    let owned = ActorMesh::spawn(owner.proc(), &procs, spec).await;
    let owned = owned.map_err(|error| format!("C4: {error}"))?;
    let mesh = owned.mesh_ref().clone();
    let watchers = watchers(&plan.actors, guest.proc(), &owned).await?;
    let teller = |number| {
        let at = if number == 0 { &owner } else { &guest };
        at.proc().spawn::<Teller>((number, seed, mesh.clone()))
    };
    let tellers = (0..plan.actors.n_senders).map(teller).collect();
    let owned = RefCell::new(Some(owned));
    Ok(Tenants { hosts, owner, owned, guest, mesh, tellers, watchers })
}

/// What there is before the end.
async fn look((plan, tenants): (&Plan, &Tenants<'_>), after: &mut After) {
    let owned = tenants.owned.take();
    if let Some(mut owned) = owned {
        state(tenants, &mut after.actors).await;
        world::told(&mut owned).await;
        _ = tenants.owned.replace(Some(owned));
    }
    let (alive, ended) = record::with(|it| (it.alive(), it.ended()));
    after.actors.held_back = record::with(|it| it.held_back());
    ledger::with(|it| {
        // Whom nobody was heard of is given up, whether it lives or not.
        let given_up = it.timed_out();
        let is_homeless = |rank: &usize| given_up.contains(rank) || !alive.contains(rank);
        after.actors.homeless = (0..plan.actors.size).filter(is_homeless).collect();
        it.crashed = [ended, given_up].concat();
        (after.quiet_at, it.is_ending) = (it.now(), true);
        it.note(format_args!("it ends: {:?}", plan.actors.ending));
    });
}

/// What the controller of the mesh says that there is.
async fn state(tenants: &Tenants<'_>, after: &mut judge::After) {
    for _ in 0..town::ASKED_AGAIN {
        match tenants.mesh.state(tenants.guest.proc()).await {
            Ok(state) => after.state = town::statuses(&state),
            Err(error) => after.complaints.push(format!("L7: there is no state: {error}")),
        }
        if !after.state.iter().any(town::is_doubted) {
            break;
        }
        sleep(Duration::from_secs(1)).await;
    }
}

async fn end(
    (plan, town): (&Plan, Town<'_>),
    (tenants, reigns): (Tenants<'_>, Reigns),
    after: &mut After,
) -> Result<(), String> {
    let (mut left, mut owned) = (Some(reigns), tenants.owned.take());
    match (plan.actors.ending, &mut owned) {
        (Ending::Stop, Some(owned)) => {
            if timeout(MOST, owned.stop(Duration::from_secs(5))).await.is_err() {
                after.actors.complaints.push("C1: the stop is not answered".to_owned());
            }
            world::told(owned).await;
            sleep(Duration::from_secs(5)).await;
            after.actors.is_closed = true;
        }
        // One whose owner has died has ended.
        (Ending::Stop, None) | (Ending::Drop, _) => (),
        (Ending::Procs, _) => {
            if let Some(reigns) = left.take() {
                town.ends(reigns, &mut after.hosts).await?;
            }
            sleep(Duration::from_secs(5)).await;
        }
    }
    drop(owned);
    // An agent that cannot tell whether its keeper is gone waits for five seconds, and kills after five more.
    sleep(Duration::from_secs(20)).await;
    after.actors.n_alive_before_procs = ledger::with(|it| it.n_alive());
    if let Some(reigns) = left {
        town.ends(reigns, &mut after.hosts).await?;
    }
    let Tenants { owner, guest, tellers, watchers, .. } = tenants;
    watchers.iter().for_each(JoinHandle::abort);
    tellers.iter().for_each(|teller| teller.stop(Stop::Kill));
    drop(tellers);
    sleep(Duration::from_secs(15)).await;
    after.actors.n_alive = ledger::with(|it| it.n_alive());
    after.actors.n_roots_left = guest.proc().n_roots();
    for client in [owner, guest] {
        client.proc().kill();
        if let Some(network) = Network::of(client.proc()) {
            network.leave();
        }
    }
    Ok(())
}
