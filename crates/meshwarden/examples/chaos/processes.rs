//! What the kernel says of processes: who is whose child, who carries a mark, and when one has ended.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::OwnedFd;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use meshwarden::mesh_core::Timestamp;
use meshwarden::supervise::Clock;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

/// A process. Numbers are given away again, but not with the same start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    parent: u32,
    started: u64,
}

impl Process {
    /// Whether it still runs; one that has ended and was not reaped does not.
    pub(crate) fn is_alive(self) -> bool {
        look(self.pid)
            .is_some_and(|(now, state)| now.started == self.started && !matches!(state, 'Z' | 'X'))
    }

    /// Whether that is the name of the program that it runs.
    pub(crate) fn is_called(self, name: &str) -> bool {
        fs::read_to_string(format!("/proc/{}/comm", self.pid)).is_ok_and(|it| it.trim() == name)
    }
}

/// A process, and the letter of its state.
fn look(pid: u32) -> Option<(Process, char)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses and may contain anything.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    let started = fields.nth(17)?.parse().ok()?;
    Some((Process { pid, parent, started }, state))
}

/// Who has started a process.
pub(crate) fn parent(pid: u32) -> Option<u32> {
    look(pid).map(|(process, _)| process.parent)
}

fn all() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| Some(look(pid)?.0)).collect()
}

/// Everything that a process has started, and what that has, and so on.
pub(crate) fn descendants(of: u32) -> BTreeSet<Process> {
    let all = all();
    let mut found = BTreeSet::new();
    let mut parents = vec![of];
    while let Some(parent) = parents.pop() {
        for process in all.iter().filter(|process| process.parent == parent) {
            if found.insert(*process) {
                parents.push(process.pid);
            }
        }
    }
    found
}

/// The processes with this variable in their environment. A dead one has none.
pub(crate) fn marked(variable: &str) -> BTreeSet<Process> {
    let is_marked = |process: &Process| {
        let environ = fs::read(format!("/proc/{}/environ", process.pid)).unwrap_or_default();
        environ.split(|byte| *byte == 0).any(|it| it == variable.as_bytes())
    };
    all().into_iter().filter(is_marked).collect()
}

/// Waits until none of them runs, and gives back who still does after `within`. On a thread of its own,
/// so that nothing that is measured waits for it.
pub(crate) async fn until_gone(processes: BTreeSet<Process>, within: Duration) -> Vec<u32> {
    let deadline = Instant::now() + within;
    let wait = move || {
        for process in processes.iter().filter(|process| process.is_alive()) {
            let left = deadline.saturating_duration_since(Instant::now());
            // Without a handle it has just gone, or will be found alive below.
            _ = handle(process.pid).is_ok_and(|handle| wait_for_end(&handle, left));
        }
        processes.iter().filter(|process| process.is_alive()).map(|it| it.pid).collect()
    };
    spawn_blocking(wait).await.unwrap_or_default()
}

/// Signals a process that is known to be there.
pub(crate) fn signal(pid: u32, signal: Signal) -> Result<()> {
    kill_process(raw(pid)?, signal).with_context(|| format!("{pid} cannot be signalled"))
}

pub(crate) fn raw(pid: u32) -> Result<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw).context("there is no such process id")
}

/// A handle on a process, which is readable when it has ended.
pub(crate) fn handle(pid: u32) -> Result<OwnedFd> {
    pidfd_open(raw(pid)?, PidfdFlags::empty()).with_context(|| format!("{pid} is not there"))
}

/// Waits until the process of a handle has ended; says whether it has.
pub(crate) fn wait_for_end(handle: &OwnedFd, within: Duration) -> bool {
    let mut fds = [PollFd::new(handle, PollFlags::IN)];
    let tv_sec = within.as_secs().min(3_600) as i64;
    let limit = Timespec { tv_sec, tv_nsec: within.subsec_nanos().into() };
    poll(&mut fds, Some(&limit)).is_ok_and(|n| n == 1)
}

/// When a process will have ended, as a thread of its own learns it from the kernel; it waits already
/// when this returns.
pub(crate) fn watch_end(pid: u32, clock: Clock) -> Result<oneshot::Receiver<Timestamp>> {
    let handle = handle(pid)?;
    let (told, end) = oneshot::channel();
    let (waits, is_waiting) = mpsc::sync_channel(1);
    let watch = move || {
        _ = waits.send(()).is_ok();
        if wait_for_end(&handle, WAIT) {
            _ = told.send(clock.now()).is_ok();
        }
    };
    thread::Builder::new().name("chaos-end".to_owned()).spawn(watch)?;
    is_waiting.recv().context("the thread has not begun")?;
    Ok(end)
}

/// No end is waited for longer.
pub(crate) const WAIT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_child_is_found_by_its_parent_and_by_its_mark_until_it_has_ended() {
        let mark = format!("CHAOS_TEST={}", std::process::id());
        let mut child = Command::new("cat")
            .env("CHAOS_TEST", std::process::id().to_string())
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let find = |found: &BTreeSet<Process>| found.iter().any(|it| it.pid == child.id());
        assert_eq!(parent(child.id()), Some(std::process::id()));
        assert!(find(&descendants(std::process::id())) && find(&marked(&mark)));
        let process = look(child.id()).unwrap().0;
        let handle = handle(child.id()).unwrap();
        assert!(process.is_alive() && !process.is_called("dog"));
        drop(child.stdin.take());
        assert!(wait_for_end(&handle, WAIT));
        assert!(!process.is_alive(), "it has ended, but nobody has reaped it");
        child.wait().unwrap();
    }
}
