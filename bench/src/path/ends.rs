//! From `SIGKILL` of a process to those who are to be told.

use std::time::{Duration, Instant};

use meshwarden::prelude::*;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use tokio::time::{sleep, timeout};

use super::floor;
use super::tally::{Duel, Figure};
use super::tool::{Hang, Tool};
use crate::measure::Effort;
use crate::report::Record;

/// How long a call has to be on its way before its process is killed.
const CALLED_WITHIN: Duration = Duration::from_millis(5);

/// Longer than any figure.
const PATIENCE: Duration = Duration::from_secs(20);

/// Kills the processes of a mesh one by one, each with a call that it has not answered.
pub(crate) async fn measure(
    root: &Root,
    hosts: &HostMesh,
    effort: Effort,
) -> Result<Vec<Vec<Record>>, ClientError> {
    let n_procs = match effort {
        Effort::Full => 8,
        Effort::Quick => 2,
    };
    let mut call = Duel::new("SIGKILL of a process → its entry of a call");
    let mut owner = Duel::new("SIGKILL of a process → the owner of its actor");
    for _ in 0..=effort.rounds() {
        [&mut call, &mut owner].into_iter().for_each(Duel::begin_round);
        let procs = root.procs(extent!(procs = n_procs)?).actors()?.spawn(hosts).await?;
        let mut tools = procs.spawn::<Tool>("tools", ()).await?;
        for seat in procs.seats().await {
            let pid = Pid::from_raw(i32::try_from(seat.pid)?).ok_or("it has a pid")?;
            let (answered, told) = kill(root, &mut tools, (seat.rank, pid)).await?;
            call.ours.push(answered);
            owner.ours.push(told);
            let noticed = floor_kill().await?;
            call.floor.push(noticed);
            owner.floor.push(noticed);
        }
    }
    let figures = [(Figure::P50, "; median"), (Figure::Worst, "; worst")];
    let of = |duel: &Duel| figures.map(|(figure, suffix)| duel.records(figure, suffix));
    Ok([&call, &owner].into_iter().flat_map(of).collect())
}

/// How long it takes until a call is answered with the end of its process, and until the owner is told.
async fn kill(
    root: &Root,
    tools: &mut ActorMesh<Tool>,
    (rank, pid): (Rank, Pid),
) -> Result<(Duration, Duration), ClientError> {
    let one = tools.slice("procs", isize::try_from(rank.index())?)?;
    let call = one.call(root, Hang).within(PATIENCE);
    let call = tokio::spawn(async move { (call.await, Instant::now()) });
    sleep(CALLED_WITHIN).await;
    let killed = Instant::now();
    kill_process(pid, Signal::KILL)?;
    let news = timeout(PATIENCE, tools.next()).await?;
    let told = killed.elapsed();
    let (answers, answered) = call.await?;
    if !matches!(news, Some(OwnerNews::Failed(_))) {
        return Err(format!("the owner is told of a failure, not {news:?}").into());
    }
    match answers.iter().next() {
        Some(Err(RankError::Ended(_))) => Ok((answered - killed, told)),
        other => Err(format!("the answer is the end of the process, not {other:?}").into()),
    }
}

/// How long it takes until the file descriptor of a killed child is readable.
async fn floor_kill() -> Result<Duration, ClientError> {
    let mut children = floor::spawn(&["sleep", "60"], 1)?;
    let child = children.first_mut().ok_or("there is a child")?;
    let pid = Pid::from_raw(i32::try_from(child.id())?).ok_or("it has a pid")?;
    let watched = pidfd_open(pid, PidfdFlags::empty())?;
    sleep(CALLED_WITHIN).await;
    let killed = Instant::now();
    kill_process(pid, Signal::KILL)?;
    poll(&mut [PollFd::new(&watched, PollFlags::IN)], None)?;
    let noticed = killed.elapsed();
    floor::wait(children)?;
    Ok(noticed)
}
