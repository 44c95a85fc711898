//! Calls and casts to actors in other processes.

use std::time::Instant;

use meshwarden::mesh_core::PortRef;
use meshwarden::mesh_runtime::Port;
use meshwarden::prelude::*;

use super::floor::Floor;
use super::tally::{Duel, Figure};
use super::tool::{Count, Counted, Ping, Tool, Where};
use crate::measure::Effort;
use crate::report::Record;

/// What is called.
struct World<'a> {
    root: &'a Root,
    tools: ActorMesh<Tool>,
    one: ActorMeshRef<Tool>,
    address: PortRef<Ping>,
    floor: Floor,
}

/// How much is done in a slice of a round.
#[derive(Clone, Copy)]
struct Amount {
    n_calls: usize,
    n_casts: usize,
    n_slices: usize,
}

impl Amount {
    const fn of(n_procs: usize, effort: Effort) -> Self {
        match effort {
            Effort::Quick => Self { n_calls: 2, n_casts: 10, n_slices: 2 },
            Effort::Full if n_procs > 8 => Self { n_calls: 10, n_casts: 50, n_slices: 20 },
            Effort::Full => Self { n_calls: 50, n_casts: 250, n_slices: 20 },
        }
    }
}

const PING: Ping = Ping([1; 32], [2; 32]);

/// Calls and casts to a mesh of so many processes, and to one of them.
pub(crate) async fn measure(
    root: &Root,
    hosts: &HostMesh,
    (n_procs, effort): (usize, Effort),
) -> Result<Vec<Vec<Record>>, ClientError> {
    let procs = root.procs(extent!(procs = n_procs)?).actors()?.spawn(hosts).await?;
    let tools = procs.spawn::<Tool>("tools", ()).await?;
    let one = tools.slice("procs", ..1)?;
    let address = match one.call(root, Where).await.iter().next() {
        Some(Ok(address)) => *address,
        other => return Err(format!("there is an address, not {other:?}").into()),
    };
    let mut world = World { root, tools, one, address, floor: Floor::start(n_procs).await? };
    let mut duels = [
        Duel::new("call of one actor by its address, 64 B"),
        Duel::new("call of a slice of one process, 64 B"),
        Duel::new(format!("call of {n_procs} processes and gather, 64 B")),
        Duel::new(format!("pipelined cast to {n_procs} processes, 64 B")),
    ];
    let amount = Amount::of(n_procs, effort);
    for _ in 0..=effort.rounds() {
        duels.iter_mut().for_each(Duel::begin_round);
        for _ in 0..amount.n_slices {
            world.slice(&mut duels, amount).await?;
        }
    }
    let [by_address, of_one, of_all, casts] = &duels;
    let calls = if n_procs > 8 { vec![of_all] } else { vec![by_address, of_one, of_all] };
    let figures = [(Figure::P50, "; p50"), (Figure::P99, "; p99")];
    let of = |duel: &Duel| figures.map(|(figure, suffix)| duel.records(figure, suffix));
    let mut found: Vec<_> = calls.into_iter().flat_map(of).collect();
    found.push(casts.records(Figure::P50, ""));
    Ok(found)
}

impl World<'_> {
    /// Everybody in turn.
    async fn slice(&mut self, duels: &mut [Duel; 4], amount: Amount) -> Result<(), ClientError> {
        let [by_address, of_one, of_all, casts] = duels;
        for _ in 0..amount.n_calls {
            let started = Instant::now();
            self.floor.ping_one().await?;
            by_address.floor.push(started.elapsed());
            of_one.floor.push(started.elapsed());
        }
        for _ in 0..amount.n_calls {
            let started = Instant::now();
            let reply = self.address.call(self.root, PING).await?;
            by_address.ours.push(started.elapsed());
            assert_eq!(reply, PING, "it is sent back");
        }
        for _ in 0..amount.n_calls {
            let started = Instant::now();
            let replies = self.one.call(self.root, PING).await;
            of_one.ours.push(started.elapsed());
            check(&replies)?;
        }
        for _ in 0..amount.n_calls {
            let started = Instant::now();
            self.floor.ping_all().await?;
            of_all.floor.push(started.elapsed());
        }
        for _ in 0..amount.n_calls {
            let started = Instant::now();
            let replies = self.tools.call(self.root, PING).await;
            of_all.ours.push(started.elapsed());
            check(&replies)?;
        }
        self.casts(casts, amount.n_casts).await
    }

    /// Casts one after another, and a call that comes after them: then all were handled.
    async fn casts(&mut self, casts: &mut Duel, n: usize) -> Result<(), ClientError> {
        let n_each = u32::try_from(n)?;
        let started = Instant::now();
        self.floor.cast_all(n).await?;
        casts.floor.push(started.elapsed() / n_each);
        let started = Instant::now();
        for _ in 0..n {
            let not_sent = self.tools.cast(self.root, Count([1; 32], [2; 32])).await;
            if !not_sent.is_empty() {
                return Err("it is sent to all".into());
            }
        }
        let counted = self.tools.call(self.root, Counted).await;
        casts.ours.push(started.elapsed() / n_each);
        check(&counted)
    }
}

/// Fails unless all have answered.
fn check<T>(replies: &ValueMesh<Result<T, RankError>>) -> Result<(), ClientError> {
    match replies.iter().find_map(|reply| reply.as_ref().err()) {
        Some(error) => Err(error.clone().into()),
        None => Ok(()),
    }
}
