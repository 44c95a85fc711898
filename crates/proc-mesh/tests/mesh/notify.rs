//! Programs that speak for themselves, by systemd's protocol.

use std::io::{self, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::Trial;
use mesh_core::{Command, Interest, News, Reason, Silence, Stall, Status};
use mesh_shape::Rank;
use proc_mesh::{Notify, ProcMesh, ProcNews, ProcSpec, Program, Run, SpawnError, WorkerNews};
use supervise::MeshEvents;
use tokio::sync::mpsc;

use crate::fixture::{Site, failures_to_the_end, next_failure, reasons, shells};
use crate::{Outcome, trial};

pub(crate) fn trials() -> Vec<Trial> {
    let has_python = std::process::Command::new("python3").arg("--version").output().is_ok();
    if !has_python {
        _ = writeln!(io::stderr(), "SKIPPED, LOUDLY: no test of notify, python3 is not there")
            .is_ok();
        return Vec::new();
    }
    vec![
        trial(a_program_runs_when_it_says_that_it_is_ready),
        trial(a_program_that_is_never_ready_fails_the_spawn),
        trial(a_program_that_ends_before_it_is_ready_fails_the_spawn),
        trial(a_program_that_was_ready_and_ends_at_once_was_started),
        trial(the_time_to_be_ready_stands_still_while_the_owner_is_suspended),
        trial(a_program_that_does_not_feed_its_watchdog_is_stalled_until_it_does),
        trial(what_a_program_says_last_is_told_with_its_failure),
        trial(a_stranger_is_not_believed_and_a_child_is),
        trial(a_program_that_never_stops_speaking_holds_nobody_up),
        trial(a_barrier_is_let_go_of_and_descriptors_are_closed),
    ]
}

/// What every script begins with.
const PRELUDE: &str = r#"
import os, select, socket, subprocess, sys, time
rank = int(os.environ["RANK"])
address = os.environ["NOTIFY_SOCKET"].replace("@", "\0", 1)
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
def say(text): s.sendto(text.encode(), address)
"#;

const READY: Notify = Notify { ready_within: Some(Duration::from_secs(20)), watchdog: None };

/// A mesh of four scripts.
fn scripts(script: &str, notify: Notify) -> ProcSpec {
    let command = Command::new("python3", ["-c", &format!("{PRELUDE}{script}")]);
    let launcher = Arc::new(Program::new(command, ("127.0.0.1".to_owned(), 29_500)));
    ProcSpec { run: Run::Program { launcher, stdin: None, notify: Some(notify) }, ..shells("true") }
}

/// The next status that is told of `rank`.
async fn next(
    events: &mut MeshEvents,
    rank: usize,
) -> Result<Status, Box<dyn std::error::Error + Send + Sync>> {
    loop {
        let event = events.next().await.ok_or("the mesh has ended")?;
        let changes = match event.news {
            News::Changed(changes) => changes.to_vec(),
            News::Snapshot(snapshot) => snapshot.alive,
            _ => continue,
        };
        let change = changes.into_iter().find(|change| change.ranks.contains(Rank::new(rank)));
        if let Some(change) = change {
            return Ok(change.status);
        }
    }
}

/// The next status text that is told.
async fn next_text(mesh: &mut ProcMesh) -> Result<(usize, String), String> {
    loop {
        match mesh.next().await {
            Some(ProcNews::Worker(WorkerNews::Status { rank, text, .. })) => {
                return Ok((rank.index(), text));
            }
            Some(ProcNews::Worker(_)) => (),
            other => return Err(format!("{other:?}")),
        }
    }
}

async fn a_program_runs_when_it_says_that_it_is_ready() -> Outcome {
    let site = Site::start().await?;
    let script = r#"
say(f"STATUS=loading {rank}\x1b[1m")
sys.stdin.read()
time.sleep(0.5 if rank == 1 else 0)
say("READY=1")
time.sleep(1000)
"#;
    let mut mesh = site.start_only(scripts(script, READY)).await?;
    let mut events = mesh.subscribe(Interest::All).await?;
    let mut told = Vec::new();
    while told.len() < 4 {
        told.push(next_text(&mut mesh).await?);
    }
    told.sort_unstable();
    let expected = (0..4).map(|rank| (rank, format!("loading {rank}\\u{{1b}}[1m")));
    assert_eq!(told, expected.collect::<Vec<_>>());
    let mut seen = vec![next(&mut events, 1).await?];
    while seen.last() != Some(&Status::Running) {
        seen.push(next(&mut events, 1).await?);
    }
    seen.dedup();
    assert!(seen.ends_with(&[Status::Initializing, Status::Running]), "{seen:?}");
    mesh.ready().await?;
    let id = mesh.label().id();
    drop(mesh);
    site.close(id).await
}

/// C4
async fn a_program_that_is_never_ready_fails_the_spawn() -> Outcome {
    let site = Site::start().await?;
    let within = Duration::from_millis(1_500);
    let notify = Notify { ready_within: Some(within), ..READY };
    let script = "say('READY=1' if rank != 1 else 'STATUS=thinking'); time.sleep(1000)";
    let Err(SpawnError::Ranks { failures }) = site.spawn(scripts(script, notify)).await else {
        return Err("it was spawned".into());
    };
    // A machine that is busy may be too slow for the others.
    let told = reasons(&failures);
    assert!(told.contains(&(1, Reason::NotReady { within })), "{told:?}");
    site.close(failures[0].mesh.id()).await
}

/// C4
async fn a_program_that_ends_before_it_is_ready_fails_the_spawn() -> Outcome {
    let site = Site::start().await?;
    let script = r#"
if rank == 1: sys.exit("no such model")
say("READY=1")
time.sleep(1000)
"#;
    let Err(SpawnError::Ranks { failures }) = site.spawn(scripts(script, READY)).await else {
        return Err("it was spawned".into());
    };
    assert_eq!(reasons(&failures), [(1, Reason::Exit { code: 1 })]);
    let cause = failures[0].changes[0].status.cause().ok_or("a failure has a cause")?;
    assert_eq!(cause.stderr, ["no such model"]);
    site.close(failures[0].mesh.id()).await
}

/// C4: its end may be known sooner than what it had said right before.
async fn a_program_that_was_ready_and_ends_at_once_was_started() -> Outcome {
    let site = Site::start().await?;
    let mut spec = scripts("say('READY=1'); os._exit(7)", READY);
    spec.extent = "procs=12".parse()?;
    let mut mesh = site.spawn(spec).await?;
    let mut told = reasons(&failures_to_the_end(&mut mesh).await);
    told.sort_unstable_by_key(|(rank, _)| *rank);
    assert_eq!(told, (0..12).map(|rank| (rank, Reason::Exit { code: 7 })).collect::<Vec<_>>());
    site.close(mesh.label().id()).await
}

/// As when somebody types Ctrl-Z while a run starts.
async fn the_time_to_be_ready_stands_still_while_the_owner_is_suspended() -> Outcome {
    let site = Site::start().await?;
    let script = "time.sleep(1); say('READY=1'); time.sleep(1000)";
    let notify = Notify { ready_within: Some(Duration::from_secs(5)), ..READY };
    let mut mesh = site.start_only(scripts(script, notify)).await?;
    while mesh.seats().await.len() < 4 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    site.hosts.suspend(true).await;
    tokio::time::sleep(Duration::from_millis(5_200)).await;
    site.hosts.suspend(false).await;
    mesh.ready().await?;
    let id = mesh.label().id();
    drop(mesh);
    site.close(id).await
}

/// D7
async fn a_program_that_does_not_feed_its_watchdog_is_stalled_until_it_does() -> Outcome {
    let site = Site::start().await?;
    let script = r#"
assert os.environ["WATCHDOG_USEC"] == "1500000"
say("READY=1")
for i in range(10000):
    say("WATCHDOG=1")
    time.sleep(4 if (rank, i) == (1, 3) else 0.2)
    if (rank, i) == (1, 10): say("WATCHDOG=trigger"); time.sleep(0.5)
"#;
    let notify = Notify { watchdog: Some(Duration::from_millis(1_500)), ..READY };
    let mesh = site.spawn(scripts(script, notify)).await?;
    let mut events = mesh.subscribe(Interest::All).await?;
    let mut told = Vec::new();
    while told.len() < 5 {
        told.push(next(&mut events, 1).await?);
    }
    let hangs = Stall::silent(Silence::Triggered, Duration::ZERO);
    let [Status::Running, silent, Status::Running, triggered, Status::Running] = &told[..] else {
        return Err(format!("{told:?}").into());
    };
    let is_silent =
        |stall: &Stall| matches!(stall, Stall::Silent { what: Silence::Watchdog, millis: 1_500.. });
    assert!(matches!(silent, Status::Stalled(stall) if is_silent(stall)), "{told:?}");
    assert_eq!(*triggered, Status::Stalled(hangs));
    let id = mesh.label().id();
    drop(mesh);
    site.close(id).await
}

/// N8: also what is said right before the end.
async fn what_a_program_says_last_is_told_with_its_failure() -> Outcome {
    let site = Site::start().await?;
    let script = r#"
say("READY=1\nSTATUS=reading shard 3")
if rank != 1: time.sleep(1000)
print("no such file", file=sys.stderr)
say("STOPPING=1\nERRNO=2\nEXIT_STATUS=7")
os._exit(7)
"#;
    let mut mesh = site.spawn(scripts(script, READY)).await?;
    let failed = next_failure(&mut mesh).await?;
    let cause = failed.changes[0].status.cause().ok_or("a failure has a cause")?;
    assert_eq!(cause.reason, Reason::Exit { code: 7 });
    let words = "(notified: STATUS=reading shard 3, ERRNO=2, EXIT_STATUS=7, STOPPING=1)".to_owned();
    assert_eq!(cause.stderr, ["no such file".to_owned(), words]);
    let id = mesh.label().id();
    drop(mesh);
    site.close(id).await
}

async fn a_stranger_is_not_believed_and_a_child_is() -> Outcome {
    let site = Site::start().await?;
    // The child speaks in the name of rank 1, and waits until that is read, as `systemd-notify` does.
    let script = r#"
if rank == 1: print(os.environ["NOTIFY_SOCKET"], flush=True)
child = "import socket,sys; s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM); s.sendto(sys.argv[1].encode(), sys.argv[2].replace('@',chr(0),1)); sys.stdin.read()"
say("READY=1")
if rank == 1:
    time.sleep(1)
    subprocess.Popen([sys.executable, "-c", child, "STATUS=from a child", os.environ["NOTIFY_SOCKET"]], stdin=subprocess.PIPE)
    # One that has left the group is a stranger.
    subprocess.Popen([sys.executable, "-c", child, "WATCHDOG=trigger", os.environ["NOTIFY_SOCKET"]], stdin=subprocess.PIPE, start_new_session=True)
time.sleep(1000)
"#;
    let mut spec = scripts(script, READY);
    let (stdout, mut lines) = mpsc::channel(8);
    spec.output.stdout = Some(stdout);
    let mut mesh = site.spawn(spec).await?;
    let mut events = mesh.subscribe(Interest::All).await?;
    assert_eq!(next(&mut events, 1).await?, Status::Running);
    let line = lines.recv().await.ok_or("rank 1 prints its socket")?;
    let name = String::from_utf8(line.lines[0].to_vec())?;
    let name = name.strip_prefix('@').ok_or("it is abstract")?;
    let socket = UnixDatagram::unbound()?;
    for text in ["WATCHDOG=trigger", "STATUS=from a stranger"] {
        socket.send_to_addr(text.as_bytes(), &SocketAddr::from_abstract_name(name)?)?;
    }
    assert_eq!(next_text(&mut mesh).await?, (1, "from a child".to_owned()));
    tokio::time::sleep(Duration::from_millis(500)).await;
    let state = mesh.controller().state().await?;
    assert!(state.ranks.iter().all(|rank| rank.status == Status::Running), "{state:?}");
    let id = mesh.label().id();
    drop(mesh);
    site.close(id).await
}

async fn a_program_that_never_stops_speaking_holds_nobody_up() -> Outcome {
    let site = Site::start().await?;
    let script = r#"
if rank == 0:
    say("READY=1")
    i = 0
    while True:
        i += 1
        say(f"STATUS={i}" + "x" * 2000)
time.sleep(1)
say("READY=1")
for i in range(10000): say("WATCHDOG=1"); time.sleep(0.2)
"#;
    let notify = Notify { watchdog: Some(Duration::from_secs(3)), ..READY };
    let mut spec = scripts(script, notify);
    spec.extent = "procs=3".parse()?;
    let mut mesh = site.spawn(spec).await?;
    let mut events = mesh.subscribe(Interest::All).await?;
    let mut n_texts = 0;
    let until = tokio::time::Instant::now() + Duration::from_secs(5);
    while let Ok(text) = tokio::time::timeout_at(until, next_text(&mut mesh)).await {
        assert_eq!(text?.0, 0);
        n_texts += 1;
    }
    // And what was told while the others started.
    assert!((1..=100).contains(&n_texts), "at most ten in a second: {n_texts}");
    // The one that floods feeds no watchdog; the others do, and are heard.
    let state = mesh.controller().state().await?;
    let statuses: Vec<String> = state.ranks.iter().map(|it| it.status.to_string()).collect();
    assert_eq!(statuses[1..], ["running", "running"], "{statuses:?}");
    assert!(statuses[0].contains("its watchdog was not fed"), "{statuses:?}");
    assert_eq!(next(&mut events, 1).await?, Status::Running);
    let id = mesh.label().id();
    drop(mesh);
    site.close(id).await
}

/// `systemd-notify` waits for that; and a program that stores descriptors fills no table of ours.
async fn a_barrier_is_let_go_of_and_descriptors_are_closed() -> Outcome {
    let site = Site::start().await?;
    let script = r#"
s.connect(address)
def send(text, fds):
    socket.send_fds(s, [text.encode()], fds)
for text in ["BARRIER=1", "FDSTORE=1\nFDNAME=x"]:
    ours, theirs = os.pipe()
    send(text, [theirs] * 200)
    os.close(theirs)
    gone = select.select([ours], [], [], 10)[0]
    if gone and os.read(ours, 1) == b"": say(f"STATUS={text[0]} is closed")
    else: sys.exit(3)
say("READY=1")
time.sleep(1000)
"#;
    let mesh = site.spawn(scripts(script, READY)).await?;
    let id = mesh.label().id();
    drop(mesh);
    site.close(id).await
}
