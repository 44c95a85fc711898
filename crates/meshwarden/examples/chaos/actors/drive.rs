//! Does to the actors of a mesh what the plan says, while numbers are cast to them, and hears what everybody is told.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use meshwarden::controller::Times;
use meshwarden::mesh_core::Timestamp;
use meshwarden::mesh_runtime::Proc;
use meshwarden::prelude::*;
use meshwarden::supervise::Clock;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::caster::{Caster, Casting, Returned, Traffic};
use super::hear::{Woken, on_home, on_seen, woken};
use super::plan::{Act, Plan, Step};
use super::post::{Hit, Post, Sent};
use super::victim::{Home, Note, Victim, monotonic};
use super::{NAME, RESTART, START_WITHIN};
use crate::drive::{SEEN, patiently};
use crate::kind::Kind;
use crate::ledger::{Done, IsHogged, Ledger, Observer};
use crate::subscriber::{self, Seen};

/// What a driver writes into.
pub(crate) struct Books {
    /// Of the actors.
    pub(crate) actors: Ledger,
    /// Of the processes that they live in.
    pub(crate) homes: Ledger,
    pub(crate) post: Post,
    /// When its clock began, by that of the machine.
    pub(crate) began: Duration,
}

/// Where the actors live.
pub(crate) struct Site<'a> {
    /// The program itself.
    pub(crate) proc: Proc,
    /// The processes; none, if they live in the program.
    pub(crate) homes: Option<&'a mut Homes>,
    /// Where the actors note what reaches them.
    pub(crate) dir: PathBuf,
}

/// The owner of the mesh and what it keeps.
pub(crate) struct Driver<'a> {
    pub(super) site: Site<'a>,
    pub(super) books: &'a mut Books,
    pub(super) mesh: ActorMesh<Victim>,
    caster: ActorRef<Caster>,
    pub(super) clock: Clock,
    seen: mpsc::Receiver<Seen>,
    seen_of_homes: mpsc::Receiver<Seen>,
    returned: mpsc::UnboundedReceiver<Returned>,
    /// The next number to be cast.
    number: u64,
}

/// What goes on while something is done.
pub(super) struct Round {
    traffic: JoinHandle<Result<Vec<Sent>>>,
    on_way: mpsc::UnboundedReceiver<u64>,
    /// Whether all numbers are on their way that are to be cast.
    pub(super) is_cast: bool,
    pub(super) held: Vec<(Rank, Act)>,
    pub(super) calls: Vec<JoinHandle<Result<()>>>,
}

impl Books {
    /// Of a mesh of `n_ranks`.
    pub(crate) fn new(n_ranks: usize) -> Self {
        let (actors, homes) = (Ledger::new(n_ranks), Ledger::new(n_ranks));
        Self { actors, homes, post: Post::new(n_ranks), began: Duration::ZERO }
    }
}

impl Books {
    /// Notes when actors have ended themselves, given what each rank has noted: from then on nobody but us took time
    /// to tell it.
    pub(crate) fn note_ends(&mut self, notes: &[Vec<Option<Note>>]) {
        let mut ends = Vec::new();
        for Done { kind, fault, .. } in self.actors.faults() {
            if !matches!(kind, Kind::Panic | Kind::Error | Kind::AllPanic) {
                continue;
            }
            let noted = notes.get(fault.rank.index()).into_iter().flatten().flatten();
            let after = noted.filter_map(|note| match note {
                Note::Ending(at) => Some(Timestamp::from_start(at.saturating_sub(self.began))),
                Note::Born(_) | Note::Cast(_) | Note::Called(_) => None,
            });
            ends.extend(after.filter(|at| *at >= fault.at).min().map(|at| (fault.id, at)));
        }
        ends.into_iter().for_each(|(id, at)| self.actors.ended(id, at));
    }
}

impl<'a> Driver<'a> {
    /// Watches a mesh, which was spawned there.
    ///
    /// # Errors
    ///
    /// If it cannot be watched.
    pub(crate) async fn watch(
        site: Site<'a>,
        mesh: ActorMesh<Victim>,
        books: &'a mut Books,
    ) -> Result<Self> {
        let clock = Clock::start();
        books.began = monotonic();
        let (told, seen) = mpsc::channel(SEEN);
        let (told_of_homes, seen_of_homes) = mpsc::channel(SEEN);
        for observer in [Observer::Terminal, Observer::All] {
            let events = mesh.subscribe(observer.interest()).await?;
            tokio::spawn(subscriber::watch(observer, events, clock, told.clone()));
            if let Some(homes) = &site.homes {
                let events = homes.subscribe(observer.interest()).await?;
                tokio::spawn(subscriber::watch(observer, events, clock, told_of_homes.clone()));
            }
        }
        let (back, returned) = mpsc::unbounded_channel();
        let casting = Casting { mesh: mesh.mesh_ref().clone(), returned: back };
        let caster = site.proc.spawn::<Caster>(casting);
        Ok(Self { site, books, mesh, caster, clock, seen, seen_of_homes, returned, number: 0 })
    }

    /// Waits until every rank has begun.
    ///
    /// # Errors
    ///
    /// If one does not in time.
    pub(crate) async fn begin(&mut self) -> Result<()> {
        let size = self.mesh.extent().size();
        let n_homes = if self.site.homes.is_some() { size } else { 0 };
        let begun = async {
            while (self.books.actors.n_ready(), self.books.homes.n_ready()) != (size, n_homes) {
                ensure!(self.hear().await, ENDED);
            }
            Ok(())
        };
        patiently("every rank to begin", begun).await.flatten()
    }

    /// Calls all before anything is done to anybody, so that the processes have sessions with each other.
    ///
    /// # Errors
    ///
    /// If not all answer in time.
    pub(crate) async fn open_ways(&mut self) -> Result<()> {
        let traffic = self.traffic();
        self.books.post.rounds.push(BTreeMap::new());
        patiently("all ranks to answer", self.all_answer(traffic)).await?
    }

    /// Injects every fault of the plan.
    ///
    /// # Errors
    ///
    /// If something that was awaited has not happened in time. The books have what did.
    pub(crate) async fn run(&mut self, plan: &mut Plan, is_hogged: IsHogged) -> Result<()> {
        self.books.actors.begin_phase(is_hogged);
        self.books.homes.begin_phase(is_hogged);
        while let Some(step) = plan.step() {
            let what = format!("round {}, {:?}", self.books.post.rounds.len(), step.acts);
            self.step(step).await.context(what)?;
        }
        Ok(())
    }

    async fn step(&mut self, step: Step) -> Result<()> {
        let Step { acts, n_before, n_numbers } = step;
        let traffic = self.traffic();
        let first = self.number;
        self.number += n_numbers;
        self.books.post.rounds.push(self.hits(&acts));
        let (told, mut on_way) = mpsc::unbounded_channel();
        let running = tokio::spawn(traffic.clone().run(first..self.number, told));
        while n_before > 0
            && let Some(number) = patiently("numbers to be cast", on_way.recv()).await?
            && number + 1 < first + n_before
        {}
        self.books.actors.begin_round();
        self.books.homes.begin_round();
        let (held, calls) = (Vec::new(), Vec::new());
        let mut round = Round { traffic: running, on_way, is_cast: false, held, calls };
        let injected = if acts.is_empty() {
            self.all_panic().await
        } else {
            self.inject(&acts, &mut round).await
        };
        injected?;
        patiently("all to be told", self.settle(&mut round)).await??;
        for call in round.calls {
            patiently("the call of what ends", call).await???;
        }
        let sent = patiently("all calls to be answered", round.traffic).await???;
        self.books.post.sent.extend(sent);
        patiently("all ranks to answer", self.all_answer(traffic)).await?
    }

    fn traffic(&self) -> Traffic {
        let (proc, caster) = (self.site.proc.clone(), self.caster.clone());
        let (mesh, round) = (self.mesh.mesh_ref().clone(), self.books.post.rounds.len());
        Traffic { proc, caster, mesh, round }
    }

    fn hits(&self, acts: &[(Rank, Act)]) -> BTreeMap<Rank, Hit> {
        if acts.is_empty() {
            return self.mesh.extent().ranks().iter().map(|rank| (rank, Hit::Actor)).collect();
        }
        let hit = |act: Act| match act {
            Act::Panic(_) | Act::Error(_) => Hit::Actor,
            Act::HomeKill | Act::RelayKill => Hit::Process,
            Act::Wait | Act::Block | Act::RelayStop => Hit::Held,
        };
        acts.iter().map(|(rank, act)| (*rank, hit(*act))).collect()
    }

    /// Hears until all have seen what was done, and lets go on what was seen held up.
    async fn settle(&mut self, round: &mut Round) -> Result<()> {
        loop {
            let is_settled = |ledger: &Ledger| ledger.is_settled();
            if round.held.is_empty()
                && is_settled(&self.books.actors)
                && is_settled(&self.books.homes)
            {
                return Ok(());
            }
            tokio::select! {
                number = round.on_way.recv(), if !round.is_cast => round.is_cast = number.is_none(),
                woken = woken(&mut self.site.homes, &mut self.mesh, self.clock, (
                    &mut self.seen, &mut self.seen_of_homes, &mut self.returned,
                )) => ensure!(self.on_woken(woken), ENDED),
            }
            self.relieve(round).await?;
        }
    }

    /// Calls all until each answers: those that nothing was done to do at once.
    async fn all_answer(&mut self, traffic: Traffic) -> Result<()> {
        loop {
            let number = self.number;
            self.number += 1;
            let sent = traffic.clone().call(number).await;
            let is_answered = sent.answers.values().all(super::post::Answer::is_value);
            self.books.post.sent.push(sent);
            if is_answered {
                return Ok(());
            }
            // Its next life has begun, and that is still on its way to whoever calls.
            _ = timeout(AGAIN, self.hear()).await.is_ok();
        }
    }

    /// Lets a check of the controllers go by, in which what was told could be told again; then stops the actors, and
    /// hears them out.
    ///
    /// # Errors
    ///
    /// If they do not stop in time.
    pub(crate) async fn stop(mut self) -> Result<()> {
        let quiet = async { while self.hear().await {} };
        ensure!(timeout(TIMES.check * 2, quiet).await.is_err(), ENDED);
        self.books.actors.stopped(self.clock.now());
        patiently("the actors to stop", self.mesh.stop(GRACE)).await??;
        let last = async {
            while self.hear().await {}
            while let Some(seen) = self.seen.recv().await {
                on_seen(&mut self.books.actors, seen);
            }
        };
        patiently("the last events", last).await?;
        let Some(homes) = self.site.homes.take() else { return Ok(()) };
        self.books.homes.stopped(self.clock.now());
        patiently("the processes to stop", homes.stop(GRACE)).await??;
        let last = async {
            while let Some(news) = homes.next().await {
                on_home(&mut self.books.homes, self.clock.now(), news);
            }
            while let Some(seen) = self.seen_of_homes.recv().await {
                on_seen(&mut self.books.homes, seen);
            }
        };
        patiently("the last events of processes", last).await
    }

    /// Hears one thing; `false` if an owner has heard the last.
    async fn hear(&mut self) -> bool {
        let channels = (&mut self.seen, &mut self.seen_of_homes, &mut self.returned);
        let woken = woken(&mut self.site.homes, &mut self.mesh, self.clock, channels).await;
        self.on_woken(woken)
    }

    fn on_woken(&mut self, woken: Woken) -> bool {
        let Books { actors, homes, post, .. } = self.books;
        match woken {
            Woken::Owner(at, Some(OwnerNews::Failed(failures))) => {
                for change in &failures.changes {
                    actors.on_change(Observer::Owner, at, change);
                }
            }
            Woken::OwnerOfHomes(at, Some(news)) => return on_home(homes, at, news),
            Woken::Owner(_, Some(OwnerNews::Finished(_)) | None) | Woken::OwnerOfHomes(_, None) => {
                return false;
            }
            Woken::Subscriber(seen) => on_seen(actors, seen),
            Woken::SubscriberOfHomes(seen) => on_seen(homes, seen),
            Woken::Returned(back) => post.returned.push(back),
        }
        true
    }
}

/// What a mesh of victims is to be.
pub(crate) fn spec(dir: PathBuf, fan_out: FanOut) -> ActorSpec<Victim> {
    let home = move |point: Point<'_>| Home { dir: dir.clone(), rank: point.rank().index() };
    ActorSpec::per_rank(NAME, home)
        .restart(RESTART)
        .times(TIMES)
        .fan_out(fan_out)
        .ready_within(START_WITHIN)
}

/// As for processes.
pub(crate) const TIMES: Times = Times::lan();
/// What should not happen to a mesh whose ranks are always restarted.
const ENDED: &str = "the mesh has ended by itself";
/// How long is waited between two calls of all, if one was not answered by all.
const AGAIN: Duration = Duration::from_millis(2);
/// How long actors have to end when they are asked to.
const GRACE: Duration = Duration::from_secs(5);
