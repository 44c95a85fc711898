//! The trampoline: what a process does to itself before it becomes the program of its rank.
//!
//! File masks, resource limits, processors and cgroups can only be set by the process itself, between
//! `fork` and `exec`, and that takes `unsafe` code. So the guard starts its own program once more, which
//! sets them and then executes the program in its place: the same process id, group, descriptors and
//! environment. Nothing of this happens where none of them was asked for.
//!
//! What goes wrong is written to a pipe of the guard. No descriptor but the standard three can be
//! inherited without `unsafe` code either, so the trampoline opens the pipe anew by its number among the
//! guard's descriptors; that one is closed on exec, and so its end without a word is success.

use std::env::{self, ArgsOs};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use mesh_core::{Amount, Resource, Rlimit, Umask};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::{self, Pid, getppid, umask};
use rustix::thread::{CpuSet, sched_setaffinity};
use serde::{Deserialize, Serialize};

use super::lookup::{is_no_program, lookup};

/// The second argument of a guard's program that is to be a trampoline; the orders come third, then the
/// program and its arguments.
pub(super) const ARGUMENT: &str = "launch";

/// What a process of a mesh does to itself before it becomes its program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confines {
    /// The mask of files that it makes.
    pub umask: Option<Umask>,
    /// Its resource limits.
    pub rlimits: Vec<Rlimit>,
}

impl Confines {
    /// Whether there is nothing to do.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What one trampoline is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Orders {
    /// The process id of the guard, and the number of the pipe among its descriptors.
    pub(super) guard: i32,
    pub(super) report: i32,
    /// The processor that the process is bound to, if to any.
    pub(super) cpu: Option<u32>,
    /// The files by which it joins its cgroup, and whether it must.
    pub(super) doors: Vec<PathBuf>,
    pub(super) must_join: bool,
    pub(super) confines: Confines,
}

/// What a trampoline writes into the pipe, after [`HELLO`], if the program cannot be executed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Refusal {
    pub(super) errno: i32,
    /// What could not be done; `None` if that is the `exec` itself.
    pub(super) what: Option<String>,
}

/// The first byte: the trampoline has the pipe open.
pub(super) const HELLO: u8 = b'+';

impl Orders {
    /// The orders as an argument: two digits for each byte.
    pub(super) fn to_argument(&self) -> OsString {
        let bytes = postcard::to_allocvec(self).expect("a growing vector takes everything");
        bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
    }

    fn from_argument(argument: &OsString) -> Option<Self> {
        let digits = argument.to_str()?.as_bytes();
        let pairs = digits.chunks(2).map(|pair| {
            let pair = std::str::from_utf8(pair).ok()?;
            u8::from_str_radix(pair, 16).ok()
        });
        let bytes: Vec<u8> = pairs.collect::<Option<_>>()?;
        match postcard::take_from_bytes(&bytes) {
            Ok((orders, [])) => Some(orders),
            Ok(_) | Err(_) => None,
        }
    }
}

/// Becomes the program, or says why not. `args` are those after [`ARGUMENT`].
pub(super) fn run(mut args: ArgsOs) -> ExitCode {
    let orders = args.next().as_ref().and_then(Orders::from_argument);
    let (Some(orders), Some(program)) = (orders, args.next()) else {
        return complain(
            "this is how a guard starts a program; it is not meant to be called by hand",
        );
    };
    let mut report = match orders.open_report() {
        Ok(report) => report,
        Err(error) => {
            return complain(format_args!("the guard cannot be told of a start: {error}"));
        }
    };
    let refusal = match orders.put_on() {
        Ok(()) => Refusal { errno: execute(&program, args).raw_os_error(), what: None },
        Err(refusal) => refusal,
    };
    let bytes = postcard::to_allocvec(&refusal).expect("a growing vector takes everything");
    // A guard that is gone has ended this process too.
    let _told = report.write_all(&bytes);
    ExitCode::from(NOT_EXECUTED)
}

/// Becomes the program; comes back with the reason if that cannot be.
fn execute(program: &OsStr, args: ArgsOs) -> Errno {
    let file = match lookup(program, env::var_os("PATH").as_deref(), None) {
        Ok(file) if is_no_program(&file) => return Errno::NOEXEC,
        Ok(file) => file,
        Err(errno) => return errno,
    };
    let error = Command::new(file).arg0(program).args(args).exec();
    // What std refuses itself has no number.
    Errno::from_io_error(&error).unwrap_or(Errno::INVAL)
}

/// The number of a descriptor of the guard, for [`Orders::report`].
pub(super) fn number_of(fd: impl AsFd) -> i32 {
    fd.as_fd().as_raw_fd()
}

impl Orders {
    /// Opens the pipe to the guard, and says hello.
    ///
    /// If the guard has been killed, this process has been adopted, and what the new parent has open is not for
    /// it.
    fn open_report(&self) -> io::Result<File> {
        let Self { guard, report, .. } = self;
        if getppid().map(Pid::as_raw_pid) != Some(*guard) {
            return Err(io::Error::new(io::ErrorKind::NotFound, "it has been killed"));
        }
        // std opens everything so that it is closed on exec.
        let mut pipe = OpenOptions::new().write(true).open(format!("/proc/{guard}/fd/{report}"))?;
        if !pipe.metadata()?.file_type().is_fifo() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        pipe.write_all(&[HELLO])?;
        Ok(pipe)
    }

    /// Does all of it to this process. The limits come last, since they might be in the way.
    fn put_on(&self) -> Result<(), Refusal> {
        self.join()?;
        if let Some(cpu) = self.cpu {
            bind(cpu)?;
        }
        if let Some(mask) = self.confines.umask {
            let _before = umask(Mode::from_raw_mode(mask.bits().into()));
        }
        self.confines.rlimits.iter().try_for_each(set_limit)
    }
}

impl Orders {
    fn join(&self) -> Result<(), Refusal> {
        for door in &self.doors {
            // 0 is whoever writes it.
            let joined = fs::write(door, "0");
            if let Err(error) = joined
                && self.must_join
            {
                let errno = error.raw_os_error().unwrap_or(Errno::IO.raw_os_error());
                let what = Some(format!("its cgroup cannot be joined, {}", door.display()));
                return Err(Refusal { errno, what });
            }
        }
        Ok(())
    }
}

fn bind(cpu: u32) -> Result<(), Refusal> {
    let mut set = CpuSet::new();
    // One that is too high sets none, which the system refuses.
    if let Some(cpu) = usize::try_from(cpu).ok().filter(|cpu| *cpu < CpuSet::MAX_CPU) {
        set.set(cpu);
    }
    sched_setaffinity(None, &set).map_err(|errno| Refusal {
        errno: errno.raw_os_error(),
        what: Some(format!("it cannot be bound to processor {cpu}")),
    })
}

fn set_limit(limit: &Rlimit) -> Result<(), Refusal> {
    let resource = of_the_system(limit.resource);
    let raw = |amount| match amount {
        Amount::Of(amount) => Some(amount),
        Amount::Unlimited => None,
    };
    let mut limits = process::getrlimit(resource);
    limits.current = limit.soft.map_or(limits.current, raw);
    limits.maximum = limit.hard.map_or(limits.maximum, raw);
    // A lower hard limit takes the soft one with it: nobody asked for that one to stay.
    if limit.soft.is_none() && is_above(limits.current, limits.maximum) {
        limits.current = limits.maximum;
    }
    if is_above(limits.current, limits.maximum) {
        let what = format!("the limit {limit}, above the hard limit, cannot be set");
        return Err(Refusal { errno: Errno::INVAL.raw_os_error(), what: Some(what) });
    }
    process::setrlimit(resource, limits).map_err(|errno| Refusal {
        errno: errno.raw_os_error(),
        what: Some(format!("the limit {limit} cannot be set")),
    })
}

/// Whether a limit is higher than another; `None` is none.
fn is_above(limit: Option<u64>, other: Option<u64>) -> bool {
    match (limit, other) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(limit), Some(other)) => limit > other,
    }
}

const fn of_the_system(resource: Resource) -> process::Resource {
    match resource {
        Resource::As => process::Resource::As,
        Resource::Core => process::Resource::Core,
        Resource::Cpu => process::Resource::Cpu,
        Resource::Data => process::Resource::Data,
        Resource::Fsize => process::Resource::Fsize,
        Resource::Locks => process::Resource::Locks,
        Resource::Memlock => process::Resource::Memlock,
        Resource::Msgqueue => process::Resource::Msgqueue,
        Resource::Nice => process::Resource::Nice,
        Resource::Nofile => process::Resource::Nofile,
        Resource::Nproc => process::Resource::Nproc,
        Resource::Rss => process::Resource::Rss,
        Resource::Rtprio => process::Resource::Rtprio,
        Resource::Rttime => process::Resource::Rttime,
        Resource::Sigpending => process::Resource::Sigpending,
        Resource::Stack => process::Resource::Stack,
    }
}

fn complain(what: impl std::fmt::Display) -> ExitCode {
    // There is nobody to tell if this fails too.
    let _told = writeln!(io::stderr(), "{what}");
    ExitCode::from(NOT_EXECUTED)
}

/// The exit code of a trampoline that has executed nothing, as of a shell.
const NOT_EXECUTED: u8 = 127;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read_as_they_are_written() {
        let rlimits = vec!["nofile=7:9".parse().unwrap(), "core=unlimited".parse().unwrap()];
        let confines = Confines { umask: Some(Umask::from_bits(0o27)), rlimits };
        let (report, cpu, doors) = (300, Some(1), vec!["/a/b".into()]);
        let orders = Orders { guard: 77, report, cpu, doors, must_join: true, confines };
        let argument = orders.to_argument();
        assert_eq!(Orders::from_argument(&argument), Some(orders));
        for wrong in ["", "0", "zz", "ä", "00", &format!("{}00", argument.display())] {
            assert_eq!(Orders::from_argument(&wrong.into()), None, "{wrong}");
        }
    }

    #[test]
    fn no_limit_is_above_every_limit() {
        assert!(is_above(None, Some(1)) && is_above(Some(2), Some(1)));
        assert!(!is_above(Some(1), Some(1)) && !is_above(Some(1), None) && !is_above(None, None));
    }
}
