//! Does to actors, and to the processes that they live in, what is to be done to them.

use std::fs::{self, File};

use anyhow::{Context as _, Result, bail, ensure};
use mesh_testkit::history::{End, FaultKind};
use meshwarden::mesh_core::{Reason, Timestamp};
use meshwarden::prelude::*;
use rustix::process::Signal;

use super::caster::PATIENCE;
use super::drive::{Books, Driver, Round};
use super::plan::{Act, By};
use super::victim::{Block, Fail, Home, Panic, Victim, Wait, panicked};
use crate::kind::Kind;
use crate::processes::signal;

impl Driver<'_> {
    /// Does all of it. Whoever is told is told by this process, so each is told as it comes.
    pub(super) async fn inject(&mut self, acts: &[(Rank, Act)], round: &mut Round) -> Result<()> {
        let needs_seats = acts.iter().any(|(_, act)| act.effect_on_home().is_some());
        let seats = match &self.site.homes {
            Some(homes) if needs_seats => homes.seats().await,
            _ => Vec::new(),
        };
        for (rank, act) in acts {
            let (rank, act) = (*rank, *act);
            let one = self.one(rank)?;
            let pid = seats.iter().find(|seat| seat.rank == rank).map(|seat| seat.pid);
            let held = Home { dir: self.site.dir.clone(), rank: rank.index() }.held();
            if matches!(act, Act::Wait | Act::Block) {
                File::create(held)?;
            }
            let at = self.clock.now();
            self.note(at, rank, act)?;
            let proc = &self.site.proc;
            let unsent = match act {
                Act::Panic(By::Cast) => Some(one.cast(proc, Panic).await),
                Act::Error(By::Cast) => Some(one.cast(proc, Fail).await),
                Act::Wait => Some(one.cast(proc, Wait).await),
                Act::Block => Some(one.cast(proc, Block).await),
                Act::Panic(By::Call) => {
                    let call = one.call(proc, Panic).within(PATIENCE);
                    round.calls.push(tokio::spawn(expect_end(call, act.effect(rank))));
                    None
                }
                Act::Error(By::Call) => {
                    let call = one.call(proc, Fail).within(PATIENCE);
                    round.calls.push(tokio::spawn(expect_end(call, act.effect(rank))));
                    None
                }
                Act::HomeKill | Act::RelayKill => {
                    signal(pid.context("it has no process")?, Signal::KILL)?;
                    None
                }
                Act::RelayStop => {
                    signal(pid.context("it has no process")?, Signal::STOP)?;
                    None
                }
            };
            if let Some((_, why)) = unsent.iter().flat_map(|it| it.iter()).next() {
                self.books.actors.on_oddity(format!("{act:?} was not sent to {rank}: {why}"));
            }
            if act.relief().is_some() {
                round.held.push((rank, act));
            }
        }
        Ok(())
    }

    /// Notes that something is done to a rank.
    fn note(&mut self, at: Timestamp, rank: Rank, act: Act) -> Result<()> {
        let hit = self.books.actors.fault(at, rank, (act.kind(), act.effect(rank)));
        hit.with_context(|| format!("rank {rank} has not begun"))?;
        if let (Some(effect), Some(_)) = (act.effect_on_home(), &self.site.homes) {
            let hit = self.books.homes.fault(at, rank, effect);
            hit.with_context(|| format!("the process of {rank} has not begun"))?;
        }
        Ok(())
    }

    /// All panic at one cast.
    pub(super) async fn all_panic(&mut self) -> Result<()> {
        let at = self.clock.now();
        for rank in self.mesh.extent().ranks().iter() {
            let effect = (Kind::AllPanic, FaultKind::Ends(End::Failed(panicked())));
            let hit = self.books.actors.fault(at, rank, effect);
            hit.with_context(|| format!("rank {rank} has not begun"))?;
        }
        let unsent = self.mesh.cast(&self.site.proc, Panic).await;
        ensure!(unsent.is_empty(), "a cast was not sent to {:?}", unsent.ranks());
        Ok(())
    }

    /// The slice that a rank is.
    fn one(&self, rank: Rank) -> Result<ActorMeshRef<Victim>> {
        let point = self.mesh.extent().unravel(rank)?.to_string();
        Ok(self.mesh.part(&self.mesh.region().parse_slice(&point)?)?)
    }

    /// Lets go on what was seen held up; a forwarder when all was cast that was to be, without it.
    pub(super) async fn relieve(&mut self, round: &mut Round) -> Result<()> {
        let Books { actors, homes, .. } = &*self.books;
        let has_homes = self.site.homes.is_some();
        let is_due = |it: &mut (Rank, Act)| {
            let (rank, act) = *it;
            let at_home = !has_homes || act.effect_on_home().is_none() || homes.is_seen_held(rank);
            let is_cast = act != Act::RelayStop || round.is_cast;
            is_cast && at_home && actors.is_seen_held(rank)
        };
        let due: Vec<(Rank, Act)> = round.held.extract_if(.., is_due).collect();
        for (rank, act) in due {
            let Some(relief) = act.relief() else { continue };
            let at = self.clock.now();
            self.books.actors.continued(at, rank, relief);
            if has_homes && act.effect_on_home().is_some() {
                self.books.homes.continued(at, rank, relief);
            }
            if act == Act::RelayStop {
                let Some(homes) = &self.site.homes else { continue };
                let seats = homes.seats().await;
                let seat = seats.iter().find(|seat| seat.rank == rank);
                signal(seat.context("it has no process")?.pid, Signal::CONT)?;
            } else {
                let home = Home { dir: self.site.dir.clone(), rank: rank.index() };
                fs::remove_file(home.held())?;
            }
        }
        Ok(())
    }
}

/// R1: a call to what ends is answered with that end.
async fn expect_end<T>(
    call: impl Future<Output = ValueMesh<Result<T, RankError>>>,
    effect: FaultKind,
) -> Result<()> {
    let answers = call.await;
    let FaultKind::Ends(End::Failed(expected)) = effect else { bail!("it was to be its end") };
    let reason = |answer: &Result<T, RankError>| -> Option<Reason> {
        let Err(RankError::Ended(ended)) = answer else { return None };
        ended.status().cause().map(|cause| cause.reason.clone())
    };
    let reasons: Vec<_> = answers.iter().map(reason).collect();
    ensure!(reasons == [Some(expected)], "the call was answered with {reasons:?}");
    Ok(())
}
