//! Ranks that this process starts and ends by itself: all of an agent's work but that.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use controller::{Config, Controlled, Controller, Reporter, Spec, SpecError};
use mesh_core::{
    Agents, Answer, Answers, Epoch, Incarnation, MeshId, MeshLabel, Order, Request, Status,
};
use mesh_shape::{Extent, Rank, RankSet, Region};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::shell::Setup;

mod life;
mod voice;

use life::{LastWord, Teller};
pub use life::{Life, RankOrder, panic_reason};
use voice::Voice;

/// Ranks that this process starts and ends by itself; [`Setup::local`] supervises them.
///
/// # Examples
///
/// `examples/tasks.rs` and `examples/services.rs` are whole programs. The smallest one:
///
/// ```
/// use controller::Config;
/// use controller::mesh_core::Status;
/// use controller::mesh_shape::extent;
/// use supervise::{Life, Local, LocalRanks, Setup};
///
/// /// Is lit until it is asked to end.
/// async fn shine(mut lamp: Life<Local>) -> Status {
///     lamp.report(Status::Running);
///     lamp.ordered().await;
///     Status::Stopped
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let ranks = LocalRanks { kind: Local, unknown: Status::NotExist, live: shine };
/// let setup = Setup::local("street", extent!(lamps = 4)?, Config::local(), ranks)?;
/// let (supervision, run) = supervise::supervise(setup);
/// tokio::spawn(run);
///
/// let state = supervision.controller.stop(std::time::Duration::from_secs(1)).await?;
/// assert!(state.ranks.iter().all(|rank| rank.status == Status::Stopped));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LocalRanks<C: Controlled, F> {
    /// What the reports mean.
    pub kind: C,
    /// The report about a rank that was not started, or whose `live` has panicked. It means
    /// [`Status::NotExist`](mesh_core::Status::NotExist).
    pub unknown: C::Report,
    /// Lives one life of one rank: starts it, reports what is seen of it, ends it as ordered, and
    /// returns the last report, which is terminal.
    ///
    /// The future is dropped when the mesh is, and whatever it has started must end with it (C2): keep
    /// that in something whose `Drop` ends it.
    pub live: F,
}

/// A kind whose reports are in the controller's own words: for agents that know enough to use them.
#[derive(Clone, Copy, Debug)]
pub struct Local;

impl Controlled for Local {
    type Report = Status;
    const KIND: &'static str = "local";

    fn status(&self, report: &Status) -> Status {
        report.clone()
    }
}

/// The agent of [`LocalRanks`].
///
/// It beats, so that it is not silent; it answers polls, numbers the reports, tells what many ranks do at once in few
/// messages (H6), and sends again what the controller had no room for; it refuses a lower epoch, and swallows orders that
/// were performed before or are about another life than the present one. It keeps no lease: its ranks end with it.
///
/// # Bounds
///
/// One task and the newest report for each rank, and one task for the beats.
pub struct LocalAgent<C: Controlled, F> {
    reporter: Arc<Mutex<Reporter<C>>>,
    clock: Clock,
    unknown: C::Report,
    live: F,
    heartbeat: Duration,
    /// The highest epoch heard; lower ones are refused.
    epoch: Epoch,
    present: BTreeMap<Rank, Present>,
    lives: JoinSet<()>,
    /// One task once the first request has come.
    beats: JoinSet<()>,
    /// Something waits to be said with them.
    waits: Arc<Notify>,
}

/// The present life of a rank, and what was ordered of it last.
struct Present {
    incarnation: Incarnation,
    order: watch::Sender<Option<RankOrder>>,
}

impl<C, F> Setup<C, LocalAgent<C, F>>
where
    C: Controlled + Clone,
{
    /// A new mesh of ranks that this process starts and ends by itself, with one agent. Its kind is
    /// [`C::KIND`](Controlled::KIND).
    ///
    /// # Errors
    ///
    /// - [`SpecError::Config`] if times or restarts cannot hold together.
    /// - [`SpecError::Name`] if the mesh has a name that none may have.
    pub fn local(
        name: &str,
        extent: Extent,
        config: Config,
        ranks: LocalRanks<C, F>,
    ) -> Result<Self, SpecError> {
        Self::local_drawn(name, extent, (config, ranks), random)
    }

    /// The same, where what is random is drawn by `bits`: for simulations, which are to be repeated. Whoever
    /// draws the same twice has two meshes with one identity.
    ///
    /// # Errors
    ///
    /// - [`SpecError::Config`] if times or restarts cannot hold together.
    /// - [`SpecError::Name`] if the mesh has a name that none may have.
    pub fn local_drawn(
        name: &str,
        extent: Extent,
        (config, ranks): (Config, LocalRanks<C, F>),
        mut bits: impl FnMut() -> u64,
    ) -> Result<Self, SpecError> {
        let (high, low) = (bits(), bits());
        let id = MeshId::from_random(u128::from(high) << 64 | u128::from(low));
        let all = extent.ranks();
        let spec = Spec {
            mesh: MeshLabel::new(id, name, C::KIND),
            region: Region::all(extent).into(),
            epoch: Epoch::FIRST,
            agents: [all.clone()].into(),
            config,
            seed: bits(),
        };
        let LocalRanks { kind, unknown, live } = ranks;
        let controller = Controller::new(spec, kind.clone())?;
        let clock = Clock::start();
        let agent = LocalAgent {
            reporter: Arc::new(Mutex::new(Reporter::new(kind, all, unknown.clone()))),
            clock,
            unknown,
            live,
            heartbeat: config.times.heartbeat,
            epoch: Epoch::FIRST,
            present: BTreeMap::new(),
            lives: JoinSet::new(),
            beats: JoinSet::new(),
            waits: Arc::default(),
        };
        Ok(Self::new(controller, agent, clock))
    }
}

impl<C, F, L> Agents for LocalAgent<C, F>
where
    C: Controlled + Send + 'static,
    C::Report: Send + Sync + 'static,
    F: Fn(Life<C>) -> L + Send,
    L: Future<Output = C::Report> + Send + 'static,
{
    type Report = C::Report;

    fn perform(&mut self, request: Request, answers: &Answers<C::Report>) {
        let Request { agent, epoch, order, .. } = request;
        let (reporter, answers) = (Arc::clone(&self.reporter), answers.clone());
        let waits = Arc::clone(&self.waits);
        let voice = Voice { agent, reporter, clock: self.clock, answers, waits };
        if epoch < self.epoch {
            voice.say(Answer::Refused { agent, obeyed: self.epoch });
            return;
        }
        self.epoch = epoch;
        if self.beats.is_empty() {
            self.beats.spawn(voice.clone().beat(self.heartbeat));
        }
        match order {
            Order::Start { ranks, incarnation, .. } => self.start(&ranks, incarnation, &voice),
            Order::Stop { ranks, incarnation } => self.order(&ranks, incarnation, RankOrder::Stop),
            Order::Kill { ranks, incarnation } => self.order(&ranks, incarnation, RankOrder::Kill),
            Order::Poll => voice.answer_poll(),
            Order::Renew { .. } => (),
        }
    }
}

impl<C, F, L> LocalAgent<C, F>
where
    C: Controlled + Send + 'static,
    C::Report: Send + Sync + 'static,
    F: Fn(Life<C>) -> L + Send,
    L: Future<Output = C::Report> + Send + 'static,
{
    /// Begins the lives that have not begun.
    fn start(&mut self, ranks: &RankSet, incarnation: Incarnation, voice: &Voice<C>) {
        // Those that are over have said their last word: only their place is given back.
        while self.lives.try_join_next().is_some() {}
        for rank in ranks.iter() {
            if self.present.get(&rank).is_some_and(|known| known.incarnation >= incarnation) {
                continue;
            }
            let (order, ordered) = watch::channel(None);
            self.present.insert(rank, Present { incarnation, order });
            let teller = Teller { rank, incarnation, voice: voice.clone() };
            let last_word = LastWord::new(teller.clone(), self.unknown.clone());
            let live = (self.live)(Life::new(teller, ordered));
            self.lives.spawn(async move { last_word.say(live.await) });
        }
    }

    /// Passes an order on to the lives that it is about.
    fn order(&self, ranks: &RankSet, incarnation: Incarnation, order: RankOrder) {
        let known = ranks.iter().filter_map(|rank| self.present.get(&rank));
        for life in known.filter(|life| life.incarnation == incarnation) {
            life.order.send_if_modified(|last| last.replace(order) != Some(order));
        }
    }
}

impl<C: Controlled, F> fmt::Debug for LocalAgent<C, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalAgent").field("ranks", &self.present.len()).finish_non_exhaustive()
    }
}

/// Bits that differ from call to call and from program to program; no secret.
fn random() -> u64 {
    RandomState::new().hash_one(())
}
