//! One seed of attached hosts, from the first agent to the last task.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mesh_core::{Addr, Doors, Plane};
use mesh_runtime::{ActorRef, Network};
use mesh_shape::Rank;
use mesh_testkit::fault_net::FaultNet;
use tokio::time::{Instant, sleep, sleep_until};

use super::agent::{Exit, HostAgent, Keeping};
use super::judge::{self, After};
use super::plan::{Deed, Last, Plan};
use super::record::{self, Crash, Life, Of};
use super::reign::Reigning;
use crate::ledger;
use crate::plan::Way;
use crate::world::{self, Outcome, process};

/// A host: a process with an agent.
#[derive(Clone)]
pub(crate) struct Host {
    pub(crate) site: String,
    pub(crate) agent: ActorRef<HostAgent>,
    pub(crate) doors: Doors,
}

/// Runs a plan on a runtime of its own, in time that is only counted.
pub(crate) fn run(plan: &Plan) -> Outcome {
    let live = async |net: FaultNet| {
        ledger::begin();
        drop(record::take());
        let n_tasks = world::n_tasks();
        let mut after = After::default();
        if let Err(why) = live(plan, &net, &mut after).await {
            after.complaints.push(why);
        }
        sleep(Duration::from_secs(60)).await;
        after.n_tasks_left = world::n_tasks().saturating_sub(n_tasks);
        after
    };
    world::outcome((plan.seed, plan.network.faults()), live, |after, _| {
        let record = record::take();
        let n_told = record.owners.len() + record.subscribers.len();
        (judge::judge(plan, &record, &after), n_told)
    })
}

async fn live(plan: &Plan, net: &FaultNet, after: &mut After) -> Result<(), String> {
    let mut hosts = Vec::new();
    for host in 0..plan.n_hosts {
        hosts.push(start(plan, net, host).await?);
    }
    let (begun, mut reigns) = (Instant::now(), BTreeMap::new());
    for (at, deed) in &plan.deeds {
        sleep_until(begun + *at).await;
        ledger::note(format_args!("{deed:?}"));
        if let Deed::Begin(number) = *deed {
            let reigning = Reigning::begin(plan, (net, &hosts), number).await?;
            _ = reigns.insert(number, reigning);
        }
        does(*deed, (plan, net, &hosts), &mut reigns);
    }
    // Longer than what is silent is waited for, also by one who takes itself for cut off.
    sleep_until(begun + plan.healed_at() + 3 * plan.times.timeout + SETTLED).await;
    let Some((number, last)) = reigns.last_key_value() else { return Ok(()) };
    let state = last.state().await.map_err(|why| format!("L7: there is no state: {why}"))?;
    after.state = state.ranks.iter().map(|it| it.status.clone()).collect();
    ledger::note(format_args!("it ends: {:?}", plan.last));
    match plan.last {
        Last::Stop => {
            let state = last.stop(Duration::from_secs(2)).await;
            let state = state.map_err(|why| format!("C1: the stop is not answered: {why}"))?;
            let is_over = state.ranks.iter().all(|it| it.status.is_terminal());
            after.is_stopped = is_over;
            // Whoever is told of it has the time to hear it.
            sleep(Duration::from_millis(100)).await;
        }
        Last::Die(how) => {
            over(*number);
            last.die(how, net, &hosts);
            sleep(plan.times.lease + judge::cull_within(&plan.times)).await;
        }
    }
    after.n_alive = record::with(|it| it.n_alive());
    drop(reigns);
    hosts.iter().for_each(|host| host.agent.proc().kill());
    for network in hosts.iter().filter_map(|host| Network::of(host.agent.proc())) {
        network.leave();
    }
    Ok(())
}

async fn start(plan: &Plan, net: &FaultNet, host: usize) -> Result<Host, String> {
    let site = format!("host-{host}");
    let proc = process(plan.seed, &site).on(Plane::Control);
    let network = Network::new(proc.clone(), Arc::new(net.transport(&site)), 0);
    let doors = network.listen(&Addr::Local { name: site.clone() }).await;
    let doors = doors.map_err(|error| error.to_string())?;
    let (lease, heartbeat) = (plan.times.lease, plan.times.heartbeat);
    let ranks = plan.ranks_of(host).into();
    let agent = proc.spawn::<HostAgent>(Keeping { agent: host, ranks, lease, heartbeat });
    Ok(Host { site, agent, doors })
}

type Town<'a> = (&'a Plan, &'a FaultNet, &'a [Host]);

fn does(deed: Deed, (plan, net, hosts): Town<'_>, reigns: &mut BTreeMap<u64, Reigning>) {
    match deed {
        Deed::Begin(_) => (),
        Deed::Die(number, how) => {
            over(number);
            if let Some(reigning) = reigns.remove(&number) {
                reigning.die(how, net, hosts);
            }
        }
        Deed::CutOff(number) => {
            over(number);
            if let Some(reigning) = reigns.get(&number) {
                hosts.iter().for_each(|host| net.part(&reigning.site, &host.site));
            }
        }
        Deed::Rejoin(number) => {
            if let Some(reigning) = reigns.get(&number) {
                rejoin(net, hosts, &reigning.site);
            }
            record::with(|it| {
                if let Some(reign) = it.reign(number) {
                    reign.rejoined = Some(record::now());
                }
            });
        }
        Deed::Exit(rank, code) => {
            let agent = &hosts[rank / plan.per_host].agent;
            _ = agent.try_cast(agent.proc(), Exit(Rank::new(rank), code)).is_ok();
        }
        Deed::HostCrash(host) => crash(plan, net, &hosts[host], host),
        Deed::HostCut(host, way, lasting) => {
            let now = record::now();
            record::with(|it| it.cuts.push((host, now, now + lasting)));
            // Whoever is cut off for longer stays so.
            let is_over =
                |number| record::with(|it| it.reign(number).is_some_and(|it| it.is_out()));
            for number in (1..=CONTROLLERS_MAX).filter(|number| !is_over(*number)) {
                let (here, there) = (&hosts[host].site, format!("controller-{number}"));
                if way != Way::In {
                    net.cut_for(here, &there, lasting);
                }
                if way != Way::Out {
                    net.cut_for(&there, here, lasting);
                }
            }
        }
    }
}

/// A controller is not cut off any more, but from hosts that are.
fn rejoin(net: &FaultNet, hosts: &[Host], site: &str) {
    let (now, cuts) = record::with(|it| (record::now(), it.cuts.clone()));
    for (number, host) in hosts.iter().enumerate() {
        net.join(site, &host.site);
        let present = cuts.iter().filter(|(it, _, to)| *it == number && *to > now);
        for (_, _, to) in present {
            net.cut_for(site, &host.site, *to - now);
            net.cut_for(&host.site, site, *to - now);
        }
    }
}

/// A controller is not in charge any more.
fn over(number: u64) {
    record::with(|it| {
        if let Some(reign) = it.reign(number) {
            reign.to = Some(record::now());
        }
    });
}

/// A host dies, and all that is on it.
fn crash(plan: &Plan, net: &FaultNet, host: &Host, number: usize) {
    record::with(|it| {
        let is_here = |(rank, _): &Of| plan.ranks_of(number).contains(rank);
        let alive = it.lives.iter().filter(|life| life.ended.is_none());
        let lives = alive.map(Life::of).filter(is_here).collect();
        it.crashes.push(Crash { host: number, at: record::now(), lives });
    });
    net.crash(&host.site);
    host.agent.proc().kill();
}

/// What is on its way, when nothing goes wrong any more.
const SETTLED: Duration = Duration::from_secs(20);

/// More than there are.
const CONTROLLERS_MAX: u64 = 3;
