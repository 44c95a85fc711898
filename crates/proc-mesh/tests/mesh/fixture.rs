//! Hosts and meshes for tests, and what is left of them.

use std::fmt::Display;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use controller::{Config, RestartConfig};
use mesh_core::{Change, Command, Failures, Interest, MeshId, News, Reason, Surroundings};
use mesh_runtime::ControlThread;
use mesh_shape::Extent;
use proc_mesh::{HostMesh, OutputSinks, ProcMesh, ProcNews, ProcSpec, Program, Run, SpawnError};
use supervise::MeshEvents;

use crate::Outcome;

/// Threads and one host.
pub(crate) struct Site {
    pub(crate) control: ControlThread,
    pub(crate) output: ControlThread,
    pub(crate) hosts: HostMesh,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

impl Site {
    pub(crate) async fn start() -> Result<Self, Failure> {
        Self::with_hosts(1).await
    }

    pub(crate) async fn with_hosts(n_hosts: usize) -> Result<Self, Failure> {
        let control = ControlThread::start("test-control")?;
        let output = ControlThread::start("test-output")?;
        let hosts = HostMesh::local(n_hosts, &control, output.handle()).await?;
        Ok(Self { control, output, hosts })
    }

    pub(crate) async fn spawn(&self, spec: ProcSpec) -> Result<ProcMesh, SpawnError> {
        ProcMesh::spawn(&self.hosts, &self.control, spec).await
    }

    /// Does not wait until it runs.
    pub(crate) async fn start_only(&self, spec: ProcSpec) -> Result<ProcMesh, SpawnError> {
        ProcMesh::start(&self.hosts, &self.control, spec).await
    }

    /// Ends the hosts; nothing must be left of the mesh.
    pub(crate) async fn close(self, mesh: MeshId) -> Outcome {
        if !self.hosts.close().await {
            return Err("a guard did not end well".into());
        }
        drop(self.output);
        match left_over(mesh) {
            left if left.is_empty() => Ok(()),
            left => Err(format!("left over: {left:?}").into()),
        }
    }
}

/// A mesh of four shells that run `script`.
pub(crate) fn shells(script: &str) -> ProcSpec {
    let command = Command::new("sh", ["-c", script]);
    spec(Run::Program {
        launcher: Arc::new(Program::new(command, ("127.0.0.1".to_owned(), 29_500))),
        stdin: None,
        notify: None,
    })
}

/// A mesh of four workers.
pub(crate) fn workers(entry: &str) -> ProcSpec {
    spec(Run::Worker { entry: entry.to_owned(), ready_within: Duration::from_secs(20) })
}

fn spec(run: Run) -> ProcSpec {
    ProcSpec {
        name: "test".to_owned(),
        extent: "procs=4".parse::<Extent>().expect("it is a shape"),
        run,
        surroundings: Surroundings::default(),
        config: Config::local(),
        stalled_handler: None,
        output: OutputSinks::default(),
        trace: None,
    }
}

/// The same mesh, with restarts.
pub(crate) fn restarting(mut spec: ProcSpec, max_restarts: u32) -> ProcSpec {
    spec.config.restart = RestartConfig {
        backoff_min: Duration::from_millis(20),
        ..RestartConfig::on_failure(max_restarts)
    };
    spec
}

/// What the owner is told until the end: the failures, and what the workers said.
pub(crate) async fn failures_to_the_end(mesh: &mut ProcMesh) -> Vec<Failures> {
    let mut told = Vec::new();
    while let Some(news) = mesh.next().await {
        if let ProcNews::Failed(failures) = news {
            told.push(failures);
        }
    }
    told
}

/// The next failure that the owner is told.
pub(crate) async fn next_failure(mesh: &mut ProcMesh) -> Result<Failures, Failure> {
    loop {
        match mesh.next().await.ok_or("the mesh has ended")? {
            ProcNews::Failed(failures) => return Ok(failures),
            ProcNews::Worker(_) | ProcNews::Unkillable(_) => (),
            ProcNews::Finished(state) => return Err(format!("finished: {state:?}").into()),
        }
    }
}

/// The terminal changes that a subscriber is told until the mesh is closed.
pub(crate) async fn ends_to_the_close(mut events: MeshEvents) -> Vec<Change> {
    let mut ends = Vec::new();
    while let Some(event) = events.next().await {
        match event.news {
            News::Snapshot(snapshot) => ends.extend(snapshot.failed),
            News::Changed(changes) => {
                let terminal = changes.iter().filter(|change| change.status.is_terminal());
                ends.extend(terminal.cloned());
            }
            News::Heartbeat { .. }
            | News::Trouble(_)
            | News::Escalated(_)
            | News::Recalled { .. }
            | News::Withdrawn(_)
            | News::Stopping { .. } => (),
            News::Closed => return ends,
        }
    }
    ends
}

pub(crate) async fn subscribe(mesh: &ProcMesh) -> Result<MeshEvents, Failure> {
    Ok(mesh.subscribe(Interest::Terminal).await?)
}

/// The ranks and reasons of failures, in the order told.
pub(crate) fn reasons(failures: &[Failures]) -> Vec<(usize, Reason)> {
    failures
        .iter()
        .flat_map(|failed| failed.each())
        .filter_map(|(rank, change)| Some((rank.index(), change.status.cause()?.reason.clone())))
        .collect()
}

/// The processes of a mesh that still live, by their environment.
pub(crate) fn left_over(mesh: impl Display) -> Vec<u32> {
    let mark = format!("MESHWARDEN_MESH_ID={mesh}");
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| {
            let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environ.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
        })
        .collect()
}

/// Waits until nothing is left of a mesh.
pub(crate) async fn until_gone(mesh: MeshId) {
    while !left_over(mesh).is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The parent of a process.
pub(crate) fn parent(pid: u32) -> Result<u32, Failure> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    Ok(after_name(&stat).nth(1).ok_or("no parent")?.parse()?)
}

/// The letter of the kernel for what a process is doing: `Z` for a zombie; `None` if it is not there.
pub(crate) fn state_of(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    after_name(&stat).next()?.chars().next()
}

/// The words of a `stat` that follow the name, which may be anything: state, parent, and so on.
fn after_name(stat: &str) -> impl Iterator<Item = &str> {
    stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace()
}
