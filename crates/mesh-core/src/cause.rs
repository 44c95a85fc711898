//! Why a rank ended: data, with the last words of the rank; text is made only when it is shown (ST2).

use std::fmt;
use std::time::Duration;

use mesh_shape::Rank;
use serde::{Deserialize, Serialize};

use crate::ids::MeshLabel;
use crate::one_line::OneLine;

/// Why a rank failed, with what it last said and the chain of what caused what.
///
/// # Examples
///
/// ```
/// use mesh_core::{Cause, Reason};
///
/// let cause = Cause::new(Reason::Signal { signal: 9, core: false });
/// assert_eq!(cause.to_string(), "signal 9 (SIGKILL)");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// The reason, for machines.
    pub reason: Reason,
    /// How long the rank had lived, where its agent knows.
    pub alive: Option<Duration>,
    /// The last lines of its standard error, oldest first, control characters escaped. Empty where
    /// there are none.
    pub stderr: Vec<String>,
    /// What caused this, nearest first, the root cause last. Empty if this is the root.
    pub chain: Vec<Link>,
}

impl Cause {
    /// A root cause of which nothing but the reason is known.
    #[must_use]
    pub const fn new(reason: Reason) -> Self {
        Self { reason, alive: None, stderr: Vec::new(), chain: Vec::new() }
    }

    /// The same cause, with the lifetime of the rank.
    #[must_use]
    pub const fn with_alive(mut self, alive: Duration) -> Self {
        self.alive = Some(alive);
        self
    }

    /// The same cause, with what caused it: nearest first, the root cause last.
    #[must_use]
    pub fn with_chain(mut self, chain: Vec<Link>) -> Self {
        self.chain = chain;
        self
    }

    /// The same cause, with the last lines of the rank's standard error.
    #[must_use]
    pub fn with_stderr(mut self, lines: Vec<String>) -> Self {
        self.stderr = lines;
        self
    }
}

impl fmt::Display for Cause {
    /// The reason and the chain in one line; the lines of standard error are not part of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)?;
        for link in &self.chain {
            write!(f, ", caused by {link}")?;
        }
        Ok(())
    }
}

/// One step of a chain of causes: who ended, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Who ended.
    pub subject: Subject,
    /// Why.
    pub reason: Reason,
}

impl Link {
    /// A rank of a mesh ended for this reason.
    #[must_use]
    pub const fn rank(mesh: MeshLabel, rank: Rank, reason: Reason) -> Self {
        Self { subject: Subject::Rank { mesh, rank }, reason }
    }

    /// An actor that is no rank of a mesh ended for this reason.
    #[must_use]
    pub fn actor(name: impl Into<String>, reason: Reason) -> Self {
        Self { subject: Subject::Actor { name: name.into() }, reason }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.reason)
    }
}

/// Who a link of a chain of causes is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Subject {
    /// A rank of a mesh: a host, a process, an actor of an actor mesh.
    Rank {
        /// The mesh.
        mesh: MeshLabel,
        /// The rank, in the mesh as it was created.
        rank: Rank,
    },
    /// An actor that belongs to no mesh: the child of another one.
    Actor {
        /// Its name.
        name: String,
    },
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rank { mesh, rank } => write!(f, "rank {rank} of {mesh}"),
            Self::Actor { name } => write!(f, "actor {}", OneLine(name)),
        }
    }
}

/// The reason of an end, for machines.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Reason {
    /// It panicked.
    Panic {
        /// The panic's message.
        message: String,
        /// `file:line:column`, where known.
        location: Option<String>,
    },
    /// It returned an error.
    Error {
        /// The error and its sources, as text.
        message: String,
    },
    /// It exited with this code, which is not 0.
    Exit {
        /// The exit code.
        code: i32,
    },
    /// It was ended by a signal that we did not send.
    Signal {
        /// The number of the signal.
        signal: i32,
        /// Whether it dumped core.
        core: bool,
    },
    /// The kernel killed it because memory ran out; claimed only on the kernel's own counter.
    OutOfMemory,
    /// Its agent killed it because its lease had run out.
    Orphaned,
    /// Its agent does not know it any more, or died, so that nobody can say how it ended.
    LostByAgent,
    /// It could not be started.
    Launch {
        /// The program, as it was given.
        program: String,
        /// What was wrong.
        problem: LaunchProblem,
    },
    /// It started but did not say that it is ready.
    NotReady {
        /// How long it was given.
        within: Duration,
    },
    /// What it lived in ended, and it with it: the process of an actor, the host of a process. Which
    /// one, and why, is the first link of the chain.
    Inherited,
    /// Whoever owns what it ran on has closed that, and had not asked it to end before.
    Closed,
    /// A child of it failed, and it did not handle that (E2). Why is the first link of the chain.
    Child {
        /// The name of the child.
        actor: String,
    },
}

impl Reason {
    /// How many bytes of its words are told.
    pub const WORDS_MAX: usize = 1024;

    /// An error, with its words as they travel: no more than [`WORDS_MAX`](Self::WORDS_MAX) bytes of them, so that an
    /// event of a mesh fits a frame whatever a user says.
    #[must_use]
    pub fn error(message: impl Into<String>) -> Self {
        Self::Error { message: capped(message.into()) }
    }

    /// A panic, with its words as they travel.
    #[must_use]
    pub fn panic(message: impl Into<String>, location: Option<String>) -> Self {
        Self::Panic { message: capped(message.into()), location }
    }

    /// The same without words.
    pub(crate) fn brief(&self) -> Self {
        let none = String::new();
        match self {
            Self::Panic { .. } => Self::Panic { message: none, location: None },
            Self::Error { .. } => Self::Error { message: none },
            Self::Launch { problem, .. } => {
                Self::Launch { program: none, problem: problem.clone() }
            }
            Self::Child { .. } => Self::Child { actor: none },
            other => other.clone(),
        }
    }

    /// The value of the `cause` label of metrics: one of a small closed set.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Panic { .. } => "panic",
            Self::Error { .. } => "error",
            Self::Exit { .. } => "exit",
            Self::Signal { .. } => "signal",
            Self::OutOfMemory => "oom",
            Self::Orphaned => "orphaned",
            Self::LostByAgent => "lost",
            Self::Launch { .. } => "launch",
            Self::NotReady { .. } => "not_ready",
            Self::Inherited => "inherited",
            Self::Closed => "closed",
            Self::Child { .. } => "child",
        }
    }

    /// The exit code a shell would show for it: the code itself, or 128 + the signal, or 1.
    #[must_use]
    pub const fn exit_code(&self) -> i32 {
        match self {
            Self::Exit { code } => *code,
            Self::Signal { signal, .. } => signal.saturating_add(128),
            Self::OutOfMemory => 128 + 9,
            Self::Panic { .. }
            | Self::Error { .. }
            | Self::Orphaned
            | Self::LostByAgent
            | Self::Launch { .. }
            | Self::NotReady { .. }
            | Self::Inherited
            | Self::Closed
            | Self::Child { .. } => 1,
        }
    }
}

/// In one line: what a program says may have several, or do something to a terminal.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panic { message, location: Some(location) } => {
                write!(f, "panicked at {}: {}", OneLine(location), OneLine(message))
            }
            Self::Panic { message, location: None } => write!(f, "panicked: {}", OneLine(message)),
            Self::Error { message } => write!(f, "error: {}", OneLine(message)),
            Self::Exit { code } => write!(f, "exit code {code}"),
            Self::Signal { signal, core } => {
                write!(f, "signal {signal}")?;
                if let Some(name) = signal_name(*signal) {
                    write!(f, " ({name})")?;
                }
                if *core { f.write_str(", core dumped") } else { Ok(()) }
            }
            Self::OutOfMemory => f.write_str("killed by the kernel: out of memory"),
            Self::Orphaned => f.write_str("orphaned: killed by its agent when its lease ran out"),
            Self::LostByAgent => f.write_str("lost: its agent cannot say how it ended"),
            Self::Launch { program, problem } => write!(f, "cannot start {program:?}: {problem}"),
            Self::NotReady { within } => write!(f, "not ready within {within:?}"),
            Self::Inherited => f.write_str("ended with what it lived in"),
            Self::Closed => f.write_str("what it ran on was closed by its owner"),
            Self::Child { actor } => {
                write!(f, "the failure of its child {} was not handled", OneLine(actor))
            }
        }
    }
}

/// Words travel: they have a bound.
fn capped(mut words: String) -> String {
    if words.len() > Reason::WORDS_MAX {
        let is_end = |end: &usize| words.is_char_boundary(*end);
        let end = (0..=Reason::WORDS_MAX).rev().find(is_end).unwrap_or(0);
        words.truncate(end);
        words.push('…');
    }
    words
}

/// Why a program could not be started.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LaunchProblem {
    /// There is no such program, also not on the `PATH`.
    NotFound,
    /// It is there, but it is not executable for this user.
    NotExecutable,
    /// Its working directory is not there or cannot be entered.
    WorkingDirectory,
    /// The kernel refused, with this error number.
    Os {
        /// The error number (`errno`).
        errno: i32,
        /// What the system calls it.
        message: String,
    },
}

impl fmt::Display for LaunchProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("no such program (give its path, or put it on the PATH)"),
            Self::NotExecutable => f.write_str(
                "not executable (permission denied; try chmod +x, or run it by its interpreter)",
            ),
            Self::WorkingDirectory => f.write_str("its working directory cannot be entered"),
            Self::Os { errno, message } => write!(f, "{} (errno {errno})", OneLine(message)),
        }
    }
}

/// The name of a signal of Linux on the common architectures, where it has one.
#[must_use]
pub const fn signal_name(signal: i32) -> Option<&'static str> {
    const NAMES: [&str; 31] = [
        "SIGHUP",
        "SIGINT",
        "SIGQUIT",
        "SIGILL",
        "SIGTRAP",
        "SIGABRT",
        "SIGBUS",
        "SIGFPE",
        "SIGKILL",
        "SIGUSR1",
        "SIGSEGV",
        "SIGUSR2",
        "SIGPIPE",
        "SIGALRM",
        "SIGTERM",
        "SIGSTKFLT",
        "SIGCHLD",
        "SIGCONT",
        "SIGSTOP",
        "SIGTSTP",
        "SIGTTIN",
        "SIGTTOU",
        "SIGURG",
        "SIGXCPU",
        "SIGXFSZ",
        "SIGVTALRM",
        "SIGPROF",
        "SIGWINCH",
        "SIGIO",
        "SIGPWR",
        "SIGSYS",
    ];
    if signal >= 1 && (signal as usize) <= NAMES.len() {
        Some(NAMES[signal as usize - 1])
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ST2: what a user says is told, but not without bound.
    #[test]
    fn words_are_told_up_to_a_bound() {
        let text = |length| "é".repeat(length / 2);
        let Reason::Error { message } = Reason::error(text(Reason::WORDS_MAX)) else { panic!() };
        assert_eq!(message, text(Reason::WORDS_MAX));
        let long = format!("a{}", text(1 << 20));
        let Reason::Panic { message, .. } = Reason::panic(long, None) else { panic!() };
        assert_eq!(message, format!("a{}…", text(Reason::WORDS_MAX - 2)));
    }

    /// What came over a wire may be anything.
    #[test]
    fn every_signal_has_an_exit_code() {
        let code = |signal| Reason::Signal { signal, core: false }.exit_code();
        assert_eq!([code(9), code(i32::MAX), code(-128)], [137, i32::MAX, 0]);
    }
}
