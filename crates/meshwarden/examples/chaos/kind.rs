//! The kinds of faults, and how what they are done to must end.

use mesh_testkit::history::{End, FaultKind};
use meshwarden::mesh_core::Reason;

/// The kinds of faults that are told apart in the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Exit,
    CleanExit,
    Kill,
    Terminate,
    /// `SIGSEGV` of a process that may write a core.
    SegvCore,
    /// `SIGSEGV` of a process that may write none.
    Segv,
    OutOfMemory,
    Suspend,
    /// `SIGCONT` of what was suspended.
    Continue,
    /// Frozen by its cgroup, of version 2.
    FreezeTwo,
    /// Frozen by its cgroup, of version 1.
    FreezeOne,
    /// What was frozen goes on.
    Thaw,
    /// `SIGKILL` of a guard.
    GuardKill,
    /// The end of the run: the mesh is stopped.
    Stop,
    /// An actor panics.
    Panic,
    /// An actor returns an error.
    Error,
    /// A handler waits for longer than its threshold.
    Wait,
    /// A handler blocks its thread for longer than its threshold.
    Block,
    /// What was held up by its handler goes on.
    Return,
    /// `SIGKILL` of the process that an actor lives in.
    HomeKill,
    /// The same, of one that others are sent to over, while they are.
    RelayKill,
    /// `SIGSTOP` of such a process.
    RelayStop,
    /// Every rank panics at one cast.
    AllPanic,
}

/// What is done to a rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// It is told to exit with this code.
    Exit(u8),
    /// `SIGKILL`.
    Kill,
    /// `SIGTERM`, which nobody of its mesh asked for.
    Terminate,
    /// `SIGSEGV`; whether it may write a core.
    Segv(Core),
    /// It is told to take more memory than its cgroup has.
    OutOfMemory,
    /// `SIGSTOP`, and `SIGCONT` as soon as that was seen.
    Suspend,
    /// Its cgroup is frozen, and thawed as soon as that was seen.
    Freeze(Freezer),
}

/// Whether a process may write a core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Core {
    Allowed,
    Forbidden,
}

/// The version of cgroups that freezes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freezer {
    One,
    Two,
}

/// What is done to a whole program: its owner, its controller and its host agents are in one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Program {
    /// `SIGKILL`: its agents are killed, and with them everybody who could tell.
    Kill,
    /// `SIGSTOP` until its leases have run out, then `SIGCONT`.
    Pause,
    /// Its agents end under a mesh that lives.
    Abandon,
}

impl Kind {
    /// Every kind that is done to ranks that are processes, in the order of the report.
    pub(crate) const ALL: [Self; 14] = [
        Self::Exit,
        Self::CleanExit,
        Self::Kill,
        Self::Terminate,
        Self::SegvCore,
        Self::Segv,
        Self::OutOfMemory,
        Self::Suspend,
        Self::Continue,
        Self::FreezeTwo,
        Self::FreezeOne,
        Self::Thaw,
        Self::GuardKill,
        Self::Stop,
    ];

    /// Every kind that is done to ranks that are actors, in the order of the report.
    pub(crate) const OF_ACTORS: [Self; 11] = [
        Self::Panic,
        Self::Error,
        Self::AllPanic,
        Self::HomeKill,
        Self::RelayKill,
        Self::Wait,
        Self::Block,
        Self::Return,
        Self::RelayStop,
        Self::Continue,
        Self::Stop,
    ];

    /// What the report calls it.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Exit => "exit 1..=255",
            Self::CleanExit => "exit 0",
            Self::Kill => "SIGKILL",
            Self::Terminate => "SIGTERM",
            Self::SegvCore => "SIGSEGV, core",
            Self::Segv => "SIGSEGV, no core",
            Self::OutOfMemory => "out of memory",
            Self::Suspend => "SIGSTOP",
            Self::Continue => "SIGCONT",
            Self::FreezeTwo => "freeze, cgroup 2",
            Self::FreezeOne => "freeze, cgroup 1",
            Self::Thaw => "thaw",
            Self::GuardKill => "guard SIGKILL",
            Self::Stop => "stop of the mesh",
            Self::Panic => "panic",
            Self::Error => "error",
            Self::Wait => "handler waits",
            Self::Block => "handler blocks",
            Self::Return => "handler returns",
            Self::HomeKill => "process SIGKILL",
            Self::RelayKill => "forwarder SIGKILL",
            Self::RelayStop => "forwarder SIGSTOP",
            Self::AllPanic => "all panic at once",
        }
    }

    /// Whether it ends no life.
    pub(crate) const fn is_survived(self) -> bool {
        matches!(
            self,
            Self::Suspend
                | Self::Continue
                | Self::FreezeTwo
                | Self::FreezeOne
                | Self::Thaw
                | Self::Wait
                | Self::Block
                | Self::Return
                | Self::RelayStop
        )
    }
}

impl Deed {
    /// How a life that it is done to ends, given whether the kernel writes a core where it may; `None`
    /// if it goes on.
    pub(crate) const fn end(self, dumps: bool) -> Option<End> {
        match self {
            Self::Exit(0) => Some(End::Stopped),
            Self::Exit(code) => Some(End::Failed(Reason::Exit { code: code as i32 })),
            Self::Kill => Some(End::Failed(Reason::Signal { signal: 9, core: false })),
            Self::Terminate => Some(End::Failed(Reason::Signal { signal: 15, core: false })),
            Self::Segv(_) => Some(End::Failed(Reason::Signal { signal: 11, core: dumps })),
            Self::OutOfMemory => Some(End::Failed(Reason::OutOfMemory)),
            Self::Suspend | Self::Freeze(_) => None,
        }
    }

    /// What it does to a rank, as the history has it.
    pub(crate) fn effect(self, dumps: bool) -> FaultKind {
        self.end(dumps).map_or(FaultKind::Suspends, FaultKind::Ends)
    }

    /// Its kind.
    pub(crate) const fn kind(self) -> Kind {
        match self {
            Self::Exit(0) => Kind::CleanExit,
            Self::Exit(_) => Kind::Exit,
            Self::Kill => Kind::Kill,
            Self::Terminate => Kind::Terminate,
            Self::Segv(Core::Allowed) => Kind::SegvCore,
            Self::Segv(Core::Forbidden) => Kind::Segv,
            Self::OutOfMemory => Kind::OutOfMemory,
            Self::Suspend => Kind::Suspend,
            Self::Freeze(Freezer::Two) => Kind::FreezeTwo,
            Self::Freeze(Freezer::One) => Kind::FreezeOne,
        }
    }

    /// The kind of what lets a rank go on that survives it.
    pub(crate) const fn relief(self) -> Option<Kind> {
        match self {
            Self::Suspend => Some(Kind::Continue),
            Self::Freeze(_) => Some(Kind::Thaw),
            Self::Exit(_) | Self::Kill | Self::Terminate | Self::Segv(_) | Self::OutOfMemory => {
                None
            }
        }
    }
}

impl Program {
    /// Every one, in the order of the report.
    pub(crate) const ALL: [Self; 3] = [Self::Kill, Self::Pause, Self::Abandon];

    /// What the report calls it.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Kill => "agents SIGKILL",
            Self::Pause => "agents SIGSTOP",
            Self::Abandon => "agents ended",
        }
    }

    /// How each rank of it must be told to have ended; `None` if nobody is left to be told.
    pub(crate) fn end(self) -> Option<End> {
        match self {
            Self::Kill => None,
            Self::Pause => Some(End::Failed(Reason::Orphaned)),
            Self::Abandon => Some(End::Failed(Reason::Closed)),
        }
    }
}
