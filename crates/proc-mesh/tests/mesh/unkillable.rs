//! Ranks that cannot be killed: they are told with the reason, and hold up nobody.
//!
//! What cannot be made here, for want of a cgroup or of rights, is shown as ignored, and says so.

use std::env;
use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{self, ExitCode, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use controller::{Config, Times};
use libtest_mimic::Trial;
use mesh_core::{Failures, Interest, News, Status, Trouble};
use mesh_shape::Rank;
use proc_mesh::{Notify, ProcMesh, ProcNews, Run, SpawnError, Unkillable, WhyUnkillable};
use rustix::fs::{Access, access};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use supervise::MeshEvents;
use tokio::process::Command;
use tokio::time::Instant;

use crate::ends::kill;
use crate::fixture::{
    Site, failures_to_the_end, left_over, parent, reasons, shells, state_of, until_gone,
};
use crate::{Outcome, trial};

pub(crate) fn trials() -> Vec<Trial> {
    let freezer = access(FREEZER, Access::WRITE_OK).map_err(|errno| format!("{FREEZER}: {errno}"));
    let rights = match (geteuid().is_root(), Path::new(SETPRIV).exists()) {
        (true, true) => Ok(()),
        (true, false) => Err(format!("there is no {SETPRIV}")),
        (false, _) => Err("only root can play two users".to_owned()),
    };
    vec![
        possible(
            freezer.clone(),
            trial(a_spawn_with_a_rank_that_cannot_be_killed_fails_with_its_name),
        ),
        possible(freezer.clone(), trial(an_agent_answers_while_it_ends_what_its_guard_has_left)),
        possible(freezer, trial(a_rank_that_cannot_be_killed_is_told_and_blocks_nobody)),
        possible(rights, trial(a_rank_of_another_user_is_told_and_blocks_nobody)),
    ]
}

/// Shown as ignored where it cannot be done.
fn possible(can: Result<(), String>, trial: Trial) -> Trial {
    if let Err(why) = &can {
        _ = writeln!(io::stderr(), "SKIPPED: {}: {why}", trial.name()).is_ok();
    }
    trial.with_ignored_flag(can.is_err())
}

/// Where cgroups of the old hierarchy are made.
const FREEZER: &str = "/sys/fs/cgroup/freezer";
const SETPRIV: &str = "/usr/bin/setpriv";

/// The first argument of a copy of this program that runs as nobody; the path of a `setpriv` that makes
/// it root comes next.
pub(crate) const NOBODY_ARGUMENT: &str = "meshwarden:test-nobody";
const NOBODY: &str = "65534";

/// Longer than the grace, and the two seconds after which it is known that a process resists.
const STOPPED_WITHIN: Duration = Duration::from_secs(9);
/// Longer than a process has to be ready, and to end, and a stop of what is left.
const FAILED_WITHIN: Duration = Duration::from_secs(20);
/// For a mesh that waits for nothing: a tenth of what a lease is.
const AT_ONCE: Duration = Duration::from_secs(3);

/// A cgroup of the old hierarchy whose processes are frozen: then not even `SIGKILL` ends them.
struct Freezer(PathBuf);

impl Freezer {
    fn make() -> io::Result<Self> {
        // Other tests may have theirs in this process.
        static N_MADE: AtomicUsize = AtomicUsize::new(0);
        let (pid, n) = (process::id(), N_MADE.fetch_add(1, Ordering::Relaxed));
        let folder = Path::new(FREEZER).join(format!("meshwarden-test-{pid}-{n}"));
        fs::create_dir(&folder)?;
        Ok(Self(folder))
    }

    fn freeze(&self, pid: u32) -> io::Result<()> {
        fs::write(self.0.join("cgroup.procs"), pid.to_string())?;
        self.set("FROZEN")?;
        // It says `FREEZING` until it is.
        while fs::read_to_string(self.0.join("freezer.state"))?.trim() != "FROZEN" {
            std::thread::yield_now();
        }
        Ok(())
    }

    fn set(&self, state: &str) -> io::Result<()> {
        fs::write(self.0.join("freezer.state"), state)
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        _ = self.set("THAWED").is_ok();
        // Empty only when what was in it has ended.
        while fs::read_to_string(self.0.join("cgroup.procs")).is_ok_and(|pids| !pids.is_empty()) {
            std::thread::yield_now();
        }
        _ = fs::remove_dir(&self.0).is_ok();
    }
}

/// C1, C3: the stop comes back, the others have stopped, and the host takes the next mesh at once. When
/// what it waits for comes back, it ends as it should.
async fn a_rank_that_cannot_be_killed_is_told_and_blocks_nobody() -> Outcome {
    let freezer = Freezer::make()?;
    let site = Site::start().await?;
    let mut spec = shells("sleep 1000 & sleep 1000");
    // A stop that waited for a whole lease would take more than ten seconds.
    spec.config = Config::from_times(Times::lan());
    let mut mesh = site.spawn(spec).await?;
    let mut events = mesh.subscribe(Interest::All).await?;
    let frozen = mesh.seats().await[2].pid;
    freezer.freeze(frozen)?;

    stop_all_but_rank_2(&mesh).await?;
    let left = unkillable(&mut mesh).await?;
    assert_eq!((left.rank, left.pid), (Rank::new(2), frozen));
    must_wait_in_the_kernel(&left);
    assert_eq!(
        trouble(&mut events).await?,
        Trouble::Unkillable { ranks: 1, why: left.why.to_string() }
    );

    let id = mesh.label().id();
    next_meshes_run(&site, mesh).await?;
    assert!(left_over(id).contains(&frozen), "it is frozen");

    drop(freezer);
    until_gone(id).await;
    site.close(id).await
}

/// ST4: that ranks are lost is told once they have been ended, and meanwhile the agent has ears.
async fn an_agent_answers_while_it_ends_what_its_guard_has_left() -> Outcome {
    let freezer = Freezer::make()?;
    let site = Site::start().await?;
    let mut mesh = site.spawn(shells("sleep 1000")).await?;
    let seats = mesh.seats().await;
    freezer.freeze(seats[2].pid)?;
    kill(parent(seats[0].pid)?, Signal::KILL)?;
    // The agent knows: nobody else ends the others.
    while !matches!(state_of(seats[0].pid), None | Some('Z')) {
        tokio::task::yield_now().await;
    }
    assert_eq!(mesh.seats().await, seats, "one of them has not ended yet");

    drop(freezer);
    let lost: usize = failures_to_the_end(&mut mesh).await.iter().map(Failures::len).sum();
    assert_eq!(lost, seats.len());
    let id = mesh.label().id();
    until_gone(id).await;
    site.close(id).await
}

/// C4: nobody is waited for who is killed for not being ready, and does not end.
async fn a_spawn_with_a_rank_that_cannot_be_killed_fails_with_its_name() -> Outcome {
    let freezer = Freezer::make()?;
    let site = Site::start().await?;
    let mut spec = shells("sleep 1000");
    let wait = Notify { ready_within: Some(Duration::from_secs(2)), watchdog: None };
    if let Run::Program { notify, .. } = &mut spec.run {
        *notify = Some(wait);
    }
    let mut mesh = site.start_only(spec).await?;
    while mesh.seats().await.len() < 4 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (id, frozen) = (mesh.label().id(), mesh.seats().await[2].pid);
    freezer.freeze(frozen)?;

    let failed = tokio::time::timeout(FAILED_WITHIN, mesh.ready()).await?;
    let Err(SpawnError::Unkillable { failures, left }) = &failed else {
        return Err(format!("{failed:?}").into());
    };
    let mut ranks: Vec<usize> = reasons(failures).into_iter().map(|(rank, _)| rank).collect();
    ranks.sort_unstable();
    assert_eq!(ranks, [0, 1, 3]);
    assert_eq!(left.iter().map(|it| it.pid).collect::<Vec<_>>(), [frozen]);
    next_meshes_run(&site, mesh).await?;
    drop(freezer);
    until_gone(id).await;
    site.close(id).await
}

/// The same for one that has become another user's, as with `sudo`. For that a mesh is run by nobody.
async fn a_rank_of_another_user_is_told_and_blocks_nobody() -> Outcome {
    let folder = env::temp_dir().join(format!("meshwarden-test-{}", process::id()));
    fs::create_dir_all(&folder)?;
    let becomes_root = folder.join("setpriv");
    fs::copy(SETPRIV, &becomes_root)?;
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755))?;
    fs::set_permissions(&becomes_root, fs::Permissions::from_mode(0o4755))?;
    // What is re-executed must be there for nobody, too.
    let program = folder.join("tests");
    fs::copy("/proc/self/exe", &program)?;
    let client = Command::new(SETPRIV)
        .args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--"])
        .arg(&program)
        .arg(NOBODY_ARGUMENT)
        .arg(&becomes_root)
        .current_dir("/")
        // Its guard holds on to it, for as long as something is left.
        .stderr(Stdio::inherit())
        .output()
        .await?;
    // It was told which; nobody could end it.
    let stdout = String::from_utf8(client.stdout)?;
    let left = stdout.trim().parse().ok().and_then(Pid::from_raw);
    let ended = left.map(|left| kill_process(left, Signal::KILL));
    fs::remove_dir_all(&folder)?;
    assert!(client.status.success(), "{}", client.status);
    assert_eq!(ended, Some(Ok(())), "{stdout}");
    Ok(())
}

/// What runs as nobody: prints the process that it could not end.
pub(crate) fn be_nobody() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime.map_err(Into::into).and_then(|it| it.block_on(run_as_nobody()));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            _ = writeln!(io::stderr(), "{error}").is_ok();
            ExitCode::FAILURE
        }
    }
}

async fn run_as_nobody() -> Outcome {
    let becomes_root = env::args().nth(2).ok_or("where is setpriv?")?;
    let site = Site::start().await?;
    let script = format!(
        "[ $RANK = 2 ] && exec {becomes_root} --reuid 0 --regid 0 --clear-groups sleep 1000; \
         sleep 1000"
    );
    let mut mesh = site.spawn(shells(&script)).await?;
    let pid = mesh.seats().await[2].pid;
    writeln!(io::stdout(), "{pid}")?;
    let is_root = || {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.contains("Uid:\t0\t0\t0\t0\n") && status.contains("Name:\tsleep\n")
    };
    while !is_root() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    stop_all_but_rank_2(&mesh).await?;
    let left = unkillable(&mut mesh).await?;
    assert_eq!((left.rank, left.pid), (Rank::new(2), pid));
    assert_eq!(left.why, WhyUnkillable::OtherUser { uid: 0 });
    next_meshes_run(&site, mesh).await
}

/// C1: the stop comes back although one of the ranks does not end.
async fn stop_all_but_rank_2(mesh: &ProcMesh) -> Outcome {
    let asked_at = Instant::now();
    let state = mesh.stop(Duration::from_millis(100)).await?;
    assert!(asked_at.elapsed() < STOPPED_WITHIN, "it took {:?}", asked_at.elapsed());
    let statuses: Vec<_> = state.ranks.iter().map(|rank| rank.status.clone()).collect();
    use Status::{Stopped, Stopping};
    assert_eq!(statuses, [Stopped, Stopped, Stopping, Stopped]);
    Ok(())
}

/// C3: at once, beside what is left of `mesh`, which is the same when its owner has gone.
async fn next_meshes_run(site: &Site, mesh: ProcMesh) -> Outcome {
    next_mesh_runs(site).await?;
    drop(mesh);
    next_mesh_runs(site).await
}

/// Starts a mesh whose ranks end by themselves, well.
async fn next_mesh_runs(site: &Site) -> Outcome {
    let begun_at = Instant::now();
    let mut next = site.spawn(shells("exit 0")).await?;
    assert_eq!(failures_to_the_end(&mut next).await, []);
    assert!(begun_at.elapsed() < AT_ONCE, "it took {:?}", begun_at.elapsed());
    Ok(())
}

fn must_wait_in_the_kernel(left: &Unkillable) {
    assert!(matches!(left.why, WhyUnkillable::Uninterruptible { .. }), "{left}");
}

/// The next trouble that subscribers are told of.
async fn trouble(events: &mut MeshEvents) -> Result<Trouble, Box<dyn Error + Send + Sync>> {
    loop {
        if let News::Trouble(trouble) = events.next().await.ok_or("the mesh has ended")?.news {
            return Ok(trouble);
        }
    }
}

/// What the owner is told of a rank that does not end.
async fn unkillable(mesh: &mut ProcMesh) -> Result<Unkillable, Box<dyn Error + Send + Sync>> {
    loop {
        match mesh.next().await.ok_or("the mesh has ended")? {
            ProcNews::Unkillable(left) => return Ok(left),
            ProcNews::Worker(_) => (),
            ProcNews::Failed(failures) => return Err(failures.to_string().into()),
            ProcNews::Finished(state) => return Err(format!("finished: {state:?}").into()),
        }
    }
}
