//! What the guard does: obeys its agent, keeps the leases, tells of ends.

use std::collections::BTreeMap;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use mesh_core::{BeatSeq, Epoch, LaunchProblem, MeshId, Timestamp};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, getpid};

use super::cgroups::Cgroups;
use super::children::{Children, KILLED};
use super::clock;
use super::frames::Outbox;
use super::launching::{Launched, Launching};
use super::spawn::{CommandLine, Env, Place, Spawned, os_problem};
use super::ward::{Admission, Ward};
use super::watch::Rounds;
use super::wire::{FromGuard, ProcKey, ToGuard, VERSION};

/// The state of the guard. Nothing in it waits.
#[derive(Debug)]
pub(super) struct Keeper {
    /// What is to be told. Bounded by what was asked: a start is answered at most twice, and what
    /// comes by itself is only put in when this is empty.
    pub(super) outbox: Outbox,
    wards: BTreeMap<MeshId, Ward>,
    children: Children,
    /// Those of the children that are not their program yet.
    launching: Launching,
    cgroups: Cgroups,
    /// When children are looked at, whatever the kernel tells by itself.
    rounds: Rounds<ProcKey>,
    next_beat: BeatSeq,
    beat_at: Timestamp,
    is_paused: bool,
}

impl Keeper {
    /// The state at the start: the first message waits to be sent.
    pub(super) fn new() -> Self {
        let mut keeper = Self {
            outbox: Outbox::default(),
            wards: BTreeMap::new(),
            children: Children::default(),
            launching: Launching::default(),
            cgroups: Cgroups::default(),
            rounds: Rounds::default(),
            next_beat: BeatSeq::FIRST,
            beat_at: Timestamp::START,
            is_paused: false,
        };
        let pid = getpid().as_raw_nonzero().get().unsigned_abs();
        keeper.tell(&FromGuard::Hello { version: VERSION, pid }, None);
        keeper
    }

    /// Performs one message of the agent.
    pub(super) fn obey(&mut self, message: ToGuard, fds: Vec<OwnedFd>) {
        match message {
            ToGuard::Open { mesh, epoch, term, beat_every, since } => {
                let since = Timestamp::from_start(since);
                self.open(mesh, |now| Ward::open(since.min(now), epoch, term, beat_every));
            }
            ToGuard::Command { mesh, id, program, args, dir, inherit, confines, cgroup } => {
                if let Some(ward) = self.wards.get_mut(&mesh) {
                    let command = CommandLine::new((program, args), dir, inherit);
                    ward.commands.insert(id, command.confined(confines, cgroup));
                }
            }
            ToGuard::Start { key, epoch, echoed, command, cpu, env } => {
                self.start(key, (epoch, echoed), (command, cpu, env), fds);
            }
            ToGuard::Signal { key, signal } => {
                if let Some(signal) = Signal::from_named_raw(signal) {
                    self.children.signal(&key, signal);
                }
            }
            ToGuard::Renew { mesh, epoch, echoed } => {
                if let Some(ward) = self.wards.get_mut(&mesh) {
                    // A lower epoch changes nothing; its controller learns that from the agent.
                    let _refused = ward.lease.renewed(clock::now(), epoch, echoed);
                }
            }
            ToGuard::Pause => self.pause(),
            ToGuard::Resume => self.resume(),
            ToGuard::Close { mesh } => self.close(mesh),
        }
    }

    /// Takes from the kernel what has become of the children.
    pub(super) fn sweep(&mut self) {
        let ends = self.children.sweep();
        if ends.is_empty() {
            return;
        }
        for mut end in ends {
            if let Some(cgroup) = end.cgroup.take() {
                self.cgroups.leave(cgroup);
            }
            let launched = self.launching.ended(&end.key);
            let was_started = !matches!(launched, Some(Launched::Refused(_)));
            if let Some(launched) = launched {
                self.tell_launched(end.key, launched);
            }
            if was_started {
                self.tell(&end.into(), None);
            }
        }
        self.tell_closed();
    }

    /// Asks the kernel for what it does not tell by itself.
    pub(super) fn look(&mut self) {
        self.children.look(&mut self.rounds, clock::now());
    }

    /// Removes cgroups of processes that have ended, as far as there is time for that before the next
    /// beat. Ask only when the ends have been told.
    pub(super) fn tidy(&mut self) {
        let until = clock::now() + TIDY_FOR;
        self.cgroups.tidy(self.beat_every().map_or(until, |_| until.min(self.beat_at)));
    }

    /// Removes every cgroup, once nothing runs any more. Says whether none is left.
    pub(super) fn clear_cgroups(&mut self) -> bool {
        self.cgroups.clear()
    }

    /// Tells which processes have become their program by now, and which never will.
    pub(super) fn settle(&mut self) {
        // Their time is not running while they are suspended.
        if self.launching.is_empty() || self.is_paused {
            return;
        }
        let settled = self.launching.settle(clock::now());
        let is_any_refused = settled.iter().any(|(_, it)| matches!(it, Launched::Refused(_)));
        for (key, launched) in settled {
            if matches!(launched, Launched::Refused(_)) {
                let cgroup = self.children.abandon(&key);
                cgroup.into_iter().for_each(|cgroup| self.cgroups.leave(cgroup));
            }
            self.tell_launched(key, launched);
        }
        if is_any_refused {
            self.tell_closed();
        }
    }

    fn tell_launched(&mut self, key: ProcKey, launched: Launched) {
        match launched {
            Launched::Runs { pid, pidfd } => self.tell_started(key, pid, pidfd),
            Launched::Refused(problem) => self.tell(&FromGuard::NotStarted { key, problem }, None),
        }
    }

    fn tell_started(&mut self, key: ProcKey, pid: Pid, pidfd: OwnedFd) {
        let pid = pid.as_raw_nonzero().get().unsigned_abs();
        self.tell(&FromGuard::Started { key, pid }, Some(pidfd));
    }

    /// Takes renewals out of their turn, of controllers that are obeyed already: what they echo was heard
    /// in time, however long the starts before them take.
    pub(super) fn renew_early(&mut self, messages: impl Iterator<Item = ToGuard>) {
        for message in messages {
            if let ToGuard::Renew { mesh, epoch, .. } = message
                && self.wards.get(&mesh).is_some_and(|ward| ward.lease.epoch() == epoch)
            {
                self.obey(message, Vec::new());
            }
        }
    }

    /// Whether a lease has run out, for all that has been obeyed so far.
    pub(super) fn is_cull_due(&self, now: Timestamp) -> bool {
        self.lease_ends().any(|ends_at| now >= ends_at)
    }

    /// Kills the meshes whose lease has run out (K2).
    ///
    /// What has ended before that is told first, as it ended: this process may have been suspended
    /// when it did.
    pub(super) fn cull(&mut self, now: Timestamp) {
        if !self.is_cull_due(now) {
            return;
        }
        self.sweep();
        for (mesh, ward) in &mut self.wards {
            if !ward.is_closing && ward.lease.expire(now) {
                self.children.cull_mesh(*mesh);
            }
        }
    }

    /// Kills everything there is.
    pub(super) fn kill_all(&self) {
        self.children.kill_all();
    }

    /// Whether a beat is to be sent.
    pub(super) fn is_beat_due(&self, now: Timestamp) -> bool {
        self.beat_every().is_some() && now >= self.beat_at
    }

    /// Puts in a beat if one is due and all the rest has been sent. It counts as sent at `now`, at
    /// which no lease had run out.
    pub(super) fn beat(&mut self, now: Timestamp) {
        let Some(every) = self.beat_every().filter(|_| now >= self.beat_at) else { return };
        self.beat_at = now + every;
        if !self.outbox.is_empty() {
            return;
        }
        let seq = self.next_beat;
        self.next_beat = seq.next();
        for ward in self.wards.values_mut() {
            ward.lease.beat_sent(now, seq);
        }
        self.tell(&FromGuard::Beat { seq }, None);
    }

    /// Puts in what is new about suspended processes, and says whether there was any. Ask only when
    /// the rest has been sent.
    pub(super) fn tell_news(&mut self) -> bool {
        let news = self.children.take_news();
        for change in &news {
            self.tell(change, None);
        }
        !news.is_empty()
    }

    /// What can be read when a process has become its program, or never will.
    pub(super) fn pipes(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.launching.pipes()
    }

    /// When something is due by itself: a beat, the end of a lease, or that of patience with a launch.
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        let launches = self.launching.next_deadline().filter(|_| !self.is_paused);
        let look = (!self.children.is_empty()).then(|| self.rounds.at());
        let tidy = self.cgroups.next_deadline();
        let others = launches.into_iter().chain(look).chain(tidy);
        self.lease_ends().chain(self.beat_every().map(|_| self.beat_at)).chain(others).min()
    }

    /// When the leases end that have not run out.
    fn lease_ends(&self) -> impl Iterator<Item = Timestamp> {
        let open = self.wards.values().filter(|ward| !ward.is_closing);
        open.filter_map(|ward| ward.lease.ends_at())
    }

    fn open(&mut self, mesh: MeshId, ward: impl FnOnce(Timestamp) -> Ward) {
        let now = clock::now();
        let is_paused = self.is_paused;
        self.wards.entry(mesh).or_insert_with(|| {
            let mut ward = ward(now);
            if is_paused {
                ward.lease.pause(now);
            }
            ward
        });
        self.beat_at = now;
    }

    fn start(
        &mut self,
        key: ProcKey,
        by: (Epoch, Option<BeatSeq>),
        what: (u32, Option<u32>, Env),
        fds: Vec<OwnedFd>,
    ) {
        let Some(ward) = self.wards.get_mut(&key.mesh) else { return };
        let now = clock::now();
        let admission = ward.admit(now, &key, by);
        if self.is_paused {
            // It may run again just now.
            ward.lease.pause(now);
        }
        match admission {
            Admission::Ignore => {}
            Admission::Culled => {
                let evidence = now.since_start();
                let alive = Duration::ZERO;
                let (end, culled, oom) = (KILLED, true, false);
                let end = FromGuard::Ended { key, end, evidence, alive, culled, oom };
                self.tell(&end, None);
            }
            Admission::Start => {
                if let Err(problem) = self.launch(key, what, fds) {
                    self.tell(&FromGuard::NotStarted { key, problem }, None);
                }
            }
        }
    }

    fn launch(
        &mut self,
        key: ProcKey,
        (command, cpu, env): (u32, Option<u32>, Env),
        fds: Vec<OwnedFd>,
    ) -> Result<(), LaunchProblem> {
        // Fewer arrive if this process may open no more.
        let Ok(stdio) = <[OwnedFd; 3]>::try_from(fds) else {
            return Err(os_problem(Errno::MFILE));
        };
        let ward = self.wards.get(&key.mesh);
        let command = ward.and_then(|ward| ward.commands.get(&command)).ok_or_else(|| {
            let message = format!("command {command} was never given");
            LaunchProblem::Os { errno: Errno::INVAL.raw_os_error(), message }
        })?;
        let started_at = clock::now();
        let cgroup = match command.cgroup {
            Some(order) => self.cgroups.make(&key, order)?,
            None => None,
        };
        let place = Place { cpu, cgroup: cgroup.as_ref() };
        let spawned = match command.spawn(env, &place, stdio) {
            Ok(spawned) => spawned,
            Err(problem) => {
                cgroup.into_iter().for_each(|cgroup| self.cgroups.leave(cgroup));
                return Err(problem);
            }
        };
        self.children.insert(key, (spawned.pid, cgroup), started_at);
        self.rounds.hurry(started_at);
        if self.is_paused {
            self.children.hold();
        }
        let Spawned { pid, pidfd, report } = spawned;
        match report {
            Some(pipe) => self.launching.insert(key, (pid, pidfd), pipe, started_at),
            None => self.tell_started(key, pid, pidfd),
        }
        Ok(())
    }

    fn pause(&mut self) {
        self.is_paused = true;
        let now = clock::now();
        for ward in self.wards.values_mut() {
            ward.lease.pause(now);
        }
        self.children.hold();
    }

    fn resume(&mut self) {
        self.is_paused = false;
        let now = clock::now();
        for ward in self.wards.values_mut() {
            ward.lease.resume(now);
        }
        self.children.release();
        self.launching.resume(now);
        self.beat_at = now;
    }

    fn close(&mut self, mesh: MeshId) {
        match self.wards.get_mut(&mesh) {
            Some(ward) => {
                ward.is_closing = true;
                self.children.kill_mesh(mesh);
                self.tell_closed();
            }
            None => self.tell(&FromGuard::Closed { mesh }, None),
        }
    }

    /// Forgets the meshes that are being closed and have no process left.
    fn tell_closed(&mut self) {
        let is_closed =
            |(mesh, ward): &(&MeshId, &Ward)| ward.is_closing && self.children.none_of(**mesh);
        let closed: Vec<_> = self.wards.iter().filter(is_closed).map(|(mesh, _)| *mesh).collect();
        for mesh in closed {
            self.wards.remove(&mesh);
            self.tell(&FromGuard::Closed { mesh }, None);
        }
    }

    /// The smallest interval that an open mesh asks for; none while paused.
    fn beat_every(&self) -> Option<Duration> {
        let open = self.wards.values().filter(|ward| !ward.is_closing && !self.is_paused);
        open.map(|ward| ward.beat_every).min()
    }

    fn tell(&mut self, message: &FromGuard, fd: Option<OwnedFd>) {
        let told = self.outbox.push(message, fd.into_iter().collect());
        debug_assert!(told.is_ok(), "the longest message has one text from the system");
    }
}

/// How long cgroups may be removed before others have their turn.
const TIDY_FOR: Duration = Duration::from_millis(10);
