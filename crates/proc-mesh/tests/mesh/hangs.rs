//! Workers that live but make no progress.

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use libtest_mimic::Trial;
use mesh_core::{Interest, News, Silence, Stall, Status};
use mesh_shape::Rank;
use proc_mesh::{ProcMesh, ProcNews, ProcSpec, Registry, Worker, WorkerNews};
use rustix::process::Signal;
use supervise::MeshEvents;

use crate::ends::{kill, until_status};
use crate::fixture::{Site, workers};
use crate::{Outcome, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(a_worker_whose_runtime_is_blocked_is_stalled_until_it_goes_on),
        trial(a_worker_whose_control_thread_is_silent_is_stalled_until_it_is_heard),
        trial(a_worker_that_was_suspended_is_not_blamed_for_its_silence),
        trial(an_owner_that_does_not_read_makes_no_worker_silent),
    ]
}

pub(crate) fn register(registry: &mut Registry) {
    registry.worker("blocks", blocks);
    registry.worker("blocks-its-control-thread", blocks_its_control_thread);
    registry.worker("talks", talks);
}

const THRESHOLD: Duration = Duration::from_millis(400);

/// Longer than the threshold by so much that it is told on a busy machine.
const BLOCKED: Duration = Duration::from_secs(2);

/// Blocks its runtime when it is told to, and then says so.
async fn blocks(mut worker: Worker) -> ExitCode {
    while worker.recv().await.is_some() {
        thread::sleep(BLOCKED);
        if worker.send(Vec::new()).await.is_err() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

async fn blocks_its_control_thread(mut worker: Worker) -> ExitCode {
    while worker.recv().await.is_some() {
        drop(worker.control().spawn(async { thread::sleep(BLOCKED) }));
    }
    ExitCode::SUCCESS
}

/// Says more than its owner has room for.
async fn talks(mut worker: Worker) -> ExitCode {
    for _ in 0..3_000 {
        if worker.send(vec![0; 100]).await.is_err() {
            return ExitCode::FAILURE;
        }
    }
    _ = worker.recv().await.is_some();
    ExitCode::SUCCESS
}

fn watchful(entry: &str) -> ProcSpec {
    let mut spec = workers(entry);
    spec.stalled_handler = Some(THRESHOLD);
    spec
}

/// What rank 1 is, again and again, as a subscriber is told.
struct Story(MeshEvents);

impl Story {
    async fn of(mesh: &ProcMesh) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self(mesh.subscribe(Interest::All).await?))
    }

    /// The next status of rank 1; nobody else has one to tell.
    async fn next(&mut self) -> Result<Status, Box<dyn std::error::Error + Send + Sync>> {
        loop {
            let event = self.0.next().await.ok_or("the mesh has ended")?;
            let News::Changed(changes) = event.news else { continue };
            let [change] = &*changes else { return Err(format!("{changes:?}").into()) };
            if change.ranks.first() != Some(Rank::new(1)) || change.ranks.len() != 1 {
                return Err(format!("only rank 1 hangs: {change:?}").into());
            }
            return Ok(change.status.clone());
        }
    }
}

/// D7
async fn a_worker_whose_runtime_is_blocked_is_stalled_until_it_goes_on() -> Outcome {
    let site = Site::start().await?;
    let mesh = site.spawn(watchful("blocks")).await?;
    let mut story = Story::of(&mesh).await?;
    mesh.send(Rank::new(1), Vec::new()).await?;
    let Status::Stalled(Stall::Silent { what: Silence::Runtime, millis }) = story.next().await?
    else {
        return Err("its runtime runs nothing".into());
    };
    assert!((400..2_000).contains(&millis), "{millis} ms");
    assert_eq!(story.next().await?, Status::Running);
    let id = mesh.label().id();
    drop(mesh);
    site.close(id).await
}

async fn a_worker_whose_control_thread_is_silent_is_stalled_until_it_is_heard() -> Outcome {
    let site = Site::start().await?;
    let mesh = site.spawn(watchful("blocks-its-control-thread")).await?;
    let mut story = Story::of(&mesh).await?;
    mesh.send(Rank::new(1), Vec::new()).await?;
    let told = story.next().await?;
    let is_so = matches!(told, Status::Stalled(Stall::Silent { what: Silence::Control, .. }));
    assert!(is_so, "{told}");
    assert_eq!(story.next().await?, Status::Running);
    let id = mesh.label().id();
    drop(mesh);
    site.close(id).await
}

/// H4: the kernel's word explains the silence, also for a while after it.
async fn a_worker_that_was_suspended_is_not_blamed_for_its_silence() -> Outcome {
    let site = Site::start().await?;
    let mesh = site.spawn(watchful("blocks")).await?;
    let mut story = Story::of(&mesh).await?;
    let pid = mesh.seats().await[1].pid;
    kill(pid, Signal::STOP)?;
    assert_eq!(story.next().await?, Status::Stalled(Stall::Suspended { signal: 19 }));
    // Much longer than it may be silent.
    tokio::time::sleep(THRESHOLD * 4).await;
    kill(pid, Signal::CONT)?;
    assert_eq!(story.next().await?, Status::Running);
    // What hangs after it is told, and nothing before.
    mesh.send(Rank::new(1), Vec::new()).await?;
    let told = story.next().await?;
    let is_so = matches!(told, Status::Stalled(Stall::Silent { what: Silence::Runtime, .. }));
    assert!(is_so, "{told}");
    let id = mesh.label().id();
    drop(mesh);
    site.close(id).await
}

/// Beats come by the same way as messages, which nobody reads here for a while.
async fn an_owner_that_does_not_read_makes_no_worker_silent() -> Outcome {
    let site = Site::start().await?;
    let mut mesh = site.spawn(watchful("talks")).await?;
    let mut events = mesh.subscribe(Interest::All).await?;
    tokio::time::sleep(THRESHOLD * 4).await;
    let mut n_messages = 0;
    while n_messages < 4 * 3_000 {
        match mesh.next().await {
            Some(ProcNews::Worker(WorkerNews::Message { .. })) => n_messages += 1,
            Some(ProcNews::Worker(WorkerNews::Ready { .. })) => (),
            news => return Err(format!("{news:?}").into()),
        }
    }
    mesh.stop(Duration::ZERO).await?;
    while let Some(event) = events.next().await {
        if let News::Changed(changes) = event.news {
            let stalled = changes.iter().find(|change| matches!(change.status, Status::Stalled(_)));
            assert_eq!(stalled, None);
        }
    }
    until_status(&mesh, Status::is_terminal).await?;
    site.close(mesh.label().id()).await
}
