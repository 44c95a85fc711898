//! Starting one process.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use mesh_core::LaunchProblem;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

/// Variables with their values, as the system takes them.
pub(super) type Env = Vec<(Vec<u8>, Vec<u8>)>;

/// A command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CommandLine {
    program: OsString,
    args: Vec<OsString>,
    dir: Option<PathBuf>,
    inherit: Option<Vec<OsString>>,
}

/// A process that was just started: its id, and a handle that no other process can take over.
#[derive(Debug)]
pub(super) struct Spawned {
    pub(super) pid: Pid,
    pub(super) pidfd: OwnedFd,
}

impl CommandLine {
    pub(super) fn new(
        (program, args): (Vec<u8>, Vec<Vec<u8>>),
        dir: Option<Vec<u8>>,
        inherit: Option<Vec<Vec<u8>>>,
    ) -> Self {
        let texts = |all: Vec<Vec<u8>>| all.into_iter().map(OsString::from_vec).collect();
        Self {
            program: OsString::from_vec(program),
            args: texts(args),
            dir: dir.map(|dir| OsString::from_vec(dir).into()),
            inherit: inherit.map(texts),
        }
    }

    /// Starts it as the leader of a process group of its own.
    ///
    /// The descriptors are closed here in any case. Everything else that this process has open is
    /// closed on exec.
    pub(super) fn spawn(
        &self,
        env: Env,
        [stdin, stdout, stderr]: [OwnedFd; 3],
    ) -> Result<Spawned, LaunchProblem> {
        let mut command = Command::new(&self.program);
        command.args(&self.args).process_group(0);
        if let Some(names) = &self.inherit {
            command.env_clear();
            command.envs(names.iter().filter_map(|name| Some((name, env::var_os(name)?))));
        }
        command.envs(env.into_iter().map(|(k, v)| (OsString::from_vec(k), OsString::from_vec(v))));
        command.stdin(Stdio::from(stdin)).stdout(Stdio::from(stdout)).stderr(Stdio::from(stderr));
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        let child = command.spawn().map_err(|error| self.problem(&error))?;
        let pid = Pid::from_child(&child);
        // It is our child and not reaped, so the number cannot belong to anybody else.
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => Ok(Spawned { pid, pidfd }),
            Err(errno) => {
                // Nobody could watch it; it is reaped as a stranger.
                let _gone = kill_process_group(pid, Signal::KILL);
                Err(os_problem(errno))
            }
        }
    }

    fn problem(&self, error: &io::Error) -> LaunchProblem {
        let dir_is_usable = || self.dir.as_deref().is_none_or(is_enterable);
        match Errno::from_io_error(error) {
            Some(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) if !dir_is_usable() => {
                LaunchProblem::WorkingDirectory
            }
            _ => problem_of(error),
        }
    }
}

/// Why a program could not be started in a working directory that is there.
pub(crate) fn problem_of(error: &io::Error) -> LaunchProblem {
    match Errno::from_io_error(error) {
        Some(Errno::NOENT) => LaunchProblem::NotFound,
        Some(Errno::ACCESS) => LaunchProblem::NotExecutable,
        Some(errno) => os_problem(errno),
        // What std refuses itself: a zero byte in a name.
        None => {
            LaunchProblem::Os { errno: Errno::INVAL.raw_os_error(), message: error.to_string() }
        }
    }
}

/// Whether a process could have this as its working directory.
fn is_enterable(dir: &Path) -> bool {
    // Looking up `.` in it needs the same permission as entering it.
    fs::metadata(dir.join(".")).is_ok_and(|found| found.is_dir())
}

/// The kernel's refusal, in its own words.
pub(super) fn os_problem(errno: Errno) -> LaunchProblem {
    let text = io::Error::from(errno).to_string();
    // std appends the number, which `LaunchProblem` shows too.
    let message = text.split(" (os error").next().unwrap_or_default().to_owned();
    LaunchProblem::Os { errno: errno.raw_os_error(), message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_in_the_words_of_the_kernel_once() {
        assert_eq!(
            os_problem(Errno::NOEXEC),
            LaunchProblem::Os { errno: 8, message: "Exec format error".to_owned() }
        );
    }
}
