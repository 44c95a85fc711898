//! The actor that casts and calls, while things are done to whom it casts to; what cannot be delivered comes back
//! to it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use meshwarden::mesh_core::ActorId;
use meshwarden::mesh_runtime::{Proc, Undelivered};
use meshwarden::prelude::*;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::post::{Answer, Sent};
use super::victim::{Ask, Number, Victim};

/// Casts numbers to a mesh.
pub(crate) struct Caster {
    mesh: ActorMeshRef<Victim>,
    returned: mpsc::UnboundedSender<Returned>,
}

/// What a caster is made of.
pub(crate) struct Casting {
    pub(crate) mesh: ActorMeshRef<Victim>,
    pub(crate) returned: mpsc::UnboundedSender<Returned>,
}

/// A number came back that was cast to this actor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Returned {
    pub(crate) number: Option<u64>,
    pub(crate) to: ActorId,
    pub(crate) why: String,
}

impl fmt::Display for Returned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, to, why } = self;
        write!(f, "{number:?} to {to}: {why}")
    }
}

/// Cast this number. It is answered with the ranks that it was not sent to.
struct Cast(u64);

impl Message for Cast {
    const NAME: &'static str = "chaos.Cast";
    type Reply = NotSent;
}

impl Actor for Caster {
    const NAME: &'static str = "caster";
    type Params = Casting;

    async fn start(casting: Casting, _: &mut Context<Self>) -> Result<Self, Failure> {
        let Casting { mesh, returned } = casting;
        Ok(Self { mesh, returned })
    }

    async fn on_undelivered(
        &mut self,
        undelivered: Undelivered,
        _: &mut Context<Self>,
    ) -> Result<(), Failure> {
        let (to, why) = (undelivered.to, format!("{}: {}", undelivered.name, undelivered.why));
        let number = undelivered.decode::<Number>().ok().map(|Number(n)| n);
        // With the driver there is nobody left to count it.
        _ = self.returned.send(Returned { number, to, why }).is_ok();
        Ok(())
    }
}

impl Handler<Cast> for Caster {
    async fn handle(&mut self, Cast(n): Cast, cx: &mut Context<Self>) -> Result<NotSent, Failure> {
        Ok(self.mesh.cast(cx, Number(n)).await)
    }
}

/// Who sends in a round, and with which numbers.
#[derive(Clone)]
pub(crate) struct Traffic {
    pub(crate) proc: Proc,
    pub(crate) caster: ActorRef<Caster>,
    pub(crate) mesh: ActorMeshRef<Victim>,
    pub(crate) round: usize,
}

impl Traffic {
    /// Casts these numbers one after the other, and calls with some of them beside that. Says of each number when it
    /// is on its way.
    pub(crate) async fn run(
        self,
        numbers: std::ops::Range<u64>,
        on_way: mpsc::UnboundedSender<u64>,
    ) -> Result<Vec<Sent>> {
        let mut calls = JoinSet::new();
        let mut sent = Vec::new();
        for number in numbers {
            if number % CALL_EVERY == 0 {
                calls.spawn(self.clone().call(number));
            } else {
                sent.push(self.cast(number).await?);
            }
            // Nobody may be waiting for it.
            _ = on_way.send(number).is_ok();
        }
        drop(on_way);
        while let Some(call) = calls.join_next().await {
            sent.push(call?);
        }
        Ok(sent)
    }

    async fn cast(&self, number: u64) -> Result<Sent> {
        let begun = Instant::now();
        let unsent = self.caster.call(&self.proc, Cast(number)).within(PATIENCE).await;
        let unsent = unsent.context("the caster does not answer")?;
        let answers =
            unsent.iter().map(|(rank, why)| (rank, Answer::Unsent(why.to_string()))).collect();
        let (is_call, took) = (false, begun.elapsed());
        Ok(Sent { number, is_call, round: self.round, answers, took })
    }

    /// Calls all with a number.
    pub(crate) async fn call(self, number: u64) -> Sent {
        let begun = Instant::now();
        let answers = self.mesh.call(&self.proc, Ask(number)).within(PATIENCE).await;
        let answers: BTreeMap<Rank, Answer> = answers
            .iter()
            .enumerate()
            .map(|(rank, answer)| (Rank::new(rank), Answer::of(answer)))
            .collect();
        let (is_call, took) = (true, begun.elapsed());
        Sent { number, is_call, round: self.round, answers, took }
    }
}

/// One number of so many is a call.
const CALL_EVERY: u64 = 8;
/// How long anything that is sent may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(25);
