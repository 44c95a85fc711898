//! hangs: what subscribers are told of handlers that run for too long.

use std::sync::Arc;
use std::time::{Duration, Instant};

use meshwarden::mesh_core::{Stall, StalledHandler};
use meshwarden::prelude::*;
use meshwarden::supervise::MeshEvents;

use crate::support::{Outcome, all, all_answer, tens};
use crate::tool::{Add, Block, Pause, Tool};

const THRESHOLD: Duration = Duration::from_millis(500);

struct World {
    tools: ActorMesh<Tool>,
    others: ActorMesh<Tool>,
    procs: Homes,
    hosts: HostMesh,
}

impl World {
    /// Two processes, each with an actor of two meshes.
    async fn new(root: &Root) -> Result<Self, ClientError> {
        let hosts = root.hosts(1).await?;
        let described = root.procs("procs=2".parse()?).stalled_handler(THRESHOLD);
        let procs = described.actors()?.spawn(&hosts).await?;
        let tools = procs.spawn_as(tens("tools")).await?;
        let others = procs.spawn_as(tens("others")).await?;
        Ok(Self { tools, others, procs, hosts })
    }

    async fn close(self) -> Outcome {
        drop((self.tools, self.others, self.procs));
        if self.hosts.close().await { Ok(()) } else { Err("a guard did not end".into()) }
    }
}

/// The next change, of one rank.
async fn next(events: &mut MeshEvents) -> Result<(usize, Status), ClientError> {
    loop {
        let event = events.next().await.ok_or("the mesh has ended")?;
        let News::Changed(changes) = event.news else { continue };
        let [change] = &*changes else { return Err(format!("{changes:?}").into()) };
        let rank = change.ranks.first().ok_or("it has a rank")?;
        return Ok((rank.index(), change.status.clone()));
    }
}

/// The same, when a handler has ended: its thread may not have answered yet.
async fn next_answered(events: &mut MeshEvents) -> Result<(usize, Status), ClientError> {
    loop {
        let (rank, status) = next(events).await?;
        if !matches!(status, Status::Stalled(Stall::Silent { .. })) {
            return Ok((rank, status));
        }
    }
}

fn handler(status: &Status) -> Result<&StalledHandler, ClientError> {
    match status {
        Status::Stalled(Stall::Handler(handler)) => Ok(handler),
        other => Err(format!("a handler hangs, not {other}").into()),
    }
}

/// D7, ST3: soon after its threshold, by name (how soon is judged by `cargo xtask chaos --actors`); the process, and whoever else lives there, hangs with it.
pub(crate) async fn a_handler_that_blocks_is_told_of_its_rank_and_its_process(
    root: Arc<Root>,
) -> Outcome {
    let world = World::new(&root).await?;
    let mut told = world.tools.subscribe(Interest::All).await?;
    let mut told_others = world.others.subscribe(Interest::All).await?;
    let mut told_procs = world.procs.subscribe(Interest::All).await?;
    let one = world.tools.slice("procs", 1..)?;
    let begun = Instant::now();
    one.cast(&*root, Block(Duration::from_secs(2))).await.complete()?;
    for events in [&mut told, &mut told_procs, &mut told_others] {
        let (rank, status) = next(events).await?;
        let handler = handler(&status)?;
        assert_eq!((rank, &*handler.actor, &*handler.message), (1, "tools[1]", "actors.Block"));
        // It is 15 to 60 ms as a rule: this is for a busy machine.
        let late = begun.elapsed().saturating_sub(THRESHOLD);
        assert!(late < Duration::from_secs(1), "{late:?} after its threshold");
    }
    for events in [&mut told, &mut told_procs, &mut told_others] {
        assert_eq!(next_answered(events).await?, (1, Status::Running));
    }
    all_answer(&root, &world.tools).await?;
    world.close().await
}

/// A handler that awaits something holds up its actor, and nobody else.
pub(crate) async fn a_handler_that_waits_is_told_of_its_rank_only(root: Arc<Root>) -> Outcome {
    let world = World::new(&root).await?;
    let mut told = world.tools.subscribe(Interest::All).await?;
    let one = world.tools.slice("procs", 1..)?;
    one.cast(&*root, Pause(Duration::from_secs(2))).await.complete()?;
    let (rank, status) = next(&mut told).await?;
    let handler = handler(&status)?;
    assert_eq!((rank, &*handler.actor, &*handler.message), (1, "tools[1]", "actors.Pause"));
    all_answer(&root, &world.others).await?;
    let procs = world.procs.controller().state().await?;
    assert!(procs.ranks.iter().all(|rank| rank.status == Status::Running), "{procs:?}");
    assert_eq!(next(&mut told).await?, (1, Status::Running));
    world.close().await
}

/// C3, C4: where a killed actor does not end nothing is spawned, and that is said; the other process is as good as
/// before, and so is this one when it has ended.
pub(crate) async fn a_poisoned_process_refuses_spawns_and_says_why(root: Arc<Root>) -> Outcome {
    let world = World::new(&root).await?;
    let one = world.tools.slice("procs", 1..)?;
    one.cast(&*root, Block(Duration::from_secs(12))).await.complete()?;
    // It is asked to end, and killed; its thread goes on.
    drop(world.tools);
    let begun = Instant::now();
    let refused = loop {
        let spec = tens("again").ready_within(Duration::from_millis(500));
        match world.procs.spawn_as::<Tool>(spec).await {
            Err(actor_mesh::SpawnError::Ranks { failures }) => break failures,
            // Until then it waits for the thread.
            Err(actor_mesh::SpawnError::NotReady { .. }) => (),
            other => return Err(format!("the thread is kept: {other:?}").into()),
        }
        if begun.elapsed() > Duration::from_secs(11) {
            return Err("it was never refused".into());
        }
    };
    let [failures] = &refused[..] else { return Err(format!("{refused:?}").into()) };
    let said: Vec<_> =
        failures.each().map(|(rank, change)| (rank.index(), change.status.to_string())).collect();
    let [(1, why)] = &said[..] else { return Err(format!("only the second: {said:?}").into()) };
    assert!(why.contains("the process is poisoned: again[1] was killed"), "{why}");
    assert!(why.contains("the handler of actors.Block in actor tools[1] keeps"), "{why}");
    let first = world.procs.slice("procs", 0..1)?;
    let there = first.spawn_as::<Tool>(tens("there")).await?;
    assert_eq!(all(&there.call(&*root, Add(1)).await)?, [1]);
    // When its handler has returned, it ends, and the process can be used again.
    let again = loop {
        match world.procs.spawn_as::<Tool>(tens("at last")).await {
            Ok(again) => break again,
            Err(_) if begun.elapsed() < Duration::from_secs(30) => (),
            Err(error) => return Err(error.into()),
        }
    };
    assert_eq!(all(&again.call(&*root, Add(1)).await)?, [1, 11]);
    drop((there, again, world.others, world.procs));
    if world.hosts.close().await { Ok(()) } else { Err("a guard did not end".into()) }
}
