//! What must hold when nothing can happen any more.

use mesh_cast::{Kind, Outcome, StreamId};
use mesh_shape::{Rank, RankSet};

use crate::setup::reply;
use crate::world::{Client, World};

/// How a world ended, beyond what holds in all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Every live rank has everything, and nobody keeps anything.
    All,
    /// Every live rank has everything.
    Delivered,
    /// Every live rank has everything that was cast after so many, and nobody keeps anything.
    Since(u64),
    /// A live node may have been given up: then the caster knows.
    Told,
}

/// Checks everything; panics with what is wrong.
pub(crate) fn judge(world: &mut World, reach: Reach) {
    for client in &world.clients {
        order(world, client);
        if !world.dead.contains(&client.home) {
            outcomes(world, client, reach);
        }
    }
    let Limits { window, open } = Limits::of(world);
    // And one for each rank, which has nothing else to take.
    let open = open + world.setup.n_nodes * world.setup.n_ranks;
    assert!(world.most_casts <= (window + open + 1) * world.clients.len(), "a node keeps too much");
    world.settle();
    for (node, proc) in world.procs.iter().filter(|(node, _)| !world.dead.contains(node)) {
        let has_caster = world.clients.iter().all(|client| !world.dead.contains(&client.home));
        if has_caster && matches!(reach, Reach::All | Reach::Since(_)) {
            assert_eq!(proc.relay.n_casts(), 0, "node {node} keeps something");
        }
    }
    if matches!(reach, Reach::All | Reach::Since(_)) {
        farewells(world.clone());
    }
}

/// N9: who has heard the farewells of all casters has room for others.
fn farewells(mut world: World) {
    world.take_leave();
    // Of those that are beside all that was cast to some may have helped, and are not told.
    let told = world.clients.iter().filter(|client| {
        let is_to_all = |(slice, _): &(usize, Kind)| *slice == 0;
        !world.dead.contains(&client.home) && client.casts.values().any(is_to_all)
    });
    let told: Vec<_> = told.map(|client| client.stream).collect();
    for (node, proc) in world.procs.iter().filter(|(node, _)| !world.dead.contains(node)) {
        let is_known = |stream: &StreamId| proc.relay.knows(stream);
        assert!(!told.iter().any(is_known), "node {node} knows a caster that has ended");
    }
}

struct Limits {
    window: usize,
    open: usize,
}

impl Limits {
    fn of(world: &World) -> Self {
        let limits = world.setup.limits;
        Self { window: limits.window as usize, open: limits.open }
    }
}

/// R2: no rank, dead or alive, takes a cast twice or in another order.
fn order(world: &World, client: &Client) {
    for (node, proc) in &world.procs {
        for ((stream, rank), taken) in &proc.taken {
            let is_sorted = taken.windows(2).all(|pair| pair[0] < pair[1]);
            assert!(*stream != client.stream || is_sorted, "rank {rank} on {node} took {taken:?}");
        }
    }
}

/// The one outcome of a rank.
fn only<'a>(told: &'a [Outcome<u32>], is_merged: bool, of: &str) -> &'a Outcome<u32> {
    match told {
        [] if is_merged => &Outcome::Merged,
        // It is known to be gone, and what it replied before that was on its way.
        [Outcome::Failed(_)] if is_merged => &Outcome::Merged,
        [outcome] if !is_merged => outcome,
        told => panic!("{of}: {told:?}, {is_merged}"),
    }
}

/// The ranks whose replies were merged: each counts once, and nobody else does.
fn merged(client: &Client, number: u64, of: &RankSet) -> RankSet {
    let mut all = RankSet::new();
    for part in client.parts.get(&number).into_iter().flatten() {
        assert!(!part.ranks.is_empty() && !all.intersects(&part.ranks), "{part:?}, and {all}");
        all = all.union(&part.ranks);
        let sum: u32 = part.ranks.iter().map(|rank| reply(number, rank.index())).sum();
        assert_eq!(part.value, sum, "what cast {number} was merged into: {part:?}");
    }
    assert!(all.difference(of).is_empty(), "{all} of {of}");
    all
}

/// R1, R3: every rank has one outcome. R2: every live rank has taken every cast.
fn outcomes(world: &World, client: &Client, reach: Reach) {
    assert!(client.script.is_empty(), "the caster waits: {:?}", client.script);
    assert_eq!(client.caster.n_flights(), 0, "casts are on their way for ever");
    let mut finished = client.finished.clone();
    finished.sort_unstable();
    assert_eq!(finished, client.casts.keys().copied().collect::<Vec<_>>(), "each ends once");
    let mut n_outcomes = 0;
    for (number, (slice, kind)) in &client.casts {
        let plan = world.tables.plan(*slice);
        let merged_ranks = merged(client, *number, plan.all_ranks());
        for position in plan.targets().iter().map(|position| position.index()) {
            let node = world.tables.node(position).expect("a position");
            let is_dead = world.dead.contains(&node);
            // Of what was sent to the lives before it nothing is promised.
            let is_new = client.since.get(&position).is_some_and(|since| number < since);
            for rank in plan.ranks(position).iter().map(|rank| rank.index()) {
                let told = client.outcomes.get(&(*number, rank)).map_or(&[][..], |told| told);
                let is_merged = merged_ranks.contains(Rank::new(rank));
                let outcome = only(told, is_merged, &format!("rank {rank} of cast {number}"));
                n_outcomes += told.len();
                let is_taken_by = |node: usize| {
                    let taken = world.procs[&node].taken.get(&(client.stream, rank));
                    taken.is_some_and(|taken| taken.contains(number))
                };
                let lives = (position..=node).step_by(world.setup.n_nodes + 1);
                let n_lives = lives.filter(|node| is_taken_by(*node)).count();
                let is_taken = is_taken_once(n_lives, (*number, rank));
                let good = match kind {
                    Kind::Cast => Outcome::Taken,
                    Kind::Call => Outcome::Replied(reply(*number, rank)),
                    Kind::Reduce(_) => Outcome::Merged,
                };
                let is_failed = matches!(outcome, Outcome::Failed(_));
                assert!(
                    is_failed || (*outcome == good && is_taken),
                    "{rank} {number}: {outcome:?}"
                );
                let must_have = match reach {
                    Reach::All | Reach::Delivered => true,
                    Reach::Since(before) => *number > before,
                    Reach::Told => false,
                };
                if !is_dead && !is_new && must_have {
                    assert_eq!(*outcome, good, "rank {rank} of cast {number} lives");
                    assert!(is_taken_by(node), "rank {rank} has not taken cast {number}");
                }
            }
        }
    }
    assert_eq!(client.outcomes.len(), n_outcomes, "nobody else has an outcome");
}

/// R2: no two lives of a rank take the same.
fn is_taken_once(n_lives: usize, (number, rank): (u64, usize)) -> bool {
    assert!(n_lives <= 1, "R2: {n_lives} lives of rank {rank} have taken cast {number}");
    n_lives == 1
}
