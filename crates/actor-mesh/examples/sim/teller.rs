//! `Teller`: an actor that sends to the mesh, and is told what comes back.

use std::collections::BTreeMap;
use std::time::Duration;

use actor_mesh::{ActorMeshRef, Choice, OneError, RankError, Reduced, Sum};
use mesh_core::Message;
use mesh_runtime::{Actor, Context, Failure, Handler, Undelivered};
use mesh_shape::{Overlay, Rank, ValueMesh};
use mesh_testkit::fault_net::SplitMix64;
use tokio::time::Instant;

use crate::ledger::{self, Kind, Number, OF_CHOSEN, Send};
use crate::plan::DIMS;
use crate::probe::{Ask, Probe, Say, worth};

/// How long a call may take.
pub(crate) const WITHIN: Duration = Duration::from_secs(10);

pub(crate) struct Teller {
    number: usize,
    n_sent: u64,
    n_chosen: u64,
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
        Ok(Self { number, n_sent: 0, n_chosen: 0, mesh, rng })
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
        let mesh =
            if next.is_last || self.rng.chance(0.6) { self.mesh.clone() } else { self.slice() };
        let kind = match self.rng.below(12) {
            _ if next.is_last => "cast",
            0..5 => "cast",
            5 => "scatter",
            6 => "call",
            7 => "call_stream",
            8 => "scatter_call",
            9 => "reduce",
            _ => return self.chooses(&mesh, cx).await,
        };
        let number = (self.number, self.n_sent);
        self.n_sent += 1;
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
        _ = it.sends.insert(number, Send::new((kind, it.now()), to.clone()));
    });
    let begun = Instant::now();
    let came = send(mesh, (kind, number), &to, cx).await;
    is_over(number, begun, came);
}

fn is_over(number: Number, begun: Instant, (errors, complaint): Came) {
    ledger::with(|it| {
        it.note(format_args!("{number:?} is over: {errors:?} {complaint:?}"));
        let now = it.now();
        if let Some(send) = it.sends.get_mut(&number) {
            (send.took, send.errors) = (Some(begun.elapsed()), errors);
            (send.over_at, send.complaint) = (Some(now), complaint);
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
        "cast" => (errors(&*mesh.cast(cx, Say(number)).within(WITHIN).await, to), None),
        "scatter" => (errors(&*mesh.scatter(cx, |_| Say(number)).within(WITHIN).await, to), None),
        "call" => answers(&mesh.call(cx, Ask(number)).within(WITHIN).await, to),
        "call_stream" => {
            let mut replies = mesh.call(cx, Ask(number)).within(WITHIN).replies();
            let (mut came, mut twice) = (BTreeMap::new(), None);
            while let Some((rank, answer)) = replies.next().await {
                if came.insert(rank, answer).is_some() {
                    twice = Some(format!("rank {rank} has answered twice"));
                }
            }
            let ranks: Vec<usize> = came.keys().map(|rank| to[rank.index()]).collect();
            let (errors, complaint) = answers_of(came.values().zip(&ranks), to);
            (errors, complaint.or(twice))
        }
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
        RankError::Deadline { .. }
        | RankError::Stalled { .. }
        | RankError::Withheld { .. }
        | RankError::NoRoom { .. } => Kind::Late,
        _ => Kind::Other,
    };
    (kind, error.to_string())
}

fn answers(of: &ValueMesh<Result<u64, RankError>>, to: &[usize]) -> Came {
    answers_of(of.iter().zip(to), to)
}

fn answers_of<'a>(
    each: impl Iterator<Item = (&'a Result<u64, RankError>, &'a usize)>,
    to: &[usize],
) -> Came {
    let (mut errors, mut complaint) = (BTreeMap::new(), None);
    let mut n_answers = 0;
    for (answer, rank) in each {
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

/// What one has answered. That there is none, or nobody who says where, is nobody's error: `R1` asks only for the end.
fn chosen(one: Result<(Rank, u64), OneError>, some: &[usize]) -> Came {
    let (mut errors, mut complaint) = (BTreeMap::new(), None);
    match one {
        Ok((rank, value)) if value == worth(some[rank.index()]) => (),
        Ok((rank, value)) => complaint = Some(format!("rank {rank} has answered {value}")),
        Err(OneError::Rank { rank, why }) => {
            _ = errors.insert(some[rank.index()], wrong(&why));
        }
        Err(why) => ledger::note(why),
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
    /// Calls one of many, whichever it is.
    async fn chooses(
        &mut self,
        mesh: &ActorMeshRef<Probe>,
        cx: &Context<Self>,
    ) -> Result<(), Failure> {
        let number = (OF_CHOSEN + self.number, self.n_chosen);
        self.n_chosen += 1;
        let choice = match self.rng.below(3) {
            0 => Choice::Random,
            1 => Choice::RoundRobin,
            _ => Choice::Key(self.rng.next_u64()),
        };
        let some: Vec<usize> = mesh.region().iter().map(Rank::index).collect();
        ledger::with(|it| {
            it.note(format_args!("{number:?} to one of {}, {choice:?}", some.len()));
            _ = it.sends.insert(number, Send::new(("choose", it.now()), Vec::new()));
        });
        let begun = Instant::now();
        let one = mesh.choose(choice).within(WITHIN / 2).call(cx, Ask(number)).await;
        is_over(number, begun, chosen(one, &some));
        Ok(())
    }

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
