//! Ends what a guard has left behind: processes that carry the mark of their host.
//!
//! A guard that dies cannot end what it has started. The ranks themselves are known; what they have
//! started is found by its environment, as far as it kept the one it was given.

use std::ffi::OsString;
use std::fs;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout_at};
use uuid::Uuid;

use crate::guard::cgroups::remove_abandoned;

/// The variable that holds the mark.
const VARIABLE: &str = "MESHWARDEN_HOST_ID";

/// How long everything may take to end.
const WITHIN: Duration = Duration::from_secs(2);

/// The time between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// What every process of one host has in its environment, and no other process.
#[derive(Clone, Debug)]
pub(crate) struct Mark(String);

impl Mark {
    pub(crate) fn new() -> Self {
        Self(Uuid::new_v4().to_string())
    }

    /// The variable, for the environment of a process.
    pub(crate) fn variable(&self) -> (OsString, OsString) {
        (VARIABLE.into(), self.0.clone().into())
    }

    /// Kills every process with the mark, and those that they start meanwhile. Returns whether none
    /// is left, as far as this user may look.
    ///
    /// Looking at a process may wait for it: that is done on a thread that nobody else needs.
    pub(crate) async fn sweep(&self) -> bool {
        let deadline = Instant::now() + WITHIN;
        loop {
            let mark = self.clone();
            let looking = spawn_blocking(move || mark.kill_all());
            match timeout_at(deadline, looking).await {
                Ok(Ok(0)) => return true,
                Ok(Ok(_)) => sleep(PAUSE).await,
                Ok(Err(_)) | Err(_) => return false,
            }
        }
    }

    /// Kills the processes that have the mark now; returns how many there were.
    fn kill_all(&self) -> usize {
        let marked = self.marked();
        for pid in &marked {
            self.kill(*pid);
        }
        marked.len()
    }

    /// The processes that have the mark. A dead one has no environment any more.
    fn marked(&self) -> Vec<Pid> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        entries
            .filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?))
            .filter(|pid| self.is_on(*pid))
            .collect()
    }

    fn is_on(&self, pid: Pid) -> bool {
        let mark = format!("{VARIABLE}={}", self.0);
        let environ = fs::read(format!("/proc/{}/environ", pid.as_raw_pid())).unwrap_or_default();
        environ.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
    }

    /// The pidfd holds on to the process that is looked at, so that its number cannot be another's.
    fn kill(&self, pid: Pid) {
        let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { return };
        if self.is_on(pid) {
            // It may have ended in between.
            _ = pidfd_send_signal(pidfd, Signal::KILL).is_ok();
        }
    }
}

/// Removes the cgroups of guards that are gone. Returns whether none is left.
///
/// A cgroup is not empty as long as what was killed in it has not ended.
pub(crate) async fn remove_cgroups() -> bool {
    let deadline = Instant::now() + WITHIN;
    loop {
        match timeout_at(deadline, spawn_blocking(remove_abandoned)).await {
            Ok(Ok(true)) => return true,
            Ok(Ok(false)) => sleep(PAUSE).await,
            Ok(Err(_)) | Err(_) => return false,
        }
    }
}
