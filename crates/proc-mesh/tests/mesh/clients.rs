//! Whole clients with their guards: however they end, nothing of their meshes is left (C2, K3).

use std::env;
use std::error::Error;
use std::io::{self, Write};
use std::process::{self, ExitCode, Stdio};
use std::time::Duration;

use libtest_mimic::Trial;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::fixture::{Site, left_over, parent, shells, state_of, workers};
use crate::{Outcome, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(nothing_outlives_a_client_that_panics),
        trial(nothing_outlives_a_client_that_exits),
        trial(nothing_outlives_a_client_that_aborts),
        trial(nothing_outlives_the_runtime_of_a_client_that_lives_on),
        trial(nothing_outlives_a_client_that_is_killed),
        trial(nothing_outlives_a_client_that_is_killed_while_its_guard_is_suspended),
        trial(nothing_outlives_a_client_whose_guard_is_killed_first),
        trial(workers_end_when_guard_and_client_are_killed_at_once),
        trial(workers_end_when_client_and_guard_are_killed_at_once),
    ]
}

/// The first argument of a copy of this program that is a client; how it ends comes next.
pub(crate) const CLIENT_ARGUMENT: &str = "meshwarden:test-client";

/// Ranks with children, grandchildren, and what has left their groups and sessions by a double fork: six
/// sleeps each, of which none outlives a guard.
const SCRIPT: &str = "trap '' TERM HUP; sleep 1000 & setsid sleep 1000 & \
    (setsid sh -c '(sleep 1000 &) & exec sleep 1000' &); setsid sh -c 'setsid sleep 1000 & wait' & \
    sleep 1000";
/// Four ranks of a shell, six sleeps and one more shell.
const N_PROCESSES: usize = 4 * 8;

/// O1
const GONE_WITHIN: Duration = Duration::from_secs(10);
/// On a busy machine, too.
const UP_WITHIN: Duration = Duration::from_secs(20);

/// A client with a mesh that is up.
struct Client {
    process: Child,
    mesh: String,
    guard: u32,
}

impl Client {
    /// Starts a client that ends in this way once it has been told to.
    async fn start(way: &str, n_processes: usize) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let mut process = Command::new("/proc/self/exe")
            .args([CLIENT_ARGUMENT, way])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = process.stdout.take().ok_or("it is piped")?;
        let line = BufReader::new(stdout).lines().next_line().await?.ok_or("it has ended")?;
        let (mesh, guard) = line.split_once(' ').ok_or("two words")?;
        let client = Self { process, mesh: mesh.to_owned(), guard: guard.parse()? };
        let deadline = Instant::now() + UP_WITHIN;
        while left_over(&client.mesh).len() != n_processes {
            if Instant::now() > deadline {
                return Err(format!("{:?} are there", left_over(&client.mesh)).into());
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(client)
    }

    fn pid(&self) -> Result<u32, Box<dyn Error + Send + Sync>> {
        Ok(self.process.id().ok_or("it is alive")?)
    }

    /// Tells it to end in its way.
    fn go(&mut self) {
        drop(self.process.stdin.take());
    }

    /// Fails unless everything is gone in time, the guard too.
    async fn must_leave_nothing(&self) -> Outcome {
        let deadline = Instant::now() + GONE_WITHIN;
        // Whoever adopts the guard may take its time to reap it.
        let is_over = || matches!(state_of(self.guard), None | Some('Z'));
        while !(left_over(&self.mesh).is_empty() && is_over()) {
            if Instant::now() > deadline {
                let guard = state_of(self.guard);
                return Err(format!("{:?}, guard {guard:?}", left_over(&self.mesh)).into());
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }
}

const LOOK_EVERY: Duration = Duration::from_millis(2);

/// The client: starts its mesh, prints the id of it and the process id of its guard, and ends as asked
/// when its standard input does.
pub(crate) fn be_a_client() -> ExitCode {
    let way = env::args().nth(2).unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime.map_err(Into::into).and_then(|runtime| {
        let site = runtime.block_on(Site::start())?;
        let spec = if way.starts_with("workers") { workers("echo") } else { shells(SCRIPT) };
        let mesh = runtime.block_on(site.spawn(spec))?;
        let seats = runtime.block_on(mesh.seats());
        // One that is suspended cannot see that its link has ended.
        if way == "workers" {
            kill(seats[1].pid, Signal::STOP)?;
        }
        writeln!(io::stdout(), "{} {}", mesh.label().id(), parent(seats[0].pid)?)?;
        io::copy(&mut io::stdin(), &mut io::sink())?;
        match way.as_str() {
            "panic" => panic!("as asked"),
            "exit" => process::exit(0),
            "abort" => process::abort(),
            _ => {
                let Site { control, output, hosts } = site;
                drop((runtime, control, output));
                std::thread::sleep(UP_WITHIN);
                drop((mesh, hosts));
                Outcome::Ok(())
            }
        }
    });
    if outcome.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// It ends in its way by itself.
async fn ends(way: &str) -> Outcome {
    let mut client = Client::start(way, N_PROCESSES).await?;
    client.go();
    client.must_leave_nothing().await
}

/// C2
async fn nothing_outlives_a_client_that_panics() -> Outcome {
    ends("panic").await
}

/// C2
async fn nothing_outlives_a_client_that_exits() -> Outcome {
    ends("exit").await
}

/// C2
async fn nothing_outlives_a_client_that_aborts() -> Outcome {
    ends("abort").await
}

/// C2: its threads are shut down, and it still holds the mesh and the hosts in its hand.
async fn nothing_outlives_the_runtime_of_a_client_that_lives_on() -> Outcome {
    let mut client = Client::start("shutdown", N_PROCESSES).await?;
    client.go();
    client.must_leave_nothing().await?;
    assert!(client.process.try_wait()?.is_none(), "it lives on");
    Ok(())
}

/// K3, O1
async fn nothing_outlives_a_client_that_is_killed() -> Outcome {
    let client = Client::start("wait", N_PROCESSES).await?;
    kill(client.pid()?, Signal::KILL)?;
    client.must_leave_nothing().await
}

/// K3: the kernel continues what is suspended and has lost its session's last tie.
async fn nothing_outlives_a_client_that_is_killed_while_its_guard_is_suspended() -> Outcome {
    let client = Client::start("wait", N_PROCESSES).await?;
    kill(client.guard, Signal::STOP)?;
    kill(client.pid()?, Signal::KILL)?;
    client.must_leave_nothing().await
}

/// K3: the client sweeps what its guard has left, and is killed later.
async fn nothing_outlives_a_client_whose_guard_is_killed_first() -> Outcome {
    let client = Client::start("wait", N_PROCESSES).await?;
    kill(client.guard, Signal::KILL)?;
    client.must_leave_nothing().await?;
    kill(client.pid()?, Signal::KILL)
}

/// K3: workers have lost both, and one of them is suspended. What plain programs start outlives this
/// where there is no cgroup to be killed.
async fn workers_end_when_guard_and_client_are_killed_at_once() -> Outcome {
    let client = Client::start("workers-awake", 4).await?;
    let pid = client.pid()?;
    kill(client.guard, Signal::KILL)?;
    kill(pid, Signal::KILL)?;
    client.must_leave_nothing().await
}

/// K3
async fn workers_end_when_client_and_guard_are_killed_at_once() -> Outcome {
    let client = Client::start("workers-awake", 4).await?;
    kill(client.pid()?, Signal::KILL)?;
    kill(client.guard, Signal::KILL)?;
    client.must_leave_nothing().await
}

fn kill(pid: u32, signal: Signal) -> Outcome {
    let pid = Pid::from_raw(pid.try_into()?).ok_or("0 is no process")?;
    Ok(kill_process(pid, signal)?)
}
