//! pauses: the owner of actors is suspended, and goes on; the wall clocks of all are stepped.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use meshwarden::prelude::*;
use rustix::process::{Pid as UnixPid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{sleep, timeout};

use crate::program::{ARGUMENT, PROCS};
use crate::support::{Outcome, TEST_WITHIN};

/// A program that runs, and all that it has said.
struct Program {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    said: Vec<String>,
    pids: Vec<u32>,
}

impl Program {
    async fn start(lease: Duration, env: &[(&str, String)]) -> Result<Self, ClientError> {
        let mut child = Command::new("/proc/self/exe")
            .args([ARGUMENT, &lease.as_millis().to_string()])
            .envs(env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child.stdout.take().ok_or("it is piped")?;
        let (lines, said, pids) = (BufReader::new(stdout).lines(), Vec::new(), Vec::new());
        let mut program = Self { child, lines, said, pids };
        let up = program.until("up ").await?;
        let pids = up.split(' ').skip(1).map(str::parse).collect::<Result<Vec<u32>, _>>()?;
        program.pids = pids;
        program.until("answered ").await?;
        program.said.clear();
        Ok(program)
    }

    /// Waits for a line that begins like this.
    async fn until(&mut self, begin: &str) -> Result<String, ClientError> {
        loop {
            let line = timeout(TEST_WITHIN, self.lines.next_line()).await??;
            let line = line.ok_or_else(|| format!("it has ended: {:?}", self.said))?;
            self.said.push(line.clone());
            if line.starts_with(begin) {
                return Ok(line);
            }
        }
    }

    fn signal(&self, signal: Signal) -> Outcome {
        let pid = i32::try_from(self.child.id().ok_or("it runs")?)?;
        Ok(kill_process(UnixPid::from_raw(pid).ok_or("it has an id")?, signal)?)
    }

    fn n_alive(&self) -> usize {
        let is_alive = |pid: &&u32| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with(['Z', 'X']))
        };
        self.pids.iter().filter(is_alive).count()
    }

    /// All that was said but that all have answered.
    fn told(&self) -> Vec<&str> {
        let lines = self.said.iter().map(String::as_str);
        lines.filter(|line| !line.starts_with("answered ")).collect()
    }

    /// Ends it, and has what it says until then.
    async fn end(&mut self) -> Outcome {
        drop(self.child.stdin.take());
        self.until("finished").await?;
        let status = timeout(TEST_WITHIN, self.child.wait()).await??;
        if status.success() { Ok(()) } else { Err(status.to_string().into()) }
    }
}

/// F2, N9: for less than its lease: nobody is declared to be anything, and nothing is culled.
pub(crate) async fn an_owner_that_is_suspended_for_less_than_its_lease_is_told_nothing(
    _: Arc<Root>,
) -> Outcome {
    let mut program = Program::start(Duration::from_secs(10), &[]).await?;
    // The second is as near to the lease as a busy machine allows, and longer than anything else waits for anybody.
    for pause in [Duration::from_secs(4), Duration::from_millis(7_500)] {
        program.signal(Signal::STOP)?;
        sleep(pause).await;
        program.signal(Signal::CONT)?;
        for _ in 0..5 {
            program.until("answered ").await?;
        }
    }
    assert_eq!(program.n_alive(), PROCS);
    assert_eq!(program.told(), [""; 0]);
    program.end().await
}

/// F2, K2, N1: for longer: its processes are culled by their lease, and the actors are told as orphaned with them,
/// once to everybody; and not as crashed, nor as silent.
pub(crate) async fn actors_of_an_owner_that_is_suspended_beyond_its_lease_are_orphaned_and_not_crashed(
    _: Arc<Root>,
) -> Outcome {
    let mut program = Program::start(Duration::from_secs(1), &[]).await?;
    program.signal(Signal::STOP)?;
    // K2: a second more than the lease, and as much again for a busy machine.
    let culled = async {
        while program.n_alive() > 0 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(4), culled).await?;
    // Long enough that its controllers would have given up too.
    sleep(Duration::from_millis(3_500)).await;
    program.signal(Signal::CONT)?;
    program.until("finished").await?;
    let orphaned = "orphaned: killed by its agent when its lease ran out";
    let mut ends: Vec<&str> = program.told();
    ends.retain(|line| line.contains("failed") || line.contains("timed out"));
    ends.sort_unstable();
    let actor = |whom: &str, rank| {
        format!(
            "{whom} {rank} failed: ended with what it lived in, caused by rank {rank} of proc mesh procs: {orphaned}"
        )
    };
    let all = (0..PROCS).flat_map(|rank| {
        [actor("actor", rank), actor("owner", rank), format!("process {rank} failed: {orphaned}")]
    });
    let mut all: Vec<String> = all.collect();
    all.sort_unstable();
    assert_eq!(ends, all);
    Ok(())
}

/// F3, N9, L4: longer than any lease, once forth and once back, of the owner and of its workers.
pub(crate) async fn an_hour_forth_and_back_on_the_wall_clocks_changes_nothing(
    _: Arc<Root>,
) -> Outcome {
    let step = Step(std::env::temp_dir().join(format!("meshwarden-step-{}", std::process::id())));
    std::fs::write(&step.0, "+0")?;
    let env = [
        ("LD_PRELOAD", library().await?),
        ("FAKETIME_TIMESTAMP_FILE", step.0.to_str().ok_or("a path is text")?.to_owned()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ];
    let mut program = Program::start(Duration::from_secs(4), &env).await?;
    let began = clocks(&program.until("answered ").await?)?[0];
    for hours in [1, -1, 1, -1, 0] {
        std::fs::write(&step.0, format!("{hours:+}h"))?;
        let is_stepped = |now: &i64| (now - began - hours * 3_600).abs() < 600;
        // The owner and every worker.
        loop {
            let clocks = clocks(&program.until("answered ").await?)?;
            assert_eq!(clocks.len(), PROCS + 1);
            if clocks.iter().all(is_stepped) {
                break;
            }
        }
        // A check, which is due within a second, and many beats.
        sleep(Duration::from_millis(1_500)).await;
    }
    program.until("answered ").await?;
    assert_eq!(program.told(), [""; 0]);
    program.end().await
}

/// Whether there is what steps wall clocks.
pub(crate) fn can_step() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join("faketime").is_file())
}

fn clocks(line: &str) -> Result<Vec<i64>, ClientError> {
    Ok(line.split(' ').skip(1).map(str::parse).collect::<Result<_, _>>()?)
}

/// The library that the program `faketime` puts before others.
async fn library() -> Result<String, ClientError> {
    let env = Command::new("faketime").args(["-f", "+0", "env"]).output().await?;
    let env = String::from_utf8(env.stdout)?;
    let found = env.lines().find_map(|line| line.strip_prefix("LD_PRELOAD="));
    Ok(found.ok_or("faketime loads no library")?.to_owned())
}

/// The file that says how far wall clocks are stepped; removed with this.
struct Step(PathBuf);

impl Drop for Step {
    fn drop(&mut self) {
        // What cannot be removed is in the way of nobody.
        _ = std::fs::remove_file(&self.0).is_ok();
    }
}
