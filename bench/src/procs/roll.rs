//! Who is there: what everybody starts says so once, and stays until it is ended.

use std::env;
use std::fs;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{self, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// The first word of the command line of what everybody starts; the path of the roll comes next.
pub(crate) const ARGUMENT: &str = "answer";

/// Longer than anybody takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What is started: says its process id, and stays.
pub(crate) fn answer(path: &str) -> ExitCode {
    let pid = process::id().to_ne_bytes();
    if UnixDatagram::unbound().and_then(|socket| socket.send_to(&pid, path)).is_err() {
        return ExitCode::FAILURE;
    }
    loop {
        thread::park();
    }
}

/// Where it is said.
pub(crate) struct Roll {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Roll {
    pub(crate) fn new() -> io::Result<Self> {
        let path = env::temp_dir().join(format!("meshwarden-bench-{}", process::id()));
        _ = fs::remove_file(&path).is_ok();
        let socket = UnixDatagram::bind(&path)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { socket, path })
    }

    /// The command line of what is to be started.
    pub(crate) fn words(&self) -> io::Result<[String; 3]> {
        let program = env::current_exe()?.to_string_lossy().into_owned();
        Ok([program, ARGUMENT.to_owned(), self.path.to_string_lossy().into_owned()])
    }

    /// Waits until so many have answered.
    pub(crate) fn call(&self, n_procs: usize) -> io::Result<Vec<Pid>> {
        let mut pids = Vec::with_capacity(n_procs);
        while pids.len() < n_procs {
            let mut pid = [0; 4];
            self.socket.recv(&mut pid)?;
            let pid = i32::try_from(u32::from_ne_bytes(pid)).ok().and_then(Pid::from_raw);
            pids.push(pid.ok_or(io::ErrorKind::InvalidData)?);
        }
        Ok(pids)
    }
}

impl Drop for Roll {
    fn drop(&mut self) {
        _ = fs::remove_file(&self.path).is_ok();
    }
}

/// To see processes end that are somebody else's children.
pub(crate) struct Watch(Vec<OwnedFd>);

impl Watch {
    pub(crate) fn new(pids: &[Pid]) -> io::Result<Self> {
        let open = |pid: &Pid| pidfd_open(*pid, PidfdFlags::empty());
        Ok(Self(pids.iter().map(open).collect::<Result<_, _>>()?))
    }

    /// Waits until all have ended, for so long at most, and kills those that have not. Returns how many
    /// that were.
    pub(crate) fn wait(self, within: Duration) -> io::Result<usize> {
        let deadline = Instant::now() + within;
        let mut n_left = 0;
        for process in &self.0 {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
            if poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&timeout))? == 0 {
                // It may end just now.
                _ = pidfd_send_signal(process, Signal::KILL).is_ok();
                n_left += 1;
            }
        }
        Ok(n_left)
    }
}
