//! A program that something is done to: it has a mesh, and says what its owner and its subscribers are
//! told.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use meshwarden::Root;
use meshwarden::controller::Times;
use meshwarden::mesh_core::{Change, News, Status};
use meshwarden::prelude::{HostMesh, ProcMesh, ProcNews};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::mpsc;

use crate::ledger::Observer;

/// The first argument of a copy of this program that is one.
pub(crate) const ARGUMENT: &str = "be-a-program";

/// A line of what it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Said {
    /// Its mesh runs: its id, and the processes in the order of ranks.
    Up { mesh: String, pids: Vec<u32> },
    /// Somebody was told of an end.
    Told { observer: String, ranks: Vec<usize>, incarnation: u64, status: Status },
    /// The owner was told the last.
    Finished,
}

/// The lease of its mesh. It counts also for who is suspended.
pub(crate) const LEASE: Duration = Duration::from_secs(2);
/// The shape of its mesh.
pub(crate) const SHAPE: &str = "hosts=2,procs=2";
/// The hosts of that, each with an agent and a guard.
pub(crate) const N_HOSTS: usize = 2;
/// The ranks of that.
pub(crate) const N_RANKS: usize = 4;
/// The processes of one rank: one stays in its group, two leave it and its session, one of them by a
/// double fork.
pub(crate) const N_OF_RANK: usize = 4;
const SCRIPT: &str = "\
    sleep 1000 & setsid sleep 1000 & (setsid sleep 1000 &); exec sleep 1000";
/// What it is told to end its hosts under its mesh.
pub(crate) const ABANDON: &str = "abandon";

/// The times of its mesh: silence is given up as soon as it may be.
fn times() -> Times {
    Times { timeout: LEASE.mul_f64(1.6), ..Times::from_lease(LEASE) }
}

/// Runs until its mesh has ended, or its standard input has.
pub(crate) async fn be_a_program(root: &Root) -> Result<ExitCode> {
    let hosts = root.hosts(N_HOSTS).await?;
    let mesh = root.procs(SHAPE.parse()?).name("victim").times(times());
    let mesh = mesh.command("sh", ["-c", SCRIPT]).spawn(&hosts).await?;
    let (told, mut telling) = mpsc::unbounded_channel();
    for observer in [Observer::Terminal, Observer::All] {
        let mut events = mesh.subscribe(observer.interest()).await?;
        let told = told.clone();
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                let News::Changed(changes) = event.news else { continue };
                for change in changes.iter() {
                    // Whoever says it has gone with the program.
                    _ = told.send(said(observer, change)).is_ok();
                }
            }
        });
    }
    drop(told);
    let pids = mesh.seats().await.iter().map(|seat| seat.pid).collect();
    say(&Said::Up { mesh: mesh.label().id().to_string(), pids })?;
    hear_out(mesh, hosts, &mut telling).await?;
    while let Some(said) = telling.recv().await {
        say(&said)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Says what the owner hears, and what the others have, until the mesh has ended.
async fn hear_out(
    mut mesh: ProcMesh,
    hosts: HostMesh,
    telling: &mut mpsc::UnboundedReceiver<Said>,
) -> Result<()> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut hosts = Some(hosts);
    loop {
        tokio::select! {
            news = mesh.next() => match news {
                Some(ProcNews::Failed(failures)) => {
                    for change in &failures.changes {
                        say(&said(Observer::Owner, change))?;
                    }
                }
                Some(ProcNews::Finished(_)) | None => break,
                Some(ProcNews::Worker(_) | ProcNews::Unkillable(_)) => {}
            },
            Some(said) = telling.recv() => say(&said)?,
            line = lines.next_line() => {
                if line?.as_deref() != Some(ABANDON) {
                    break;
                }
                if let Some(hosts) = hosts.take() {
                    hosts.close().await;
                }
            }
        }
    }
    say(&Said::Finished)?;
    if let Some(hosts) = hosts {
        hosts.close().await;
    }
    Ok(())
}

fn said(observer: Observer, change: &Change) -> Said {
    let ranks = change.ranks.iter().map(|rank| rank.index()).collect();
    let (observer, incarnation) = (observer.label().to_owned(), change.incarnation.number());
    Said::Told { observer, ranks, incarnation, status: change.status.clone() }
}

fn say(said: &Said) -> Result<()> {
    let mut line = serde_json::to_vec(said)?;
    line.push(b'\n');
    io::stdout().write_all(&line).context("nobody listens")
}
