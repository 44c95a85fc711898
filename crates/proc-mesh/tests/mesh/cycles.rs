//! Processes come and go thousands of times: nothing of them stays (O3).

use std::env;
use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::{self, ExitCode};
use std::time::Duration;

use libtest_mimic::Trial;
use proc_mesh::{ProcMesh, ProcNews};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

use crate::fixture::{Site, parent, shells, state_of, until_gone, workers};
use crate::{Outcome, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial(processes_that_come_and_go_leave_nothing)]
}

/// The first argument of a copy of this program that starts and kills processes; their number comes next.
pub(crate) const ARGUMENT: &str = "cycles";

/// O3, in short; `cargo xtask cycles` does 10,000.
async fn processes_that_come_and_go_leave_nothing() -> Outcome {
    let files = env::temp_dir().join(format!("meshwarden-cycles-{}", process::id()));
    fs::create_dir(&files)?;
    let status = Command::new("/proc/self/exe")
        .args([ARGUMENT, "500"])
        .env("TMPDIR", &files)
        .current_dir(&files)
        .status()
        .await?;
    let left: Vec<_> = fs::read_dir(&files)?.flatten().map(|entry| entry.path()).collect();
    fs::remove_dir_all(&files)?;
    assert!(status.success(), "{status}");
    assert!(left.is_empty(), "{left:?}");
    Ok(())
}

/// Starts and kills as many processes as it is told to, and compares what there is before and after.
pub(crate) fn run() -> ExitCode {
    let n_cycles = env::args().nth(2).and_then(|n| n.parse().ok()).unwrap_or(10_000);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.map_err(Into::into).and_then(|it| it.block_on(cycle(n_cycles))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            _ = writeln!(io::stderr(), "{error}").is_ok();
            ExitCode::FAILURE
        }
    }
}

/// The ways in which processes are ended; four at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Somebody kills each of them.
    Killed,
    /// The same for workers, which have a link and threads.
    WorkersKilled,
    /// Their mesh is stopped without grace.
    Stopped,
    /// Their mesh is dropped.
    Dropped,
}

impl Way {
    const ALL: [Self; 4] = [Self::Killed, Self::WorkersKilled, Self::Stopped, Self::Dropped];
}

const PROCESSES: usize = 4;

async fn cycle(n_cycles: usize) -> Outcome {
    let site = Site::start().await?;
    // Twice each, so that what is made once is there.
    for way in Way::ALL.into_iter().chain(Way::ALL) {
        one_mesh(&site, way).await?;
    }
    let guard = guard(&site).await?;
    let before = Census::settled(&site, guard).await;
    let started = Instant::now();
    for way in Way::ALL.into_iter().cycle().take(n_cycles.div_ceil(PROCESSES)) {
        one_mesh(&site, way).await?;
    }
    let took = started.elapsed();
    let after = Census::settled(&site, guard).await;
    writeln!(
        io::stdout(),
        "{n_cycles} processes started and killed in {:.1} s\nbefore: {before}\nafter:  {after}",
        took.as_secs_f64()
    )?;
    if after.counts().iter().zip(before.counts()).any(|(after, before)| *after > before) {
        return Err("something was left".into());
    }
    if !site.hosts.close().await {
        return Err("the guard did not end well".into());
    }
    Ok(())
}

/// The last word of a mesh that has ended.
const TOLD_WITHIN: Duration = Duration::from_secs(5);
/// Who closes what ended processes had may not have had its turn.
const SETTLED_AFTER: Duration = Duration::from_millis(300);

/// A mesh of four processes, from its spawn until nothing is left of it.
async fn one_mesh(site: &Site, way: Way) -> Outcome {
    // A child that its guard has to reap, too.
    let program = || shells("(true &); exec sleep 1000");
    let spec = if way == Way::WorkersKilled { workers("echo") } else { program() };
    let mut mesh = site.spawn(spec).await?;
    let id = mesh.label().id();
    match way {
        Way::Killed | Way::WorkersKilled => {
            for seat in mesh.seats().await {
                let pid = Pid::from_raw(seat.pid.try_into()?).ok_or("0 is no process")?;
                kill_process(pid, Signal::KILL)?;
            }
            hear_out(&mut mesh).await?;
        }
        Way::Stopped => _ = mesh.stop(Duration::ZERO).await?,
        Way::Dropped => drop(mesh),
    }
    // What was in their groups is killed when they end, and may take a moment.
    Ok(timeout(TOLD_WITHIN, until_gone(id)).await?)
}

/// The owner is told of each failure once (N1), and then of the end.
async fn hear_out(mesh: &mut ProcMesh) -> Outcome {
    let mut n_failed = 0;
    while let Some(news) = timeout(TOLD_WITHIN, mesh.next()).await? {
        if let ProcNews::Failed(failures) = news {
            n_failed += failures.len();
        }
    }
    if n_failed == PROCESSES { Ok(()) } else { Err(format!("{n_failed} failures").into()) }
}

/// The guard of the site: the parent of whatever it starts.
async fn guard(site: &Site) -> Result<u32, Box<dyn std::error::Error + Send + Sync>> {
    let mesh = site.spawn(shells("exec sleep 1000")).await?;
    let seats = mesh.seats().await;
    let guard = parent(seats.first().ok_or("it runs")?.pid)?;
    mesh.stop(Duration::ZERO).await?;
    Ok(guard)
}

/// What there is of everything that might be left.
#[derive(Clone, Copy, Debug)]
struct Census {
    client: Counts,
    guard: Counts,
    /// On both of the client's other threads.
    tasks: usize,
    /// In the folder for temporary files.
    files: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counts {
    descriptors: usize,
    children: usize,
    zombies: usize,
    threads: usize,
    /// Grows a little with use, and is not compared.
    kib: u64,
}

impl Census {
    fn take(site: &Site, guard: u32) -> Self {
        let tasks =
            |thread: &mesh_runtime::ControlThread| thread.handle().metrics().num_alive_tasks();
        Self {
            client: Counts::of(process::id()),
            guard: Counts::of(guard),
            tasks: tasks(&site.control) + tasks(&site.output),
            files: fs::read_dir(env::temp_dir()).map(Iterator::count).unwrap_or_default(),
        }
    }

    /// Once it has not changed for a while.
    async fn settled(site: &Site, guard: u32) -> Self {
        let (mut census, mut since) = (Self::take(site, guard), Instant::now());
        while since.elapsed() < SETTLED_AFTER {
            sleep(Duration::from_millis(10)).await;
            let now = Self::take(site, guard);
            if now.counts() != census.counts() {
                (census, since) = (now, Instant::now());
            }
        }
        census
    }

    /// What must not grow. The client's threads are not among it: tokio keeps one that waits for blocking
    /// work for a while.
    fn counts(&self) -> [usize; 9] {
        let Self { client, guard, tasks, files } = self;
        let [first, second] = [client, guard].map(|it| [it.descriptors, it.children, it.zombies]);
        let ([a, b, c], [d, e, f]) = (first, second);
        [a, b, c, d, e, f, guard.threads, *tasks, *files]
    }
}

impl Counts {
    fn of(pid: u32) -> Self {
        let process = Path::new("/proc").join(pid.to_string());
        let status = fs::read_to_string(process.join("status")).unwrap_or_default();
        let number = |name| {
            let value = status.lines().find_map(|line: &str| line.strip_prefix(name))?;
            value.split_ascii_whitespace().next()?.parse::<u64>().ok()
        };
        let children = children(&process);
        Self {
            descriptors: fs::read_dir(process.join("fd")).map(Iterator::count).unwrap_or_default(),
            children: children.len(),
            zombies: children.iter().filter(|child| state_of(**child) == Some('Z')).count(),
            threads: number("Threads:").unwrap_or_default() as usize,
            kib: number("VmRSS:").unwrap_or_default(),
        }
    }
}

fn children(process: &Path) -> Vec<u32> {
    let threads = fs::read_dir(process.join("task")).into_iter().flatten().flatten();
    let lists =
        threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()
        })
        .collect()
}

impl fmt::Display for Census {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, guard, tasks, files } = self;
        write!(f, "client {client}, {tasks} tasks; guard {guard}; {files} temporary files")
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { descriptors, children, zombies, threads, kib } = self;
        write!(
            f,
            "{descriptors} descriptors, {children} children, {zombies} zombies, {threads} threads, \
             {kib} KiB"
        )
    }
}
