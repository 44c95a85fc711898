//! Processes that were killed and do not end: which, and why, as far as the kernel shows it.

use std::fmt;
use std::fs;
use std::path::Path;
use std::time::Duration;

use mesh_core::Incarnation;
use mesh_shape::Rank;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

/// A rank whose process was sent `SIGKILL` and is still there. It is no end: if the process ends after
/// all, that is told as ever.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use mesh_core::Incarnation;
/// use mesh_shape::Rank;
/// use proc_mesh::{Unkillable, WhyUnkillable};
///
/// let why = WhyUnkillable::OtherUser { uid: 0 };
/// let (rank, incarnation) = (Rank::new(3), Incarnation::FIRST);
/// let left = Unkillable { rank, incarnation, pid: 4711, after: Duration::from_secs(2), why };
/// assert_eq!(
///     left.to_string(),
///     "rank 3, incarnation 0: process 4711 has not ended 2.0 s after SIGKILL: \
///      it belongs to user 0, and this one may not kill it"
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unkillable {
    /// The rank.
    pub rank: Rank,
    /// Which life of it.
    pub incarnation: Incarnation,
    /// Its process id on its host.
    pub pid: u32,
    /// How long ago it was killed.
    pub after: Duration,
    /// Why it is still there.
    pub why: WhyUnkillable,
}

/// Why a process does not end although it was killed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhyUnkillable {
    /// It waits in the kernel for something that cannot be interrupted (state D): a disk, a network file
    /// system, a frozen cgroup. It ends when that comes back.
    Uninterruptible {
        /// The kernel's function that it waits in, where the kernel tells.
        waits_in: Option<String>,
    },
    /// It belongs to another user (`sudo`, `su`), and must be ended by that one.
    OtherUser {
        /// The user.
        uid: u32,
    },
    /// A debugger holds on to it. It ends when that lets go.
    Traced {
        /// The process id of the debugger.
        by: u32,
    },
    /// The kernel shows none of these. A process with very much memory takes long to end.
    Unknown,
}

impl WhyUnkillable {
    /// The value of the `why` label of metrics: one of [`Self::LABELS`].
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Uninterruptible { .. } => "uninterruptible",
            Self::OtherUser { .. } => "other_user",
            Self::Traced { .. } => "traced",
            Self::Unknown => "unknown",
        }
    }

    /// Every label.
    pub const LABELS: [&'static str; 4] = ["uninterruptible", "other_user", "traced", "unknown"];

    /// What the kernel shows of a process in `proc` now; `None` if it is not there.
    ///
    /// Nothing that is read here waits for the process.
    pub(crate) fn of(proc: &Path, pid: u32) -> Option<Self> {
        let process = proc.join(pid.to_string());
        let status = fs::read_to_string(process.join("status")).ok()?;
        let number = |name| field(&status, name).and_then(|value| value.parse::<u32>().ok());
        let may_kill = i32::try_from(pid).ok().and_then(Pid::from_raw).map(test_kill_process);
        if may_kill == Some(Err(Errno::PERM)) {
            return Some(Self::OtherUser { uid: number("Uid:").unwrap_or_default() });
        }
        if let Some(waits_in) = uninterruptible(&process) {
            return Some(Self::Uninterruptible { waits_in });
        }
        match number("TracerPid:") {
            Some(by) if by != 0 => Some(Self::Traced { by }),
            Some(_) | None => Some(Self::Unknown),
        }
    }
}

impl fmt::Display for Unkillable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rank, incarnation, pid, after, why } = self;
        let after = after.as_secs_f64();
        write!(
            f,
            "rank {rank}, incarnation {incarnation}: process {pid} has not ended {after:.1} s after \
             SIGKILL: {why}"
        )
    }
}

impl fmt::Display for WhyUnkillable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uninterruptible { waits_in } => {
                f.write_str("it waits in the kernel and cannot be interrupted (state D")?;
                if let Some(waits_in) = waits_in {
                    write!(f, ", in {waits_in}")?;
                }
                f.write_str("); it ends when what it waits for comes back")
            }
            Self::OtherUser { uid } => {
                write!(f, "it belongs to user {uid}, and this one may not kill it")
            }
            Self::Traced { by } => {
                write!(f, "process {by} traces it; it ends when that lets go")
            }
            Self::Unknown => f.write_str("the kernel does not show why"),
        }
    }
}

/// The first word after a name in `/proc/PID/status`.
fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name))?.split_ascii_whitespace().next()
}

/// Whether one of the threads of a process cannot be interrupted, and in which function it waits.
fn uninterruptible(process: &Path) -> Option<Option<String>> {
    let threads = fs::read_dir(process.join("task")).ok()?.flatten().map(|thread| thread.path());
    let waiting = threads.into_iter().find(|thread| {
        fs::read_to_string(thread.join("status"))
            .is_ok_and(|status| field(&status, "State:") == Some("D"))
    })?;
    // Who may not know is told `0`.
    let waits_in = fs::read_to_string(waiting.join("wchan")).ok();
    Some(waits_in.filter(|name| !name.is_empty() && name != "0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_the_first_word_after_its_name() {
        let status = "Name:\tState: x\nState:\tD (disk sleep)\nUid:\t0\t1\t2\t3\n";
        assert_eq!([field(status, "State:"), field(status, "Uid:")], [Some("D"), Some("0")]);
        assert_eq!(field(status, "TracerPid:"), None);
    }

    #[test]
    fn a_process_that_runs_is_shown_without_a_reason() {
        let proc = Path::new("/proc");
        assert_eq!(WhyUnkillable::of(proc, std::process::id()), Some(WhyUnkillable::Unknown));
        assert_eq!(WhyUnkillable::of(proc, u32::MAX), None);
    }

    /// This process, as a kernel would show it that has it wait, or be traced.
    #[test]
    fn the_reason_is_what_the_kernel_shows() {
        let pid = std::process::id();
        let proc = std::env::temp_dir().join(format!("meshwarden-proc-{pid}"));
        let thread = proc.join(format!("{pid}/task/{pid}"));
        fs::create_dir_all(&thread).unwrap();
        let show = |state: &str, tracer: u32, waits_in: &str| {
            let status = format!("State:\t{state}\nUid:\t0\t0\t0\t0\nTracerPid:\t{tracer}\n");
            fs::write(proc.join(format!("{pid}/status")), &status).unwrap();
            fs::write(thread.join("status"), status).unwrap();
            fs::write(thread.join("wchan"), waits_in).unwrap();
            WhyUnkillable::of(&proc, pid)
        };
        let waits = |waits_in: Option<&str>| {
            Some(WhyUnkillable::Uninterruptible { waits_in: waits_in.map(str::to_owned) })
        };
        assert_eq!(show("D (disk sleep)", 7, "nfs_wait"), waits(Some("nfs_wait")));
        assert_eq!(show("D (disk sleep)", 0, "0"), waits(None), "not told to everybody");
        assert_eq!(show("t (tracing stop)", 7, "0"), Some(WhyUnkillable::Traced { by: 7 }));
        assert_eq!(show("S (sleeping)", 0, "0"), Some(WhyUnkillable::Unknown));
        fs::remove_dir_all(proc).unwrap();
    }

    #[test]
    fn every_reason_has_a_label_of_its_own() {
        use WhyUnkillable::{OtherUser, Traced, Uninterruptible, Unknown};
        let all =
            [Uninterruptible { waits_in: None }, OtherUser { uid: 0 }, Traced { by: 1 }, Unknown];
        assert_eq!(all.map(|why| why.label()), WhyUnkillable::LABELS);
    }
}
