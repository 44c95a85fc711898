//! One mesh on one host: what each order, and each word of the guard, means for its ranks.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use controller::Reporter;
use mesh_core::{
    AgentId, Answer, Answers, Bind, Echo, Epoch, Incarnation, LaunchProblem, MeshId, Timestamp,
    Undelivered, Update,
};
use mesh_shape::{Rank, RankSet};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::debug;

use crate::guard::wire::{End, ProcKey, ToGuard};
use crate::guard_link::GuardLink;
use crate::host::{Opening, ProcSeat};
use crate::host_agent::killed::Victim;
use crate::host_agent::seat::{Note, Process, RawEnd, Seat, State};
use crate::host_agent::starting::Starting;
use crate::host_agent::{Tools, boot_time, processors, tell};
use crate::report::{HowEnded, ProcEnd, ProcKind, ProcReport};
use crate::vigil::after;

mod hangs;
mod killing;
mod launching;
mod notified;

const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;
const SIGCONT: i32 = 18;

/// A guard that has left out more beats than that is silent. Silence is suspect after three.
const BEATS_MISSED_MAX: u32 = 2;

/// The ranks of one mesh that live on this host.
pub(crate) struct Hosted {
    opening: Opening,
    /// The id by which the guard knows the command line.
    command: u32,
    /// Why the guard does not know it.
    refused: Option<LaunchProblem>,
    seats: BTreeMap<Rank, Seat>,
    /// No later than when the first rank must be ready: found anew when it has come, so that not every rank is
    /// looked at for each word of the guard.
    ready_by: Option<Instant>,
    starting: Starting,
    reporter: Reporter<ProcKind>,
    /// Which guard answers for the ranks: a new one knows nothing of what the last one kept.
    life: Incarnation,
    /// When the guard last said something.
    heard_at: Instant,
    /// Who was killed since that was last asked.
    killed: Vec<Victim>,
    tools: Tools,
    /// The processors that ranks are bound to in turn; none if they are not.
    processors: Vec<u32>,
    /// Nothing is started there any more, and why.
    closed: Option<HowEnded>,
}

impl Hosted {
    pub(crate) fn new(opening: Opening, command: u32, tools: Tools) -> Self {
        let reporter = Reporter::new(ProcKind, opening.ranks.clone(), ProcReport::Absent);
        let processors = match opening.launch.surroundings.bind {
            Bind::None => Vec::new(),
            Bind::Core => processors::allowed(),
        };
        Self {
            processors,
            opening,
            command,
            refused: None,
            seats: BTreeMap::new(),
            ready_by: None,
            starting: Starting::default(),
            reporter,
            life: Incarnation::FIRST,
            heard_at: Instant::now(),
            killed: Vec::new(),
            tools,
            closed: None,
        }
    }

    pub(crate) fn id(&self) -> MeshId {
        self.opening.label.id()
    }

    pub(crate) const fn agent(&self) -> AgentId {
        self.opening.agent
    }

    pub(crate) const fn life(&self) -> Incarnation {
        self.life
    }

    pub(crate) const fn answers(&self) -> &Answers<ProcReport> {
        &self.opening.answers
    }

    /// How many are being started.
    pub(crate) fn n_starting(&self) -> usize {
        self.starting.n_begun()
    }

    /// Puts ranks in the queue of those to be started. A life that was begun already is left alone.
    pub(crate) fn start(
        &mut self,
        ranks: &RankSet,
        incarnation: Incarnation,
        by: (Epoch, Option<Echo>),
    ) {
        for rank in ranks.iter() {
            if self.seats.get(&rank).is_some_and(|seat| seat.incarnation >= incarnation) {
                continue;
            }
            self.seats.insert(rank, Seat::queued(incarnation, by));
            match self.closed.clone() {
                Some(how) => self.end_unbegun(self.key(rank, incarnation), how),
                None => self.starting.push(rank),
            }
        }
    }

    /// Asks ranks to end.
    pub(crate) fn stop(
        &mut self,
        ranks: &RankSet,
        incarnation: Incarnation,
        mut guard: Option<&mut GuardLink>,
    ) {
        for rank in ranks.iter() {
            self.press(rank, incarnation, false, guard.as_deref_mut());
        }
    }

    /// Ends ranks.
    pub(crate) fn kill(
        &mut self,
        ranks: &RankSet,
        incarnation: Incarnation,
        mut guard: Option<&mut GuardLink>,
    ) {
        for rank in ranks.iter() {
            self.press(rank, incarnation, true, guard.as_deref_mut());
        }
    }

    fn press(
        &mut self,
        rank: Rank,
        incarnation: Incarnation,
        is_kill: bool,
        guard: Option<&mut GuardLink>,
    ) {
        let key = self.key(rank, incarnation);
        let Some(seat) = self.seats.get_mut(&rank).filter(|seat| seat.incarnation == incarnation)
        else {
            return;
        };
        match seat.state {
            State::Queued => self.end_unbegun(key, HowEnded::Cancelled),
            // Also before the guard says that it is there: its program may be long in coming.
            State::Launching(_) | State::Up(..) => {
                seat.sent.mark(is_kill);
                self.signal(guard, key, is_kill);
            }
            State::Draining { .. } | State::Ended => (),
        }
    }

    pub(crate) fn on_started(&mut self, key: ProcKey, pid: u32, pidfd: Option<OwnedFd>) {
        let Some(seat) = self.live_seat(key) else { return };
        let state = std::mem::replace(&mut seat.state, State::Ended);
        let State::Launching(mut handles) = state else {
            seat.state = state;
            return;
        };
        // A worker may have said so before the guard said that it is there.
        let is_ready = handles.ready_by.is_none();
        let ready_by = handles.ready_by;
        let suspensions = Arc::clone(&handles.suspensions);
        if let Some(known) = handles.worker.as_mut().and_then(|worker| worker.known.take()) {
            _ = known.send(()).is_ok();
        }
        seat.state = State::Up(Process::new(pid, pidfd, boot_time()), handles);
        if seat.sent.kill {
            // It has been told already, but whose end that is was not known.
            let victim = self.victim(key.rank, Instant::now());
            self.killed.extend(victim);
        }
        self.ready_by = [self.ready_by, ready_by].into_iter().flatten().min();
        self.listen(pid, key, suspensions);
        let report = if is_ready {
            self.starting.done(key.rank);
            ProcReport::Ready
        } else {
            self.starting.runs(key.rank, Instant::now());
            ProcReport::Starting
        };
        self.report(key, boot_time(), report);
    }

    pub(crate) fn on_not_started(&mut self, key: ProcKey, problem: LaunchProblem) {
        let program = self.opening.launch.launcher.command().program.to_string_lossy().into_owned();
        let how = HowEnded::NotStarted { program, problem };
        self.end(key, how, boot_time(), Duration::ZERO);
    }

    pub(crate) fn on_dumping_core(&mut self, key: ProcKey) {
        if let Some(seat) = self.live_seat(key) {
            seat.is_dumping = true;
            self.report(key, boot_time(), ProcReport::DumpingCore);
        }
    }

    pub(crate) fn on_ended(&mut self, key: ProcKey, raw: RawEnd) {
        let is_killed = self.live_seat(key).is_some_and(|seat| seat.is_killed());
        let how = match raw.end {
            _ if raw.culled => HowEnded::Culled,
            // Of two who have killed it, we know that we did.
            _ if raw.oom && !is_killed => HowEnded::OutOfMemory,
            End::Exited { code } => HowEnded::Exited { code },
            End::Signaled { signal, core } => HowEnded::Signaled { signal, core },
        };
        self.end(key, how, raw.evidence, raw.alive);
    }

    /// Nobody reaps them for us any more, and nobody can say how they end: they are killed. Those that
    /// waited to be started are lost at once.
    pub(crate) fn kill_unguarded(&mut self) {
        self.seats.values().filter_map(Seat::process).for_each(Process::kill);
        self.lose(|state| matches!(state, State::Queued));
    }

    /// They have been killed, and nobody knows how they have ended. Those that wait by now do so for the
    /// next guard.
    pub(crate) fn on_guard_lost(&mut self) {
        self.starting.forget();
        self.lose(|state| matches!(state, State::Launching(_) | State::Up(..)));
    }

    /// The host is closed, and nothing that it ran is left: who has not ended has by that, and nobody begins again.
    pub(crate) fn on_host_closed(&mut self) {
        self.starting.forget();
        self.close(HowEnded::HostClosed);
        self.end_all(|_| true, &HowEnded::HostClosed);
    }

    /// Nobody begins again, also who was to.
    fn close(&mut self, how: HowEnded) {
        _ = self.closed.get_or_insert(how);
        let now = Timestamp::from_start(boot_time());
        let ended = self.seats.iter().filter(|(_, seat)| matches!(seat.state, State::Ended));
        let ended: Vec<_> = ended.map(|(rank, seat)| self.key(*rank, seat.incarnation)).collect();
        for key in ended {
            let told = self.reporter.newest(key.rank, now);
            if let Some(Update { report: ProcReport::Ended(end), age, .. }) = told {
                // How it ended was seen when it was.
                let seen = boot_time().saturating_sub(age);
                self.report(key, seen, ProcReport::EndedForGood(end));
            }
        }
    }

    /// Whether output is still read of a process that has ended.
    pub(crate) fn is_draining(&self) -> bool {
        self.seats.values().any(|seat| matches!(seat.state, State::Draining { .. }))
    }

    /// What is still read is waited for no longer.
    pub(crate) fn end_rest(&mut self) {
        let draining =
            self.seats.iter().filter(|(_, it)| matches!(it.state, State::Draining { .. }));
        let draining: Vec<_> = draining.map(|(rank, it)| self.key(*rank, it.incarnation)).collect();
        draining.into_iter().for_each(|key| self.report_end(key, Vec::new()));
    }

    fn lose(&mut self, is_lost: impl Fn(&State) -> bool) {
        self.end_all(is_lost, &HowEnded::GuardLost);
    }

    fn end_all(&mut self, is_lost: impl Fn(&State) -> bool, how: &HowEnded) {
        let lost = self.seats.iter().filter(|(_, seat)| is_lost(&seat.state));
        let lost: Vec<ProcKey> =
            lost.map(|(rank, seat)| self.key(*rank, seat.incarnation)).collect();
        for key in lost {
            let process = self.live_seat(key).and_then(|seat| seat.process());
            let alive = process
                .map_or(Duration::ZERO, |process| boot_time().saturating_sub(process.started_at));
            self.end(key, how.clone(), boot_time(), alive);
        }
    }

    pub(crate) fn on_note(&mut self, note: Note) {
        match note {
            Note::Drained { key, stderr } => self.report_end(key, stderr),
            Note::Ready { key, known } => self.on_ready(key, known),
            Note::Hangs { key, stall } => self.on_hangs(key, stall),
            Note::Notified { key, news } => self.on_notified(key, news),
        }
    }

    /// A worker is ready. Nobody hears of it before its process is known, so that whoever sees it run
    /// can find it.
    fn on_ready(&mut self, key: ProcKey, known: oneshot::Sender<()>) {
        let Some(seat) = self.live_seat(key) else {
            // It has ended since; what it said before is heard all the same.
            _ = known.send(()).is_ok();
            return;
        };
        let is_known = seat.process().is_some();
        let Some(handles) = seat.handles() else { return };
        handles.ready_by = None;
        let Some(worker) = handles.worker.as_mut() else { return };
        if is_known {
            self.starting.done(key.rank);
            // What it had said before it was suspended, or hit by a fatal signal, does not make it run.
            self.report_life(key);
            // A link that has ended does not wait.
            _ = known.send(()).is_ok();
        } else {
            worker.known = Some(known);
        }
    }

    /// Those that had to be ready by now are killed.
    pub(crate) fn on_due(&mut self, now: Instant, mut guard: Option<&mut GuardLink>) {
        self.starting.on_due(now);
        let Some(within) = self.opening.launch.role.ready_within() else { return };
        if self.ready_by.is_none_or(|at| at > now) {
            return;
        }
        let (id, mut late) = (self.opening.label.id(), Vec::new());
        for (rank, seat) in &mut self.seats {
            if seat.ready_by().is_none_or(|at| at > now) {
                continue;
            }
            if let Some(handles) = seat.handles() {
                handles.ready_by = None;
            }
            _ = seat.verdict.get_or_insert(HowEnded::NotReady { within });
            late.push(ProcKey { mesh: id, rank: *rank, incarnation: seat.incarnation });
        }
        self.ready_by = self.seats.values().filter_map(Seat::ready_by).min();
        for key in late {
            self.signal(guard.as_deref_mut(), key, true);
        }
    }

    /// Whether ranks wait for room to be started.
    pub(crate) fn waits_for_room(&self) -> bool {
        self.starting.waits()
    }

    /// When something is due by itself. `is_room_wanted`: ranks wait to be started, be it of another mesh.
    pub(crate) fn next_deadline(&self, is_room_wanted: bool) -> Option<Instant> {
        self.opening.launch.role.ready_within()?;
        let room = self.starting.next_room().filter(|_| is_room_wanted);
        [self.ready_by, room].into_iter().flatten().min()
    }

    /// When what was seen is to be told, while something else was told just now.
    pub(crate) fn flush_due(&self) -> Option<Instant> {
        let due = self.reporter.send_due()?.since_start();
        Some(after(Instant::now(), due.saturating_sub(boot_time())))
    }

    /// Sends what the controller has not had, but what was seen right after something was sent: of many processes that
    /// end at once it hears together (H6).
    pub(crate) fn flush_if_due(&mut self) {
        if self.reporter.is_due(Timestamp::from_start(boot_time())) {
            self.flush();
        }
    }

    /// The owner was suspended for so long, and so was every process: nobody could become ready.
    pub(crate) fn on_resumed(&mut self, gap: Duration) {
        self.ready_by = self.ready_by.map(|at| after(at, gap));
        for handles in self.seats.values_mut().filter_map(Seat::handles) {
            handles.ready_by = handles.ready_by.map(|at| after(at, gap));
        }
    }

    /// A message to a worker; it comes back if the worker is not there.
    pub(crate) fn send(
        &mut self,
        rank: Rank,
        message: Vec<u8>,
        sent: oneshot::Sender<Result<Incarnation, Vec<u8>>>,
    ) {
        let outbox = self.seats.get_mut(&rank).and_then(|seat| {
            let incarnation = seat.incarnation;
            Some((incarnation, seat.handles()?.worker.as_ref()?.outbox.clone()))
        });
        let Some((incarnation, outbox)) = outbox else {
            _ = sent.send(Err(message)).is_ok();
            return;
        };
        // Whoever sends waits for the answer, so that as many wait here as send.
        tokio::spawn(async move {
            let result = outbox.send(message).await;
            _ = sent.send(result.map(|()| incarnation).map_err(|refused| refused.0)).is_ok();
        });
    }

    pub(crate) fn pids(&self) -> Vec<ProcSeat> {
        let up = |(rank, seat): (&Rank, &Seat)| {
            let (rank, incarnation) = (*rank, seat.incarnation);
            seat.process().map(|process| ProcSeat { rank, incarnation, pid: process.pid })
        };
        self.seats.iter().filter_map(up).collect()
    }

    /// Sends what the controller has not had. What it does not take is kept.
    pub(crate) fn flush(&mut self) {
        let reports = self.reporter.take_unsent(Timestamp::from_start(boot_time()));
        let answer = Answer::Reported { agent: self.agent(), life: self.life, reports };
        if let Err(Undelivered::Full(Answer::Reported { reports, .. })) =
            self.answers().send(answer)
        {
            self.reporter.keep(&reports);
        }
    }

    /// The guard has said something.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.heard_at = now;
    }

    /// Whether a guard that lives would have said something by now.
    fn is_deaf(&self) -> bool {
        self.heard_at.elapsed() > self.opening.heartbeat * BEATS_MISSED_MAX
    }

    /// Says everything: what was not taken yet is in it. While its guard is silent an agent is silent
    /// too: it does not know how its processes are, and what it said would pass for a sign of life.
    pub(crate) fn poll(&self, is_guarded: bool) {
        if is_guarded && self.is_deaf() {
            debug!(mesh = %self.opening.label, "the guard is silent, a poll is not answered");
            return;
        }
        let (agent, reports) =
            (self.agent(), self.reporter.poll(Timestamp::from_start(boot_time())));
        let answer = Answer::Reported { agent, life: self.life, reports };
        if self.answers().send(answer).is_err() {
            debug!(mesh = %self.opening.label, "the answer to a poll was not taken");
        }
    }

    /// Ends who was not even given to the guard.
    fn end_unbegun(&mut self, key: ProcKey, how: HowEnded) {
        self.end(key, how, boot_time(), Duration::ZERO);
    }

    fn end(&mut self, key: ProcKey, how: HowEnded, evidence: Duration, alive: Duration) {
        let last_words = self.hear_out(key);
        let Some(seat) = self.live_seat(key) else { return };
        seat.last_words = last_words;
        let has_output = seat.end(how, evidence, alive);
        self.starting.done(key.rank);
        if !has_output {
            self.report_end(key, Vec::new());
        }
    }

    /// Numbers what was seen of a rank; nobody waits for it here.
    fn report(&mut self, key: ProcKey, evidence: Duration, report: ProcReport) {
        let evidence = Timestamp::from_start(evidence);
        _ = self.reporter.report(key.rank, key.incarnation, evidence, report);
    }

    /// The last report of a life, once its output has been read.
    fn report_end(&mut self, key: ProcKey, mut stderr: Vec<String>) {
        let Some(seat) = self.seats.get_mut(&key.rank) else { return };
        if seat.incarnation != key.incarnation {
            return;
        }
        let sent = seat.sent;
        stderr.extend(seat.last_words.take().map(|words| format!("(notified: {words})")));
        if let State::Draining { how, evidence, alive } =
            std::mem::replace(&mut seat.state, State::Ended)
        {
            let end = Arc::new(ProcEnd { how, sent, alive, stderr });
            let report = match self.closed {
                Some(_) => ProcReport::EndedForGood(end),
                None => ProcReport::Ended(end),
            };
            self.report(key, evidence, report);
        }
    }

    fn key(&self, rank: Rank, incarnation: Incarnation) -> ProcKey {
        ProcKey { mesh: self.id(), rank, incarnation }
    }

    /// The seat of this very life, if it has not ended.
    fn live_seat(&mut self, key: ProcKey) -> Option<&mut Seat> {
        self.seats
            .get_mut(&key.rank)
            .filter(|seat| seat.incarnation == key.incarnation && seat.is_live())
    }
}

/// `SIGTERM`, and `SIGCONT` after it, since a suspended process would not see it otherwise.
fn signal(mut guard: Option<&mut GuardLink>, key: ProcKey, is_kill: bool) {
    let signals: &[i32] = if is_kill { &[SIGKILL] } else { &[SIGTERM, SIGCONT] };
    for signal in signals {
        tell(guard.as_deref_mut(), ToGuard::Signal { key, signal: *signal });
    }
}
