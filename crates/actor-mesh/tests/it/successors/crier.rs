//! `Crier`: stands for one controller of processes after the other, each of which tells what there is.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mesh_core::{
    Change, Epoch, Incarnation, MeshEvent, MeshLabel, MeshRequest, News, Part, PortRef, ProcSeat,
    Procs, Refusal, Status, Subscribe,
};
use mesh_runtime::{Actor, ActorRef, Context, Failure, Handler, Handlers, Port, Proc, Stop};
use mesh_shape::{Rank, RankSet, Region, ShapeError};

/// Tells all subscribers what the controller of the processes tells, as one of this epoch.
pub(super) struct Crier {
    procs: Arc<dyn Procs>,
    epoch: Epoch,
    /// It has heard of no process yet, and says nothing of any.
    is_unaware: bool,
    told: Arc<Mutex<Vec<PortRef<MeshEvent>>>>,
}

impl Actor for Crier {
    const NAME: &'static str = "crier";
    type Params = Self;

    async fn start(crier: Self, _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(crier)
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<Subscribe>();
    }
}

impl Handler<Subscribe> for Crier {
    async fn handle(
        &mut self,
        subscribe: Subscribe,
        cx: &mut Context<Self>,
    ) -> Result<Result<(), Refusal>, Failure> {
        let (to, epoch, deputy) = (subscribe.to, self.epoch, cx.deputy());
        let mut heard = cx.proc().open_port::<MeshEvent>(256);
        let door = PortRef::<Subscribe>::of(self.procs.home().actor());
        let taken = door.call(cx, Subscribe { to: heard.port(), ..subscribe }).await?;
        lock(&self.told).push(to);
        if self.is_unaware {
            return Ok(taken);
        }
        cx.attach(async move {
            loop {
                let event = heard.recv().await;
                to.cast(&deputy, MeshEvent { reporter: epoch, ..event }).await;
            }
        });
        Ok(taken)
    }
}

/// Processes that have one controller after the other, for all that whoever lives on them can see.
#[derive(Debug)]
pub(super) struct Cried {
    proc: Proc,
    procs: Arc<dyn Procs>,
    now: Mutex<ActorRef<Crier>>,
    told: Arc<Mutex<Vec<PortRef<MeshEvent>>>>,
    /// Who comes as soon as somebody has subscribed.
    next: Mutex<Option<Epoch>>,
}

impl Cried {
    pub(super) fn new(proc: &Proc, procs: Arc<dyn Procs>) -> Self {
        let told = Arc::default();
        let crier = crier(proc, (&procs, &told), (Epoch::FIRST, false));
        Self { proc: proc.clone(), procs, now: Mutex::new(crier), told, next: Mutex::default() }
    }

    /// The controller dies.
    pub(super) fn die(&self) {
        lock(&self.now).stop(Stop::Kill);
    }

    /// Another one has adopted the processes, or says so.
    pub(super) fn succeed(&self, epoch: Epoch) {
        *lock(&self.now) = crier(&self.proc, (&self.procs, &self.told), (epoch, false));
    }

    /// Another one has adopted the processes, and has heard of none of them.
    pub(super) fn succeed_unaware(&self, epoch: Epoch) {
        *lock(&self.now) = crier(&self.proc, (&self.procs, &self.told), (epoch, true));
    }

    /// Another one adopts the processes as soon as somebody has subscribed.
    pub(super) fn succeed_at_once(&self, epoch: Epoch) {
        *lock(&self.next) = Some(epoch);
    }

    pub(super) fn n_subscribed(&self) -> usize {
        lock(&self.told).len()
    }

    /// Tells whoever has subscribed last that a process is this, in its first life.
    pub(super) async fn tell(&self, (rank, status): (Rank, Status), epoch: Epoch) {
        let change = Change {
            ranks: RankSet::from_iter([rank]),
            incarnation: Incarnation::FIRST,
            status,
            restart_in: None,
            age: Duration::ZERO,
        };
        self.say(News::Changed([change].into()), epoch).await;
    }

    /// Tells this whoever has subscribed last.
    pub(super) async fn say(&self, news: News, epoch: Epoch) {
        let (mesh, waited) = (self.procs.label().clone(), Duration::ZERO);
        let event = MeshEvent { mesh, reporter: epoch, seq: 0, waited, part: Part::WHOLE, news };
        let to = *lock(&self.told).last().expect("somebody listens");
        to.cast(&self.proc, event).await;
    }
}

type World<'a> = (&'a Arc<dyn Procs>, &'a Arc<Mutex<Vec<PortRef<MeshEvent>>>>);

fn crier(
    proc: &Proc,
    (procs, told): World<'_>,
    (epoch, is_unaware): (Epoch, bool),
) -> ActorRef<Crier> {
    let (procs, told) = (Arc::clone(procs), Arc::clone(told));
    proc.spawn::<Crier>(Crier { procs, epoch, is_unaware, told })
}

fn lock<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Procs for Cried {
    fn label(&self) -> &MeshLabel {
        self.procs.label()
    }

    fn region(&self) -> &Arc<Region> {
        self.procs.region()
    }

    fn seat(&self, rank: Rank) -> Option<ProcSeat> {
        self.procs.seat(rank)
    }

    fn home(&self) -> PortRef<MeshRequest> {
        if self.n_subscribed() > 0
            && let Some(epoch) = lock(&self.next).take()
        {
            self.succeed(epoch);
        }
        PortRef::of(lock(&self.now).id())
    }

    fn lease(&self) -> Duration {
        self.procs.lease()
    }

    fn slice(&self, to: &Region) -> Result<Arc<dyn Procs>, ShapeError> {
        self.procs.slice(to)
    }
}
