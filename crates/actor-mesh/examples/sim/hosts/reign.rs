//! `Reigning`: one controller in a process of its own, and those whom it tells.

use std::sync::Arc;
use std::time::Duration;

use controller::{Config, Controller, RestartConfig, Spec};
use futures_util::future::join_all;
use mesh_core::{
    Addr, Change, Epoch, Interest, MeshId, MeshLabel, MeshState, News, OwnerNews, Plane, Snapshot,
    Status, Trouble,
};
use mesh_runtime::{Network, Proc};
use mesh_shape::{Extent, RankSet, Region};
use supervise::{Clock, ControllerRef, Desk, Local, Opening, Owner, Setup, Supervision, supervise};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::agent::Told;
use super::plan::Plan;
use super::reach::PortAgents;
use super::record::{self, Reign};
use super::town::{Host, Town};
use crate::ledger;
use crate::plan::Death;
use crate::world::process;

/// How often a host is dialled that there is no way to.
const DIAL_EVERY: Duration = Duration::from_millis(500);

/// A controller, its process, and its owner and subscriber in it.
pub(crate) struct Reigning {
    pub(crate) site: String,
    proc: Proc,
    controller: ControllerRef<Status>,
    tasks: Vec<JoinHandle<()>>,
    /// Lets those know of it who live on the hosts, also when it has died by then.
    herald: Option<JoinHandle<()>>,
}

impl Reigning {
    /// Begins: the first starts the mesh, each other adopts it.
    pub(crate) async fn begin(town: Town<'_>, number: u64) -> Result<Self, String> {
        let Town { plan, net, hosts, street } = town;
        let site = site(number);
        let proc = process(plan.seed, &site).on(Plane::Control);
        let network = Network::new(proc.clone(), Arc::new(net.transport(&site)), 0);
        // Whoever comes in time has found its hosts in time.
        let ways = hosts.iter().map(|host| network.dial(host.agent.proc().peer(), &host.doors));
        _ = timeout(FOUND_WITHIN, join_all(ways)).await.is_ok();
        let mut told = proc.open_port::<Told>(4096);
        let agents = PortAgents {
            proc: proc.clone(),
            agents: hosts.iter().map(|host| host.agent.port()).collect(),
            me: told.port(),
        };
        let machine = Controller::new(spec(plan, number)?, Local).map_err(|why| why.to_string())?;
        let mut setup = Setup::new(machine, agents, Clock::start());
        setup.opening = if number == 1 { Opening::Start } else { Opening::Adopt };
        let (Supervision { controller, owner, answers }, run) = supervise(setup);
        let (from, to, rejoined, replaced, closed) = (record::now(), None, None, None, None);
        let reign = Reign { epoch: number, from, to, rejoined, replaced, closed };
        record::with(|it| it.reigns.push(reign));
        let mut tasks: Vec<_> =
            hosts.iter().map(|host| tokio::spawn(reach(network.clone(), host.clone()))).collect();
        tasks.push(tokio::spawn(run));
        tasks.push(tokio::spawn(async move {
            loop {
                let Told(answer) = told.recv().await;
                record::with(|it| it.hears(number, &answer));
                // What finds no room is asked again.
                _ = answers.send(answer).is_ok();
            }
        }));
        tasks.push(tokio::spawn(own(number, owner)));
        tasks.push(tokio::spawn(watch(number, controller.clone())));
        let mut herald = None;
        if let Some(street) = street {
            let doors = network.listen(&Addr::Local { name: site.clone() }).await;
            let at = (proc.peer(), doors.map_err(|error| error.to_string())?);
            let desk = proc.spawn::<Desk<Status>>(controller.clone()).port();
            let (street, after) = (street.clone(), plan.known_after(number));
            herald = Some(tokio::spawn(async move {
                sleep(after).await;
                ledger::note(format_args!("it is known that {number} leads"));
                street.is_led_by(desk, at);
            }));
        }
        Ok(Self { site, proc, controller, tasks, herald })
    }

    pub(crate) async fn state(&self) -> Result<MeshState, String> {
        let state = timeout(ANSWERED_WITHIN, self.controller.state()).await;
        state.map_err(|late| late.to_string())?.map_err(|error| error.to_string())
    }

    pub(crate) async fn stop(&self, grace: Duration) -> Result<MeshState, String> {
        let state = timeout(ANSWERED_WITHIN, self.controller.stop(grace)).await;
        state.map_err(|late| late.to_string())?.map_err(|error| error.to_string())
    }

    /// Its process ends.
    pub(crate) fn die(&self, how: Death, town: Town<'_>) {
        match how {
            Death::Told => town.net.crash(&self.site),
            Death::Silent => town.sites().for_each(|site| town.net.part(&self.site, site)),
        }
        self.tasks.iter().for_each(JoinHandle::abort);
        self.proc.kill();
    }
}

impl Drop for Reigning {
    fn drop(&mut self) {
        self.tasks.iter().chain(&self.herald).for_each(JoinHandle::abort);
        self.proc.kill();
        if let Some(network) = Network::of(&self.proc) {
            network.leave();
        }
    }
}

/// Where the controller with this number is.
pub(crate) fn site(number: u64) -> String {
    format!("controller-{number}")
}

/// What the controller with this number supervises: the same, by another epoch.
fn spec(plan: &Plan, number: u64) -> Result<Spec, String> {
    let (backoff_min, backoff_max) = (Duration::from_millis(10), Duration::from_millis(500));
    let restart = match plan.restarts {
        true => RestartConfig { backoff_min, backoff_max, ..RestartConfig::on_failure(10_000) },
        false => RestartConfig::NEVER,
    };
    let agents = (0..plan.n_hosts).map(|host| plan.ranks_of(host).into()).collect::<Vec<RankSet>>();
    Ok(Spec {
        mesh: label(plan),
        region: region(plan)?.into(),
        epoch: Epoch::new(number),
        agents: agents.into(),
        config: Config { times: plan.times, restart, ..Config::local() },
        seed: plan.seed ^ number,
    })
}

pub(crate) fn label(plan: &Plan) -> MeshLabel {
    MeshLabel::new(MeshId::from_random(u128::from(plan.seed) + 1), "street", "host")
}

pub(crate) fn region(plan: &Plan) -> Result<Region, String> {
    let extent = format!("hosts={},procs={}", plan.n_hosts, plan.per_host);
    let extent: Extent = extent.parse().map_err(|error| format!("{error}"))?;
    Ok(Region::all(extent))
}

/// Keeps a way to a host.
async fn reach(network: Network, host: Host) {
    loop {
        let peer = host.agent.proc().peer();
        if !network.is_open(peer) {
            _ = network.dial(peer, &host.doors).await.is_ok();
        }
        sleep(DIAL_EVERY).await;
    }
}

/// Writes down what the owner is told.
async fn own(epoch: u64, mut owner: Owner) {
    while let Some(news) = owner.next().await {
        let OwnerNews::Failed(failures) = news else { continue };
        record::with(|it| {
            let step = it.next_step();
            for change in &failures.changes {
                let told = told(epoch, step, change);
                told.iter().for_each(|told| note("owner", told));
                if change.restart_in.is_some() {
                    let next = |told: &record::Told| (told.rank, told.incarnation.next());
                    told.iter().map(next).for_each(|of| it.knows(epoch, of));
                }
                it.owners.extend(told);
            }
        });
    }
    // The mesh has ended, and can still be asked; who drops the owner ends the loop.
    std::future::pending::<()>().await;
}

/// Writes down what a subscriber is told.
async fn watch(epoch: u64, controller: ControllerRef<Status>) {
    let Ok(mut events) = controller.subscribe(Interest::All, None).await else { return };
    while let Some(event) = events.next().await {
        record::with(|it| {
            let step = it.next_step();
            let mut hear = |changes: &[Change]| {
                for change in changes.iter().filter(|it| it.status.is_terminal()) {
                    let told = told(epoch, step, change);
                    told.iter().for_each(|told| note("subscriber", told));
                    it.subscribers.extend(told);
                }
                for Change { ranks, incarnation, status, .. } in changes {
                    let lives = ranks.iter().map(|rank| (rank.index(), *incarnation));
                    lives.for_each(|of| it.tells(epoch, of, status));
                }
            };
            match &event.news {
                News::Changed(changes) => hear(changes),
                News::Snapshot(Snapshot { failed, stopped, alive, .. }) => {
                    hear(failed);
                    hear(stopped);
                    hear(alive);
                }
                News::Trouble(trouble) => {
                    ledger::note(format_args!("subscriber of {epoch}: {trouble:?}"));
                    if matches!(trouble, Trouble::Replaced { .. })
                        && let Some(reign) = it.reign(epoch)
                    {
                        reign.replaced = Some(record::now());
                    }
                }
                News::Closed => {
                    if let Some(reign) = it.reign(epoch) {
                        reign.closed = Some(record::now());
                    }
                }
                _ => (),
            }
        });
    }
}

fn told(epoch: u64, step: usize, change: &Change) -> Vec<record::Told> {
    let (at, incarnation) = (record::now(), change.incarnation);
    let each = change.ranks.iter().map(|rank| record::Told {
        epoch,
        at,
        step,
        rank: rank.index(),
        incarnation,
        status: change.status.clone(),
    });
    each.collect()
}

fn note(who: &str, told: &record::Told) {
    let record::Told { epoch, rank, incarnation, status, .. } = told;
    ledger::note(format_args!("{who} of {epoch}: rank {rank}, {incarnation} {status}"));
}

/// How long hosts are looked for before a controller begins: some may be gone.
const FOUND_WITHIN: Duration = Duration::from_millis(700);

/// Longer than an answer of a controller may take.
const ANSWERED_WITHIN: Duration = Duration::from_secs(120);
