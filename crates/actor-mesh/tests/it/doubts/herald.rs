//! `Herald`: stands before the controller of processes, and can tell more of them than there is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use mesh_core::{
    Change, Epoch, Incarnation, MeshEvent, MeshLabel, MeshRequest, News, Part, PortRef, ProcSeat,
    Procs, Refusal, Status, Subscribe,
};
use mesh_runtime::{Actor, ActorRef, Context, Failure, Handler, Handlers, Port, Proc};
use mesh_shape::{Rank, RankSet, Region, ShapeError};

/// Subscribes for others, the first of whom it knows.
struct Herald {
    procs: Arc<dyn Procs>,
    known: Arc<OnceLock<PortRef<MeshEvent>>>,
}

impl Actor for Herald {
    const NAME: &'static str = "herald";
    type Params = Self;

    async fn start(herald: Self, _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(herald)
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<Subscribe>();
    }
}

impl Handler<Subscribe> for Herald {
    async fn handle(
        &mut self,
        subscribe: Subscribe,
        cx: &mut Context<Self>,
    ) -> Result<Result<(), Refusal>, Failure> {
        self.known.get_or_init(|| subscribe.to);
        let door = PortRef::<Subscribe>::of(self.procs.home().actor());
        Ok(door.call(cx, subscribe).await?)
    }
}

/// Processes that are as they are, and of which whoever lives on them may hear more.
#[derive(Debug)]
pub(super) struct Heralded {
    procs: Arc<dyn Procs>,
    herald: ActorRef<Herald>,
    known: Arc<OnceLock<PortRef<MeshEvent>>>,
    /// How often somebody has asked where a process is.
    n_seats: AtomicU64,
}

impl Heralded {
    pub(super) fn new(proc: &Proc, procs: Arc<dyn Procs>) -> Self {
        let known = Arc::new(OnceLock::new());
        let herald = Herald { procs: Arc::clone(&procs), known: Arc::clone(&known) };
        Self { procs, herald: proc.spawn::<Herald>(herald), known, n_seats: AtomicU64::new(0) }
    }

    pub(super) fn n_seats(&self) -> u64 {
        self.n_seats.load(Ordering::Relaxed)
    }

    /// Tells the one who has subscribed that a process is this now, in its first life.
    pub(super) async fn tell(&self, proc: &Proc, rank: Rank, status: Status) {
        let change = Change {
            ranks: RankSet::from_iter([rank]),
            incarnation: Incarnation::FIRST,
            status,
            restart_in: None,
            age: Duration::ZERO,
        };
        let event = MeshEvent {
            mesh: self.procs.label().clone(),
            reporter: Epoch::FIRST,
            seq: 0,
            waited: Duration::ZERO,
            part: Part::WHOLE,
            news: News::Changed([change].into()),
        };
        self.known.get().expect("somebody listens").cast(proc, event).await;
    }
}

impl Procs for Heralded {
    fn label(&self) -> &MeshLabel {
        self.procs.label()
    }

    fn region(&self) -> &Arc<Region> {
        self.procs.region()
    }

    fn seat(&self, rank: Rank) -> Option<ProcSeat> {
        self.n_seats.fetch_add(1, Ordering::Relaxed);
        self.procs.seat(rank)
    }

    fn home(&self) -> PortRef<MeshRequest> {
        PortRef::of(self.herald.id())
    }

    fn lease(&self) -> Duration {
        self.procs.lease()
    }

    fn slice(&self, to: &Region) -> Result<Arc<dyn Procs>, ShapeError> {
        self.procs.slice(to)
    }
}
