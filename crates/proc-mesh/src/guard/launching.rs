//! The processes whose trampoline has not yet become their program.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use mesh_core::{LaunchProblem, Timestamp};
use rustix::io::{Errno, read};
use rustix::process::Pid;

use super::spawn::{Report, named_problem, os_problem};
use super::trampoline::{HELLO, Refusal};
use super::wire::ProcKey;

/// Who is on the way to being its program. The guard does not wait for them: each says by its pipe what
/// became of it.
///
/// It is bounded by what the agent starts at once.
#[derive(Debug, Default)]
pub(super) struct Launching(BTreeMap<ProcKey, Launch>);

/// One process that is on its way.
#[derive(Debug)]
struct Launch {
    pid: Pid,
    pidfd: OwnedFd,
    reader: OwnedFd,
    /// Kept until the process has opened the pipe by its number.
    writer: Option<OwnedFd>,
    received: Vec<u8>,
    give_up_at: Timestamp,
}

/// What became of a launch.
#[derive(Debug)]
pub(super) enum Launched {
    /// The process is its program, or has ended before it could say otherwise.
    Runs { pid: Pid, pidfd: OwnedFd },
    /// It never will be. The process ends by itself, or is given up.
    Refused(LaunchProblem),
}

impl Launching {
    /// Takes over a process that has just been started, with its pipe.
    pub(super) fn insert(
        &mut self,
        key: ProcKey,
        (pid, pidfd): (Pid, OwnedFd),
        Report { reader, writer }: Report,
        now: Timestamp,
    ) {
        let (writer, received) = (Some(writer), Vec::new());
        let give_up_at = now + LAUNCH_WITHIN;
        self.0.insert(key, Launch { pid, pidfd, reader, writer, received, give_up_at });
    }

    /// What has become of those of which that is known by now.
    pub(super) fn settle(&mut self, now: Timestamp) -> Vec<(ProcKey, Launched)> {
        let mut settled = Vec::new();
        for (key, launch) in &mut self.0 {
            if launch.has_settled() {
                settled.push((*key, None));
            } else if now >= launch.give_up_at {
                settled.push((*key, Some(Launched::Refused(os_problem(Errno::TIMEDOUT)))));
            }
        }
        let taken = settled.into_iter().filter_map(|(key, given_up)| {
            let launch = self.0.remove(&key)?;
            Some((key, given_up.unwrap_or_else(|| launch.outcome())))
        });
        taken.collect()
    }

    /// What became of one whose process has ended; `None` if that is known already.
    pub(super) fn ended(&mut self, key: &ProcKey) -> Option<Launched> {
        let mut launch = self.0.remove(key)?;
        // Whatever it had to say is there.
        let _is_closed = launch.has_settled();
        Some(launch.outcome())
    }

    /// Gives all of them their whole time once more: they were suspended.
    pub(super) fn resume(&mut self, now: Timestamp) {
        for launch in self.0.values_mut() {
            launch.give_up_at = now + LAUNCH_WITHIN;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// When the first of them is given up.
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.0.values().map(|launch| launch.give_up_at).min()
    }

    /// What can be read when something has become of one.
    pub(super) fn pipes(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.0.values().map(|launch| launch.reader.as_fd())
    }
}

impl Launch {
    /// Reads what has come, and says whether that is all.
    fn has_settled(&mut self) -> bool {
        let mut bytes = [0; 512];
        loop {
            match read(&self.reader, &mut bytes) {
                Ok(0) => return true,
                Ok(n_bytes) => {
                    self.received.extend_from_slice(&bytes[..n_bytes]);
                    // The other side has the pipe open, so its end can be seen once this one is closed.
                    self.writer = None;
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return false,
                // What cannot be read says nothing more.
                Err(_) => return true,
            }
        }
    }

    fn outcome(self) -> Launched {
        let refusal = match self.received.split_first() {
            None | Some((&HELLO, [])) => None,
            Some((_, rest)) => postcard::from_bytes::<Refusal>(rest).ok(),
        };
        match refusal {
            Some(Refusal { errno, what }) => {
                Launched::Refused(named_problem(Errno::from_raw_os_error(errno), what))
            }
            None => Launched::Runs { pid: self.pid, pidfd: self.pidfd },
        }
    }
}

/// How long a process may take to become its program. The machine may be busy with a thousand others.
const LAUNCH_WITHIN: Duration = Duration::from_secs(10);
