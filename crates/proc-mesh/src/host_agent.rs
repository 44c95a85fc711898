//! The agent of one host: carries out orders through its guard, and is the truth about its processes.
//!
//! One task on the control thread. It waits for orders, for its guard, and for what its readers and
//! worker links have to say; what it decides about each process is in [`hosted`].

mod aftermath;
mod closing;
mod hosted;
mod killed;
mod processors;
mod seat;
mod starting;
mod sweep;

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use mesh_core::{Answer, BeatSeq, Incarnation, MeshId, Order, Request};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, error, warn};

use crate::guard::wire::{FromGuard, ToGuard};
use crate::guard_link::{GuardError, GuardLink};
use crate::host::{HostOrder, Opening};
use crate::notify::Notifier;
use crate::unkillable::WhyUnkillable;
use aftermath::{Aftermath, Cleared};
use hosted::Hosted;
use killed::Killed;
pub(crate) use seat::Note;
use sweep::Mark;

/// Things that readers and links may have to say at once; they wait for room.
const NOTES: usize = 1024;

/// How many processes are being started at once.
const STARTING_MAX: usize = 64;

/// How long a guard may take to read what it is told.
const TELL: Duration = Duration::from_secs(1);

/// The agent of one host.
pub(crate) struct HostAgent {
    /// `None` after it died, until something is to be started again.
    guard: Option<GuardLink>,
    meshes: BTreeMap<MeshId, Hosted>,
    /// Who was killed and has not ended, also of meshes that are closed.
    killed: Killed,
    /// A guard has died: what it had started may have outlived it.
    has_lost_guard: bool,
    /// What is being done about that.
    aftermath: Aftermath,
    /// Which guard this is: the first, or the one after so many that were lost.
    guard_life: Incarnation,
    /// The id of the next command line told to the guard.
    next_command: u32,
    /// Since when everything is suspended, with the owner.
    paused_at: Option<Instant>,
    notes: mpsc::Receiver<Note>,
    tools: Tools,
}

/// What every hosted mesh needs of its agent.
#[derive(Clone, Debug)]
pub(crate) struct Tools {
    /// Where output is read.
    pub(crate) output: Handle,
    /// Where readers and links say what they have to say.
    pub(crate) notes: mpsc::Sender<Note>,
    /// Where programs speak for themselves; opened when the first is to.
    pub(crate) notifier: Arc<OnceLock<Notifier>>,
    /// What every process of this host has in its environment.
    pub(crate) mark: Mark,
}

impl Tools {
    /// Where programs speak for themselves.
    ///
    /// # Errors
    ///
    /// If there is no socket to be had.
    pub(crate) fn notifier(&self) -> std::io::Result<&Notifier> {
        if self.notifier.get().is_none() {
            let new = Notifier::start(&self.output, self.notes.clone())?;
            // There is one agent, so nobody was faster.
            _ = self.notifier.set(new).is_ok();
        }
        self.notifier.get().ok_or_else(|| std::io::ErrorKind::NotConnected.into())
    }
}

/// What the agent woke up for.
enum Woken {
    Order(Option<HostOrder>),
    Guard(Result<(FromGuard, Vec<OwnedFd>), GuardError>),
    Note(Note),
    Cleared(Cleared),
    Due,
}

impl HostAgent {
    pub(crate) fn new(guard: GuardLink, output: Handle) -> Self {
        let (sender, notes) = mpsc::channel(NOTES);
        let notifier = Arc::default();
        let tools = Tools { output, notes: sender, notifier, mark: Mark::new() };
        Self {
            guard: Some(guard),
            meshes: BTreeMap::new(),
            killed: Killed::default(),
            has_lost_guard: false,
            aftermath: Aftermath::default(),
            guard_life: Incarnation::FIRST,
            next_command: 0,
            paused_at: None,
            notes,
            tools,
        }
    }

    /// Serves until it is closed, or everybody who could give orders has gone. Either way the guard
    /// goes with it, and with the guard whatever still runs.
    pub(crate) async fn run(mut self, mut orders: mpsc::Receiver<HostOrder>) {
        loop {
            let due = self.next_deadline();
            let woken = tokio::select! {
                // The guard first: what has ended is known before anything new is done.
                biased;
                message = recv(self.guard.as_mut()) => Woken::Guard(message),
                Some(note) = self.notes.recv() => Woken::Note(note),
                order = orders.recv() => Woken::Order(order),
                cleared = self.aftermath.next() => Woken::Cleared(cleared),
                () = sleep_until_or_never(due) => Woken::Due,
            };
            match woken {
                Woken::Guard(Ok((message, fds))) => self.on_guard(message, fds),
                Woken::Guard(Err(error)) => self.on_guard_lost(&error),
                Woken::Note(note) => self.on_note(note),
                Woken::Cleared(cleared) => self.on_cleared(cleared).await,
                Woken::Order(Some(HostOrder::Close { closed })) => {
                    if self.close(closed).await {
                        self.serve_closed(orders).await;
                    }
                    return;
                }
                Woken::Order(Some(order)) => self.on_order(order).await,
                Woken::Order(None) => return,
                Woken::Due => self.on_due(Instant::now()),
            }
            self.launch();
            for hosted in self.meshes.values_mut() {
                self.killed.extend(hosted.take_killed());
                hosted.flush_if_due();
            }
        }
    }

    /// While everything is suspended, nobody is late in being ready.
    fn next_deadline(&self) -> Option<Instant> {
        let is_room_wanted = self.meshes.values().any(Hosted::waits_for_room);
        let of_meshes = self.meshes.values().filter(|_| self.paused_at.is_none());
        let due = of_meshes.filter_map(|hosted| hosted.next_deadline(is_room_wanted));
        let untold = self.meshes.values().filter_map(Hosted::flush_due);
        due.chain(untold).chain(self.killed.next_deadline()).min()
    }

    fn on_due(&mut self, now: Instant) {
        if self.paused_at.is_none() {
            self.each_mesh(|hosted, guard| hosted.on_due(now, guard));
        }
        let look = |pid| WhyUnkillable::of(Path::new("/proc"), pid);
        for (key, why) in self.killed.on_due(now, look) {
            self.hosted(key.mesh, |hosted| hosted.tell_resisting(key, &why));
        }
    }

    async fn on_order(&mut self, order: HostOrder) {
        match order {
            HostOrder::Open(opening) => self.open(*opening),
            HostOrder::Perform { mesh, request } => self.perform(mesh, request).await,
            HostOrder::Send { mesh, rank, message, sent } => match self.meshes.get_mut(&mesh) {
                Some(hosted) => hosted.send(rank, message, sent),
                None => _ = sent.send(Err(message)).is_ok(),
            },
            HostOrder::Pids { mesh, pids } => {
                let seats = self.meshes.get(&mesh).map(Hosted::pids).unwrap_or_default();
                // Whoever asked may have gone.
                _ = pids.send(seats).is_ok();
            }
            HostOrder::Suspend { is_suspended, told } => self.suspend(is_suspended, told).await,
            HostOrder::LetGo { mesh } => {
                if let Some(hosted) = self.meshes.get_mut(&mesh) {
                    hosted.let_go(self.guard.as_mut());
                }
            }
            HostOrder::CloseMesh { mesh } => {
                if let Some(hosted) = self.meshes.remove(&mesh) {
                    self.killed.extend(hosted.into_victims());
                    self.tell_guard(ToGuard::Close { mesh });
                }
            }
            HostOrder::Close { closed } => drop(closed),
        }
    }

    fn open(&mut self, opening: Opening) {
        let command = self.next_command;
        self.next_command = self.next_command.wrapping_add(1);
        let mut hosted = Hosted::new(opening, command, self.tools.clone());
        if let Some(guard) = &mut self.guard {
            hosted.introduce(guard, self.guard_life);
        }
        self.meshes.insert(hosted.id(), hosted);
    }

    async fn perform(&mut self, mesh: MeshId, request: Request) {
        let Some(hosted) = self.meshes.get_mut(&mesh) else { return };
        match request.order {
            Order::Start { ranks, incarnation, echoed } => {
                hosted.start(&ranks, incarnation, (request.epoch, echoed));
                self.revive_guard().await;
            }
            Order::Stop { ranks, incarnation } => {
                hosted.stop(&ranks, incarnation, self.guard.as_mut());
            }
            Order::Kill { ranks, incarnation } => {
                hosted.kill(&ranks, incarnation, self.guard.as_mut());
            }
            Order::Poll => hosted.poll(self.guard.is_some()),
            // An echo of what another guard has said renews nothing.
            Order::Renew { echoed } if echoed.life != self.guard_life => {}
            Order::Renew { echoed } => {
                let echoed = echoed.beat;
                self.tell_guard(ToGuard::Renew { mesh, epoch: request.epoch, echoed });
            }
        }
    }

    /// A guard that died is replaced when there is something to start, and what it has left is ended.
    async fn revive_guard(&mut self) {
        let is_wanted = self.meshes.values().any(Hosted::waits_for_room);
        if self.guard.is_some() || self.aftermath.is_ending() || !is_wanted {
            return;
        }
        match GuardLink::start(Path::new("/proc/self/exe")).await {
            Ok(mut guard) => {
                self.guard_life = self.guard_life.next();
                for hosted in self.meshes.values_mut() {
                    hosted.introduce(&mut guard, self.guard_life);
                }
                self.guard = Some(guard);
            }
            Err(error) => self.each_mesh(|hosted, _| hosted.refuse_queued(&error)),
        }
    }

    fn on_guard(&mut self, message: FromGuard, fds: Vec<OwnedFd>) {
        let now = Instant::now();
        self.each_mesh(|hosted, _| hosted.heard(now));
        match message {
            FromGuard::Hello { .. } => (),
            FromGuard::Beat { seq } => self.on_beat(seq),
            FromGuard::Closed { mesh } => debug!(%mesh, "the guard has closed a mesh"),
            FromGuard::Started { key, pid } => {
                if let Some(hosted) = self.meshes.get_mut(&key.mesh) {
                    hosted.on_started(key, pid, fds.into_iter().next());
                }
            }
            FromGuard::NotStarted { key, problem } => {
                self.hosted(key.mesh, |hosted| hosted.on_not_started(key, problem));
            }
            FromGuard::Suspended { key, signal } => {
                self.hosted(key.mesh, |hosted| hosted.on_suspended(key, signal));
            }
            FromGuard::Continued { key } => {
                self.hosted(key.mesh, |hosted| hosted.on_continued(key));
            }
            FromGuard::DumpingCore { key } => {
                self.hosted(key.mesh, |hosted| hosted.on_dumping_core(key));
            }
            FromGuard::Ended { key, end, evidence, alive, culled, oom } => {
                self.killed.ended(&key);
                let end = seat::RawEnd { end, evidence, alive, culled, oom };
                self.hosted(key.mesh, |hosted| hosted.on_ended(key, end));
            }
        }
    }

    /// The guard lives, and so does this agent: every controller may know.
    fn on_beat(&mut self, beat: BeatSeq) {
        self.each_mesh(|hosted, _| {
            // A controller that is behind will echo the next one.
            _ = hosted
                .answers()
                .send(Answer::Heard { agent: hosted.agent(), life: hosted.life(), beat })
                .is_ok();
        });
    }

    /// Without its guard nobody can say how the processes ended: they are ended for certain, and so
    /// is what they had started. That they are lost is told when that is done.
    fn on_guard_lost(&mut self, error: &GuardError) {
        warn!(%error, "the guard is gone: its processes are killed, and lost");
        self.guard = None;
        self.has_lost_guard = true;
        self.each_mesh(|hosted, _| hosted.kill_unguarded());
        self.aftermath.begin(&self.tools.mark);
    }

    async fn on_cleared(&mut self, cleared: Cleared) {
        match cleared {
            Cleared::Processes { is_clean } => {
                if !is_clean {
                    error!("processes that a guard left behind could not be killed");
                }
                self.each_mesh(|hosted, _| hosted.on_guard_lost());
                // There is no guard to tell of their ends.
                self.killed.forget();
                self.revive_guard().await;
            }
            Cleared::Cgroups { is_clean: true } => {}
            Cleared::Cgroups { is_clean: false } => {
                warn!("cgroups that a guard left behind could not be removed");
            }
        }
    }

    fn on_note(&mut self, note: Note) {
        self.hosted(note.mesh(), |hosted| hosted.on_note(note));
    }

    /// Starts what waits to be started, as far as the bound allows.
    fn launch(&mut self) {
        if self.aftermath.is_ending() {
            return;
        }
        let mut room =
            STARTING_MAX.saturating_sub(self.meshes.values().map(Hosted::n_starting).sum());
        for hosted in self.meshes.values_mut() {
            room = hosted.launch(room, self.guard.as_mut());
        }
    }

    async fn suspend(&mut self, is_suspended: bool, told: oneshot::Sender<()>) {
        self.tell_guard(if is_suspended { ToGuard::Pause } else { ToGuard::Resume });
        if is_suspended {
            self.paused_at.get_or_insert_with(Instant::now);
        } else if let Some(since) = self.paused_at.take() {
            let gap = since.elapsed();
            self.each_mesh(|hosted, _| hosted.on_resumed(gap));
        }
        if let Some(guard) = &mut self.guard {
            // A guard that does not read is silent, and found out by that.
            _ = timeout(TELL, guard.flush()).await.is_ok();
        }
        _ = told.send(()).is_ok();
    }

    fn tell_guard(&mut self, message: ToGuard) {
        tell(self.guard.as_mut(), message);
    }

    fn hosted(&mut self, mesh: MeshId, act: impl FnOnce(&mut Hosted)) {
        if let Some(hosted) = self.meshes.get_mut(&mesh) {
            act(hosted);
        }
    }

    fn each_mesh(&mut self, mut act: impl FnMut(&mut Hosted, Option<&mut GuardLink>)) {
        for hosted in self.meshes.values_mut() {
            act(hosted, self.guard.as_mut());
        }
    }
}

/// Puts a message that owns no descriptors into the guard's queue, if there is a guard.
pub(crate) fn tell(guard: Option<&mut GuardLink>, message: ToGuard) {
    if let Some(guard) = guard
        && let Err(error) = guard.queue(message, Vec::new())
    {
        warn!(%error, "the guard was not told");
    }
}

async fn recv(guard: Option<&mut GuardLink>) -> Result<(FromGuard, Vec<OwnedFd>), GuardError> {
    match guard {
        Some(guard) => guard.recv().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until_or_never(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// The agent's clock: one that also counts suspend, and is that of the guard.
pub(crate) fn boot_time() -> Duration {
    crate::guard::clock::now().since_start()
}
