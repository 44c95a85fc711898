//! What the tests stand on: processes, and tools on them.

use std::error::Error;
use std::time::Duration;

use meshwarden::prelude::*;
use rustix::process::{Pid as UnixPid, Signal, kill_process};
use tokio::time::{Instant, sleep, timeout};

use crate::tool::{Pid, Tool};

pub(crate) type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

/// No test takes longer, on a busy machine either.
pub(crate) const TEST_WITHIN: Duration = Duration::from_secs(60);

/// Much longer than what is to happen at once takes on a busy machine, and much shorter than any deadline.
pub(crate) const AT_ONCE: Duration = Duration::from_secs(5);

/// Processes on one host, with a tool on each.
pub(crate) struct World {
    pub(crate) tools: ActorMesh<Tool>,
    pub(crate) procs: Homes,
    pub(crate) hosts: HostMesh,
}

impl World {
    pub(crate) async fn new(root: &Root, extent: &str) -> Result<Self, ClientError> {
        Self::restarting(root, extent, RestartConfig::NEVER).await
    }

    pub(crate) async fn restarting(
        root: &Root,
        extent: &str,
        restart: RestartConfig,
    ) -> Result<Self, ClientError> {
        let hosts = root.hosts(1).await?;
        let procs = root.procs(extent.parse()?).restart(restart).actors()?.spawn(&hosts).await?;
        let tools = procs.spawn_as(tens("tools").restart(restart)).await?;
        Ok(Self { tools, procs, hosts })
    }

    /// Sends a signal to the process of a rank.
    pub(crate) async fn signal(&self, rank: usize, signal: Signal) -> Outcome {
        let seats = self.procs.seats().await;
        let seat = seats.iter().find(|seat| seat.rank == Rank::new(rank)).ok_or("it has a seat")?;
        let pid = UnixPid::from_raw(i32::try_from(seat.pid)?).ok_or("it has a pid")?;
        kill_process(pid, signal)?;
        // A thread of it may go on for a moment.
        while signal == Signal::STOP && !is_suspended(seat.pid)? {
            sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// Ends everything, and fails if something is left.
    pub(crate) async fn close(self) -> Outcome {
        let pids = self.procs.seats().await;
        drop((self.tools, self.procs));
        if !self.hosts.close().await {
            return Err("a guard did not end".into());
        }
        let left = pids.iter().filter(|seat| is_there(seat.pid));
        match left.count() {
            0 => Ok(()),
            n => Err(format!("{n} processes are left").into()),
        }
    }
}

/// Whether the main thread of a process is suspended: its actors run there.
fn is_suspended(pid: u32) -> std::io::Result<bool> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    Ok(stat.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" T")))
}

fn is_there(pid: u32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}

/// Tools; the number of each is ten times its rank.
pub(crate) fn tens(name: &str) -> ActorSpec<Tool> {
    ActorSpec::per_rank(name, |point| point.rank().index() as u64 * 10)
}

/// The answers, where all have answered.
pub(crate) fn all<T: Clone>(
    answers: &ValueMesh<Result<T, RankError>>,
) -> Result<Vec<T>, RankError> {
    answers.iter().cloned().collect()
}

/// The failed ranks that the owner of the tools is told next, with what is said of each.
pub(crate) async fn next_failures(
    mesh: &mut ActorMesh<Tool>,
) -> Result<Vec<(usize, String)>, ClientError> {
    match timeout(AT_ONCE, mesh.next()).await? {
        Some(OwnerNews::Failed(failures)) => {
            let each = failures.each();
            Ok(each.map(|(rank, change)| (rank.index(), change.status.to_string())).collect())
        }
        other => Err(format!("there is a failure to be told, not {other:?}").into()),
    }
}

/// The ids of the processes, once all ranks answer.
pub(crate) async fn all_answer(
    root: &Root,
    tools: &ActorMeshRef<Tool>,
) -> Result<Vec<u32>, ClientError> {
    let until = Instant::now() + TEST_WITHIN;
    loop {
        match all(&tools.call(root, Pid).await) {
            Ok(pids) => return Ok(pids),
            Err(error) if Instant::now() > until => return Err(error.into()),
            Err(_) => sleep(Duration::from_millis(10)).await,
        }
    }
}
