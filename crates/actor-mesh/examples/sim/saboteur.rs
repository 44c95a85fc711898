//! `Saboteur`: does what the plan says that goes wrong, when it says so.

use std::time::Duration;

use actor_mesh::ActorMeshRef;
use mesh_core::Message;
use mesh_runtime::{Handler, Proc};
use mesh_shape::Rank;
use mesh_testkit::fault_net::FaultNet;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep_until};

use crate::ledger;
use crate::plan::{DIMS, Death, Fault, Plan, Way};
use crate::probe::{Break, Probe, Tell};

/// Who does what goes wrong.
pub(crate) struct Saboteur<'a, S> {
    pub(crate) plan: &'a Plan,
    pub(crate) net: &'a FaultNet,
    pub(crate) scene: &'a S,
}

/// Where it goes wrong.
pub(crate) trait Scene {
    fn mesh(&self) -> &ActorMeshRef<Probe>;

    /// Who tells actors what they are to do.
    fn proc(&self) -> &Proc;

    /// Where a process is; the first is that of the owner of the mesh.
    fn site(&self, number: usize) -> String;

    /// The process of a rank is killed.
    fn crash(&self, rank: Rank, net: &FaultNet);

    /// The process of a rank is suspended for so long, which whoever looks after it sees.
    fn suspends(&self, rank: Rank, lasting: Duration);

    /// The process of the owner ends, and with it all that it has.
    fn owner_dies(&self, how: Death, net: &FaultNet);
}

impl<S: Scene> Saboteur<'_, S> {
    /// Does it all, within so long.
    pub(crate) async fn work(&self, within: Duration) {
        let begun = Instant::now();
        let mut resumes: Vec<(Instant, String)> = Vec::new();
        for (at, fault) in &self.plan.faults {
            let at = begun + *at;
            self.resume(&mut resumes, at).await;
            sleep_until(at).await;
            ledger::note(format_args!("{fault:?}"));
            self.does(*fault, &mut resumes);
        }
        self.resume(&mut resumes, begun + within).await;
    }

    /// Lets those go on whose time has come by `until`.
    async fn resume(&self, resumes: &mut Vec<(Instant, String)>, until: Instant) {
        resumes.sort();
        while let Some((at, site)) = resumes.first().filter(|(at, _)| *at <= until).cloned() {
            sleep_until(at).await;
            self.net.resume(&site);
            _ = resumes.remove(0);
        }
    }

    fn does(&self, fault: Fault, resumes: &mut Vec<(Instant, String)>) {
        match fault {
            Fault::Panic(rank) => self.orders(rank, Break::Panic),
            Fault::Fail(rank) => self.orders(rank, Break::Fail),
            Fault::Hang(rank, lasting) => self.orders(rank, Break::Hang(lasting)),
            Fault::HangAndPanic(rank, lasting) => self.orders(rank, Break::HangAndPanic(lasting)),
            Fault::Tell(rank, times) => {
                (0..times).for_each(|_| self.orders(rank, Tell(self.scene.mesh().clone())));
            }
            Fault::Crash(rank) => self.crash(rank),
            Fault::Pause(rank, lasting) => {
                let site = self.scene.site(rank + 1);
                self.net.pause(&site);
                ledger::with(|it| it.pauses(rank, lasting));
                self.scene.suspends(Rank::new(rank), lasting);
                resumes.push((Instant::now() + lasting, site));
            }
            Fault::Cut(from, to, lasting) => {
                ledger::with(|it| it.cuts((from, to), lasting));
                self.net.cut_for(&self.scene.site(from), &self.scene.site(to), lasting);
            }
            Fault::HostCrash(host) => {
                ledger::with(|it| it.host_crashes(self.plan.ranks_of(host)));
                self.plan.ranks_of(host).for_each(|rank| self.crash(rank));
            }
            Fault::HostCut(host, way, lasting) => self.cut_off(host, way, lasting),
            Fault::OwnerDies(how) => self.scene.owner_dies(how, self.net),
        }
    }

    fn crash(&self, rank: usize) {
        ledger::with(|it| it.crashes(rank));
        self.scene.crash(Rank::new(rank), self.net);
    }

    /// Cuts every way between a host and who is elsewhere.
    fn cut_off(&self, host: usize, way: Way, lasting: Duration) {
        let inside = self.plan.ranks_of(host);
        if way != Way::In {
            ledger::with(|it| it.silences(inside.clone(), lasting));
        }
        if way != Way::Out {
            ledger::with(|it| it.deafens(inside.clone(), lasting));
        }
        for rank in inside.clone() {
            let outside = (0..=self.plan.size).filter(|it| *it == 0 || !inside.contains(&(it - 1)));
            for other in outside {
                let (here, there) = (self.scene.site(rank + 1), self.scene.site(other));
                if way != Way::In {
                    self.net.cut_for(&here, &there, lasting);
                }
                if way != Way::Out {
                    self.net.cut_for(&there, &here, lasting);
                }
            }
        }
    }

    /// Tells an actor something, in a task of its own, since it may be that it has no room.
    fn orders<M>(&self, rank: usize, what: M)
    where
        Probe: Handler<M>,
        M: Message<Reply = ()> + Clone + Serialize + DeserializeOwned + Sync,
    {
        let region = self.scene.mesh().region().extent().clone();
        let Ok(point) = region.unravel(Rank::new(rank)) else { return };
        let mut one = self.scene.mesh().clone();
        for (dim, at) in DIMS.iter().zip(point.coordinates().iter()) {
            let at = at.cast_signed();
            let Ok(slice) = one.slice(dim, at..at + 1) else { return };
            one = slice;
        }
        let proc = self.scene.proc().clone();
        drop(tokio::spawn(async move { drop(one.cast(&proc, what).await) }));
    }
}
