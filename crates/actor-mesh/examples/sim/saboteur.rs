//! `Saboteur`: does what the plan says that goes wrong, when it says so.

use std::time::Duration;

use actor_mesh::{ActorMeshRef, LocalProcs};
use mesh_core::Message;
use mesh_runtime::{Handler, Proc};
use mesh_shape::Rank;
use mesh_testkit::fault_net::FaultNet;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep_until};

use crate::ledger;
use crate::plan::{DIMS, Fault, Plan};
use crate::probe::{Break, Probe, Tell};
use crate::world::site;

/// Who does what goes wrong.
pub(crate) struct Saboteur<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) net: &'a FaultNet,
    pub(crate) proc: &'a Proc,
    pub(crate) procs: &'a LocalProcs,
    pub(crate) mesh: &'a ActorMeshRef<Probe>,
}

impl Saboteur<'_> {
    pub(crate) async fn work(&self) {
        let begun = Instant::now();
        let mut resumes: Vec<(Instant, String)> = Vec::new();
        for (at, fault) in &self.plan.faults {
            let at = begun + *at;
            self.resume(&mut resumes, at).await;
            sleep_until(at).await;
            ledger::note(format_args!("{fault:?}"));
            self.does(*fault, &mut resumes);
        }
        let end = begun + Duration::from_secs(40);
        self.resume(&mut resumes, end).await;
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
            Fault::Panic(rank) => self.breaks(rank, Break::Panic),
            Fault::Fail(rank) => self.breaks(rank, Break::Fail),
            Fault::Hang(rank, lasting) => self.breaks(rank, Break::Hang(lasting)),
            Fault::HangAndPanic(rank, lasting) => self.breaks(rank, Break::HangAndPanic(lasting)),
            Fault::Tell(rank, times) => {
                (0..times).for_each(|_| self.orders(rank, Tell(self.mesh.clone())));
            }
            Fault::Crash(rank) => {
                ledger::with(|it| it.crashed.push(rank));
                self.procs.crash(Rank::new(rank));
            }
            Fault::Pause(rank, lasting) => {
                let site = site(rank + 1);
                self.net.pause(&site);
                resumes.push((Instant::now() + lasting, site));
            }
            Fault::Cut(from, to, lasting) => self.net.cut_for(&site(from), &site(to), lasting),
        }
    }

    fn breaks(&self, rank: usize, how: Break) {
        self.orders(rank, how);
    }

    /// Tells an actor something, in a task of its own, since it may be that it has no room.
    fn orders<M>(&self, rank: usize, what: M)
    where
        Probe: Handler<M>,
        M: Message<Reply = ()> + Clone + Serialize + DeserializeOwned + Sync,
    {
        let region = self.mesh.region().extent().clone();
        let Ok(point) = region.unravel(Rank::new(rank)) else { return };
        let mut one = self.mesh.clone();
        for (dim, at) in DIMS.iter().zip(point.coordinates().iter()) {
            let at = at.cast_signed();
            let Ok(slice) = one.slice(dim, at..at + 1) else { return };
            one = slice;
        }
        let proc = self.proc.clone();
        drop(tokio::spawn(async move { drop(one.cast(&proc, what).await) }));
    }
}
