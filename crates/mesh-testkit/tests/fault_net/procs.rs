//! Two processes of the runtime over the network: calls and casts by a seed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mesh_core::{Addr, Lane, Message, PortRef, ProcId, Transport};
use mesh_runtime::{Actor, CallError, Context, Failure, Handler, Handlers, Port, Proc, ProcConfig};
use mesh_testkit::fault_net::{Event, FaultNet, FaultTransport, Faults, SplitMix64};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::support::paused;

const CALL_WITHIN: Duration = Duration::from_secs(8);

/// Squares numbers, after a while, and writes down what it is told.
struct Squares(Arc<Mutex<Vec<u64>>>);

impl Actor for Squares {
    const NAME: &'static str = "squares";
    type Params = Arc<Mutex<Vec<u64>>>;

    async fn start(told: Self::Params, _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self(told))
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<Square>().takes::<Tell>().takes::<Never>();
    }
}

#[derive(Serialize, Deserialize)]
struct Square(u64);

impl Message for Square {
    const NAME: &'static str = "procs.Square";
    type Reply = u64;
}

#[derive(Serialize, Deserialize)]
struct Tell(u64);

impl Message for Tell {
    const NAME: &'static str = "procs.Tell";
    type Reply = ();
}

/// Is never answered.
#[derive(Serialize, Deserialize)]
struct Never;

impl Message for Never {
    const NAME: &'static str = "procs.Never";
    type Reply = ();
}

impl Handler<Square> for Squares {
    async fn handle(&mut self, Square(n): Square, _: &mut Context<Self>) -> Result<u64, Failure> {
        sleep(Duration::from_millis(n % 7)).await;
        Ok(n * n)
    }
}

impl Handler<Tell> for Squares {
    async fn handle(&mut self, Tell(n): Tell, _: &mut Context<Self>) -> Result<(), Failure> {
        self.0.lock().expect("nobody panics with it").push(n);
        Ok(())
    }
}

impl Handler<Never> for Squares {
    async fn handle(&mut self, _: Never, _: &mut Context<Self>) -> Result<(), Failure> {
        std::future::pending().await
    }
}

/// Two processes with a session between them, and an actor in the second.
struct Pair {
    net: FaultNet,
    here: Proc,
    there: Proc,
    _transports: [FaultTransport; 2],
    actor: mesh_core::ActorId,
    told: Arc<Mutex<Vec<u64>>>,
}

fn proc(number: u128) -> Proc {
    let id = ProcId::from_random(number);
    let config = ProcConfig { id, call_within: CALL_WITHIN, ..ProcConfig::local() };
    Proc::start(config, Handle::current())
}

impl Pair {
    async fn over(net: FaultNet) -> Self {
        let (here, there) = (proc(1), proc(2));
        let transports = [net.transport("a"), net.transport("b")];
        let at: Addr = "local://there".parse().expect("it is an address");
        let listening = transports[1].listen(&at, Lane::Data, there.inbound(7)).await;
        listening.expect("nobody else listens");
        let dialled = transports[0].dial(&at, there.id(), Lane::Data, here.inbound(7)).await;
        here.connect(Lane::Data, dialled.expect("the network is not as bad as that"));
        let told = Arc::default();
        let actor = there.spawn::<Squares>(Arc::clone(&told)).id();
        Self { net, here, there, _transports: transports, actor, told }
    }
}

/// What became of a call, and how long it took.
type Outcome = (u64, Result<u64, CallError>, Duration);

async fn call(here: Proc, port: PortRef<Square>, n: u64, wait: Duration) -> Outcome {
    sleep(wait).await;
    let begun = Instant::now();
    let answer = port.call(&here, Square(n)).await;
    (n, answer, begun.elapsed())
}

/// Calls and casts while links are cut. What was called, what was told, and the history.
fn run(seed: u64) -> (Vec<Outcome>, Vec<u64>, Vec<Event>) {
    paused(async {
        let pair = Pair::over(FaultNet::new(seed, Faults::moderate())).await;
        let mut rng = SplitMix64::named(seed, "calls");
        let mut calls = JoinSet::new();
        for n in 0..40 {
            let wait = Duration::from_millis(rng.below(20_000));
            calls.spawn(call(pair.here.clone(), PortRef::of(pair.actor), n, wait));
        }
        let casts = async {
            for n in 0..100 {
                sleep(Duration::from_millis(rng.below(200))).await;
                PortRef::of(pair.actor).cast(&pair.here, Tell(n)).await;
            }
        };
        let mut rng = SplitMix64::named(seed, "cuts");
        let cuts = async {
            for _ in 0..3 {
                sleep(Duration::from_millis(rng.below(4_000))).await;
                let lasting = Duration::from_millis(rng.below(12_000));
                let (from, to) = if rng.below(2) == 0 { ("a", "b") } else { ("b", "a") };
                pair.net.cut_for(from, to, lasting);
            }
        };
        tokio::join!(casts, cuts);
        let outcomes = calls.join_all().await;
        sleep(Duration::from_secs(60)).await;
        let told = pair.told.lock().expect("nobody panics with it").clone();
        (outcomes, told, pair.net.history())
    })
}

#[test]
fn no_call_outlives_its_deadline_and_replies_are_right() {
    let (mut n_answered, mut n_late, mut n_lost) = (0, 0, 0);
    for seed in 0..100 {
        let (outcomes, told, _) = run(seed);
        for (n, answer, took) in outcomes {
            match answer {
                Ok(square) => {
                    assert_eq!(square, n * n, "seed {seed}");
                    n_answered += 1;
                }
                Err(CallError::Deadline { within, .. }) => {
                    assert_eq!(within, CALL_WITHIN, "seed {seed}");
                    n_late += 1;
                }
                // No way, once the session is lost.
                Err(CallError::PeerLost { .. } | CallError::Undelivered { .. }) => n_lost += 1,
                Err(other) => panic!("seed {seed}: {other}"),
            }
            let latest = CALL_WITHIN + Duration::from_millis(100);
            assert!(took <= latest, "seed {seed}: call {n} took {took:?}");
        }
        assert!(told.is_sorted_by(|one, next| one + 1 == *next), "seed {seed}: {told:?}");
    }
    let n = [n_answered, n_late, n_lost];
    assert!(n.iter().all(|n| *n > 50), "every end of a call is tried: {n:?}");
}

/// Also in which order calls end that end at once.
#[test]
fn a_seed_repeats_a_run_of_processes() {
    for seed in 0..10 {
        assert_eq!(run(seed), run(seed), "seed {seed}");
    }
}

/// R1: with either side, as soon as it is known.
#[tokio::test(start_paused = true)]
async fn a_crash_ends_every_pending_call_of_both_sides() {
    let pair = Pair::over(FaultNet::new(1, Faults::moderate())).await;
    let back = pair.here.spawn::<Squares>(Arc::default()).id();
    let mut calls = JoinSet::new();
    for (from, to) in [(&pair.here, pair.actor), (&pair.there, back)] {
        for _ in 0..20 {
            let from = from.clone();
            calls.spawn(async move { PortRef::of(to).call(&from, Never).await });
        }
    }
    let begun = Instant::now();
    pair.net.crash_after(Duration::from_secs(3), "b");
    let answers = calls.join_all().await;
    assert!(begun.elapsed() < CALL_WITHIN, "{:?}", begun.elapsed());
    let n_lost = answers.iter().filter(|answer| matches!(answer, Err(CallError::PeerLost { .. })));
    assert_eq!(n_lost.count(), 40, "{answers:?}");
}
