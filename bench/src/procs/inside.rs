//! Processes of a program that has its hosts already, beside a plain loop.

use std::io;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use meshwarden::prelude::*;
use rustix::process::{Pid, Signal, kill_process};

use super::roll::{PATIENCE, Roll, Watch};
use super::tally::Work;
use crate::measure::Effort;
use crate::report::Record;

/// Longer than anybody needs to end.
const GRACE: Duration = Duration::from_secs(10);

/// A mesh of programs that comes and goes; again in each round.
pub(crate) async fn measure(
    root: &Root,
    hosts: &HostMesh,
    (n_procs, effort): (usize, Effort),
) -> Result<Vec<Vec<Record>>, ClientError> {
    let work = |what: &str| Work::new(format!("{what}, in a program"));
    let mut ended = work(&format!("{n_procs} × true, from start to end"));
    let mut up = work(&format!("{n_procs} processes up"));
    let mut stopped = work(&format!("{n_procs} processes stopped"));
    let mut missed = work(&format!("SIGKILL of one of {n_procs} → the others stopped"));
    let roll = Roll::new()?;
    let n_turns = if effort == Effort::Full { (64 / n_procs).max(1) } else { 1 };
    for round in 0..=effort.rounds() {
        for _ in 0..n_turns {
            ended.push("ours", round, ours_ended(root, hosts, n_procs).await?);
            ended.push("floor", round, floor_ended(n_procs)?);

            let lives = ours_lives(root, hosts, (n_procs, &roll)).await?;
            up.push("ours", round, lives[0]);
            stopped.push("ours", round, lives[1]);
            missed.push("ours", round, ours_missed(root, hosts, (n_procs, &roll)).await?);

            let lives = floor_lives(n_procs, &roll)?;
            up.push("floor", round, lives[0]);
            stopped.push("floor", round, lives[1]);
            missed.push("floor", round, floor_missed(n_procs, &roll)?);
        }
    }
    Ok([ended, up, stopped, missed].map(Work::records).into())
}

async fn start(
    root: &Root,
    hosts: &HostMesh,
    (n_procs, words): (usize, &[String]),
) -> Result<ProcMesh, ClientError> {
    let (program, args) = words.split_first().ok_or("there is a program")?;
    let mesh = root.procs(extent!(procs = n_procs)?).command(program, args);
    Ok(mesh.spawn(hosts).await?)
}

async fn ours_ended(
    root: &Root,
    hosts: &HostMesh,
    n_procs: usize,
) -> Result<Duration, ClientError> {
    let started = Instant::now();
    let mut mesh = start(root, hosts, (n_procs, &["true".to_owned()])).await?;
    until_finished(&mut mesh).await?;
    Ok(started.elapsed())
}

/// From nothing until all have answered, and from there until all have stopped.
async fn ours_lives(
    root: &Root,
    hosts: &HostMesh,
    (n_procs, roll): (usize, &Roll),
) -> Result<[Duration; 2], ClientError> {
    let words = roll.words()?;
    let started = Instant::now();
    let mesh = start(root, hosts, (n_procs, &words)).await?;
    roll.call(n_procs)?;
    let up = started.elapsed();
    let started = Instant::now();
    mesh.stop(GRACE).await?;
    Ok([up, started.elapsed()])
}

/// From the end of one of them until its owner has stopped the others.
async fn ours_missed(
    root: &Root,
    hosts: &HostMesh,
    (n_procs, roll): (usize, &Roll),
) -> Result<Duration, ClientError> {
    let mut mesh = start(root, hosts, (n_procs, &roll.words()?)).await?;
    let pids = roll.call(n_procs)?;
    let killed = Instant::now();
    kill_process(*pids.first().ok_or("there is one")?, Signal::KILL)?;
    match mesh.next().await {
        Some(ProcNews::Failed(_)) => mesh.stop(GRACE).await?,
        other => return Err(format!("the owner is told of a failure, not {other:?}").into()),
    };
    Ok(killed.elapsed())
}

async fn until_finished(mesh: &mut ProcMesh) -> Result<(), ClientError> {
    loop {
        match mesh.next().await {
            Some(ProcNews::Finished(_)) => return Ok(()),
            Some(ProcNews::Failed(failures)) => return Err(failures.to_string().into()),
            Some(ProcNews::Worker(_) | ProcNews::Unkillable(_)) => (),
            None => return Err("the mesh has ended without a word".into()),
        }
    }
}

fn spawn(n_procs: usize, words: &[String]) -> io::Result<Vec<Child>> {
    let [program, args @ ..] = words else { return Ok(Vec::new()) };
    (0..n_procs).map(|_| Command::new(program).args(args).stdin(Stdio::null()).spawn()).collect()
}

fn reap(children: Vec<Child>) -> io::Result<()> {
    children.into_iter().try_for_each(|mut child| child.wait().map(|_| ()))
}

fn terminate(children: &[Child]) -> io::Result<()> {
    // One that has ended is not reaped yet, so its number is still its own.
    children.iter().try_for_each(|child| Ok(kill_process(Pid::from_child(child), Signal::TERM)?))
}

pub(super) fn floor_ended(n_procs: usize) -> io::Result<Duration> {
    let started = Instant::now();
    reap(spawn(n_procs, &["true".to_owned()])?)?;
    Ok(started.elapsed())
}

pub(super) fn floor_lives(n_procs: usize, roll: &Roll) -> io::Result<[Duration; 2]> {
    let words = roll.words()?;
    let started = Instant::now();
    let children = spawn(n_procs, &words)?;
    roll.call(n_procs)?;
    let up = started.elapsed();
    let started = Instant::now();
    terminate(&children)?;
    reap(children)?;
    Ok([up, started.elapsed()])
}

pub(super) fn floor_missed(n_procs: usize, roll: &Roll) -> io::Result<Duration> {
    let children = spawn(n_procs, &roll.words()?)?;
    let pids = roll.call(n_procs)?;
    let victim = *pids.first().ok_or(io::ErrorKind::NotFound)?;
    let watch = Watch::new(&[victim])?;
    let killed = Instant::now();
    kill_process(victim, Signal::KILL)?;
    watch.wait(PATIENCE)?;
    terminate(&children)?;
    reap(children)?;
    Ok(killed.elapsed())
}
