//! `launching`: how the processes of a mesh are started, and what they are given.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use mesh_core::{Cgroup, Echo, Epoch, Incarnation, Inherit, LaunchProblem, OwnCgroup};
use mesh_shape::Rank;
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::Hosted;
use crate::guard::wire::{CgroupOrder, Confines, ProcKey, ToGuard};
use crate::guard_link::{GuardError, GuardLink};
use crate::host::{Opening, Role};
use crate::host_agent::boot_time;
use crate::host_agent::seat::{Handles, Note, State, WorkerHandle, problem};
use crate::link::{self, Ears};
use crate::output::{Pipes, Reading};
use crate::stdin;
use crate::vigil::after;
use crate::wire::{Record, VERSION};

/// Messages to one worker that may wait before the sender does.
const WORKER_MESSAGES: usize = 16;

impl Hosted {
    /// Tells a guard of the mesh: its lease is armed before anything is started (K2). It is the first
    /// guard, or the one after so many that were lost.
    pub(crate) fn introduce(&mut self, guard: &mut GuardLink, life: Incarnation) {
        // A later guard is there because something is to be started now.
        let is_first = life == Incarnation::FIRST;
        let since = if is_first { self.opening.since } else { boot_time() };
        self.heard_at = Instant::now();
        self.life = life;
        let Opening { label, epoch, lease, heartbeat, launch, .. } = &self.opening;
        let (mesh, epoch, term, beat_every) = (label.id(), *epoch, *lease, *heartbeat);
        let open = ToGuard::Open { mesh, epoch, term, beat_every, since };
        let (command, surroundings) = (launch.launcher.command(), &launch.surroundings);
        let command = ToGuard::Command {
            mesh: label.id(),
            id: self.command,
            program: command.program.as_bytes().to_vec(),
            args: command.args.iter().map(|arg| arg.as_bytes().to_vec()).collect(),
            dir: surroundings.dir.as_ref().map(|dir| dir.as_os_str().as_bytes().to_vec()),
            inherit: inherited(&surroundings.inherit),
            confines: Confines { umask: surroundings.umask, rlimits: surroundings.rlimits.clone() },
            cgroup: ordered(&surroundings.cgroup),
        };
        self.refused = [open, command]
            .into_iter()
            .find_map(|message| guard.queue(message, Vec::new()).err())
            .map(|error| too_long(&error));
    }

    /// Starts up to `room` ranks; returns the room that is left.
    pub(crate) fn launch(&mut self, mut room: usize, mut guard: Option<&mut GuardLink>) -> usize {
        while room > 0
            && let Some(guard) = guard.as_deref_mut()
            && let Some(rank) = self.starting.pop()
        {
            let Some(seat) = self.seats.get(&rank) else { continue };
            if !matches!(seat.state, State::Queued) {
                continue; // stopped while it waited
            }
            let (key, by) = (self.key(rank, seat.incarnation), seat.by);
            let problem = match &self.refused {
                Some(problem) => Some(problem.clone()),
                None => self.launch_one(key, by, guard).err(),
            };
            match problem {
                Some(problem) => self.on_not_started(key, problem),
                None => {
                    room -= 1;
                    self.starting.begin(rank);
                }
            }
        }
        room
    }

    /// There is no guard to start anything.
    pub(crate) fn refuse_queued(&mut self, error: &GuardError) {
        while let Some(rank) = self.starting.pop() {
            if let Some(seat) = self.seats.get(&rank) {
                let key = self.key(rank, seat.incarnation);
                self.on_not_started(
                    key,
                    LaunchProblem::Os { errno: 0, message: error.to_string() },
                );
            }
        }
    }

    fn launch_one(
        &mut self,
        key: ProcKey,
        (epoch, echoed): (Epoch, Option<Echo>),
        guard: &mut GuardLink,
    ) -> Result<(), LaunchProblem> {
        let os = |error: io::Error| problem(&error);
        let (stdout, their_stdout) = pipe_with(PipeFlags::CLOEXEC).map_err(|e| os(e.into()))?;
        let (stderr, their_stderr) = pipe_with(PipeFlags::CLOEXEC).map_err(|e| os(e.into()))?;
        let suspensions = Arc::<AtomicU64>::default();
        let (worker, their_stdin) = self.open_stdin(key, &suspensions).map_err(os)?;
        let (drained, is_drained) = oneshot::channel();
        let seat = (key.rank, key.incarnation);
        let reading = Reading::start(
            &self.tools.output,
            Pipes { stdout, stderr },
            seat,
            &self.opening.sinks,
            drained,
        )
        .map_err(os)?;
        let point = self
            .opening
            .extent
            .unravel(key.rank)
            .map_err(|error| LaunchProblem::Os { errno: 0, message: error.to_string() })?;
        let seat =
            mesh_core::Seat { mesh: &self.opening.label, point, incarnation: key.incarnation };
        let mut env = self.opening.launch.launcher.env(&seat);
        env.push(self.tools.mark.variable());
        env.extend(self.notify_env().map_err(os)?);
        let env = env.iter().map(|(k, v)| (k.as_bytes().to_vec(), v.as_bytes().to_vec())).collect();
        // What another guard has said is nothing to this one.
        let echoed = echoed.filter(|echo| echo.life == self.life).map(|echo| echo.beat);
        let (command, cpu) = (self.command, self.processor_of(key.rank));
        let start = ToGuard::Start { key, epoch, echoed, command, cpu, env };
        guard
            .queue(start, vec![their_stdin, their_stdout, their_stderr])
            .map_err(|error| too_long(&error))?;
        let notes = self.tools.notes.clone();
        tokio::spawn(async move {
            let stderr = is_drained.await.unwrap_or_default();
            // An agent that is gone reports nothing.
            _ = notes.send(Note::Drained { key, stderr }).await.is_ok();
        });
        let within = self.opening.launch.role.ready_within();
        let ready_by = within.map(|within| after(Instant::now(), within));
        if let Some(seat) = self.seats.get_mut(&key.rank) {
            seat.state = State::Launching(Handles { reading, worker, ready_by, suspensions });
        }
        Ok(())
    }

    /// The processor that a rank is bound to: by its place among those of this host.
    fn processor_of(&self, rank: Rank) -> Option<u32> {
        let before = self.opening.ranks.runs_within(0..rank.index());
        let index = before.map(|run| run.len()).sum::<usize>();
        self.processors.get(index.checked_rem(self.processors.len())?).copied()
    }

    /// What the process gets as its standard input: a worker its link, a program what it is to read.
    fn open_stdin(
        &self,
        key: ProcKey,
        suspensions: &Arc<AtomicU64>,
    ) -> io::Result<(Option<WorkerHandle>, OwnedFd)> {
        match &self.opening.launch.role {
            Role::Program(role) => Ok((None, stdin::open(role.stdin.as_ref(), key.rank)?)),
            Role::Worker(role) => {
                // No owner is left to hear it: nothing is to be started for nobody.
                let news = role.news.upgrade().ok_or(io::ErrorKind::BrokenPipe)?;
                let (ours, theirs) = StdUnixStream::pair()?;
                let record = Record {
                    version: VERSION,
                    mesh: self.opening.label.clone(),
                    extent: self.opening.extent.clone(),
                    rank: key.rank,
                    incarnation: key.incarnation,
                    entry: role.entry.clone(),
                    stalled_handler: self.opening.stalled_handler,
                    seed: role.seed.clone(),
                };
                let (outbox, outgoing) = mpsc::channel(WORKER_MESSAGES);
                let (notes, roster) = (self.tools.notes.clone(), role.roster.clone());
                let suspensions = Arc::clone(suspensions);
                let ears = Ears { silence: record.stalled_handler, suspensions };
                let ends = link::Ends { key, outgoing, news, notes, roster, ears };
                link::start(ours, record, ends)?;
                Ok((Some(WorkerHandle { outbox, known: None }), theirs.into()))
            }
        }
    }
}

/// The names of the variables that are inherited; `None` for all.
fn inherited(inherit: &Inherit) -> Option<Vec<Vec<u8>>> {
    match inherit {
        Inherit::All => None,
        Inherit::Nothing => Some(Vec::new()),
        Inherit::Only(names) => Some(names.iter().map(|name| name.as_bytes().to_vec()).collect()),
    }
}

/// The cgroup that each process is to have.
fn ordered(cgroup: &Cgroup) -> Option<CgroupOrder> {
    let &Cgroup { memory_max, pids_max, .. } = cgroup;
    let is_required = match cgroup.own() {
        OwnCgroup::Never => return None,
        OwnCgroup::Auto => false,
        OwnCgroup::Always => true,
    };
    Some(CgroupOrder { is_required, memory_max, pids_max })
}

/// The only reason why a guard's link takes no message.
fn too_long(error: &GuardError) -> LaunchProblem {
    const E2BIG: i32 = 7;
    LaunchProblem::Os { errno: E2BIG, message: error.to_string() }
}
