//! Cores that are being written.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use libtest_mimic::Trial;
use mesh_core::{Interest, News, Reason, Stall, Status};
use mesh_shape::RankSet;
use proc_mesh::{ProcNews, WorkerNews};
use rustix::process::Signal;
use supervise::MeshEvents;

use crate::ends::kill;
use crate::fixture::{Site, failures_to_the_end, reasons, workers};
use crate::{Outcome, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![with_cores(trial(a_rank_whose_core_is_being_written_is_stalled_and_then_ends_once))]
}

/// A test that needs cores to be written into the working directory, or to a program: else it is shown
/// as ignored, and says so.
fn with_cores(trial: Trial) -> Trial {
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    let is_here =
        pattern.starts_with('|') || (!pattern.trim().is_empty() && !pattern.contains('/'));
    if !is_here {
        let name = trial.name();
        _ = writeln!(io::stderr(), "SKIPPED: {name}: cores go to {pattern}").is_ok();
    }
    trial.with_ignored_flag(!is_here)
}

/// A directory for cores, removed with them.
struct Cores(PathBuf);

impl Cores {
    fn new() -> io::Result<Self> {
        let name = format!("cores-{}", std::process::id());
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&dir)?;
        Ok(Self(dir))
    }
}

impl Drop for Cores {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0).is_ok();
    }
}

/// D4, H4: among 64 ranks; stalled by the word of the kernel, and one end, with its core flag.
async fn a_rank_whose_core_is_being_written_is_stalled_and_then_ends_once() -> Outcome {
    let cores = Cores::new()?;
    let site = Site::start().await?;
    let mut spec = workers("large");
    spec.extent = "procs=64".parse()?;
    spec.surroundings.dir = Some(cores.0.clone());
    spec.surroundings.rlimits = vec!["core=unlimited".parse()?];
    let mut mesh = site.spawn(spec).await?;
    while !is_message(&mesh.next().await.ok_or("it has ended")?) {}
    let mut events = mesh.subscribe(Interest::All).await?;
    kill(mesh.seats().await[1].pid, Signal::ABORT)?;
    let killed = Instant::now();
    let told = statuses_of_rank_1(&mut events, killed).await?;
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[0], Status::Stalled(Stall::DumpingCore));
    mesh.stop(std::time::Duration::from_secs(5)).await?;
    let failed = reasons(&failures_to_the_end(&mut mesh).await);
    assert_eq!(failed, [(1, Reason::Signal { signal: 6, core: true })]);
    site.close(mesh.label().id()).await
}

const fn is_message(news: &ProcNews) -> bool {
    matches!(news, ProcNews::Worker(WorkerNews::Message { .. }))
}

/// What is told of rank 1, and of no other, until its end.
async fn statuses_of_rank_1(events: &mut MeshEvents, since: Instant) -> Outcome<Vec<Status>> {
    let mut told = Vec::new();
    while !told.iter().any(Status::is_terminal) {
        let event = events.next().await.ok_or("no more events")?;
        let News::Changed(changes) = event.news else { continue };
        for change in changes.iter() {
            assert_eq!(change.ranks, RankSet::from(1..2));
            let what = format!("{:?} after the signal: {}", since.elapsed(), change.status);
            _ = writeln!(io::stderr(), "{what}").is_ok();
            told.push(change.status.clone());
        }
    }
    Ok(told)
}
