//! The floor: how long the kernel takes to tell of a plain child that the same is done to.
//!
//! A thread of its own does to a child of this program what is about to be done to a rank, and waits on
//! a pidfd (or with `waitid`, for what is no end). So a figure and its floor share the noise of the
//! machine.

use std::fs::File;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{
    Pid, Resource, Rlimit, Signal, WaitId, WaitIdOptions, getrlimit, kill_process, prlimit, waitid,
};
use tokio::sync::oneshot;

use crate::kind::{Core, Kind};
use crate::processes::{WAIT, handle, raw, wait_for_end};

/// What the kernel told of a plain child.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sample {
    /// From just before the fault until it was told, for each kind that the fault makes.
    pub(crate) took: Vec<(Kind, Duration)>,
    /// Whether it had written a core.
    pub(crate) dumped: bool,
}

/// Does to plain children what is done to ranks.
#[derive(Debug)]
pub(crate) struct Floor {
    orders: mpsc::Sender<(Kind, Told)>,
}

type Told = oneshot::Sender<Result<Sample>>;

impl Floor {
    /// Starts its thread. The children may write cores to `dir`.
    pub(crate) fn start(dir: PathBuf) -> Result<Self> {
        let (orders, ordered) = mpsc::channel::<(Kind, Told)>();
        let serve = move || {
            for (kind, told) in ordered {
                _ = told.send(measure(kind, &dir)).is_ok();
            }
        };
        thread::Builder::new().name("chaos-floor".to_owned()).spawn(serve)?;
        Ok(Self { orders })
    }

    /// Does to a plain child what `kind` is; nothing where no kernel tells of it.
    pub(crate) async fn sample(&self, kind: Kind) -> Result<Sample> {
        let (told, sample) = oneshot::channel();
        self.orders.send((kind, told)).ok().context("the floor has gone")?;
        sample.await.context("the floor has gone")?
    }
}

fn measure(kind: Kind, dir: &Path) -> Result<Sample> {
    match kind {
        Kind::Exit | Kind::CleanExit => measure_exit(kind),
        Kind::Kill | Kind::GuardKill => measure_signal(kind, Signal::KILL, dir),
        Kind::Terminate => measure_signal(kind, Signal::TERM, dir),
        Kind::SegvCore | Kind::Segv => measure_signal(kind, Signal::SEGV, dir),
        Kind::Suspend => measure_suspension(),
        // Nobody is told of a freeze, and a plain child has no cgroup to run out of memory in, and no actors.
        Kind::OutOfMemory
        | Kind::Continue
        | Kind::FreezeOne
        | Kind::FreezeTwo
        | Kind::Thaw
        | Kind::Stop
        | Kind::Panic
        | Kind::Error
        | Kind::Wait
        | Kind::Block
        | Kind::Return
        | Kind::HomeKill
        | Kind::RelayKill
        | Kind::RelayStop
        | Kind::AllPanic => Ok(Sample::default()),
    }
}

/// A shell is told to exit, as a worker is.
fn measure_exit(kind: Kind) -> Result<Sample> {
    let script = "echo; read -r code; exit $code";
    let mut child = Plain::start(Command::new("sh").args(["-c", script]))?;
    child.await_line()?;
    let pidfd = handle(child.0.id())?;
    let mut stdin = child.0.stdin.take().context("it is piped")?;
    let begin = Instant::now();
    stdin.write_all(if kind == Kind::Exit { b"7\n" } else { b"0\n" })?;
    ensure!(wait_for_end(&pidfd, WAIT), "a plain child does not end");
    let took = vec![(kind, begin.elapsed())];
    Ok(Sample { took, dumped: false })
}

fn measure_signal(kind: Kind, signal: Signal, dir: &Path) -> Result<Sample> {
    let mut child = Plain::start(Command::new("sh").args(["-c", IDLE]).current_dir(dir))?;
    child.await_line()?;
    let pid = raw(child.0.id())?;
    if kind == Kind::SegvCore {
        limit_core(pid, Core::Allowed)?;
    } else {
        limit_core(pid, Core::Forbidden)?;
    }
    let pidfd = handle(child.0.id())?;
    let begin = Instant::now();
    kill_process(pid, signal)?;
    ensure!(wait_for_end(&pidfd, WAIT), "a plain child does not end");
    let took = vec![(kind, begin.elapsed())];
    Ok(Sample { took, dumped: child.0.wait()?.core_dumped() })
}

fn measure_suspension() -> Result<Sample> {
    let mut child = Plain::start(Command::new("sh").args(["-c", IDLE]))?;
    child.await_line()?;
    let pid = raw(child.0.id())?;
    let mut took = Vec::new();
    for (kind, signal, told) in [
        (Kind::Suspend, Signal::STOP, WaitIdOptions::STOPPED),
        (Kind::Continue, Signal::CONT, WaitIdOptions::CONTINUED),
    ] {
        let begin = Instant::now();
        kill_process(pid, signal)?;
        _ = waitid(WaitId::Pid(pid), told)?;
        took.push((kind, begin.elapsed()));
    }
    Ok(Sample { took, dumped: false })
}

/// Says whether a process may write a core.
pub(crate) fn limit_core(pid: Pid, core: Core) -> Result<()> {
    let maximum = getrlimit(Resource::Core).maximum;
    let current = match core {
        Core::Allowed => maximum,
        Core::Forbidden => Some(0),
    };
    prlimit(Some(pid), Resource::Core, Rlimit { current, maximum })
        .context("the limit of cores cannot be set")?;
    Ok(())
}

/// A child of this program, which ends with its handle.
struct Plain(Child);

impl Plain {
    fn start(command: &mut Command) -> Result<Self> {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        Ok(Self(child.spawn().context("a plain child cannot be started")?))
    }

    /// It is the program that it is to be when it has said something.
    fn await_line(&mut self) -> Result<()> {
        let stdout = self.0.stdout.take().context("it is piped")?;
        let mut byte = [0];
        std::io::Read::read_exact(&mut File::from(std::os::fd::OwnedFd::from(stdout)), &mut byte)
            .context("a plain child has ended by itself")
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        // It may have ended.
        _ = self.0.kill().is_ok();
        _ = self.0.wait().is_ok();
    }
}

/// Idles until its standard input ends.
const IDLE: &str = "echo; read -r line";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_child_that_may_write_no_core_writes_none() {
        let dir = std::env::temp_dir();
        let sample = measure(Kind::Segv, &dir).unwrap();
        assert_eq!((sample.took.len(), sample.dumped), (1, false));
    }

    #[test]
    fn what_is_done_to_a_rank_is_done_to_a_plain_child() {
        let dir = std::env::temp_dir();
        for (kind, n_told) in [
            (Kind::Exit, 1),
            (Kind::CleanExit, 1),
            (Kind::Kill, 1),
            (Kind::Terminate, 1),
            (Kind::Suspend, 2),
            (Kind::OutOfMemory, 0),
        ] {
            assert_eq!(measure(kind, &dir).unwrap().took.len(), n_told, "{}", kind.label());
        }
    }
}
