//! The guard: one small process per host agent that outlives the agent just long enough to leave
//! nothing behind.
//!
//! It is the parent of every process of the agent, and the *subreaper* of their descendants: what
//! loses its parent becomes a child of the guard, also after `setsid` and a double fork. Its
//! standard input is the *lifeline*, one end of a socket pair whose other end the agent holds.
//!
//! # Invariants
//!
//! - `GUARD-1` When the lifeline closes or the agent dies, however, every descendant is killed, and
//!   then the guard exits. `SIGTERM`, `SIGINT`, `SIGHUP` and `SIGQUIT` do nothing: a service manager
//!   sends them to every process at once, and how long the others have to end is the agent's word.
//! - `GUARD-2` A process is told ended once, with the kernel's word for how; its process group does
//!   not outlive it, nor does what is in its cgroup, if it has one of its own. Without one, a descendant
//!   that has left the group lives on until the guard ends.
//! - `GUARD-3` When the lease of a mesh runs out, its process groups are killed, once (K2).
//! - `GUARD-4` No signal is sent to a process id that might have been given to another process.
//! - `GUARD-5` The guard never waits for the agent: what it cannot tell is kept, and beats are left
//!   out meanwhile.
//! - `GUARD-6` No input makes it panic. What it cannot read is answered by `GUARD-1`, exit code 1.
//!
//! # Limits
//!
//! - A descendant of another user (`sudo`) cannot be killed by an unprivileged guard, and one that waits
//!   in the kernel (state D) by nobody: it goes on with its other work, and if it is to end, it exits
//!   with code 1 after ten seconds.
//! - What a killed guard has left is ended by its agent, as far as it has the mark of its host in its
//!   environment. If both are killed before either can act, nobody ends it: that takes a cgroup.
//! - The agent must close its descriptors on exec, as Rust's std does; those that it does not are
//!   inherited by every process that it starts, here too.
//! - Starting a process takes as long as `exec` does: a program on a file system that hangs holds
//!   the guard up, unless it is started by a trampoline, for which the guard does not wait.

pub(crate) mod cgroups;
mod children;
pub(crate) mod clock;
pub(crate) mod frames;
mod keeper;
mod launching;
mod lookup;
mod signals;
pub(crate) mod spawn;
mod trampoline;
mod ward;
mod watch;
pub mod wire;

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use mesh_core::Timestamp;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{
    PidfdFlags, Signal, getpid, getppid, pidfd_open, set_child_subreaper,
    set_parent_process_death_signal,
};

use self::frames::{Filled, Flushed, Inbox};
use self::keeper::Keeper;
use self::signals::{SignalPipe, outlive_ends};

/// The first argument of a process that is to be a guard.
pub const ARGUMENT: &str = "meshwarden:guard";

/// The whole `main` of a guard. Call it before anything else, when the first argument of the program
/// is [`ARGUMENT`].
///
/// # Examples
///
/// ```no_run
/// use std::process::ExitCode;
/// use proc_mesh::guard;
///
/// fn main() -> ExitCode {
///     if std::env::args_os().nth(1).is_some_and(|argument| argument == guard::ARGUMENT) {
///         return guard::run();
///     }
///     // … the program itself
///     ExitCode::SUCCESS
/// }
/// ```
#[must_use]
pub fn run() -> ExitCode {
    let mut args = env::args_os();
    if args.nth(2).is_some_and(|argument| argument == trampoline::ARGUMENT) {
        return trampoline::run(args);
    }
    let lifeline = io::stdin();
    match Guard::new(lifeline.as_fd()) {
        Ok(guard) => guard.work(),
        Err(error) => {
            // There is nobody to tell if this fails too.
            let _told = writeln!(io::stderr(), "the guard cannot work: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The loop around the [`Keeper`]: it waits, receives and sends.
struct Guard<'fd> {
    lifeline: BorrowedFd<'fd>,
    /// Readable when the agent has died, even if something else still holds its end of the lifeline.
    agent: Option<OwnedFd>,
    children: SignalPipe,
    inbox: Inbox,
    keeper: Keeper,
    flushed: Flushed,
}

/// Why the work is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    /// The agent is gone.
    AgentGone,
    /// What came over the lifeline cannot be read, or the system refuses what was thought certain.
    Broken,
}

impl<'fd> Guard<'fd> {
    fn new(lifeline: BorrowedFd<'fd>) -> io::Result<Self> {
        outlive_ends()?;
        set_child_subreaper(Some(getpid()))?;
        // Of a guard that is suspended the agent may die: then it goes on, and has everything to end. The
        // kernel does so by itself only for one that has already stopped by then.
        set_parent_process_death_signal(Some(Signal::CONT))?;
        Ok(Self {
            lifeline,
            agent: getppid().and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()),
            children: SignalPipe::of_children()?,
            inbox: Inbox::default(),
            keeper: Keeper::new(),
            flushed: Flushed::All,
        })
    }

    fn work(mut self) -> ExitCode {
        let over = loop {
            match self.turn() {
                Ok(()) => {}
                Err(over) => break over,
            }
        };
        let is_complete = self.purge();
        if is_complete && over == Over::AgentGone { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    /// Waits for something to happen and deals with it.
    fn turn(&mut self) -> Result<(), Over> {
        self.flush()?;
        self.keeper.tidy();
        let woken = self.wait().or(Err(Over::Broken))?;
        if woken.is_over {
            return Err(Over::AgentGone);
        }
        if woken.by_children {
            self.children.drain();
            self.keeper.sweep();
        }
        self.keeper.settle();
        self.keeper.look();
        if woken.by_agent && !self.inbox.has_frame() {
            match self.inbox.fill(self.lifeline) {
                Ok(Filled::Some | Filled::Nothing) => {}
                Ok(Filled::Closed) => return Err(Over::AgentGone),
                Err(_) => return Err(Over::Broken),
            }
        }
        self.obey()?;
        let now = clock::now();
        self.renew_early(now)?;
        self.keeper.cull(now);
        self.flush()?;
        // Of the same moment: this process may have been suspended since, and the echo of a beat from
        // after the end of a lease would bring it back.
        self.keeper.beat(now);
        Ok(())
    }

    /// If a lease has run out, renewals that had come already are taken first, also those behind starts
    /// that take long: what they echo was heard in time, or else extends nothing.
    fn renew_early(&mut self, now: Timestamp) -> Result<(), Over> {
        if !self.keeper.is_cull_due(now) {
            return Ok(());
        }
        while self.inbox.n_waiting() < READ_AHEAD_MAX {
            match self.inbox.fill(self.lifeline) {
                Ok(Filled::Some) => {}
                Ok(Filled::Nothing) => break,
                Ok(Filled::Closed) => return Err(Over::AgentGone),
                Err(_) => return Err(Over::Broken),
            }
        }
        self.keeper.renew_early(self.inbox.waiting());
        Ok(())
    }

    /// Performs some of the messages that came. Not all at once: what comes between them is due.
    fn obey(&mut self) -> Result<(), Over> {
        for n_obeyed in 0..MESSAGES_PER_TURN {
            let now = clock::now();
            if n_obeyed > 0 && self.keeper.is_beat_due(now) {
                break;
            }
            self.renew_early(now)?;
            match self.inbox.take() {
                Ok(Some((message, fds))) => self.keeper.obey(message, fds),
                Ok(None) => break,
                Err(_) => return Err(Over::Broken),
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Over> {
        self.flushed = match self.keeper.outbox.flush(self.lifeline) {
            Ok(flushed) => flushed,
            Err(Errno::PIPE | Errno::CONNRESET) => return Err(Over::AgentGone),
            Err(_) => return Err(Over::Broken),
        };
        if self.flushed == Flushed::All && self.keeper.tell_news() {
            return self.flush();
        }
        Ok(())
    }

    fn wait(&self) -> Result<Woken, Errno> {
        let wants = match self.flushed {
            Flushed::Full => PollFlags::IN | PollFlags::OUT | PollFlags::RDHUP,
            Flushed::All | Flushed::Busy => PollFlags::IN | PollFlags::RDHUP,
        };
        let mut fds =
            vec![PollFd::new(&self.lifeline, wants), PollFd::new(&self.children, PollFlags::IN)];
        fds.extend(self.agent.as_ref().map(|agent| PollFd::new(agent, PollFlags::IN)));
        let n_own = fds.len();
        // What they say is asked for in any case.
        fds.extend(self.keeper.pipes().map(|pipe| PollFd::from_borrowed_fd(pipe, PollFlags::IN)));
        // A signal hides what has come, and that goes before what is due: so it is asked again.
        while let Err(errno) = poll(&mut fds, timespec(self.patience()).as_ref()) {
            if errno != Errno::INTR {
                return Err(errno);
            }
        }
        let is_gone = PollFlags::HUP | PollFlags::RDHUP | PollFlags::ERR | PollFlags::NVAL;
        Ok(Woken {
            by_agent: fds[0].revents().contains(PollFlags::IN),
            by_children: !fds[1].revents().is_empty(),
            is_over: fds[0].revents().intersects(is_gone)
                || fds[2..n_own].iter().any(|fd| !fd.revents().is_empty()),
        })
    }

    /// How long nothing needs to be done by itself; `None` for ever.
    fn patience(&self) -> Option<Duration> {
        if self.inbox.has_frame() {
            return Some(Duration::ZERO);
        }
        let retry = (self.flushed == Flushed::Busy).then_some(RETRY_AFTER);
        let due = self.keeper.next_deadline().map(|deadline| deadline.since(clock::now()));
        retry.into_iter().chain(due).min()
    }

    /// Kills every descendant and waits until none is left. Says whether that was achieved.
    ///
    /// The agent is told of the ends as far as it still listens.
    fn purge(&mut self) -> bool {
        let give_up_at = clock::now() + PURGE_WITHIN;
        loop {
            self.keeper.kill_all();
            self.children.drain();
            self.keeper.sweep();
            // The agent may be gone: that is why we are here.
            let _told = self.flush();
            if children::is_childless() && self.keeper.clear_cgroups() {
                return true;
            }
            if clock::now() >= give_up_at {
                return false;
            }
            let mut fds = [PollFd::new(&self.children, PollFlags::IN)];
            let _woken = poll(&mut fds, timespec(Some(RETRY_AFTER)).as_ref());
        }
    }
}

/// What ended a wait.
struct Woken {
    by_agent: bool,
    by_children: bool,
    is_over: bool,
}

/// Rounds up to whole milliseconds, so that a deadline has passed when the wait is over.
fn timespec(patience: Option<Duration>) -> Option<Timespec> {
    let millis = patience?.as_nanos().div_ceil(1_000_000);
    let millis = i64::try_from(millis).unwrap_or(i64::MAX);
    Some(Timespec { tv_sec: millis / 1_000, tv_nsec: millis % 1_000 * 1_000_000 })
}

/// How many messages are performed before children, leases and beats have their turn again: each may
/// take as long as an `exec`.
const MESSAGES_PER_TURN: usize = 16;
/// How many bytes are received, and kept, in search of renewals.
const READ_AHEAD_MAX: usize = 16 << 20;
/// When to try again what the system refuses for the moment, and to look again for descendants.
const RETRY_AFTER: Duration = Duration::from_millis(5);
/// How long descendants may resist being killed.
const PURGE_WITHIN: Duration = Duration::from_secs(10);
