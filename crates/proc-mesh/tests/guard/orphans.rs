//! Nothing is left over, however the agent ends.

use std::error::Error;
use std::io::Write;
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};
use std::{env, iter};

use libtest_mimic::Trial;
use proc_mesh::guard::wire::{End, ToGuard};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::fixture::{Rig, exists, key, killed_by, marked, marker, until};
use crate::{Outcome, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(all_descendants_are_gone_when_the_lifeline_closes),
        trial(all_descendants_are_gone_when_the_link_is_dropped),
        trial(all_descendants_are_gone_when_the_agent_is_killed),
        trial(all_descendants_are_gone_when_a_suspended_agent_is_killed),
        trial(all_descendants_are_gone_when_the_agent_of_a_signalled_guard_is_killed),
        trial(a_signalled_guard_goes_on_while_its_agent_lives),
        trial(a_process_does_not_inherit_what_the_guard_ignores),
        trial(a_thousand_processes_are_gone_too),
        trial(a_suspended_guard_is_woken_to_close),
    ]
}

/// The first argument of a copy of this program that is an agent, with a script for each rank.
pub(crate) const AGENT_ARGUMENT: &str = "meshwarden:test-agent";

/// Scripts that leave four `sleep`s each, in the ways that outlive a parent.
fn scripts(marker: &str) -> [String; 5] {
    let sleep = format!("sleep {marker}");
    [
        format!("{sleep} & {sleep} & {sleep} & {sleep}; exit"),
        format!("for i in 1 2 3; do setsid {sleep} & done; {sleep}; exit"),
        format!("(setsid sh -c '({sleep} &) & {sleep} & exit' &); (({sleep} &) &); {sleep}; exit"),
        // The first is suspended when it is a `sleep`, not the shell that will become one.
        format!(
            "{sleep} & until read -r name < /proc/$!/comm && test $name = sleep; do :; done; \
             kill -STOP $!; setsid {sleep} & {sleep} & {sleep} & kill -STOP $$"
        ),
        format!(
            "setsid sh -c 'setsid sh -c \"setsid sh -c \\\"{sleep} & {sleep}; exit\\\" & {sleep}; \
             exit\" & {sleep}; exit' & wait"
        ),
    ]
}

const N_SLEEPS: usize = 20;
const GONE_WITHIN: Duration = Duration::from_secs(1);

/// A rig with every kind of descendant running.
async fn populated(marker: &str) -> Result<Rig, Box<dyn Error>> {
    let mut rig = Rig::start().await?;
    for (rank, script) in scripts(marker).iter().enumerate() {
        rig.script(rank, script)?;
    }
    rig.until_marked(marker, N_SLEEPS).await?;
    Ok(rig)
}

/// GUARD-1.
async fn all_descendants_are_gone_when_the_lifeline_closes() -> Outcome {
    let marker = marker();
    let rig = populated(&marker).await?;
    let guard = rig.link.pid().ok_or("it is running")?;
    let closed_at = Instant::now();
    rig.close().await?;
    assert!(closed_at.elapsed() < GONE_WITHIN, "it took {:?}", closed_at.elapsed());
    assert_eq!((marked(&marker), exists(guard)), (vec![], false));
    Ok(())
}

/// GUARD-1, and no zombie remains.
async fn all_descendants_are_gone_when_the_link_is_dropped() -> Outcome {
    let marker = marker();
    let rig = populated(&marker).await?;
    let guard = rig.link.pid().ok_or("it is running")?;
    drop(rig);
    until("all gone", GONE_WITHIN, || marked(&marker).is_empty() && !exists(guard)).await
}

/// GUARD-1.
async fn all_descendants_are_gone_when_the_agent_is_killed() -> Outcome {
    kill_an_agent(&[], &[Signal::KILL]).await
}

/// GUARD-1.
async fn all_descendants_are_gone_when_a_suspended_agent_is_killed() -> Outcome {
    kill_an_agent(&[], &[Signal::STOP, Signal::KILL]).await
}

/// GUARD-1: what the guard ignores does not keep it from its end.
async fn all_descendants_are_gone_when_the_agent_of_a_signalled_guard_is_killed() -> Outcome {
    kill_an_agent(&[Signal::TERM], &[Signal::KILL]).await
}

/// Signals a guard, and then its agent, of which the agent dies.
async fn kill_an_agent(to_guard: &[Signal], to_agent: &[Signal]) -> Outcome {
    let marker = marker();
    let mut agent = Command::new("/proc/self/exe")
        .arg(AGENT_ARGUMENT)
        .arg(&marker)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(agent.stdout.take().ok_or("it is piped")?).lines();
    let guard: u32 = lines.next_line().await?.ok_or("the agent has ended")?.parse()?;
    assert_eq!(marked(&marker).len(), N_SLEEPS);
    let pid = agent.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)).ok_or("it is alive")?;
    let guard_pid = Pid::from_raw(guard.try_into()?).ok_or("it is running")?;
    for signal in to_guard {
        kill_process(guard_pid, *signal)?;
    }
    for signal in to_agent {
        kill_process(pid, *signal)?;
    }
    let killed_at = Instant::now();
    until("all gone", GONE_WITHIN, || marked(&marker).is_empty()).await?;
    let name = format!("/proc/{guard}/cmdline");
    // Whoever adopted the guard may take its time to reap it; a zombie has no command line.
    let is_over = || std::fs::read(&name).is_ok_and(|line| line.is_empty()) || !exists(guard);
    until("the guard is gone", GONE_WITHIN, is_over).await?;
    assert!(killed_at.elapsed() < GONE_WITHIN, "it took {:?}", killed_at.elapsed());
    agent.wait().await?;
    Ok(())
}

/// The agent of [`kill_an_agent`]: starts everything, says the guard's process id, and waits.
pub(crate) fn be_an_agent() -> ExitCode {
    let run = async || -> Outcome {
        let marker = env::args().nth(2).ok_or("a marker is needed")?;
        let mut rig = populated(&marker).await?;
        writeln!(std::io::stdout(), "{}", rig.link.pid().ok_or("it is running")?)?;
        loop {
            rig.next().await.ok();
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(run())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// GUARD-1: a service manager signals all at once, and a rank that ends in its own way may do so.
async fn a_signalled_guard_goes_on_while_its_agent_lives() -> Outcome {
    let (mut rig, marker) = (Rig::start().await?, marker());
    rig.script(0, &format!("trap 'sleep 0.1; exit 7' TERM; sleep {marker} & wait"))?;
    let pid = rig.started().await?;
    rig.until_marked(&marker, 1).await?;
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT, Signal::TERM] {
        rig.signal_guard(signal)?;
    }
    let pid = Pid::from_raw(pid.try_into()?).ok_or("it is running")?;
    kill_process(pid, Signal::TERM)?;
    assert_eq!(rig.ended().await?, (key(0), End::Exited { code: 7 }, false));
    rig.script(1, &format!("exec sleep {marker}"))?;
    rig.started().await?;
    rig.until_marked(&marker, 1).await?;
    rig.close().await?;
    assert_eq!(marked(&marker), []);
    Ok(())
}

/// GUARD-1 is of the guard alone.
async fn a_process_does_not_inherit_what_the_guard_ignores() -> Outcome {
    let mut rig = Rig::start().await?;
    rig.command(0, &["sleep", &marker()], None)?;
    for (rank, signal) in [15, 2, 1].into_iter().enumerate() {
        rig.start_rank(rank, 0)?;
        rig.started().await?;
        rig.ask(ToGuard::Signal { key: key(rank), signal })?;
        assert_eq!(rig.ended().await?, (key(rank), killed_by(signal), false));
    }
    rig.close().await
}

/// GUARD-1, in numbers: allowed five seconds, since reaping them takes the processor's time.
async fn a_thousand_processes_are_gone_too() -> Outcome {
    let (marker, n_each) = (marker(), 100);
    let mut rig = Rig::start().await?;
    let sleeps: String = iter::repeat_n(format!("setsid sleep {marker} & "), n_each).collect();
    for rank in 0..10 {
        rig.script(rank, &format!("{sleeps} wait"))?;
    }
    rig.until_marked(&marker, 10 * n_each).await?;
    let closed_at = Instant::now();
    rig.close().await?;
    let took = closed_at.elapsed();
    assert!(took < GONE_WITHIN * 5, "it took {took:?}");
    assert_eq!(marked(&marker), []);
    Ok(())
}

async fn a_suspended_guard_is_woken_to_close() -> Outcome {
    let marker = marker();
    let rig = populated(&marker).await?;
    rig.signal_guard(Signal::STOP)?;
    rig.close().await?;
    assert_eq!(marked(&marker), []);
    Ok(())
}
