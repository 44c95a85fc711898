//! What the agent and its guard say to each other over the lifeline.
//!
//! Both are the same program, so there is one version of this and no negotiation: [`VERSION`] only
//! makes a mix-up visible. A message is one frame; the file descriptors that it owns travel with
//! its first byte.

use std::time::Duration;

use mesh_core::{BeatSeq, Epoch, Incarnation, LaunchProblem, MeshId};
use mesh_shape::Rank;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use super::cgroups::CgroupOrder;
pub use super::trampoline::Confines;

/// The version of these messages, told in [`FromGuard::Hello`].
pub const VERSION: u32 = 4;

/// One life of one rank of one mesh: at most one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProcKey {
    /// The mesh.
    pub mesh: MeshId,
    /// Which of its ranks.
    pub rank: Rank,
    /// Which life of the rank.
    pub incarnation: Incarnation,
}

/// What the agent asks of its guard. Asking twice is harmless.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToGuard {
    /// A mesh begins: its lease is armed as of when the agent was told of it (K2). Nothing happens if it
    /// is open already.
    Open {
        /// The mesh.
        mesh: MeshId,
        /// Its controller.
        epoch: Epoch,
        /// How long its ranks live without word of the controller.
        term: Duration,
        /// How often the guard sends a beat. At least a millisecond; a twentieth of the term is
        /// good.
        beat_every: Duration,
        /// When the agent was told of the mesh, which its controller begins to count after: a moment of
        /// `CLOCK_BOOTTIME`, which both share.
        since: Duration,
    },
    /// A command line, to be named in any number of starts of its mesh. The same id again replaces
    /// it; it is forgotten with the mesh, and ignored if that is not open.
    Command {
        /// The mesh.
        mesh: MeshId,
        /// Chosen by the agent.
        id: u32,
        /// A path, or a name to look up on the `PATH`. Bytes, as the system takes them.
        program: Vec<u8>,
        /// The arguments without the program's name.
        args: Vec<Vec<u8>>,
        /// The working directory; that of the guard if `None`.
        dir: Option<Vec<u8>>,
        /// The names of the variables of the guard's environment that it has; all if `None`.
        inherit: Option<Vec<Vec<u8>>>,
        /// What each process does to itself before it becomes the program.
        confines: Confines,
        /// The cgroup that each process has of its own, if any.
        cgroup: Option<CgroupOrder>,
    },
    /// Start a process; with three descriptors: its standard input, output and error.
    ///
    /// An incarnation that is not higher than one that was started already is ignored, and so is a
    /// mesh that is not open, and so is an order of a lower epoch. The order counts as a renewal. After
    /// the lease has run out it is started only if the beat is less than a term old, and the lease runs
    /// again, counted from that beat; otherwise the answer is an [`FromGuard::Ended`] that says culled.
    Start {
        /// For which rank.
        key: ProcKey,
        /// The controller that orders it.
        epoch: Epoch,
        /// The newest beat that the controller had heard, if it had heard any.
        echoed: Option<BeatSeq>,
        /// The id of its command.
        command: u32,
        /// The processor that it is bound to, if to any.
        cpu: Option<u32>,
        /// Variables on top of what the command inherits.
        env: Vec<(Vec<u8>, Vec<u8>)>,
    },
    /// Send a signal to the process group of a process, if the process has not ended.
    ///
    /// A real-time signal is ignored.
    Signal {
        /// The process.
        key: ProcKey,
        /// The number of the signal.
        signal: i32,
    },
    /// The controller lives and has heard the guard's beats up to this one (K1).
    Renew {
        /// The mesh.
        mesh: MeshId,
        /// Its controller.
        epoch: Epoch,
        /// The newest beat that the controller has heard.
        echoed: BeatSeq,
    },
    /// The owner is being suspended: suspend every process, and the time of every lease.
    Pause,
    /// The owner goes on: let everything that was suspended by [`Self::Pause`] go on.
    Resume,
    /// A mesh ends: kill its processes, tell their ends, answer [`FromGuard::Closed`], forget it.
    Close {
        /// The mesh.
        mesh: MeshId,
    },
}

/// What the guard tells its agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromGuard {
    /// The first message.
    Hello {
        /// [`VERSION`] of the guard.
        version: u32,
        /// The process id of the guard.
        pid: u32,
    },
    /// A process runs; with one descriptor: a pidfd of it.
    Started {
        /// For which rank.
        key: ProcKey,
        /// Its process id, and that of its group.
        pid: u32,
    },
    /// A process could not be started.
    NotStarted {
        /// For which rank.
        key: ProcKey,
        /// Why.
        problem: LaunchProblem,
    },
    /// A process is suspended. If it changes often, only the last change may be told.
    Suspended {
        /// Which process.
        key: ProcKey,
        /// The signal that did it.
        signal: i32,
    },
    /// A suspended process goes on.
    Continued {
        /// Which process.
        key: ProcKey,
    },
    /// A process has ended; nothing more is told of it. Its process group is gone with it.
    Ended {
        /// Which process.
        key: ProcKey,
        /// How it ended.
        end: End,
        /// The moment when the kernel told, on `CLOCK_BOOTTIME`.
        evidence: Duration,
        /// How long it had lived then.
        alive: Duration,
        /// Whether the guard killed it because its lease had run out (K2).
        culled: bool,
        /// Whether the kernel killed it because memory had run out, by the counter of its own cgroup.
        oom: bool,
    },
    /// The guard lives. Beats are left out while the agent does not read.
    Beat {
        /// Its number: a controller echoes it to renew the lease.
        seq: BeatSeq,
    },
    /// Every process of the mesh has ended and was told; the mesh is forgotten.
    Closed {
        /// The mesh.
        mesh: MeshId,
    },
    /// A fatal signal has hit a process and its core is being written: it will not run again.
    DumpingCore {
        /// Which process.
        key: ProcKey,
    },
}

/// How a process ended, by the word of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum End {
    /// It exited.
    Exited {
        /// Its exit code, `0..=255`.
        code: i32,
    },
    /// It was ended by a signal.
    Signaled {
        /// The number of the signal.
        signal: i32,
        /// Whether it dumped core.
        core: bool,
    },
}

/// One of the two kinds of message.
pub(crate) trait Message: Serialize + DeserializeOwned {
    /// How many file descriptors the message owns.
    fn n_fds(&self) -> usize;
}

impl Message for ToGuard {
    fn n_fds(&self) -> usize {
        if matches!(self, Self::Start { .. }) { 3 } else { 0 }
    }
}

impl Message for FromGuard {
    fn n_fds(&self) -> usize {
        usize::from(matches!(self, Self::Started { .. }))
    }
}

#[cfg(test)]
mod tests;
