//! `Teller`: an actor that sends to the mesh, and is told what comes back.

use std::collections::BTreeMap;
use std::time::Duration;

use actor_mesh::{ActorMeshRef, RankError, Reduced, Sum};
use mesh_core::Message;
use mesh_runtime::{Actor, Context, Failure, Handler, Undelivered};
use mesh_shape::{Overlay, Rank, ValueMesh};
use mesh_testkit::fault_net::SplitMix64;
use tokio::time::Instant;

use crate::ledger::{self, Kind, Number, Send};
use crate::plan::DIMS;
use crate::probe::{Ask, Probe, Say, worth};

/// How long a call may take.
pub(crate) const WITHIN: Duration = Duration::from_secs(10);

pub(crate) struct Teller {
    number: usize,
    n_sent: u64,
    mesh: ActorMeshRef<Probe>,
    rng: SplitMix64,
}

/// Sends something more, whatever it draws; or all the rank's last word, if it is the last.
pub(crate) struct SendNext {
    pub(crate) is_last: bool,
}

impl Message for SendNext {
    const NAME: &'static str = "sim.SendNext";
    type Reply = ();
}

impl Actor for Teller {
    const NAME: &'static str = "teller";
    type Params = (usize, u64, ActorMeshRef<Probe>);

    async fn start(
        (number, seed, mesh): Self::Params,
        _: &mut Context<Self>,
    ) -> Result<Self, Failure> {
        let rng = SplitMix64::named(seed, &format!("teller {number}"));
        Ok(Self { number, n_sent: 0, mesh, rng })
    }

    /// R3
    async fn on_undelivered(
        &mut self,
        undelivered: Undelivered,
        _: &mut Context<Self>,
    ) -> Result<(), Failure> {
        came_back(undelivered)
    }
}

impl Handler<SendNext> for Teller {
    async fn handle(&mut self, next: SendNext, cx: &mut Context<Self>) -> Result<(), Failure> {
        let number = (self.number, self.n_sent);
        self.n_sent += 1;
        let mesh =
            if next.is_last || self.rng.chance(0.6) { self.mesh.clone() } else { self.slice() };
        let kinds = ["cast", "scatter", "call", "scatter_call", "reduce"];
        let kind = match self.rng.below(10) {
            _ if next.is_last => "cast",
            0..5 => "cast",
            5 => "scatter",
            6 | 7 => "call",
            8 => "scatter_call",
            _ => kinds[4],
        };
        sends(&mesh, (kind, number), cx).await;
        Ok(())
    }
}

/// Sends, and writes down what comes of it.
pub(crate) async fn sends<A: Actor>(
    mesh: &ActorMeshRef<Probe>,
    (kind, number): (&'static str, Number),
    cx: &Context<A>,
) {
    let to: Vec<usize> = mesh.region().iter().map(Rank::index).collect();
    ledger::with(|it| {
        it.note(format_args!("{number:?} {kind} to {} of {}", to.len(), to[0]));
        let (errors, took) = (BTreeMap::new(), None);
        let send = Send { kind, to: to.clone(), took, errors, complaint: None };
        _ = it.sends.insert(number, send);
    });
    let begun = Instant::now();
    let (errors, complaint) = send(mesh, (kind, number), &to, cx).await;
    ledger::with(|it| {
        it.note(format_args!("{number:?} is over: {errors:?} {complaint:?}"));
        if let Some(send) = it.sends.get_mut(&number) {
            (send.took, send.errors) = (Some(begun.elapsed()), errors);
            send.complaint = complaint;
        }
    });
}

/// Something that was cast has come back.
pub(crate) fn came_back(undelivered: Undelivered) -> Result<(), Failure> {
    let (to, why, name) = (undelivered.to, undelivered.why, undelivered.name);
    if name != Say::NAME {
        ledger::note(format_args!("{name} comes back from {to}: {why}"));
        return Ok(());
    }
    let Say(number) = undelivered.decode()?;
    ledger::with(|it| {
        it.returned.push((number, to, why));
        it.note(format_args!("{number:?} comes back from {to}: {why}"));
    });
    Ok(())
}

type Came = (BTreeMap<usize, ledger::Wrong>, Option<String>);

async fn send<A: Actor>(
    mesh: &ActorMeshRef<Probe>,
    (kind, number): (&str, Number),
    to: &[usize],
    cx: &Context<A>,
) -> Came {
    match kind {
        "cast" => (errors(&mesh.cast(cx, Say(number)).within(WITHIN).await, to), None),
        "scatter" => (errors(&mesh.scatter(cx, |_| Say(number)).within(WITHIN).await, to), None),
        "call" => answers(&mesh.call(cx, Ask(number)).within(WITHIN).await, to),
        "scatter_call" => answers(&mesh.scatter_call(cx, |_| Ask(number)).within(WITHIN).await, to),
        _ => reduced(&mesh.reduce(cx, Ask(number), Sum).within(WITHIN).await, to),
    }
}

fn errors(of: &Overlay<RankError>, to: &[usize]) -> BTreeMap<usize, ledger::Wrong> {
    of.iter().map(|(rank, error)| (to[rank.index()], wrong(error))).collect()
}

fn wrong(error: &RankError) -> ledger::Wrong {
    let kind = match error {
        RankError::Ended(_) => Kind::Ended,
        RankError::Deadline { .. } => Kind::Late,
        _ => Kind::Other,
    };
    (kind, error.to_string())
}

fn answers(of: &ValueMesh<Result<u64, RankError>>, to: &[usize]) -> Came {
    let (mut errors, mut complaint) = (BTreeMap::new(), None);
    let mut n_answers = 0;
    for (answer, rank) in of.iter().zip(to) {
        n_answers += 1;
        match answer {
            Ok(value) if *value == worth(*rank) => (),
            Ok(value) => complaint = Some(format!("rank {rank} has answered {value}")),
            Err(error) => _ = errors.insert(*rank, wrong(error)),
        }
    }
    if n_answers != to.len() {
        complaint = Some(format!("{n_answers} answers of {} ranks", to.len()));
    }
    (errors, complaint)
}

fn reduced(of: &Reduced<u64>, to: &[usize]) -> Came {
    let errors = errors(&of.failed, to);
    let inside: Vec<usize> = of.ranks.iter().map(|rank| to[rank.index()]).collect();
    let sum = inside.iter().map(|rank| worth(*rank)).reduce(|one, other| one + other);
    let mut complaint = None;
    if of.value != sum {
        complaint = Some(format!("{:?} is not the sum of {inside:?}", of.value));
    }
    if inside.len() + errors.len() != to.len() || inside.iter().any(|it| errors.contains_key(it)) {
        complaint = Some(format!("{} and {} are not {}", inside.len(), errors.len(), to.len()));
    }
    (errors, complaint)
}

impl Teller {
    /// A range of one of the dims.
    fn slice(&mut self) -> ActorMeshRef<Probe> {
        let mesh = self.mesh.clone();
        let extent = mesh.extent().clone();
        let axis = self.rng.below(extent.ndim() as u64) as usize;
        let size = extent.sizes().get(axis).map_or(1, |size| *size as u64);
        let start = self.rng.below(size).cast_signed() as isize;
        let end = start + 1 + self.rng.below(size - start as u64).cast_signed() as isize;
        mesh.slice(DIMS[axis], start..end).unwrap_or(mesh)
    }
}
