//! storm: several who cast to a mesh within this program and call it, each on a thread of its own, while its processes are
//! killed on another; the ranks live on one more.
//!
//! What is done is drawn by a seed, which is said where something is broken; how threads meet is not.

use std::collections::BTreeMap;
use std::env;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use actor_mesh::{
    ActorMesh, ActorMeshRef, ActorRegistry, ActorSpec, LocalProcs, MeshCast, RankError,
};
use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use mesh_core::Message;
use mesh_runtime::{
    Actor, Context, ControlThread, Deputy, Failure, Handler, Handlers, LocalTransport, Proc,
    ProcConfig,
};
use mesh_shape::Rank;
use serde::{Deserialize, Serialize};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use crate::support::soon;

const RANKS: usize = 8;
/// Of these ranks the processes are killed.
const VICTIMS: usize = 4;
const SENDERS: usize = 4;
const LASTS: Duration = Duration::from_millis(1_500);
/// More casts than find room anywhere, so that some wait at their sender.
const BURST: usize = LocalTransport::WINDOW + 100;

/// What has come to the ranks, and of whom the loss was told.
#[derive(Debug, Default)]
struct Ledger {
    /// What each sender has sent to each rank.
    taken: Mutex<BTreeMap<(usize, usize), Vec<u64>>>,
    is_lost: [AtomicBool; RANKS],
}

/// Of all senders and ranks: what goes by a session may be encoded, and a ledger cannot be.
static LEDGER: OnceLock<Ledger> = OnceLock::new();

fn ledger() -> &'static Ledger {
    LEDGER.get_or_init(Ledger::default)
}

/// The next of a sender. It is answered with whether the loss of who answers was told before.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Rain {
    sender: usize,
    number: u64,
}

impl Message for Rain {
    const NAME: &'static str = "storm.Rain";
    type Reply = bool;
}

/// Has its rank, and room for little.
struct Barrel(usize);

impl Actor for Barrel {
    const NAME: &'static str = "barrel";
    const MAILBOX: usize = 4;
    type Params = usize;

    async fn start(rank: usize, _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self(rank))
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<Rain>();
    }
}

impl Handler<Rain> for Barrel {
    async fn handle(&mut self, rain: Rain, _: &mut Context<Self>) -> Result<bool, Failure> {
        let Rain { sender, number } = rain;
        if number.is_multiple_of(3) {
            tokio::task::yield_now().await;
        }
        let mut taken =
            ledger().taken.lock().ok().ok_or_else(|| Failure::new("a test has failed"))?;
        taken.entry((sender, self.0)).or_default().push(number);
        Ok(ledger().is_lost[self.0].load(Ordering::SeqCst))
    }
}

/// Somebody with a name of its own, in which others send.
struct Somebody;

impl Actor for Somebody {
    const NAME: &'static str = "somebody";
    type Params = oneshot::Sender<Deputy>;

    async fn start(deputy: Self::Params, cx: &mut Context<Self>) -> Result<Self, Failure> {
        _ = deputy.send(cx.deputy()).is_ok();
        Ok(Self)
    }
}

/// Numbers that follow from a seed: the generator of `SplitMix64`.
struct Draws(u64);

impl Draws {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % n
    }
}

/// Says the seed, if the test fails.
struct Seed(u64);

impl Drop for Seed {
    #[expect(clippy::print_stderr, reason = "whoever repeats a run that failed needs it")]
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("STORM_SEED={}", self.0);
        }
    }
}

/// One of those who send.
struct Voice {
    number: usize,
    from: Deputy,
    mesh: ActorMeshRef<Barrel>,
    draws: Draws,
    /// How many messages it has sent, each of another number.
    n_sent: u64,
    ahead: FuturesUnordered<MeshCast<Rain>>,
}

impl Voice {
    async fn sing(mut self) -> (usize, u64) {
        let until = Instant::now() + LASTS;
        while Instant::now() < until {
            match self.draws.below(64) {
                0 => self.cast_ahead(BURST),
                1..8 => self.call().await,
                8..16 => self.replies().await,
                16..32 => self.cast().await,
                _ => self.cast_ahead(1),
            }
        }
        self.settle().await;
        // It comes after all that was cast.
        self.call().await;
        (self.number, self.n_sent)
    }

    fn next(&mut self) -> Rain {
        self.n_sent += 1;
        Rain { sender: self.number, number: self.n_sent }
    }

    async fn cast(&mut self) {
        let next = self.next();
        let cast = self.mesh.cast(&self.from, next);
        let (not_sent, ()) = soon(async { tokio::join!(cast, self.settle()) }).await;
        self.judge(not_sent.iter());
    }

    /// Casts so often, and goes on before it is known what has become of that.
    fn cast_ahead(&mut self, n_times: usize) {
        for _ in 0..n_times {
            let next = self.next();
            let mut cast = self.mesh.cast(&self.from, next);
            match (&mut cast).now_or_never() {
                Some(not_sent) => self.judge(not_sent.iter()),
                None => self.ahead.push(cast),
            }
        }
    }

    /// Waits for what was cast ahead.
    async fn settle(&mut self) {
        while let Some(not_sent) = soon(self.ahead.next()).await {
            self.judge(not_sent.iter());
        }
    }

    async fn call(&mut self) {
        self.settle().await;
        let lost = self.lost();
        let next = self.next();
        let answers = soon(self.mesh.call(&self.from, next)).await;
        assert_eq!(answers.size(), RANKS);
        let each = answers.iter().enumerate().map(|(rank, answer)| (Rank::new(rank), answer));
        each.for_each(|(rank, answer)| self.answered(lost, rank, answer));
    }

    async fn replies(&mut self) {
        self.settle().await;
        let lost = self.lost();
        let next = self.next();
        let mut replies = self.mesh.call_stream(&self.from, next);
        let mut answered = [0; RANKS];
        while let Some((rank, answer)) = soon(replies.next()).await {
            answered[rank.index()] += 1;
            self.answered(lost, rank, &answer);
        }
        assert_eq!(answered, [1; RANKS], "one outcome for each rank");
    }

    /// Of whom the loss was told by now.
    fn lost(&self) -> [bool; RANKS] {
        ledger().is_lost.each_ref().map(|is_lost| is_lost.load(Ordering::SeqCst))
    }

    /// R1, H2
    fn answered(&self, lost: [bool; RANKS], rank: Rank, answer: &Result<bool, RankError>) {
        match answer {
            Ok(was_lost) => {
                assert!(!was_lost, "rank {rank} has answered after its loss was told");
                assert!(!lost[rank.index()], "rank {rank} has answered a call after that");
            }
            Err(error) => self.failed(rank, error),
        }
    }

    fn judge<'a>(&self, not_sent: impl Iterator<Item = (Rank, &'a RankError)>) {
        not_sent.for_each(|(rank, error)| self.failed(rank, error));
    }

    /// N9
    fn failed(&self, rank: Rank, error: &RankError) {
        let is_loss = matches!(error, RankError::Ended(_) | RankError::Undelivered(_));
        assert!(rank.index() < VICTIMS && is_loss, "rank {rank}: {error}");
        ledger().is_lost[rank.index()].store(true, Ordering::SeqCst);
    }
}

async fn somebody(proc: &Proc) -> Deputy {
    let (deputy, given) = oneshot::channel();
    drop(proc.spawn::<Somebody>(deputy));
    soon(given).await.expect("it begins")
}

/// Kills one after the other.
async fn kill(procs: &LocalProcs, mut draws: Draws) {
    for victim in 0..VICTIMS {
        sleep(Duration::from_micros(draws.below(350_000))).await;
        procs.crash(Rank::new(victim));
    }
}

/// R1, R2, H2, H7, N9: whoever is killed at whichever moment, the living have each cast of each sender once and in order,
/// and the dead have no other order; each call ends with one outcome for each rank, and nobody is heard after it was said
/// to be lost.
#[tokio::test]
async fn the_living_have_all_and_the_lost_are_silent() {
    let control = ControlThread::start("storm").expect("it can be started");
    let config = ProcConfig { control: Some(control.handle().clone()), ..ProcConfig::local() };
    let proc = Proc::start(config, Handle::current());
    let seed = env::var("STORM_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = Seed(seed.unwrap_or_else(|| proc.draw()));
    let mut registry = ActorRegistry::new();
    registry.actor::<Barrel>();
    let extent = format!("procs={RANKS}").parse().expect("it is an extent");
    let procs = LocalProcs::start(&proc, "homes", extent, registry).await.expect("they start");
    let spec = ActorSpec::<Barrel>::per_rank("barrels", |point| point.rank().index());
    let barrels = soon(ActorMesh::spawn(&proc, &procs.procs(), spec)).await;
    let barrels = barrels.expect("they start");
    let mut voices = Vec::new();
    for number in 0..SENDERS {
        let voice = Voice {
            number,
            from: somebody(&proc).await,
            mesh: barrels.mesh_ref().clone(),
            draws: Draws(seed.0 + number as u64),
            n_sent: 0,
            ahead: FuturesUnordered::new(),
        };
        voices.push(spawn_blocking(move || {
            let own = Builder::new_current_thread().enable_time().build();
            own.expect("it can be built").block_on(voice.sing())
        }));
    }
    kill(&procs, Draws(seed.0.wrapping_neg())).await;
    let mut sent = BTreeMap::new();
    for voice in voices {
        sent.extend([soon(voice).await.expect("nothing is broken")]);
    }
    let taken = ledger().taken.lock().expect("nobody panics with it");
    for ((sender, rank), numbers) in &*taken {
        assert!(numbers.is_sorted_by(|one, next| one < next), "{sender} to {rank}: {numbers:?}");
    }
    for (sender, n_sent) in sent {
        for rank in VICTIMS..RANKS {
            let all: Vec<u64> = (1..=n_sent).collect();
            assert_eq!(taken.get(&(sender, rank)), Some(&all), "{sender} to {rank}");
        }
    }
}
