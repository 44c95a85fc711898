//! Cgroups of their own: kills for lack of memory, limits, and what is left of them.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use libtest_mimic::Trial;
use mesh_core::{Cgroup, MeshId, OwnCgroup, Reason};
use proc_mesh::{ProcMesh, ProcSpec};
use rustix::process::Signal;

use crate::ends::kill;
use crate::fixture::{
    Site, failures_to_the_end, left_over, next_failure, parent, reasons, shells, until_gone,
};
use crate::{Outcome, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        with_cgroups(trial(a_kill_for_lack_of_memory_is_told_from_any_other)),
        with_cgroups(trial(a_shell_passes_on_that_its_child_ran_out_of_memory)),
        with_cgroups(trial(a_kill_that_a_rank_has_survived_says_nothing_of_its_end)),
        with_cgroups(trial(what_has_left_the_group_ends_with_its_rank)),
        with_cgroups(trial(a_rank_has_as_many_processes_as_its_limit)),
        with_cgroups(trial(nothing_is_left_of_cgroups_when_a_guard_is_killed)),
        trial(without_a_cgroup_of_its_own_no_kill_is_for_lack_of_memory),
    ]
}

/// A test that needs a memory cgroup: without, it is shown as ignored, and says so.
fn with_cgroups(trial: Trial) -> Trial {
    let is_here = may_make_cgroups();
    if !is_here {
        let name = trial.name();
        _ = writeln!(io::stderr(), "SKIPPED: {name}: this user may make no memory cgroup").is_ok();
    }
    trial.with_ignored_flag(!is_here)
}

/// Whether there is a memory cgroup of version 1 that others can be made in, or one of version 2 that
/// gives memory to those beside this process's.
fn may_make_cgroups() -> bool {
    let one = dir_of("self", "memory").filter(|dir| dir.starts_with("/sys/fs/cgroup/memory"));
    let two = dir_of("self", "").filter(|dir| {
        let given = fs::read_to_string(dir.join("../cgroup.subtree_control")).unwrap_or_default();
        given.contains("memory")
    });
    let probe = format!("meshwarden-probe-{}", std::process::id());
    [one, two.map(|dir| dir.join(".."))].into_iter().flatten().any(|dir| {
        let dir = dir.join(&probe);
        fs::create_dir(&dir).and_then(|()| fs::remove_dir(&dir)).is_ok()
    })
}

/// The directory of the cgroup of a process, where these are mounted as they most often are.
fn dir_of(pid: &str, controller: &str) -> Option<PathBuf> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let is_it = |line: &&str| line.split(':').nth(1) == Some(controller);
    let path = text.lines().find(is_it)?.splitn(3, ':').nth(2)?.trim_start_matches('/');
    let roots = [format!("/sys/fs/cgroup/{controller}"), "/sys/fs/cgroup/unified".to_owned()];
    let root = roots.iter().find(|root| Path::new(root).join("cgroup.procs").exists())?;
    Some(Path::new(root).join(path))
}

fn confined(script: &str, cgroup: Cgroup) -> ProcSpec {
    let mut spec = shells(script);
    spec.surroundings.cgroup = cgroup;
    spec
}

const SMALL: Cgroup =
    Cgroup { wanted: OwnCgroup::Auto, memory_max: Some(32 << 20), pids_max: None };

/// Grows without end.
const GROW: &str = "exec tail /dev/zero";

/// Kills the ranks of which that is said, and gives back all failures in the order of ranks.
async fn ends_of(mesh: &mut ProcMesh, is_killed: impl Fn(usize) -> bool) -> Outcome<Vec<Reason>> {
    for seat in mesh.seats().await {
        if is_killed(seat.rank.index()) {
            kill(seat.pid, Signal::KILL)?;
        }
    }
    let mut told = reasons(&failures_to_the_end(mesh).await);
    told.sort_unstable_by_key(|(rank, _)| *rank);
    Ok(told.into_iter().map(|(_, reason)| reason).collect())
}

/// D5.
async fn a_kill_for_lack_of_memory_is_told_from_any_other() -> Outcome {
    let site = Site::start().await?;
    let script = format!("test $((RANK % 2)) = 0 && {GROW}; exec sleep 1000");
    let mut spec = confined(&script, SMALL);
    spec.extent = "procs=8".parse()?;
    let mut mesh = site.spawn(spec).await?;
    let ends = ends_of(&mut mesh, |rank| rank % 2 == 1).await?;
    let pair = [Reason::OutOfMemory, Reason::Signal { signal: 9, core: false }];
    assert_eq!(ends, [pair.clone(), pair.clone(), pair.clone(), pair].concat());
    site.close(mesh.label().id()).await
}

/// D5: also if it is not the leader that was killed.
async fn a_shell_passes_on_that_its_child_ran_out_of_memory() -> Outcome {
    let site = Site::start().await?;
    let mut mesh = site.spawn(confined("tail /dev/zero; exit $?", SMALL)).await?;
    let ends = ends_of(&mut mesh, |_| false).await?;
    assert_eq!(ends, vec![Reason::OutOfMemory; 4]);
    site.close(mesh.label().id()).await
}

/// D5: a plain `SIGKILL` long after a descendant was killed for lack of memory is plain.
async fn a_kill_that_a_rank_has_survived_says_nothing_of_its_end() -> Outcome {
    let site = Site::start().await?;
    let mut mesh = site.spawn(confined("tail /dev/zero; exec sleep 999", SMALL)).await?;
    let sleeps = |pid: u32| {
        fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"sleep"))
    };
    let seats = mesh.seats().await;
    while !seats.iter().all(|seat| sleeps(seat.pid)) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // This is about time: a kill is in doubt for two looks.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let ends = ends_of(&mut mesh, |_| true).await?;
    assert_eq!(ends, vec![Reason::Signal { signal: 9, core: false }; 4]);
    site.close(mesh.label().id()).await
}

/// D5: it is never claimed without the counter.
async fn without_a_cgroup_of_its_own_no_kill_is_for_lack_of_memory() -> Outcome {
    let site = Site::start().await?;
    let mut mesh = site.spawn(shells("exec sleep 1000")).await?;
    let ends = ends_of(&mut mesh, |_| true).await?;
    assert_eq!(ends, vec![Reason::Signal { signal: 9, core: false }; 4]);
    site.close(mesh.label().id()).await
}

/// GUARD-2: here by `cgroup.kill` or a freezer. O3: no cgroup is left of a rank that has ended.
async fn what_has_left_the_group_ends_with_its_rank() -> Outcome {
    let site = Site::start().await?;
    let script = "setsid sleep 1000 & setsid sh -c 'while :; do sleep 1000; done' & sleep 1000";
    let mut mesh = site.spawn(confined(script, SMALL)).await?;
    let seats = mesh.seats().await;
    let dirs = cgroups_of(&mesh).await;
    assert_eq!(dirs.len(), 4);
    for seat in &seats {
        kill(seat.pid, Signal::KILL)?;
    }
    let _four = failures_to_the_end(&mut mesh).await;
    let id = mesh.label().id();
    until_gone(id).await;
    until_removed(&dirs).await;
    site.close(id).await?;
    must_be_clean(&dirs)
}

/// The directories of the memory cgroups of the ranks.
async fn cgroups_of(mesh: &ProcMesh) -> Vec<PathBuf> {
    let seats = mesh.seats().await;
    let dirs = seats.iter().filter_map(|seat| {
        let pid = seat.pid.to_string();
        dir_of(&pid, "memory").or_else(|| dir_of(&pid, ""))
    });
    dirs.filter(|dir| dir.to_string_lossy().contains("meshwarden-")).collect()
}

async fn until_removed(dirs: &[PathBuf]) {
    while dirs.iter().any(|dir| dir.exists()) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// O3: nor is one left of a guard.
fn must_be_clean(dirs: &[PathBuf]) -> Outcome {
    match dirs.iter().filter_map(|dir| dir.parent()).find(|home| home.exists()) {
        Some(home) => Err(format!("left over: {}", home.display()).into()),
        None => Ok(()),
    }
}

async fn a_rank_has_as_many_processes_as_its_limit() -> Outcome {
    let site = Site::start().await?;
    let cgroup = Cgroup { pids_max: Some(1), ..Cgroup::default() };
    let mut mesh = site.spawn(confined("sleep 1000 & exit 9", cgroup)).await?;
    let ends = ends_of(&mut mesh, |_| false).await?;
    assert_eq!(ends, vec![Reason::Exit { code: 2 }; 4], "it cannot fork");
    site.close(mesh.label().id()).await
}

/// K3, O3.
async fn nothing_is_left_of_cgroups_when_a_guard_is_killed() -> Outcome {
    let site = Site::start().await?;
    let mut mesh = site.spawn(confined("setsid sleep 1000 & sleep 1000", SMALL)).await?;
    let (seats, dirs) = (mesh.seats().await, cgroups_of(&mesh).await);
    assert_eq!(dirs.len(), 4);
    kill(parent(seats[0].pid)?, Signal::KILL)?;
    let lost = next_failure(&mut mesh).await?;
    assert!(reasons(&[lost]).iter().all(|(_, reason)| *reason == Reason::LostByAgent));
    let id: MeshId = mesh.label().id();
    until_gone(id).await;
    until_removed(&dirs).await;
    while must_be_clean(&dirs).is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(left_over(id), []);
    drop(mesh);
    site.close(id).await
}
