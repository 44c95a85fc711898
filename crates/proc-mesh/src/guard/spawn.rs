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
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, Signal, getpid, kill_process_group, pidfd_open};

use super::cgroups::{CgroupOrder, OwnCgroup};
use super::lookup::lookup;
use super::trampoline::{self, Confines, Orders, number_of};

/// Variables with their values, as the system takes them.
pub(super) type Env = Vec<(Vec<u8>, Vec<u8>)>;

/// One of them.
type Variable = (OsString, OsString);

/// A command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CommandLine {
    program: OsString,
    args: Vec<OsString>,
    dir: Option<PathBuf>,
    inherit: Option<Vec<OsString>>,
    confines: Confines,
    pub(super) cgroup: Option<CgroupOrder>,
}

/// What one process has for itself.
#[derive(Debug, Default)]
pub(super) struct Place<'a> {
    /// The processor that it is bound to, if to any.
    pub(super) cpu: Option<u32>,
    pub(super) cgroup: Option<&'a OwnCgroup>,
}

/// A process that was just started: its id, and a handle that no other process can take over.
#[derive(Debug)]
pub(super) struct Spawned {
    pub(super) pid: Pid,
    pub(super) pidfd: OwnedFd,
    /// Where it says what becomes of it, if it is not its program yet.
    pub(super) report: Option<Report>,
}

/// The pipe between a trampoline and the guard. Both ends are closed on exec.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) reader: OwnedFd,
    pub(super) writer: OwnedFd,
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
            confines: Confines::default(),
            cgroup: None,
        }
    }

    /// The same, with what each process does to itself first.
    pub(super) fn confined(self, confines: Confines, cgroup: Option<CgroupOrder>) -> Self {
        Self { confines, cgroup, ..self }
    }

    /// Starts it as the leader of a process group of its own.
    ///
    /// The descriptors are closed here in any case. Everything else that this process has open is
    /// closed on exec.
    pub(super) fn spawn(
        &self,
        env: Env,
        place: &Place<'_>,
        [stdin, stdout, stderr]: [OwnedFd; 3],
    ) -> Result<Spawned, LaunchProblem> {
        let env: Vec<_> = self.inherited().into_iter().flatten().chain(own(env)).collect();
        let (mut command, report) = if self.confines.is_empty() && place.is_anywhere() {
            (self.command(&env)?, None)
        } else {
            let (command, report) = self.trampoline(place)?;
            (command, Some(report))
        };
        command.args(&self.args).process_group(0);
        if self.inherit.is_some() {
            command.env_clear();
        }
        command.envs(env);
        command.stdin(Stdio::from(stdin)).stdout(Stdio::from(stdout)).stderr(Stdio::from(stderr));
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        let child = command.spawn().map_err(|error| self.problem(&error))?;
        let pid = Pid::from_child(&child);
        // It is our child and not reaped, so the number cannot belong to anybody else.
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => Ok(Spawned { pid, pidfd, report }),
            Err(errno) => {
                // Nobody could watch it; it is reaped as a stranger.
                let _gone = kill_process_group(pid, Signal::KILL);
                Err(os_problem(errno))
            }
        }
    }

    /// What is inherited, if that is not all.
    fn inherited(&self) -> Option<impl Iterator<Item = Variable>> {
        let names = self.inherit.as_ref()?;
        Some(names.iter().filter_map(|name| Some((name.clone(), env::var_os(name)?))))
    }

    /// The program itself.
    fn command(&self, env: &[Variable]) -> Result<Command, LaunchProblem> {
        if self.inherit.is_none() {
            return Ok(Command::new(&self.program));
        }
        // std would hand it to `execvp` for the sake of its own `PATH`, and that gives to a shell what is
        // no program.
        let path =
            env.iter().rev().find(|(name, _)| name == "PATH").map(|(_, path)| path.as_os_str());
        let file = lookup(&self.program, path, self.dir.as_deref());
        let file = file.map_err(|errno| self.problem(&errno.into()))?;
        let mut command = Command::new(file);
        command.arg0(&self.program);
        Ok(command)
    }

    /// This program once more, as the trampoline of the program.
    fn trampoline(&self, place: &Place<'_>) -> Result<(Command, Report), LaunchProblem> {
        let (reader, writer) =
            pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).map_err(os_problem)?;
        let (report, confines) = (number_of(&writer), self.confines.clone());
        let doors = place.cgroup.into_iter().flat_map(OwnCgroup::doors).collect();
        let must_join = self.cgroup.is_some_and(|order| order.is_required);
        let guard = getpid().as_raw_pid();
        let orders = Orders { guard, report, cpu: place.cpu, doors, must_join, confines };
        let mut command = Command::new("/proc/self/exe");
        command.arg0("meshwarden-launch").args([super::ARGUMENT, trampoline::ARGUMENT]);
        command.arg(orders.to_argument()).arg(&self.program);
        Ok((command, Report { reader, writer }))
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

impl Place<'_> {
    /// Whether nothing is to be done for it.
    const fn is_anywhere(&self) -> bool {
        self.cpu.is_none() && self.cgroup.is_none()
    }
}

fn own(env: Env) -> impl Iterator<Item = Variable> {
    env.into_iter().map(|(name, value)| (OsString::from_vec(name), OsString::from_vec(value)))
}

/// Why a program could not be started in a working directory that is there.
pub(crate) fn problem_of(error: &io::Error) -> LaunchProblem {
    match Errno::from_io_error(error) {
        Some(errno) => named_problem(errno, None),
        // What std refuses itself: a zero byte in a name.
        None => {
            LaunchProblem::Os { errno: Errno::INVAL.raw_os_error(), message: error.to_string() }
        }
    }
}

/// What it means that `what` failed with this number; the `exec` itself if that is `None`.
pub(super) fn named_problem(errno: Errno, what: Option<String>) -> LaunchProblem {
    match (errno, what) {
        (Errno::NOENT, None) => LaunchProblem::NotFound,
        (Errno::ACCESS, None) => LaunchProblem::NotExecutable,
        (errno, None) => os_problem(errno),
        (errno, Some(what)) => {
            let message = format!("{what}: {}", words(errno));
            LaunchProblem::Os { errno: errno.raw_os_error(), message }
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
    LaunchProblem::Os { errno: errno.raw_os_error(), message: words(errno) }
}

fn words(errno: Errno) -> String {
    let text = io::Error::from(errno).to_string();
    // std appends the number, which `LaunchProblem` shows too.
    text.split(" (os error").next().unwrap_or_default().to_owned()
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
