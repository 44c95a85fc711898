//! The cgroups of processes.

use std::fmt;
use std::str::FromStr;

/// Whether each process has a cgroup of its own, and what it is limited to by that.
///
/// A cgroup of its own is what tells a kill for lack of memory from any other `SIGKILL`, and what reaches
/// descendants that have left the process group. To join one takes some milliseconds.
///
/// # Examples
///
/// ```
/// use mesh_core::{Cgroup, OwnCgroup};
///
/// let cgroup = Cgroup { memory_max: Some(1 << 30), ..Cgroup::default() };
/// assert_eq!(cgroup.own(), OwnCgroup::Always, "a limit that cannot be kept is an error");
/// assert_eq!(Cgroup::default().own(), OwnCgroup::Never);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cgroup {
    /// Whether there is to be one, where no limit says that there must be.
    pub wanted: OwnCgroup,
    /// How much memory its processes may have together, in bytes.
    pub memory_max: Option<u64>,
    /// How many processes and threads there may be in it.
    pub pids_max: Option<u64>,
}

/// Whether each process has a cgroup of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OwnCgroup {
    /// It is in that of its caller.
    #[default]
    Never,
    /// It has one if this user may make some.
    Auto,
    /// It has one, or is not started.
    Always,
}

/// A text is no [`OwnCgroup`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected never, auto or always")]
pub struct OwnCgroupError;

impl Cgroup {
    /// Whether there is to be one: a limit needs one in any case.
    #[must_use]
    pub const fn own(&self) -> OwnCgroup {
        if self.memory_max.is_some() || self.pids_max.is_some() {
            OwnCgroup::Always
        } else {
            self.wanted
        }
    }
}

impl FromStr for OwnCgroup {
    type Err = OwnCgroupError;

    fn from_str(text: &str) -> Result<Self, OwnCgroupError> {
        match text {
            "never" => Ok(Self::Never),
            "auto" => Ok(Self::Auto),
            "always" => Ok(Self::Always),
            _ => Err(OwnCgroupError),
        }
    }
}

impl fmt::Display for OwnCgroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Never => "never",
            Self::Auto => "auto",
            Self::Always => "always",
        })
    }
}
