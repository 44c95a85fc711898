//! One seed of attached hosts, from the first agent to the last task.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mesh_core::{Addr, Doors, MeshState, Plane, Status};
use mesh_runtime::{ActorRef, Network};
use mesh_shape::Rank;
use mesh_testkit::fault_net::FaultNet;
use tokio::time::{Instant, sleep, sleep_until};

use super::agent::{Exit, HostAgent, Keeping};
use super::judge::{self, After};
use super::plan::{Deed, Last, Plan};
use super::record::{self, Crash, Life, Of};
use super::reign::{self, Reigning};
use crate::client;
use crate::ledger;
use crate::plan::Way;
use crate::whole::Street;
use crate::world::{self, Outcome, process};

/// A host: a process with an agent.
#[derive(Clone)]
pub(crate) struct Host {
    pub(crate) site: String,
    pub(crate) agent: ActorRef<HostAgent>,
    pub(crate) doors: Doors,
}

/// The hosts, and what is between them and their controllers.
#[derive(Clone, Copy)]
pub(crate) struct Town<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) net: &'a FaultNet,
    pub(crate) hosts: &'a [Host],
    /// Their processes, where actors live in them.
    pub(crate) street: Option<&'a Street>,
}

/// The controllers that there are, by their numbers.
pub(crate) type Reigns = BTreeMap<u64, Reigning>;

/// Runs a plan on a runtime of its own, in time that is only counted.
pub(crate) fn run(plan: &Plan) -> Outcome {
    let live = async |net: FaultNet| {
        ledger::begin(ledger::Begun::default());
        drop(record::take());
        let n_tasks = world::n_tasks();
        let mut after = After::default();
        if let Err(why) = live((plan, &net), &mut after).await {
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

async fn live((plan, net): (&Plan, &FaultNet), after: &mut After) -> Result<(), String> {
    let hosts = open((plan, net), None).await?;
    let town = Town { plan, net, hosts: &hosts, street: None };
    let (begun, mut reigns) = (Instant::now(), BTreeMap::new());
    town.performs(&plan.deeds, begun, &mut reigns).await?;
    sleep_until(begun + plan.quiet_at()).await;
    state(&reigns, after).await?;
    town.ends(reigns, after).await
}

/// Starts the hosts.
pub(crate) async fn open(
    (plan, net): (&Plan, &FaultNet),
    street: Option<&Street>,
) -> Result<Vec<Host>, String> {
    let mut hosts = Vec::new();
    for host in 0..plan.n_hosts {
        hosts.push(start((plan, net), host, street).await?);
    }
    Ok(hosts)
}

/// What the last controller says that there is.
pub(crate) async fn state(reigns: &Reigns, after: &mut After) -> Result<(), String> {
    let Some((_, last)) = reigns.last_key_value() else { return Ok(()) };
    for _ in 0..ASKED_AGAIN {
        let state = last.state().await.map_err(|why| format!("L7: there is no state: {why}"))?;
        after.state = statuses(&state);
        if !after.state.iter().any(is_doubted) {
            break;
        }
        sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}

/// What each rank is.
pub(crate) fn statuses(state: &MeshState) -> Vec<Status> {
    state.ranks.iter().map(|it| it.status.clone()).collect()
}

/// Whether it is not known what a rank is: where packets are lost that may be so for a moment (H4).
pub(crate) const fn is_doubted(status: &Status) -> bool {
    matches!(status, Status::Suspect | Status::Unreachable)
}

impl Town<'_> {
    /// Does what is to be done, each at its time since then.
    pub(crate) async fn performs(
        &self,
        deeds: &[(Duration, Deed)],
        begun: Instant,
        reigns: &mut Reigns,
    ) -> Result<(), String> {
        for (at, deed) in deeds {
            sleep_until(begun + *at).await;
            ledger::note(format_args!("{deed:?}"));
            if let Deed::Begin(number) = *deed {
                let reigning = Reigning::begin(*self, number).await?;
                _ = reigns.insert(number, reigning);
            }
            self.does(*deed, reigns);
        }
        Ok(())
    }

    /// Ends it all, as the plan says.
    pub(crate) async fn ends(&self, reigns: Reigns, after: &mut After) -> Result<(), String> {
        let Self { plan, hosts, .. } = self;
        let Some((number, last)) = reigns.last_key_value() else { return Ok(()) };
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
                last.die(how, *self);
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
}

async fn start(
    (plan, net): (&Plan, &FaultNet),
    host: usize,
    street: Option<&Street>,
) -> Result<Host, String> {
    let site = format!("host-{host}");
    let proc = process(plan.seed, &site).on(Plane::Control);
    let network = Network::new(proc.clone(), Arc::new(net.transport(&site)), 0);
    let doors = network.listen(&Addr::Local { name: site.clone() }).await;
    let doors = doors.map_err(|error| error.to_string())?;
    let (lease, heartbeat) = (plan.times.lease, plan.times.heartbeat);
    let ranks = plan.ranks_of(host).into();
    let street = street.cloned();
    let agent = proc.spawn::<HostAgent>(Keeping { agent: host, ranks, lease, heartbeat, street });
    Ok(Host { site, agent, doors })
}

impl Town<'_> {
    fn does(&self, deed: Deed, reigns: &mut Reigns) {
        let Self { plan, net, hosts, .. } = self;
        match deed {
            Deed::Begin(_) => (),
            Deed::Die(number, how) => {
                over(number);
                if let Some(reigning) = reigns.remove(&number) {
                    reigning.die(how, *self);
                }
            }
            Deed::CutOff(number) => {
                over(number);
                if let Some(reigning) = reigns.get(&number) {
                    let is_heard =
                        |site: &str| site == client::SITE && plan.is_heard_when_cut_off();
                    let others = self.sites().filter(|site| !is_heard(site));
                    others.for_each(|site| net.part(&reigning.site, site));
                }
            }
            Deed::Rejoin(number) => {
                if let Some(reigning) = reigns.get(&number) {
                    self.rejoins(&reigning.site);
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
            Deed::HostCrash(host) => self.crash(host),
            Deed::HostCut(host, way, lasting) => {
                let now = record::now();
                record::with(|it| it.cuts.push((host, now, now + lasting)));
                if way != Way::Out {
                    ledger::with(|it| it.deafens(self.plan.ranks_of(host), lasting));
                }
                self.cut(host, way, lasting);
            }
        }
    }

    /// Cuts all that is on a host off from all that is not: its agent, and its processes where others live in them.
    fn cut(&self, host: usize, way: Way, lasting: Duration) {
        let Self { plan, net, hosts, street } = self;
        let procs_of = |host| plan.ranks_of(host).map(|rank| world::site(rank + 1));
        let all_on = |host: usize| {
            let procs = street.map(|_| procs_of(host));
            std::iter::once(hosts[host].site.clone()).chain(procs.into_iter().flatten())
        };
        // Whoever is cut off for longer stays so.
        let is_over = |number| record::with(|it| it.reign(number).is_some_and(|it| it.is_out()));
        let controllers = (1..=CONTROLLERS_MAX).filter(|number| !is_over(*number));
        let elsewhere = (0..plan.n_hosts).filter(|other| street.is_some() && *other != host);
        let tenants = street.map(|_| [client::SITE, client::GUEST].map(str::to_owned));
        let outside = controllers.map(reign::site).chain(tenants.into_iter().flatten());
        let outside: Vec<String> = outside.chain(elsewhere.flat_map(all_on)).collect();
        for here in all_on(host) {
            for there in &outside {
                if way != Way::In {
                    net.cut_for(&here, there, lasting);
                }
                if way != Way::Out {
                    net.cut_for(there, &here, lasting);
                }
            }
        }
    }

    /// Where those are whom a controller speaks to.
    pub(crate) fn sites(&self) -> impl Iterator<Item = &str> {
        let others = self.street.map(|_| client::SITE);
        self.hosts.iter().map(|host| host.site.as_str()).chain(others)
    }

    /// A controller is not cut off any more, but from hosts that are.
    fn rejoins(&self, site: &str) {
        let Self { net, hosts, .. } = self;
        let (now, cuts) = record::with(|it| (record::now(), it.cuts.clone()));
        self.sites().for_each(|other| net.join(site, other));
        for (number, host) in hosts.iter().enumerate() {
            let present = cuts.iter().filter(|(it, _, to)| *it == number && *to > now);
            for (_, _, to) in present {
                net.cut_for(site, &host.site, *to - now);
                net.cut_for(&host.site, site, *to - now);
            }
        }
    }

    /// A host dies, and all that is on it.
    fn crash(&self, number: usize) {
        let (host, ranks) = (&self.hosts[number], self.plan.ranks_of(number));
        record::with(|it| {
            let is_here = |(rank, _): &Of| ranks.contains(rank);
            let alive = it.lives.iter().filter(|life| life.ended.is_none());
            let lives = alive.map(Life::of).filter(is_here).collect();
            let (at, ranks) = (record::now(), ranks.clone());
            it.crashes.push(Crash { host: number, at, ranks, lives });
        });
        self.net.crash(&host.site);
        if self.street.is_some() {
            ranks.for_each(|rank| self.net.crash(&world::site(rank + 1)));
        }
        host.agent.proc().kill();
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

/// How often it is asked again what ranks are that are in doubt.
pub(crate) const ASKED_AGAIN: usize = 10;

/// More than there are.
pub(crate) const CONTROLLERS_MAX: u64 = 3;
