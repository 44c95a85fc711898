//! Meshes that come and go.

use std::time::{Duration, Instant};

use meshwarden::prelude::*;
use rustix::process::{Pid, Signal, kill_process};

use super::floor;
use super::tally::{Duel, Figure};
use super::tool::Tool;
use crate::measure::Effort;
use crate::report::Record;

/// Longer than any actor needs to end.
const GRACE: Duration = Duration::from_secs(10);

/// A mesh of processes, a mesh of actors on it, and their end; again in each round.
pub(crate) async fn measure(
    root: &Root,
    hosts: &HostMesh,
    (n_procs, effort): (usize, Effort),
) -> Result<Vec<Vec<Record>>, ClientError> {
    let mut up = Duel::new(format!("mesh of {n_procs} processes up"));
    let mut spawned = Duel::new(format!("mesh of {n_procs} actors spawned"));
    let mut stopped = Duel::new(format!("mesh of {n_procs} processes stopped"));
    for _ in 0..=effort.rounds() {
        [&mut up, &mut spawned, &mut stopped].into_iter().for_each(Duel::begin_round);
        let started = Instant::now();
        floor::wait(floor::spawn(&["true"], n_procs)?)?;
        up.floor.push(started.elapsed());

        let started = Instant::now();
        let procs = root.procs(extent!(procs = n_procs)?).actors()?.spawn(hosts).await?;
        up.ours.push(started.elapsed());
        let started = Instant::now();
        let tools = procs.spawn::<Tool>("tools", ()).await?;
        spawned.ours.push(started.elapsed());
        let started = Instant::now();
        let state = procs.stop(GRACE).await?;
        stopped.ours.push(started.elapsed());
        drop(tools);
        if state.ranks.iter().any(|rank| rank.status != Status::Stopped) {
            return Err(format!("all have stopped as asked, not {state:?}").into());
        }
        stopped.floor.push(floor_stop(n_procs)?);
    }
    Ok([up, spawned, stopped].map(|duel| duel.records(Figure::P50, "")).into())
}

/// How long it takes to end plain children with `SIGTERM`.
fn floor_stop(n_procs: usize) -> Result<Duration, ClientError> {
    let children = floor::spawn(&["sleep", "60"], n_procs)?;
    let started = Instant::now();
    for child in &children {
        let pid = Pid::from_raw(i32::try_from(child.id())?).ok_or("it has a pid")?;
        kill_process(pid, Signal::TERM)?;
    }
    floor::wait(children)?;
    Ok(started.elapsed())
}
