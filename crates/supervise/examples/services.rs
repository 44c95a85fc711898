//! Supervises three daemons by their pid files: one is well, one dies, one ignores `SIGTERM`.
//!
//! They are no children of this program: how one ended unasked nobody can say, so it is "lost".
#![expect(clippy::print_stdout, reason = "it is how an example speaks")]

use std::time::{Duration, Instant};
use std::{env, error::Error, fs, os::fd::OwnedFd, process::ExitCode};

use controller::mesh_core::{Cause, Incarnation, MeshPhase, Reason, Status};
use controller::{Config, RestartConfig, mesh_shape::extent};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, getpid, pidfd_open, pidfd_send_signal};
use supervise::{Life, Local, LocalRanks, OwnerNews, RankOrder, Setup, Supervision, supervise};
use tokio::{process::Command, signal::ctrl_c, signal::unix, time::sleep};

/// What each daemon does before it sleeps. What a shell ignores, the program it becomes ignores too.
const SERVICES: [&str; 3] = ["true", "[ $LIFE -gt 0 ] || exec sleep 1", "trap '' TERM"];
/// A daemon puts its pid and the time of its start into its pid file, at one go; its parent has gone.
const DAEMON: &str = r#"sh -c 'echo $$ $(cut -d " " -f 22 /proc/$$/stat) >"$FILE.new" &&
    mv "$FILE.new" "$FILE" && eval "$SERVICE" && exec sleep 60' </dev/null >/dev/null 2>&1 &"#;
const LOOK: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(10);

/// A daemon, by a handle that stays with its process. Dropping it kills the daemon.
struct Daemon(OwnedFd);

impl Daemon {
    /// The one that a pid file names, if it lives and the pid is not another's by now.
    fn named_in(file: &str) -> Option<Self> {
        let text = fs::read_to_string(file).ok()?;
        let (pid, start) = text.trim().split_once(' ')?;
        let handle = pidfd_open(Pid::from_raw(pid.parse().ok()?)?, PidfdFlags::empty()).ok()?;
        // Read after that: 20 fields behind the name, which is in parentheses, is the start.
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let is_same = stat.rsplit(") ").next()?.split(' ').nth(19) == Some(start);
        is_same.then(|| Self(handle)).filter(Self::lives)
    }

    fn lives(&self) -> bool {
        let mut handle = [PollFd::new(&self.0, PollFlags::IN)]; // Readable when it has ended.
        !poll(&mut handle, Some(&Timespec::default())).is_ok_and(|n_ready| n_ready > 0)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        _ = pidfd_send_signal(&self.0, Signal::KILL).is_ok(); // If not, it has ended.
    }
}

/// Lives one life of one service: starts it unless it runs, passes orders on, and sees it end.
async fn live(mut life: Life<Local>) -> Status {
    let failed = |reason| Status::failed(Cause::new(reason));
    let (rank, begin) = (life.rank().index(), Instant::now());
    let file = format!("{rank}.pid");
    let mut daemon = Daemon::named_in(&file);
    if daemon.is_none() {
        let mut shell = Command::new("sh");
        shell.args(["-c", DAEMON]).env("FILE", &file).env("SERVICE", SERVICES[rank]);
        if let Err(error) = shell.env("LIFE", life.incarnation().to_string()).status().await {
            return failed(Reason::Error { message: error.to_string() });
        }
    }
    while daemon.is_none() && begin.elapsed() < PATIENCE {
        sleep(LOOK).await;
        daemon = Daemon::named_in(&file);
    }
    let Some(daemon) = daemon else { return failed(Reason::NotReady { within: PATIENCE }) };
    println!("service {rank}, life {}, runs", life.incarnation());
    life.report(Status::Running);
    let mut end = failed(Reason::LostByAgent);
    while daemon.lives() {
        tokio::select! {
            order = life.ordered() => {
                end = Status::Stopped;
                let signal = if order == RankOrder::Stop { Signal::TERM } else { Signal::KILL };
                _ = pidfd_send_signal(&daemon.0, signal).is_ok();
            }
            () = sleep(LOOK) => (),
        }
    }
    end
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let (begin, mut terminated) = (Instant::now(), unix::signal(unix::SignalKind::terminate())?);
    let folder = env::temp_dir().join(format!("services-{}", getpid()));
    fs::create_dir(&folder)?;
    env::set_current_dir(&folder)?;
    fs::write("0.pid", format!("{} 1", getpid()))?; // Stale: the pid is ours, the start is not.
    let config = Config { restart: RestartConfig::on_failure(3), ..Config::local() };
    let ranks = LocalRanks { kind: Local, unknown: Status::NotExist, live };
    let setup = Setup::local("daemons", extent!(services = 3)?, config, ranks)?;
    let (Supervision { controller, mut owner, .. }, run) = supervise(setup);
    tokio::spawn(run);
    let is_told = loop {
        let state = controller.state().await?;
        let is_again = state.ranks.iter().any(|rank| rank.incarnation > Incarnation::FIRST);
        if is_again && state.phase == MeshPhase::Running {
            break true;
        }
        tokio::select! {
            Some(OwnerNews::Failed(failures)) = owner.next() => println!("{failures}"),
            _ = terminated.recv() => break false,
            _ = ctrl_c() => break false,
            () = sleep(LOOK) => if begin.elapsed() > PATIENCE { break false },
        }
    };
    let state = controller.stop(Duration::from_secs(1)).await?;
    for (rank, state) in state.ranks.iter().enumerate() {
        println!("at the end service {rank}, life {}, is {}", state.incarnation, state.status);
    }
    let n_left = (0..3).filter(|rank| Daemon::named_in(&format!("{rank}.pid")).is_some()).count();
    println!("{n_left} of them are left over");
    fs::remove_dir_all(folder)?;
    let is_as_told = is_told && (state.phase, n_left) == (MeshPhase::Stopped, 0);
    Ok(ExitCode::from(u8::from(!is_as_told)))
}
