//! How the process of a rank is started: what, and in what [`Surroundings`].

mod bind;
mod cgroup;
mod rlimit;
mod surroundings;
mod umask;

use std::ffi::OsString;

use mesh_shape::Point;

use crate::ids::{Incarnation, MeshLabel};
pub use bind::{Bind, BindError};
pub use cgroup::{Cgroup, OwnCgroup, OwnCgroupError};
pub use rlimit::{Amount, Resource, Rlimit, RlimitError};
pub use surroundings::{Inherit, Surroundings, SurroundingsError};
pub use umask::{Umask, UmaskError};

/// Says how the process of each rank is started. Pure: it starts nothing itself.
///
/// # Contract
///
/// - The command is the same for every rank and every call; what differs goes into `env`.
/// - Both are total: they have an answer for every seat, and do not panic.
pub trait Launcher: std::fmt::Debug + Send + Sync {
    /// What to run.
    fn command(&self) -> &Command;

    /// The variables this rank gets on top of what it inherits.
    fn env(&self, seat: &Seat<'_>) -> Vec<(OsString, OsString)>;
}

/// A program with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The program: a path, or a name to look up on the `PATH` that the process gets (in `/bin` and
    /// `/usr/bin` if it gets none).
    pub program: OsString,
    /// Its arguments, without the program's name.
    pub args: Vec<OsString>,
}

impl Command {
    /// The program with these arguments.
    pub fn new<A: Into<OsString>>(
        program: impl Into<OsString>,
        args: impl IntoIterator<Item = A>,
    ) -> Self {
        Self { program: program.into(), args: args.into_iter().map(Into::into).collect() }
    }
}

/// The place in a mesh that a process is started for.
#[derive(Clone, Debug)]
pub struct Seat<'a> {
    /// The mesh.
    pub mesh: &'a MeshLabel,
    /// Where in the mesh: the rank and its coordinates.
    pub point: Point<'a>,
    /// Which life of the rank.
    pub incarnation: Incarnation,
}
